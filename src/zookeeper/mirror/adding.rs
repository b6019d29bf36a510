//! Roots besides the first: what links lead to elsewhere is mirrored as well.
//!
//! In an epoch that begins they are armed and scanned with the first. One that is wanted while the mirror is live joins
//! it: it is armed and read beside everything else, counted until its last read is answered, and shown in whole then.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Action, Mirror};
use crate::registry::Path;
use crate::registry::status::Phase;
use crate::registry::tree::Tree;

impl Mirror {
    /// Mirrors these besides the root from now on. In a live mirror a new one is armed and read beside everything else,
    /// and shown when it was read in whole; otherwise it is part of the next epoch.
    pub(super) fn set_outside(&mut self, now: Instant, outside: BTreeSet<Path>, tree: &mut Tree) {
        let before = std::mem::replace(&mut self.outside, outside);
        for gone in before.iter().filter(|path| !self.outside.contains(*path)) {
            self.adding.remove(gone);
            self.actions.push(Action::Leave(gone.clone()));
            let gone = tree.uncover(gone).into_iter().filter(|path| !self.is_mirrored(path)).collect::<Vec<_>>();
            if !gone.is_empty() {
                self.changed.extend(gone);
                self.changed_since.get_or_insert(now);
            }
        }
        let new: Vec<Path> = self.outside.difference(&before).cloned().collect();
        // Where another root was before, above or below, something of the new one may be under way already.
        match self.phase {
            Phase::Live if !new.iter().any(|new| self.is_moving(new)) => {
                for path in new {
                    self.adding.insert(path.clone(), None);
                    self.actions.push(Action::Join(self.epoch, path));
                }
            }
            // An epoch that has begun has armed its watches without this one.
            Phase::Live | Phase::Arming | Phase::Syncing | Phase::Scanning if !new.is_empty() => self.begin_epoch(now),
            _ => {}
        }
    }

    /// Returns whether `path` is below a root whose watch is not armed yet: all of that is read once it is.
    pub(super) fn is_awaiting(&self, path: &Path) -> bool {
        self.adding.iter().any(|(root, reads)| reads.is_none() && path.below(root).is_some())
    }

    /// The watch of a further root is armed: whatever is known or found below it is read after this moment.
    pub(super) fn joined(&mut self, now: Instant, root: &Path, tree: &mut Tree) {
        if self.phase != Phase::Live || !self.adding.contains_key(root.as_str()) {
            return;
        }
        self.progress = now;
        #[cfg(test)]
        if self.mutation == Some(super::Mutation::JoinUnread) {
            self.adding.remove(root.as_str());
            tree.cover(root);
            return self.mark(now, root.clone());
        }
        self.read_below(now, root, tree);
    }

    /// Reads everything below a root that is added, and shows it when it was read in whole.
    pub(super) fn read_below(&mut self, now: Instant, root: &Path, tree: &Tree) {
        self.adding.insert(root.clone(), Some(0));
        let known: Vec<Path> = tree.subtree(root).map(|(path, _)| path.clone()).collect();
        self.mark(now, root.clone());
        for path in known {
            self.mark(now, path);
        }
    }

    /// Returns whether something at or below `root` is being read, or read and not in the tree.
    pub(super) fn is_moving(&self, root: &Path) -> bool {
        let in_groups = self.groups.values().any(|group| group.moves_below(root));
        in_groups || self.busy.keys().any(|path| path.below(root).is_some())
    }

    /// Counts a read that is queued, or was answered, towards the root that is being read for the first time.
    pub(super) fn count_adding(&mut self, path: &Path, count: impl Fn(usize) -> usize) {
        for (root, reads) in &mut self.adding {
            if path.below(root).is_some() {
                *reads = reads.map(&count);
            }
        }
    }

    pub(super) fn is_adding(&self, path: &Path) -> bool {
        self.adding.keys().any(|root| path.below(root).is_some())
    }

    /// Roots whose last read was answered belong to the mirror from now on.
    pub(super) fn finish_adding(&mut self, now: Instant, tree: &mut Tree) {
        let done: Vec<Path> =
            self.adding.iter().filter(|(_, reads)| **reads == Some(0)).map(|(root, _)| root.clone()).collect();
        for root in done {
            self.adding.remove(root.as_str());
            if root == self.root || self.outside.contains(&root) {
                tree.cover(&root);
            }
            tree.set_exact_at(Some(now));
            self.unstage(now, &root, tree);
            // Somebody waits for it, even where nothing is there.
            self.changed.insert(root);
            self.changed_since.get_or_insert(now);
        }
    }
}
