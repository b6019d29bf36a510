//! The ensembles of the battery, each with a way to break a session's connection.

use std::time::Duration;

use zonekeeper::registry::Error;
use zonekeeper::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use zonekeeper::zookeeper::memory::{Memory, MemorySession};
use zonekeeper::zookeeper::session::{Ensemble as _, Session};

use crate::harness::face::{Face, Front};
use crate::harness::proxy::Proxy;
use crate::harness::release::Release;
use crate::harness::zk;

/// An ensemble without znodes, and the means to break a session's connection to it.
pub(super) trait Fixture {
    type Session: Session;

    async fn new() -> Self;

    /// A session that nothing happens to.
    async fn connect(&self) -> Self::Session;

    /// A session to break, one at a time.
    async fn victim(&self, session_timeout: Duration) -> Result<Self::Session, Error>;

    /// From now on the victim has no connection, nor is a new one to be had.
    fn cut(&self, victim: i64);

    /// Takes the cut back.
    fn heal(&self, victim: i64);

    /// Cuts the victim off until it has expired, sooner or later.
    fn expire(&self, victim: i64);
}

/// A session timeout that outlives a cut, and one that does not take long to run out.
pub(super) const LONG: Duration = Duration::from_secs(20);
pub(super) const SHORT: Duration = Duration::from_secs(1);

pub(super) struct InMemory(Memory);

impl Fixture for InMemory {
    type Session = MemorySession;

    async fn new() -> Self {
        Self(Memory::new("memory"))
    }

    async fn connect(&self) -> MemorySession {
        self.0.connect().await.unwrap()
    }

    async fn victim(&self, _session_timeout: Duration) -> Result<MemorySession, Error> {
        self.0.connect().await
    }

    fn cut(&self, victim: i64) {
        self.0.refuse(true);
        self.0.cut(victim);
    }

    fn heal(&self, victim: i64) {
        self.0.refuse(false);
        self.0.heal(victim);
    }

    fn expire(&self, victim: i64) {
        self.0.cut(victim);
        self.0.expire(victim);
    }
}

/// A real ZooKeeper of the release with this number; see [`release`]. [`Elder`] is the system's with the face of a 3.5.
pub(super) struct Real<const RELEASE: u8> {
    proxy: Proxy,
    direct: String,
    proxied: String,
}

pub(super) type System = Real<0>;
pub(super) type Old = Real<1>;
pub(super) type New = Real<2>;
pub(super) type Elder = Real<3>;

fn release(number: u8) -> Release {
    [Release::System, Release::V3_4, Release::V3_9, Release::System][usize::from(number)]
}

impl<const RELEASE: u8> Fixture for Real<RELEASE> {
    type Session = ZooKeeperSession;

    async fn new() -> Self {
        let server = zk::shared_of(release(RELEASE));
        let socket = if RELEASE == 3 { Front::before(server.socket(), Face::V3_5).address() } else { server.socket() };
        let direct = server.namespace().await.replace(&server.address(), &socket.to_string());
        let proxy = Proxy::start(socket);
        let proxied = direct.replace(&socket.to_string(), &proxy.address().to_string());
        Self { proxy, direct, proxied }
    }

    async fn connect(&self) -> ZooKeeperSession {
        ZooKeeper::new(&self.direct, LONG).connect().await.unwrap()
    }

    async fn victim(&self, session_timeout: Duration) -> Result<ZooKeeperSession, Error> {
        ZooKeeper::new(&self.proxied, session_timeout).connect().await
    }

    fn cut(&self, _victim: i64) {
        self.proxy.cut();
    }

    fn heal(&self, _victim: i64) {
        self.proxy.heal();
    }

    fn expire(&self, _victim: i64) {
        self.proxy.cut();
    }
}
