//! What a check's results add up to: well after `rise` good ones in a row, ill after `fall` bad ones in a row, and
//! slower to be well again where it goes up and down all the time.
//!
//! Pure, and counts results, not time: a check that runs rarely is damped as long as one that runs often.

use crate::settings::{Section, live};

/// Number of falls within the memory of a check that are ordinary. Each one more doubles what it takes to rise.
const ORDINARY_FALLS: usize = 2;
/// Limit of those doublings.
const MAX_DOUBLINGS: usize = 4;
/// Multiple of `rise` and `fall` together for which a fall is remembered.
const REMEMBERED: u64 = 20;

/// Rules by which results become a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Good results in a row that make it well.
    pub rise: u32,
    /// Bad results in a row that make it ill.
    pub fall: u32,
    /// True if it counts as well before there is any result.
    pub initially_well: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { rise: 2, fall: 3, initially_well: false }
    }
}

impl Rules {
    /// Reads the keys `rise`, `fall` and `initial` over these.
    pub(super) fn read(self, section: &mut Section<'_>) -> Self {
        let mut count = |key, default| match section.located::<u32>(key) {
            Some(said) if !(1..=1000).contains(&said.value) => {
                let message = format!("`{key}` must be a whole number from 1 to 1000, not {}", said.value);
                section.problems().add(said.span, message);
                default
            }
            said => said.map_or(default, |said| said.value),
        };
        let (rise, fall) = (count(live("rise"), self.rise), count(live("fall"), self.fall));
        let initially_well = match section.located::<String>(live("initial")) {
            None => self.initially_well,
            Some(said) => match &*said.value {
                "healthy" => true,
                "unhealthy" => false,
                other => {
                    let message = format!("`initial` must be \"healthy\" or \"unhealthy\", not \"{other}\"");
                    section.problems().add(said.span, message);
                    self.initially_well
                }
            },
        };
        Self { rise, fall, initially_well }
    }
}

/// The state of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// There are not results enough to tell, and none before.
    Unknown,
    /// It is well.
    Well,
    /// It is ill.
    Ill,
}

impl CheckState {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Well => "healthy",
            Self::Ill => "unhealthy",
        }
    }
}

/// Results in a row towards another state, of as many as that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// True if they are good ones.
    pub is_good: bool,
    /// Number of results so far.
    pub count: u32,
    /// Number of results it takes.
    pub of: u32,
}

/// `1 of 3 failures`.
impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let results = if self.is_good { "successes" } else { "failures" };
        write!(f, "{} of {} {results}", self.count, self.of)
    }
}

/// The state of one check and what led to it.
#[derive(Debug, Clone)]
pub struct Health {
    rules: Rules,
    state: CheckState,
    /// The last result.
    last: Option<bool>,
    /// Results like the last one in a row, since the state began.
    streak: u32,
    results: u64,
    /// At which results it fell, as far as that is remembered.
    falls: Vec<u64>,
    transitions: u64,
}

impl Health {
    /// The state before any result.
    pub fn new(rules: Rules) -> Self {
        let state = if rules.initially_well { CheckState::Well } else { CheckState::Unknown };
        Self { rules, state, last: None, streak: 0, results: 0, falls: Vec::new(), transitions: 0 }
    }

    /// Takes other rules. The state stays, and so do the results that it came from.
    pub fn set_rules(&mut self, rules: Rules) {
        if self.state == CheckState::Unknown && rules.initially_well && !self.rules.initially_well {
            self.state = CheckState::Well;
        }
        self.rules = rules;
    }

    /// The state.
    pub fn state(&self) -> CheckState {
        self.state
    }

    /// Number of times it has become well or ill.
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Returns whether it goes up and down so often that rising takes longer.
    pub fn is_flapping(&self) -> bool {
        self.falls.len() > ORDINARY_FALLS
    }

    /// The results since that speak for another state; none when the last one does not.
    pub fn progress(&self) -> Option<Progress> {
        match (self.state, self.last?) {
            (CheckState::Unknown | CheckState::Ill, true) => {
                Some(Progress { is_good: true, count: self.streak, of: self.needed_to_rise() })
            }
            (CheckState::Unknown | CheckState::Well, false) => {
                Some(Progress { is_good: false, count: self.streak, of: self.rules.fall })
            }
            _ => None,
        }
    }

