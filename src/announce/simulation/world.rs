//! The world that the simulation plays: a tree of znodes, sessions, processes of ours and their connections, and
//! everything that can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::announce::plan::{Action, Input, Plan};
use crate::announce::status::{Hold, RegistrationState};
use crate::announce::wanted::Wanted;
use crate::model::{Endpoint, Host};
use crate::registry::{Error, Path};
use crate::zookeeper::{Stat, Znode};

/// Longer than every delay of the plan.
pub(super) const CALM: Duration = Duration::from_secs(120);
pub(super) const PATHS: usize = 3;

pub(super) fn path(index: usize) -> Path {
    Path::new(&format!("/s/p/10.0.0.{index}:80")).unwrap()
}

/// The data that process `process` of our host wants at a path.
fn wanted(index: usize, process: u64, edition: u64) -> Wanted {
    let instance_id = format!("id{index}");
    let data = format!(r#"{{"instance_id":"{instance_id}","pid":{process},"edition":{edition}}}"#);
    let key = instance_id.as_str().into();
    let endpoint = Endpoint { host: Host::V4([10, 0, 0, 1].into()), port: 80 };
    let data = data.into_bytes().into();
    Wanted { service: "s".into(), endpoint, path: path(index), data, instance_id, key, hold: None }
}

/// A process of ours, and its side of the connection.
pub(super) struct Process {
    number: u64,
    plan: Plan,
    pub(super) wanted: Vec<Wanted>,
    /// Services that are ill, or not checked yet.
    held: BTreeMap<Path, Hold>,
    /// Its session, and whether that is connected.
    pub(super) session: Option<i64>,
    connected: bool,
    /// True if the connection stays broken.
    pub(super) is_silent: bool,
    connect_at: Option<Instant>,
    armed: BTreeSet<Path>,
    /// Operations that the server has not seen yet; replies and events that the process has not seen yet. Events come
    /// in order, replies in any, also with respect to events.
    sent: Vec<Action>,
    replies: Vec<Input>,
    events: Vec<Input>,
    /// The sessions it had before.
    past: Vec<i64>,
    /// Znodes that inspections found, on which a delete may be based.
    seen: BTreeMap<Path, i64>,
    pub(super) reported: BTreeMap<Path, RegistrationState>,
    /// Once it has stopped: what it says may be left.
    pub(super) left: Option<Vec<Path>>,
}

impl Process {
    pub(super) fn heal(&mut self) {
        if self.session.is_some() && !self.connected && !self.is_silent {
            self.connected = true;
            self.events.push(Input::Reconnected);
        }
    }

    fn is_ready(&self, now: Instant) -> bool {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match (&self.left, self.session) {
            (Some(_), _) => false,
            (_, None) => is_due(self.connect_at),
            _ => {
                !(self.events.is_empty() && self.replies.is_empty() && self.sent.is_empty())
                    || is_due(self.plan.deadline())
            }
        }
    }
}

pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    began: Instant,
    pub(super) now: Instant,
    zxid: i64,
    pub(super) tree: BTreeMap<Path, Znode>,
    parents: bool,
    alive: BTreeSet<i64>,
    /// Sessions of every process with our identity.
    pub(super) ours: BTreeSet<i64>,
    pub(super) processes: Vec<Process>,
    born: u64,
    edition: u64,
    writes: usize,
    pub(super) faults: bool,
    /// Account of what happened, when it is wanted.
    trace: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        let now = Instant::now();
        let mut world = Self {
            rng: fastrand::Rng::with_seed(seed),
            began: now,
            now,
            zxid: 0,
            tree: BTreeMap::new(),
            parents: false,
            alive: BTreeSet::new(),
            ours: BTreeSet::new(),
            processes: Vec::new(),
            born: 0,
            edition: 0,
            writes: 0,
            faults: true,
            trace: trace.then(String::new),
        };
        world.start_process();
        if world.rng.u8(..4) == 0 {
            world.start_process();
        }
        world
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "{}", line());
        }
    }

    /// A condition that must hold.
    pub(super) fn require(&self, holds: bool, why: impl FnOnce() -> String) {
        assert!(holds, "{}\n{}", why(), self.trace.as_deref().unwrap_or_default());
    }

    fn start_process(&mut self) {
        self.born += 1;
        self.processes.push(Process {
            number: self.born,
            plan: Plan::new(self.rng.fork()),
            wanted: Vec::new(),
            held: BTreeMap::new(),
            session: None,
            connected: false,
            is_silent: false,
            connect_at: None,
            armed: BTreeSet::new(),
            sent: Vec::new(),
            replies: Vec::new(),
            events: Vec::new(),
            past: Vec::new(),
            seen: BTreeMap::new(),
            reported: BTreeMap::new(),
            left: None,
        });
        self.want(self.processes.len() - 1);
    }

    fn want(&mut self, process: usize) {
        self.edition += u64::from(self.rng.bool());
        let number = self.processes[process].number;
        let chosen = (0..PATHS).filter(|_| self.rng.u8(..3) > 0).collect::<Vec<_>>();
        let mut wanted: Vec<_> = chosen.into_iter().map(|index| wanted(index, number, self.edition)).collect();
        for one in &mut wanted {
            one.hold = self.processes[process].held.get(&one.path).cloned();
        }
        self.processes[process].wanted.clone_from(&wanted);
        self.tell(process, Input::Wanted(wanted));
    }

    /// Gives an input to a process's plan and takes its actions.
    pub(super) fn tell(&mut self, process: usize, input: Input) {
        let now = self.now - self.began;
        self.note(|| format!("{now:?} -> {process}: {input:?}"));
        let one = &mut self.processes[process];
        let mut actions = Vec::new();
        one.plan.handle(self.now, input, &mut actions);
        if let Some(trace) = &mut self.trace {
            for action in &actions {
                let _ = writeln!(trace, "    {process} -> {action:?}");
            }
        }
        for action in actions {
            match action {
                Action::Connect { after } => one.connect_at = Some(self.now + after),
                Action::Close { .. } => {
                    one.past.extend(one.session.take());
                    one.armed.clear();
                    one.sent.clear();
                    one.replies.clear();
                    one.events.clear();
                }
                Action::Unwatch { path } => {
                    one.armed.remove(&path);
                }
                Action::Report { registration, .. } => {
                    one.reported.insert(registration.path, registration.state);
                }
                Action::Stopped { left, .. } => one.left = Some(left),
                operation => one.sent.push(operation),
            }
        }
    }

    fn event(&mut self, changed: &Path) {
        for process in &mut self.processes {
            if process.connected && process.armed.contains(changed) {
                process.events.push(Input::Changed(changed.clone()));
            }
        }
    }

    fn put(&mut self, path: &Path, data: &[u8], owner: i64) {
        self.zxid += 1;
        let stat = Stat { czxid: self.zxid, mzxid: self.zxid, version: 0, ephemeral_owner: owner, ..Stat::default() };
        self.tree.insert(path.clone(), Znode { data: data.to_vec(), stat });
        self.event(path);
    }

    fn remove(&mut self, path: &Path) {
        self.tree.remove(path);
        self.event(path);
    }

    fn end_session(&mut self, session: i64) {
        self.alive.remove(&session);
        let owned = |znode: &Znode| znode.stat.ephemeral_owner == session;
        let gone: Vec<_> = self.tree.iter().filter(|(_, znode)| owned(znode)).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.remove(&path);
        }
    }

    /// The server does an operation of a process; the process learns how it ended, or not.
    fn serve(&mut self, process: usize, operation: Action) {
        let Some(session) = self.processes[process].session else { return };
        let lost = || Error::ConnectionLoss("cut".into());
        let fault = if self.faults { self.rng.u8(..20) } else { u8::MAX };
        let path = match &operation {
            Action::Inspect { path, .. }
            | Action::MakeParents { path }
            | Action::Create { path, .. }
            | Action::Replace { path, .. }
            | Action::Delete { path, .. } => path.clone(),
            other => unreachable!("{other:?} is no operation"),
        };
        let reading = matches!(operation, Action::Inspect { .. });
        let failed = |error: Error| {
            let path = path.clone();
            if reading {
                Input::Inspected { path, armed: false, found: Err(error) }
            } else {
                Input::Done { path, result: Err(error) }
            }
        };
        if !self.alive.contains(&session) {
            return self.processes[process].replies.push(failed(Error::SessionExpired));
        }
        if !self.processes[process].connected || fault == 0 {
            return self.processes[process].replies.push(failed(lost()));
        }
        let answer = match operation {
            Action::Inspect { arm, .. } => {
                if arm {
                    self.processes[process].armed.insert(path.clone());
                }
                let found = self.tree.get(&path).cloned().ok_or(Error::NoNode);
                if let Ok(znode) = &found {
                    self.processes[process].seen.insert(path.clone(), znode.stat.czxid);
                }
                Input::Inspected { path: path.clone(), armed: true, found }
            }
            other => Input::Done { path: path.clone(), result: self.write(process, session, other) },
        };
        self.processes[process].replies.push(if fault == 1 { failed(lost()) } else { answer });
    }

    fn write(&mut self, process: usize, session: i64, operation: Action) -> Result<(), Error> {
        self.writes += 1;
        match operation {
            Action::MakeParents { .. } => self.parents = true,
            Action::Create { path, .. } if self.tree.contains_key(&path) => return Err(Error::NodeExists),
            Action::Create { .. } if !self.parents => return Err(Error::NoNode),
            Action::Create { path, data } => self.put(&path, &data, session),
            Action::Replace { path, version, data } => {
                self.delete(process, &path, version)?;
                self.put(&path, &data, session);
            }
            Action::Delete { path, version } => self.delete(process, &path, version)?,
            other => unreachable!("{other:?} is no write"),
        }
        Ok(())
    }

    fn delete(&mut self, process: usize, path: &Path, version: i32) -> Result<(), Error> {
        let stat = self.tree.get(path).ok_or(Error::NoNode)?.stat;
        if stat.version != version {
            return Err(Error::BadVersion);
        }
        // ZooKeeper cannot tell a znode from its successor of the same version; what matters is what was decided on.
        if self.processes[process].seen.get(path) == Some(&stat.czxid) {
            let is_ours = self.ours.contains(&stat.ephemeral_owner);
            self.require(is_ours, || format!("{path} of {:#x} was deleted", stat.ephemeral_owner));
        }
        self.remove(path);
        Ok(())
    }

    /// Something happens from outside.
    pub(super) fn disturb(&mut self) {
        let process = self.rng.usize(..self.processes.len());
        let path = path(self.rng.usize(..PATHS));
        let session = self.processes[process].session;
        let what = self.rng.u8(..14);
        self.note(|| format!("disturbance {what} of {process} at {path}"));
        match what {
            0 => self.cut(process),
            1 => {
                if let Some(session) = session {
                    self.end_session(session);
                }
            }
            2 => self.crash(process),
            3 => self.expire_left(false),
            4 if self.tree.contains_key(&path) => self.remove(&path),
            5 => {
                if let Some(znode) = self.tree.get_mut(&path) {
                    znode.data = b"rewritten".to_vec();
                    znode.stat.version += 1;
                    self.event(&path);
                }
            }
            6 if !self.tree.contains_key(&path) && self.parents => {
                let (session, data) = (1_000_000 + self.zxid, [&b"stranger"[..], br#"{"instance_id":"other"}"#]);
                self.alive.insert(session);
                let data = data[self.rng.usize(..2)];
                let owner = if self.rng.u8(..3) == 0 { 0 } else { session };
                self.put(&path, data, owner);
            }
            7 => self.strangers_leave(),
            8 => self.want(process),
            9 if self.tree.is_empty() => self.parents = false,
            10 => {
                // The client gives the session up before the server does.
                self.cut(process);
                if session.is_some() {
                    self.processes[process].events.push(Input::Over(Error::SessionExpired));
                }
            }
            11 | 12 => self.check_service(process, &path),
            _ => self.now += Duration::from_millis(self.rng.u64(..20_000)),
        }
    }

    /// A check says something else of a service than before.
    fn check_service(&mut self, process: usize, path: &Path) {
        let hold = match self.rng.u8(..4) {
            0 => Some(Hold::Unchecked),
            1 => Some(Hold::Unhealthy("refused".into())),
            _ => None,
        };
        let one = &mut self.processes[process];
        let Some(wanted) = one.wanted.iter_mut().find(|one| one.path == *path) else { return };
        wanted.hold.clone_from(&hold);
        let key = wanted.key.clone();
        match &hold {
            Some(hold) => one.held.insert(path.clone(), hold.clone()),
            None => one.held.remove(path),
        };
        self.tell(process, Input::Hold { key, hold });
    }

    /// The sessions that nobody uses any more expire, except those that living processes have had if `but_past`.
    fn expire_left(&mut self, but_past: bool) {
        let used = self.processes.iter().filter_map(|process| process.session);
        let past = self.processes.iter().filter(|_| but_past).flat_map(|process| process.past.iter().copied());
        let used: BTreeSet<_> = used.chain(past).collect();
        let left: Vec<_> = self.ours.intersection(&self.alive).filter(|id| !used.contains(id)).copied().collect();
        for session in left {
            self.end_session(session);
        }
    }

    pub(super) fn cut(&mut self, process: usize) {
        let process = &mut self.processes[process];
        if process.session.is_some() && process.connected {
            process.connected = false;
            process.armed.clear();
            process.events.push(Input::Disconnected);
        }
    }

    /// Kill -9 and a restart; the session stays behind.
    fn crash(&mut self, process: usize) {
        let wanted = self.processes.remove(process).wanted;
        self.start_process();
        let process = self.processes.len() - 1;
        let number = self.processes[process].number;
        let again: Vec<_> = wanted
            .iter()
            .filter_map(|one| (0..PATHS).find(|index| path(*index) == one.path))
            .map(|index| self::wanted(index, number, self.edition))
            .collect();
        self.processes[process].wanted.clone_from(&again);
        self.tell(process, Input::Wanted(again));
    }

    pub(super) fn strangers_leave(&mut self) {
        let theirs = |znode: &Znode| !self.ours.contains(&znode.stat.ephemeral_owner);
        let gone: Vec<_> = self.tree.iter().filter(|(_, znode)| theirs(znode)).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.remove(&path);
        }
    }

    /// One thing that is under way goes on. Says whether anything was.
    pub(super) fn go_on(&mut self) -> bool {
        let ready = |(index, one): (usize, &Process)| one.is_ready(self.now).then_some(index);
        let ready: Vec<_> = self.processes.iter().enumerate().filter_map(ready).collect();
        let Some(&process) = self.rng.choice(&ready) else { return false };
        let one = &mut self.processes[process];
        if one.session.is_none() {
            one.connect_at = None;
            self.connect(process);
            return true;
        }
        if !one.connected && self.rng.u8(..4) == 0 {
            one.heal();
        }
        let (sent, replies, events) = (one.sent.len(), one.replies.len(), one.events.len());
        match self.rng.usize(..(sent + replies + events).max(1)) {
            _ if sent + replies + events == 0 => self.tell(process, Input::Tick),
            index if index < sent => {
                let operation = one.sent.remove(index);
                self.serve(process, operation);
            }
            index if index < sent + replies => {
                let mut reply = one.replies.remove(index - sent);
                if let Input::Inspected { path, armed, .. } = &mut reply {
                    // As the driver sees it when the reply arrives.
                    *armed = one.armed.contains(path);
                }
                self.tell(process, reply);
            }
            _ => {
                let event = one.events.remove(0);
                self.tell(process, event);
            }
        }
        true
    }

    fn connect(&mut self, process: usize) {
        if self.faults && self.rng.u8(..3) == 0 {
            return self.tell(process, Input::ConnectFailed);
        }
        self.zxid += 1;
        let session = self.zxid;
        self.alive.insert(session);
        self.ours.insert(session);
        (self.processes[process].session, self.processes[process].connected) = (Some(session), true);
        self.tell(process, Input::Connected { session, timeout: Duration::from_secs(10) });
    }

    /// The next moment at which anything is due, if that comes before `end`.
    pub(super) fn advance(&mut self, end: Instant) -> bool {
        let times = self.processes.iter().filter(|one| one.left.is_none()).flat_map(|one| {
            let deadline = one.session.and(one.plan.deadline());
            [one.connect_at, deadline].into_iter().flatten()
        });
        let Some(next) = times.min().filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        true
    }

    /// Lets everything that is under way go on until `end`, or until `enough`.
    pub(super) fn go_on_until(&mut self, end: Instant, enough: impl Fn(&Self) -> bool) {
        let mut steps = 0;
        while !enough(self) && (self.go_on() || self.advance(end)) {
            steps += 1;
            self.require(steps < 50_000, || "it does not calm down".into());
        }
    }

    /// No more faults; everything under way ends, for as long as any delay lasts.
    pub(super) fn calm_down(&mut self) {
        self.faults = false;
        self.expire_left(self.processes.len() == 1);
        for end in [self.now + CALM, self.now + 2 * CALM] {
            self.writes = 0;
            self.go_on_until(end, |_| false);
            self.now = end;
        }
        self.require(self.writes == 0, || "somebody is still writing".into());
    }

    /// An operator deletes everything of ours, twice in a row.
    pub(super) fn delete_all(&mut self) {
        self.note(|| "everything is deleted".into());
        for _ in 0..2 {
            let ours = |znode: &Znode| self.ours.contains(&znode.stat.ephemeral_owner);
            let gone: Vec<_> =
                self.tree.iter().filter(|(_, znode)| ours(znode)).map(|(path, _)| path.clone()).collect();
            for path in gone {
                self.remove(&path);
            }
            for _ in 0..self.rng.u8(..12) {
                self.go_on();
            }
        }
    }
}
