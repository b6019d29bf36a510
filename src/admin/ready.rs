//! Readiness: a latch that closes when every registry was read completely once, and never opens again.
//!
//! A process that serves the last known answers while ZooKeeper is away is of more use than one that a load balancer has
//! taken out; all of them would be taken out at once. How old the answers are is in the metrics and the status.

use std::sync::atomic::{AtomicBool, Ordering};

use super::json::rounded;
use super::snapshot::{Registry, Snapshot};

/// Whether the process has been ready.
#[derive(Debug, Default)]
pub(super) struct Latch(AtomicBool);

impl Latch {
    /// Whether it is ready as of `snapshot`, or was before.
    pub(super) fn is_closed(&self, snapshot: &Snapshot) -> bool {
        if snapshot.registries.iter().all(|registry| registry.synced) {
            self.0.store(true, Ordering::Relaxed);
        }
        self.0.load(Ordering::Relaxed)
    }
}

/// A line for each registry that is waited for.
pub(super) fn waiting(snapshot: &Snapshot) -> String {
    snapshot.registries.iter().filter(|registry| !registry.synced).map(line).collect()
}

fn line(Registry { name, report, in_phase, .. }: &Registry) -> String {
    let (phase, ensemble, since) = (report.phase.as_str(), &report.ensemble, rounded(*in_phase));
    match &report.trouble {
        Some(trouble) => format!("{name}: not read yet; {phase} for {since} s ({ensemble}: {trouble})\n"),
        None => format!("{name}: not read yet; {phase} for {since} s ({ensemble})\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::sample;

    #[test]
    fn without_registries_there_is_nothing_to_wait_for() {
        let mut snapshot = sample();
        snapshot.registries.clear();
        assert!(Latch::default().is_closed(&snapshot));
    }

    #[test]
    fn every_registry_is_waited_for_and_none_twice() {
        let (latch, mut snapshot) = (Latch::default(), sample());
        assert!(!latch.is_closed(&snapshot));
        assert_eq!(
            waiting(&snapshot),
            "far: not read yet; offline for 1.5 s (zk9:2181: no server of the ensemble answered in time)\n"
        );
        snapshot.registries[1].synced = true;
        assert!(latch.is_closed(&snapshot));
        assert_eq!(waiting(&snapshot), "");
        snapshot.registries[1].synced = false;
        assert!(latch.is_closed(&snapshot), "it fell open again");
    }
}
