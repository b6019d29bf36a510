//! Abilities of servers, known by what each of them answered, and not by its version.
//!
//! Some servers answer a request that they do not know with an error and close the connection (ZooKeeper before 3.6),
//! some only close it (zetcd, `ClickHouse` Keeper). A server is asked once, and its answer holds for a while: a server
//! at the same address may be upgraded, and a connection that broke by chance at that moment looks like an answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which an answer holds.
const HOLDS: Duration = Duration::from_secs(3600);
/// Time for which a closed connection holds as an answer.
const HANGUP_HOLDS: Duration = Duration::from_secs(900);

/// Something that not every server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ability {
    /// Many reads in one request (multiRead).
    Batches,
    /// Persistent recursive watches (addWatch).
    Watches,
    /// Creates with a stat in a batch of writes (create2 in multi).
    BatchedCreates,
}

/// Abilities of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) batches: bool,
    pub(super) watches: bool,
}

impl Abilities {
    /// Returns whether it can do what ZooKeeper 3.6 can.
    pub(super) fn is_complete(self) -> bool {
        self.batches && self.watches
    }
}

#[derive(Debug, Clone, Copy)]
struct AbilityAnswer {
    can: bool,
    until: Instant,
}

/// Known abilities of an ensemble's servers.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownAbilities(Arc<Mutex<HashMap<(SocketAddr, Ability), AbilityAnswer>>>);

impl KnownAbilities {
    /// Returns whether the server at `address` can do that, if it is known.
    pub(super) fn get(&self, now: Instant, address: SocketAddr, ability: Ability) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(address, ability)).filter(|answer| now < answer.until).map(|answer| answer.can)
    }

    /// The server answered.
    pub(super) fn answered(&self, now: Instant, address: SocketAddr, ability: Ability, can: bool) {
        self.put(address, ability, AbilityAnswer { can, until: now + HOLDS });
    }

    /// The server closed the connection on the question.
    pub(super) fn hung_up(&self, now: Instant, address: SocketAddr, ability: Ability) {
        self.put(address, ability, AbilityAnswer { can: false, until: now + HANGUP_HOLDS });
    }

    fn put(&self, address: SocketAddr, ability: Ability, answer: AbilityAnswer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((address, ability), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_while_and_for_one_server() {
        let (known, now) = (KnownAbilities::default(), Instant::now());
        let (one, other) = (SocketAddr::from(([10, 0, 0, 1], 2181)), SocketAddr::from(([10, 0, 0, 2], 2181)));
        known.hung_up(now, one, Ability::Batches);
        known.answered(now, one, Ability::Watches, true);
        assert_eq!(known.get(now, one, Ability::Batches), Some(false));
        assert_eq!(known.get(now, other, Ability::Batches), None);
        assert_eq!(known.get(now + HANGUP_HOLDS, one, Ability::Batches), None);
        assert_eq!(known.get(now + HANGUP_HOLDS, one, Ability::Watches), Some(true));
        assert_eq!(known.get(now + HOLDS, one, Ability::Watches), None);
    }
}
