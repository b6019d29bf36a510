//! The decisions of one round of verification, pure: what to read next, and which paths differ from the tree.
//!
//! A round walks the tree in the order of its paths and reads each znode, and the child list of each that has children.
//! Either side may be ahead of the other at that moment, so what differs is read once more a little later. Whether an
//! event is still on its way for what differs then, only the mirror can tell: it reads the path on its own connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::registry::selection::{Selected, Selection};
use crate::registry::tree::{Entry, Tree};
use crate::registry::{Error, Path};
use crate::zookeeper::session::{Read, Reply};

/// Znodes that are read in a second, at most.
const PER_SECOND: u32 = 200;
/// Paths in a request.
const PATHS: usize = 50;
/// Bytes of known data that a request asks for, about.
const BYTES: usize = 256 << 10;
/// Names in a child list that take as long as one znode.
const NAMES: usize = 50;
/// Names in the child lists that a request asks for, about.
const MAX_NAMES: usize = 5_000;
/// Time between the two readings of what differs.
const RETRY: Duration = Duration::from_secs(1);

/// State of a znode at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeState {
    /// There is none.
    Gone,
    /// It was created and last written by these transactions.
    There { czxid: i64, mzxid: i64 },
    /// The server does not show it.
    Refused,
}

impl NodeState {
    /// State of the znode at `path`, as the mirror has it.
    fn in_tree(tree: &Tree, path: &Path) -> Self {
        match tree.get(path.as_str()) {
            _ if tree.refusal(path.as_str()).is_some() => Self::Refused,
            Some(Entry::Known(known)) => Self::There { czxid: known.czxid, mzxid: known.mzxid },
            Some(Entry::Unreadable(_)) => Self::Refused,
            None => Self::Gone,
        }
    }

    fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Node(znode) => Self::There { czxid: znode.stat.czxid, mzxid: znode.stat.mzxid },
            Reply::Failed(Error::NoNode) => Self::Gone,
            Reply::Failed(_) | Reply::Children(_) => Self::Refused,
        }
    }

    /// Returns whether the mirror, which has this, is where the server is that said `server`, or is further.
    fn has(self, server: Self) -> bool {
        match (self, server) {
            (Self::There { czxid, mzxid }, Self::There { czxid: created, mzxid: written }) => {
                czxid >= created && mzxid >= written
            }
            (one, other) => one == other,
        }
    }
}

/// Next step of a round.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read these, in one request.
    Read(Vec<Read>),
    /// Nothing before this moment.
    Rest(Instant),
    /// The round is over.
    Over,
}

/// One walk through the tree.
#[derive(Debug)]
pub struct Round {
    /// The mirror's root, and the znodes below it that it wants.
    scope: (Path, Arc<dyn Selection>),
    /// The last path of the walk; none before the first.
    last: Option<Path>,
    /// True if the walk has come to the end.
    walked: bool,
    /// Znodes of which the child list is to be read, and how long it is, about.
    lists: VecDeque<(Path, usize)>,
    /// Paths that differed when they were read first, and when to read them again; in the order of that.
    suspects: VecDeque<(Path, Instant)>,
    /// True if the request that is outstanding reads suspects again.
    is_second: bool,
    /// Time at which the next request may leave.
    next_at: Option<Instant>,
}

impl Round {
    /// A round that has not begun, of what is mirrored.
    pub fn of(scope: (Path, Arc<dyn Selection>)) -> Self {
        Self {
            scope,
            last: None,
            walked: false,
            lists: VecDeque::new(),
            suspects: VecDeque::new(),
            is_second: false,
            next_at: None,
        }
    }

    fn selected(&self, path: &Path) -> Option<Selected> {
        // What links lead to is mirrored whole.
        path.below(&self.scope.0).map_or(Some(Selected::WHOLE), |below| self.scope.1.selected(below))
    }

    /// Forgets what differed at first sight: the mirror has lost its connection, and reads everything again by itself.
    pub fn interrupted(&mut self) {
        self.suspects.clear();
        self.is_second = false;
    }

