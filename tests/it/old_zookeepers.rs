//! The main job on ZooKeeper 3.4, which has neither recursive watches nor batches of reads, and on 3.9.

use std::collections::BTreeSet;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use zonekeeper::registry::Path;
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::{Access, Ensemble, Event, Mode, Session, Watch};

use crate::harness::app::{Binary, Running, free_port};
use crate::harness::client::Client;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::release::Release;
use crate::harness::{eventually, zk};

/// Waits until a name has this answer.
async fn shows(server: &Running, name: &str, code: ResponseCode, addresses: &[&str]) {
    eventually(&format!("{name} as {code} {addresses:?}"), async || {
        let answer = Client::new(server.dns).await.addresses(name).await?;
        (answer.0 == code && answer.1 == addresses).then_some(())
    })
    .await;
}

async fn the_main_job(release: Release) {
    let servers = zk::shared_of(release).namespace().await;
    let server = Running::over_zookeeper(&servers, "");
    let mut kazoo = Kazoo::connect(&servers);
    let name = "api_x.service.";
    kazoo.create("/services/api_x/providers/192.168.0.42:8080", br#"{"pid":1}"#, true);
    kazoo.create("/services/api_x/providers/192.168.0.43:8080", br#"{"pid":2}"#, false);
    kazoo.create("/services/staging/uswest2/memcache/providers/10.0.0.1:11211", b"{}", true);
    shows(&server, name, ResponseCode::NoError, &["192.168.0.42", "192.168.0.43"]).await;
    shows(&server, "memcache.uswest2.staging.service.", ResponseCode::NoError, &["10.0.0.1"]).await;
    // A change of data, which no list of children shows.
    kazoo.set("/services/api_x/providers/192.168.0.43:8080", br#"{"state":"down"}"#);
    shows(&server, name, ResponseCode::NoError, &["192.168.0.42"]).await;
    kazoo.set("/services/api_x/providers/192.168.0.43:8080", b"{}");
    shows(&server, name, ResponseCode::NoError, &["192.168.0.42", "192.168.0.43"]).await;
    // Gone and back at once, with other data: the list is the same.
    kazoo.delete("/services/api_x/providers/192.168.0.43:8080");
    kazoo.create("/services/api_x/providers/192.168.0.43:8080", br#"{"state":"drain"}"#, false);
    shows(&server, name, ResponseCode::NoError, &["192.168.0.42"]).await;
    kazoo.set("/services/api_x/providers/192.168.0.43:8080", b"{}");
    shows(&server, name, ResponseCode::NoError, &["192.168.0.42", "192.168.0.43"]).await;
    for path in ["providers/192.168.0.42:8080", "providers/192.168.0.43:8080", "providers"] {
        kazoo.delete(&format!("/services/api_x/{path}"));
    }
    shows(&server, name, ResponseCode::NoError, &[]).await;
    kazoo.delete("/services/api_x");
    shows(&server, name, ResponseCode::NXDomain, &[]).await;
    kazoo.create("/services/api_x/providers/192.168.0.44:8080", b"{}", true);
    shows(&server, name, ResponseCode::NoError, &["192.168.0.44"]).await;
    drop(kazoo);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_3_4_is_answered_from() {
    the_main_job(Release::V3_4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_3_9_is_answered_from() {
    the_main_job(Release::V3_9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_3_4_too_the_names_are_right_after_every_cut() {
    let server = zk::shared_of(Release::V3_4);
    let direct = server.namespace().await;
    let proxy = Proxy::start(server.socket());
    let proxied = direct.replace(&server.address(), &proxy.address().to_string());
    let running = Running::over_zookeeper(&proxied, "");
    let mut kazoo = Kazoo::connect(&direct);
    let mut present = BTreeSet::new();
    let mut rng = fastrand::Rng::with_seed(7);
    kazoo.create("/services/api/providers", b"", false);
    for round in 0..10 {
        proxy.cut();
        for _ in 0..8 {
            let address = format!("10.0.0.{}", rng.u8(1..7));
            let path = format!("/services/api/providers/{address}:80");
            if present.remove(&address) {
                kazoo.delete(&path);
            } else {
                kazoo.create(&path, b"{}", false);
                present.insert(address);
            }
        }
        // Now and then for so long that the session is given up.
        tokio::time::sleep(Duration::from_millis(if round % 4 == 3 { 2500 } else { 100 })).await;
        proxy.heal();
        let addresses: Vec<&str> = present.iter().map(String::as_str).collect();
        shows(&running, "api.service.", ResponseCode::NoError, &addresses).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn on_3_4_a_session_outlives_a_cut_and_its_watches_are_armed_anew() {
    let server = zk::shared_of(Release::V3_4);
    let direct = server.namespace().await;
    let proxy = Proxy::start(server.socket());
    let proxied = direct.replace(&server.address(), &proxy.address().to_string());
    let root = Path::new("/a").unwrap();
    let create = async |session: &<ZooKeeper as Ensemble>::Session, path: &Path| {
        session.create(path, b"", Mode::Persistent, &Access::Open).await.unwrap();
    };
    let other = ZooKeeper::new(&direct, Duration::from_secs(20)).connect().await.unwrap();
    let victim = ZooKeeper::new(&proxied, Duration::from_secs(20)).connect().await.unwrap();
    let own = root.child("own");
    create(&other, &root).await;
    victim.sync(&root).await.unwrap();
    victim.create(&own, b"", Mode::Ephemeral, &Access::Open).await.unwrap();
    let mut watch = victim.watch(&root).await.unwrap();
    proxy.cut();
    assert_eq!(watch.next().await, Event::Disconnected);
    proxy.heal();
    assert_eq!(watch.next().await, Event::Connected);
    assert_eq!(other.get(&own).await.unwrap().stat.ephemeral_owner, victim.id());
    let mut watch = victim.watch(&root).await.unwrap();
    create(&other, &root.child("after")).await;
    assert_eq!(watch.next().await, Event::Changed(root.child("after")));
    create(&other, &root.child("after").child("below")).await;
    assert_eq!(watch.next().await, Event::Changed(root.child("after").child("below")));
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_servers_are_old_is_in_the_log() {
    let servers = zk::shared_of(Release::V3_4).namespace().await;
    let port = free_port();
    let config = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{port}\"]\n"
    );
    let binary = Binary::serve(&config);
    eventually("the line in the log", async || binary.log().contains("older than ZooKeeper 3.6").then_some(())).await;
    eventually("the mirror", async || binary.log().contains("the mirror is live").then_some(())).await;
}
