//! A real ZooKeeper ensemble, over the `zookeeper-client` crate.
//!
//! The crate does the protocol, finds servers and holds a session over broken connections. What is added here is what it
//! leaves open or has been seen to do wrong:
//!
//! - Everything is bounded in time. The crate waits for as long as a session may live, and an operation asked for while
//!   it is disconnected waits as well: here that fails at once, without being sent later. (One that
//!   was asked for just before the connection broke may still be sent and done after its time-out was told.)
//! - Its errors become ours: a connection that broke shows there as four different ones.
//! - Requests that servers refuse are not sent (see `size`).
//! - A watch that said its last word waits for ever; the crate's own panics when asked again, or when its task is gone.
//!
//! Persistent watches are dead after a reconnect: the crate does not arm them anew, and the server would replay nothing
//! (ZOOKEEPER-4698). Dropping a watch after a newer one was armed on the same path leaves the newer one alone: the crate
//! takes the watch off the server only with the last one of a path, and requests stay in order.
//!
//! Servers before 3.6 have neither recursive watches nor batches of reads. Each new session is asked for a batch; where
//! that fails, it does with single reads and one-shot watches (see [`oneshot`]).

mod oneshot;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{error, info};
use zookeeper_client as client;
use zookeeper_client::{
    AddWatchMode, Client, CreateMode, CreateOptions, EventType, MultiReadResult, MultiWriteError, PersistentWatcher,
    SaslOptions, SessionState, TlsOptions, WatchedEvent,
};

use self::oneshot::Watches;
use super::security::{self, Certificates, Credentials, Scheme};
use super::session::{Access, Ensemble, Event, Mode, Read, Reply, Session, Watch, Write, WriteError};
use super::{Error, Path, Stat, Znode, size};

/// How long an operation waits for a connection that is just coming back. The crate tells its watches of the new
/// connection before it shows it to others, so that whoever acts on the event may come too early.
const GRACE: Duration = Duration::from_millis(100);

/// A ZooKeeper ensemble.
#[derive(Debug, Clone)]
pub struct ZooKeeper {
    servers: Arc<str>,
    session_timeout: Duration,
    security: Arc<security::Config>,
}

impl ZooKeeper {
    /// The ensemble behind a connect string, `host:port,…/chroot`. Nothing is connected yet, nor is the string checked.
    pub fn new(servers: &str, session_timeout: Duration) -> Self {
        Self { servers: servers.into(), session_timeout, security: Arc::default() }
    }

    /// The same ensemble, with credentials and certificates. Their files are read at each connect.
    pub fn secured(self, security: security::Config) -> Self {
        Self { security: security.into(), ..self }
    }
}

/// Versions of servers as far as the crate asks for them: whether they know `create2`.
const NEWEST: (u32, u32, u32) = (u32::MAX, u32::MAX, u32::MAX);
const OLD: (u32, u32, u32) = (3, 4, 0);

impl ZooKeeper {
    async fn client(&self, (major, minor, patch): (u32, u32, u32)) -> Result<Client, Error> {
        // Eagerly: each server once. The crate would go on by itself, with delays that grow and grow.
        let mut connector = Client::connector()
            .with_session_timeout(self.session_timeout)
            .with_server_version(major, minor, patch)
            .with_fail_eagerly();
        let Credentials { auth, tls } = self.security.load()?;
        if let Some(auth) = auth {
            connector = match auth.scheme {
                Scheme::Digest => {
                    connector.with_auth("digest", format!("{}:{}", auth.user(), auth.password()).as_bytes())
                }
                Scheme::Sasl => {
                    let (user, password) = (auth.user().to_owned(), auth.password().to_owned());
                    connector.with_sasl(SaslOptions::digest_md5(user, password))
                }
            };
        }
        let encrypted = tls.is_some();
        if let Some(tls) = tls {
            connector = connector.with_tls(options_of(&tls).map_err(|error| Error::Credentials(error.to_string()))?);
        }
        let connecting = async {
            if encrypted {
                connector.secure_connect(&self.servers).await
            } else {
                connector.connect(&self.servers).await
            }
        };
        match timeout(self.session_timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| translate(&self.servers, error)),
            Err(_) => Err(Error::Timeout),
        }
    }
}

fn options_of(Certificates { ca, identity }: &Certificates) -> Result<TlsOptions, client::Error> {
    let options = TlsOptions::new().with_pem_ca(ca)?;
    match identity {
        Some((cert, key)) => options.with_pem_identity(cert, key),
        None => Ok(options),
    }
}

impl Ensemble for ZooKeeper {
    type Session = ZooKeeperSession;

