//! Znodes that a server does not show, and the root while it is not there.
//!
//! Neither a changed ACL nor, on servers with CVE-2024-23944 mended, a znode that may not be read raises an event. So
//! what is missing or refused is asked for again now and then, and a verification may find what differs. Where
//! something can be read that could not be, nothing below it was heard of for certain: all of it is read before any of
//! it is shown.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::Mirror;
#[cfg(test)]
use super::Mutation;
use crate::registry::Path;
use crate::registry::root::Root;
use crate::registry::tree::{Entry, Tree};

/// Refused znodes that are asked for again at once; the others follow in turn.
const RECHECKED: usize = 200;
/// Time for which a part may go on changing until everything is read again, rather than that part alone.
const UNSETTLED: Duration = Duration::from_secs(5);

impl Mirror {
    /// Takes out of what a live mirror read of a group what could not be read before: that is read again with
    /// everything below.
    pub(super) fn readable_again(
        &mut self,
        now: Instant,
        state: BTreeMap<Path, Option<Entry>>,
        tree: &Tree,
    ) -> BTreeMap<Path, Option<Entry>> {
        #[cfg(test)]
        if self.mutation == Some(Mutation::NoRescan) {
            return state;
        }
        let is_new = |path: &Path| {
            tree.refusal(path.as_str()).is_some() || (*path == self.root && tree.get(path.as_str()).is_none())
        };
        let is_news = |path: &Path, entry: &Option<Entry>| matches!(entry, Some(Entry::Known(_))) && is_new(path);
        let (again, state): (BTreeMap<_, _>, BTreeMap<_, _>) =
            state.into_iter().partition(|(path, entry)| is_news(path, entry));
        // What is below one of them comes with it.
        for path in again.into_keys() {
            // The root's coming is told of.
            if tree.refusal(path.as_str()).is_some() {
                self.expect_untold(&path, tree);
            }
            self.rescans.entry(path).or_insert(now);
        }
        let is_rescanned = |path: &Path| self.rescans.keys().any(|root| path.below(root).is_some());
        state.into_iter().filter(|(path, _)| self.rescans.is_empty() || !is_rescanned(path)).collect()
    }

    /// Begins to read parts again of which nothing is being read now.
    pub(super) fn begin_rescans(&mut self, now: Instant, tree: &Tree) {
        if self.rescans.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.rescans);
        let mut last: Option<Path> = None;
        for (path, since) in waiting {
            // What is below another one comes with that.
            if last.as_ref().is_some_and(|last| path.below(last).is_some()) {
                continue;
            }
            last = Some(path.clone());
            let overlaps = |root: &Path| root.below(&path).is_some() || path.below(root).is_some();
            if self.is_moving(&path) || self.adding.keys().any(overlaps) {
                if now.saturating_duration_since(since) >= UNSETTLED {
                    return self.begin_epoch(now);
                }
                self.rescans.insert(path, since);
            } else {
                self.read_below(now, &path, tree);
            }
        }
    }

    /// Asks again for what is missing or refused, when it is time.
    pub(super) fn recheck(&mut self, now: Instant, tree: &Tree) {
        if now < self.recheck_at {
            return;
        }
        self.recheck_at = now + self.limits.recheck;
        let is_awaited = self.is_adding(&self.root) || self.rescans.contains_key(&self.root);
        if tree.root(&self.root) != Root::Present && !is_awaited && !self.is_moving(&self.root) {
            self.expect_untold(&self.root.clone(), tree);
            self.mark(now, self.root.clone());
        }
        let from = self.rechecked.take();
        let behind = (from.as_ref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let paths: Vec<Path> = tree.refused_in(behind).take(RECHECKED).cloned().collect();
        if paths.len() == RECHECKED {
            self.rechecked = paths.last().cloned();
        }
        for path in paths {
            self.mark(now, path);
        }
        self.list_again(tree);
    }
}
