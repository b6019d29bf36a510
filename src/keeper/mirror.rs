//! The decisions of mirroring a subtree, as a pure state machine: inputs in, actions out, no I/O and no clock of its own.
//! [`super::driver`] performs the actions against a session; a seeded simulator performs them in the tests.
//!
//! # The algorithm
//! A connection lives through one **epoch**. At its start the persistent recursive watch is armed, and only then the
//! server is asked to catch up (`sync`) and the tree is read top-down with unwatched batch reads. Any event, at any time,
//! marks its path; a marked path is read (again), never twice at once; a reply edits its own path only. When the scan is
//! through, the known paths it did not meet are read one by one. Then the epoch is **live**: tree and mirror are equal
//! but for what is under way. Any session event and any failed request end the epoch.
//!
//! # Why it converges
//! Fix a path and its last transaction. If the transaction came after the arming, its event comes, and a read is issued
//! after that event; as no other read of the path is outstanding then, it is the last one applied. If it came before,
//! the path is met by the scan or is known from before and verified, and that read came after the arming. No step edits
//! another path than the one read, so paths do not matter to each other. ZooKeeper replays nothing to persistent watches
//! after a reconnect (ZOOKEEPER-4698), hence the full scan: it is the design, not a fallback.
//!
//! # Invariants
//! - At most one read of a znode is outstanding at any time.
//! - Nothing is published between the end of an epoch and the next time the mirror is live: readers see the last exact
//!   view, then the next, and what changed in between as one step.
//! - Changes to children of one znode are published together if they were seen together.
//! - The delay between failing connects grows, and starts over only after the mirror was live for a while.
//!
//! ```text
//!            Connected            armed             caught up           scanned, verified
//!   Offline ──────────▶ Arming ──────────▶ Syncing ──────────▶ Scanning ──────────▶ Live
//!      ▲                  ▲                    │                   │                  │
//!      │ session over,    └──── Reconnected ───┤   Disconnected    │                  │
//!      └─ no progress ◀────────── Suspended ◀──┴───────────────────┴──────────────────┘
//! ```

mod joining;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;

use super::session::{Event, Read, Reply};
use super::tree::{Entry, Tree};
use super::{Error, Path};
use crate::backoff::Backoff;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The connect that was asked for succeeded: there is a new session.
    Connected,
    /// The connect failed.
    ConnectFailed(Error),
    /// The watch of this epoch is armed, or not.
    Armed(u32, Result<(), Error>),
    /// The server has caught up, or the sync failed.
    Synced(u32, Result<(), Error>),
    /// A batch was answered, or failed as a whole.
    Replied(u32, Vec<Read>, Result<Vec<Reply>, Error>),
    /// The further watch of this epoch is armed and the server has caught up, or not.
    Joined(u32, Path, Result<(), Error>),
    /// These, and no others, are to be mirrored besides the root.
    Outside(BTreeSet<Path>),
    /// The watch said something.
    Event(Event),
    /// Time has passed. At least once a second.
    Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Give up the session, with everything that is outstanding; then connect anew after a while.
    Connect {
        /// How long to wait first.
        after: Duration,
    },
    /// Arm a watch on each of these; once they are armed, drop those before.
    Arm(u32, Vec<Path>),
    /// Arm one watch more, then ask the server to catch up.
    Join(u32, Path),
    /// Drop the watch on this, if there is one.
    Leave(Path),
    /// Ask the server to catch up.
    Sync(u32),
    /// Read these, in one request.
    Read(u32, Vec<Read>),
    /// Show the readers the tree as it is now; these paths changed since the last time.
    Publish(BTreeSet<Path>),
}

/// Where the mirror stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No session.
    Offline,
    /// A session without a connection.
    Suspended,
    /// The watch is being armed.
    Arming,
    /// The server is catching up.
    Syncing,
    /// The tree is being read.
    Scanning,
    /// The mirror follows every change.
    Live,
}

impl Phase {
    /// All of them, in the order they are gone through.
    pub const ALL: [Self; 6] =
        [Self::Offline, Self::Suspended, Self::Arming, Self::Syncing, Self::Scanning, Self::Live];

    /// The phase's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Suspended => "suspended",
            Self::Arming => "arming",
            Self::Syncing => "syncing",
            Self::Scanning => "scanning",
            Self::Live => "live",
        }
    }
}

