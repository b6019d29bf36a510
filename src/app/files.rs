//! Files that are read again while the program runs: zone files, and the seed of an in-memory registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::zone_of::lock;
use crate::disk;
use crate::disk::stall::{Stall, asking};
use crate::disk::stamp::{Stamp, stamp};
use crate::publish::{SharedWriter, unix_now};
use crate::registry::text;
use crate::zone::Freshness;
use crate::zone::file::{self, status::ZoneFileStatus};
use crate::zone::name::Name;
use crate::zone::offer::{Offer, Rank};
use crate::zone::unknown::{Scope, Unknown};
use crate::zookeeper::memory::Memory;

/// Time between two looks at a followed file. An edit shows within a second.
const POLL: Duration = Duration::from_millis(250);

/// The source of a zone that says that its file is unread. No service's path begins with a slash.
const UNREAD: &str = "/file";

/// A zone's master file, and what it includes. Cheap to clone: one is followed, another is read again at SIGHUP.
#[derive(Clone)]
pub(super) struct ZoneFile {
    path: PathBuf,
    origin: Name,
    writer: SharedWriter,
    /// True if the zone is this file and nothing else: then it is unknown until the file was read.
    is_all: bool,
    status: ZoneFileStatus,
    /// Every file that was looked for at the last reading, and how it was then.
    read: Arc<Mutex<Stamps>>,
    /// Held while it is read.
    reading: Arc<Mutex<()>>,
    /// Held by who waits for that.
    waiting: Arc<Mutex<()>>,
    /// Time for which the one that reads it has been waiting for its disk.
    stall: Stall,
}

/// Time that a disk may take for an answer before it is blamed.
const STALL: Duration = Duration::from_secs(3);

/// A reading that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoadedZoneFile {
    Taken,
    /// Somebody else who waits for the disk takes it.
    ByAnother,
}

impl ZoneFile {
    pub(super) fn new(path: PathBuf, origin: Name, writer: SharedWriter, is_all: bool) -> Self {
        let (status, read) = (ZoneFileStatus::new(&path), Arc::new(Mutex::new(Stamps::from([(path.clone(), None)]))));
        Self {
            path,
            origin,
            writer,
            is_all,
            status,
            read,
            reading: Arc::default(),
            waiting: Arc::default(),
            stall: Stall::default(),
        }
    }

    /// Its status, for those who show it.
    pub(super) fn status(&self) -> ZoneFileStatus {
        self.status.clone()
    }

    /// Reads it into its zone; on an error the zone stays as it is. Blocks as long as its disk does.
    fn load(&self) -> anyhow::Result<LoadedZoneFile> {
        self.stall.watch(|| self.load_watched())
    }

    fn load_watched(&self) -> anyhow::Result<LoadedZoneFile> {
        // Held to the end: of two readings the later one is in force.
        let _reading = {
            // On a disk that does not answer not every reload waits, each on a thread: the first reads for all of them.
            let Ok(_waiting) = self.waiting.try_lock() else { return Ok(LoadedZoneFile::ByAnother) };
            self.reading.lock().unwrap_or_else(PoisonError::into_inner)
        };
        let (before, begun) = (asking(|| look(&self.stamps())), SystemTime::now());
        let mut files = Vec::new();
        let outcome = file::read_noting(&self.path, &self.origin, &mut files);
        // A file that was known is as it was before it was read: what came since is still to be read.
        let stamp_of = |file: PathBuf| {
            let new = || stamp(&file).filter(|stamp| !stamp.is_after(begun));
            let stamp = before.get(&file).copied().unwrap_or_else(new);
            (file, stamp)
        };
        let stamps = asking(|| files.into_iter().map(stamp_of).collect());
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamps;
        let parsed = outcome.map_err(|problems| {
            self.status.refused(problems.iter().map(ToString::to_string).collect());
            listed(&problems)
        })?;
        // Cut to nothing by a full disk or an unfinished write. One that is meant to be empty has a comment.
        if parsed.records.is_empty() && asking(|| std::fs::metadata(&self.path)).is_ok_and(|file| file.len() == 0) {
            let why = format!("{}: the file is empty", self.path.display());
            self.status.refused(vec![why.clone()]);
            return Err(anyhow!(why));
        }
        for remark in &parsed.remarks {
            warn!("{remark}");
        }
        let mut writer = lock(&self.writer);
        writer.put_static(parsed.records);
        writer.put(UNREAD, Vec::new());
        writer.commit(unix_now());
        if self.is_all {
            writer.set_freshness(Freshness::Fresh);
        }
        self.status.taken(Instant::now());
        drop(writer);
        Ok(LoadedZoneFile::Taken)
    }

