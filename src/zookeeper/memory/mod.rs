//! A ZooKeeper ensemble in this process: the registry of `zonekeeper dev`, and the one that tests can break on purpose.
//!
//! It keeps the promises of [`session`](super::session) and ZooKeeper's rules: transaction numbers, versions, znodes
//! that go with their session, persistent recursive watches, writes all or nothing, the request limit. The same battery
//! of tests runs against it and against real servers. What it does not have: ACLs (but for
//! [`Access`] and [`Memory::deny`]), quotas,
//! sequential, container and TTL znodes, a `/zookeeper` subtree, and session timeouts: a session expires when
//! [`Memory::expire`] says so. Nothing happens here unless somebody calls, so a test that makes the calls in one order
//! sees the same run every time.
//!
//! - `store`: the znodes and the rules about them, pure.
//! - `world`: sessions, their connections, their watches.
//! - `faults`: what a test can break. `replace`: bringing the tree to a new seed.

mod faults;
mod replace;
mod store;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use self::world::World;
use super::session::{Access, Ensemble, Event, Mode, Read, Reply, Session, Watch, Write, WriteError};
use super::{Stat, Znode, size};
use crate::registry::selection::Selection;
use crate::registry::{Error, Path};

pub use self::replace::Replaced;
use self::replace::{ReplacePlan, plan};

/// The session timeout that sessions report; nothing here times out.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// An ensemble in this process. Clones are the same ensemble.
#[derive(Debug, Clone)]
pub struct Memory {
    name: Arc<str>,
    world: Arc<Mutex<World>>,
}

impl Memory {
    /// An ensemble with nothing but the root znode, called `name` in messages.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), world: Arc::new(Mutex::new(World::new())) }
    }

    /// Makes the persistent znodes those of `wanted`, given as path and data; parents that are not listed are created
    /// empty. Nobody sees a state in between.
    pub fn replace(&self, wanted: impl IntoIterator<Item = (Path, Vec<u8>)>) -> Replaced {
        let mut world = self.world();
        let ReplacePlan { writes, kept, hidden } = plan(&world.store, &wanted.into_iter().collect());
        let mut replaced = Replaced { kept, hidden, ..Replaced::default() };
        for write in &writes {
            // A plan only has writes that succeed in its order; counting what did is cheaper than to trust that.
            if world.edit(std::slice::from_ref(write)).is_ok() {
                *match write {
                    Write::Create { .. } => &mut replaced.created,
                    Write::Set { .. } => &mut replaced.changed,
                    Write::Delete { .. } => &mut replaced.deleted,
                } += 1;
            }
        }
        replaced
    }

    /// Creates a persistent znode, from outside any session.
    ///
    /// # Errors
    /// [`Error::NodeExists`], [`Error::NoNode`] and [`Error::NoChildrenForEphemerals`] for the parent.
    pub fn create(&self, path: &Path, data: &[u8]) -> Result<Stat, Error> {
        self.edit(&Write::Create {
            path: path.clone(),
            data: data.to_vec(),
            mode: Mode::Persistent,
            access: Access::Open,
        })?;
        self.world().stat(path)
    }

    /// Replaces a znode's data, from outside any session.
    ///
    /// # Errors
    /// [`Error::NoNode`].
    pub fn set(&self, path: &Path, data: &[u8]) -> Result<Stat, Error> {
        self.edit(&Write::Set { path: path.clone(), data: data.to_vec(), version: None })?;
        self.world().stat(path)
    }

    /// Deletes a znode, from outside any session.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::NotEmpty`].
    pub fn delete(&self, path: &Path) -> Result<(), Error> {
        self.edit(&Write::Delete { path: path.clone(), version: None })
    }

    /// All znodes but the root, in the order of their paths, as they really are: no lag, no denial.
    pub fn dump(&self) -> Vec<(Path, Znode)> {
        self.world().dump()
    }

    /// The sessions that are not over, oldest first. One that was dropped while it was cut is among them.
    pub fn sessions(&self) -> Vec<i64> {
        self.world().sessions()
    }

    fn edit(&self, write: &Write) -> Result<(), Error> {
        self.world().edit(std::slice::from_ref(write)).map_err(|failed| failed.error)
    }

    /// Everything there is, for as long as the guard lives: never across an await.
    fn world(&self) -> MutexGuard<'_, World> {
        // A panic in a test's thread must not hide behind a second one here.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ensemble for Memory {
    type Session = MemorySession;

    async fn connect(&self) -> Result<MemorySession, Error> {
        let id = self.world().connect()?;
        Ok(MemorySession { id, memory: self.clone() })
    }

    fn describe(&self) -> &str {
        &self.name
    }
}

/// A session with a [`Memory`].
#[derive(Debug)]
pub struct MemorySession {
    id: i64,
    memory: Memory,
}

impl MemorySession {
    fn write_one(&self, write: &Write) -> Result<Option<Stat>, Error> {
        size::check_writes(0, std::slice::from_ref(write))?;
        let mut world = self.memory.world();
        world.write(self.id, std::slice::from_ref(write)).map_err(|failed| failed.error)?;
        Ok(world.stat(write.path()).ok())
    }
}

impl Session for MemorySession {
    type Watch = MemoryWatch;

    fn id(&self) -> i64 {
        self.id
    }

    fn timeout(&self) -> Duration {
        SESSION_TIMEOUT
    }

    fn reads_at_once(&self) -> bool {
        true
    }

    async fn watch(&self, path: &Path) -> Result<MemoryWatch, Error> {
        Ok(MemoryWatch(self.memory.world().watch(self.id, path)?))
    }

    /// In this process events cost nothing.
    async fn watch_selected(&self, path: &Path, _: Arc<dyn Selection>) -> Result<MemoryWatch, Error> {
        self.watch(path).await
    }

    async fn sync(&self, _path: &Path) -> Result<(), Error> {
        self.memory.world().sync(self.id)
    }

    async fn read(&self, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        size::check_reads(0, batch)?;
        self.memory.world().read(self.id, batch)
    }

    async fn get(&self, path: &Path) -> Result<Znode, Error> {
        self.memory.world().get(self.id, path)
    }

    async fn write(&self, batch: &[Write]) -> Result<(), WriteError> {
        size::check_writes(0, batch).map_err(|error| WriteError { index: None, error })?;
        self.memory.world().write(self.id, batch)
    }

    async fn create(&self, path: &Path, data: &[u8], mode: Mode, access: &Access) -> Result<Stat, Error> {
        let write = Write::Create { path: path.clone(), data: data.to_vec(), mode, access: *access };
        self.write_one(&write)?.ok_or(Error::NoNode)
    }

    async fn set(&self, path: &Path, data: &[u8], version: Option<i32>) -> Result<Stat, Error> {
        self.write_one(&Write::Set { path: path.clone(), data: data.to_vec(), version })?.ok_or(Error::NoNode)
    }

    async fn delete(&self, path: &Path, version: Option<i32>) -> Result<(), Error> {
        self.write_one(&Write::Delete { path: path.clone(), version }).map(drop)
    }
}

/// Closes the session; where its connection is cut, the ensemble learns of it only from [`Memory::heal`] or
/// [`Memory::expire`].
impl Drop for MemorySession {
    fn drop(&mut self) {
        self.memory.world().leave(self.id);
    }
}

/// A watch of a [`MemorySession`].
#[derive(Debug)]
pub struct MemoryWatch(mpsc::UnboundedReceiver<Event>);

impl Watch for MemoryWatch {
    async fn next(&mut self) -> Event {
        match self.0.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}
