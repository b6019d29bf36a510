//! The guard against a storm of removals: holds back what would empty much of a registry at once, for a while, as that is
//! rarely what happened to the instances themselves. Pure; off unless the configuration turns it on.
//!
//! # What it does
//! It counts the instances that services lose, for as long as a window. When those lost within it, of several services, are
//! more than a share of all that there were, it *trips*: services that lose instances go on being shown as they were. One
//! that has them back is shown as it is, and so are all when the time is over. A loss of one service alone is somebody's
//! wish and never held back, nor is what comes new.
//!
//! It is asked only about what a live mirror says: losing ZooKeeper removes nothing in the first place.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::settings::{Located, Section};

/// When the guard holds back, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How many of a hundred instances may go within the window.
    pub percent: u16,
    /// How long losses are counted together.
    pub window: Duration,
    /// How long they are held back.
    pub hold: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { percent: 50, window: Duration::from_secs(10), hold: Duration::from_secs(300) }
    }
}

impl Config {
    /// Reads the table `guard` of a registry's table; none where it is not there.
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let mut section = section.section("guard")?;
        let mut config = Self::default();
        if let Some(Located { value, span }) = section.located::<u16>("percent") {
            if (1..=99).contains(&value) {
                config.percent = value;
            } else {
                section.problems().add(span, "`percent` must be from 1 to 99");
            }
        }
        config.window = section.or("window", config.window);
        config.hold = section.or("hold", config.hold);
        section.finish();
        Some(config)
    }
}

/// What the guard tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Services shown as they were, in order.
    pub held: Vec<String>,
    /// Instances that are shown although they are gone.
    pub instances: u64,
    /// When all is shown as it is; none while nothing is held back.
    pub until: Option<Instant>,
    /// How often it tripped.
    pub trips: u64,
}

/// The guard of one registry. Services are known by their path in lower case.
#[derive(Debug)]
pub(super) struct Guard {
    config: Config,
    /// Instances of each service, as shown.
    shown: HashMap<String, u32>,
    total: u64,
    /// Losses that were shown within the window.
    lost: VecDeque<(Instant, String, u32)>,
    /// What is held back: how many instances are gone of each service.
    held: BTreeMap<String, u32>,
    tripped_at: Option<Instant>,
    trips: u64,
}

