//! A real ZooKeeper ensemble, over the `zookeeper-client` crate.
//!
//! The crate does the protocol, authentication and watches of one connection. All else is done here, because it leaves
//! that open or has been seen to do it wrong:
//!
//! - **Connections.** The crate's reconnecting spins: a connect that fails at once (no route, no descriptor, a firewall)
//!   is tried again without pause, without yielding and, as its deadline is only looked at while a connect waits, without
//!   end. It knows one address of each name, and drops the causes. So it is never let near the network: [`dial`] makes the
//!   connections, [`relay`] stands between the crate and a server and has the crate believe that its session is over
//!   when a connection is lost, and [`link`] resumes the session by its id and password over the next one, in our pace,
//!   until its time-out. (To only hand the crate addresses that were just tried leaves its loop where it is; to
//!   put a proxy before the whole of it hides when a connection was replaced, which watches do not survive.) A cold read of
//!   a large tree takes as long as without the relay: its pieces are copied once more, and servers are what is waited for.
//! - **Threads.** Each ensemble's sessions are kept on a thread and a runtime of their own ([`host`]).
//! - **Time.** Every operation is bounded; what is asked for while there is no connection fails at once. (What was asked
//!   for just before the connection broke may still be done after its time-out.)
//! - **Errors** become ours: a connection that broke shows there as four different ones.
//! - **Sizes.** Requests that servers refuse are not sent (see `size`).
//! - A watch that said its last word waits for ever; the crate's own panics when asked again, or when its task is gone.
//! - **Abilities.** Servers before 3.6, and other programs that speak the protocol, have no recursive watches or no
//!   batches of reads. Each server is asked once ([`abilities`]), and what it cannot do is done with single reads and
//!   one-shot watches ([`oneshot`]).
//!
//! Watches end with their connection: ZooKeeper replays nothing to persistent ones (ZOOKEEPER-4698), so that whoever has one
//! arms it anew and reads everything again. Dropping a watch after a newer one was armed on the same path leaves the newer
//! one alone: the crate takes the watch off the server only with the last one of a path, and requests stay in order.

mod abilities;
mod attach;
mod dial;
mod host;
mod link;
mod names;
mod oneshot;
mod relay;
mod servers;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot as once, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;
use zookeeper_client as client;
use zookeeper_client::{
    AddWatchMode, CreateMode, CreateOptions, EventType, MultiReadResult, MultiWriteError, PersistentWatcher,
    WatchedEvent,
};

use self::abilities::{Ability, Known};
use self::attach::{Attached, attach};
use self::host::{Host, Running};
use self::link::{Link, Standing};
use self::names::Names;
use super::session::{Access, Ensemble, Event, Mode, Read, Reply, Session, Watch, Write, WriteError};
use super::{Error, Path, Stat, Znode, security, size};

/// How long an operation waits for a connection that is just coming back.
const GRACE: Duration = Duration::from_millis(100);

/// How long a connect may take beyond the session time-out, until the thread that makes it is taken for lost.
const LATE: Duration = Duration::from_secs(10);

/// A ZooKeeper ensemble.
#[derive(Debug, Clone)]
pub struct ZooKeeper {
    inner: Inner,
    host: Host,
}

/// What every session with an ensemble needs.
#[derive(Debug, Clone)]
struct Inner {
    servers: Arc<str>,
    session_timeout: Duration,
    security: Arc<security::Config>,
    /// True if sessions do without writes, so that a server without quorum will do.
    reads_only: bool,
    names: Names,
    known: Known,
}

impl ZooKeeper {
    /// The ensemble behind a connect string, `host:port,…/chroot`. Nothing is connected yet, nor is the string checked.
    pub fn new(servers: &str, session_timeout: Duration) -> Self {
        let (names, known) = (Names::default(), Known::default());
        let security = Arc::default();
        let inner = Inner { servers: servers.into(), session_timeout, security, reads_only: false, names, known };
        Self { inner, host: Host::default() }
    }