/// What the mirror counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions opened.
    pub sessions: u64,
    /// Connects that failed.
    pub failed_connects: u64,
    /// Epochs begun.
    pub epochs: u64,
    /// Epochs that became live.
    pub syncs: u64,
    /// Watch events about znodes.
    pub events: u64,
    /// Znodes and child lists read.
    pub reads: u64,
}

/// The state machine. See the module's text.
#[derive(Debug)]
pub struct Mirror {
    root: Path,
    /// What is mirrored besides the root.
    outside: BTreeSet<Path>,
    /// Those of them that came while the mirror was live, until each was read: how many of its reads are queued or
    /// outstanding; none before its watch is armed.
    joining: BTreeMap<Path, Option<usize>>,
    limits: Limits,
    phase: Phase,
    epoch: u32,
    /// Paths with a read queued or outstanding.
    busy: HashMap<Path, Busy, FixedState>,
    /// Reads to issue; the last first, so that a scan goes down before it goes on and the queue stays short.
    queue: Vec<Read>,
    in_flight: usize,
    /// Changes not yet published, and since when there are some.
    changed: BTreeSet<Path>,
    changed_since: Option<Instant>,
    /// When the scan may begin.
    scan_at: Option<Instant>,
    /// When something last moved in this phase; nothing for [`Limits::patience`] ends the session.
    progress: Instant,
    /// A [`Action::Sync`] that only asks whether the connection is alive is outstanding.
    probing: bool,
    /// When the tree was last known to equal the ensemble's.
    fresh_at: Option<Instant>,
    backoff: Backoff,
    rng: fastrand::Rng,
    /// A bug to prove that the simulator would find it.
    #[cfg(test)]
    pub(super) sabotage: Option<Sabotage>,
    actions: Vec<Action>,
    counters: Counters,
    trouble: Option<Error>,
}

/// What the scan of one znode takes, about; measured at a million.
const SCAN_OF_ONE: Duration = Duration::from_micros(5);
/// How far scans are spread at most.
const LONGEST_STAGGER: Duration = Duration::from_secs(10);
/// Scans that take less are not spread.
const SHORTEST_STAGGER: Duration = Duration::from_millis(250);

/// Bugs that other mirrors of this kind have had.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// "No such znode" takes out everything below, too.
    SubtreeRemoval,
    /// A reconnect within the session is taken as if nothing had been missed.
    NoResync,
    /// An event during a read of its path is thought to be covered by that read.
    NoSecondRead,
    /// What the scan did not meet is left as it is.
    NoVerify,
    /// Each change is shown as soon as it was read, whatever happens to its neighbours.
    PublishAtOnce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    Queued,
    Reading,
    /// Marked again while it was being read: the reply may be older than the event.
    ReadingMarked,
}

/// How much at once, how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Paths in one request. Servers refuse requests above 1 MiB (jute.maxbuffer).
    pub batch_paths: usize,
    /// Bytes of paths in one request.
    pub batch_bytes: usize,
    /// Requests outstanding.
    pub in_flight: usize,
    /// How long changes may be held back while reads of their neighbours are outstanding.
    pub hold: Duration,
    /// How long without any progress until the session is given up.
    pub patience: Duration,
    /// How long without traffic until the connection is probed.
    pub probe: Duration,
    /// How long without a connection until the session is given up: a new one costs no more than to go on with the old
    /// one, and whoever connects anew tries more often than the client library does within a session.
    pub suspension: Duration,
}

impl Limits {
    /// Limits for a session with this time-out.
    pub fn for_session(timeout: Duration) -> Self {
        Self {
            batch_paths: 500,
            batch_bytes: 256 << 10,
            in_flight: 8,
            hold: Duration::from_millis(50),
            patience: timeout * 2,
            probe: timeout / 3,
            suspension: Duration::from_secs(1),
        }
    }
}

impl Mirror {
    /// A mirror of `root` and everything below it, offline. `seed` decides the jitter.
    pub fn new(root: Path, limits: Limits, backoff: Backoff, now: Instant, seed: u64) -> Self {
        Self {
            root,
            outside: BTreeSet::new(),
            joining: BTreeMap::new(),
            limits,
            phase: Phase::Offline,
            epoch: 0,
            busy: HashMap::default(),
            queue: Vec::new(),
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
            sabotage: None,
            actions: vec![Action::Connect { after: Duration::ZERO }],
            counters: Counters::default(),
            trouble: None,
        }
    }

