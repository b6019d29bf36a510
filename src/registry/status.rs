//! Report of a registry's reader about itself: its phase, its counters, its trouble.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Cause, cache};

/// Phase of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No session.
    Offline,
    /// A session without a connection.
    Suspended,
    /// The watch is being armed.
    Arming,
    /// The server is catching up.
    Syncing,
    /// The tree is being read.
    Scanning,
    /// It was read, and is older than what was seen before: the last view is kept for a while.
    Holding,
    /// The mirror follows every change.
    Live,
}

impl Phase {
    /// All of them, in the order they are gone through.
    pub const ALL: [Self; 7] =
        [Self::Offline, Self::Suspended, Self::Arming, Self::Syncing, Self::Scanning, Self::Holding, Self::Live];

    /// The phase's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Suspended => "suspended",
            Self::Arming => "arming",
            Self::Syncing => "syncing",
            Self::Scanning => "scanning",
            Self::Holding => "holding",
            Self::Live => "live",
        }
    }
}

/// Counters of the mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions opened.
    pub sessions: u64,
    /// Connects that failed.
    pub failed_connects: u64,
    /// Epochs begun.
    pub epochs: u64,
    /// Epochs that became live.
    pub syncs: u64,
    /// Watch events about znodes.
    pub events: u64,
    /// Znodes and child lists read.
    pub reads: u64,
    /// Groups that were read once more, as they had changed too much meanwhile.
    pub torn: u64,
    /// Times that the ensemble was found to be older than what was seen of it.
    pub went_back: u64,
    /// Znodes that had changed without an event, although there is one for such a change.
    pub missed: u64,
    /// Znodes that the session may read and could not, or the other way round.
    pub rights: u64,
}

/// Report of the driver about itself.
#[derive(Debug, Clone)]
pub struct MirrorReport {
    /// The ensemble's connect string.
    pub ensemble: String,
    /// Phase of the mirror.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
    /// Id of the session, while there is one.
    pub session: Option<i64>,
    /// Time at which the view was last known to be exact.
    pub fresh_at: Option<Instant>,
    /// Its counters.
    pub counters: Counters,
    /// Znodes mirrored.
    pub znodes: usize,
    /// Bytes of znode data mirrored.
    pub bytes: usize,
    /// Number of connects that failed, by cause, in the order of [`Cause::ALL`].
    pub causes: [u64; Cause::ALL.len()],
    /// The trouble: what keeps the mirror from being live, what cannot be read.
    pub trouble: Option<String>,
    /// True if that is no more than a root which is gone after it was there: its services are known and empty, as where
    /// the last of them has left container nodes.
    pub is_only_gone: bool,
    /// Report about saving the cache file, where there is one.
    pub cache: Option<cache::CacheReport>,
}

/// The driver's report, for whoever asks.
#[derive(Debug, Clone)]
pub struct MirrorStatus(Arc<Mutex<MirrorReport>>);

impl MirrorStatus {
    /// A status whose report is `report` until it is edited.
    pub fn new(report: MirrorReport) -> Self {
        Self(Arc::new(Mutex::new(report)))
    }

    /// Locks the report, to be edited.
    pub fn edit(&self) -> MutexGuard<'_, MirrorReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As of now.
    pub fn report(&self) -> MirrorReport {
        self.edit().clone()
    }
}