    async fn connect(&self) -> Result<ZooKeeperSession, Error> {
        let client = self.client(NEWEST).await?;
        // The cheapest of what old servers do not know. They close the connection on it, hence another session.
        let mut probe = client.new_multi_reader();
        probe.add_get_data("/").map_err(|error| translate("/", error))?;
        match timeout(self.session_timeout, probe.commit()).await {
            Err(_) => return Err(Error::Timeout),
            Ok(Err(error)) => match translate("/", error) {
                Error::Unimplemented => {}
                error if error.is_answer() => return Ok(ZooKeeperSession { client, old: None }),
                error => return Err(error),
            },
            Ok(Ok(_)) => return Ok(ZooKeeperSession { client, old: None }),
        }
        drop(client);
        info!(ensemble = &*self.servers, "the servers are older than ZooKeeper 3.6: watching znode by znode");
        let client = self.client(OLD).await?;
        let old = Some(Watches::new(client.clone()));
        Ok(ZooKeeperSession { client, old })
    }

    fn describe(&self) -> &str {
        &self.servers
    }
}

/// A session with a [`ZooKeeper`] ensemble.
#[derive(Debug)]
pub struct ZooKeeperSession {
    client: Client,
    /// What stands in for recursive watches, where the servers are older than 3.6. Dropped after the client.
    old: Option<Watches>,
}

impl ZooKeeperSession {
    /// Does an operation on `path`, within the session timeout, unless there is no connection.
    async fn bounded<T>(
        &self,
        path: &str,
        operation: impl Future<Output = Result<T, client::Error>>,
    ) -> Result<T, Error> {
        self.connected().await?;
        match timeout(self.client.session_timeout(), operation).await {
            Ok(done) => done.map_err(|error| translate(path, error)),
            Err(_) => Err(Error::Timeout),
        }
    }

    async fn connected(&self) -> Result<(), Error> {
        let mut states = self.client.state_watcher();
        let mut state = states.peek_state();
        if state == SessionState::Disconnected {
            state = timeout(GRACE, states.changed()).await.unwrap_or(state);
        }
        match state {
            SessionState::SyncConnected | SessionState::ConnectedReadOnly => Ok(()),
            SessionState::Disconnected => Err(Error::ConnectionLoss("disconnected".to_owned())),
            SessionState::AuthFailed => Err(Error::AuthFailed),
            SessionState::Expired | SessionState::Closed => Err(Error::SessionExpired),
        }
    }

    /// Reads one thing after the other, all on their way at once.
    async fn read_singly(&self, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        let replies = join_all(batch.iter().map(async |read| {
            let path = read.path().as_str();
            let reply = match read {
                Read::Node(_) => {
                    let read = self.client.get_data(path).await;
                    read.map(|(data, stat)| Reply::Node(Znode { data, stat: stat.into() }))
                }
                Read::Children(_) => self.client.list_children(path).await.map(Reply::Children),
            };
            match reply.map_err(|error| translate(path, error)) {
                Err(error) if error.is_answer() => Ok(Reply::Failed(error)),
                reply => reply,
            }
        }));
        replies.await.into_iter().collect()
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

    /// Bytes that the chroot adds to each path.
    fn chroot(&self) -> usize {
        Some(self.client.path()).filter(|path| *path != "/").map_or(0, str::len)
    }
}

impl Session for ZooKeeperSession {
    type Watch = ZooKeeperWatch;

    fn id(&self) -> i64 {
        self.client.session_id().0
    }

    fn timeout(&self) -> Duration {
        self.client.session_timeout()
    }

    fn reads_at_once(&self) -> bool {
        self.old.is_none()
    }

    async fn watch(&self, path: &Path) -> Result<ZooKeeperWatch, Error> {
        if let Some(old) = &self.old {
            self.connected().await?;
            return Ok(ZooKeeperWatch(Some(Told::Oneshot(old.watch(path).await?))));
        }
        let path = path.as_str();
        let arming = async { self.client.watch(path, AddWatchMode::PersistentRecursive).await };
        Ok(ZooKeeperWatch(Some(Told::Persistent(self.bounded(path, arming).await?))))
    }

    async fn sync(&self, path: &Path) -> Result<(), Error> {
        self.bounded(path.as_str(), async { self.client.sync(path.as_str()).await }).await
    }

    async fn read(&self, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        size::check_reads(self.chroot(), batch)?;
        if self.old.is_some() {
            return self.bounded("", async { Ok(self.read_singly(batch).await) }).await?;
        }
        let mut reader = self.client.new_multi_reader();
        for read in batch {
            let path = read.path().as_str();
            let added = match read {
                Read::Node(_) => reader.add_get_data(path),
                Read::Children(_) => reader.add_get_children(path),
            };
            added.map_err(|error| translate(path, error))?;
        }
        let results = self.bounded("", async { reader.commit().await }).await?;
        if results.len() != batch.len() {
            let message = format!("{} replies to {} reads", results.len(), batch.len());
            return Err(Error::ConnectionLoss(message));
        }
        Ok(batch.iter().zip(results).map(|(read, result)| reply(read, result)).collect())
    }

    async fn get(&self, path: &Path) -> Result<Znode, Error> {
        let reading = async { self.client.get_data(path.as_str()).await };
        let (data, stat) = self.bounded(path.as_str(), reading).await?;
        Ok(Znode { data, stat: stat.into() })
    }

