//! The cache file: the last known registry on disk, so that a start while ZooKeeper is away has something to say.
//!
//! [`load`] reads it at the start; [`Saver`] keeps it current from a thread of its own. What is saved is one exact
//! state: the thread reads the tree in small pieces, and what is published meanwhile is written behind them, until
//! there is a moment at which nothing is unpublished. So neither the mirror nor DNS ever waits for a disk, and a full
//! or broken one costs nothing but the file. The old file stands until the new one is on the disk in whole.
//!
//! A file is saved after the first sync, after changes at most every [`REST`] (or twenty times as long as a save
//! takes), and now and then without any change, as its time says for how long it may be served.

mod file;
mod hurry;
mod shared;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, info, warn};

use super::Path;

use super::shown::SharedTree;
use super::tree::{Entry, Tree};
use crate::disk::{self, beside};
use file::{CacheRecord, Encoder, EnsembleRecord};
pub use file::{CacheRefusal, CacheScope, Loaded};
pub use hurry::Hurry;
pub use shared::CacheReport;
use shared::{Amendments, SharedCache};

/// Least time between two saves.
const REST: Duration = Duration::from_secs(10);
/// Share of the time that saving may take: one in this many.
const SHARE: u32 = 20;
/// Znodes that are read out of the tree at once, while the mirror waits: a millisecond's work.
const CHUNK: usize = 2_000;

/// Time for which a disk may give nothing, and take nothing.
const STALL: Duration = Duration::from_secs(5);

/// Makes what the observer wants to be kept beside the znodes.
pub type Notes = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// Reads the cache file at `path`; none when there is no such file. A file that is not taken is moved aside, to the
/// same name with `.refused` behind it, so that it can be looked at and the next save replaces nothing unseen.
pub fn load(path: &FilePath, scope: &CacheScope) -> Option<Loaded> {
    let read = match disk::read_steadily(path, STALL) {
        Ok(bytes) => file::decode(&bytes, scope),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            debug!(file = %path.display(), "there is no cache file yet");
            return None;
        }
        // Nothing is moved on a disk that does not answer.
        Err(error) if disk::is_away(&error) => {
            warn!(file = %path.display(), %error, "the cache file is left out: nothing is answered from it");
            return None;
        }
        Err(error) => Err(CacheRefusal::Read(error)),
    };
    match read {
        Ok(read) => Some(read),
        Err(refusal) => {
            let aside = beside(path, ".refused");
            let moved = fs::rename(path, &aside);
            let aside = moved.map_or_else(|error| format!("nowhere: {error}"), |()| aside.display().to_string());
            let source = std::error::Error::source(&refusal).map(ToString::to_string).unwrap_or_default();
            warn!(file = %path.display(), %refusal, source, moved_to = aside, "the cache file is not taken");
            None
        }
    }
}

/// Keeps a cache file current. Dropping it saves what has changed since the last time, and ends the thread.
#[derive(Debug)]
pub struct Saver {
    shared: Arc<SharedCache>,
    refresh: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    /// Saves `tree` to `path` whenever it is due, and when there is a `hurry`; `refresh` is how long an unchanged file
    /// may stand.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn spawn(
        path: PathBuf,
        scope: CacheScope,
        tree: SharedTree,
        notes: Option<Notes>,
        refresh: Duration,
        hurry: &Hurry,
    ) -> io::Result<Self> {
        let shared = Arc::new(SharedCache {
            state: Mutex::default(),
            moved: Condvar::new(),
            ended: Condvar::new(),
            settled: AtomicBool::new(false),
        });
        hurry.of(&shared);
        let work = Work { path, scope, tree, notes, refresh, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("cache file".into()).spawn(move || work.run())?;
        Ok(Self { shared, refresh, thread: Some(thread) })
    }

    /// The tree holds something that is not published. Must be called under the lock that it was changed under.
    pub fn unsettled(&self) {
        self.shared.settled.store(false, Ordering::SeqCst);
    }

    /// `changed` was published just now; `settled` says that nothing is left to be.
    pub fn published<'p>(&self, tree: &Tree, changed: impl IntoIterator<Item = &'p Path>, settled: bool) {
        let mut state = self.shared.lock();
        let mut changed = changed.into_iter().peekable();
        state.dirty |= changed.peek().is_some() || state.proven.is_none();
        state.proven = Some(SystemTime::now());
        if let Some(amendments) = &mut state.amendments {
            amendments.extend(changed.map(|path| (path.clone(), record(tree, path, tree.get(path.as_str())))));
        }
        self.shared.settled.store(settled, Ordering::SeqCst);
        self.shared.moved.notify_one();
    }

    /// The notes are different from what they were where this number is.
    pub fn noted(&self, noted: u64) {
        let mut state = self.shared.lock();
        if std::mem::replace(&mut state.noted, noted) != noted && state.proven.is_some() {
            state.dirty = true;
            self.shared.moved.notify_one();
        }
    }

    /// The published view is exact now.
    pub fn proven(&self) {
        let mut state = self.shared.lock();
        let is_first = state.proven.replace(SystemTime::now()).is_none();
        if is_first || state.is_aged(self.refresh) {
            self.shared.moved.notify_one();
        }
    }

    /// Report about saving.
    pub fn report(&self) -> CacheReport {
        let state = self.shared.lock();
        CacheReport { behind: state.dirty || state.amendments.is_some(), ..state.report.clone() }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.moved.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the thread of the cache file panicked");
        }
    }
}

