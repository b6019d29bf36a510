//! Reads: which are due, and what their answers do to the tree.

use std::time::Instant;

#[cfg(test)]
use super::Sabotage;
use super::{Action, Mirror, Phase};
use crate::keeper::session::{Read, Reply};
use crate::keeper::tree::{Entry, Tree};
use crate::keeper::{Error, Path};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    Queued,
    Reading,
    /// Marked again while it was being read: the reply may be older than the event.
    ReadingMarked,
}

impl Mirror {
    /// Something happened at `path`: it must be read after this moment.
    pub(super) fn mark(&mut self, path: Path) {
        match self.busy.get_mut(&path) {
            #[cfg(test)]
            Some(Busy::Reading) if self.sabotage == Some(Sabotage::NoSecondRead) => {}
            Some(Busy::Reading) => {
                self.busy.insert(path, Busy::ReadingMarked);
            }
            Some(Busy::Queued | Busy::ReadingMarked) => {}
            None => self.visit(path),
        }
    }

    /// Queues a read of `path`, unless one is queued or outstanding already.
    pub(super) fn visit(&mut self, path: Path) {
        if !self.busy.contains_key(&path) {
            self.count_joining(&path, |reads| reads + 1);
            self.queue.push(Read::Node(path.clone()));
            self.busy.insert(path, Busy::Queued);
        }
    }

    pub(super) fn next_batch(&mut self) -> Vec<Read> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(read) = self.queue.last() {
            bytes += read.path().as_str().len();
            if !batch.is_empty() && (batch.len() == self.limits.batch_paths || bytes > self.limits.batch_bytes) {
                break;
            }
            if let Read::Node(path) = read
                && let Some(busy) = self.busy.get_mut(path)
            {
                *busy = Busy::Reading;
            }
            batch.extend(self.queue.pop());
        }
        batch
    }

    pub(super) fn replied(&mut self, now: Instant, batch: Vec<Read>, replies: Vec<Reply>, tree: &mut Tree) {
        self.in_flight -= 1;
        self.proven(now);
        for (read, reply) in batch.into_iter().zip(replies) {
            match (read, reply) {
                (Read::Node(path), reply) => self.node_read(now, &path, reply, tree),
                (Read::Children(parent), Reply::Children(names)) => {
                    for name in names {
                        let child = parent.child(&name);
                        if self.is_joining(&child) || !tree.met(&child, self.epoch) {
                            self.visit(child);
                        }
                    }
                    self.count_joining(&parent, |reads| reads.saturating_sub(1));
                }
                // Gone meanwhile, or not ours to list. What is known below it is verified at the end of the scan.
                (Read::Children(parent), _) => self.count_joining(&parent, |reads| reads.saturating_sub(1)),
            }
        }
        if !self.joining.is_empty() {
            self.finish_joining(now, tree);
        }
    }

    /// Applies what was read of `path`, to `path` alone.
    fn node_read(&mut self, now: Instant, path: &Path, reply: Reply, tree: &mut Tree) {
        let marked = self.busy.remove(path) == Some(Busy::ReadingMarked);
        if !self.is_mirrored(path) {
            return;
        }
        let changed = match reply {
            Reply::Node(znode) => {
                // Once live, every child has an event of its own. Before, an event may have made this the scan's read.
                if (self.phase != Phase::Live || self.is_joining(path)) && znode.stat.num_children > 0 {
                    self.count_joining(path, |reads| reads + 1);
                    self.queue.push(Read::Children(path.clone()));
                }
                tree.put(path, Entry::Known(znode.into()), self.epoch)
            }
            #[cfg(test)]
            Reply::Failed(Error::NoNode) if self.sabotage == Some(Sabotage::SubtreeRemoval) => {
                let below: Vec<Path> = tree.subtree(path).map(|(path, _)| path.clone()).collect();
                below.iter().filter(|path| tree.remove(path)).count() > 0
            }
            Reply::Failed(Error::NoNode) => tree.remove(path),
            Reply::Failed(error) => tree.put(path, Entry::Unreadable(error), self.epoch),
            Reply::Children(_) => false,
        };
        if changed {
            self.changed.insert(path.clone());
            self.changed_since.get_or_insert(now);
        }
        if marked {
            self.visit(path.clone());
        }
        self.count_joining(path, |reads| reads.saturating_sub(1));
    }

    /// The scan has run dry: verify what it did not meet, then go live.
    pub(super) fn scanned(&mut self, now: Instant, tree: &mut Tree) {
        let not_met = tree.not_met(self.epoch);
        #[cfg(test)]
        let not_met = if self.sabotage == Some(Sabotage::NoVerify) { Vec::new() } else { not_met };
        if not_met.is_empty() {
            self.counters.syncs += 1;
            self.roots().iter().for_each(|root| tree.cover(root));
            self.trouble = None;
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
