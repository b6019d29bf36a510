//! The mirror while ZooKeeper is away: what a start from the cache file answers, and for how long. And zc.zk's links,
//! and the guard.

use std::process::Command;
use std::time::Duration;

use super::end_to_end::get;
use super::harness::app::{Running, scratch};
use super::harness::dig::dig;
use super::harness::kazoo::Kazoo;
use super::harness::{eventually, zk};

/// A server over `address` with this cache file.
fn start(address: &str, cache: &str, more: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{address}\"\nsession_timeout = \"4s\"\nlinger = \"0s\"\ncache_file = \"{cache}\"\n{more}\n\
         [[zone]]\norigin = \"service.\"\n"
    ))
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

fn is_stale(answer: &super::harness::dig::Response) -> bool {
    answer.edns.iter().any(|line| line.contains("EDE: 3"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_zookeeper_answers_from_the_cache_file_and_says_that_it_is_stale() {
    let mut zookeeper = aside(zk::Server::start).await;
    let address = zookeeper.address();
    let cache = scratch("cache");
    let file = cache.to_string_lossy().into_owned();
    let mut kazoo = Kazoo::connect(&address);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    let server = start(&address, &file, "");
    eventually("the first cache file", async || cache.exists().then_some(())).await;
    kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", false);
    eventually("the change", async || (dig(server.dns, "A api.service").data().len() == 2).then_some(())).await;
    // The end of the program saves what changed since.
    server.stop().await;
    drop(kazoo);
    zookeeper.kill();

    let server = start(&address, &file, "");
    let answer = eventually("the cached answer", async || {
        Some(dig(server.dns, "A api.service")).filter(|answer| answer.status == "NOERROR")
    })
    .await;
    assert_eq!(answer.data(), ["10.0.0.1", "10.0.0.2"]);
    assert!(is_stale(&answer), "{answer:?}");
    assert_eq!(dig(server.dns, "A nobody.service").status, "NXDOMAIN");

    let zookeeper = aside(move || {
        zookeeper.start_again();
        zookeeper
    })
    .await;
    let mut kazoo = Kazoo::connect(&zookeeper.address());
    eventually("a fresh answer", async || (!is_stale(&dig(server.dns, "A api.service"))).then_some(())).await;
    kazoo.delete("/services/api/providers/10.0.0.1:80");
    eventually("what changes from now on", async || {
        (dig(server.dns, "A api.service").data() == ["10.0.0.2"]).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_file_older_than_max_stale_and_a_damaged_one_answer_servfail() {
    let mut zookeeper = aside(zk::Server::start).await;
    let address = zookeeper.address();
    let cache = scratch("cache");
    let file = cache.to_string_lossy().into_owned();
    let mut kazoo = Kazoo::connect(&address);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    let server = start(&address, &file, "");
    eventually("the cache file", async || cache.exists().then_some(())).await;
    server.stop().await;
    drop(kazoo);
    zookeeper.kill();

    // Its time counts, not the time since it was read.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let server = start(&address, &file, "max_stale = \"2s\"");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(dig(server.dns, "A api.service").status, "SERVFAIL");
    server.stop().await;
    assert!(cache.exists(), "an old file is no bad file");

    let mut bytes = std::fs::read(&cache).expect("the cache file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&cache, &bytes).expect("a damaged cache file");
    let server = start(&address, &file, "");
    let aside = cache.with_file_name("cache.refused");
    eventually("the damaged file aside", async || aside.exists().then_some(())).await;
    assert_eq!(dig(server.dns, "A api.service").status, "SERVFAIL");
    assert!(!cache.exists());
    server.stop().await;
}

/// The names that a service of zc.zk's has by links: of the service, of its providers, and of one instance.
#[tokio::test(flavor = "multi_thread")]
async fn links_show_what_they_lead_to_and_follow_every_change() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", true);
    kazoo.create("/elsewhere/db/providers/10.0.1.1:5432", b"{}", true);
    kazoo.create("/elsewhere/db/providers/10.0.1.2:5432", b"{}", true);
    kazoo.set("/services", br#"{"alias ->": "./api", "loop ->": "/services", "db ->": "/elsewhere/db"}"#);
    kazoo.create("/services/web", br#"{"providers ->": "../alias/providers"}"#, false);
    let server = Running::over_zookeeper(&servers, "");
    let shows = async |name: &str, expected: &[&str]| {
        eventually(&format!("{name} as {expected:?}"), async || {
            let mut data = dig(server.dns, &format!("A {name}")).data();
            data.sort();
            (data == expected).then_some(())
        })
        .await;
    };
    shows("db.service", &["10.0.1.1", "10.0.1.2"]).await;
    for name in ["api.service", "alias.service", "web.service"] {
        shows(name, &["10.0.0.1"]).await;
    }

    kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", true);
    kazoo.delete("/elsewhere/db/providers/10.0.1.1:5432");
    for name in ["api.service", "alias.service", "web.service"] {
        shows(name, &["10.0.0.1", "10.0.0.2"]).await;
    }
    shows("db.service", &["10.0.1.2"]).await;

    // A changed link, one more to elsewhere, one that went, and a real child before its link.
    kazoo.create("/far/x/10.0.2.1:80", b"{}", true);
    kazoo.set("/services/web", br#"{"providers ->": "/far/x"}"#);
    shows("web.service", &["10.0.2.1"]).await;
    kazoo.create("/services/alias/providers/10.0.3.1:80", b"{}", false);
    shows("alias.service", &["10.0.3.1"]).await;
    kazoo.set("/services", b"");
    shows("db.service", &[]).await;
    assert_eq!(dig(server.dns, "A db.service").status, "NXDOMAIN");
    kazoo.delete("/services/alias/providers/10.0.3.1:80");
    kazoo.set("/services", br#"{"db ->": "/elsewhere/db"}"#);
    shows("db.service", &["10.0.1.2"]).await;
    server.stop().await;
}

/// A property that is another znode's, in the root, outside of it, and by way of a link; and who explains it.
#[tokio::test(flavor = "multi_thread")]
async fn property_links_take_what_is_elsewhere_and_follow_every_change() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/elsewhere/defaults", br#"{"calm": 30}"#, false);
    kazoo.create("/services/api", br#"{"ttl =>": "/elsewhere/defaults calm"}"#, false);
    kazoo.create("/services/api/providers/10.0.0.1:80", br#"{"weight =>": "/services/web"}"#, true);
    kazoo.create("/services/web", br#"{"weight": 70}"#, false);
    let server = Running::over_zookeeper(&servers, "");
    let shows = async |ttl: &str, weight: &str| {
        let expected = format!("api.service. {ttl} IN SRV 0 {weight} 80 10-0-0-1.addr.service.");
        eventually(&expected, async || {
            (dig(server.dns, "SRV api.service").answer == [expected.as_str()]).then_some(())
        })
        .await;
    };
    shows("30", "70").await;
    kazoo.set("/services/web", br#"{"weight": 71}"#);
    shows("30", "71").await;
    kazoo.set("/elsewhere/defaults", br#"{"calm =>": "/services/web weight"}"#);
    shows("71", "71").await;
    let admin = server.admin.to_string();
    let explained = aside(move || {
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["explain", "api.service", "--admin", &admin]).output()
    });
    let explained = String::from_utf8(explained.await.expect("the binary").stdout).expect("text");
    for hop in [
        "by a link, `ttl` is `calm` of /elsewhere/defaults is `weight` of /services/web",
        "by a link, `weight` is `weight` of /services/web",
    ] {
        assert!(explained.contains(hop), "{hop} in {explained}");
    }
    // Of no one, then of another.
    kazoo.delete("/services/web");
    shows("5", "10").await;
    kazoo.set("/services/api", br#"{"ttl =>": "/other slow"}"#);
    kazoo.create("/other", br#"{"slow": 90}"#, false);
    shows("90", "10").await;
    server.stop().await;
}

/// The same in memory, whose znodes are in a file.
#[tokio::test(flavor = "multi_thread")]
async fn property_links_of_a_tree_in_a_file_follow_every_change() {
    let seed = scratch("seed.tree");
    let write = |properties: &str| {
        let services = "/services\n  /api\n    ttl => /config slow\n    /providers\n      /10.0.0.1:80\n";
        std::fs::write(&seed, format!("/config\n{properties}{services}")).unwrap();
    };
    write("  slow = 30\n");
    let zone = "[[zone]]\norigin = \"service.\"\n";
    let server = Running::start(&format!("[registry.main]\nmemory = \"{}\"\n{zone}", seed.display()));
    for (properties, ttl) in
        [("  slow = 30\n", 30), ("  slow = 60\n", 60), ("", 5), ("  slow => . fast\n  fast = 7\n", 7)]
    {
        write(properties);
        let expected = format!("api.service. {ttl} IN A 10.0.0.1");
        eventually(&expected, async || (dig(server.dns, "A api.service").answer == [expected.as_str()]).then_some(()))
            .await;
    }
    server.stop().await;
}

/// A storm of removals: most sessions gone at once. What happens to one service alone goes through.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_goes_on_with_what_a_storm_removed_and_lets_it_through_after_a_time() {
    let servers = zk::shared().namespace().await;
    let (mut kazoo, mut dying) = (Kazoo::connect(&servers), Kazoo::connect(&servers));
    for service in ["api", "db", "web"] {
        dying.create(&format!("/services/{service}/providers/10.0.0.1:80"), b"{}", true);
        kazoo.create(&format!("/services/{service}/providers/10.0.0.2:80"), b"{}", false);
    }
    for service in ["one", "two"] {
        for address in 6..8 {
            kazoo.create(&format!("/services/{service}/providers/10.0.0.{address}:80"), b"{}", false);
        }
    }
    for address in 3..6 {
        kazoo.create(&format!("/services/alone/providers/10.0.0.{address}:80"), b"{}", false);
    }
    let guard = "guard = { percent = 30, hold = \"10s\" }";
    let zone = "[[zone]]\norigin = \"service.\"\n";
    let server =
        Running::start(&format!("[registry.main]\nzookeeper = \"{servers}\"\nlinger = \"0s\"\n{guard}\n{zone}"));
    let count = async |name: &str, instances: usize| {
        eventually(&format!("{name} with {instances}"), async || {
            (dig(server.dns, &format!("A {name}.service")).data().len() == instances).then_some(())
        })
        .await;
    };
    let gone = async |name: &str| {
        let question = format!("A {name}.service");
        eventually(&format!("{name} gone"), async || (dig(server.dns, &question).status == "NXDOMAIN").then_some(()))
            .await;
    };
    count("web", 2).await;
    // Services that are deleted one after the other, with four of thirteen.
    for service in ["one", "two"] {
        for node in ["providers/10.0.0.6:80", "providers/10.0.0.7:80", "providers", ""] {
            kazoo.delete(format!("/services/{service}/{node}").trim_end_matches('/'));
        }
        gone(service).await;
    }
    // All of one service, which are three of nine.
    for address in 3..6 {
        kazoo.delete(&format!("/services/alone/providers/10.0.0.{address}:80"));
    }
    count("alone", 0).await;
    drop(dying);
    // What comes new is shown beside what is held back.
    let status = async || get(server.admin, "/v1/status").await;
    eventually("the guard's alarm", async || status().await.contains("\"services_total\":3").then_some(())).await;
    kazoo.create("/services/new/providers/10.0.0.9:80", b"{}", false);
    count("new", 1).await;
    for service in ["api", "db", "web"] {
        assert_eq!(dig(server.dns, &format!("A {service}.service")).data(), ["10.0.0.1", "10.0.0.2"]);
    }
    // Who wonders is told.
    let explained = get(server.admin, "/v1/explain?name=api.service").await;
    assert!(explained.contains("the guard holds back the loss of 1 instances until 20"), "{explained}");
    assert!(explained.contains("in DNS and not in ZooKeeper any more: 10.0.0.1"), "{explained}");
    let service = get(server.admin, "/v1/services/api").await;
    assert!(service.contains("\"guard\":{\"instances\":1,\"until\":\"20"), "{service}");
    // One of them has its instance back; the others are let through.
    kazoo.create("/services/db/providers/10.0.0.1:80", b"{}", false);
    eventually("two held back", async || status().await.contains("\"services_total\":2").then_some(())).await;
    count("api", 1).await;
    count("web", 1).await;
    assert_eq!(dig(server.dns, "A db.service").data(), ["10.0.0.1", "10.0.0.2"]);
    assert!(status().await.contains("\"trips\":1"));
    server.stop().await;
}
