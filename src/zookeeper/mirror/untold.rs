//! Changes that no event told of: what a verification found to differ, and what can be read again.
//!
//! Such a path is read again on the mirror's own connection. A reply comes behind the events of all that it shows, so
//! what it changes, and no event came for, was not told of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

#[cfg(test)]
use super::Mutation;
use super::{Action, Difference, Mirror};
use crate::registry::status::Phase;
use crate::registry::tree::{Entry, Tree};
use crate::registry::{Error, Path};

/// Paths that are read again although no event told of them.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// The paths, each with everything below it, and whether the server refused to show it.
    roots: BTreeMap<Path, bool>,
    /// Those at or below one of them that events have come for since.
    told: BTreeSet<Path>,
}

impl Untold {
    pub(super) fn clear(&mut self) {
        self.roots.clear();
        self.told.clear();
    }

    fn root_of(&self, path: &Path) -> Option<bool> {
        self.roots.iter().find(|(root, _)| path.below(root).is_some()).map(|(_, refused)| *refused)
    }

    /// The kind of difference that it makes to put `entry` into the tree; none for what an event told of.
    pub(super) fn difference(&self, path: &Path, entry: Option<&Entry>, tree: &Tree) -> Option<Difference> {
        if self.roots.is_empty() || self.told.contains(path.as_str()) {
            return None;
        }
        let was_refused = self.root_of(path)?;
        let is_refused = matches!(entry, Some(Entry::Unreadable(error)) if !matches!(error, Error::TooMuchData { .. }));
        let concerns_rights = was_refused || is_refused || is_refused_in(tree, path);
        Some(if concerns_rights { Difference::Rights } else { Difference::Missed })
    }
}

impl Mirror {
    /// An event came for `path`.
    pub(super) fn told(&mut self, path: &Path) {
        #[cfg(test)]
        if self.mutation == Some(Mutation::ForgetTold) {
            return;
        }
        if !self.untold.roots.is_empty() && self.untold.root_of(path).is_some() {
            self.untold.told.insert(path.clone());
        }
    }

    /// A verification found these to differ. What moves, an event has told of.
    pub(super) fn differs(&mut self, now: Instant, paths: Vec<Path>, tree: &Tree) {
        if self.phase != Phase::Live {
            return;
        }
        let is_still = |path: &Path| self.is_mirrored(path) && !self.is_adding(path) && !self.is_moving(path);
        #[cfg(test)]
        let is_still = |path: &Path| self.mutation == Some(Mutation::ForgetTold) || is_still(path);
        let still: Vec<Path> = paths.into_iter().filter(is_still).collect();
        for path in still {
            self.expect_untold(&path, tree);
            if tree.known(path.as_str()).is_some() && !is_refused_in(tree, &path) {
                self.mark(now, path);
            } else {
                // Of what is below it nothing is known.
                self.rescans.entry(path).or_insert(now);
            }
        }
    }

    /// Takes changes at or below `path` from now on for untold, unless an event comes for it.
    pub(super) fn expect_untold(&mut self, path: &Path, tree: &Tree) {
        self.untold.roots.insert(path.clone(), is_refused_in(tree, path));
    }

    /// Forgets the paths at and below which nothing is being read any more.
    pub(super) fn finish_untold(&mut self) {
        if self.untold.roots.is_empty() {
            return;
        }
        let mut roots = std::mem::take(&mut self.untold.roots);
        roots.retain(|root, _| {
            let is_overlapping = |other: &Path| other.below(root).is_some() || root.below(other).is_some();
            let is_due = self.rescans.keys().chain(self.adding.keys()).any(is_overlapping);
            is_due || self.is_moving(root)
        });
        self.untold.roots = roots;
        if self.untold.roots.is_empty() {
            self.untold.told.clear();
        }
    }

    /// Counts a change that no event told of.
    pub(super) fn count_untold(&mut self, path: &Path, difference: Difference) {
        match difference {
            Difference::Missed => self.counters.missed += 1,
            Difference::Rights => self.counters.rights += 1,
        }
        match self.actions.last_mut() {
            Some(Action::Untold(paths)) => paths.push((path.clone(), difference)),
            _ => self.actions.push(Action::Untold(vec![(path.clone(), difference)])),
        }
    }
}

fn is_refused_in(tree: &Tree, path: &Path) -> bool {
    tree.refusal(path.as_str()).is_some_and(|refusal| !matches!(refusal.error, Error::TooMuchData { .. }))
}
