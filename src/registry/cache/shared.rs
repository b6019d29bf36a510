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
    /// Told when there may be something to save.
    pub(super) moved: Condvar,
    /// Told when a save has ended.
    pub(super) ended: Condvar,
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

    /// Waits until there may be something to save; where there is already, for at most `rest`.
    pub(super) fn wait<'s>(
        &self,
        state: MutexGuard<'s, SaveState>,
        rest: Option<Duration>,
    ) -> MutexGuard<'s, SaveState> {
        match rest {
            Some(rest) => self.moved.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
            None => self.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Waits until a save has ended, for at most `time`.
    pub(super) fn wait_for_end<'s>(
        &self,
        state: MutexGuard<'s, SaveState>,
        time: Duration,
    ) -> MutexGuard<'s, SaveState> {
        self.ended.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl SaveState {
    /// Returns whether the last file is so old that an unchanged one is saved again, after `refresh`.
    pub(super) fn is_aged(&self, refresh: Duration) -> bool {
        let times = self.report.saved_at.zip(self.proven);
        times.is_some_and(|(saved, proven)| proven.duration_since(saved).is_ok_and(|age| age >= refresh))
    }
}
