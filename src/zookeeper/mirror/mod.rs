//! The decisions of mirroring a subtree, as a pure state machine: inputs in, actions out, no I/O and no clock of its
//! own. [`super::driver`] performs the actions against a session; a seeded simulator performs them in the tests.
//!
//! # The algorithm
//! A connection lives through one **epoch**. At its start the persistent recursive watch is armed, and only then the
//! server is asked to catch up (`sync`) and the tree is read top-down with unwatched batch reads. Any event, at any
//! time, marks its path; a marked path is read (again), never twice at once; a reply edits its own path only. When the
//! scan is through, the known paths it did not meet are read one by one. Then the epoch is **live**: tree and mirror
//! are equal but for what is under way, and marked paths are read group by group. Any session event and any failed
//! request end the epoch.
//!
//! # Why it converges
//! Fix a path and its last transaction. If the transaction came after the arming, its event comes, and a read is issued
//! after that event; as no other read of the path is outstanding then, it is the last one applied. If it came before,
//! the path is met by the scan or is known from before and verified, and that read came after the arming. No step edits
//! another path than the one read, so paths do not matter to each other. ZooKeeper replays nothing to persistent
//! watches after a reconnect (ZOOKEEPER-4698), hence the full scan: it is the design, not a fallback.
//!
//! # Invariants
//! - At most one read of a znode is outstanding in an epoch.
//! - The tree, once anything was shown, is what readers see or are about to: between the end of an epoch and the next
//!   time the mirror is live it stays as it was, and what changed in between becomes one step.
//! - Znodes that are shown together ([`Grouping`]) are never in the tree but in a state that they once had together:
//!   see `groups`.
//! - The delay between failing connects grows, and starts over only after the mirror was live for a while.
//!
//! ```text
//!            Connected            armed             caught up           scanned, verified
//!   Offline ──────────▶ Arming ──────────▶ Syncing ──────────▶ Scanning ──────────▶ Live
//!      ▲                  ▲                    │                   │                  │
//!      │ session over,    └──── Reconnected ───┤   Disconnected    │                  │
//!      └─ no progress ◀────────── Suspended ◀──┴───────────────────┴──────────────────┘
//! ```
//!
//! # What is not known
//! A znode that was read and is refused now (an ACL or a password changed) stays in the tree as it was, marked with its
//! last reading ([`RootRefusal`](crate::registry::root::RootRefusal)). What can be read again is read with everything
//! below it before any of it is shown (`refused`). An ensemble whose zxids are below those seen before is not believed
//! for a while: see `doubt`.

mod adding;
mod doubt;
mod epoch;
mod groups;
mod holding;
mod keeping;
mod limits;
mod lists;
mod message;
#[cfg(test)]
mod mutation;
mod read_state;
mod reading;
mod refused;
mod staging;
mod untold;
mod weights;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;

use doubt::Doubt;
use groups::Group;
pub use limits::{MirrorLimits, delays};
pub use message::{Action, Difference, Input};
#[cfg(test)]
pub(super) use mutation::Mutation;
use read_state::ReadState;

use super::session::Read;
use crate::backoff::Backoff;
use crate::registry::grouping::{Grouping, Siblings};
use crate::registry::selection::{Everything, Selected, Selection};
use crate::registry::status::{Counters, Phase};
use crate::registry::tree::{Entry, Tree};
use crate::registry::{Error, Path};

