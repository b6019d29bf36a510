//! A seeded world for the mirror: an ensemble's tree with random writers, a connection that breaks, requests and
//! replies that take their time, servers that lag, sessions that expire.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::readers::{Alone, History, Readers, Services, group};
use super::selecting::Chosen;
use super::{Script, links};
use crate::registry::grouping::Grouping;
use crate::registry::selection::{Everything, Selected, Selection};
use crate::registry::status::Phase;
use crate::registry::tree::{Entry, Tree};
use crate::registry::{Error, Path};
use crate::zookeeper::mirror::{Action, Input, Mirror, MirrorLimits, Mutation, delays};
use crate::zookeeper::session::{Event, Read};
use crate::zookeeper::verify::Round;

/// Something on its way between mirror and server, and when it may arrive at the earliest.
pub(super) struct Delivery<T> {
    pub(super) due: Instant,
    pub(super) what: T,
}

/// Data, czxid and mzxid of each znode.
pub(super) type Znodes = BTreeMap<Path, (Vec<u8>, i64, i64)>;

pub(super) struct World {
    pub(super) script: Script,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Instant,
    pub(super) zxid: i64,
    pub(super) znodes: Znodes,
    /// True if things go wrong and znodes are written.
    pub(super) is_stormy: bool,
    history: History,
    /// Znodes that the mirror's sessions may not read. Nothing is told of them, nor of what is below.
    pub(super) refused: BTreeSet<Path>,
    /// Those of them that the mirror had read before, by the transaction that created each.
    pub(super) kept: BTreeMap<Path, i64>,
    /// The verification under way, and the epoch that it is in.
    pub(super) round: Round,
    pub(super) selection: Arc<dyn Selection>,
    pub(super) verified_in: Option<u64>,
    /// State that the connected server knows: an older state while it lags.
    pub(super) lagging: Option<Znodes>,
    pub(super) missed_while_lagging: Vec<Path>,
    pub(super) session: bool,
    /// Number of the connection that stands, if one does.
    pub(super) connection: Option<u64>,
    pub(super) connections: u64,
    /// The connection on which the recursive watch is armed, and on what.
    pub(super) armed: Option<u64>,
    pub(super) watched: BTreeSet<Path>,
    connect_due: Option<Instant>,
    /// To the server, in the order in which it will do them.
    pub(super) requests: VecDeque<Delivery<Action>>,
    /// To the mirror.
    pub(super) coming: Vec<Delivery<Input>>,
    pub(super) mirror: Mirror,
    pub(super) tree: Tree,
    pub(super) readers: Readers,
    pub(super) outside: BTreeSet<Path>,
    /// Reads of znodes that are outstanding, by epoch: answers from one that has ended say nothing about this one.
    pub(super) outstanding: BTreeMap<(u32, Path), u32>,
    batch_paths: usize,
    pub(super) delays: Vec<Duration>,
    traced: bool,
    pub(super) trace: Vec<String>,
    mixture: Option<String>,
    pub(super) inputs: u64,
    pub(super) publishes: u64,
    pub(super) states: HashSet<u64>,
}

pub(super) const PATHS: [&str; 18] = [
    "/s", "/s/a", "/s/a/p", "/s/a/p/1", "/s/a/p/2", "/s/a/p/3", "/s/b", "/s/b/p", "/s/b/p/1", "/s/c", "/s/c/d",
    "/s/c/d/e", "/t", "/t/x", "/t/x/1", "/t/y", "/t/y/1", "/t/y/2",
];

/// The directory whose znodes are written in one transaction, and those znodes.
pub(super) const GROUPED: (&str, [&str; 3]) = ("/s/a/p", ["/s/a/p/1", "/s/a/p/2", "/s/a/p/3"]);

/// Limit of the age of what is shown of a service that is written without rest, while nothing else goes wrong.
const MAX_LAG: Duration = Duration::from_secs(1);

pub(super) fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

impl World {
    /// Storm steps of a life, at most.
    pub(super) const MOST_STEPS: usize = 180;

