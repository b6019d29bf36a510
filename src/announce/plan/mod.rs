//! The decisions of announcing, pure: which session to have, which znode to look at and when, what to do about it.
//!
//! [`Input`]s say what has happened, [`Action`]s what to do; the driver does it and reports back. Nothing here waits,
//! reads a clock or touches ZooKeeper, so that a seeded simulation can drive it through everything that can happen.
//! What to do about one znode is decided in `node`; here are the session, the limits and the end.
//!
//! While the connection is down only one inspection is on its way at a time, as a probe; when it is answered all znodes
//! are inspected. The driver ends all operations of a session when it carries out [`Action::Close`], so that no result
//! comes from a session that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::node::Notice;
use super::node::{DecisionContext, Node, NodeStep, Operation};
use super::origin::ThisHost;
use super::status::{Hold, Registration, RegistrationState, SessionStatus};
use super::wanted::Wanted;
use crate::backoff::Backoff;
use crate::registry::{Error, Path};
use crate::zookeeper::Znode;

/// Limit of operations on their way.
const MAX_AT_ONCE: usize = 64;
/// Time for which stopping goes on without an answer of ZooKeeper before the rest is left to the session's end.
const STOP_WITHOUT_ANSWER: Duration = Duration::from_secs(3);
/// Time that it may take in all.
pub const STOP_WITHIN: Duration = Duration::from_secs(6);
/// Time for which a znode that is not wanted any more stays for others of its service to be registered.
const SUCCESSION: Duration = Duration::from_secs(30);
/// Limit of earlier sessions that are remembered. What they left goes with them long before.
const MAX_PAST: usize = 64;

/// Events that the plan decides on.
#[derive(Debug)]
pub enum Input {
    /// Registrations that are wanted from now on, as the services have changed: one that moves is never absent.
    Wanted(Vec<Wanted>),
    /// Registrations that are wanted from now on, as this host's addresses have changed: nobody is at those that it
    /// lost.
    Readdressed(Vec<Wanted>),
    /// A service must not be registered, or may be again; what it wants stays what it was.
    Hold {
        /// Its key.
        key: Arc<str>,
        /// Reason for its absence.
        hold: Option<Hold>,
    },
    /// There is a session.
    Connected {
        /// Its id.
        session: i64,
        /// Its timeout.
        timeout: Duration,
    },
    /// An attempt to connect failed.
    ConnectFailed,
    /// The connection broke; no watch that was armed before counts any more.
    Disconnected,
    /// The connection seems to be back.
    Reconnected,
    /// The session is over.
    Over(Error),
    /// A watch told that something happened to a znode.
    Changed(Path),
    /// A znode was read: what is there, or why that is not known.
    Inspected {
        /// Its path.
        path: Path,
        /// True if a watch armed on the present connection has been there since before the reading.
        armed: bool,
        /// Znode that is there.
        found: Result<Znode, Error>,
    },
    /// The server does not know watches of the kind that is needed.
    Unwatchable,
    /// A write to a znode has ended.
    Done {
        /// Its path.
        path: Path,
        /// Its result.
        result: Result<(), Error>,
    },
    /// Take everything out and stop.
    Stop,
    /// Time has passed.
    Tick,
}

/// Deeds of the driver.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Connect, after a while.
    Connect {
        /// The while.
        after: Duration,
    },
    /// Drop the session and everything that is on its way through it.
    Close {
        /// The cause of its end.
        why: Error,
    },
    /// Read a znode, after arming a watch on it if asked to.
    Inspect {
        /// Its path.
        path: Path,
        /// True if to arm a watch first.
        arm: bool,
    },
    /// Create the persistent znodes above it that are missing.
    MakeParents {
        /// Path of the znode that needs them.
        path: Path,
    },
    /// Create an ephemeral znode.
    Create {
        /// Its path.
        path: Path,
        /// Its data.
        data: Arc<[u8]>,
    },
    /// Delete a znode and create an ephemeral one in its place, in one transaction.
    Replace {
        /// Its path.
        path: Path,
        /// The version that it must have.
        version: i32,
        /// The new data.
        data: Arc<[u8]>,
    },
    /// Delete a znode.
    Delete {
        /// Its path.
        path: Path,
        /// The version that it must have.
        version: i32,
    },
    /// Drop the znode's watch.
    Unwatch {
        /// Its path.
        path: Path,
    },
    /// A registration stands otherwise than before.
    Report {
        /// State of the registration.
        registration: Registration,
        /// Notice that is worth a line in the log.
        news: Option<Notice>,
    },
    /// Everything is out, or as much as could be within the time.
    Stopped {
        /// The znodes that may still be there.
        left: Vec<Path>,
        /// Time within which they go at the latest.
        expire_within: Duration,
    },
}