/// The state machine. See the module's text.
#[derive(Debug)]
pub struct Mirror {
    root: Path,
    /// Paths mirrored besides the root.
    outside: BTreeSet<Path>,
    /// Those of them that came while the mirror was live, until each was read: how many of its reads are queued or
    /// outstanding; none before its watch is armed.
    adding: BTreeMap<Path, Option<usize>>,
    limits: MirrorLimits,
    phase: Phase,
    epoch: u32,
    /// Paths with a read queued or outstanding.
    busy: HashMap<Path, ReadState, FixedState>,
    /// Reads to issue; the last first, so that a scan goes down before it goes on and the queue stays short.
    queue: Vec<Read>,
    /// Znodes below the root that are mirrored.
    selection: Arc<dyn Selection>,
    /// Groups of znodes that are shown together.
    grouping: Arc<dyn Grouping>,
    /// Once live: the groups in which something is to be read or being read.
    groups: HashMap<Box<str>, Group, FixedState>,
    /// Those of them whose turn it is to be read, each once.
    ready: VecDeque<Box<str>>,
    /// Rest of a group that is too large for one request.
    pieces: VecDeque<Vec<Read>>,
    /// True if a request is answered as of one moment of the server.
    at_once: bool,
    /// Weights of replies.
    weights: weights::Weights,
    /// Paths in the largest request that is outstanding.
    largest_request: usize,
    /// Entries that a scan found to differ from the tree, until it is through.
    staged: BTreeMap<Path, Option<Entry>>,
    in_flight: usize,
    /// Changes of the tree not yet published, and since when there are some.
    changed: BTreeSet<Path>,
    changed_since: Option<Instant>,
    /// Time at which the scan may begin.
    scan_at: Option<Instant>,
    /// Time at which something last moved in this phase; nothing for [`MirrorLimits::patience`] ends the session.
    progress: Instant,
    /// A [`Action::Sync`] that only asks whether the connection is alive is outstanding.
    probing: bool,
    /// Time at which the tree was last known to equal the ensemble's.
    fresh_at: Option<Instant>,
    backoff: Backoff,
    rng: fastrand::Rng,
    /// A bug to prove that the simulator would find it.
    #[cfg(test)]
    pub(super) mutation: Option<Mutation>,
    actions: Vec<Action>,
    counters: Counters,
    trouble: Option<Error>,
    /// Paths below which all is to be read again, as soon as nothing there is being read.
    rescans: BTreeMap<Path, Instant>,
    /// Changes that no event told of.
    untold: untold::Untold,
    /// Time at which what is missing or refused is read again, and the path behind which to go on.
    recheck_at: Instant,
    rechecked: Option<Path>,
    /// Child lists that are read again.
    lists: lists::Lists,
    /// Doubt whether the ensemble is the one it was.
    doubt: Doubt,
}

impl Mirror {
    /// A mirror of `root` and everything below it, offline. `seed` decides the jitter.
    pub fn new(root: Path, limits: MirrorLimits, backoff: Backoff, now: Instant, seed: u64) -> Self {
        Self {
            root,
            outside: BTreeSet::new(),
            adding: BTreeMap::new(),
            limits,
            phase: Phase::Offline,
            epoch: 0,
            busy: HashMap::default(),
            queue: Vec::new(),
            selection: Arc::new(Everything),
            grouping: Arc::new(Siblings),
            groups: HashMap::default(),
            ready: VecDeque::new(),
            pieces: VecDeque::new(),
            at_once: true,
            weights: weights::Weights::default(),
            largest_request: 0,
            staged: BTreeMap::new(),
            in_flight: 0,
            changed: BTreeSet::new(),
            changed_since: None,
            scan_at: None,
            progress: now,
            probing: false,
            fresh_at: None,
            backoff,
            rng: fastrand::Rng::with_seed(seed),
            #[cfg(test)]
            mutation: None,
            actions: vec![Action::Connect { after: Duration::ZERO }],
            counters: Counters::default(),
            trouble: None,
            rescans: BTreeMap::new(),
            untold: untold::Untold::default(),
            recheck_at: now,
            rechecked: None,
            lists: lists::Lists::default(),
            doubt: Doubt::default(),
        }
    }

    /// Mirrors of what is below the root only what `selection` says.
    pub fn selecting(self, selection: Arc<dyn Selection>) -> Self {
        Self { selection, ..self }
    }

    /// Shows znodes together as `grouping` says, and not those below one znode.
    pub fn grouped(self, grouping: Arc<dyn Grouping>) -> Self {
        Self { grouping, ..self }
    }

