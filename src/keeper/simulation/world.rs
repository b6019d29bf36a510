//! A seeded world for the mirror: an ensemble's tree with random writers, a connection that breaks, requests and replies
//! that take their time, servers that lag, sessions that expire.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use super::Script;
use crate::backoff::Backoff;
use crate::keeper::mirror::{Action, Input, Limits, Mirror, Phase};
use crate::keeper::session::{Event, Read, Reply};
use crate::keeper::tree::{Entry, Tree};
use crate::keeper::{Error, Path, Stat, Znode};

/// Something on its way between mirror and server, and when it may arrive at the earliest.
struct Coming<T> {
    due: Instant,
    what: T,
}

/// Data, czxid and mzxid of each znode.
type Znodes = BTreeMap<Path, (Vec<u8>, i64, i64)>;

/// The names in a directory and their data.
type Directory = BTreeMap<String, Vec<u8>>;

pub(super) struct World {
    script: Script,
    rng: fastrand::Rng,
    now: Instant,
    zxid: i64,
    znodes: Znodes,
    /// Every state that each directory had after a transaction.
    history: HashMap<String, HashSet<Directory>>,
    /// What the connected server knows: an older state while it lags.
    lagging: Option<Znodes>,
    missed_while_lagging: Vec<Path>,
    session: bool,
    /// Number of the connection that stands, if one does.
    connection: Option<u64>,
    connections: u64,
    /// The connection on which the recursive watch is armed.
    armed: Option<u64>,
    connect_due: Option<Instant>,
    /// To the server, in the order in which it will do them.
    requests: VecDeque<Coming<Action>>,
    /// To the mirror.
    coming: Vec<Coming<Input>>,
    mirror: Mirror,
    tree: Tree,
    /// What readers see: rebuilt from each publish, path by path.
    published: BTreeMap<Path, Vec<u8>>,
    outstanding: BTreeMap<Path, u32>,
    pub(super) delays: Vec<Duration>,
    traced: bool,
    pub(super) trace: Vec<String>,
    mixture: Option<String>,
    pub(super) inputs: u64,
    pub(super) publishes: u64,
    pub(super) forced: u64,
    pub(super) states: HashSet<u64>,
}

const PATHS: [&str; 12] = [
    "/s", "/s/a", "/s/a/p", "/s/a/p/1", "/s/a/p/2", "/s/a/p/3", "/s/b", "/s/b/p", "/s/b/p/1", "/s/c", "/s/c/d",
    "/s/c/d/e",
];

/// The directory whose znodes are written in one transaction, and those znodes.
const TOGETHER: (&str, [&str; 3]) = ("/s/a/p", ["/s/a/p/1", "/s/a/p/2", "/s/a/p/3"]);

/// How long an operation may take until the session says that it did.
const TIMEOUT: Duration = Duration::from_secs(4);

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

impl World {
    /// Storm steps of a life, at most.
    pub(super) const MOST_STEPS: usize = 180;

