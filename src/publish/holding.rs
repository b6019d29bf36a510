//! Holds transfers and NOTIFY back while hosts of a zone were never looked up: a secondary that got SRV records without
//! the addresses would answer that there are none, and resolvers would keep that.
//!
//! Bounded by [`LONGEST`]: a resolver that is away must not keep secondaries from everything else.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Core;
use super::target::below;

/// The longest time that a zone's transfers wait.
const LONGEST: Duration = Duration::from_secs(10);

/// The state of each target, in their order.
#[derive(Debug, Default)]
pub(super) struct Holding(Vec<State>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// All hosts were looked up.
    #[default]
    Free,
    /// Some were not, since then: transfers wait.
    Held(Instant),
    /// Some were not for too long: transfers go on, and wait for no other host before all were looked up.
    GaveUp,
}

impl State {
    /// The state after a look at `now`.
    fn next(self, awaits: bool, now: Instant) -> Self {
        match self {
            _ if !awaits => Self::Free,
            Self::Free => Self::Held(now),
            Self::Held(since) if now.saturating_duration_since(since) >= LONGEST => Self::GaveUp,
            state => state,
        }
    }
}

impl Core {
    /// Holds the transfers of the zones back that have new hosts. To be called before a commit that shows these.
    pub(super) fn hold_transfers(&mut self, now: Instant) {
        self.follow_holding(now, |state| state == State::Free);
    }

    /// Lets the transfers go on of which the hosts were looked up, or have been waited for long enough. To be called
    /// after the commit that shows the addresses.
    pub(super) fn release_transfers(&mut self, now: Instant) {
        self.follow_holding(now, |state| state != State::Free);
    }

    fn follow_holding(&mut self, now: Instant, is_meant: impl Fn(State) -> bool) {
        self.holding.0.resize(self.targets.len(), State::Free);
        for (target, state) in self.targets.iter().zip(&mut self.holding.0) {
            if !is_meant(*state) {
                continue;
            }
            let awaits = self.hosts.awaits(|service| below(service, &target.under).is_some());
            let next = state.next(awaits, now);
            if next == *state {
                continue;
            }
            let before = std::mem::replace(state, next);
            let mut writer = target.lock();
            writer.source(target.source).hold_transfers(matches!(next, State::Held(_)));
            let zone = writer.zone();
            if next == State::GaveUp {
                let waited = LONGEST.as_secs();
                warn!(
                    zone = %zone.origin(), seconds = waited,
                    "hosts were not looked up in time: transfers go on without their addresses; is the resolver of this host well?"
                );
            } else if before == State::GaveUp {
                info!(zone = %zone.origin(), "all hosts were looked up: transfers go on with what was found");
            }
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
        let held = State::Free.next(true, at(0));
        assert_eq!(held, State::Held(at(0)));
        assert_eq!(held.next(true, at(9)), held, "another new host makes it no longer");
        assert_eq!(held.next(false, at(9)), State::Free);
        assert_eq!(held.next(true, at(10)), State::GaveUp);
        assert_eq!(State::GaveUp.next(true, at(1000)), State::GaveUp);
        assert_eq!(State::GaveUp.next(false, at(1000)), State::Free);
    }
}