/// The work of the thread.
struct Work {
    path: PathBuf,
    scope: CacheScope,
    tree: SharedTree,
    notes: Option<Notes>,
    refresh: Duration,
    shared: Arc<SharedCache>,
}

impl Work {
    fn run(self) {
        let mut rest_until = Instant::now();
        while self.until_due(rest_until).is_continue() {
            let begun = Instant::now();
            let outcome = self.save();
            let took = begun.elapsed();
            rest_until = Instant::now() + REST.max(took * SHARE);
            let mut state = self.shared.lock();
            state.amendments = None;
            self.shared.ended.notify_all();
            match outcome {
                Ok(Some((bytes, when))) => {
                    info!(file = %self.path.display(), bytes, ?took, "cache file saved");
                    let CacheReport { saves, failures, .. } = state.report;
                    let saved = CacheReport { bytes, saved_at: Some(when), ..CacheReport::default() };
                    state.report = CacheReport { saves: saves + 1, failures, ..saved };
                }
                Ok(None) => return,
                Err(error) => {
                    state.dirty = true;
                    state.report.failures += 1;
                    if state.report.trouble.is_none() {
                        let help = disk::advice(&error);
                        warn!(file = %self.path.display(), %error, help, "cannot save the cache file; trying again");
                    }
                    state.report.trouble = Some(error.to_string());
                }
            }
            if state.stop {
                return;
            }
        }
    }

    /// Waits until a save is due, and marks it as begun; breaks when there is nothing left to do for ever.
    fn until_due(&self, rest_until: Instant) -> ControlFlow<()> {
        let mut state = self.shared.lock();
        loop {
            let due = state.dirty || (state.is_aged(self.refresh) && !state.stop);
            let rested = rest_until.saturating_duration_since(Instant::now());
            if state.stop && !due {
                return ControlFlow::Break(());
            }
            if due && (rested.is_zero() || state.stop || state.hurry) {
                (state.dirty, state.hurry) = (false, false);
                state.amendments = Some(Vec::new());
                return ControlFlow::Continue(());
            }
            state = self.shared.wait(state, due.then_some(rested));
        }
    }

    /// Saves once: how many bytes, and of when. None when the end came before the mirror was exact again.
    fn save(&self) -> io::Result<Option<(u64, SystemTime)>> {
        let temporary = beside(&self.path, ".new");
        let saved = self.write(&temporary).and_then(|written| {
            if written.is_some() {
                fs::rename(&temporary, &self.path)?;
                // The new name must be on the disk too.
                let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(directory.unwrap_or(FilePath::new(".")))?.sync_all()?;
            }
            Ok(written)
        });
        if !matches!(saved, Ok(Some(_))) {
            // Whatever there is of it is of no use; that it may not be there is no trouble.
            let _ = fs::remove_file(&temporary);
        }
        saved
    }

    fn write(&self, temporary: &FilePath) -> io::Result<Option<(u64, SystemTime)>> {
        // A FIFO of this name would be waited for.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
        let file = options.open(temporary)?;
        let mut encoder = Encoder::new(BufWriter::with_capacity(1 << 18, file), &self.scope)?;
        let mut last = None;
        loop {
            // Cloned under the lock, written without it: a disk may take its time.
            let piece: Vec<(Path, CacheRecord)> = {
                let shown = self.tree.read().unwrap_or_else(PoisonError::into_inner);
                let tree = shown.tree();
                let piece = tree.range_after(last.as_ref(), CHUNK);
                piece.map(|(path, entry)| (path.clone(), record(tree, path, Some(entry)))).collect()
            };
            for (path, record) in &piece {
                encoder.put(path, record)?;
            }
            match piece.into_iter().next_back() {
                Some((path, _)) => last = Some(path),
                None => break,
            }
        }
        let Some((amendments, when)) = self.settled() else { return Ok(None) };
        for (path, record) in amendments {
            encoder.put(&path, &record)?;
        }
        let seen = {
            let shown = self.tree.read().unwrap_or_else(PoisonError::into_inner);
            EnsembleRecord { zxid: shown.tree().zxid(), root: shown.tree().is_root_seen() }
        };
        if let Some(notes) = &self.notes {
            encoder.note(&notes())?;
        }
        let (out, bytes) = encoder.finish(when, seen)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(Some((bytes, when)))
    }

    /// Waits until everything in the tree is published, and takes what was published since the save began.
    fn settled(&self) -> Option<(Amendments, SystemTime)> {
        let mut state = self.shared.lock();
        loop {
            if self.shared.settled.load(Ordering::SeqCst)
                && let Some(when) = state.proven
            {
                state.dirty = false;
                return Some((state.amendments.take().unwrap_or_default(), when));
            }
            if state.stop {
                return None;
            }
            state = self.shared.wait(state, None);
        }
    }
}

/// Makes the record of a znode; one without an entry is a znode that went.
fn record(tree: &Tree, path: &Path, entry: Option<&Entry>) -> CacheRecord {
    // The clock of the system, as the file outlives this process.
    let last_read = tree.last_read(path.as_str()).and_then(|at| SystemTime::now().checked_sub(at.elapsed()));
    let kept = entry.and_then(|_| tree.kept(path.as_str())).map(Into::into);
    CacheRecord { entry: entry.cloned(), last_read, kept }
}

#[cfg(test)]
mod tests;
