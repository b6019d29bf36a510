//! A real ZooKeeper ensemble, over the `zookeeper-client` crate.
//!
//! The crate does the protocol, authentication and watches of one connection. All else is done here, because it leaves
//! that open or has been seen to do it wrong:
//!
//! - **Connections.** The crate's reconnecting spins: a connect that fails at once (no route, no descriptor, a
//!   firewall) is tried again without pause, without yielding and, as its deadline is only looked at while a connect
//!   waits, without end. It knows one address of each name, and drops the causes. So it is never let near the network:
//!   [`dial`] makes the connections, [`relay`] stands between the crate and a server and has the crate believe that its
//!   session is over when a connection is lost, and [`link`] resumes the session by its id and password over the next
//!   one, in our pace, until its time-out. (To only hand the crate addresses that were just tried leaves its loop where
//!   it is; to put a proxy before the whole of it hides when a connection was replaced, which watches do not survive.)
//!   A cold read of a large tree takes as long as without the relay: its pieces are copied once more, and servers are
//!   what is waited for.
//! - **Threads.** Each ensemble's sessions are kept on a thread and a runtime of their own ([`host`]).
//! - **Time.** Every operation is bounded; what is asked for while there is no connection fails at once. (What was
//!   asked for just before the connection broke may still be done after its time-out.)
//! - **Errors** become ours: a connection that broke shows there as four different ones.
//! - **Sizes.** Requests that servers refuse are not sent (see `size`).
//! - A watch that said its last word waits for ever; the crate's own panics when asked again, or when its task is gone.
//! - **Abilities.** Servers before 3.6, and other programs that speak the protocol, have no recursive watches or no
//!   batches of reads. Each server is asked once ([`abilities`]), and what it cannot do is done with single reads and
//!   one-shot watches ([`oneshot`]).
//!
//! Watches end with their connection: ZooKeeper replays nothing to persistent ones (ZOOKEEPER-4698), so that whoever
//! has one arms it anew and reads everything again. Dropping a watch after a newer one was armed on the same path
//! leaves the newer one alone: the crate takes the watch off the server only with the last one of a path, and requests
//! stay in order.

mod abilities;
mod attach;
mod dial;
mod host;
mod link;
mod names;
mod oneshot;
mod relay;
mod rights;
mod servers;
mod session;
mod shared;
mod srv;
mod tools;
mod translate;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot as once, watch as channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::abilities::KnownAbilities;
use self::attach::attach;
use self::host::{Host, HostThread};
use self::link::{Connectivity, Link};
use self::names::ServerNames;
use self::shared::SharedClient;
use self::srv::SrvServers;
use super::security;
use super::session::Ensemble;
use crate::registry::Error;

pub use self::rights::ChildRights;
pub use self::session::ZooKeeperSession;
pub use self::tools::OnceWatch;
pub use self::watch::ZooKeeperWatch;

/// Time that a connect may take beyond the session time-out, until the thread that makes it is taken for lost.
const LATE: Duration = Duration::from_secs(10);

/// A ZooKeeper ensemble.
#[derive(Debug, Clone)]
pub struct ZooKeeper {
    shared: SharedClient,
    host: Host,
}

impl ZooKeeper {
    /// The ensemble behind a connect string, `host:port,…/chroot`. Nothing is connected yet, nor is the string checked.
    pub fn new(servers: &str, session_timeout: Duration) -> Self {
        let (names, known) = (ServerNames::default(), KnownAbilities::default());
        let (security, last) = (Arc::default(), Arc::default());
        let servers = servers.into();
        let srv = SrvServers::default();
        let shared = SharedClient { servers, session_timeout, security, last, reads_only: false, names, srv, known };
        Self { shared, host: Host::default() }
    }

    /// The same ensemble, with credentials and certificates. Their files are read at each connect.
    pub fn secured(mut self, security: security::Config) -> Self {
        self.shared.security = security.into();
        self
    }
}

impl Ensemble for ZooKeeper {
    type Session = ZooKeeperSession;

    fn for_reading(self) -> Self {
        // A thread of its own.
        Self { shared: SharedClient { reads_only: true, ..self.shared }, host: Host::default() }
    }

    async fn connect(&self) -> Result<ZooKeeperSession, Error> {
        let running = self.host.running().map_err(|error| {
            let (cause, words) = dial::failure(&error);
            Error::NoServer { cause, detail: format!("this process has no thread for it: {words}").into() }
        })?;
        let (opened, is_opened) = once::channel();
        let (shared, kept) = (self.shared.clone(), running.clone());
        let (abandoned, is_abandoned) = once::channel::<()>();
        running.spawn(async move {
            let opening = open(shared, kept);
            tokio::select! {
                session = opening => drop(opened.send(session)),
                _ = is_abandoned => {}
            }
        });
        let outcome = timeout(self.shared.session_timeout + LATE, is_opened).await;
        drop(abandoned);
        if let Ok(Ok(session)) = outcome {
            return session;
        }
        self.host.replace();
        error!(ensemble = &*self.shared.servers, "the ZooKeeper client does not answer any more: starting another");
        Err(Error::Timeout)
    }

    fn describe(&self) -> &str {
        &self.shared.servers
    }

    fn identity(&self) -> Option<String> {
        self.shared.identity()
    }
}

/// Opens a session, on the thread that keeps it.
async fn open(shared: SharedClient, running: HostThread) -> Result<ZooKeeperSession, Error> {
    let (tasks, zxid) = (running.tasks(), Arc::new(AtomicI64::new(0)));
    let deadline = Instant::now() + shared.session_timeout;
    let (attached, ended) = attach(&shared, &tasks, None, &zxid, deadline).await?;
    let first = Arc::new(attached);
    let (standing, stands) = channel::channel(Connectivity::Connected(0, Arc::clone(&first)));
    let closed = CancellationToken::new();
    let session = ZooKeeperSession {
        id: first.client.session_id().0,
        timeout: first.client.session_timeout(),
        chroot: Some(first.client.path()).filter(|path| *path != "/").map_or(0, str::len),
        known: shared.known.clone(),
        reads_at_once: first.abilities.is_complete(),
        standing: stands,
        _closed: closed.clone().drop_guard(),
        _running: running,
    };
    tasks.clone().spawn(Link { shared, tasks, standing, closed, zxid }.run(first, ended));
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Cause;

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