    /// Takes in what happened. Actions wait for [`Self::poll`], so that many events can become one batch.
    pub fn handle(&mut self, now: Instant, input: Input, tree: &mut Tree) {
        match input {
            Input::Connected => {
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
                (Phase::Syncing, Ok(())) => {
                    self.enter(now, Phase::Syncing);
                    self.scan_at = Some(now + self.stagger(tree));
                    self.scan(now);
                }
                (_, Ok(())) => self.proven(now),
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
            Input::Tick => self.tick(now),
        }
        if self.phase == Phase::Scanning && self.queue.is_empty() && self.in_flight == 0 {
            self.scanned(now, tree);
        }
    }

    /// Takes out what is to be done now.
    pub fn poll(&mut self, now: Instant) -> Vec<Action> {
        if self.phase == Phase::Live {
            self.publish(now);
        }
        while !self.queue.is_empty() && self.in_flight < self.limits.in_flight {
            let batch = self.next_batch();
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

    /// How old the published view may be, at `now`: the time since the ensemble last proved that it is exact, by any
    /// reply. Zero while the proof is as young as the probing makes it; none before anything was exact.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.fresh_at?);
        // Two probes may go wrong before the view is doubted.
        Some(if self.phase == Phase::Live && age < self.limits.probe * 3 { Duration::ZERO } else { age })
    }

    /// Whether the tree holds nothing that is not published.
    pub fn is_settled(&self) -> bool {
        self.changed.is_empty()
    }

    /// Whether `epoch` is the one that lasts.
    pub fn is_current(&self, epoch: u32) -> bool {
        self.epoch == epoch
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What it counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether something in `directory` is still to be read.
    #[cfg(test)]
    pub(super) fn is_reading_in(&self, directory: &str) -> bool {
        self.busy.keys().any(|path| path.parent() == Some(directory))
    }

    /// When the published view was last known to be exact; none before the first time.
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

    fn begin_epoch(&mut self, now: Instant) {
        self.end_epoch();
        self.epoch = self.epoch.wrapping_add(1);
        self.counters.epochs += 1;
        self.enter(now, Phase::Arming);
        self.actions.push(Action::Arm(self.epoch, self.roots()));
    }

    /// How long to wait before the scan. All who lost an ensemble come back at the same moment, and each scan of a large
    /// tree is seconds of the servers' work: who has something to serve meanwhile lets chance spread them, over as long
    /// as such a scan takes itself.
    fn stagger(&mut self, tree: &Tree) -> Duration {
        let most = SCAN_OF_ONE.saturating_mul(u32::try_from(tree.len()).unwrap_or(u32::MAX)).min(LONGEST_STAGGER);
        // Below the tick's length nothing is won.
        if most < SHORTEST_STAGGER { Duration::ZERO } else { most.mul_f64(self.rng.f64()) }
    }

    /// Begins the scan, when it is time.
    fn scan(&mut self, now: Instant) {
        if self.phase == Phase::Syncing && self.scan_at.is_some_and(|at| at <= now) {
            self.scan_at = None;
            self.enter(now, Phase::Scanning);
            for root in self.roots() {
                self.visit(root);
            }
        }
    }

    /// Everything that is mirrored.
    fn roots(&self) -> Vec<Path> {
        std::iter::once(&self.root).chain(&self.outside).cloned().collect()
    }

    fn is_mirrored(&self, path: &Path) -> bool {
        path.below(&self.root).is_some() || self.outside.iter().any(|root| path.below(root).is_some())
    }

    /// Forgets what is outstanding: its answers, should they come, are told by their epoch. What was seen while the
    /// epoch lasted is still good to publish.
    fn end_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.busy.clear();
        self.queue.clear();
        self.scan_at = None;
        self.joining.clear();
        self.in_flight = 0;
        self.probing = false;
        self.actions.retain(|action| matches!(action, Action::Publish(_)));
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Changed(path) => {
                if !self.is_mirrored(&path) || matches!(self.phase, Phase::Offline | Phase::Suspended) {
                    return;
                }
                self.counters.events += 1;
                self.mark(path);
            }
            Event::Disconnected if self.phase != Phase::Offline => self.suspend(now),
            #[cfg(test)]
            Event::Connected if self.sabotage == Some(Sabotage::NoResync) && self.counters.syncs > 0 => {
                self.enter(now, Phase::Live);
            }
            Event::Connected if self.phase != Phase::Offline => self.begin_epoch(now),
            Event::Disconnected | Event::Connected => {}
            Event::Over(error) => self.reconnect(now, error),
        }
    }

    /// The connection is gone, the session may come back.
    fn suspend(&mut self, now: Instant) {
        self.end_epoch();
        self.trouble.get_or_insert(Error::ConnectionLoss("the server closed the connection or went silent".into()));
        self.enter(now, Phase::Suspended);
    }

    /// A request of this epoch failed. A broken connection comes back by itself within the session; anything else needs
    /// a new session.
    fn failed(&mut self, now: Instant, error: Error) {
        match error {
            // Without an armed watch nobody would tell that the connection is back.
            Error::ConnectionLoss(_) if self.phase != Phase::Arming => {
                self.trouble = Some(error);
                self.suspend(now);
            }
            _ => self.reconnect(now, error),
        }
    }

    /// The session is of no use.
    fn reconnect(&mut self, now: Instant, error: Error) {
        self.end_epoch();
        self.trouble = Some(error);
        self.enter(now, Phase::Offline);
        let after = self.backoff.failed(now, self.rng.f64());
        self.actions.push(Action::Connect { after });
    }

    fn tick(&mut self, now: Instant) {
        self.scan(now);
        let idle = now.saturating_duration_since(self.progress);
        match self.phase {
            // The connect that was asked for is bounded in time by itself.
            Phase::Offline => {}
            Phase::Suspended if idle >= self.limits.suspension => {
                let error = self.trouble.clone().unwrap_or(Error::Timeout);
                self.reconnect(now, error);
            }
            _ if idle >= self.limits.patience => self.reconnect(now, Error::Timeout),
            Phase::Live if idle >= self.limits.probe && !self.probing => {
                self.probing = true;
                self.actions.push(Action::Sync(self.epoch));
            }
            _ => {}
        }
    }

    /// The server has just answered: the connection is alive.
    fn proven(&mut self, now: Instant) {
        self.progress = now;
        self.probing = false;
        if self.phase == Phase::Live {
            self.fresh_at = Some(now);
        }
    }

    /// Something happened at `path`: it must be read after this moment.
    fn mark(&mut self, path: Path) {
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
    fn visit(&mut self, path: Path) {
        if !self.busy.contains_key(&path) {
            self.count_joining(&path, |reads| reads + 1);
            self.queue.push(Read::Node(path.clone()));
            self.busy.insert(path, Busy::Queued);
        }
    }

    fn next_batch(&mut self) -> Vec<Read> {
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

    fn replied(&mut self, now: Instant, batch: Vec<Read>, replies: Vec<Reply>, tree: &mut Tree) {
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
    fn scanned(&mut self, now: Instant, tree: &mut Tree) {
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

    /// Publishes what has settled: everything when no read is outstanding, and after a while all but what has
    /// neighbours still being read; in the end everything, as a storm must not keep good news back.
    fn publish(&mut self, now: Instant) {
        let Some(since) = self.changed_since else { return };
        let held = now.saturating_duration_since(since);
        // What is read for the first time shows in whole, and holds nobody up.
        let joining = if self.joining.is_empty() { BTreeSet::new() } else { self.take_joining() };
        self.publish_settled(held);
        if !joining.is_empty() {
            self.changed.extend(joining);
            self.changed_since = Some(since);
        }
    }

    fn publish_settled(&mut self, held: Duration) {
        #[cfg(test)]
        let held = if self.sabotage == Some(Sabotage::PublishAtOnce) { self.limits.hold * 10 } else { held };
        if self.changed.is_empty() {
            self.changed_since = None;
        } else if self.busy.is_empty() || held >= self.limits.hold * 10 {
            self.actions.push(Action::Publish(std::mem::take(&mut self.changed)));
            self.changed_since = None;
        } else if held >= self.limits.hold {
            let unsettled: HashSet<&str> = self.busy.keys().filter_map(Path::parent).collect();
            let (held_back, settled) = std::mem::take(&mut self.changed)
                .into_iter()
                .partition(|path| path.parent().is_some_and(|parent| unsettled.contains(parent)));
            self.changed = held_back;
            if self.changed.is_empty() {
                self.changed_since = None;
            }
            let settled: BTreeSet<Path> = settled;
            if !settled.is_empty() {
                self.actions.push(Action::Publish(settled));
            }
        }
    }
}

#[cfg(test)]
mod tests;