    /// Takes in what happened. Actions wait for [`Self::poll`], so that many events can become one batch.
    pub fn handle(&mut self, now: Instant, input: Input, tree: &mut Tree) {
        match input {
            Input::Connected { at_once } => {
                self.at_once = at_once;
                self.counters.sessions += 1;
                self.begin_epoch(now);
            }
            Input::ConnectFailed(error) => {
                self.counters.failed_connects += 1;
                self.reconnect(now, error);
            }
            Input::Armed(epoch, result) if epoch == self.epoch && self.phase == Phase::Arming => match result {
                Ok(()) => {
                    self.enter(now, Phase::Syncing);
                    self.actions.push(Action::Sync(epoch));
                }
                Err(error) => self.failed(now, error),
            },
            Input::Synced(epoch, result) if epoch == self.epoch => match (self.phase, result) {
                (_, Err(error)) => self.failed(now, error),
                (Phase::Syncing, Ok(zxid)) => {
                    self.enter(now, Phase::Syncing);
                    self.doubt.above(zxid);
                    self.scan_at = Some(now + self.stagger(tree));
                    self.scan(now);
                }
                (_, Ok(_)) => self.proven(now),
            },
            Input::Joined(epoch, root, result) if epoch == self.epoch => match result {
                Ok(()) => self.joined(now, &root, tree),
                Err(error) => self.failed(now, error),
            },
            Input::Outside(outside) => self.set_outside(now, outside, tree),
            Input::Replied(epoch, batch, result) if epoch == self.epoch => match result {
                Ok(replies) => self.replied(now, batch, replies, tree),
                Err(error) => self.failed(now, error),
            },
            // Answers from an epoch that has ended say nothing about this one.
            Input::Armed(..) | Input::Synced(..) | Input::Joined(..) | Input::Replied(..) => {}
            Input::Event(event) => self.event(now, event),
            Input::Differs(paths) => self.differs(now, paths, tree),
            Input::Tick => self.tick(now, tree),
        }
        if self.phase != Phase::Offline && tree.len().max(self.staged.len()) > self.limits.znodes {
            self.too_many(now);
        }
        let is_idle = self.queue.is_empty() && self.in_flight == 0;
        if self.phase == Phase::Scanning && is_idle {
            self.scanned(now, tree);
        }
        if self.phase == Phase::Live {
            self.begin_rescans(now, tree);
            self.finish_untold();
        }
    }

    /// Takes out what is to be done now.
    pub fn poll(&mut self, now: Instant) -> Vec<Action> {
        if self.phase == Phase::Live {
            self.publish(now);
        }
        while self.in_flight < self.weights.in_flight(self.limits.in_flight) {
            let Some(batch) = self.next_request(now) else { break };
            self.largest_request = self.largest_request.max(batch.len());
            self.in_flight += 1;
            self.counters.reads += batch.len() as u64;
            self.actions.push(Action::Read(self.epoch, batch));
        }
        std::mem::take(&mut self.actions)
    }

    /// The tree was filled from elsewhere with what was exact at `at`.
    pub fn restored(&mut self, at: Instant) {
        self.fresh_at = Some(at);
    }

    /// Age that the published view may have at `now`: the time since the ensemble last proved that it is exact, by any
    /// reply. Zero while the proof is as young as the probing makes it; none before anything was exact.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.fresh_at?);
        // Two probes may go wrong before the view is doubted.
        Some(if self.phase == Phase::Live && age < self.limits.probe * 3 { Duration::ZERO } else { age })
    }

    /// Returns whether the tree holds nothing that is not published.
    pub fn is_settled(&self) -> bool {
        self.changed.is_empty()
    }

    /// Returns whether `epoch` is the one that lasts.
    pub fn is_current(&self, epoch: u32) -> bool {
        self.epoch == epoch
    }

    /// Returns whether the ensemble is not believed, as it is older than what was seen of it.
    pub fn is_holding(&self) -> bool {
        self.doubt.since.is_some()
    }

    /// Holds an ensemble that is older than what was seen of it back for this long.
    pub fn holding(mut self, hold: Duration) -> Self {
        self.limits.hold_old = hold;
        self
    }

    /// Mirrors no more znodes than this.
    pub fn limited(mut self, znodes: usize) -> Self {
        self.limits.znodes = znodes;
        self
    }

    /// Its phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its counters.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Time at which the published view was last known to be exact; none before the first.
    pub fn fresh_at(&self) -> Option<Instant> {
        self.fresh_at
    }

    /// The trouble that ended the last epoch or connect, until the mirror is live again.
    pub fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }

    fn enter(&mut self, now: Instant, phase: Phase) {
        self.phase = phase;
        self.progress = now;
    }

    /// Everything that is mirrored.
    fn roots(&self) -> Vec<Path> {
        std::iter::once(&self.root).chain(&self.outside).cloned().collect()
    }

    /// The parts of a znode that are mirrored; none where it is not.
    fn selected(&self, path: &Path) -> Option<Selected> {
        let below = path.below(&self.root).and_then(|below| self.selection.selected(below));
        below.or_else(|| self.outside.iter().any(|root| path.below(root).is_some()).then_some(Selected::WHOLE))
    }

    fn is_mirrored(&self, path: &Path) -> bool {
        self.selected(path).is_some()
    }
}

#[cfg(test)]
mod tests;
