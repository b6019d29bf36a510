//! Parts of a registry that cannot be read, and its root while it is not there: which names are unknown for it, which
//! are answered as they last were, and which are known to be empty. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::layout::Layout;
use super::target::below;
use crate::format::NodeKind;
use crate::registry::root::{MissingRoot, Root, RootRefusal};
use crate::registry::shown::ShownTree;
use crate::registry::{Error, Path};

/// Services that are remembered after they went; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;
/// Time for which they are remembered. Servers delete an empty container a minute after the last child went, then its
/// parent.
const MEMORY: Duration = Duration::from_secs(3600);

/// Degree to which a part of the registry can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Sight {
    /// It can be read.
    #[default]
    Clear,
    /// It was read, and cannot be now: it is answered as it was.
    Stale,
    /// It was never read.
    Unknown,
    /// It was read for the last time too long ago.
    Expired,
}

/// A part of the registry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The znode that is refused.
    pub(super) path: Path,
    /// Time of the last reading.
    read_at: Option<Instant>,
    pub(super) sight: Sight,
}

/// Says in words that a path cannot be read.
#[derive(Clone)]
pub struct Wording(Arc<dyn Fn(&Path) -> String + Send + Sync>);

impl Wording {
    /// Words as `say` finds them.
    pub fn new(say: impl Fn(&Path) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(say))
    }

    /// The words for one path.
    pub(super) fn of(&self, path: &Path) -> String {
        (self.0)(path)
    }
}

impl Default for Wording {
    fn default() -> Self {
        Self::new(|path| format!("not allowed to read {path}"))
    }
}

impl fmt::Debug for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wording")
    }
}

/// Parts of one registry that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// The parts below the root, by the path of the service in lower case.
    parts: BTreeMap<String, Part>,
    /// Degree to which the root can be seen.
    root: Sight,
    /// True if the root was there and is not any more: its services are known to be empty.
    is_gone: bool,
    /// Services that went, and when.
    went: BTreeMap<String, Instant>,
    /// Number of changes of that.
    changes: u64,
    /// The state of the tree's refusals as of the last look.
    seen: Option<u64>,
    pub(super) missing_root: MissingRoot,
    pub(super) wording: Wording,
}

/// Differences that a look at the tree has found.
#[derive(Debug, Default)]
pub(super) struct TreeDifferences {
    /// Parts that are seen better or worse than before.
    pub(super) parts: Vec<String>,
    /// Services to be built again, as the root went or came back.
    pub(super) services: Vec<String>,
    /// True if zones may be seen better or worse.
    pub(super) is_different: bool,
}

impl Unread {
    /// Looks at the tree again, or at the clock alone where nothing is refused that was not before.
    pub(super) fn look(
        &mut self,
        layout: &Layout,
        tree: &ShownTree,
        now: Instant,
        max_stale: Duration,
    ) -> TreeDifferences {
        let sight = |read_at: Option<Instant>| match read_at {
            None => Sight::Unknown,
            Some(at) if now.saturating_duration_since(at) > max_stale => Sight::Expired,
            Some(_) => Sight::Stale,
        };
        let mut parts = std::mem::take(&mut self.parts);
        let before: BTreeMap<String, Sight> = parts.iter().map(|(name, part)| (name.clone(), part.sight)).collect();
        if self.seen.replace(tree.refusals()) != Some(tree.refusals()) {
            parts = find(layout, tree);
        }
        for part in parts.values_mut() {
            part.sight = sight(part.read_at);
        }
        let state = tree.root(&layout.root);
        let root = match &state {
            Root::Missing if self.missing_root == MissingRoot::Wait => Sight::Unknown,
            Root::Present | Root::Missing | Root::Gone => Sight::Clear,
            Root::Refused(refusal) => sight(refusal.read_at),
        };
        let now_seen: BTreeMap<String, Sight> = parts.iter().map(|(name, part)| (name.clone(), part.sight)).collect();
        let names = before.keys().chain(now_seen.keys());
        let mut moved: Vec<String> = names.filter(|name| before.get(*name) != now_seen.get(*name)).cloned().collect();
        moved.sort_unstable();
        moved.dedup();
        let is_gone = state == Root::Gone;
        let services = if is_gone == self.is_gone { Vec::new() } else { self.went.keys().cloned().collect() };
        let is_different = before != now_seen || root != self.root || is_gone != self.is_gone;
        (self.parts, self.root, self.is_gone) = (parts, root, is_gone);
        if !is_gone {
            self.went.retain(|_, at| now.saturating_duration_since(*at) < MEMORY);
        }
        TreeDifferences { parts: moved, services, is_different }
    }

