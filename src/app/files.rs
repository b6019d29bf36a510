//! Files that are read again while the program runs: zone files, and the seed of an in-memory registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::keeper::memory::Memory;
use crate::keeper::text;
use crate::publish::{SharedWriter, unix_now};
use crate::zone::file::{self, status::Status};
use crate::zone::name::Name;

/// How often a followed file is looked at. An edit shows within a second.
const LOOK: Duration = Duration::from_millis(250);

/// A zone's master file, and what it includes. Cheap to clone: one is followed, another is read again at SIGHUP.
#[derive(Clone)]
pub(super) struct ZoneFile {
    path: PathBuf,
    origin: Name,
    writer: SharedWriter,
    status: Status,
    /// Every file that was looked for at the last reading, and how it was then.
    read: Arc<Mutex<Stamps>>,
}

impl ZoneFile {
    pub(super) fn new(path: PathBuf, origin: Name, writer: SharedWriter) -> Self {
        let (status, read) = (Status::new(&path), Arc::new(Mutex::new(Stamps::from([(path.clone(), None)]))));
        Self { path, origin, writer, status, read }
    }

    /// What has become of it, for those who show it.
    pub(super) fn status(&self) -> Status {
        self.status.clone()
    }

    /// Reads it into its zone; on an error the zone stays as it is.
    pub(super) fn load(&self) -> anyhow::Result<()> {
        // Held to the end: of two readings the later one is in force.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let before = look(&read);
        let mut files = Vec::new();
        let outcome = file::read_noting(&self.path, &self.origin, &mut files);
        // A file that was known is as it was before it was read: what came since is still to be read.
        let stamp_of = |file: PathBuf| {
            let stamp = before.get(&file).copied().unwrap_or_else(|| stamp(&file));
            (file, stamp)
        };
        *read = files.into_iter().map(stamp_of).collect();
        let parsed = outcome.map_err(|problems| {
            self.status.refused(problems.iter().map(ToString::to_string).collect());
            listed(&problems)
        })?;
        for remark in &parsed.remarks {
            warn!("{remark}");
        }
        let mut writer = super::lock(&self.writer);
        writer.put_static(parsed.records);
        writer.commit(unix_now());
        self.status.taken(Instant::now());
        Ok(())
    }

    /// Reads it again, and says what came of that.
    pub(super) fn reload(&self) {
        let file = self.path.display();
        match self.load() {
            Ok(()) => info!(%file, "zone file re-read"),
            Err(error) => {
                let error = format!("{error:#}");
                warn!(%file, error, "zone file not taken; the last good one stays in force");
            }
        }
    }

    /// Reads it again whenever it changes, or a file that it includes does, until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut last = Stamps::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = {
                let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                let now = look(&read);
                if now == *read {
                    continue;
                }
                now
            };
            // An editor may take the file away for a moment, or write it in pieces: it is read once it stands still.
            let still = std::mem::replace(&mut last, now.clone()) == now;
            if !still || now.get(&self.path).copied().flatten().is_none() {
                continue;
            }
            // A large file is seconds of work, which nobody waits for.
            let file = self.clone();
            if tokio::task::spawn_blocking(move || file.reload()).await.is_err() {
                warn!(file = %self.path.display(), "reading the zone file panicked");
            }
        }
    }
}

/// The seed of an in-memory registry.
pub(super) struct Seed {
    path: PathBuf,
    memory: Memory,
}

impl Seed {
    pub(super) fn new(path: PathBuf, memory: Memory) -> Self {
        Self { path, memory }
    }

    /// Reads it into the registry by the fewest writes; on an error the registry stays as it is.
    pub(super) fn load(&self) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read the seed {}", self.path.display()))?;
        let place = |problem: &text::Problem| format!("{}:{problem}", self.path.display());
        let nodes = text::parse(&text).map_err(|problems| listed(&problems.iter().map(place).collect::<Vec<_>>()))?;
        let replaced = self.memory.replace(nodes.into_iter().map(|node| (node.path.clone(), node.data())));
        let (created, changed, deleted) = (replaced.created, replaced.changed, replaced.deleted);
        info!(seed = %self.path.display(), created, changed, deleted, "seed read");
        Ok(())
    }

    /// Reads it again whenever it changes, until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let (mut read, mut last) = (stamp(&self.path), None);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = stamp(&self.path);
            // An editor may take the file away for a moment, or write it in pieces: it is read once it stands still.
            let still = std::mem::replace(&mut last, now) == now;
            if now.is_none() || now == read || !still {
                continue;
            }
            read = now;
            if let Err(error) = self.load() {
                warn!(error = format!("{error:#}"), "seed not taken; the last good one stays in force");
            }
        }
    }
}

/// Files, and what they were like when they were looked at.
type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// The same files as they are now.
fn look(files: &Stamps) -> Stamps {
    files.keys().map(|path| (path.clone(), stamp(path))).collect()
}

/// What changes when a file is written.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// All problems of a file as one error, a line each.
fn listed(problems: &[impl std::fmt::Display]) -> anyhow::Error {
    anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