    async fn write(&self, batch: &[Write]) -> Result<(), WriteError> {
        let whole = |error| WriteError { index: None, error };
        size::check_writes(self.chroot(), batch).map_err(whole)?;
        self.connected().await.map_err(whole)?;
        let mut writer = self.client.new_multi_writer();
        for (index, write) in batch.iter().enumerate() {
            let path = write.path().as_str();
            let added = match write {
                Write::Create { data, mode, access, .. } => writer.add_create(path, data, &options(*mode, *access)),
                Write::Set { data, version, .. } => writer.add_set_data(path, data, *version),
                Write::Delete { version, .. } => writer.add_delete(path, *version),
            };
            added.map_err(|error| WriteError { index: Some(index), error: translate(path, error) })?;
        }
        match timeout(self.timeout(), writer.commit()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(MultiWriteError::OperationFailed { index, source })) => {
                let path = batch.get(index).map_or("", |write| write.path().as_str());
                Err(WriteError { index: Some(index), error: translate(path, source) })
            }
            Ok(Err(MultiWriteError::RequestFailed { source })) => match translate("", source) {
                Error::Unimplemented if self.old.is_some() => self.write_singly(batch).await,
                error => Err(whole(error)),
            },
            Err(_) => Err(whole(Error::Timeout)),
        }
    }

    async fn create(&self, path: &Path, data: &[u8], mode: Mode, access: &Access) -> Result<Stat, Error> {
        size::check_write(self.chroot(), path, data)?;
        let options = options(mode, *access);
        let creating = async { self.client.create(path.as_str(), data, &options).await };
        let (stat, _) = self.bounded(path.as_str(), creating).await?;
        if stat.is_invalid() {
            // 3.4 does not tell.
            return Ok(self.get(path).await?.stat);
        }
        Ok(stat.into())
    }

    async fn set(&self, path: &Path, data: &[u8], version: Option<i32>) -> Result<Stat, Error> {
        size::check_write(self.chroot(), path, data)?;
        let setting = async { self.client.set_data(path.as_str(), data, version).await };
        Ok(self.bounded(path.as_str(), setting).await?.into())
    }

    async fn delete(&self, path: &Path, version: Option<i32>) -> Result<(), Error> {
        self.bounded(path.as_str(), async { self.client.delete(path.as_str(), version).await }).await
    }
}

/// A watch of a [`ZooKeeperSession`]; none once it said that the session is over.
#[derive(Debug)]
pub struct ZooKeeperWatch(Option<Told>);

#[derive(Debug)]
enum Told {
    Persistent(PersistentWatcher),
    Oneshot(mpsc::UnboundedReceiver<Event>),
}

impl Watch for ZooKeeperWatch {
    async fn next(&mut self) -> Event {
        let event = match &mut self.0 {
            None => return std::future::pending().await,
            Some(Told::Persistent(watcher)) => next_event(watcher).await,
            Some(Told::Oneshot(events)) => events.recv().await.unwrap_or(Event::Over(Error::SessionExpired)),
        };
        if matches!(event, Event::Over(_)) {
            self.0 = None;
        }
        event
    }
}

/// The next event; a panic of the crate, whose watch cannot tell that its session's task died, ends the session.
async fn next_event(watcher: &mut PersistentWatcher) -> Event {
    let mut changed = pin!(watcher.changed());
    let told = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| changed.as_mut().poll(context))) {
        Ok(Poll::Ready(told)) => Poll::Ready(Some(told)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    });
    if let Some(told) = told.await {
        return event(&told);
    }
    error!("the ZooKeeper client has died without a word; its session is given up");
    Event::Over(Error::SessionExpired)
}

fn event(told: &WatchedEvent) -> Event {
    if told.event_type != EventType::Session {
        // Taken as it is, not through `Path::new`: what a server tells of must be read, even where its idea of a path is
        // wider than ours.
        return Event::Changed(match told.path.strip_prefix('/') {
            None | Some("") => Path::root(),
            Some(below) => Path::root().child(below),
        });
    }
    match told.session_state {
        SessionState::SyncConnected | SessionState::ConnectedReadOnly => Event::Connected,
        SessionState::Disconnected => Event::Disconnected,
        SessionState::AuthFailed => Event::Over(Error::AuthFailed),
        SessionState::Expired | SessionState::Closed => Event::Over(Error::SessionExpired),
    }
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
        assert_eq!(changed("/"), Event::Changed(Path::root()));
        assert_eq!(changed("/a/b"), Event::Changed(Path::root().child("a/b")));
        assert_eq!(changed("/\u{ffff}"), Event::Changed(Path::root().child("\u{ffff}")));
    }

    #[tokio::test]
    async fn an_ensemble_that_is_not_there_is_given_up_in_time() {
        // A port that nothing listens on: it was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ensemble = ZooKeeper::new(&format!("127.0.0.1:{port}"), Duration::from_millis(300));
        let begun = std::time::Instant::now();
        assert_eq!(ensemble.connect().await.unwrap_err(), Error::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
