//! Holds transfers and NOTIFY back while hosts of a zone were never looked up: a secondary that got SRV records without
//! the addresses would answer that there are none, and resolvers would keep that.
//!
//! Bounded by [`LONGEST`]: a resolver that is away must not keep secondaries from everything else.

use std::time::{Duration, Instant};

/// The longest time that a zone's transfers wait.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

/// The state of each target, in their order.
#[derive(Debug, Default)]
pub(super) struct Holding(pub(super) Vec<TransferHold>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TransferHold {
    /// All hosts were looked up.
    #[default]
    Free,
    /// Some were not, since then: transfers wait.
    Held(Instant),
    /// Some were not for too long: transfers go on, and wait for no other host before all were looked up.
    GaveUp,
}

impl TransferHold {
    /// Returns when it gives up.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Held(since) => Some(since + LONGEST),
            Self::Free | Self::GaveUp => None,
        }
    }

    /// The state after a look at `now`.
    pub(super) fn next(self, awaits: bool, now: Instant) -> Self {
        match self {
            _ if !awaits => Self::Free,
            Self::Free => Self::Held(now),
            Self::Held(since) if now.saturating_duration_since(since) >= LONGEST => Self::GaveUp,
            state => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_wait_for_new_hosts_but_not_for_ever_and_not_for_one_after_the_other() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let held = TransferHold::Free.next(true, at(0));
        assert_eq!(held, TransferHold::Held(at(0)));
        assert_eq!(held.next(true, at(9)), held, "another new host makes it no longer");
        assert_eq!(held.next(false, at(9)), TransferHold::Free);
        assert_eq!(held.next(true, at(10)), TransferHold::GaveUp);
        assert_eq!(TransferHold::GaveUp.next(true, at(1000)), TransferHold::GaveUp);
        assert_eq!(TransferHold::GaveUp.next(false, at(1000)), TransferHold::Free);
    }
}