    /// The same ensemble, with credentials and certificates. Their files are read at each connect.
    pub fn secured(mut self, security: security::Config) -> Self {
        self.inner.security = security.into();
        self
    }
}

impl Ensemble for ZooKeeper {
    type Session = ZooKeeperSession;

    fn for_reading(self) -> Self {
        // A thread of its own.
        Self { inner: Inner { reads_only: true, ..self.inner }, host: Host::default() }
    }

    async fn connect(&self) -> Result<ZooKeeperSession, Error> {
        let running = self.host.running().map_err(|error| {
            let (cause, words) = dial::failure(&error);
            Error::NoServer { cause, detail: format!("this process has no thread for it: {words}").into() }
        })?;
        let (opened, is_opened) = once::channel();
        let (inner, kept) = (self.inner.clone(), running.clone());
        let (abandoned, is_abandoned) = once::channel::<()>();
        running.spawn(async move {
            let opening = open(inner, kept);
            tokio::select! {
                session = opening => drop(opened.send(session)),
                _ = is_abandoned => {}
            }
        });
        let outcome = timeout(self.inner.session_timeout + LATE, is_opened).await;
        drop(abandoned);
        if let Ok(Ok(session)) = outcome {
            return session;
        }
        self.host.replace();
        error!(ensemble = &*self.inner.servers, "the ZooKeeper client does not answer any more: starting another");
        Err(Error::Timeout)
    }

    fn describe(&self) -> &str {
        &self.inner.servers
    }

    fn identity(&self) -> Option<String> {
        self.inner.security.identity()
    }
}

/// Opens a session, on the thread that keeps it.
async fn open(inner: Inner, running: Running) -> Result<ZooKeeperSession, Error> {
    let (tasks, zxid) = (running.tasks(), Arc::new(AtomicI64::new(0)));
    let deadline = Instant::now() + inner.session_timeout;
    let (attached, ended) = attach(&inner, &tasks, None, &zxid, deadline).await?;
    let first = Arc::new(attached);
    let (standing, stands) = watch::channel(Standing::Connected(0, Arc::clone(&first)));
    let closed = CancellationToken::new();
    let session = ZooKeeperSession {
        id: first.client.session_id().0,
        timeout: first.client.session_timeout(),
        chroot: Some(first.client.path()).filter(|path| *path != "/").map_or(0, str::len),
        known: inner.known.clone(),
        reads_at_once: first.abilities.is_complete(),
        standing: stands,
        _closed: closed.clone().drop_guard(),
        _running: running,
    };
    tasks.clone().spawn(Link { inner, tasks, standing, closed, zxid }.run(first, ended));
    Ok(session)
}

/// A session with a [`ZooKeeper`] ensemble.
#[derive(Debug)]
pub struct ZooKeeperSession {
    id: i64,
    timeout: Duration,
    /// Bytes that the chroot adds to each path.
    chroot: usize,
    known: Known,
    reads_at_once: bool,
    standing: watch::Receiver<Standing>,
    _closed: DropGuard,
    _running: Running,
}