impl Guard {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            shown: HashMap::new(),
            total: 0,
            lost: VecDeque::new(),
            held: BTreeMap::new(),
            tripped_at: None,
            trips: 0,
        }
    }

    /// A service is shown with so many instances.
    pub(super) fn shows(&mut self, service: &str, instances: u32) {
        let before = match instances {
            0 => self.shown.remove(service),
            _ => self.shown.insert(service.to_owned(), instances),
        };
        self.total = self.total + u64::from(instances) - u64::from(before.unwrap_or(0));
    }

    /// Decides on services that have so many instances now. Gives those that are to be shown as they are; the others are
    /// to stay as they were. Whether it tripped just now is in [`Self::report`].
    pub(super) fn judge(&mut self, now: Instant, services: Vec<(String, u32)>) -> Vec<String> {
        while self.lost.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) > self.config.window) {
            self.lost.pop_front();
        }
        let loss = |service: &str, instances| self.shown.get(service).unwrap_or(&0).saturating_sub(instances);
        let with_loss = |(service, instances): (String, u32)| {
            let loss = loss(&service, instances);
            (service, loss)
        };
        let losses: Vec<(String, u32)> = services.into_iter().map(with_loss).collect();
        if self.tripped_at.is_none() && self.is_storm(&losses) {
            self.tripped_at = Some(now);
            self.trips += 1;
        }
        let mut pass = Vec::with_capacity(losses.len());
        for (service, loss) in losses {
            if loss > 0 && self.tripped_at.is_some() {
                self.held.insert(service, loss);
                continue;
            }
            if loss > 0 {
                self.lost.push_back((now, service.clone(), loss));
            }
            self.held.remove(&service);
            pass.push(service);
        }
        if self.held.is_empty() {
            self.tripped_at = None;
        }
        pass
    }

    /// Whether these losses, with those of late, are of several services and too many.
    fn is_storm(&self, losses: &[(String, u32)]) -> bool {
        let lately = self.lost.iter().map(|(_, service, loss)| (service, *loss));
        let all =
            || lately.clone().chain(losses.iter().map(|(service, loss)| (service, *loss))).filter(|(_, n)| *n > 0);
        let (services, lost): (BTreeSet<&String>, u64) =
            all().fold((BTreeSet::new(), 0), |(mut services, lost), (service, loss)| {
                services.insert(service);
                (services, lost + u64::from(loss))
            });
        let before = self.total + self.lost.iter().map(|(.., loss)| u64::from(*loss)).sum::<u64>();
        services.len() > 1 && lost * 100 > before * u64::from(self.config.percent)
    }

    /// Whether a service stays as it was.
    pub(super) fn holds(&self, service: &str) -> bool {
        self.held.contains_key(service)
    }

    /// What was held back for long enough by now, and is to be shown as it is.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        match self.tripped_at {
            Some(at) if now.saturating_duration_since(at) >= self.config.hold => {
                self.tripped_at = None;
                self.lost.clear();
                std::mem::take(&mut self.held).into_keys().collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn report(&self) -> Report {
        Report {
            held: self.held.keys().cloned().collect(),
            instances: self.held.values().map(|loss| u64::from(*loss)).sum(),
            until: self.tripped_at.map(|at| at + self.config.hold),
            trips: self.trips,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A guard over ten services of ten instances.
    fn guard() -> (Guard, Instant) {
        let mut guard = Guard::new(Config::default());
        for service in 0..10 {
            guard.shows(&format!("s{service}"), 10);
        }
        (guard, Instant::now())
    }

    /// Judges, and shows what passes.
    fn judge(guard: &mut Guard, now: Instant, services: &[(&str, u32)]) -> Vec<String> {
        let all: Vec<(String, u32)> = services.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let passed = guard.judge(now, all.clone());
        for (service, instances) in all.iter().filter(|(service, _)| passed.contains(service)) {
            guard.shows(service, *instances);
        }
        passed
    }

    #[test]
    fn a_storm_is_held_back_and_let_through_after_a_time() {
        let (mut guard, now) = guard();
        let storm: Vec<(String, u32)> = (0..6).map(|i| (format!("s{i}"), 0)).chain([("new".to_owned(), 3)]).collect();
        assert_eq!(guard.judge(now, storm), ["new"]);
        let report = guard.report();
        assert_eq!((report.held.len(), report.instances, report.trips), (6, 60, 1));
        assert_eq!(report.until, Some(now + SECOND * 300));
        assert!(guard.holds("s0") && !guard.holds("s9"));
        assert_eq!(guard.due(now + SECOND * 299), [""; 0]);
        assert_eq!(guard.due(now + SECOND * 300).len(), 6);
        assert_eq!(guard.report(), Report { trips: 1, ..Report::default() });
    }

    #[test]
    fn losses_add_up_within_the_window_and_not_beyond_it() {
        let (mut guard, now) = guard();
        for i in 0..5 {
            assert_eq!(judge(&mut guard, now + SECOND * i, &[(&format!("s{i}"), 0)]).len(), 1, "{i}");
        }
        assert_eq!(judge(&mut guard, now + SECOND * 5, &[("s5", 0)]), [""; 0], "60 of 100 within five seconds");
        let (mut guard, now) = self::guard();
        for i in 0..10 {
            assert_eq!(judge(&mut guard, now + SECOND * 11 * i, &[(&format!("s{i}"), 0)]).len(), 1, "{i}");
        }
    }

    #[test]
    fn one_service_alone_is_never_held_back() {
        let mut guard = Guard::new(Config::default());
        guard.shows("large", 90);
        guard.shows("small", 10);
        let now = Instant::now();
        assert_eq!(judge(&mut guard, now, &[("large", 40)]), ["large"]);
        assert_eq!(judge(&mut guard, now, &[("large", 0), ("small", 11)]).len(), 2);
    }

    #[test]
    fn what_comes_back_is_shown_as_it_is_and_ends_the_alarm() {
        let (mut guard, now) = guard();
        let storm: Vec<(String, u32)> = (0..10).map(|i| (format!("s{i}"), 0)).collect();
        assert_eq!(guard.judge(now, storm).len(), 0);
        assert_eq!(judge(&mut guard, now + SECOND, &[("s0", 10), ("s1", 5)]), ["s0"]);
        assert!(guard.holds("s1"));
        for i in 1..10 {
            assert_eq!(judge(&mut guard, now + SECOND * 2, &[(&format!("s{i}"), 10)]).len(), 1);
        }
        assert_eq!(guard.report(), Report { trips: 1, ..Report::default() });
    }
}
