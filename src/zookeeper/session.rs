//! A ZooKeeper ensemble as three traits: an ensemble to connect to, a session with it, a
//! watch that belongs to a session.
//!
//! Two implementations must be indistinguishable to their callers: [`super::client`] over the wire and
//! [`super::memory`] in this process; one battery of tests runs against both. What callers may rely on:
//!
//! - An event is queued on its watch before any reply that reflects the same transaction is given out: whoever empties
//!   the watch before looking at a reply sees both in the order of the transactions. (Not so for a watch that is made
//!   of one-shot watches, on servers before 3.6.) A connected watch loses nothing.
//! - After [`Event::Disconnected`] a watch may be dead for good: it has to be armed anew, and whatever changed
//!   meanwhile is not replayed (ZOOKEEPER-4698).
//! - After [`Event::Over`] the watch says nothing more, and the session is over.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Stat, Znode};
use crate::registry::selection::Selection;
use crate::registry::{Error, Path};

/// An ensemble that can be connected to.
pub trait Ensemble: Clone + Send + Sync + 'static {
    /// A session with it.
    type Session: Session;

    /// Opens a new session. One attempt, bounded in time; trying again is the caller's.
    ///
    /// # Errors
    /// [`Error::NoServer`], [`Error::Timeout`] or [`Error::ConnectionLoss`] when no server gave a session,
    /// [`Error::AuthFailed`].
    fn connect(&self) -> impl Future<Output = Result<Self::Session, Error>> + Send;

    /// The same ensemble for sessions that only read, which a server without quorum may have too.
    #[must_use]
    fn for_reading(self) -> Self {
        self
    }

    /// Its name in messages: the connect string.
    fn describe(&self) -> &str;

    /// The credentials that sessions show, for messages: `digest user team`; none without any.
    fn identity(&self) -> Option<String> {
        None
    }

    /// A path as it is without the connect string's chroot, for messages.
    fn full_path(&self, path: &Path) -> String {
        let text = self.describe();
        let chroot = crate::zookeeper::config::chroot_of(text).trim_end_matches('/');
        if path.is_root() && !chroot.is_empty() { chroot.to_owned() } else { format!("{chroot}{path}") }
    }
}

/// A session: what was registered through it lives as long as it does. Dropping it closes it.
///
/// Every operation is bounded in time by the implementation ([`Error::Timeout`]).
pub trait Session: Send + Sync + 'static {
    /// A watch armed through this session.
    type Watch: Watch;

    /// The session's id, as `ephemeral_owner` shows it.
    fn id(&self) -> i64;

    /// The negotiated session timeout.
    fn timeout(&self) -> Duration;

    /// Returns whether all replies of one [`Self::read`] show the same moment: a server runs no write while it runs
    /// such a request. Not so before ZooKeeper 3.6, where a batch is read piece by piece.
    fn reads_at_once(&self) -> bool;

    /// Arms a persistent watch on `path` and everything below it, whether it exists or not.
    ///
    /// # Errors
    /// [`Error::Unimplemented`] before ZooKeeper 3.6; connection trouble.
    fn watch(&self, path: &Path) -> impl Future<Output = Result<Self::Watch, Error>> + Send;

    /// Arms a watch on `path` and on what `selection` has below it, and on nothing else: what happens there is no event
    /// and no traffic, where the server can do so. Its events are in no order with replies.
    ///
    /// # Errors
    /// Connection trouble.
    fn watch_selected(
        &self,
        path: &Path,
        selection: Arc<dyn Selection>,
    ) -> impl Future<Output = Result<Self::Watch, Error>> + Send;

    /// Returns when the connected server has caught up with the leader.
    ///
    /// # Errors
    /// Connection trouble.
    fn sync(&self, path: &Path) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads many things in one request, without watches; one reply for each item, in order. The caller keeps within
    /// the request size (at most 500 paths and 256 KiB of them).
    ///
    /// # Errors
    /// The outer error is about the request as a whole: connection trouble or [`Error::Unimplemented`].
    fn read(&self, batch: &[Read]) -> impl Future<Output = Result<Vec<Reply>, Error>> + Send;

    /// Reads one znode.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::NoAuth`]; connection trouble.
    fn get(&self, path: &Path) -> impl Future<Output = Result<Znode, Error>> + Send;

    /// Does all the writes, in order, or none of them.
    ///
    /// # Errors
    /// Which write failed (by its index; none when the request as a whole did) and why. After connection trouble it is
    /// not known whether the writes happened.
    fn write(&self, batch: &[Write]) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Creates a znode.
    ///
    /// # Errors
    /// [`Error::NodeExists`], [`Error::NoNode`] for the parent, [`Error::NoAuth`]; connection trouble.
    fn create(
        &self,
        path: &Path,
        data: &[u8],
        mode: Mode,
        access: &Access,
    ) -> impl Future<Output = Result<Stat, Error>> + Send;

    /// Replaces a znode's data, if `version` is its version or none is given.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`], [`Error::NoAuth`]; connection trouble.
    fn set(&self, path: &Path, data: &[u8], version: Option<i32>) -> impl Future<Output = Result<Stat, Error>> + Send;

    /// Deletes a znode, if `version` is its version or none is given.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`], [`Error::NotEmpty`], [`Error::NoAuth`]; connection trouble.
    fn delete(&self, path: &Path, version: Option<i32>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Events of an armed watch, in order.
pub trait Watch: Send + 'static {
    /// The next event. Cancel-safe. After [`Event::Over`] it never returns again.
    fn next(&mut self) -> impl Future<Output = Event> + Send;
}

