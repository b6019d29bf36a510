//! Limits of what a mirror asks for at once, and of what it waits for.

use std::time::Duration;

use crate::backoff::Backoff;

/// Limits of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorLimits {
    /// Paths in one request. Servers refuse requests above 1 MiB (jute.maxbuffer).
    pub batch_paths: usize,
    /// Bytes of paths in one request.
    pub batch_bytes: usize,
    /// Requests outstanding.
    pub in_flight: usize,
    /// Time that changes which can be shown wait for others that are being read, to be shown together.
    pub hold: Duration,
    /// Time for which a group may go on changing until everything in it that moves is read at once.
    pub unsettled: Duration,
    /// Time without any progress until the session is given up.
    pub patience: Duration,
    /// Time without traffic until the connection is probed.
    pub probe: Duration,
    /// Time without a connection until the session is given up: a new one costs no more than to go on with the old
    /// one, and whoever connects anew tries more often than the client library does within a session.
    pub suspension: Duration,
    /// Time for which an ensemble that is older than what was seen of it is not believed.
    pub hold_old: Duration,
    /// Znodes that are mirrored, at most.
    pub znodes: usize,
    /// Time between two readings of what is missing or refused: neither a changed ACL nor a znode that may not be read
    /// raises an event.
    pub recheck: Duration,
}

impl MirrorLimits {
    /// Limits for a session with this time-out.
    pub fn for_session(timeout: Duration) -> Self {
        Self {
            batch_paths: 500,
            batch_bytes: 256 << 10,
            in_flight: 8,
            hold: Duration::from_millis(10),
            unsettled: Duration::from_millis(50),
            patience: timeout * 2,
            probe: timeout / 3,
            suspension: Duration::from_secs(1),
            hold_old: Duration::from_secs(300),
            znodes: 2_000_000,
            recheck: Duration::from_secs(5),
        }
    }
}

/// The delays between connects: they grow to a second and a half and no further, as every name must be right soon after
/// an ensemble has come back, however long it was away. An attempt costs servers that are down nothing, and of many
/// front-ends each waits for half of that at least and lets chance decide on the rest.
pub fn delays() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_millis(1500), Duration::from_secs(30))
}
