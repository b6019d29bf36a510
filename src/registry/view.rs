//! The observer of a registry, whatever keeps that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Path;
use super::cache::Notes;
use super::grouping::{Grouping, Siblings};
use super::links::{Linking, NoLinks};
use super::placed::Placing;
use super::selection::{Everything, Selection};
use super::shown::ShownTree;

/// Observer of the mirrored tree.
pub trait Observer: Send + 'static {
    /// The tree is exact, and `changed` are the paths at which another znode, none or different data are shown since
    /// the last time.
    fn publish(&mut self, tree: &ShownTree, changed: &BTreeSet<Path>);

    /// The tree holds what was exact once, before ZooKeeper was asked for anything: all of it is to be shown.
    fn restore(&mut self, tree: &ShownTree);

    /// The links that data hold.
    fn linking(&self) -> Arc<dyn Linking> {
        Arc::new(NoLinks)
    }

    /// Places at which znodes are shown; none where that is as they are.
    fn placing(&self) -> Option<Arc<dyn Placing>> {
        None
    }

    /// The znodes that are mirrored.
    fn selection(&self) -> Arc<dyn Selection> {
        Arc::new(Everything)
    }

    /// Groups of znodes that are shown together.
    fn grouping(&self) -> Arc<dyn Grouping> {
        Arc::new(Siblings)
    }

    /// Parts of the registry below the root that cannot be read, as of what was shown last.
    fn unread(&self) -> Vec<Path> {
        Vec::new()
    }

    /// Returns whether what was shown last is too old to be served.
    fn is_expired(&self) -> bool {
        false
    }

    /// Makes what is to be kept in the cache file beside the znodes, for [`Self::recall`] of another process.
    fn notes(&self) -> Option<Notes> {
        None
    }

    /// A number that is different when [`Self::notes`] are.
    fn noted(&self) -> u64 {
        0
    }

    /// Takes the notes of an earlier process; before [`Self::restore`].
    fn recall(&mut self, _notes: &[u8]) {}

    /// Time has passed; what was published last is in `tree`. About once a second.
    fn tick(&mut self, _tree: &ShownTree, _now: Instant) {}

    /// The registry is followed from now on, or no longer.
    fn contact(&mut self, _contact: Contact<'_>) {}

    /// Takes how fresh what was published is: called at every change of the phase and about once a second.
    fn freshness(&mut self, freshness: Freshness);
}

/// News of the connection to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact<'r> {
    /// The view follows the ensemble.
    Live {
        /// Time for which it did not; none the first time.
        after: Option<Duration>,
    },
    /// It does not follow it any longer.
    Lost {
        /// The trouble, in words; may be empty.
        reason: &'r str,
    },
}

/// Freshness of the published view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing was ever published.
    Loading,
    /// The view follows the ensemble.
    Fresh,
    /// The view was exact this long ago, and the connection has been lost since.
    Stale(Duration),
}
