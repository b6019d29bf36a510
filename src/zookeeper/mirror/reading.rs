//! Reads: which are due, and what their answers do to the tree.

use std::collections::BTreeSet;
use std::time::Instant;

#[cfg(test)]
use super::Mutation;
use super::groups::{Budget, Group};
use super::read_state::ReadState;
use super::{Action, Mirror};
use crate::registry::status::Phase;
use crate::registry::tree::{Entry, Tree};
use crate::registry::{DATA_LIMIT, Error, Path};
use crate::zookeeper::session::{Read, Reply};

impl Mirror {
    /// Something happened at `path`: it must be read after this moment.
    pub(super) fn mark(&mut self, now: Instant, path: Path) {
        if self.is_awaiting(&path) {
            return;
        }
        if self.phase == Phase::Live && !self.is_adding(&path) {
            return self.mark_group(now, &path);
        }
        match self.busy.get_mut(&path) {
            #[cfg(test)]
            Some(ReadState::Reading) if self.mutation == Some(Mutation::NoSecondRead) => {}
            Some(ReadState::Reading) => {
                self.busy.insert(path, ReadState::ReadingMarked);
            }
            Some(ReadState::Queued | ReadState::ReadingMarked) => {}
            None => self.visit(path),
        }
    }

    fn mark_group(&mut self, now: Instant, path: &Path) {
        let name = self.grouping.group(path);
        if !self.groups.contains_key(name) {
            self.groups.insert(name.into(), Group::new(now));
        }
        let Some(group) = self.groups.get_mut(name) else { return };
        #[cfg(test)]
        if self.mutation == Some(Mutation::NoSecondRead) && group.asks_for(path) {
            return;
        }
        if group.mark(path) {
            self.ready.push_back(name.into());
        }
    }

    /// Queues a read of `path`, unless one is queued or outstanding already.
    pub(super) fn visit(&mut self, path: Path) {
        if !self.busy.contains_key(&path) {
            self.count_adding(&path, |reads| reads + 1);
            self.queue.push(Read::Node(path.clone()));
            self.busy.insert(path, ReadState::Queued);
        }
    }

