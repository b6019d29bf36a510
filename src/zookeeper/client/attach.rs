//! One connection of a session: finds a server, has the client library open or resume the session over the relay, and
//! learns what the server can do.

use std::net::SocketAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, info};
use zookeeper_client as client;
use zookeeper_client::{AddWatchMode, Client, Connector, SaslOptions, SessionInfo};

use super::abilities::{Abilities, Ability};
use super::dial::{Connected, Dialing, Failure, connector, failure};
use super::host::Tasks;
use super::oneshot::Watches;
use super::relay::{End, Relay};
use super::servers::{ServerCandidate, Servers};
use super::shared::SharedClient;
use super::translate::translate;
use crate::registry::{Cause, Error};
use crate::zookeeper::dns_srv;
use crate::zookeeper::security::{Credentials, Scheme};

/// Versions of servers as far as the library asks for them: whether they know `create2`.
const NEWEST: (u32, u32, u32) = (u32::MAX, u32::MAX, u32::MAX);
const OLD: (u32, u32, u32) = (3, 4, 0);

/// A session's connection to a server.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) client: Client,
    pub(super) abilities: Abilities,
    pub(super) address: SocketAddr,
    /// True if the server has no recursive watches.
    pub(super) is_old: bool,
    /// Watches in the place of recursive ones, once some are wanted. Dropped after the client.
    levels: OnceLock<Watches>,
}

impl Attached {
    /// Watches that are armed level by level.
    pub(super) fn by_level(&self) -> &Watches {
        self.levels.get_or_init(|| Watches::new(self.client.clone()))
    }
}

/// Why there is no session over a connection.
enum Obstacle {
    /// This server has none for us.
    Failed(Failure),
    /// It hung up on a question, and is now known to do so.
    HungUp,
    /// No server will.
    Fatal(Error),
}

/// Common part of all attempts.
struct Attempt<'i> {
    shared: &'i SharedClient,
    tasks: &'i Tasks,
    session: Option<&'i SessionInfo>,
    zxid: &'i Arc<AtomicI64>,
    credentials: Credentials,
    chroot: String,
    readonly: bool,
}

/// Opens a session, or resumes `session`, with any of the servers; before `deadline`.
///
/// # Errors
/// [`Error::NoServer`]; [`Error::SessionExpired`] when the session that was to be resumed is over;
/// [`Error::AuthFailed`], [`Error::Credentials`].
pub(super) async fn attach(
    shared: &SharedClient,
    tasks: &Tasks,
    session: Option<&SessionInfo>,
    zxid: &Arc<AtomicI64>,
    deadline: Instant,
) -> Result<(Attached, oneshot::Receiver<End>), Error> {
    let credentials = shared.credentials().await?;
    let tls = credentials.tls.as_ref().map(connector).transpose()?;
    let Servers { list, chroot } = match dns_srv::parse(&shared.servers) {
        None => Servers::parse(&shared.servers, tls.is_some())?,
        Some(source) => {
            let wrong = |_| Error::BadPath { path: shared.servers.to_string(), reason: "it names no SRV records" };
            let source = source.map_err(wrong)?;
            Servers { list: shared.srv.look_up(&source, tls.is_some()).await?, chroot: source.chroot.to_owned() }
        }
    };
    let servers = Arc::new(Servers { list, chroot: chroot.clone() });
    let mut attempt = Attempt { shared, tasks, session, zxid, credentials, chroot, readonly: false };
    let limit = (shared.session_timeout / 2).clamp(Duration::from_millis(500), Duration::from_secs(3));
    loop {
        let mut dialing = Dialing::start(&servers, &shared.names, tls.clone(), limit).await;
        match attempt.all(&mut dialing, deadline).await {
            // A server that has lost its quorum takes only those who say that they will not write.
            Err(Error::NoServer { .. })
                if shared.reads_only && session.is_none() && !attempt.readonly && Instant::now() < deadline =>
            {
                attempt.readonly = true;
            }
            outcome => return outcome,
        }
    }
}