    /// Takes one result. Says whether the state is another one now.
    pub fn observe(&mut self, is_good: bool) -> bool {
        self.results += 1;
        let memory = REMEMBERED * u64::from(self.rules.rise + self.rules.fall);
        let oldest = self.results.saturating_sub(memory);
        self.falls.retain(|&fall| fall > oldest);
        self.streak = if self.last == Some(is_good) { self.streak + 1 } else { 1 };
        self.last = Some(is_good);
        let next = match (self.state, is_good) {
            (CheckState::Unknown | CheckState::Ill, true) if self.streak >= self.needed_to_rise() => CheckState::Well,
            (CheckState::Unknown | CheckState::Well, false) if self.streak >= self.rules.fall => CheckState::Ill,
            _ => return false,
        };
        self.enter(next);
        true
    }

    fn enter(&mut self, state: CheckState) {
        if (self.state, state) == (CheckState::Well, CheckState::Ill) {
            self.falls.push(self.results);
        }
        (self.state, self.streak, self.last) = (state, 0, None);
        self.transitions += 1;
    }

    fn needed_to_rise(&self) -> u32 {
        let doublings = self.falls.len().saturating_sub(ORDINARY_FALLS).min(MAX_DOUBLINGS);
        self.rules.rise.saturating_mul(1 << doublings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(rise: u32, fall: u32, initially_well: bool) -> Health {
        Health::new(Rules { rise, fall, initially_well })
    }

    /// Each result as a character: `+` good, `-` bad. Gives the states after each: `?`, `W`, `I`.
    fn states(health: &mut Health, results: &str) -> String {
        let letter = |state| match state {
            CheckState::Unknown => '?',
            CheckState::Well => 'W',
            CheckState::Ill => 'I',
        };
        let mut after = |result| {
            let before = health.state();
            assert_eq!(health.observe(result == '+'), before != health.state(), "a change is told");
            letter(health.state())
        };
        results.chars().map(&mut after).collect()
    }

    #[test]
    fn it_rises_and_falls_after_as_many_results_in_a_row_as_the_rules_say() {
        assert_eq!(states(&mut health(2, 3, false), "++--+---++"), "?WWWWWWIIW");
        assert_eq!(states(&mut health(2, 3, false), "+-+--+++"), "??????WW");
        assert_eq!(states(&mut health(2, 3, false), "---++"), "??IIW");
        assert_eq!(states(&mut health(1, 1, false), "+-+-"), "WIWI");
        assert_eq!(states(&mut health(2, 2, true), "+-+--++"), "WWWWIIW");
    }

    #[test]
    fn what_is_missing_to_another_state_is_known() {
        let mut one = health(2, 3, false);
        let mut after = |results: &str| {
            states(&mut one, results);
            one.progress().map(|progress| progress.to_string())
        };
        assert_eq!(after("+").as_deref(), Some("1 of 2 successes"));
        assert_eq!(after("+"), None);
        assert_eq!(after("-").as_deref(), Some("1 of 3 failures"));
        assert_eq!(after("-").as_deref(), Some("2 of 3 failures"));
        assert_eq!(after("+"), None);
        assert_eq!(after("---"), None, "unhealthy, and its last result says why");
        assert_eq!(after("+").as_deref(), Some("1 of 2 successes"));
    }

    #[test]
    fn results_from_before_a_change_do_not_count_after_it() {
        assert_eq!(states(&mut health(2, 2, false), "++--"), "?WWI");
        let mut once = health(1, 2, true);
        assert_eq!(states(&mut once, "--+-"), "WIWW", "one bad result after rising is not two");
    }

    #[test]
    fn every_fourth_result_bad_is_no_flap_where_two_make_a_fall() {
        let mut one = health(2, 2, false);
        states(&mut one, "++");
        assert!(states(&mut one, &"+++-".repeat(100)).chars().all(|state| state == 'W'));
        assert_eq!(one.transitions(), 1);
        assert!(!one.is_flapping());
    }

    #[test]
    fn what_flaps_needs_more_and_more_to_rise_and_is_forgiven_after_a_quiet_while() {
        let mut one = health(1, 1, false);
        let mut needed = Vec::new();
        states(&mut one, "+");
        for _ in 0..7 {
            states(&mut one, "-");
            let mut count = 0;
            while one.state() == CheckState::Ill {
                states(&mut one, "+");
                count += 1;
            }
            needed.push(count);
        }
        assert_eq!(needed[..5], [1, 1, 2, 4, 8], "{needed:?}");
        assert!(needed.iter().all(|&count| count <= 16), "{needed:?}");
        assert!(one.is_flapping());
        states(&mut one, &"+".repeat(40));
        assert!(!one.is_flapping());
        assert_eq!(states(&mut one, "-+"), "IW");
    }
}