    /// The files that were looked for at the last reading.
    fn stamps(&self) -> Stamps {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads it for the first time. Where it cannot be read, that is logged, and names that it may have are SERVFAIL
    /// until it is mended; those of a registry are answered. A zone that is this file alone is SERVFAIL as a whole. It
    /// is waited for until `end`; a file that comes later is taken then.
    pub(super) fn load_first(&self, end: Instant) {
        let is_late = Arc::new(AtomicBool::new(false));
        let (file, after) = (self.clone(), Arc::clone(&is_late));
        let patience = left(end);
        let loaded = disk::within(patience, move || match file.load() {
            Ok(_) if after.load(Ordering::Relaxed) => info!(zone = %file.origin, "the zone file is read now"),
            Ok(_) => {}
            Err(error) => {
                let (zone, error) = (&file.origin, format!("{error:#}"));
                warn!(%zone, error, "the zone file is left out until it is mended");
                file.unknown("the zone file cannot be read");
            }
        });
        if loaded.is_err() {
            is_late.store(true, Ordering::Relaxed);
            let (zone, file) = (&self.origin, self.path.display());
            // All the time there was went by without an answer.
            if self.stall.duration().is_some_and(|stall| stall + POLL >= patience) {
                warn!(%zone, %file, "the zone file is left out until its disk answers");
                self.status.refused(vec![format!("{file}: its disk does not answer")]);
            } else {
                warn!(%zone, %file, "the zone file is still being read, its names are SERVFAIL until then");
                self.status.refused(vec![format!("{file}: is still being read")]);
            }
            self.unknown("the zone file is not read yet");
        }
    }

    /// Has names that the file may have be SERVFAIL, unless it was read meanwhile.
    fn unknown(&self, text: &str) {
        let unknown = Unknown { scope: Scope::Everything, below: true, code: 0, text: text.into() };
        let mut writer = lock(&self.writer);
        if self.status.report().taken_at.is_some() {
            return;
        }
        // The wildcard is what all names have that nothing else has; a registry's own services win.
        if let Ok(owner) = Name::parse(&format!("*.{}", self.origin)) {
            writer.put(UNREAD, vec![Offer { owner, rank: Rank::Alias, sets: [unknown.set()].into() }]);
            writer.commit(unix_now());
        }
    }

    /// Reads it again, and logs the outcome.
    pub(super) fn reload(&self) {
        let file = self.path.display();
        match self.load() {
            Ok(LoadedZoneFile::Taken) => info!(%file, "zone file re-read"),
            Ok(LoadedZoneFile::ByAnother) => {}
            Err(error) => {
                let error = format!("{error:#}");
                warn!(%file, error, "zone file not taken; the last good one stays in force");
            }
        }
    }

    /// Reads it again whenever it changes, or a file that it includes does, until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let file = self.clone();
        tokio::select! {
            () = self.follow_edits(stop) => {}
            () = file.tell_of_stalls() => {}
        }
    }