    /// The part at `folded`, if it cannot be read.
    pub(super) fn part(&self, folded: &str) -> Option<&Part> {
        self.parts.get(folded)
    }

    /// The parts that cannot be read.
    pub(super) fn paths(&self) -> Vec<Path> {
        self.parts.values().map(|part| part.path.clone()).collect()
    }

    /// Returns whether the names of a service are unknown, as it lies in a part that cannot be read.
    pub(super) fn hides(&self, folded: &str) -> bool {
        self.parts.iter().any(|(part, found)| found.sight > Sight::Stale && below(folded, part).is_some())
    }

    /// Degree to which a zone can be seen as a whole that shows nothing outside of the parts that are `meant`.
    pub(super) fn of_zone(&self, is_meant: impl Fn(&str) -> bool) -> Sight {
        let whole = self.parts.iter().filter(|(part, _)| is_meant(part)).map(|(_, found)| found.sight);
        whole.chain([self.root]).max().unwrap_or_default()
    }

    /// The parts that are answered as they were.
    pub(super) fn stale(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|(_, found)| found.sight == Sight::Stale).map(|(part, _)| part.as_str())
    }

    /// A service went.
    pub(super) fn went(&mut self, folded: &str, now: Instant) {
        if self.went.len() >= REMEMBERED
            && let Some(oldest) = self.went.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone())
        {
            self.went.remove(&oldest);
        }
        self.went.insert(folded.to_owned(), now);
        self.changes += 1;
    }

    /// Number of times that a service went.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The services that are known to be empty, while the root is gone.
    pub(super) fn empty(&self) -> impl Iterator<Item = &str> {
        self.went.keys().filter(|_| self.is_gone).map(String::as_str)
    }

    /// A number that is another one whenever other services are known to be empty.
    pub(super) fn empty_as_of(&self) -> u64 {
        if self.is_gone { self.changes + 1 } else { 0 }
    }

    /// The services that went, as lines of the cache file: when, in seconds since 1970, and the path.
    pub(super) fn lines(&self, now: Instant, unix: u64) -> impl Iterator<Item = String> {
        let went = self.went.iter().filter(|(path, _)| !path.contains(['\t', '\n']));
        went.map(move |(path, at)| {
            format!("{}\t{path}", unix.saturating_sub(now.saturating_duration_since(*at).as_secs()))
        })
    }

    /// Reads one of these lines. Where this host has not run for so long, the service went when it began to.
    pub(super) fn read(&mut self, line: &str, now: Instant, unix: u64) {
        let Some((at, path)) = line.split_once('\t') else { return };
        let Ok(at) = at.parse::<u64>() else { return };
        self.went(path, now.checked_sub(Duration::from_secs(unix.saturating_sub(at))).unwrap_or(now));
    }

    /// Returns whether a service that is not there is known to be empty.
    pub(super) fn is_empty(&self, folded: &str) -> bool {
        self.is_gone && self.went.contains_key(folded)
    }
}

/// The parts below the root that cannot be read. Single instances are none: their names say enough.
fn find(layout: &Layout, tree: &ShownTree) -> BTreeMap<String, Part> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    // Of a znode with too much data, those below can be read.
    let is_refused = |refusal: &RootRefusal| !matches!(refusal.error, Error::TooMuchData { .. });
    for (shown, path, RootRefusal { read_at, .. }) in tree.refused().filter(|(.., refusal)| is_refused(refusal)) {
        let Some(at) = shown.below(&layout.root).filter(|at| !layout.is_system(at)) else { continue };
        // The root itself is told apart; but what leads to services that are shown elsewhere may hide any of them.
        let hides_all = tree.is_placed() && *path != layout.root;
        let service = match layout.kind_by_path(at) {
            NodeKind::Service { path } | NodeKind::Leaf { path, .. } | NodeKind::Directory { service: path }
                if !path.is_empty() || hides_all =>
            {
                path
            }
            _ => continue,
        };
        let part = Part { path: path.clone(), read_at: *read_at, sight: Sight::Clear };
        let found = parts.entry(service.to_ascii_lowercase()).or_insert_with(|| part.clone());
        if *read_at < found.read_at {
            *found = part;
        }
    }
    parts
}