    pub(super) fn new(seed: u64, script: Script, traced: bool) -> Self {
        let now = Instant::now();
        // In every third life a service does not fit into one request.
        let batch_paths = if seed.is_multiple_of(3) && !script.unsettled { 3 } else { 6 };
        let limits = MirrorLimits {
            batch_paths,
            batch_bytes: 64,
            in_flight: 2,
            hold: Duration::from_millis(10),
            unsettled: Duration::from_millis(50),
            patience: Duration::from_secs(20),
            probe: Duration::from_secs(3),
            suspension: Duration::from_secs(1),
            hold_old: Duration::from_secs(2),
            znodes: usize::MAX,
            recheck: Duration::from_millis(300),
        };
        let is_alone = script.mutation == Some(Mutation::PublishAtOnce);
        let grouping: Arc<dyn Grouping> = if is_alone { Arc::new(Alone) } else { Arc::new(Services) };
        let selection: Arc<dyn Selection> = if script.selecting { Arc::new(Chosen) } else { Arc::new(Everything) };
        let mirror = Mirror::new(path("/s"), limits, delays(), now, seed).grouped(grouping);
        let mut mirror = mirror.selecting(Arc::clone(&selection));
        mirror.mutation = script.mutation;
        mirror.set_listing(true);
        Self {
            script,
            rng: fastrand::Rng::with_seed(seed),
            now,
            zxid: 0,
            znodes: BTreeMap::new(),
            is_stormy: false,
            history: History::default(),
            refused: BTreeSet::new(),
            kept: BTreeMap::new(),
            round: Round::of((path("/s"), Arc::clone(&selection))),
            selection,
            verified_in: None,
            lagging: None,
            missed_while_lagging: Vec::new(),
            session: false,
            connection: None,
            connections: 0,
            armed: None,
            watched: BTreeSet::new(),
            connect_due: None,
            requests: VecDeque::new(),
            coming: Vec::new(),
            mirror,
            tree: Tree::default(),
            readers: Readers::new(path("/s"), script.deaf),
            outside: BTreeSet::new(),
            outstanding: BTreeMap::new(),
            batch_paths,
            delays: Vec::new(),
            traced,
            trace: Vec::new(),
            mixture: None,
            inputs: 0,
            publishes: 0,
            states: HashSet::new(),
        }
    }

