//! The sessions of an in-memory ensemble: their connections, their watches, and how far behind the server is that each
//! is connected to. Everything is done in the call that asks for it, under the one lock that the caller holds.
//!
//! A server that lags shows its clients an older tree *and* tells their watches later: an event never precedes the
//! state it is about on the same connection. So a session that lags keeps its events back until it catches up.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;

use super::store::{OUTSIDE, Store};
use crate::registry::{Error, Path};
use crate::zookeeper::session::{Event, Read, Reply, Write, WriteError};
use crate::zookeeper::{Stat, Znode};

/// Everything an in-memory ensemble is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) store: Store,
    clients: BTreeMap<i64, Client>,
    last_id: i64,
    /// True if new sessions are turned away.
    pub(super) refusing: bool,
    /// Paths that no session may read.
    pub(super) denied: BTreeSet<Path>,
    /// The server that new sessions are connected to, if it is behind.
    slow: Option<Behind>,
}

/// A session, as the ensemble sees it.
#[derive(Debug, Default)]
struct Client {
    cut: bool,
    /// Its owner dropped it while it was cut, so nobody told the ensemble.
    left: bool,
    watches: Vec<Armed>,
    behind: Option<Behind>,
    /// So many writes from now on will lose their replies.
    replies_to_lose: usize,
}

/// A server that has not caught up: the state it shows, and what it has yet to learn.
#[derive(Debug, Clone)]
struct Behind {
    store: Store,
    missed: Vec<Path>,
}