    pub(super) fn new(seed: u64, script: Script, traced: bool) -> Self {
        let now = Instant::now();
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(15), Duration::from_secs(30));
        let limits = Limits {
            batch_paths: 3,
            batch_bytes: 64,
            in_flight: 2,
            hold: Duration::from_millis(50),
            patience: Duration::from_secs(20),
            probe: Duration::from_secs(3),
            suspension: Duration::from_secs(1),
        };
        let mut mirror = Mirror::new(path("/s"), limits, backoff, now, seed);
        mirror.sabotage = script.sabotage;
        Self {
            script,
            rng: fastrand::Rng::with_seed(seed),
            now,
            zxid: 0,
            znodes: BTreeMap::new(),
            history: HashMap::new(),
            lagging: None,
            missed_while_lagging: Vec::new(),
            session: false,
            connection: None,
            connections: 0,
            armed: None,
            connect_due: None,
            requests: VecDeque::new(),
            coming: Vec::new(),
            mirror,
            tree: Tree::default(),
            published: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            delays: Vec::new(),
            traced,
            trace: Vec::new(),
            mixture: None,
            inputs: 0,
            publishes: 0,
            forced: 0,
            states: HashSet::new(),
        }
    }

    /// Storms and quiet, in turns, until `steps` are used up.
    pub(super) fn live(&mut self, steps: usize) -> Result<(), String> {
        self.feed(Input::Tick);
        let mut left = steps;
        for _ in 0..3 {
            for _ in 0..self.rng.usize(10..60) {
                if left == 0 {
                    break;
                }
                left -= 1;
                match self.rng.u8(..10) {
                    0..4 => self.write(),
                    4 => self.disturb(),
                    _ => self.step(),
                }
            }
            self.settle()?;
        }
        Ok(())
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            let line = line();
            self.trace.push(line);
        }
    }

    // The writers.

    fn write(&mut self) {
        let path = path(PATHS[self.rng.usize(..PATHS.len())]);
        match self.rng.u8(..12) {
            0..5 => self.create(&path),
            5..7 => self.set(&path),
            7..9 => self.delete_below(&path),
            9..11 => self.write_together(),
            // The same path gone and back within one moment: its events must not cancel out.
            _ => {
                self.delete_below(&path);
                self.create(&path);
            }
        }
    }

    fn create(&mut self, path: &Path) {
        let parent_exists = path.parent().is_none_or(|parent| parent == "/" || self.znodes.contains_key(parent));
        if !parent_exists || self.znodes.contains_key(path) {
            return;
        }
        self.zxid += 1;
        self.znodes.insert(path.clone(), (self.zxid.to_string().into(), self.zxid, self.zxid));
        self.changed(&[path]);
    }

    fn set(&mut self, path: &Path) {
        let same = self.rng.bool();
        if let Some((data, _, mzxid)) = self.znodes.get_mut(path) {
            self.zxid += 1;
            // Half of the time to the bytes it already has: a new transaction all the same.
            if !same {
                *data = self.zxid.to_string().into();
            }
            *mzxid = self.zxid;
            self.changed(&[path]);
        }
    }

    /// One transaction that changes, creates or deletes several znodes of one directory.
    fn write_together(&mut self) {
        if !self.znodes.contains_key(TOGETHER.0) {
            return;
        }
        self.zxid += 1;
        let delete = self.rng.u8(..4) == 0;
        let mut changed = Vec::new();
        for path in TOGETHER.1.map(path) {
            if delete {
                if self.znodes.remove(&path).is_none() {
                    continue;
                }
            } else {
                let czxid = self.znodes.get(&path).map_or(self.zxid, |(_, czxid, _)| *czxid);
                self.znodes.insert(path.clone(), (self.zxid.to_string().into(), czxid, self.zxid));
            }
            changed.push(path);
        }
        self.changed(&changed.iter().collect::<Vec<_>>());
    }

    fn delete_below(&mut self, path: &Path) {
        let mut gone: Vec<Path> = self.znodes.keys().filter(|other| other.below(path).is_some()).cloned().collect();
        gone.reverse();
        for path in gone {
            self.zxid += 1;
            self.znodes.remove(&path);
            self.changed(&[&path]);
        }
    }

    /// A transaction is done: the armed watch tells, as soon as its server knows.
    fn changed(&mut self, paths: &[&Path]) {
        self.say(|| format!("write {paths:?}"));
        for parent in paths.iter().filter_map(|path| path.parent()).collect::<BTreeSet<_>>() {
            let state = directory(parent, self.znodes.iter().map(|(path, (data, ..))| (path, data)));
            self.history.entry(parent.to_owned()).or_default().insert(state);
        }
        for path in paths {
            if self.lagging.is_some() {
                self.missed_while_lagging.push((*path).clone());
            } else {
                self.tell(path);
            }
        }
    }

    fn tell(&mut self, path: &Path) {
        if self.connection.is_some() && self.armed == self.connection {
            if self.script.lose_events && self.rng.u8(..50) == 0 {
                return;
            }
            self.send(Input::Event(Event::Changed(path.clone())), false);
        }
    }

    // The connection.

    /// Puts something on its way to the mirror. A server sends events and replies in one order; where the script lets them
    /// overtake each other, events still keep their order among themselves.
    fn send(&mut self, what: Input, slow: bool) {
        let delay = if slow { self.rng.u64(100..1500) } else { self.rng.u64(..30) };
        let is_event = |input: &Input| matches!(input, Input::Event(_));
        let in_order = is_event(&what) || !self.script.overtaking;
        let before = self.coming.iter().filter(|coming| !self.script.overtaking || is_event(&coming.what));
        let last = before.map(|coming| coming.due).max().filter(|_| in_order);
        let due = (self.now + Duration::from_millis(delay)).max(last.unwrap_or(self.now));
        self.coming.push(Coming { due, what });
    }

    fn disturb(&mut self) {
        match self.rng.u8(..9) {
            0..3 => self.cut(),
            3 => self.reconnect(),
            4 => self.expire(),
            5 => self.lose_request(),
            6 if self.lagging.is_none() => self.lagging = Some(self.znodes.clone()),
            _ => self.catch_up(),
        }
    }

    fn cut(&mut self) {
        if self.connection.is_none() {
            return;
        }
        self.say(|| "cut".into());
        self.forget_connection();
        self.feed(Input::Event(Event::Disconnected));
    }

    fn forget_connection(&mut self) {
        self.connection = None;
        self.requests.clear();
        self.coming.clear();
        self.outstanding.clear();
        self.lagging = None;
        self.missed_while_lagging.clear();
    }

    fn reconnect(&mut self) {
        if self.session && self.connection.is_none() {
            self.say(|| "reconnect".into());
            self.connections += 1;
            self.connection = Some(self.connections);
            self.feed(Input::Event(Event::Connected));
        }
    }

    fn expire(&mut self) {
        if self.session {
            self.say(|| "expire".into());
            self.drop_session();
            self.feed(Input::Event(Event::Over(Error::SessionExpired)));
        }
    }

    fn drop_session(&mut self) {
        self.session = false;
        self.armed = None;
        self.forget_connection();
    }

    /// A request, or its reply, is lost: the session gives up on it after a while. Now and then it says so at once, before
    /// the watch tells of the broken connection.
    fn lose_request(&mut self) {
        let Some(Coming { what, .. }) = self.requests.pop_back() else { return };
        self.say(|| format!("lost {what:?}"));
        let broken = self.rng.bool();
        let error = || if broken { Error::ConnectionLoss("broken".into()) } else { Error::Timeout };
        let what = match what {
            Action::Arm(epoch, _) => Input::Armed(epoch, Err(error())),
            Action::Join(epoch, root) => Input::Joined(epoch, root, Err(error())),
            Action::Sync(epoch) => Input::Synced(epoch, Err(error())),
            Action::Read(epoch, batch) => Input::Replied(epoch, batch, Err(error())),
            Action::Connect { .. } | Action::Publish(_) | Action::Leave(_) => return,
        };
        let due = if broken { self.now } else { self.now + TIMEOUT };
        self.coming.push(Coming { due, what });
    }

    fn catch_up(&mut self) {
        self.lagging = None;
        for path in std::mem::take(&mut self.missed_while_lagging) {
            self.tell(&path);
        }
    }

    // The mirror's side.

    pub(super) fn feed(&mut self, input: Input) {
        self.say(|| format!("  -> {input:?}"));
        self.inputs += 1;
        if let Input::Replied(_, batch, _) = &input {
            for read in batch.iter().filter(|read| matches!(read, Read::Node(_))) {
                self.outstanding.remove(read.path());
            }
        }
        self.mirror.handle(self.now, input, &mut self.tree);
        for action in self.mirror.poll(self.now) {
            self.act(action);
        }
        self.states.insert(self.digest());
    }

    /// Tells states of the mirror apart, but for when they were and which transaction wrote what.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.mirror.phase().as_str().hash(&mut hasher);
        for (path, entry) in self.tree.iter() {
            let same = match entry {
                Entry::Known(known) => self.published.get(path).map(|data| **data == *known.data),
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
            Action::Publish(paths) => self.publish(paths),
            action => {
                if let Action::Read(_, batch) = &action {
                    assert!(batch.len() <= 3, "a batch beyond the limit");
                    for read in batch.iter().filter(|read| matches!(read, Read::Node(_))) {
                        let outstanding = self.outstanding.entry(read.path().clone()).or_default();
                        *outstanding += 1;
                        assert_eq!(*outstanding, 1, "two reads of {} at once", read.path());
                    }
                }
                if self.connection.is_some() {
                    let due = self.now + Duration::from_millis(self.rng.u64(..10));
                    let due = self.requests.back().map_or(due, |last| last.due.max(due));
                    self.requests.push_back(Coming { due, what: action });
                }
            }
        }
    }

    /// What readers see now; in settled directories it must be something that once was.
    fn publish(&mut self, paths: BTreeSet<Path>) {
        self.publishes += 1;
        let parents: BTreeSet<String> = paths.iter().filter_map(Path::parent).map(str::to_owned).collect();
        for path in paths {
            match self.tree.known(path.as_str()) {
                Some(known) => self.published.insert(path, known.data.to_vec()),
                None => self.published.remove(&path),
            };
        }
        for parent in parents {
            let shown = directory(&parent, &self.published);
            let once = shown.is_empty() || self.history.get(&parent).is_some_and(|states| states.contains(&shown));
            if self.mirror.is_reading_in(&parent) && self.script.sabotage.is_none() {
                // A directory that was not at rest for half a second is shown as it is: see `Mirror::publish`.
                self.forced += u64::from(!once);
            } else if !once && (!self.script.overtaking || self.script.strict) {
                self.mixture.get_or_insert(format!("readers see {parent} as it never was: {shown:?}"));
            }
        }
    }

    fn read(&self, read: &Read) -> Reply {
        let znodes = self.lagging.as_ref().unwrap_or(&self.znodes);
        let path = read.path();
        let children = znodes.keys().filter(|other| other.parent() == Some(path.as_str()));
        match (read, znodes.get(path)) {
            (_, None) => Reply::Failed(Error::NoNode),
            (Read::Node(_), Some((data, czxid, mzxid))) => {
                let num_children = i32::try_from(children.count()).unwrap();
                let stat = Stat { czxid: *czxid, mzxid: *mzxid, num_children, ..Stat::default() };
                Reply::Node(Znode { data: data.clone(), stat })
            }
            (Read::Children(_), Some(_)) => Reply::Children(children.map(|child| child.name().to_owned()).collect()),
        }
    }

    /// The server does what has reached it.
    fn serve(&mut self) {
        while self.requests.front().is_some_and(|request| request.due <= self.now) {
            let Some(Coming { what, .. }) = self.requests.pop_front() else { return };
            match what {
                Action::Arm(epoch, _) => {
                    self.armed = self.connection;
                    self.send(Input::Armed(epoch, Ok(())), false);
                }
                Action::Join(epoch, root) => {
                    self.catch_up();
                    self.send(Input::Joined(epoch, root, Ok(())), false);
                }
                Action::Sync(epoch) => {
                    self.catch_up();
                    self.send(Input::Synced(epoch, Ok(())), false);
                }
                Action::Read(epoch, batch) => {
                    let replies = batch.iter().map(|read| self.read(read)).collect();
                    let lists = batch.iter().any(|read| matches!(read, Read::Children(_)));
                    let slow = lists && self.rng.u8(..6) == 0;
                    self.send(Input::Replied(epoch, batch, Ok(replies)), slow);
                }
                Action::Connect { .. } | Action::Publish(_) | Action::Leave(_) => {}
            }
        }
    }

    /// Time goes on, things arrive.
    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(1..20));
        if self.connect_due.is_some_and(|due| due <= self.now) {
            self.connect_due = None;
            if self.rng.u8(..4) == 0 {
                self.feed(Input::ConnectFailed(Error::Timeout));
            } else {
                self.session = true;
                self.connections += 1;
                self.connection = Some(self.connections);
                self.feed(Input::Connected);
            }
        }
        self.serve();
        while let Some(index) = self.arrived() {
            let coming = self.coming.remove(index);
            self.feed(coming.what);
        }
        self.feed(Input::Tick);
    }

    /// One of the things that are due: the first, or where they overtake each other, the first event or any reply.
    fn arrived(&mut self) -> Option<usize> {
        let due: Vec<usize> = (0..self.coming.len()).filter(|&i| self.coming[i].due <= self.now).collect();
        if !self.script.overtaking {
            return due.into_iter().min_by_key(|&i| self.coming[i].due);
        }
        let first_event = due.iter().copied().find(|&i| matches!(self.coming[i].what, Input::Event(_)));
        let mut choices: Vec<usize> =
            due.into_iter().filter(|&i| !matches!(self.coming[i].what, Input::Event(_))).collect();
        choices.extend(first_event);
        if choices.is_empty() { None } else { Some(choices[self.rng.usize(..choices.len())]) }
    }

    /// Lets the world fall quiet, then compares.
    fn settle(&mut self) -> Result<(), String> {
        self.say(|| "settle".into());
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
        let root = path("/s");
        let world: BTreeMap<Path, Vec<u8>> = self
            .znodes
            .iter()
            .filter(|(path, _)| path.below(&root).is_some())
            .map(|(path, (data, ..))| (path.clone(), data.clone()))
            .collect();
        let known = self.tree.iter().filter_map(|(path, entry)| match entry {
            Entry::Known(known) => Some((path.clone(), known.data.to_vec())),
            Entry::Unreadable(_) => None,
        });
        let tree: BTreeMap<Path, Vec<u8>> = known.collect();
        if tree != world {
            return Err(format!("the tree is {tree:?}\n the world is {world:?}"));
        }
        if self.published != world {
            return Err(format!("published is {:?}\n the world is {world:?}", self.published));
        }
        Ok(())
    }
}

/// What `parent` holds, of all these znodes.
fn directory<'z>(parent: &str, znodes: impl IntoIterator<Item = (&'z Path, &'z Vec<u8>)>) -> Directory {
    let inside = znodes.into_iter().filter(|(path, _)| path.parent() == Some(parent));
    inside.map(|(path, data)| (path.name().to_owned(), data.clone())).collect()
}
