//! How many services and instances of a registry are shown, kept as they are published, so that asking costs nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Census(Arc<Mutex<CensusState>>);

/// One moment of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CensusReport {
    /// Services.
    pub services: usize,
    /// Instances that are served.
    pub serving: u64,
    /// Instances that are not: drained, down or lost.
    pub out: u64,
    /// When an answer was changed by the registry last; none before any was.
    pub changed_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct CensusState {
    hasher: RandomState,
    /// Instances of each service, served and not, by the hash of its path.
    services: HashMap<u64, (u32, u32)>,
    report: CensusReport,
}

impl Census {
    /// How it stands.
    pub fn report(&self) -> CensusReport {
        let state = self.lock();
        CensusReport { services: state.services.len(), ..state.report }
    }

    /// Instances of a service, served and not; none of a service that is not shown.
    pub fn of(&self, service: &str) -> Option<(u32, u32)> {
        let state = self.lock();
        state.services.get(&state.hasher.hash_one(service)).copied()
    }

    /// Takes that a service has so many instances that are served and that are not; none where there is no such
    /// service. Returns how many were served before, and are now.
    pub(super) fn count(&self, service: &str, instances: Option<(u32, u32)>) -> (u32, u32) {
        let mut state = self.lock();
        let key = state.hasher.hash_one(service);
        let before = match instances {
            Some(instances) => state.services.insert(key, instances),
            None => state.services.remove(&key),
        };
        let ((serving, out), (now_serving, now_out)) = (before.unwrap_or_default(), instances.unwrap_or_default());
        let moved = |count: u64, before: u32, now: u32| (count + u64::from(now)).saturating_sub(u64::from(before));
        state.report.serving = moved(state.report.serving, serving, now_serving);
        state.report.out = moved(state.report.out, out, now_out);
        (serving, now_serving)
    }

    /// Takes that answers were changed.
    pub(super) fn changed(&self, now: Instant) {
        self.lock().report.changed_at = Some(now);
    }

    fn lock(&self) -> MutexGuard<'_, CensusState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_counted_as_they_were_last() {
        let census = Census::default();
        for (service, instances, expected) in [
            ("a", Some((3, 0)), (1, 3, 0)),
            ("b", Some((0, 0)), (2, 3, 0)),
            ("a", Some((1, 2)), (2, 1, 2)),
            ("c", None, (2, 1, 2)),
            ("a", None, (1, 0, 0)),
            ("b", Some((5, 1)), (1, 5, 1)),
        ] {
            census.count(service, instances);
            let CensusReport { services, serving, out, .. } = census.report();
            assert_eq!((services, serving, out), expected, "{service}");
            assert_eq!(census.of(service), instances);
        }
        assert_eq!(census.of("b"), Some((5, 1)));
    }
}
