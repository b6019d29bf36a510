//! State of saving, between the thread that saves and its users.

use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::file::CacheRecord;
use crate::registry::Path;

/// Report about saving.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheReport {
    /// Files saved since the start.
    pub saves: u64,
    /// Saves that failed since the start.
    pub failures: u64,
    /// Bytes of the last file.
    pub bytes: u64,
    /// Time at which the content of the last file was true.
    pub saved_at: Option<SystemTime>,
    /// True if something was published that the file does not have yet.
    pub behind: bool,
    /// Why the last save failed, until one succeeds.
    pub trouble: Option<String>,
}

/// State and signals between the thread that saves and its users.
#[derive(Debug)]
pub(super) struct SharedCache {
    pub(super) state: Mutex<SaveState>,
    pub(super) moved: Condvar,
    /// True if the tree holds nothing that was not published. Cleared under the tree's write lock.
    pub(super) settled: AtomicBool,
}

/// Changes of znodes while a save was under way.
pub(super) type Amendments = Vec<(Path, CacheRecord)>;

/// Work for the thread, and its report.
#[derive(Debug, Default)]
pub(super) struct SaveState {
    /// Records published since the save under way began; none without one.
    pub(super) amendments: Option<Amendments>,
    /// Something was published that no file has.
    pub(super) dirty: bool,
    /// Time at which the published view was last proven to be exact; none before the first.
    pub(super) proven: Option<SystemTime>,
    /// Number that [`Saver::noted`](super::Saver::noted) was given last.
    pub(super) noted: u64,
    /// Save what is due at once.
    pub(super) hurry: bool,
    pub(super) stop: bool,
    pub(super) report: CacheReport,
}

impl SharedCache {
    /// Locks the state.
    pub(super) fn lock(&self) -> MutexGuard<'_, SaveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to happen, for at most `time`.
    pub(super) fn wait<'s>(&self, state: MutexGuard<'s, SaveState>, time: Duration) -> MutexGuard<'s, SaveState> {
        self.moved.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}
