//! The main job with nothing but real parts: a real ZooKeeper, kazoo as the writer, dig as the reader, faults for real.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;

use crate::harness::app::Running;
use crate::harness::client::Client;
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::{PATIENCE, eventually, zk};

/// Waits until the A records of `name` are these.
async fn shows(server: &Running, name: &str, addresses: &[&str]) {
    let mut client = Client::new(server.dns).await;
    let begun = Instant::now();
    loop {
        let answer = client.addresses(name).await.expect("an answer");
        if answer.0 == ResponseCode::NoError && answer.1 == addresses {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} is {answer:?}, not {addresses:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Runs blocking work (kazoo, ZooKeeper's process) beside the runtime's own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kazoo_creates_changes_and_deletes_is_in_dns() {
    let servers = zk::shared().namespace().await;
    let server = Running::over_zookeeper(&servers, "");
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api_x/providers/192.168.0.42:8080", br#"{"pid":1}"#, true);
    kazoo.create("/services/api_x/providers/192.168.0.43:8080", br#"{"pid":2,"weight":20}"#, true);
    shows(&server, "api_x.service.", &["192.168.0.42", "192.168.0.43"]).await;
    let srv = dig(server.dns, "SRV api_x.service");
    assert_eq!(srv.data(), ["0 10 8080 192-168-0-42.addr.service.", "0 20 8080 192-168-0-43.addr.service."]);
    assert_eq!(srv.additional.len(), 2, "{srv:?}");

    kazoo.set("/services/api_x/providers/192.168.0.43:8080", br#"{"pid":2,"weight":7}"#);
    eventually("the changed weight", async || {
        dig(server.dns, "SRV api_x.service").data().iter().any(|srv| srv.starts_with("0 7 ")).then_some(())
    })
    .await;

    kazoo.delete("/services/api_x/providers/192.168.0.42:8080");
    shows(&server, "api_x.service.", &["192.168.0.43"]).await;
    kazoo.delete("/services/api_x/providers/192.168.0.43:8080");
    shows(&server, "api_x.service.", &[]).await;
    assert_eq!(dig(server.dns, "A api_x.service").status, "NOERROR", "a service without instances is NODATA");
    kazoo.delete("/services/api_x/providers");
    kazoo.delete("/services/api_x");
    eventually("the end of the name", async || (dig(server.dns, "A api_x.service").status == "NXDOMAIN").then_some(()))
        .await;
    server.stop().await;
}

/// Prints how long a change takes from kazoo's return to the answer that shows it.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_shows_and_the_staleness_is_printed() {
    let servers = zk::shared().namespace().await;
    let server = Running::over_zookeeper(&servers, "");
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", true);
    shows(&server, "api.service.", &["10.0.0.1"]).await;
    let mut delays = Vec::new();
    for _ in 0..25 {
        kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", true);
        let begun = Instant::now();
        shows(&server, "api.service.", &["10.0.0.1", "10.0.0.2"]).await;
        delays.push(begun.elapsed());
        kazoo.delete("/services/api/providers/10.0.0.2:80");
        let begun = Instant::now();
        shows(&server, "api.service.", &["10.0.0.1"]).await;
        delays.push(begun.elapsed());
    }
    delays.sort();
    println!("staleness of {} changes: median {:?}, longest {:?}", delays.len(), delays[25], delays[49]);
    server.stop().await;
}

/// The layouts of zc.zk and `nd_service_registry`, as those libraries write them, byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn what_zc_zk_and_nd_service_registry_write_is_answered() {
    let servers = zk::shared().namespace().await;
    let server = Running::over_zookeeper(&servers, "");
    let mut kazoo = Kazoo::connect(&servers);
    let data = |name: &str| {
        let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    kazoo.create("/services/fooservice", br#"{"database":"/databases/foomain","favorite_color":"red"}"#, false);
    kazoo.create("/services/fooservice/providers/192.168.0.42:8080", &data("zc/plain.json"), true);
    kazoo.create("/services/staging/uswest2/memcache/192.168.1.1:11211", &data("nd/plain.json"), true);
    kazoo.create("/services/staging/uswest2/memcache/ec2-1-2-3-4.compute.amazonaws.com:11211", b"", true);
    kazoo.create("/services/staging/uswest2/memcache/server1:11211", &data("nd/string.json"), true);
    shows(&server, "fooservice.service.", &["192.168.0.42"]).await;
    eventually("three instances", async || {
        let answer = dig(server.dns, "SRV memcache.uswest2.staging.service");
        (answer.data()
            == [
                "0 10 11211 192-168-1-1.addr.service.",
                "0 10 11211 ec2-1-2-3-4.compute.amazonaws.com.",
                "0 10 11211 server1.addr.service.",
            ])
        .then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_cannot_be_read_cost_no_instance_and_a_lost_node_no_neighbour() {
    let servers = zk::shared().namespace().await;
    let server = Running::over_zookeeper(&servers, "");
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", true);
    kazoo.create("/services/api/providers/10.0.0.2:80", b"{\"weight\": \xff\xfe", true);
    kazoo.create("/services/api/providers/10.0.0.3:80", &vec![b'x'; 900 * 1024], true);
    let deep = [b"{\"a\":".to_vec(), vec![b'['; 200_000]].concat();
    kazoo.create("/services/api/providers/10.0.0.4:80", &deep, true);
    kazoo.create("/services/api/providers/not-an-address", b"{}", true);
    kazoo.create("/services/api/providers/10.0.0.5:80", b"{}", true);
    let all = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
    shows(&server, "api.service.", &all).await;
    let paths = |status: &serde_json::Value, kind: &str| -> Vec<String> {
        let nodes = status["registries"][0][kind].as_array().cloned().unwrap_or_default();
        let path = |node: &serde_json::Value| node["path"].as_str().unwrap_or_default().to_owned();
        let mut paths: Vec<String> = nodes.iter().map(path).collect();
        paths.sort();
        paths
    };
    let at = |name: &str| format!("/services/api/providers/{name}");
    let doubtful = ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"].map(at);
    eventually("one node that is lost and three that are doubtful", async || {
        let page = get(server.admin, "/v1/status").await;
        let status = serde_json::from_str(page.rsplit("\r\n\r\n").next()?).ok()?;
        (paths(&status, "lost") == [at("not-an-address")] && paths(&status, "doubtful") == doubtful).then_some(())
    })
    .await;
    server.stop().await;
}

/// The body of a GET.
pub(crate) async fn get(server: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server).await.expect("the admin server");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Asks 200 times a second and counts what is not the right answer, until told to stop.
async fn watch_answers(server: std::net::SocketAddr, stop: Arc<AtomicBool>) -> (u64, Vec<String>) {
    let mut client = Client::new(server).await;
    let mut every = tokio::time::interval(Duration::from_millis(5));
    let (mut asked, mut wrong) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        every.tick().await;
        asked += 1;
        match client.addresses("api.service.").await {
            Some((ResponseCode::NoError, addresses)) if addresses == ["10.0.0.1", "10.0.0.2"] => {}
            other => wrong.push(format!("{other:?}")),
        }
    }
    (asked, wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_seconds_without_zookeeper_lose_no_answer() {
    let mut zookeeper = aside(zk::Server::start).await;
    let address = zookeeper.address();
    let server = Running::over_zookeeper(&address, "");
    let mut kazoo = Kazoo::connect(&address);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", false);
    drop(kazoo);
    shows(&server, "api.service.", &["10.0.0.1", "10.0.0.2"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch_answers(server.dns, Arc::clone(&stop)));

    zookeeper.kill();
    eventually("an answer that says that it is stale", async || {
        dig(server.dns, "A api.service").edns.iter().any(|line| line.contains("EDE: 3")).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let zookeeper = aside(move || {
        zookeeper.start_again();
        zookeeper
    })
    .await;
    eventually("fresh answers again", async || {
        dig(server.dns, "A api.service").edns.iter().all(|line| !line.contains("EDE")).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let (asked, wrong) = watcher.await.expect("no panic");
    println!("{asked} queries over the outage, {} of them wrong or lost", wrong.len());
    assert!(wrong.is_empty(), "of {asked}: {wrong:?}");
    assert!(asked > 1000, "only {asked} queries");

    let mut kazoo = Kazoo::connect(&zookeeper.address());
    kazoo.create("/services/api/providers/10.0.0.3:80", b"{}", false);
    shows(&server, "api.service.", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_zookeeper_is_there_the_answer_is_servfail() {
    let mut zookeeper = aside(zk::Server::start).await;
    let address = zookeeper.address();
    let mut kazoo = Kazoo::connect(&address);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    drop(kazoo);
    zookeeper.kill();

    let server = Running::over_zookeeper(&address, "");
    assert_eq!(dig(server.dns, "SOA service").status, "NOERROR", "the apex is the zone's own");
    for query in ["A api.service", "SRV nobody.service", "MX nobody.service"] {
        let answer = dig(server.dns, query);
        assert_eq!(answer.status, "SERVFAIL", "{query}");
        assert!(answer.edns.iter().any(|line| line.contains("EDE: 14")), "{answer:?}");
    }
    assert!(get(server.admin, "/readyz").await.starts_with("HTTP/1.1 503"));
    let zookeeper = aside(move || {
        zookeeper.start_again();
        zookeeper
    })
    .await;
    eventually("an answer", async || (dig(server.dns, "A api.service").status == "NOERROR").then_some(())).await;
    assert_eq!(dig(server.dns, "A api.service").data(), ["10.0.0.1"]);
    assert!(get(server.admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
    drop(zookeeper);
}

/// Changes made while the connection is cut are in DNS after it: fifty times.
#[tokio::test(flavor = "multi_thread")]
async fn after_fifty_cuts_with_changes_dns_equals_zookeeper() {
    let zookeeper = aside(zk::Server::start).await;
    let proxy = Proxy::start(zookeeper.socket());
    let server = Running::over_zookeeper(&proxy.address().to_string(), "");
    let mut kazoo = Kazoo::connect(&zookeeper.address());
    let mut rng = fastrand::Rng::with_seed(7);
    let mut there = BTreeSet::new();
    let mut client = Client::new(server.dns).await;
    for cut in 0..50 {
        change(&mut kazoo, &mut rng, &mut there);
        match cut % 3 {
            0 => proxy.blip(),
            _ => proxy.cut(),
        }
        for _ in 0..rng.usize(1..8) {
            change(&mut kazoo, &mut rng, &mut there);
        }
        proxy.heal();
        change(&mut kazoo, &mut rng, &mut there);
        for service in 0..4 {
            let name = format!("s{service}.service.");
            let mut expected: Vec<String> = there
                .iter()
                .filter(|(of, _)| *of == service)
                .map(|(_, host)| format!("10.0.{service}.{host}"))
                .collect();
            expected.sort();
            let begun = Instant::now();
            loop {
                let answer = client.addresses(&name).await.expect("an answer");
                let exists = answer.0 == ResponseCode::NoError;
                if answer.1 == expected && (exists || expected.is_empty()) {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "after cut {cut}: {name} is {answer:?}, not {expected:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    server.stop().await;
}

/// One random change of four services with twenty hosts each.
fn change(kazoo: &mut Kazoo, rng: &mut fastrand::Rng, there: &mut BTreeSet<(u8, u8)>) {
    let (service, host) = (rng.u8(0..4), rng.u8(1..20));
    let path = format!("/services/s{service}/providers/10.0.{service}.{host}:80");
    if there.remove(&(service, host)) {
        kazoo.delete(&path);
    } else {
        kazoo.create(&path, b"{}", false);
        there.insert((service, host));
    }
}
