//! When a UDP thread waits a moment after it has answered, so that more queries come at a time: as a network card does
//! that moderates its interrupts, and for the same reason. Waking up for a query costs several times what answering it
//! costs; where queries come fast enough that one would be there anyhow, a pause lets one waking serve several.
//!
//! The pause comes after the answers, never before, and only at rates at which it is worth it: a query that comes alone
//! is answered at once, and a thread that is busy gathers enough without. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How many queries a pause is to bring.
const ENOUGH: usize = 8;

/// Of so many in one batch more were waiting than a pause brings: there is enough to do without. It must be more than
/// [`ENOUGH`], or every other pause would be followed by none, and by two wakings for what could be had for one.
const BUSY: usize = 2 * ENOUGH;

/// What a pause must be expected to bring, in eighths of a query.
const WORTH: u64 = 12;

/// How far back the rate is looked at: so many batches.
const MEMORY: u64 = 16;

/// A thread that had nothing to do for longer was idle; how much longer does not matter.
const IDLE: Duration = Duration::from_millis(10);

/// The recent rate of queries of one thread.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long a pause is at most.
    gather: Duration,
    /// When the last batch was answered.
    last: Instant,
    /// Queries, and the nanoseconds in which they came; sums that forget.
    queries: u64,
    nanoseconds: u64,
}

impl Pace {
    /// A thread that begins at `now`, and pauses for `gather`; zero is never.
    pub(super) fn new(gather: Duration, now: Instant) -> Self {
        Self { gather, last: now, queries: 0, nanoseconds: nanoseconds(IDLE) * MEMORY }
    }

    /// Whether there is anything to decide: at full load the clock need not be read.
    pub(super) fn is_of_interest(&self, received: usize) -> bool {
        received < BUSY && !self.gather.is_zero()
    }

    /// How long to pause, at `now`, when `received` queries have been answered: until enough are expected, and no longer.
    pub(super) fn after(&mut self, received: usize, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.last).min(IDLE);
        self.last = now;
        // Scaled, so that the division loses nothing.
        self.queries = self.queries - self.queries / MEMORY + received as u64 * 1024;
        self.nanoseconds = self.nanoseconds - self.nanoseconds / MEMORY + nanoseconds(elapsed);
        let expected = self.queries.saturating_mul(8) / 1024 * nanoseconds(self.gather) / self.nanoseconds.max(1);
        let enough = 8 * u64::try_from(ENOUGH).unwrap_or(u64::MAX);
        match expected {
            0..WORTH => None,
            _ if expected <= enough => Some(self.gather),
            _ => Some(Duration::from_nanos(nanoseconds(self.gather).saturating_mul(enough) / expected)),
        }
    }
}

/// In 64 bits, which last for centuries.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_micros(100);

    /// Whether there is a pause after the last of `batches` of `received` queries, one every `apart`.
    fn pauses(received: usize, apart: Duration, batches: u32) -> bool {
        let begun = Instant::now();
        let mut pace = Pace::new(GATHER, begun);
        (1..=batches).map(|i| pace.after(received, begun + apart * i)).last().flatten().is_some()
    }

    #[test]
    fn single_queries_are_never_waited_for() {
        assert!(!pauses(1, Duration::from_millis(1), 1000), "a thousand a second");
        assert!(!pauses(1, Duration::from_micros(100), 1000), "ten thousand");
        assert!(!pauses(1, Duration::from_secs(3600), 1000));
    }

    #[test]
    fn twenty_thousand_a_second_are_gathered_however_they_come() {
        assert!(pauses(1, Duration::from_micros(50), 1000));
        assert!(pauses(3, Duration::from_micros(150), 1000));
        assert!(pauses(7, Duration::from_micros(350), 1000));
    }

    /// Every other pause used to bring enough for none to follow, and then the next query was waited for.
    #[test]
    fn what_a_pause_brings_is_followed_by_a_pause() {
        let begun = Instant::now();
        let (mut pace, mut now, mut answered, mut sleeps) = (Pace::new(Duration::from_micros(500), begun), begun, 0, 0);
        let came = |answered: u32| begun + Duration::from_micros(50) * answered;
        while answered < 10_000 {
            if came(answered) > now {
                (now, sleeps) = (came(answered), sleeps + 1);
            }
            let received = (answered..answered + 64).take_while(|i| came(*i) <= now).count();
            answered += u32::try_from(received).unwrap();
            if pace.is_of_interest(received)
                && let Some(pause) = pace.after(received, now)
            {
                (now, sleeps) = (now + pause, sleeps + 1);
            }
        }
        assert!((1200..1300).contains(&sleeps), "eight at a time: {sleeps}");
    }

    #[test]
    fn a_pause_ends_when_enough_are_expected() {
        let pause = |gather: u64, apart: u64| {
            let (begun, gather) = (Instant::now(), Duration::from_micros(gather));
            let mut pace = Pace::new(gather, begun);
            (1..=1000).map(|i| pace.after(1, begun + Duration::from_micros(apart) * i)).last().flatten()
        };
        assert_eq!(pause(100, 50), Some(Duration::from_micros(100)), "two of the eight");
        let long = pause(1000, 50).unwrap();
        assert!((390..=410).contains(&long.as_micros()), "eight, 50 µs apart: {long:?}");
    }

    #[test]
    fn a_quiet_moment_ends_it_and_a_burst_must_last_to_begin_it() {
        assert!(!pauses(1, Duration::from_micros(20), 8), "a burst of eight");
        let begun = Instant::now();
        let mut pace = Pace::new(GATHER, begun);
        let mut now = begun;
        for _ in 0..1000 {
            now += Duration::from_micros(50);
            pace.after(1, now);
        }
        now += Duration::from_millis(20);
        assert_eq!(pace.after(1, now), None);
    }

    #[test]
    fn zero_switches_it_off_and_large_batches_are_left_alone() {
        let mut pace = Pace::new(Duration::ZERO, Instant::now());
        assert!(!pace.is_of_interest(1));
        assert_eq!(pace.after(1, Instant::now()), None);
        let pace = Pace::new(GATHER, Instant::now());
        assert!(pace.is_of_interest(1) && !pace.is_of_interest(BUSY));
    }
}
