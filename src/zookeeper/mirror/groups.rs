//! Znodes that are shown together, and the moments at which what was read of them is one state.
//!
//! A live mirror reads marked znodes group by group: one request for all that is marked in a group, and no second one
//! before the first is answered. What was read is kept apart until it is known to be a state that the group had; then
//! it goes into the tree in one step.
//!
//! # When it is such a state
//! A request is answered at one moment of the server, and whatever the watch told of earlier moments was seen before
//! the answer. So at that moment a znode is as it was read, if the request asked for it, and as it was known, if
//! nothing was told of it meanwhile. Only a znode that was marked while the request was under way, and was not in it,
//! is unknown: then the group is *torn*, and is read once more, with that one. (The state before its mark will not do:
//! that may lie within a transaction.)
//!
//! # Why this comes to an end
//! A group that is torn for a while is read with everything in it that moves: then a mark is of a znode that the
//! request asks for anyway, and the answer is a state. Only znodes that were never heard of before can tear it still: a
//! service is shown at the first pause, of one request's length, in their coming.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::weights::{Load, Weights};
use crate::registry::Path;
use crate::registry::tree::Entry;
use crate::zookeeper::session::Read;

/// Budget of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) paths: usize,
    pub(super) bytes: usize,
    pub(super) load: Load,
}

impl Budget {
    /// Takes place for `path`. Whether there was enough.
    pub(super) fn take(&mut self, weights: &Weights, path: &Path) -> bool {
        let bytes = path.as_str().len();
        let fits = self.paths > 0 && bytes <= self.bytes;
        if !fits || !weights.take(&Read::Node(path.clone()), &mut self.load) {
            return false;
        }
        self.paths -= 1;
        self.bytes -= bytes;
        true
    }

    fn fits<'p>(mut self, weights: &Weights, paths: impl IntoIterator<Item = &'p Path>) -> bool {
        paths.into_iter().all(|path| self.take(weights, path))
    }
}

/// A group with something to read.
#[derive(Debug)]
pub(super) struct Group {
    /// Since when it has not been shown as it is.
    since: Instant,
    /// Marked, to be asked for with the next request.
    marked: BTreeSet<Path>,
    /// All that was marked since then.
    moving: BTreeSet<Path>,
    /// Asked for, not answered.
    asked: BTreeSet<Path>,
    /// True if one request asked for all of them.
    at_once: bool,
    /// True if what was read is no state that the group had.
    torn: bool,
    /// Read, and not yet in the tree; none is a znode that is gone.
    read: BTreeMap<Path, Option<Entry>>,
}