    /// Logs when a reading waits for the disk, once it has for long, and when the disk has answered.
    async fn tell_of_stalls(&self) {
        let file = self.path.display();
        // At the start that was said already.
        let mut is_told = self.stall.duration().is_some();
        loop {
            tokio::time::sleep(POLL).await;
            match self.stall.duration() {
                Some(stall) if stall > STALL && !is_told => {
                    warn!(%file, "the zone file cannot be read, as its disk does not answer; it is taken when it does");
                    is_told = true;
                }
                None if is_told => {
                    info!(%file, "the disk of the zone file answers again");
                    is_told = false;
                }
                _ => {}
            }
        }
    }

    async fn follow_edits(self, stop: CancellationToken) {
        let mut last = Stamps::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            let stamps = self.stamps();
            let looked = disk::aside(move || (look(&stamps) != stamps).then(|| look(&stamps)));
            let now = tokio::select! {
                () = stop.cancelled() => return,
                looked = looked => looked,
            };
            let Ok(Some(now)) = now else { continue };
            // An editor may take the file away for a moment, or write it in pieces: it is read once it stands still.
            let still = std::mem::replace(&mut last, now.clone()) == now;
            if !still || now.get(&self.path).copied().flatten().is_none() {
                continue;
            }
            // A large file is seconds of work, which nobody waits for.
            let file = self.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                read = disk::aside(move || file.reload()) => {
                    if let Err(error) = read {
                        warn!(file = %self.path.display(), %error, "the zone file was not read");
                    }
                }
            }
        }
    }
}

/// The seed of an in-memory registry.
pub(super) struct Seed {
    path: PathBuf,
    memory: Memory,
    /// The file's state before it was last read.
    read: Mutex<Option<Stamp>>,
}

impl Seed {
    pub(super) fn new(path: PathBuf, memory: Memory) -> Self {
        Self { path, memory, read: Mutex::new(None) }
    }

    /// Reads it into the registry by the fewest writes; on an error the registry stays as it is.
    pub(super) fn load(&self) -> anyhow::Result<()> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamp(&self.path);
        let text =
            disk::read_text(&self.path).with_context(|| format!("cannot read the seed {}", self.path.display()))?;
        let place = |problem: &text::TextProblem| format!("{}:{problem}", self.path.display());
        let nodes = text::parse(&text).map_err(|problems| listed(&problems.iter().map(place).collect::<Vec<_>>()))?;
        let replaced = self.memory.replace(nodes.into_iter().map(|node| (node.path.clone(), node.data())));
        let (created, changed, deleted) = (replaced.created, replaced.changed, replaced.deleted);
        info!(seed = %self.path.display(), created, changed, deleted, "seed read");
        Ok(())
    }

    /// Reads it again whenever it changes, until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let seed = Arc::new(self);
        // An edit since the first reading is read.
        let mut read = *seed.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            let path = seed.path.clone();
            let now = tokio::select! {
                () = stop.cancelled() => return,
                looked = disk::aside(move || stamp(&path)) => looked.ok().flatten(),
            };
            // An editor may take the file away for a moment, or write it in pieces: it is read once it stands still.
            let still = std::mem::replace(&mut last, now) == now;
            if now.is_none() || now == read || !still {
                continue;
            }
            read = now;
            let loading = Arc::clone(&seed);
            let loaded = tokio::select! {
                () = stop.cancelled() => return,
                loaded = disk::aside(move || loading.load()) => loaded,
            };
            if let Err(error) = loaded.map_err(Into::into).and_then(|loaded| loaded) {
                warn!(error = format!("{error:#}"), "seed not taken; the last good one stays in force");
            }
        }
    }
}

/// Time that disks may keep a start waiting, in all. A file that comes later is taken then.
pub(super) const FIRST_READING: Duration = Duration::from_secs(3);

/// The time until `end`, and a moment where that is over.
pub(super) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).max(Duration::from_millis(100))
}

/// Files, and what they were like when they were looked at.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// The same files as they are now.
fn look(files: &Stamps) -> Stamps {
    files.keys().map(|path| (path.clone(), stamp(path))).collect()
}

/// All problems of a file as one error, a line each.
fn listed(problems: &[impl std::fmt::Display]) -> anyhow::Error {
    anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