impl ZooKeeperSession {
    /// Does an operation on `path`, within the session timeout, unless there is no connection.
    async fn bounded<T>(
        &self,
        path: &str,
        operation: impl AsyncFnOnce(&Attached) -> Result<T, client::Error>,
    ) -> Result<T, Error> {
        let (_, attached) = self.connected().await?;
        match timeout(self.timeout, operation(&attached)).await {
            Ok(done) => done.map_err(|error| self.of_session(translate(path, error))),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// The connection, and which of the session's it is.
    async fn connected(&self) -> Result<(u64, Arc<Attached>), Error> {
        let mut standing = self.standing.clone();
        if matches!(*standing.borrow_and_update(), Standing::Disconnected(_)) {
            let _ = timeout(GRACE, standing.wait_for(|now| !matches!(now, Standing::Disconnected(_)))).await;
        }
        match &*standing.borrow() {
            // Lost this moment, and nobody knows yet.
            Standing::Connected(_, attached) if attached.client.state().is_terminated() => {
                Err(Error::ConnectionLoss("the connection was lost".to_owned()))
            }
            Standing::Connected(number, attached) => Ok((*number, Arc::clone(attached))),
            Standing::Disconnected(why) => Err(Error::ConnectionLoss(why.to_string())),
            Standing::Over(error) => Err(error.clone()),
        }
    }

    /// The crate takes the end of its connection for that of the session, which may go on over another one.
    fn of_session(&self, error: Error) -> Error {
        match (error, &*self.standing.borrow()) {
            (Error::SessionExpired, Standing::Over(error)) => error.clone(),
            (Error::SessionExpired, Standing::Disconnected(why)) => Error::ConnectionLoss(why.to_string()),
            (Error::SessionExpired, Standing::Connected(..)) => {
                Error::ConnectionLoss("the connection was lost".to_owned())
            }
            (error, _) => error,
        }
    }

    /// Does one write after the other. Servers before 3.5 know `create` in a batch only in a form that the crate does not
    /// speak: there, and only there, a batch that creates may end half done.
    async fn write_singly(&self, batch: &[Write]) -> Result<(), WriteError> {
        for (index, write) in batch.iter().enumerate() {
            let done = match write {
                Write::Create { path, data, mode, access } => self.create(path, data, *mode, access).await.map(drop),
                Write::Set { path, data, version } => self.set(path, data, *version).await.map(drop),
                Write::Delete { path, version } => self.delete(path, *version).await,
            };
            done.map_err(|error| WriteError { index: error.is_answer().then_some(index), error })?;
        }
        Ok(())
    }
}

/// Reads one thing after the other, all on their way at once.
async fn read_singly(client: &client::Client, batch: &[Read]) -> Result<Vec<Reply>, client::Error> {
    let replies = join_all(batch.iter().map(async |read| {
        let path = read.path().as_str();
        let reply = match read {
            Read::Node(_) => {
                let read = client.get_data(path).await;
                read.map(|(data, stat)| Reply::Node(Znode { data, stat: stat.into() }))
            }
            Read::Children(_) => client.list_children(path).await.map(Reply::Children),
        };
        reply.or_else(|error| match translate(path, error.clone()) {
            answer if answer.is_answer() => Ok(Reply::Failed(answer)),
            _ => Err(error),
        })
    }));
    replies.await.into_iter().collect()
}

/// Reads everything in one request.
async fn read_batch(client: &client::Client, batch: &[Read]) -> Result<Vec<MultiReadResult>, client::Error> {
    let mut reader = client.new_multi_reader();
    for read in batch {
        let path = read.path().as_str();
        match read {
            Read::Node(_) => reader.add_get_data(path)?,
            Read::Children(_) => reader.add_get_children(path)?,
        }
    }
    reader.commit().await
}

impl Session for ZooKeeperSession {
    type Watch = ZooKeeperWatch;

    fn id(&self) -> i64 {
        self.id
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn reads_at_once(&self) -> bool {
        self.reads_at_once
    }

    async fn watch(&self, path: &Path) -> Result<ZooKeeperWatch, Error> {
        let (number, attached) = self.connected().await?;
        let told = if let Some(old) = &attached.old {
            Told::Oneshot(old.watch(path).await?)
        } else {
            let arming = attached.client.watch(path.as_str(), AddWatchMode::PersistentRecursive);
            let armed = timeout(self.timeout, arming).await.map_err(|_| Error::Timeout)?;
            Told::Persistent(armed.map_err(|error| self.of_session(translate(path.as_str(), error)))?)
        };
        let standing = self.standing.clone();
        Ok(ZooKeeperWatch { told: Some(told), number, standing, waiting: VecDeque::new(), is_over: false })
    }

    async fn sync(&self, path: &Path) -> Result<(), Error> {
        self.bounded(path.as_str(), async |attached| match attached.client.sync(path.as_str()).await {
            // Without a quorum there is nothing to catch up with.
            Err(client::Error::NotReadOnly) if attached.client.session().is_readonly() => Ok(()),
            synced => synced,
        })
        .await
    }

    async fn read(&self, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        size::check_reads(self.chroot, batch)?;
        self.bounded("", async |attached| {
            if !attached.abilities.batches {
                return read_singly(&attached.client, batch).await;
            }
            let results = read_batch(&attached.client, batch).await?;
            if results.len() != batch.len() {
                return Err(client::Error::UnexpectedError(format!(
                    "{} replies to {} reads",
                    results.len(),
                    batch.len()
                )));
            }
            Ok(batch.iter().zip(results).map(|(read, result)| reply(read, result)).collect())
        })
        .await
    }

    async fn get(&self, path: &Path) -> Result<Znode, Error> {
        let reading = async |attached: &Attached| attached.client.get_data(path.as_str()).await;
        let (data, stat) = self.bounded(path.as_str(), reading).await?;
        Ok(Znode { data, stat: stat.into() })
    }

    async fn write(&self, batch: &[Write]) -> Result<(), WriteError> {
        let whole = |error| WriteError { index: None, error };
        size::check_writes(self.chroot, batch).map_err(whole)?;
        let (_, attached) = self.connected().await.map_err(whole)?;
        let (is_complete, address) = (attached.abilities.is_complete(), attached.address);
        let creates = batch.iter().any(|write| matches!(write, Write::Create { .. }));
        let is_known_bad = self.known.get(Instant::now(), address, Ability::BatchedCreates) == Some(false);
        if !is_complete && creates && is_known_bad {
            return self.write_singly(batch).await;
        }
        let mut writer = attached.client.new_multi_writer();
        for (index, write) in batch.iter().enumerate() {
            let path = write.path().as_str();
            let added = match write {
                Write::Create { data, mode, access, .. } => writer.add_create(path, data, &options(*mode, *access)),
                Write::Set { data, version, .. } => writer.add_set_data(path, data, *version),
                Write::Delete { version, .. } => writer.add_delete(path, *version),
            };
            added.map_err(|error| WriteError { index: Some(index), error: translate(path, error) })?;
        }
        match timeout(self.timeout, writer.commit()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(MultiWriteError::OperationFailed { index, source })) => {
                let path = batch.get(index).map_or("", |write| write.path().as_str());
                Err(WriteError { index: Some(index), error: self.of_session(translate(path, source)) })
            }
            Ok(Err(MultiWriteError::RequestFailed { source })) => match self.of_session(translate("", source)) {
                Error::Unimplemented if !is_complete => self.write_singly(batch).await,
                error @ Error::ConnectionLoss(_) if !is_complete && creates => {
                    // Whoever tries again has it done one by one: it may have been this.
                    self.known.hung_up(Instant::now(), address, Ability::BatchedCreates);
                    Err(whole(error))
                }
                error => Err(whole(error)),
            },
            Err(_) => Err(whole(Error::Timeout)),
        }
    }

    async fn create(&self, path: &Path, data: &[u8], mode: Mode, access: &Access) -> Result<Stat, Error> {
        size::check_write(self.chroot, path, data)?;
        let options = options(mode, *access);
        let creating = async |attached: &Attached| attached.client.create(path.as_str(), data, &options).await;
        let (stat, _) = self.bounded(path.as_str(), creating).await?;
        if stat.is_invalid() {
            // 3.4 does not tell.
            return Ok(self.get(path).await?.stat);
        }
        Ok(stat.into())
    }

    async fn set(&self, path: &Path, data: &[u8], version: Option<i32>) -> Result<Stat, Error> {
        size::check_write(self.chroot, path, data)?;
        let setting = async |attached: &Attached| attached.client.set_data(path.as_str(), data, version).await;
        Ok(self.bounded(path.as_str(), setting).await?.into())
    }

    async fn delete(&self, path: &Path, version: Option<i32>) -> Result<(), Error> {
        self.bounded(path.as_str(), async |attached| attached.client.delete(path.as_str(), version).await).await
    }
}

/// A watch of a [`ZooKeeperSession`].
#[derive(Debug)]
pub struct ZooKeeperWatch {
    /// None once the connection on which it was armed is lost.
    told: Option<Told>,
    /// Which of the session's connections was told of last.
    number: u64,
    standing: watch::Receiver<Standing>,
    /// What is to be told next.
    waiting: VecDeque<Event>,
    is_over: bool,
}

#[derive(Debug)]
enum Told {
    Persistent(PersistentWatcher),
    Oneshot(mpsc::UnboundedReceiver<Event>),
}

impl Told {
    /// The next event about a znode; none when the connection is lost.
    async fn next(&mut self) -> Option<Event> {
        match self {
            Self::Persistent(watcher) => next_event(watcher).await,
            Self::Oneshot(events) => events.recv().await,
        }
    }
}

impl Watch for ZooKeeperWatch {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.is_over = matches!(event, Event::Over(_));
                return event;
            }
            if self.is_over {
                return std::future::pending().await;
            }
            let told = async {
                match &mut self.told {
                    Some(told) => told.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What was told of znodes comes before the end of the connection.
                biased;
                told = told => match told {
                    Some(event) => return event,
                    None => self.told = None,
                },
                // An error once the session's keeper has gone.
                changed = self.standing.changed() => self.follow(changed.is_err()),
            }
        }
    }
}

