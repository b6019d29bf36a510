//! The moment at which a change that was read is shown to the readers.

use std::collections::BTreeMap;
use std::time::Instant;

#[cfg(test)]
use super::Mutation;
use super::{Action, Mirror};
use crate::registry::tree::{Entry, Tree};
use crate::registry::{Error, Path};

impl Mirror {
    /// Takes in a znode that was read in a scan. Where nothing was shown yet it goes into the tree at once; otherwise
    /// what differs waits, so that the tree stays what readers see until the scan is through.
    pub(super) fn stage(&mut self, now: Instant, path: &Path, entry: Option<Entry>, tree: &mut Tree) {
        if let (Some(before), Some(Entry::Known(read))) = (tree.known(path.as_str()), &entry) {
            self.doubt.compare(before, read);
        }
        if self.fresh_at.is_none() {
            self.put(now, path, entry, tree);
        } else if tree.meet(path, entry.as_ref(), self.epoch) {
            self.staged.remove(path.as_str());
        } else {
            self.staged.insert(path.clone(), entry);
        }
    }

    /// Returns whether the scan found something that the server refuses to show.
    pub(super) fn stages_refusals(&self) -> bool {
        let is_refused = |error: &Error| !matches!(error, Error::TooMuchData { .. });
        self.staged.values().any(|entry| matches!(entry, Some(Entry::Unreadable(error)) if is_refused(error)))
    }

    /// Returns whether the scan has met `path`.
    pub(super) fn is_met(&self, path: &Path, tree: &Tree) -> bool {
        tree.met(path, self.epoch) || self.staged.contains_key(path.as_str())
    }

    /// Puts what scans found into the tree, all that is below `root`.
    pub(super) fn unstage(&mut self, now: Instant, root: &Path, tree: &mut Tree) {
        let (below, others) =
            std::mem::take(&mut self.staged).into_iter().partition(|(path, _)| path.below(root).is_some());
        self.staged = others;
        self.put_all(now, below, tree);
    }

    /// Puts znodes into the tree that were together in that state.
    pub(super) fn put_all(&mut self, now: Instant, entries: BTreeMap<Path, Option<Entry>>, tree: &mut Tree) {
        for (path, entry) in entries {
            if self.is_mirrored(&path) {
                self.put(now, &path, entry, tree);
            }
        }
    }

    fn put(&mut self, now: Instant, path: &Path, entry: Option<Entry>, tree: &mut Tree) {
        #[cfg(test)]
        if self.mutation == Some(Mutation::SubtreeRemoval) && entry.is_none() {
            let below: Vec<Path> = tree.subtree(path).map(|(path, _)| path.clone()).collect();
            self.changed.extend(below.into_iter().filter(|path| tree.remove(path)));
        }
        #[cfg(test)]
        let entry = if self.mutation == Some(Mutation::ForgetRefused) {
            entry.filter(|entry| matches!(entry, Entry::Known(_)))
        } else {
            entry
        };
        if *path == self.root && entry.is_some() {
            tree.see_root();
        }
        self.keep(path, entry.as_ref(), tree);
        let difference = self.untold.difference(path, entry.as_ref(), tree);
        let is_changed = match entry {
            Some(entry) => tree.put(path, entry, self.epoch),
            None => tree.remove(path),
        };
        if is_changed {
            if let Some(difference) = difference {
                self.count_untold(path, difference);
            }
            self.changed.insert(path.clone());
            self.changed_since.get_or_insert(now);
        }
    }

    /// Publishes what was put into the tree: at once when nothing is being read, and otherwise after a short while, so
    /// that a burst makes few steps.
    pub(super) fn publish(&mut self, now: Instant) {
        let Some(since) = self.changed_since else { return };
        if self.groups.is_empty() || now.saturating_duration_since(since) >= self.limits.hold {
            self.publish_now();
        }
    }

    /// Publishes what was put into the tree, if there is something.
    pub(super) fn publish_now(&mut self) {
        self.changed_since = None;
        if !self.changed.is_empty() {
            self.actions.push(Action::Publish(std::mem::take(&mut self.changed)));
        }
    }
}