/// A registration that makes room for others of its service.
#[derive(Debug)]
struct Leaving {
    /// The others.
    successors: Vec<Path>,
    /// Time at which it goes whatever they do.
    by: Instant,
}

/// The registrations of one registry, and the session they live by.
#[derive(Debug)]
pub struct Plan {
    nodes: BTreeMap<Path, Node>,
    /// Registrations that go once others have taken their place: the service has moved, and is never absent.
    leaving: BTreeMap<Path, Leaving>,
    session: Option<SessionStatus>,
    past: Vec<i64>,
    here: ThisHost,
    connecting: bool,
    connect_after: Duration,
    connects: Backoff,
    /// While the connection is down: when to probe it, and the delays between probes.
    probe_at: Option<Instant>,
    probes: Backoff,
    watchable: bool,
    /// Time by which stopping has to be over as things stand, the latest one, and true once it is.
    stop_by: Option<(Instant, Instant)>,
    stopped: bool,
    rng: fastrand::Rng,
}

impl Plan {
    /// A plan that wants nothing yet; `rng` spreads its delays.
    pub fn new(rng: fastrand::Rng) -> Self {
        Self {
            nodes: BTreeMap::new(),
            leaving: BTreeMap::new(),
            session: None,
            past: Vec::new(),
            here: ThisHost::default(),
            connecting: false,
            connect_after: Duration::ZERO,
            connects: Backoff::new(Duration::from_millis(100), Duration::from_secs(5), Duration::from_secs(30)),
            probe_at: None,
            probes: Backoff::new(Duration::from_millis(100), Duration::from_secs(2), Duration::ZERO),
            watchable: true,
            stop_by: None,
            stopped: false,
            rng,
        }
    }

    /// The same on this host, so that it takes nothing from another one.
    #[must_use]
    pub fn on(self, here: ThisHost) -> Self {
        Self { here, ..self }
    }

    /// The session, while there is one.
    pub fn session(&self) -> Option<SessionStatus> {
        self.session
    }

