//! A start from the cache file: what it answers, when it is ready, and what it believes of an ensemble that is not the
//! one it was.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::{eventually, zk};
use crate::unknown::{has_trouble, readiness, shown, shows, trouble};

const STALE: &str = "EDE: 3 (Stale Answer)";

fn serve(address: &str, cache: &Path) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{address}\"\nsession_timeout = \"4s\"\nhold = \"8s\"\ncache_file = \"{}\"\n\
         [[zone]]\norigin = \"service.\"\n",
        cache.display()
    ))
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// Writes the cache file of a registry with these services, of one instance each.
async fn cached(address: &str, kazoo: &mut Kazoo, services: &[(&str, &str)]) -> PathBuf {
    let cache = scratch("cache");
    // Sessions are transactions, too: those of whoever comes later are fewer.
    for i in 0..200 {
        kazoo.create(&format!("/other/{}/{i}", services[0].0), b"", false);
    }
    for (service, host) in services {
        kazoo.create(&format!("/services/{service}/providers/{host}:80"), b"{}", false);
    }
    let server = serve(address, &cache);
    for (service, host) in services {
        shows(server.dns, &format!("A {service}.service"), &format!("NOERROR {host}")).await;
    }
    server.stop().await;
    assert!(cache.exists());
    cache
}

async fn is_doubted(server: &Running, address: &str) {
    let went_back = format!("{address} is not the ensemble it was (zxid went back)");
    eventually(&went_back, async || trouble(server).starts_with(&went_back).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_from_the_cache_file_answers_at_once_and_is_ready_when_zookeeper_is_there_or_five_seconds_have_passed()
{
    let servers = zk::shared().namespace().await;
    let (address, chroot) = servers.split_once('/').expect("a namespace");
    let proxy = Proxy::start(address.parse().expect("an address"));
    let through = format!("{}/{chroot}", proxy.address());
    let cache = cached(&through, &mut Kazoo::connect(&servers), &[("api", "10.0.0.1")]).await;

    proxy.cut();
    let (server, begun) = (serve(&through, &cache), Instant::now());
    let stale = format!("NOERROR 10.0.0.1 {STALE}");
    shows(server.dns, "A api.service", &stale).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let early = readiness(&server, "");
    assert!(early.starts_with("503 service.: ") || begun.elapsed() > Duration::from_secs(5), "{early}");
    eventually("it is ready", async || (readiness(&server, "") == "200 ready").then_some(())).await;
    assert!(begun.elapsed() >= Duration::from_millis(4500), "{:?}", begun.elapsed());
    assert!(readiness(&server, "?fresh").starts_with("503"));
    assert_eq!(shown(server.dns, "A api.service"), stale);
    proxy.heal();
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    assert_eq!(readiness(&server, "?fresh"), "200 ready");
    server.stop().await;

    // With ZooKeeper there it is ready as soon as it is live.
    let server = serve(&through, &cache);
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    assert_eq!(readiness(&server, "?fresh"), "200 ready");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_restored_from_a_backup_while_the_server_was_down_is_not_believed_for_a_while() {
    let mut zookeeper = aside(zk::Server::start).await;
    let address = zookeeper.address();
    let cache = cached(&address, &mut Kazoo::connect(&address), &[("old", "10.0.0.1")]).await;
    std::fs::remove_file(cache).expect("the cache file");
    let (mut zookeeper, address) = aside(move || {
        zookeeper.stop();
        zookeeper.copy(true);
        zookeeper.start_again();
        (zookeeper, address)
    })
    .await;
    let cache = cached(&address, &mut Kazoo::connect(&address), &[("new", "10.0.0.2"), ("newer", "10.0.0.3")]).await;
    let zookeeper = aside(move || {
        zookeeper.kill();
        zookeeper.copy(false);
        zookeeper.start_again();
        zookeeper
    })
    .await;

    let server = serve(&address, &cache);
    is_doubted(&server, &address).await;
    for (service, host) in [("old", "10.0.0.1"), ("new", "10.0.0.2"), ("newer", "10.0.0.3")] {
        assert_eq!(shown(server.dns, &format!("A {service}.service")), format!("NOERROR {host} {STALE}"));
    }
    eventually("it is ready", async || (readiness(&server, "") == "200 ready").then_some(())).await;
    // After `hold` what is there is believed; who is gone is so with NODATA.
    shows(server.dns, "A new.service", "NOERROR").await;
    assert_eq!(shown(server.dns, "A newer.service"), "NOERROR");
    assert_eq!(shown(server.dns, "A old.service"), "NOERROR 10.0.0.1");
    has_trouble(&server, "").await;
    Kazoo::connect(&address).create("/services/new/providers/10.0.0.4:80", b"{}", false);
    shows(server.dns, "A new.service", "NOERROR 10.0.0.4").await;
    server.stop().await;
    drop(zookeeper);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_ensemble_in_the_place_of_the_cached_one_is_not_believed_for_a_while() {
    let mut zookeeper = aside(zk::Server::start).await;
    let address = zookeeper.address();
    let cache = cached(&address, &mut Kazoo::connect(&address), &[("api", "10.0.0.1")]).await;
    let zookeeper = aside(move || {
        zookeeper.kill();
        zookeeper.wipe();
        zookeeper.start_again();
        zookeeper
    })
    .await;
    let server = serve(&address, &cache);
    is_doubted(&server, &address).await;
    assert_eq!(shown(server.dns, "A api.service"), format!("NOERROR 10.0.0.1 {STALE}"));
    has_trouble(&server, "the root /services is gone").await;
    assert_eq!(dig(server.dns, "A api.service").status, "NOERROR");
    assert!(dig(server.dns, "A api.service").answer.is_empty());
    server.stop().await;
    drop(zookeeper);
}