#[derive(Debug)]
struct Armed {
    root: Path,
    events: mpsc::UnboundedSender<Event>,
    /// Dead once the connection broke: it tells of the session from then on, of znodes no more.
    live: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            store: Store::new(),
            clients: BTreeMap::new(),
            last_id: 0,
            refusing: false,
            denied: BTreeSet::new(),
            slow: None,
        }
    }

    pub(super) fn connect(&mut self) -> Result<i64, Error> {
        if self.refusing {
            return Err(Error::Timeout);
        }
        self.last_id += 1;
        self.clients.insert(self.last_id, Client { behind: self.slow.clone(), ..Client::default() });
        Ok(self.last_id)
    }

    /// The session's owner has dropped it.
    pub(super) fn leave(&mut self, id: i64) {
        match self.clients.get_mut(&id) {
            Some(client) if client.cut => client.left = true,
            _ => self.end(id),
        }
    }

    pub(super) fn sessions(&self) -> Vec<i64> {
        self.clients.keys().copied().collect()
    }

    pub(super) fn watch(&mut self, id: i64, root: &Path) -> Result<mpsc::UnboundedReceiver<Event>, Error> {
        let client = self.connected(id)?;
        let (events, receiver) = mpsc::unbounded_channel();
        client.watches.retain(|armed| !armed.events.is_closed());
        client.watches.push(Armed { root: root.clone(), events, live: true });
        Ok(receiver)
    }

    pub(super) fn sync(&mut self, id: i64) -> Result<(), Error> {
        self.connected(id)?.catch_up();
        Ok(())
    }

    pub(super) fn get(&mut self, id: i64, path: &Path) -> Result<Znode, Error> {
        self.connected(id)?;
        self.allowed(path)?;
        self.seen_by(id).get(path)
    }

    pub(super) fn read(&mut self, id: i64, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        self.connected(id)?;
        let reply = |read: &Read| {
            self.allowed(read.path())?;
            match read {
                Read::Node(path) => self.seen_by(id).get(path).map(Reply::Node),
                Read::Children(path) => self.seen_by(id).children(path).map(Reply::Children),
            }
        };
        Ok(batch.iter().map(|read| reply(read).unwrap_or_else(Reply::Failed)).collect())
    }

    /// Writes of a session. Its server has caught up with them, and with all before them, when it replies.
    pub(super) fn write(&mut self, id: i64, batch: &[Write]) -> Result<(), WriteError> {
        let whole = |error| WriteError { index: None, error };
        self.connected(id).map_err(whole)?;
        if batch.is_empty() {
            return Ok(());
        }
        let written = self.commit(id, batch);
        let client = self.connected(id).map_err(whole)?;
        client.catch_up();
        if client.replies_to_lose > 0 {
            client.replies_to_lose -= 1;
            return Err(whole(Error::ConnectionLoss("the reply was lost".to_owned())));
        }
        written
    }

    /// Writes from outside any session.
    pub(super) fn edit(&mut self, batch: &[Write]) -> Result<(), WriteError> {
        self.commit(OUTSIDE, batch)
    }

    pub(super) fn stat(&self, path: &Path) -> Result<Stat, Error> {
        self.store.stat(path)
    }

    pub(super) fn dump(&self) -> Vec<(Path, Znode)> {
        let znodes = self.store.iter().filter(|(path, ..)| !path.is_root());
        znodes.map(|(path, data, stat)| (path.clone(), Znode { data: data.to_vec(), stat })).collect()
    }

    /// Cuts the session's connection: its watches are dead from now on.
    pub(super) fn cut(&mut self, id: i64) {
        if let Some(client) = self.clients.get_mut(&id).filter(|client| !client.cut) {
            client.cut = true;
            client.behind = None;
            for armed in &mut client.watches {
                armed.live = false;
            }
            client.tell(&Event::Disconnected);
        }
    }

    /// Gives the session its connection back; one that was dropped meanwhile takes the chance to close itself.
    pub(super) fn heal(&mut self, id: i64) {
        match self.clients.get_mut(&id) {
            Some(client) if client.left => self.end(id),
            Some(client) if client.cut => {
                client.cut = false;
                client.tell(&Event::Connected);
            }
            _ => {}
        }
    }

    /// Ends a session: its ephemeral znodes go, its watches hear of it, the others' watches see the znodes go.
    pub(super) fn end(&mut self, id: i64) {
        if let Some(client) = self.clients.remove(&id) {
            client.tell(&Event::Over(Error::SessionExpired));
            let gone = self.store.close(id);
            self.announce(&gone);
        }
    }

    pub(super) fn lag(&mut self, id: i64, lagging: bool) {
        let now = &self.store;
        if let Some(client) = self.clients.get_mut(&id).filter(|client| !client.cut) {
            if !lagging {
                client.catch_up();
            } else if client.behind.is_none() {
                client.behind = Some(Behind { store: now.clone(), missed: Vec::new() });
            }
        }
    }

    pub(super) fn lag_new(&mut self, lagging: bool) {
        self.slow = lagging.then(|| Behind { store: self.store.clone(), missed: Vec::new() });
    }

    pub(super) fn lose_replies(&mut self, id: i64, count: usize) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.replies_to_lose = count;
        }
    }

    fn commit(&mut self, owner: i64, batch: &[Write]) -> Result<(), WriteError> {
        let changed = self.store.write(owner, batch)?;
        self.announce(&changed);
        Ok(())
    }

    /// Tells every watch that covers them of changed paths, now or when its server catches up.
    fn announce(&mut self, changed: &[Path]) {
        for behind in self.clients.values_mut().filter_map(|client| client.behind.as_mut()).chain(&mut self.slow) {
            behind.missed.extend_from_slice(changed);
        }
        for client in self.clients.values().filter(|client| client.behind.is_none()) {
            client.deliver(changed);
        }
    }

    fn connected(&mut self, id: i64) -> Result<&mut Client, Error> {
        match self.clients.get_mut(&id) {
            None => Err(Error::SessionExpired),
            Some(client) if client.cut => Err(Error::ConnectionLoss("disconnected".to_owned())),
            Some(client) => Ok(client),
        }
    }

    fn allowed(&self, path: &Path) -> Result<(), Error> {
        if self.denied.contains(path) { Err(Error::NoAuth) } else { Ok(()) }
    }

    /// The tree as the session's server has it.
    fn seen_by(&self, id: i64) -> &Store {
        match self.clients.get(&id) {
            Some(Client { behind: Some(behind), .. }) => &behind.store,
            _ => &self.store,
        }
    }
}

impl Client {
    fn catch_up(&mut self) {
        if let Some(behind) = self.behind.take() {
            self.deliver(&behind.missed);
        }
    }

    fn deliver(&self, changed: &[Path]) {
        for armed in self.watches.iter().filter(|armed| armed.live) {
            for path in changed.iter().filter(|path| path.below(&armed.root).is_some()) {
                armed.tell(Event::Changed(path.clone()));
            }
        }
    }

    fn tell(&self, event: &Event) {
        for armed in &self.watches {
            armed.tell(event.clone());
        }
    }
}

impl Armed {
    fn tell(&self, event: Event) {
        // Fails when the watch was dropped: then nobody wants to know.
        let _ = self.events.send(event);
    }
}
