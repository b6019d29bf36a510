//! The lines of an outage: one at its beginning, one at its end with its length, and between them as many as somebody
//! reads who comes late.

use std::time::{Duration, Instant};

use crate::registry::Error;

/// After this time an outage that lasts is told again, with its cause as of then.
const REPEAT: Duration = Duration::from_secs(600);
/// An outage whose beginning was told lasts, so that its cause is told too, after this time.
const SETTLE: Duration = Duration::from_secs(5);
/// A cause that changed is told no sooner than this after the last line.
const MIN_GAP: Duration = Duration::from_secs(60);

/// An outage of one session, as far as the log has it.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
    /// True if its beginning was told in other words.
    is_announced: bool,
    told: Option<(Instant, Error)>,
}

impl Outage {
    /// An attempt to connect failed. Whether a line is due.
    pub fn failed(&mut self, now: Instant, error: &Error) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_due = match &self.told {
            None => !self.is_announced || now.saturating_duration_since(since) >= SETTLE,
            Some((at, told)) => {
                let age = now.saturating_duration_since(*at);
                age >= REPEAT || age >= MIN_GAP && told.cause() != error.cause()
            }
        };
        if is_due {
            self.told = Some((now, error.clone()));
        }
        is_due
    }

    /// The connection is lost, and that was told: a line on a failed connect is due once the outage lasts.
    pub fn begins(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.is_announced = true;
    }

    /// It works again. The length of the outage, if there was one.
    pub fn ends(&mut self, now: Instant) -> Option<Duration> {
        (self.told, self.is_announced) = (None, false);
        self.since.take().map(|since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Cause;

    fn error(cause: Cause) -> Error {
        Error::NoServer { cause, detail: format!("zk1: {}", cause.as_str()).into() }
    }

    #[test]
    fn an_outage_of_an_hour_is_seven_lines_and_its_length() {
        let (mut outage, begun) = (Outage::default(), Instant::now());
        let told = (0..3601).filter(|s| outage.failed(begun + Duration::from_secs(*s), &error(Cause::Refused))).count();
        assert_eq!(told, 7);
        assert_eq!(outage.ends(begun + Duration::from_secs(3601)), Some(Duration::from_secs(3601)));
        assert_eq!(outage.ends(begun + Duration::from_secs(3602)), None);
    }

    #[test]
    fn a_cause_that_changes_all_the_time_is_told_once_a_minute_at_most() {
        let (mut outage, begun) = (Outage::default(), Instant::now());
        let causes = [Cause::Refused, Cause::Closed, Cause::Silent];
        let told = (0..600)
            .zip(causes.iter().cycle())
            .filter(|(s, cause)| outage.failed(begun + Duration::from_secs(*s), &error(**cause)))
            .count();
        assert!(told <= 10, "{told}");
    }
}