    /// Time at which the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let next = || self.nodes.values().filter(|node| node.doing.is_none()).filter_map(|node| node.due).min();
        let inspections = match (self.session, self.probe_at) {
            (None, _) => None,
            (_, Some(_)) if self.busy() > 0 => None,
            (_, Some(probe_at)) => next().map(|next| next.max(probe_at)),
            (_, None) if self.busy() >= MAX_AT_ONCE => None,
            (_, None) => next(),
        };
        let leaving = self.leaving.values().map(|leaving| leaving.by);
        inspections.into_iter().chain(self.stop_by.map(|(soon, _)| soon)).chain(leaving).min()
    }

    /// Takes in what has happened at `now` and adds what to do to `out`.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Wanted(wanted) if self.stop_by.is_none() => self.want(now, wanted, true, out),
            Input::Readdressed(wanted) if self.stop_by.is_none() => self.want(now, wanted, false, out),
            Input::Hold { key, hold } if self.stop_by.is_none() => self.hold(now, &key, hold.as_ref(), out),
            Input::Wanted(_) | Input::Readdressed(_) | Input::Hold { .. } | Input::Tick => {}
            Input::Connected { session, timeout } => self.connected(now, session, timeout),
            Input::ConnectFailed => {
                self.connecting = false;
                self.connect_after = self.connects.failed(now, self.rng.f64());
            }
            Input::Disconnected => {
                self.nodes.values_mut().for_each(|node| node.armed = false);
                self.link_down(now, Duration::ZERO);
            }
            Input::Reconnected => self.probe_at = self.probe_at.map(|_| now),
            Input::Over(why) => self.over(now, why, out),
            Input::Changed(path) => self.look_soon(now, &path),
            Input::Inspected { path, armed, found } => self.inspected(now, path, armed, found, out),
            Input::Unwatchable => self.watchable = false,
            Input::Done { path, result } => self.done(now, path, result, out),
            Input::Stop => self.stop(now, out),
        }
        self.let_go(now, out);
        self.go_on(now, out);
    }

    /// Registers what is wanted, and takes out the rest: once others of its service have taken its place, if it may
    /// stay so long.
    fn want(&mut self, now: Instant, wanted: Vec<Wanted>, may_stay: bool, out: &mut Vec<Action>) {
        let paths: BTreeSet<_> = wanted.iter().map(|one| one.path.clone()).collect();
        for one in wanted {
            let path = one.path.clone();
            match self.nodes.get_mut(&path) {
                Some(node) if node.data.as_ref() == Some(&one.data) => {
                    node.key = one.key;
                    if !node.hold(one.hold, now) {
                        continue;
                    }
                }
                Some(node) => {
                    (node.instance_id, node.key) = (one.instance_id, one.key);
                    node.want(Some(one.data), now);
                    node.hold(one.hold, now);
                }
                None => {
                    self.nodes.insert(path.clone(), Node::new(one, now));
                }
            }
            self.look_soon(now, &path);
            self.report(&path, None, out);
        }
        self.leaving.retain(|path, _| !paths.contains(path));
        let unwanted: Vec<_> = self.nodes.keys().filter(|path| !paths.contains(*path)).cloned().collect();
        for path in unwanted {
            let successors = if may_stay { self.successors(&path, &paths) } else { Vec::new() };
            match self.leaving.get_mut(&path) {
                Some(leaving) if may_stay => leaving.successors = successors,
                // It is waited for already, and may still be there.
                Some(_) => {}
                None if successors.is_empty() => self.unwant(now, &path, out),
                None => drop(self.leaving.insert(path, Leaving { successors, by: now + SUCCESSION })),
            }
        }
    }

    /// The registrations of the same service, among those that are wanted, which are on their way; none for one that is
    /// not registered itself.
    fn successors(&self, path: &Path, wanted: &BTreeSet<Path>) -> Vec<Path> {
        let Some(node) = self.nodes.get(path).filter(|node| node.state == RegistrationState::Registered) else {
            return Vec::new();
        };
        let others = self.nodes.iter().filter(|(path, other)| other.service == node.service && wanted.contains(*path));
        others.filter(|(_, other)| other.is_on_its_way()).map(|(path, _)| path.clone()).collect()
    }

    /// Takes out what has made room long enough.
    fn let_go(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.leaving.is_empty() {
            return;
        }
        let waits = |path: &Path| self.nodes.get(path).is_some_and(Node::is_on_its_way);
        let is_over = |leaving: &Leaving| now >= leaving.by || !leaving.successors.iter().any(waits);
        let over: Vec<_> =
            self.leaving.iter().filter(|(_, leaving)| is_over(leaving)).map(|(path, _)| path.clone()).collect();
        for path in over {
            self.leaving.remove(&path);
            self.unwant(now, &path, out);
        }
    }

    fn hold(&mut self, now: Instant, key: &str, hold: Option<&Hold>, out: &mut Vec<Action>) {
        let of_service = self.nodes.iter_mut().filter(|(_, node)| *node.key == *key);
        let changed = of_service.filter_map(|(path, node)| node.hold(hold.cloned(), now).then(|| path.clone()));
        for path in changed.collect::<Vec<_>>() {
            self.look_soon(now, &path);
            self.report(&path, None, out);
        }
    }

    fn unwant(&mut self, now: Instant, path: &Path, out: &mut Vec<Action>) {
        if let Some(node) = self.nodes.get_mut(path).filter(|node| node.data.is_some()) {
            node.want(None, now);
            self.look_soon(now, path);
            self.report(path, None, out);
        }
    }

    fn stop(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.stop_by.get_or_insert((now + STOP_WITHOUT_ANSWER, now + STOP_WITHIN));
        self.leaving.clear();
        let all: Vec<_> = self.nodes.keys().cloned().collect();
        for path in all {
            self.unwant(now, &path, out);
        }
    }

    fn connected(&mut self, now: Instant, session: i64, timeout: Duration) {
        self.connecting = false;
        self.connects.succeeded(now);
        self.probes.succeeded(now);
        self.probe_at = None;
        self.session = Some(SessionStatus { id: session, timeout, connected: true });
        self.nodes.values_mut().for_each(|node| node.session_begins(now));
    }

    fn over(&mut self, now: Instant, why: Error, out: &mut Vec<Action>) {
        let Some(session) = self.session.take() else { return };
        if self.past.len() == MAX_PAST {
            self.past.remove(0);
        }
        self.past.push(session.id);
        self.probe_at = None;
        self.connect_after = self.connects.failed(now, self.rng.f64());
        out.push(Action::Close { why });
        for path in std::mem::take(&mut self.leaving).into_keys() {
            self.unwant(now, &path, out);
        }
        for (path, node) in &mut self.nodes {
            node.session_over(now);
            out.push(Action::Report { registration: registration(path, node), news: None });
        }
    }

    fn link_down(&mut self, now: Instant, probe_after: Duration) {
        if let Some(session) = &mut self.session {
            session.connected = false;
            self.probe_at = Some(now + probe_after);
            self.nodes.values_mut().for_each(|node| node.due = Some(now));
        }
    }

    /// An answer came: the connection is there.
    fn link_up(&mut self, now: Instant) {
        if let Some((soon, latest)) = &mut self.stop_by {
            *soon = (now + STOP_WITHOUT_ANSWER).min(*latest);
        }
        if let Some(session) = &mut self.session
            && !session.connected
        {
            session.connected = true;
            self.probe_at = None;
            self.probes.succeeded(now);
        }
    }

    /// The operation on `path` got no answer. Whether it happened the next inspection shows.
    fn no_answer(&mut self, now: Instant, path: &Path, error: Error, out: &mut Vec<Action>) {
        if error.is_terminal() {
            return self.over(now, error, out);
        }
        if let Some(node) = self.nodes.get_mut(path) {
            node.doing = None;
        }
        let delay = self.probes.failed(now, self.rng.f64());
        self.link_down(now, delay);
    }

    /// Has the znode inspected as soon as nothing else is being done with it.
    fn look_soon(&mut self, now: Instant, path: &Path) {
        if let Some(node) = self.nodes.get_mut(path)
            && self.session.is_some()
        {
            node.due = Some(now);
        }
    }

    fn inspected(&mut self, now: Instant, path: Path, armed: bool, found: Result<Znode, Error>, out: &mut Vec<Action>) {
        let found = match found {
            Ok(znode) => Ok(Some(znode)),
            Err(Error::NoNode) => Ok(None),
            Err(error) if error.is_answer() => Err(error),
            Err(error) => {
                if let Some(node) = self.nodes.get_mut(&path) {
                    node.armed = armed;
                }
                return self.no_answer(now, &path, error, out);
            }
        };
        self.link_up(now);
        self.decide(path, now, out, |node, at| {
            node.armed = armed;
            match &found {
                Ok(znode) => node.inspected(znode.as_ref(), at),
                Err(error) => (NodeStep::Rest, node.fail(Operation::Inspecting, error, at)),
            }
        });
    }

    fn done(&mut self, now: Instant, path: Path, result: Result<(), Error>, out: &mut Vec<Action>) {
        let result = match result {
            Err(error) if !error.is_answer() => return self.no_answer(now, &path, error, out),
            answer => answer,
        };
        self.link_up(now);
        let Some(doing) = self.nodes.get(&path).and_then(|node| node.doing) else { return };
        self.decide(path, now, out, |node, at| node.written(doing, result, at));
    }

    /// Lets the registration decide after its operation has ended, and has done what it decides.
    fn decide(
        &mut self,
        path: Path,
        now: Instant,
        out: &mut Vec<Action>,
        decide: impl FnOnce(&mut Node, &DecisionContext<'_>) -> (NodeStep, Option<Notice>),
    ) {
        let (Some(session), Some(node)) = (self.session, self.nodes.get_mut(&path)) else { return };
        let random = self.rng.f64();
        let at = DecisionContext {
            now,
            session: session.id,
            past: &self.past,
            here: &self.here,
            watchable: self.watchable,
            random,
        };
        // What happened while the operation was on its way may not be in its result.
        let seen_meanwhile = node.due.take();
        node.doing = None;
        let before = (node.state.clone(), node.owner);
        let (step, news) = decide(node, &at);
        if before != (node.state.clone(), node.owner) || news.is_some() {
            out.push(Action::Report { registration: registration(&path, node), news });
        }
        let (doing, action) = match step {
            NodeStep::Rest => {
                node.due = seen_meanwhile.or(node.due);
                return;
            }
            NodeStep::Forget => {
                self.nodes.remove(&path);
                return out.push(Action::Unwatch { path });
            }
            NodeStep::MakeParents => (Operation::MakingParents, Action::MakeParents { path }),
            NodeStep::Create(data) => (Operation::Creating, Action::Create { path, data }),
            NodeStep::Replace(version, data) => (Operation::Replacing, Action::Replace { path, version, data }),
            NodeStep::Delete(version) => (Operation::Deleting, Action::Delete { path, version }),
        };
        (node.doing, node.due) = (Some(doing), seen_meanwhile);
        out.push(action);
    }

    /// Does what is due: connects, inspects, or ends.
    fn go_on(&mut self, now: Instant, out: &mut Vec<Action>) {
        if let Some((stop_by, _)) = self.stop_by {
            if !self.stopped && (self.nodes.is_empty() || self.session.is_none() || now >= stop_by) {
                self.stopped = true;
                out.push(self.stopped());
            }
            if self.stopped {
                return;
            }
        }
        if self.session.is_none() {
            if !self.connecting && !self.nodes.is_empty() {
                self.connecting = true;
                out.push(Action::Connect { after: std::mem::take(&mut self.connect_after) });
            }
            return;
        }
        let at_once = match self.probe_at {
            Some(probe_at) if now < probe_at => 0,
            Some(_) => 1,
            None => MAX_AT_ONCE,
        };
        let free = at_once.saturating_sub(self.busy());
        let due = |node: &Node| node.doing.is_none() && node.due.is_some_and(|due| due <= now);
        for (path, node) in self.nodes.iter_mut().filter(|(_, node)| due(node)).take(free) {
            (node.doing, node.due) = (Some(Operation::Inspecting), None);
            out.push(Action::Inspect { path: path.clone(), arm: self.watchable && !node.armed });
        }
    }

    fn stopped(&self) -> Action {
        let left = self.nodes.iter().filter(|(_, node)| node.may_be_there()).map(|(path, _)| path.clone()).collect();
        Action::Stopped { left, expire_within: self.session.map_or(Duration::ZERO, |session| session.timeout) }
    }

    fn busy(&self) -> usize {
        self.nodes.values().filter(|node| node.doing.is_some()).count()
    }

    fn report(&self, path: &Path, news: Option<Notice>, out: &mut Vec<Action>) {
        if let Some(node) = self.nodes.get(path) {
            out.push(Action::Report { registration: registration(path, node), news });
        }
    }
}

fn registration(path: &Path, node: &Node) -> Registration {
    Registration {
        service: node.service.clone(),
        endpoint: node.endpoint.clone(),
        path: path.clone(),
        state: node.state.clone(),
        since: node.since,
        owner: node.owner,
        counts: node.counts,
        last_error: node.last_error.clone(),
    }
}

#[cfg(test)]
mod tests;
