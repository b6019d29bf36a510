//! The announcer against a real ZooKeeper behind a proxy that breaks connections.

use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use zonekeeper::announce::identity::HostIdentity;
use zonekeeper::announce::origin::ThisHost;
use zonekeeper::announce::{Announcer, AnnouncerStatus, InstanceWriter, RegistrationState, ServiceConfig};
use zonekeeper::format;
use zonekeeper::registry::{Error, Path};
use zonekeeper::zookeeper::Znode;
use zonekeeper::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use zonekeeper::zookeeper::session::{Access, Ensemble, Session};

use crate::harness::proxy::Proxy;
use crate::harness::{eventually, zk};

const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// An announcer of services on ports 1 to `count`, connected through a proxy; and somebody who looks, connected
/// without.
struct Announced {
    proxy: Proxy,
    looker: ZooKeeperSession,
    status: AnnouncerStatus,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Announced {
    async fn start(count: u16) -> Self {
        let servers = zk::shared().namespace().await;
        let proxy = Proxy::start(zk::shared().socket());
        let (_, namespace) = servers.split_once('/').expect("a chroot");
        let through = ZooKeeper::new(&format!("{}/{namespace}", proxy.address()), SESSION_TIMEOUT);
        let looker = ZooKeeper::new(&servers, Duration::from_secs(30)).connect().await.expect("a session");
        let writer = InstanceWriter {
            format: format::Config::default(),
            root: Path::new("/services").unwrap(),
            host: HostIdentity::new("this host").unwrap(),
            here: ThisHost::default(),
            pid: 1,
            created: SystemTime::now(),
            access: Access::Read,
            parent_access: Access::Open,
            readonly: false,
            drains: None,
        };
        let service = |port| ServiceConfig {
            address: Some(format::host("192.0.2.1").unwrap()),
            ..ServiceConfig::new("a/b", port)
        };
        let announcer = Announcer::new(through, writer, (1..=count).map(service).collect()).unwrap();
        let (status, stop) = (announcer.status(), CancellationToken::new());
        let task = tokio::spawn(announcer.run(stop.clone()));
        let all = Self { proxy, looker, status, stop, task };
        all.registered().await;
        all
    }

    /// Waits until all services are registered by the session that is shown.
    async fn registered(&self) {
        eventually("everything is registered", || async {
            let session = self.status.session()?;
            let all = self.status.registrations();
            let good = !all.is_empty()
                && all.iter().all(|one| one.state == RegistrationState::Registered && one.owner == Some(session.id));
            (good && session.connected).then_some(())
        })
        .await;
    }

    async fn znode(&self) -> Result<Znode, Error> {
        self.looker.get(&path()).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        assert_eq!(self.looker.get(&path()).await, Err(Error::NoNode));
    }
}

fn path() -> Path {
    Path::new("/services/a/b/providers/192.0.2.1:1").unwrap()
}

#[tokio::test]
async fn short_breaks_leave_the_session_and_the_znode_and_the_watch_works_after_each() {
    let announced = Announced::start(2).await;
    let mut before = announced.znode().await.unwrap().stat;
    for _ in 0..3 {
        announced.proxy.cut();
        eventually("the break is seen", || async {
            announced.status.session().is_none_or(|session| !session.connected).then_some(())
        })
        .await;
        announced.proxy.heal();
        announced.registered().await;
        // And one that is over before anybody can look.
        announced.proxy.blip();
        sleep(Duration::from_millis(300)).await;
        announced.registered().await;
        assert_eq!(announced.znode().await.unwrap().stat, before, "the same znode");
    }
    announced.looker.delete(&path(), None).await.unwrap();
    let begun = Instant::now();
    before = eventually("it is restored", || async { announced.znode().await.ok() }).await.stat;
    assert!(begun.elapsed() < Duration::from_secs(5), "by the watch, and not by looking now and then");
    assert_eq!(before.ephemeral_owner, announced.status.session().unwrap().id);
    announced.registered().await;
    announced.stop().await;
}

#[tokio::test]
async fn after_each_of_five_black_holes_longer_than_the_session_everything_is_back_soon() {
    let announced = Announced::start(20).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let session = announced.status.session().unwrap().id;
        announced.proxy.stall();
        eventually("the session expires", || async { announced.znode().await.err() }).await;
        sleep(SESSION_TIMEOUT).await;
        announced.proxy.heal();
        let begun = Instant::now();
        let back = eventually("it is back", || async { announced.znode().await.ok() }).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_ne!(back.stat.ephemeral_owner, session);
        announced.registered().await;
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    println!("20 services back within {slowest:?} after each of five black holes");
    announced.stop().await;
}

#[tokio::test]
async fn nobody_can_change_the_data_of_an_instance() {
    let announced = Announced::start(1).await;
    assert_eq!(announced.looker.set(&path(), b"{}", None).await, Err(Error::NoAuth));
    announced.stop().await;
}

#[tokio::test]
async fn a_stop_without_an_answer_is_bounded_and_the_znode_goes_with_the_session() {
    let announced = Announced::start(1).await;
    announced.proxy.stall();
    let begun = Instant::now();
    announced.stop.cancel();
    announced.task.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    eventually("the session expires", || async { announced.looker.get(&path()).await.err() }).await;
}

#[tokio::test]
async fn five_hundred_services_come_and_go_in_seconds() {
    let begun = Instant::now();
    let announced = Announced::start(500).await;
    let (registered, begun) = (begun.elapsed(), Instant::now());
    announced.stop().await;
    println!("500 services registered within {registered:?}, withdrawn within {:?}", begun.elapsed());
    assert!(registered + begun.elapsed() < Duration::from_secs(20));
}