    /// Storms and quiet, in turns, until `steps` are used up.
    pub(super) fn live(&mut self, steps: usize) -> Result<(), String> {
        self.feed(Input::Tick);
        match self.script {
            Script { unsettled: true, .. } => return self.live_restlessly(steps),
            Script { rights: true, .. } => return self.live_with_rights(steps),
            Script { restores: true, .. } => return self.live_through_restores(steps),
            _ => {}
        }
        let mut left = steps;
        for _ in 0..3 {
            self.storm(&mut left);
            if self.script.verify {
                self.settle_verified()?;
            } else {
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Writes and trouble, of `left` steps at most.
    pub(super) fn storm(&mut self, left: &mut usize) {
        self.is_stormy = true;
        for _ in 0..self.rng.usize(10..60) {
            if *left == 0 {
                break;
            }
            *left -= 1;
            match self.rng.u8(..10) {
                0..4 => self.write(),
                4 => self.disturb(),
                _ => self.step(),
            }
            if self.script.verify {
                if self.rng.u8(..8) == 0 {
                    // The mirror has been busy, and what differed is read again.
                    self.now += Duration::from_millis(400);
                }
                self.verify();
            }
        }
    }

    /// Writes one service at every step, once all is well: readers must follow all the same.
    fn live_restlessly(&mut self, steps: usize) -> Result<(), String> {
        self.write_restlessly();
        self.settle()?;
        let begun = self.now;
        for _ in 0..steps {
            for _ in 0..self.rng.u8(1..4) {
                self.write_restlessly();
            }
            self.step();
            let since = self.now - begun;
            match self.readers.behind("/s/a", &self.history, self.now) {
                Some(behind) if behind > MAX_LAG && since > MAX_LAG => {
                    return Err(format!("readers are {behind:?} behind"));
                }
                _ => {}
            }
        }
        self.settle()
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            let line = line();
            self.trace.push(line);
        }
    }

    /// A transaction is done: the armed watch tells, as soon as its server knows.
    pub(super) fn changed(&mut self, paths: &[&Path]) {
        self.say(|| format!("write {paths:?}"));
        for of in paths.iter().map(|path| group(path)).collect::<BTreeSet<_>>() {
            self.history.note(of, self.znodes.iter().map(|(path, (data, ..))| (path, data)), self.now);
        }
        for path in paths {
            if self.lagging.is_some() {
                self.missed_while_lagging.push((*path).clone());
            } else {
                self.tell(path);
            }
        }
    }

    pub(super) fn tell(&mut self, path: &Path) {
        let is_watched = self.watched.iter().any(|root| path.below(root).is_some()) && !self.is_hidden(path);
        if self.connection.is_some() && self.armed == self.connection && is_watched {
            if self.script.lose_events && self.rng.u8(..50) == 0 {
                return;
            }
            self.send(Input::Event(Event::Changed(path.clone())), false);
        }
    }

    // The mirror's side.

    pub(super) fn feed(&mut self, input: Input) {
        self.say(|| format!("  -> {input:?}"));
        self.inputs += 1;
        if let Input::Replied(epoch, batch, _) = &input {
            for read in batch.iter().filter(|read| matches!(read, Read::Node(_))) {
                self.outstanding.remove(&(*epoch, read.path().clone()));
            }
        }
        self.mirror.handle(self.now, input, &mut self.tree);
        for action in self.mirror.poll(self.now) {
            self.act(action);
        }
        if self.script.links && *self.readers.links.outside() != self.outside {
            self.outside.clone_from(self.readers.links.outside());
            self.feed(Input::Outside(self.outside.clone()));
        }
        self.states.insert(self.digest());
    }

    /// Tells states of the mirror apart, but for when they were and which transaction wrote what.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.mirror.phase().as_str().hash(&mut hasher);
        for (path, entry) in self.tree.iter() {
            let same = match entry {
                Entry::Known(known) => self.readers.published.get(path).map(|data| **data == *known.data),
                Entry::Unreadable(_) => None,
            };
            (path, same).hash(&mut hasher);
        }
        self.outstanding.hash(&mut hasher);
        (self.requests.len(), self.connection.is_some(), self.armed == self.connection).hash(&mut hasher);
        hasher.finish()
    }

    fn act(&mut self, action: Action) {
        self.say(|| format!("  <- {action:?}"));
        match action {
            Action::Connect { after } => {
                self.drop_session();
                self.delays.push(after);
                self.connect_due = Some(self.now + after);
            }
            Action::Publish(paths) => self.publish(&paths),
            action => {
                if let Action::Read(epoch, batch) = &action {
                    assert!(batch.len() <= self.batch_paths, "a batch beyond the limit");
                    for read in batch.iter().filter(|read| matches!(read, Read::Node(_))) {
                        let outstanding = self.outstanding.entry((*epoch, read.path().clone())).or_default();
                        *outstanding += 1;
                        assert_eq!(*outstanding, 1, "two reads of {} at once", read.path());
                    }
                }
                if self.connection.is_some() {
                    let due = self.now + Duration::from_millis(self.rng.u64(..10));
                    let due = self.requests.back().map_or(due, |last| last.due.max(due));
                    self.requests.push_back(Delivery { due, what: action });
                }
            }
        }
    }

    /// Checks that what readers see now is something that once was.
    fn publish(&mut self, paths: &BTreeSet<Path>) {
        self.publishes += 1;
        let (outside, selection) = (self.outside.clone(), Arc::clone(&self.selection));
        let selected = |path: &Path| selected(&*selection, &outside, path);
        let never = self.readers.publish(&self.tree, paths, &self.history, &selected);
        let is_in_order = !self.script.overtaking && !self.script.rights && !self.script.lose_events;
        if is_in_order || self.script.strict {
            self.mixture = self.mixture.take().or(never.into_iter().next());
        }
    }

    /// Time goes on, things arrive.
    pub(super) fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(1..20));
        if self.connect_due.is_some_and(|due| due <= self.now) {
            self.connect_due = None;
            if self.rng.u8(..4) == 0 {
                self.feed(Input::ConnectFailed(Error::Timeout));
            } else {
                self.session = true;
                self.connections += 1;
                self.connection = Some(self.connections);
                self.feed(Input::Connected { at_once: !self.script.pieces });
            }
        }
        self.serve();
        while let Some(index) = self.arrived() {
            let coming = self.coming.remove(index);
            self.feed(coming.what);
        }
        self.feed(Input::Tick);
    }

    /// Lets the world fall quiet, then compares.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.fall_quiet()?;
        self.compare()
    }

    pub(super) fn fall_quiet(&mut self) -> Result<(), String> {
        self.say(|| "settle".into());
        self.is_stormy = false;
        for round in 0.. {
            if round % 5 == 0 {
                self.reconnect();
                self.catch_up();
            }
            self.step();
            if let Some(mixture) = self.mixture.take() {
                return Err(mixture);
            }
            let under_way = !self.coming.is_empty() || !self.requests.is_empty() || !self.outstanding.is_empty();
            if self.mirror.phase() == Phase::Live && !under_way {
                break;
            }
            if round > 20_000 {
                return Err(format!("never quiet, {:?}", self.mirror.phase()));
            }
        }
        Ok(())
    }

    /// Tree, view and world must be equal now, and what is seen through links must be what is there.
    pub(super) fn compare(&self) -> Result<(), String> {
        let root = path("/s");
        let mirrored = self.znodes.iter().filter(|(path, _)| !self.is_hidden(path)).filter_map(|(path, (data, ..))| {
            let selected = selected(&*self.selection, &self.outside, path)?;
            Some((path.clone(), if selected.data { data.clone() } else { Vec::new() }))
        });
        let world: BTreeMap<Path, Vec<u8>> = mirrored.collect();
        let known = self.tree.iter().filter_map(|(path, entry)| match entry {
            Entry::Known(known) if !self.is_hidden(path) => Some((path.clone(), known.data.to_vec())),
            _ => None,
        });
        let tree: BTreeMap<Path, Vec<u8>> = known.collect();
        if tree != world {
            return Err(format!("the tree is {tree:?}\n the world is {world:?}"));
        }
        let published = self.readers.published.iter().filter(|(path, _)| !self.is_hidden(path));
        if !published.eq(&world) {
            return Err(format!("published is {:?}\n the world is {world:?}", self.readers.published));
        }
        self.compare_kept()?;
        if self.script.links {
            let (shown, seen) = (&self.readers.through, links::seen(&self.znodes, &root));
            if *shown != seen {
                return Err(format!("through links is shown {shown:?}\n there is {seen:?}, the world is {world:?}"));
            }
        }
        Ok(())
    }
}

/// The parts of a znode that are mirrored.
fn selected(selection: &dyn Selection, outside: &BTreeSet<Path>, path: &Path) -> Option<Selected> {
    let below = path.below(&self::path("/s")).and_then(|below| selection.selected(below));
    below.or_else(|| outside.iter().any(|outside| path.below(outside).is_some()).then_some(Selected::WHOLE))
}