/// Event of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The znode was created or deleted, or its data was changed: which of them must be read.
    Changed(Path),
    /// The connection broke. The watch may miss changes from now on.
    Disconnected,
    /// The connection is back, within the same session.
    Connected,
    /// The session is over, and why.
    Over(Error),
}

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A znode's data and stat.
    Node(Path),
    /// The names of a znode's children.
    Children(Path),
}

impl Read {
    /// The path it reads.
    pub fn path(&self) -> &Path {
        match self {
            Self::Node(path) | Self::Children(path) => path,
        }
    }
}

/// The reply to a [`Read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Read::Node`].
    Node(Znode),
    /// To [`Read::Children`]: names in no particular order.
    Children(Vec<String>),
    /// To either: an answer about the znode (see [`Error::is_answer`]).
    Failed(Error),
}

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Create a znode.
    Create {
        /// Its path.
        path: Path,
        /// Its data.
        data: Vec<u8>,
        /// Its lifetime.
        mode: Mode,
        /// Its rights.
        access: Access,
    },
    /// Replace a znode's data.
    Set {
        /// Its path.
        path: Path,
        /// The new data.
        data: Vec<u8>,
        /// The version it must have, if any.
        version: Option<i32>,
    },
    /// Delete a znode.
    Delete {
        /// Its path.
        path: Path,
        /// The version it must have, if any.
        version: Option<i32>,
    },
}

impl Write {
    /// The path it writes to.
    pub fn path(&self) -> &Path {
        match self {
            Self::Create { path, .. } | Self::Set { path, .. } | Self::Delete { path, .. } => path,
        }
    }
}

/// Failure of one of several writes, and the reason; none of them happened, unless the error is about the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct WriteError {
    /// Index of the write that failed, where it was one of them.
    pub index: Option<usize>,
    /// Why.
    #[source]
    pub error: Error,
}

/// Lifetime of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until somebody deletes it.
    Persistent,
    /// As long as the session that created it.
    Ephemeral,
}

/// Rights to a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Anybody may do anything: `world:anyone:cdrwa`.
    #[default]
    Open,
    /// Anybody may read it: `world:anyone:r`, as zc.zk registers. The znode's parent decides who may delete it.
    Read,
    /// Anybody may read it, and who the session that creates it is authenticated as may do anything: `world:anyone:r`
    /// and `auth::cdrwa`. Servers refuse it from who is nobody in particular ([`Error::InvalidAcl`]).
    Creator,
}