impl ZooKeeperWatch {
    /// Takes in how the session is now; changes in between may have been missed.
    fn follow(&mut self, is_gone: bool) {
        let was_connected = self.number != LOST;
        match &*self.standing.borrow_and_update() {
            // The one on which it was armed.
            Standing::Connected(number, _) if *number == self.number && !is_gone => return,
            _ if is_gone => self.waiting.push_back(Event::Over(Error::SessionExpired)),
            Standing::Over(error) => self.waiting.push_back(Event::Over(error.clone())),
            Standing::Disconnected(_) => {
                self.waiting.extend(was_connected.then_some(Event::Disconnected));
                self.number = LOST;
            }
            Standing::Connected(number, _) => {
                self.waiting.extend(was_connected.then_some(Event::Disconnected));
                self.waiting.push_back(Event::Connected);
                self.number = *number;
            }
        }
        self.told = None;
    }
}

/// The number of no connection.
const LOST: u64 = u64::MAX;

/// The next event about a znode; none when the session is over for the crate, or when it panics because its task died.
async fn next_event(watcher: &mut PersistentWatcher) -> Option<Event> {
    let mut changed = pin!(watcher.changed());
    let told = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| changed.as_mut().poll(context))) {
        Ok(Poll::Ready(told)) => Poll::Ready(Some(told)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    });
    told.await.as_ref().and_then(event)
}

