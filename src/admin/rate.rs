//! Queries a second, over the last ten seconds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dns::serve::metrics::Metrics;

/// Time between two looks at the counters.
const POLL: Duration = Duration::from_secs(1);
/// Looks that are kept.
const KEPT: usize = 10;

/// The rate of one DNS server. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    metrics: Arc<Metrics>,
    /// Times of looks, and what had been answered by then; the oldest first.
    looks: Arc<Mutex<VecDeque<(Instant, u64)>>>,
}

impl Rate {
    /// The rate of what `metrics` count.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let first = (Instant::now(), metrics.answered());
        Self { metrics, looks: Arc::new(Mutex::new([first].into())) }
    }

    /// Looks at the counters, for ever.
    pub(super) async fn follow(self) {
        loop {
            tokio::time::sleep(POLL).await;
            self.look(Instant::now(), self.metrics.answered());
        }
    }

    fn look(&self, now: Instant, answered: u64) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() == KEPT {
            looks.pop_front();
        }
        looks.push_back((now, answered));
    }

    /// Answers a second since the oldest look.
    pub(super) fn now(&self) -> f64 {
        self.between(Instant::now(), self.metrics.answered())
    }

    fn between(&self, now: Instant, answered: u64) -> f64 {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(&(at, before)) = looks.front() else { return 0.0 };
        // Right after the start a moment is no measure.
        let seconds = now.saturating_duration_since(at).max(POLL).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let answered = answered.saturating_sub(before) as f64;
        answered / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_looks() {
        let rate = Rate::new(Arc::default());
        let begun = rate.looks.lock().unwrap()[0].0;
        let at = |seconds| begun + Duration::from_secs(seconds);
        let is = |rate: f64, expected: f64| (rate - expected).abs() < 1e-9;
        assert!(is(rate.between(begun, 5), 5.0), "over a second at least");
        for second in 1..=20 {
            rate.look(at(second), second * 100);
        }
        assert!(is(rate.between(at(20), 2_000), 100.0));
        assert!(is(rate.between(at(31), 2_000), 45.0), "{}", rate.between(at(31), 2_000));
        assert_eq!(rate.looks.lock().unwrap().len(), KEPT);
    }
}
