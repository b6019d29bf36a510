//! What only a real ZooKeeper can show: restarts, frozen servers, connections that hang, and what its servers think of
//! paths.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use zonekeeper::registry::{Cause, Error, Path};
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::{Access, Ensemble, Event, Mode, Session, Watch};

use crate::harness::ensemble;
use crate::harness::proxy::Proxy;
use crate::harness::zk::Server;
use crate::harness::{PATIENCE, eventually, zk};
use crate::keeper_battery::reads_are_of_one_moment;

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

async fn next(watch: &mut impl Watch) -> Event {
    timeout(PATIENCE, watch.next()).await.expect("an event")
}

#[tokio::test]
async fn reads_from_a_follower_are_of_one_moment_while_another_member_is_written_to() {
    let ensemble = tokio::task::spawn_blocking(ensemble::Ensemble::start).await.expect("no panic");
    let leader = ensemble.leader().expect("a leader");
    let connect = async |member: usize| {
        let address = ensemble.members[member].address();
        ZooKeeper::new(&address, Duration::from_secs(20)).connect().await.unwrap()
    };
    reads_are_of_one_moment(&connect(leader).await, &connect((leader + 1) % 3).await).await;
}

#[tokio::test]
async fn a_session_outlives_a_killed_and_a_stopped_server() {
    let mut server = Server::start();
    let session = ZooKeeper::new(&server.address(), Duration::from_secs(30)).connect().await.unwrap();
    session.create(&path("/a"), b"kept", Mode::Persistent, &Access::Open).await.unwrap();
    session.create(&path("/e"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
    let mut watch = session.watch(&path("/a")).await.unwrap();
    for end in [Server::kill, Server::stop] {
        end(&mut server);
        assert_eq!(next(&mut watch).await, Event::Disconnected);
        server.start_again();
        assert_eq!(next(&mut watch).await, Event::Connected);
        assert_eq!(session.get(&path("/a")).await.unwrap().data, b"kept");
        assert_eq!(session.get(&path("/e")).await.unwrap().stat.ephemeral_owner, session.id());
    }
}

#[tokio::test]
async fn a_frozen_server_is_noticed_and_waited_for() {
    let server = Server::start();
    let session = ZooKeeper::new(&server.address(), Duration::from_secs(4)).connect().await.unwrap();
    let mut watch = session.watch(&path("/a")).await.unwrap();
    server.freeze();
    let begun = Instant::now();
    let error = session.get(&Path::root()).await.unwrap_err();
    assert!(!error.is_answer() && !error.is_terminal(), "{error}");
    assert_eq!(next(&mut watch).await, Event::Disconnected);
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.thaw();
    assert_eq!(next(&mut watch).await, Event::Connected);
    session.get(&Path::root()).await.unwrap();
}

#[tokio::test]
async fn a_blip_is_told_on_the_watch_even_when_nobody_looks_meanwhile() {
    let server = zk::shared();
    let proxy = Proxy::start(server.socket());
    let session = ZooKeeper::new(&proxy.address().to_string(), Duration::from_secs(20)).connect().await.unwrap();
    let mut watch = session.watch(&path("/nowhere")).await.unwrap();
    proxy.blip();
    eventually("the connection after the blip", || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        session.sync(&Path::root()).await.ok()
    })
    .await;
    assert_eq!(next(&mut watch).await, Event::Disconnected);
    assert_eq!(next(&mut watch).await, Event::Connected);
}

#[tokio::test]
async fn a_server_that_takes_connections_and_stays_silent_is_given_up_in_time() {
    let proxy = Proxy::start(zk::shared().socket());
    proxy.stall();
    let begun = Instant::now();
    let refused = ZooKeeper::new(&proxy.address().to_string(), Duration::from_secs(2)).connect().await;
    assert_eq!(refused.unwrap_err().cause(), Cause::Silent);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_network_makes_operations_slow_and_nothing_else() {
    let proxy = Proxy::start(zk::shared().socket());
    let session = ZooKeeper::new(&proxy.address().to_string(), Duration::from_secs(20)).connect().await.unwrap();
    proxy.delay(Duration::from_millis(200));
    let begun = Instant::now();
    session.sync(&Path::root()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn servers_refuse_the_characters_that_paths_refuse() {
    let server = zk::shared();
    let session = ZooKeeper::new(&server.namespace().await, Duration::from_secs(20)).connect().await.unwrap();
    for name in ["\u{1}", "\u{85}", "\u{e000}", "\u{f8fe}", "\u{fff1}", "\u{1f600}"] {
        assert!(Path::new(&format!("/{name}")).is_err(), "{name:?}");
        let created = session.create(&Path::root().child(name), b"", Mode::Persistent, &Access::Open).await;
        assert!(matches!(created, Err(Error::BadPath { .. })), "{name:?}: {created:?}");
    }
}
