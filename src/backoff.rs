//! Growing, jittered delays between attempts that fail.
//!
//! A first try that works must not forget a storm: the delay starts over only after things have been well for a while
//! ([`Backoff::succeeded`] at the start of that while, [`Backoff::failed`] at its end decides). Pure: the caller brings
//! the time and the randomness.

use std::time::{Duration, Instant};

/// Delays that double from `first` up to `most`, with half of each left to chance, so that many front-ends that lost
/// the same ensemble do not come back at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    stable: Duration,
    failures: u32,
    well_since: Option<Instant>,
}

impl Backoff {
    /// Delays from `first` to `most`; `stable` is how long things must have been well for the next failure to count as
    /// the first again.
    pub fn new(first: Duration, most: Duration, stable: Duration) -> Self {
        Self { first, most, stable, failures: 0, well_since: None }
    }

    /// Things are well from `now` on.
    pub fn succeeded(&mut self, now: Instant) {
        self.well_since.get_or_insert(now);
    }

    /// An attempt failed, or a good while ended, at `now`. Gives the delay before the next attempt: between half and
    /// the whole of the current step, by `chance` in 0..=1.
    pub fn failed(&mut self, now: Instant, chance: f64) -> Duration {
        if let Some(since) = self.well_since.take()
            && now.duration_since(since) >= self.stable
        {
            self.failures = 0;
        }
        let step = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// How many attempts have failed since the last good while.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Bounds how often something may happen that costs time and that others cause: a burst is free, then it waits.
#[derive(Debug)]
pub struct Throttle {
    window: Duration,
    free: u32,
    begun: Option<Instant>,
    count: u32,
}

impl Throttle {
    /// At most `free` in each `window`.
    pub fn new(window: Duration, free: u32) -> Self {
        Self { window, free, begun: None, count: 0 }
    }

    /// It happens at `now`. Returns the pause that is due after it.
    pub fn record(&mut self, now: Instant) -> Duration {
        let begun = match self.begun {
            Some(begun) if now.saturating_duration_since(begun) < self.window => begun,
            _ => {
                self.count = 0;
                *self.begun.insert(now)
            }
        };
        self.count += 1;
        if self.count < self.free {
            return Duration::ZERO;
        }
        (begun + self.window).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_millis(100), Duration::from_secs(15), Duration::from_secs(30))
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let (mut backoff, now) = (backoff(), Instant::now());
        let delays: Vec<_> = (0..10).map(|_| backoff.failed(now, 1.0)).collect();
        assert_eq!(delays[..3], [100, 200, 400].map(Duration::from_millis));
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(delays[9], Duration::from_secs(15));
    }

    #[test]
    fn a_short_success_does_not_start_over_and_a_long_one_does() {
        let (mut backoff, now) = (backoff(), Instant::now());
        for _ in 0..5 {
            backoff.failed(now, 1.0);
        }
        backoff.succeeded(now);
        assert_eq!(backoff.failed(now + Duration::from_secs(1), 1.0), Duration::from_millis(3200));
        backoff.succeeded(now + Duration::from_secs(2));
        assert_eq!(backoff.failed(now + Duration::from_secs(60), 1.0), Duration::from_millis(100));
    }

    #[test]
    fn chance_takes_away_at_most_half() {
        let (mut backoff, now) = (backoff(), Instant::now());
        assert_eq!(backoff.failed(now, 0.0), Duration::from_millis(50));
    }

    #[test]
    fn a_burst_is_free_and_then_the_window_is_waited_for() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut throttle = Throttle::new(Duration::from_millis(100), 3);
        let pauses = [at(0), at(1), at(2), at(60)].map(|now| throttle.record(now).as_millis());
        assert_eq!(pauses, [0, 0, 98, 40]);
        assert_eq!(throttle.record(at(100)), Duration::ZERO, "a new window");
    }
}