impl Attempt<'_> {
    /// Tries one server after the other.
    async fn all(&self, dialing: &mut Dialing, deadline: Instant) -> Result<(Attached, oneshot::Receiver<End>), Error> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(Some((candidate, stream))) = timeout(left, dialing.next()).await else { break };
            let left = deadline.saturating_duration_since(Instant::now());
            // A server that is starting may take a connection and never answer on it: the next one is answered.
            let most = (self.shared.session_timeout / 4).max(Duration::from_secs(2));
            let patience = (left / (dialing.left() + 1)).max(Duration::from_millis(100)).min(most);
            match self.one((candidate.clone(), stream), patience).await {
                Ok(attached) => return Ok(attached),
                Err(Obstacle::Fatal(error)) => return Err(error),
                Err(Obstacle::HungUp) => dialing.again(candidate),
                Err(Obstacle::Failed(failure)) => dialing.failed(&candidate, failure),
            }
        }
        Err(dialing.error())
    }

    async fn one(
        &self,
        (candidate, stream): Connected,
        patience: Duration,
    ) -> Result<(Attached, oneshot::Receiver<End>), Obstacle> {
        let local = |error: std::io::Error| Obstacle::Failed(failure(&error));
        let relay = Relay::bind(self.shared.session_timeout, patience, self.zxid).await.map_err(local)?;
        let connect_string = format!("{LOOPBACK}:{}{}", relay.port(), self.chroot);
        let known = |ability| self.shared.known.get(Instant::now(), candidate.address, ability);
        let can_all = known(Ability::Batches) != Some(false) && known(Ability::Watches) != Some(false);
        let version = if can_all { NEWEST } else { OLD };
        let connector = self.connector(relay.password(), version);
        let (end, mut ended) = oneshot::channel();
        let (has_session, states) = oneshot::channel();
        self.tasks.spawn(relay.run(stream, end, states));
        // A little longer than the relay, which knows more.
        let client = match timeout(patience * 2 + Duration::from_secs(6), connector.connect(&connect_string)).await {
            Ok(Ok(client)) => client,
            Ok(Err(client::Error::AuthFailed)) => return Err(Obstacle::Fatal(Error::AuthFailed)),
            Ok(Err(error)) => return Err(self.not_opened(&error, &mut ended).await),
            Err(_) => return Err(Obstacle::Failed((Cause::Silent, "there was no session in time".to_owned()))),
        };
        let _ = has_session.send(client.state_watcher());
        let abilities = self.learn(&candidate, &client, patience, &mut ended).await?;
        if self.session.is_none() && !abilities.is_complete() {
            let (server, Abilities { batches, watches }) = (candidate.address, abilities);
            info!(
                ensemble = &*self.shared.servers, %server, batches, watches,
                "the server is older than ZooKeeper 3.6, or another program: doing without what it does not know"
            );
        }
        let is_old = !abilities.watches;
        let address = candidate.address;
        Ok((Attached { client, abilities, address, is_old, levels: OnceLock::new() }, ended))
    }

    fn connector(&self, password: Duration, (major, minor, patch): (u32, u32, u32)) -> Connector {
        let mut connector = Client::connector()
            .with_session_timeout(password)
            .with_server_version(major, minor, patch)
            .with_readonly(self.readonly)
            .with_fail_eagerly();
        if let Some(session) = self.session {
            connector = connector.with_session(session.clone());
        }
        let Some(auth) = &self.credentials.auth else { return connector };
        match auth.scheme {
            Scheme::Digest => connector.with_auth("digest", format!("{}:{}", auth.user(), auth.password()).as_bytes()),
            Scheme::Sasl => {
                connector.with_sasl(SaslOptions::digest_md5(auth.user().to_owned(), auth.password().to_owned()))
            }
        }
    }

    /// The library has no session: the relay knows why.
    async fn not_opened(&self, error: &client::Error, ended: &mut oneshot::Receiver<End>) -> Obstacle {
        if matches!(error, client::Error::SessionExpired | client::Error::SessionMoved) && self.session.is_some() {
            // Ours, or the server's words.
            if !matches!(ended.try_recv(), Ok(End::Lost(_) | End::Refused(_))) {
                return Obstacle::Fatal(Error::SessionExpired);
            }
        }
        match timeout(Duration::from_secs(1), ended).await {
            Ok(Ok(End::Refused(failure) | End::Lost(failure))) => Obstacle::Failed(failure),
            _ => Obstacle::Failed((Cause::Other, error.to_string())),
        }
    }

    /// Asks the server what is not known of it yet.
    async fn learn(
        &self,
        candidate: &ServerCandidate,
        client: &Client,
        patience: Duration,
        ended: &mut oneshot::Receiver<End>,
    ) -> Result<Abilities, Obstacle> {
        let (known, address) = (&self.shared.known, candidate.address);
        let mut can = [false; 2];
        for (can, ability) in can.iter_mut().zip([Ability::Batches, Ability::Watches]) {
            if let Some(answer) = known.get(Instant::now(), address, ability) {
                *can = answer;
                continue;
            }
            let asked = match ability {
                Ability::Batches => timeout(patience, ask_for_batch(client)).await,
                _ => timeout(patience, ask_for_watch(client)).await,
            };
            let Ok(answer) = asked else {
                return Err(Obstacle::Failed((Cause::Silent, "it does not answer a read".to_owned())));
            };
            match answer {
                Err(client::Error::AuthFailed) => return Err(Obstacle::Fatal(Error::AuthFailed)),
                Err(error) => match translate("/", error) {
                    Error::Unimplemented => {
                        known.answered(Instant::now(), address, ability, false);
                        // It closes the connection.
                        return Err(Obstacle::HungUp);
                    }
                    error if error.is_answer() => *can = true,
                    error => {
                        return Err(match timeout(Duration::from_secs(1), ended).await {
                            // A server that is starting hangs up as well, and a session that goes on was able to do it.
                            Ok(Ok(End::Lost((Cause::Closed, _)))) if self.session.is_none() => {
                                debug!(server = %address, ?ability, "the server hung up on a question");
                                known.hung_up(Instant::now(), address, ability);
                                Obstacle::HungUp
                            }
                            Ok(Ok(End::Lost(failure))) => Obstacle::Failed(failure),
                            _ => Obstacle::Failed((Cause::Other, error.to_string())),
                        });
                    }
                },
                Ok(()) => *can = true,
            }
            known.answered(Instant::now(), address, ability, true);
        }
        let [batches, watches] = can;
        Ok(Abilities { batches, watches })
    }
}

/// 127.0.0.1, written so that it is not an address to the library but a name: that it looks up before each connect, and
/// so no connect of its fails without a wait in which its deadline is looked at.
const LOOPBACK: &str = "127.1";

/// A batch of one read.
async fn ask_for_batch(client: &Client) -> Result<(), client::Error> {
    let mut probe = client.new_multi_reader();
    probe.add_get_data("/")?;
    probe.commit().await.map(drop)
}

/// A watch on a path that nobody has.
async fn ask_for_watch(client: &Client) -> Result<(), client::Error> {
    client.watch("/zonekeeper.asks", AddWatchMode::Persistent).await.map(drop)
}
