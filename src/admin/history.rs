//! The last hour in samples, for the charts of the page: outcomes of queries, and instances in DNS.
//!
//! It is taken on the thread of the admin server, from counters that are there anyway.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sources::Sources;

/// Time that the samples span.
pub(super) const SPAN: Duration = Duration::from_secs(3_600);
/// Time between two samples.
const STEP: Duration = Duration::from_secs(10);
/// Samples that are kept: those of the span, and the one at its beginning.
const KEPT: usize = 361;

/// Groups of outcomes, in the order of [`Sample::queries`]: what was found first, failures last.
pub(super) const OUTCOMES: [&str; 5] = ["answered", "NODATA", "NXDOMAIN", "REFUSED", "failed"];

/// The samples. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Arc<Mutex<VecDeque<Sample>>>);

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// Queries answered since the start, by [`OUTCOMES`].
    pub(super) queries: [u64; OUTCOMES.len()],
    /// Instances in DNS, of all registries.
    pub(super) serving: u64,
    /// Instances that are not in DNS.
    pub(super) out: u64,
}

impl Sample {
    /// Takes what `sources` say at `at`.
    pub(super) fn take(sources: &Sources, at: Instant) -> Self {
        let mut sample = Self { at, queries: [0; OUTCOMES.len()], serving: 0, out: 0 };
        for (outcome, count) in sources.dns.iter().flat_map(|dns| dns.outcomes()) {
            sample.queries[group(outcome)] += count;
        }
        for census in sources.registries.iter().filter_map(|source| source.reader.census()) {
            sample.serving += census.serving;
            sample.out += census.out;
        }
        sample
    }
}

/// Place in [`OUTCOMES`] of an outcome as the metrics have it.
fn group(outcome: &str) -> usize {
    match outcome {
        "NOERROR" => 0,
        "NODATA" => 1,
        "NXDOMAIN" => 2,
        "REFUSED" => 3,
        _ => 4,
    }
}

impl History {
    /// Samples `sources`, for ever.
    pub(super) async fn follow(self, sources: Sources) {
        loop {
            self.add(Sample::take(&sources, Instant::now()));
            tokio::time::sleep(STEP).await;
        }
    }

    fn add(&self, sample: Sample) {
        let mut kept = self.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// The samples of the last hour, the oldest first, and `now` behind them unless the last one is nearly as new.
    pub(super) fn until(&self, now: Sample) -> Vec<Sample> {
        let is_of_span = |one: &&Sample| now.at.saturating_duration_since(one.at) <= SPAN + STEP;
        let mut samples: Vec<Sample> = self.lock().iter().filter(is_of_span).copied().collect();
        if samples.last().is_none_or(|last| now.at.saturating_duration_since(last.at) >= STEP / 5) {
            samples.push(now);
        }
        samples
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_is_kept_and_the_present_is_its_end() {
        let (history, begun) = (History::default(), Instant::now());
        let sample = |seconds| Sample {
            at: begun + Duration::from_secs(seconds),
            queries: [seconds, 0, 0, 0, 0],
            serving: 1,
            out: 0,
        };
        assert_eq!(history.until(sample(0)), [sample(0)]);
        (0..1_000).for_each(|number| history.add(sample(number * 10)));
        let samples = history.until(sample(9_995));
        assert_eq!((samples.len(), samples[0].at), (KEPT + 1, sample(6_390).at));
        assert_eq!(samples.last(), Some(&sample(9_995)));
        assert_eq!(history.until(sample(9_991)).last(), Some(&sample(9_990)), "it is as good as now");
        assert_eq!(history.until(sample(13_000)).len(), 62, "what is older is not of the hour");
    }

    #[test]
    fn every_outcome_has_its_group() {
        for (outcome, expected) in
            [("NOERROR", "answered"), ("NODATA", "NODATA"), ("NXDOMAIN", "NXDOMAIN"), ("REFUSED", "REFUSED")]
        {
            assert_eq!(OUTCOMES[group(outcome)], expected);
        }
        for outcome in ["SERVFAIL", "FORMERR", "NOTIMP", "BADVERS"] {
            assert_eq!(OUTCOMES[group(outcome)], "failed");
        }
    }
}