fn event(told: &WatchedEvent) -> Option<Event> {
    // Taken as it is, not through `Path::new`: what a server tells of must be read, even where its idea of a path is
    // wider than ours.
    (told.event_type != EventType::Session).then(|| {
        Event::Changed(match told.path.strip_prefix('/') {
            None | Some("") => Path::root(),
            Some(below) => Path::root().child(below),
        })
    })
}

fn reply(read: &Read, result: MultiReadResult) -> Reply {
    match result {
        MultiReadResult::Data { data, stat } => Reply::Node(Znode { data, stat: stat.into() }),
        MultiReadResult::Children { children } => Reply::Children(children),
        MultiReadResult::Error { err } => Reply::Failed(translate(read.path().as_str(), err)),
        other => Reply::Failed(Error::Refused(format!("an unknown reply, {other:?}"))),
    }
}

/// [`Access::Creator`]. The server puts who we are in place of `auth`.
static CREATOR: [client::Acl; 2] = [
    client::Acl::new_const(client::Permission::ALL, "auth", ""),
    client::Acl::new_const(client::Permission::READ, "world", "anyone"),
];

fn options(mode: Mode, access: Access) -> CreateOptions<'static> {
    let mode = match mode {
        Mode::Persistent => CreateMode::Persistent,
        Mode::Ephemeral => CreateMode::Ephemeral,
    };
    mode.with_acls(match access {
        Access::Open => client::Acls::anyone_all(),
        Access::Read => client::Acls::anyone_read(),
        Access::Creator => client::Acls::new(&CREATOR),
    })
}

