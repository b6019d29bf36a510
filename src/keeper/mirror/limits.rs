//! How much a mirror asks for at once, and how long it waits for what.

use std::time::Duration;

/// How much at once, how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Paths in one request. Servers refuse requests above 1 MiB (jute.maxbuffer).
    pub batch_paths: usize,
    /// Bytes of paths in one request.
    pub batch_bytes: usize,
    /// Requests outstanding.
    pub in_flight: usize,
    /// How long changes may be held back while reads of their neighbours are outstanding.
    pub hold: Duration,
    /// How long without any progress until the session is given up.
    pub patience: Duration,
    /// How long without traffic until the connection is probed.
    pub probe: Duration,
    /// How long without a connection until the session is given up: a new one costs no more than to go on with the old
    /// one, and whoever connects anew tries more often than the client library does within a session.
    pub suspension: Duration,
}

impl Limits {
    /// Limits for a session with this time-out.
    pub fn for_session(timeout: Duration) -> Self {
        Self {
            batch_paths: 500,
            batch_bytes: 256 << 10,
            in_flight: 8,
            hold: Duration::from_millis(50),
            patience: timeout * 2,
            probe: timeout / 3,
            suspension: Duration::from_secs(1),
        }
    }
}