impl Group {
    /// A group of which nothing is known to have changed.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            marked: BTreeSet::new(),
            moving: BTreeSet::new(),
            asked: BTreeSet::new(),
            at_once: true,
            torn: false,
            read: BTreeMap::new(),
        }
    }

    /// Returns whether a request is under way.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Returns whether something is to be read.
    pub(super) fn is_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Returns whether something at or below `root` is marked, being read, or read and not in the tree.
    pub(super) fn moves_below(&self, root: &Path) -> bool {
        self.moving.iter().any(|path| path.below(root).is_some())
    }

    /// Something happened at `path`. Whether the group is to be read on account of it.
    pub(super) fn mark(&mut self, path: &Path) -> bool {
        self.torn |= self.is_asked() && !(self.at_once && self.asked.contains(path));
        self.moving.insert(path.clone());
        self.marked.insert(path.clone()) && self.marked.len() == 1 && !self.is_asked()
    }

    /// Returns what to ask for now, request by request. After `patience` with everything that moves. `whole` says
    /// whether a request is answered at one moment.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        patience: Duration,
        weights: &Weights,
        budget: Budget,
        whole: bool,
    ) -> Vec<Vec<Path>> {
        let asked = self.wanted(now, patience, weights, budget).clone();
        self.marked.clear();
        let (mut requests, mut left) = (Vec::<Vec<Path>>::new(), budget);
        for path in &asked {
            match requests.last_mut() {
                Some(request) if left.take(weights, path) => request.push(path.clone()),
                // The first, or one too many. A path too long for any request has one of its own.
                _ => {
                    left = budget;
                    left.take(weights, path);
                    requests.push(vec![path.clone()]);
                }
            }
        }
        self.at_once = whole && requests.len() == 1;
        self.asked = asked;
        requests
    }

    /// Returns whether what is to be asked for now fits into what is `left` of a request.
    pub(super) fn fits(
        &self,
        now: Instant,
        patience: Duration,
        weights: &Weights,
        budget: Budget,
        left: Budget,
    ) -> bool {
        left.fits(weights, self.wanted(now, patience, weights, budget))
    }

    fn wanted(&self, now: Instant, patience: Duration, weights: &Weights, budget: Budget) -> &BTreeSet<Path> {
        let is_unsettled = now.saturating_duration_since(self.since) >= patience;
        if is_unsettled && budget.fits(weights, &self.moving) { &self.moving } else { &self.marked }
    }

    /// Takes in an answer. Whether it is one that was waited for.
    pub(super) fn answered(&mut self, path: &Path, entry: Option<Entry>) -> bool {
        let is_awaited = self.asked.remove(path);
        if is_awaited {
            self.read.insert(path.clone(), entry);
        }
        is_awaited
    }

    /// Returns whether a request for `path` is under way.
    #[cfg(test)]
    pub(super) fn asks_for(&self, path: &Path) -> bool {
        self.asked.contains(path)
    }

    /// Takes what is torn for a state.
    #[cfg(test)]
    pub(super) fn mend(&mut self) {
        self.torn = false;
    }

    /// The state that the group had, once everything was answered; none where what was read is no such state.
    pub(super) fn settle(&mut self, now: Instant) -> Option<BTreeMap<Path, Option<Entry>>> {
        if std::mem::take(&mut self.torn) {
            return None;
        }
        self.since = now;
        self.moving.clone_from(&self.marked);
        Some(std::mem::take(&mut self.read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> (Weights, Budget) {
        let mut weights = Weights::default();
        weights.answered(&path("a"), 10, 0);
        let load = weights.load();
        (weights, Budget { paths: 3, bytes: 100, load })
    }

    const SETTLE: Duration = Duration::from_millis(50);

    fn path(name: &str) -> Path {
        Path::root().child("s").child(name)
    }

    /// A group with these marked, and a request under way for them.
    fn asked(names: &[&str], whole: bool) -> (Group, Instant) {
        let now = Instant::now();
        let mut group = Group::new(now);
        for name in names {
            group.mark(&path(name));
        }
        assert_eq!(group.ask(now, SETTLE, &budget().0, budget().1, whole).concat().len(), names.len());
        (group, now)
    }

    fn settled(group: &mut Group, names: &[&str], now: Instant) -> Option<usize> {
        assert!(names.iter().all(|name| group.answered(&path(name), None)) && !group.is_asked());
        group.settle(now).map(|read| read.len())
    }

    #[test]
    fn what_is_marked_again_while_it_is_read_was_still_read_at_one_moment() {
        let (mut group, now) = asked(&["a", "b"], true);
        group.mark(&path("a"));
        assert_eq!(settled(&mut group, &["a", "b"], now), Some(2));
        assert!(group.is_marked(), "and is read again");
    }

    #[test]
    fn what_is_torn_is_read_once_more_and_nothing_is_lost() {
        let (mut group, now) = asked(&["a"], true);
        group.mark(&path("new"));
        assert_eq!(settled(&mut group, &["a"], now), None);
        assert_eq!(group.ask(now, SETTLE, &budget().0, budget().1, true), [[path("new")]]);
        assert_eq!(settled(&mut group, &["new"], now), Some(2));
        assert!(!group.is_marked());
    }

    #[test]
    fn in_pieces_only_what_stood_still_is_a_state() {
        let (mut group, now) = asked(&["a", "b"], false);
        assert_eq!(settled(&mut group, &["a", "b"], now), Some(2));
        let (mut group, now) = asked(&["a", "b"], false);
        group.mark(&path("b"));
        assert_eq!(settled(&mut group, &["a", "b"], now), None);
        let (mut group, now) = asked(&["a", "b", "c", "d"], true);
        group.mark(&path("a"));
        assert_eq!(settled(&mut group, &["a", "b", "c", "d"], now), None, "it took two requests");
    }

    #[test]
    fn a_group_without_rest_is_read_with_all_that_moves() {
        let (mut group, now) = asked(&["a", "b"], true);
        for name in ["c", "a"] {
            group.mark(&path(name));
        }
        assert_eq!(settled(&mut group, &["a", "b"], now), None);
        let later = now + SETTLE;
        assert_eq!(group.ask(later, SETTLE, &budget().0, budget().1, true), [[path("a"), path("b"), path("c")]]);
        for name in ["b", "c", "a"] {
            group.mark(&path(name));
        }
        assert_eq!(settled(&mut group, &["a", "b", "c"], later), Some(3));
    }
}