    /// The next request to send; none when nothing is to be read.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Vec<Read>> {
        let scan = self.next_of_scan();
        if scan.is_empty() { self.next_of_groups(now).or_else(|| self.next_lists()) } else { Some(scan) }
    }

    fn next_of_scan(&mut self) -> Vec<Read> {
        let mut batch = Vec::new();
        let (mut bytes, mut load) = (0, self.weights.load());
        let most = self.weights.paths(self.limits.batch_paths);
        while let Some(read) = self.queue.last() {
            if let Read::Node(path) = read
                && self.weights.hold(path)
            {
                self.queue.pop();
                continue;
            }
            bytes += read.path().as_str().len();
            let fits = self.weights.take(read, &mut load) && bytes <= self.limits.batch_bytes && batch.len() < most;
            if !fits && !batch.is_empty() {
                break;
            }
            if let Read::Node(path) = read {
                self.weights.asked(path);
                if let Some(busy) = self.busy.get_mut(path) {
                    *busy = ReadState::Reading;
                }
            }
            batch.extend(self.queue.pop());
        }
        batch
    }

    /// Asks for one group after the other in one request, or for a large group in several.
    fn next_of_groups(&mut self, now: Instant) -> Option<Vec<Read>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(piece);
        }
        let paths = self.weights.paths(self.limits.batch_paths);
        let budget = Budget { paths, bytes: self.limits.batch_bytes, load: self.weights.load() };
        let (unsettled, whole) = (self.limits.unsettled, self.at_once);
        let (mut request, mut left) = (Vec::new(), budget);
        while let Some(name) = self.ready.front() {
            let Some(group) = self.groups.get_mut(name) else {
                self.ready.pop_front();
                continue;
            };
            let weights = &self.weights;
            if !request.is_empty() && !group.fits(now, unsettled, weights, budget, left) {
                break;
            }
            self.ready.pop_front();
            let mut pieces = group.ask(now, unsettled, weights, budget, whole).into_iter();
            for path in pieces.next().into_iter().flatten() {
                left.take(weights, &path);
                request.push(Read::Node(path));
            }
            self.pieces.extend(pieces.map(|piece| piece.into_iter().map(Read::Node).collect()));
            if !self.pieces.is_empty() {
                break;
            }
        }
        (!request.is_empty()).then_some(request)
    }

    pub(super) fn replied(&mut self, now: Instant, batch: Vec<Read>, replies: Vec<Reply>, tree: &mut Tree) {
        self.in_flight -= 1;
        self.proven(now);
        let mut answered = BTreeSet::new();
        for (read, reply) in batch.into_iter().zip(replies) {
            self.doubt.saw(&reply);
            self.weigh(&read, &reply);
            if let Read::Children(parent) = &read
                && self.listed(now, parent, &reply, tree)
            {
                continue;
            }
            match (read, reply) {
                (Read::Node(path), reply) if self.busy.contains_key(&path) => self.node_read(now, &path, reply, tree),
                (Read::Node(path), reply) => {
                    let keeps_data = self.selected(&path).is_none_or(|selected| selected.data);
                    let name = self.grouping.group(&path);
                    if let Some(group) = self.groups.get_mut(name)
                        && group.answered(&path, entry(reply, keeps_data))
                    {
                        answered.insert(Box::from(name));
                    }
                }
                (Read::Children(parent), Reply::Children(names)) => {
                    for name in names {
                        let child = parent.child(&name);
                        let is_wanted = self.is_mirrored(&child);
                        if is_wanted && (self.is_adding(&child) || !self.is_met(&child, tree)) {
                            self.visit(child);
                        }
                    }
                    self.count_adding(&parent, |reads| reads.saturating_sub(1));
                }
                // Gone meanwhile, or not ours to list. What is known below it is verified at the end of the scan.
                (Read::Children(parent), _) => self.count_adding(&parent, |reads| reads.saturating_sub(1)),
            }
        }
        for name in answered {
            self.group_read(now, name, tree);
        }
        if !self.adding.is_empty() {
            self.finish_adding(now, tree);
        }
        if self.phase == Phase::Live {
            tree.set_zxid(tree.zxid().max(self.doubt.seen));
        }
    }

    /// Learns what a reply weighs, and queues what waited for that.
    fn weigh(&mut self, read: &Read, reply: &Reply) {
        let Read::Node(path) = read else { return };
        let (bytes, children) = match reply {
            Reply::Node(znode) => (znode.data.len(), usize::try_from(znode.stat.num_children).unwrap_or(0)),
            _ => (0, 0),
        };
        let waited = self.weights.answered(path, bytes, children);
        self.queue.extend(waited.into_iter().map(Read::Node));
    }

    /// Part of a group was answered: once all of it is, and is a state that the group had, it goes into the tree.
    fn group_read(&mut self, now: Instant, name: Box<str>, tree: &mut Tree) {
        let Some(group) = self.groups.get_mut(&name).filter(|group| !group.is_asked()) else { return };
        #[cfg(test)]
        if self.mutation == Some(Mutation::ShowTorn) {
            group.mend();
        }
        let state = group.settle(now);
        if group.is_marked() {
            self.ready.push_back(name);
        } else {
            self.groups.remove(&name);
        }
        match state {
            Some(state) => {
                tree.set_exact_at(Some(now));
                let state = self.readable_again(now, state, tree);
                self.put_all(now, state, tree);
            }
            None => self.counters.torn += 1,
        }
    }

    /// Takes in what a scan read of `path`, and of `path` alone.
    fn node_read(&mut self, now: Instant, path: &Path, reply: Reply, tree: &mut Tree) {
        let marked = self.busy.remove(path) == Some(ReadState::ReadingMarked);
        let Some(selected) = self.selected(path) else { return };
        // Once live, every child has an event of its own. Before, an event may have made this the scan's read.
        if let Reply::Node(znode) = &reply
            && znode.stat.num_children > 0
            && selected.children
        {
            self.count_adding(path, |reads| reads + 1);
            self.queue.push(Read::Children(path.clone()));
        }
        self.stage(now, path, entry(reply, selected.data), tree);
        if marked {
            self.visit(path.clone());
        }
        self.count_adding(path, |reads| reads.saturating_sub(1));
    }

    /// The scan has run dry: verify what it did not meet, then go live.
    pub(super) fn scanned(&mut self, now: Instant, tree: &mut Tree) {
        let not_met = tree.not_met(self.epoch);
        #[cfg(test)]
        let not_met = if self.mutation == Some(Mutation::NoVerify) { Vec::new() } else { not_met };
        if not_met.is_empty() && self.is_doubtful(now, tree) {
            return;
        }
        if not_met.is_empty() {
            tree.set_exact_at(self.fresh_at);
            let staged = std::mem::take(&mut self.staged);
            self.put_all(now, staged, tree);
            tree.set_zxid(self.doubt.believed(tree.zxid()));
            self.counters.syncs += 1;
            self.roots().iter().for_each(|root| tree.cover(root));
            self.trouble = None;
            self.weights.scanned(tree.len());
            self.enter(now, Phase::Live);
            self.proven(now);
            self.backoff.succeeded(now);
            // The first live moment is published even when nothing changed: it is what readers wait for.
            self.actions.push(Action::Publish(std::mem::take(&mut self.changed)));
            self.changed_since = None;
        }
        for path in not_met {
            self.visit(path);
        }
    }
}

/// Entry of a znode, by a reply; none when it is gone. Its data are left out unless they are wanted.
fn entry(reply: Reply, keeps_data: bool) -> Option<Entry> {
    match reply {
        Reply::Node(mut znode) if !keeps_data => {
            znode.data.clear();
            Some(Entry::Known(znode.into()))
        }
        Reply::Node(znode) if znode.data.len() > DATA_LIMIT => {
            Some(Entry::Unreadable(Error::TooMuchData { bytes: znode.data.len(), czxid: znode.stat.czxid }))
        }
        Reply::Node(znode) => Some(Entry::Known(znode.into())),
        Reply::Failed(Error::NoNode) => None,
        Reply::Failed(error) => Some(Entry::Unreadable(error)),
        Reply::Children(_) => Some(Entry::Unreadable(Error::Refused("children in place of a znode".into()))),
    }
}
