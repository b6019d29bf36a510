//! Child lists, read again in turn.
//!
//! ZooKeeper (since CVE-2024-23944 was mended) tells a recursive watch nothing of a znode that the session may not
//! read, not even that it was created: a name that is refused would be denied. The list of its parent shows it. A list
//! comes behind the events of all that is in it, so that a name which is not known then was not told of.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Mirror;
use crate::registry::Path;
use crate::registry::tree::{Entry, Tree};
use crate::zookeeper::session::{Read, Reply};

/// Limit of the lists, and the names in them, that are read in one turn.
const TURN: usize = 500;
/// Limit of the znodes that are passed in one turn.
const PASSED: usize = 5_000;

/// The lists that are being read, and those that are next.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// True if lists are read at all.
    is_on: bool,
    /// Path behind which the next turn begins; none for the first.
    last: Option<Path>,
    /// Parents whose lists are to be read.
    queue: Vec<Path>,
    /// Those of which they are being read.
    asked: BTreeSet<Path>,
    /// Names that were more than a turn's: as many turns are left out as they would take.
    debt: usize,
}

impl Lists {
    /// The connection was lost: nothing is outstanding any more.
    pub(super) fn end_epoch(&mut self) {
        self.queue.clear();
        self.asked.clear();
    }
}

impl Mirror {
    /// Reads child lists again from now on, or no longer.
    pub fn set_listing(&mut self, is_on: bool) {
        self.lists.is_on = is_on;
    }

    /// Chooses the lists of the next turn.
    pub(super) fn list_again(&mut self, tree: &Tree) {
        // Servers that do not answer a batch at one moment are older than the fault, and so than its mending.
        if !self.lists.is_on || !self.at_once || !self.lists.queue.is_empty() || !self.lists.asked.is_empty() {
            return;
        }
        self.lists.debt = self.lists.debt.saturating_sub(TURN);
        if self.lists.debt > 0 {
            return;
        }
        let mut last = None;
        for (path, entry) in tree.range_after(self.lists.last.as_ref(), PASSED) {
            last = Some(path.clone());
            let Entry::Known(known) = entry else { continue };
            // An ephemeral znode has no children.
            let is_listed = self.selected(path).is_some_and(|selected| selected.children);
            let may_have_children = is_listed && known.ephemeral_owner == 0 && tree.refusal(path.as_str()).is_none();
            if may_have_children && !self.is_adding(path) {
                self.lists.queue.push(path.clone());
                if self.lists.queue.len() == TURN {
                    break;
                }
            }
        }
        self.lists.last = last;
        self.lists.debt = self.lists.queue.len();
    }

    /// The next lists to ask for, while nothing else is on its way: no change waits for them.
    pub(super) fn next_lists(&mut self) -> Option<Vec<Read>> {
        if self.in_flight > 0 {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(path) = self.lists.queue.last()
            && batch.len() < self.weights.paths(self.limits.batch_paths)
            && (batch.is_empty() || bytes + path.as_str().len() <= self.limits.batch_bytes)
        {
            bytes += path.as_str().len();
            self.lists.asked.insert(path.clone());
            batch.extend(self.lists.queue.pop().map(Read::Children));
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Takes in the reply to such a list. Returns whether it was one.
    pub(super) fn listed(&mut self, now: Instant, parent: &Path, reply: &Reply, tree: &Tree) -> bool {
        if !self.lists.asked.remove(parent.as_str()) {
            return false;
        }
        // One that is gone or refused meanwhile is told of, or asked for again.
        if let Reply::Children(names) = reply {
            self.lists.debt += names.len();
            let children = names.iter().map(|name| parent.child(name));
            let is_unknown = |child: &Path| tree.get(child.as_str()).is_none() && self.is_mirrored(child);
            let unknown: Vec<Path> = children.filter(is_unknown).collect();
            if !unknown.is_empty() {
                self.differs(now, unknown, tree);
            }
        }
        true
    }
}