impl From<client::Stat> for Stat {
    fn from(stat: client::Stat) -> Self {
        Self {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            pzxid: stat.pzxid,
            mtime: stat.mtime,
            version: stat.version,
            ephemeral_owner: stat.ephemeral_owner,
            num_children: stat.num_children,
        }
    }
}

/// The crate's error about `path` as ours.
fn translate(path: &str, error: client::Error) -> Error {
    match error {
        client::Error::NoNode => Error::NoNode,
        client::Error::NodeExists => Error::NodeExists,
        client::Error::NoAuth => Error::NoAuth,
        client::Error::BadVersion => Error::BadVersion,
        client::Error::NotEmpty => Error::NotEmpty,
        client::Error::NoChildrenForEphemerals => Error::NoChildrenForEphemerals,
        client::Error::InvalidAcl => Error::InvalidAcl,
        client::Error::BadArguments(reason) => Error::BadPath { path: path.to_owned(), reason },
        // A server older than the operation says the one or the other, depending on where it stumbles.
        client::Error::Unimplemented | client::Error::MarshallingError => Error::Unimplemented,
        client::Error::QuotaExceeded | client::Error::UnexpectedErrorCode(_) => Error::Refused(error.to_string()),
        client::Error::NotReadOnly => Error::Refused("the server has no quorum: it takes no writes".to_owned()),
        client::Error::Timeout | client::Error::NoHosts => Error::Timeout,
        client::Error::AuthFailed => Error::AuthFailed,
        client::Error::SessionExpired | client::Error::SessionMoved | client::Error::ClientClosed => {
            Error::SessionExpired
        }
        // `ConnectionLoss` where the server hung up, `Custom` where the socket failed, `UnexpectedError` and
        // `UnmarshalError` where the reply made no sense; what is not known is taken for the same.
        other => Error::ConnectionLoss(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::Cause;

    #[test]
    fn errors_are_answers_trouble_or_the_end() {
        let classes = [
            (client::Error::NoNode, true, false),
            (client::Error::QuotaExceeded, true, false),
            (client::Error::UnexpectedErrorCode(-42), true, false),
            (client::Error::BadArguments(&"path cannot be empty"), true, false),
            (client::Error::ConnectionLoss, false, false),
            (client::Error::UnexpectedError("xid".to_owned()), false, false),
            (client::Error::Throttled, false, false),
            (client::Error::Timeout, false, false),
            (client::Error::NoHosts, false, false),
            (client::Error::SessionMoved, false, true),
            (client::Error::ClientClosed, false, true),
            (client::Error::AuthFailed, false, true),
        ];
        for (error, answer, terminal) in classes {
            let translated = translate("/a", error.clone());
            assert_eq!((translated.is_answer(), translated.is_terminal()), (answer, terminal), "{error}");
        }
    }

    #[test]
    fn events_of_the_crate_are_taken_as_they_are() {
        let changed = |path: &str| event(&WatchedEvent::new(EventType::NodeDeleted, path));
        assert_eq!(changed("/"), Some(Event::Changed(Path::root())));
        assert_eq!(changed("/a/b"), Some(Event::Changed(Path::root().child("a/b"))));
        assert_eq!(changed("/\u{ffff}"), Some(Event::Changed(Path::root().child("\u{ffff}"))));
    }

    #[tokio::test]
    async fn an_ensemble_that_is_not_there_is_given_up_in_time() {
        // A port that nothing listens on: it was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ensemble = ZooKeeper::new(&format!("127.0.0.1:{port}"), Duration::from_millis(300));
        let begun = std::time::Instant::now();
        let Err(Error::NoServer { cause, detail }) = ensemble.connect().await else { panic!("it is there") };
        assert_eq!((cause, &*detail), (Cause::Refused, &*format!("127.0.0.1:{port}: connection refused")));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
