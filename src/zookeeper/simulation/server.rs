//! The server's side: the connection, what reaches it, and what comes back.

use std::time::Duration;

use super::world::{Delivery, World, Znodes};
use crate::registry::Error;
use crate::zookeeper::mirror::{Action, Input};
use crate::zookeeper::session::{Event, Read, Reply};
use crate::zookeeper::{Stat, Znode};

/// Time that an operation may take until the session says that it did.
const TIMEOUT: Duration = Duration::from_secs(4);

impl World {
    /// Puts something on its way to the mirror. A server sends events and replies in one order; where the script lets
    /// them overtake each other, events still keep their order among themselves.
    pub(super) fn send(&mut self, what: Input, slow: bool) {
        let delay = if slow { self.rng.u64(100..1500) } else { self.rng.u64(..30) };
        let is_event = |input: &Input| matches!(input, Input::Event(_));
        let in_order = is_event(&what) || !self.script.overtaking;
        let before = self.coming.iter().filter(|coming| !self.script.overtaking || is_event(&coming.what));
        let last = before.map(|coming| coming.due).max().filter(|_| in_order);
        let due = (self.now + Duration::from_millis(delay)).max(last.unwrap_or(self.now));
        self.coming.push(Delivery { due, what });
    }

    pub(super) fn disturb(&mut self) {
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

    pub(super) fn reconnect(&mut self) {
        if self.session && self.connection.is_none() {
            self.say(|| "reconnect".into());
            self.connections += 1;
            self.connection = Some(self.connections);
            self.feed(Input::Event(Event::Connected));
        }
    }

    pub(super) fn expire(&mut self) {
        if self.session {
            self.say(|| "expire".into());
            self.drop_session();
            self.feed(Input::Event(Event::Over(Error::SessionExpired)));
        }
    }

    pub(super) fn drop_session(&mut self) {
        self.session = false;
        self.armed = None;
        self.forget_connection();
    }

    /// A request, or its reply, is lost: the session gives up on it after a while. Now and then it says so at once,
    /// before the watch tells of the broken connection.
    fn lose_request(&mut self) {
        let Some(Delivery { what, .. }) = self.requests.pop_back() else { return };
        self.say(|| format!("lost {what:?}"));
        let broken = self.rng.bool();
        let error = || if broken { Error::ConnectionLoss("broken".into()) } else { Error::Timeout };
        let what = match what {
            Action::Arm(epoch, _) => Input::Armed(epoch, Err(error())),
            Action::Join(epoch, root) => Input::Joined(epoch, root, Err(error())),
            Action::Sync(epoch) => Input::Synced(epoch, Err(error())),
            Action::Read(epoch, batch) => Input::Replied(epoch, batch, Err(error())),
            Action::Connect { .. } | Action::Publish(_) | Action::Untold(_) | Action::Leave(_) => return,
        };
        let due = if broken { self.now } else { self.now + TIMEOUT };
        self.coming.push(Delivery { due, what });
    }

    pub(super) fn catch_up(&mut self) {
        self.lagging = None;
        for path in std::mem::take(&mut self.missed_while_lagging) {
            self.tell(&path);
        }
    }

    fn read(&self, read: &Read) -> Reply {
        self.read_of(self.lagging.as_ref().unwrap_or(&self.znodes), read)
    }

    /// The reply of a server that has these znodes.
    pub(super) fn read_of(&self, znodes: &Znodes, read: &Read) -> Reply {
        let path = read.path();
        let children = znodes.keys().filter(|other| other.parent() == Some(path.as_str()));
        match (read, znodes.get(path)) {
            (_, None) => Reply::Failed(Error::NoNode),
            _ if self.refused.contains(path) => Reply::Failed(Error::NoAuth),
            (Read::Node(_), Some((data, czxid, mzxid))) => {
                let num_children = i32::try_from(children.count()).unwrap();
                let stat = Stat { czxid: *czxid, mzxid: *mzxid, num_children, ..Stat::default() };
                Reply::Node(Znode { data: data.clone(), stat })
            }
            (Read::Children(_), Some(_)) => Reply::Children(children.map(|child| child.name().to_owned()).collect()),
        }
    }

    /// Servers that read piece by piece may write in between.
    fn answer(&mut self, read: &Read) -> Reply {
        let reply = self.read(read);
        if self.script.pieces && self.is_stormy && self.rng.u8(..3) == 0 {
            self.write();
        }
        reply
    }

    /// The server does what has reached it.
    pub(super) fn serve(&mut self) {
        while self.requests.front().is_some_and(|request| request.due <= self.now) {
            let Some(Delivery { what, .. }) = self.requests.pop_front() else { return };
            match what {
                Action::Arm(epoch, roots) => {
                    self.armed = self.connection;
                    self.watched = roots.into_iter().collect();
                    self.send(Input::Armed(epoch, Ok(())), false);
                }
                Action::Join(epoch, root) => {
                    self.watched.insert(root.clone());
                    self.catch_up();
                    self.send(Input::Joined(epoch, root, Ok(())), false);
                }
                Action::Sync(epoch) => {
                    self.catch_up();
                    self.send(Input::Synced(epoch, Ok(Some(self.zxid))), false);
                }
                Action::Read(epoch, batch) => {
                    let replies = batch.iter().map(|read| self.answer(read)).collect();
                    let lists = batch.iter().any(|read| matches!(read, Read::Children(_)));
                    let slow = lists && self.rng.u8(..6) == 0;
                    self.send(Input::Replied(epoch, batch, Ok(replies)), slow);
                }
                Action::Leave(root) => drop(self.watched.remove(&root)),
                Action::Connect { .. } | Action::Publish(_) | Action::Untold(_) => {}
            }
        }
    }

    /// One of the things that are due: the first, or where they overtake each other, the first event or any reply. In
    /// front of a reply the driver takes in all events that wait, and some of them may be younger than the reply.
    pub(super) fn arrived(&mut self) -> Option<usize> {
        let is_event = |coming: &Delivery<Input>| matches!(coming.what, Input::Event(_));
        let due: Vec<usize> = (0..self.coming.len()).filter(|&i| self.coming[i].due <= self.now).collect();
        if !self.script.overtaking {
            let first = due.into_iter().min_by_key(|&i| self.coming[i].due)?;
            let waiting = (0..self.coming.len()).filter(|&i| is_event(&self.coming[i]));
            let event = waiting.min_by_key(|&i| self.coming[i].due).filter(|_| self.rng.bool());
            return Some(event.unwrap_or(first));
        }
        let first_event = due.iter().copied().find(|&i| matches!(self.coming[i].what, Input::Event(_)));
        let mut choices: Vec<usize> =
            due.into_iter().filter(|&i| !matches!(self.coming[i].what, Input::Event(_))).collect();
        choices.extend(first_event);
        if choices.is_empty() { None } else { Some(choices[self.rng.usize(..choices.len())]) }
    }
}
