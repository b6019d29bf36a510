//! Times between a query's arrival at this process and its response's handing over to the system, in a histogram.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(2_500),
];

/// Times of one thread.
#[derive(Debug)]
pub(super) struct Latency {
    /// Times in each bucket, and longer ones.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), nanoseconds: AtomicU64::new(0) }
    }
}

impl Latency {
    /// Counts `queries` that took `time`.
    pub(super) fn observe(&self, time: Duration, queries: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < time);
        self.counts[bucket].fetch_add(queries, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(queries);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// Sum of the times of several threads.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct LatencySum {
    counts: [u64; BOUNDS.len() + 1],
    nanoseconds: u64,
}

impl LatencySum {
    /// Adds a thread's.
    pub(super) fn add(&mut self, latency: &Latency) {
        for (sum, count) in self.counts.iter_mut().zip(&latency.counts) {
            *sum += count.load(Ordering::Relaxed);
        }
        self.nanoseconds += latency.nanoseconds.load(Ordering::Relaxed);
    }

    /// Sum of the times, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds).as_secs_f64()
    }

    /// Number of times.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound of each bucket in seconds, infinite for the last, and the number of times in it alone.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        latency.observe(Duration::from_micros(10), 3);
        latency.observe(Duration::from_nanos(10_001), 1);
        latency.observe(Duration::from_secs(9), 2);
        let mut sum = LatencySum::default();
        sum.add(&latency);
        sum.add(&latency);
        let buckets = sum.buckets();
        assert_eq!((buckets[0].1, buckets[1].1, buckets[BOUNDS.len()].1), (6, 2, 4));
        assert_eq!(sum.count(), 12);
        assert!((sum.seconds() - 36.000_08).abs() < 0.001, "{}", sum.seconds());
    }
}
