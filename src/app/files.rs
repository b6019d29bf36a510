//! Files that are read again while the program runs: zone files, and the seed of an in-memory registry.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::keeper::memory::Memory;
use crate::keeper::text;
use crate::publish::{SharedWriter, unix_now};
use crate::zone::file;
use crate::zone::name::Name;

/// How often a followed file is looked at. An edit shows within a second.
const LOOK: Duration = Duration::from_millis(250);

/// A zone's master file.
pub(super) struct ZoneFile {
    path: PathBuf,
    origin: Name,
    writer: SharedWriter,
}

impl ZoneFile {
    pub(super) fn new(path: PathBuf, origin: Name, writer: SharedWriter) -> Self {
        Self { path, origin, writer }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it into its zone; on an error the zone stays as it is.
    pub(super) fn load(&mut self) -> anyhow::Result<()> {
        let parsed = file::read(&self.path, &self.origin).map_err(|problems| listed(&problems))?;
        for remark in &parsed.remarks {
            warn!("{remark}");
        }
        let mut writer = super::lock(&self.writer);
        writer.put_static(parsed.records);
        writer.commit(unix_now());
        Ok(())
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

/// What changes when a file is written.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// All problems of a file as one error, a line each.
fn listed(problems: &[impl std::fmt::Display]) -> anyhow::Error {
    anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