    /// Returns what to do next.
    pub fn next(&mut self, tree: &Tree, now: Instant) -> Step {
        if let Some(at) = self.next_at.filter(|at| *at > now) {
            return Step::Rest(at);
        }
        let due = self.suspects.iter().take_while(|(_, due)| *due <= now).count().min(PATHS);
        self.is_second = due > 0;
        let batch: Vec<Read> = if due > 0 {
            self.suspects.drain(..due).map(|(path, _)| Read::Node(path)).collect()
        } else if self.lists.len() >= PATHS || self.walked {
            self.next_lists()
        } else {
            self.walk(tree)
        };
        // The walk has just come to its end, and lists are left.
        let batch = if batch.is_empty() { self.next_lists() } else { batch };
        match (batch.is_empty(), self.suspects.front()) {
            (true, None) => Step::Over,
            (true, Some((_, due))) => Step::Rest(*due),
            (false, _) => {
                self.pause(batch.len(), now);
                Step::Read(batch)
            }
        }
    }

    /// Takes in the replies to what was read last. Returns the paths at which the tree is not what the server has.
    pub fn replied(&mut self, batch: Vec<Read>, replies: &[Reply], tree: &Tree, now: Instant) -> Vec<Path> {
        let mut differing = Vec::new();
        for (read, reply) in batch.into_iter().zip(replies) {
            match (read, reply) {
                (Read::Children(parent), Reply::Children(names)) => {
                    self.pause(names.len() / NAMES, now);
                    let children = names.iter().map(|name| parent.child(name));
                    let is_unknown =
                        |child: &Path| tree.get(child.as_str()).is_none() && self.selected(child).is_some();
                    let unknown: Vec<Path> = children.filter(is_unknown).collect();
                    self.suspects.extend(unknown.into_iter().map(|child| (child, now + RETRY)));
                }
                // Gone or refused meanwhile, as its own reading tells.
                (Read::Children(_), _) => {}
                (Read::Node(path), reply) => {
                    let is_same = NodeState::in_tree(tree, &path).has(NodeState::of(reply));
                    if self.is_second {
                        differing.extend((!is_same).then_some(path));
                        continue;
                    }
                    let children = match reply {
                        Reply::Node(znode) => usize::try_from(znode.stat.num_children).unwrap_or(0),
                        _ => 0,
                    };
                    let is_listed = self.selected(&path).is_some_and(|selected| selected.children);
                    if is_listed && (children > 0 || tree.children(&path).next().is_some()) {
                        self.lists.push_back((path.clone(), children));
                    }
                    if !is_same {
                        self.suspects.push_back((path, now + RETRY));
                    }
                }
            }
        }
        differing
    }

    /// The next child lists, as many as make no long answer.
    fn next_lists(&mut self) -> Vec<Read> {
        let (mut batch, mut names) = (Vec::new(), 0);
        while batch.len() < PATHS && names < MAX_NAMES {
            let Some((path, length)) = self.lists.pop_front() else { break };
            names += length;
            batch.push(Read::Children(path));
        }
        batch
    }

    /// Lets as long pass before the next request as so many znodes may take.
    fn pause(&mut self, znodes: usize, now: Instant) {
        let pause = Duration::from_secs(1) * u32::try_from(znodes).unwrap_or(u32::MAX) / PER_SECOND;
        self.next_at = Some(self.next_at.unwrap_or(now).max(now) + pause);
    }

    /// The next znodes of the walk.
    fn walk(&mut self, tree: &Tree) -> Vec<Read> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while !self.walked && batch.len() < PATHS && bytes < BYTES {
            let Some((path, entry)) = tree.range_after(self.last.as_ref(), 1).next() else {
                self.walked = true;
                break;
            };
            match entry {
                // The mirror does not read what is too large either; an event tells when that changes.
                Entry::Unreadable(Error::TooMuchData { .. }) => {}
                Entry::Known(known) => {
                    bytes += known.data.len();
                    batch.push(Read::Node(path.clone()));
                }
                Entry::Unreadable(_) => batch.push(Read::Node(path.clone())),
            }
            self.last = Some(path.clone());
        }
        batch
    }
}
