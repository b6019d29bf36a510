//! `drains`: services that are read neither as zc nor as nd are drained in a tree of ours, over a real ZooKeeper.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::admin::page;
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::{eventually, zk};
use crate::unknown::{shows, trouble};

const READ: &str = "[{ format = \"curator\", root = \"/discovery\" }, { format = \"serverset\", root = \"/aurora\", as = \"sd\" }, \
                    { format = \"patroni\", as = \"pg\" }, { format = \"nd\", root = \"/nd\" }]";

/// A registry of these readers whose drains are at `drains`.
fn registry(servers: &str, read: &str, drains: &str, more: &str) -> String {
    let drains = if drains.is_empty() { String::new() } else { format!("drains = \"{drains}\"\n") };
    format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nlinger = \"0s\"\n{read}\n{drains}{more}\n\
         [[zone]]\norigin = \"service.\"\n"
    )
}

/// A file with what says only where to drain.
fn operator(registry: &str) -> PathBuf {
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, format!("{registry}[admin]\nlisten = \"127.0.0.1:1\"\n")).expect("a configuration");
    path
}

/// Runs a command. Returns whether it went well, and all that it said.
fn run(config: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    let output = command.args(arguments).arg("--config").arg(config).output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

fn well(config: &Path, arguments: &[&str]) -> String {
    let (is_well, said) = run(config, arguments);
    assert!(is_well, "{arguments:?}: {said}");
    said
}

async fn all_show(servers: &[SocketAddr], query: &str, expected: &str) {
    for server in servers {
        shows(*server, query, expected).await;
    }
}

fn curator(kazoo: &mut Kazoo, root: &str, service: &str, id: &str, host: &str) {
    let data = format!(r#"{{"name":"{service}","id":"{id}","address":"{host}","port":8080,"serviceType":"DYNAMIC"}}"#);
    kazoo.create(&format!("{root}/{service}/{id}"), data.as_bytes(), false);
}

fn patroni(kazoo: &mut Kazoo, member: &str, host: &str) {
    let data = format!(r#"{{"conn_url":"postgres://{host}:5432/postgres","state":"running","role":"replica"}}"#);
    kazoo.create(&format!("/service/orders-db/members/{member}"), data.as_bytes(), false);
}

fn registered(kazoo: &mut Kazoo) {
    curator(kazoo, "/discovery", "orders", "i-1", "10.0.0.1");
    curator(kazoo, "/discovery", "orders", "i-2", "10.0.0.2");
    let member = |host: &str| {
        format!(r#"{{"serviceEndpoint":{{"host":"{host}","port":80}},"additionalEndpoints":{{}},"status":"ALIVE"}}"#)
    };
    for (number, host) in [(1, "10.0.0.3"), (2, "10.0.0.4")] {
        kazoo.create(&format!("/aurora/prod/web/member_{number:010}"), member(host).as_bytes(), false);
    }
    patroni(kazoo, "pg1", "10.0.0.5");
    patroni(kazoo, "pg2", "10.0.0.6");
    kazoo.create("/nd/memcache/10.0.0.7:11211", b"{}", false);
}

#[tokio::test(flavor = "multi_thread")]
async fn curators_serversets_and_described_services_are_drained_in_a_tree_by_every_server_also_by_one_that_was_killed()
{
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    registered(&mut kazoo);
    let text = registry(&servers, &format!("read = {READ}"), "/zonekeeper/drains", "");
    let config = operator(&text);
    let first = Running::start(&text);
    let port = free_port();
    let other = format!("{text}[dns]\nlisten = [\"127.0.0.1:{port}\"]\n");
    let mut second = Binary::serve(&other);
    let both = [first.dns, SocketAddr::from(([127, 0, 0, 1], port))];
    all_show(&both, "A orders.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    all_show(&both, "A web.prod.sd.service", "NOERROR 10.0.0.3 10.0.0.4").await;
    all_show(&both, "A orders-db.pg.service", "NOERROR 10.0.0.5 10.0.0.6").await;
    assert!(kazoo.get("/zonekeeper").is_none(), "nobody but the first drain makes the tree");
    assert_eq!(trouble(&first), "", "a tree that is not there is no trouble");

    // By path, by name, and a service whose path only leads to it.
    well(&config, &["drain", "/discovery/orders", "--instance", "10.0.0.1:8080", "--reason", "new disk"]);
    let begun = Instant::now();
    all_show(&both, "A orders.service", "NOERROR 10.0.0.2").await;
    println!("out of two servers {:?} after the command", begun.elapsed());
    let said = well(&config, &["drain", "web.prod.sd.service", "--instance", "10.0.0.3:80"]);
    assert!(said.starts_with("prod/web is drained: 10.0.0.3:80 until it is undrained"), "{said}");
    let said = well(&config, &["drain", "orders-db.pg"]);
    assert!(said.starts_with("orders-db is drained: all of it until it is undrained"), "{said}");
    all_show(&both, "A web.prod.sd.service", "NOERROR 10.0.0.4").await;
    all_show(&both, "A orders-db.pg.service", "NOERROR").await;
    let ours = String::from_utf8(kazoo.get("/zonekeeper/drains/discovery/orders").expect("a flag").0).expect("text");
    assert!(ours.starts_with(r#"{"drain":[{"#) && ours.contains(r#""instance":"10.0.0.1:8080""#), "{ours}");
    assert_eq!(kazoo.get("/discovery/orders").expect("theirs").0, b"", "nothing is written into theirs");

    // One that is killed and comes back has them at once.
    second.signal("KILL");
    second.wait();
    well(&config, &["drain", "orders-db.pg", "--instance", "10.0.0.5:5432"]);
    well(&config, &["undrain", "web.prod.sd.service"]);
    let second = Binary::serve(&other);
    all_show(&both, "A orders-db.pg.service", "NOERROR").await;
    all_show(&both, "A web.prod.sd.service", "NOERROR 10.0.0.3 10.0.0.4").await;
    all_show(&both, "A orders.service", "NOERROR 10.0.0.2").await;

    // What people see of them.
    let listed = well(&config, &["drain", "--list"]);
    assert!(listed.contains("/discovery/orders: 10.0.0.1:8080 until it is undrained (new disk), by "), "{listed}");
    assert!(listed.contains("/service/orders-db: 10.0.0.5:5432 "), "{listed}");
    let status = page(first.admin, "/v1/status");
    assert!(status.contains(r#""service":"orders""#) && status.contains("new disk"), "{status}");
    let drained = page(first.admin, "/v1/services?state=drained");
    assert!(drained.contains(r#""orders""#) && drained.contains(r#""orders-db""#), "{drained}");
    let events = page(first.admin, "/v1/events?since=1h&limit=1000");
    assert!(events.contains("drained"), "{events}");
    let explained = page(first.admin, "/v1/explain?name=orders.service");
    assert!(explained.contains("OUT  drained by ") && explained.contains("new disk"), "{explained}");

    // A host, with what nd has: its flag is in its own znode.
    patroni(&mut kazoo, "pg3", "10.0.0.7");
    well(&config, &["undrain", "orders-db.pg"]);
    all_show(&both, "A orders-db.pg.service", "NOERROR 10.0.0.5 10.0.0.6 10.0.0.7").await;
    let said = well(&config, &["drain", "--host", "10.0.0.7"]);
    assert!(said.contains("2 services are drained"), "{said}");
    all_show(&both, "A orders-db.pg.service", "NOERROR 10.0.0.5 10.0.0.6").await;
    all_show(&both, "A memcache.service", "NOERROR").await;
    assert!(kazoo.get("/zonekeeper/drains/nd").is_none() && !kazoo.get("/nd/memcache").expect("theirs").0.is_empty());
    well(&config, &["undrain", "--host", "10.0.0.7"]);
    well(&config, &["undrain", "orders.service"]);
    all_show(&both, "A orders.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    all_show(&both, "A memcache.service", "NOERROR 10.0.0.7").await;
    assert_eq!(well(&config, &["drain", "--list"]), "nothing is drained\n");
    assert!(kazoo.get("/zonekeeper/drains/discovery").is_none(), "what is over leaves nothing");

    for (arguments, told) in [
        (&["drain", "nobody"][..], "nothing is drained"),
        (&["drain", "orders/i-1"], "nothing is drained"),
        (&["drain", "--host", "10.0.0.99"], "nothing is drained: no instance is registered at 10.0.0.99"),
    ] {
        let (is_well, said) = run(&config, arguments);
        assert!(!is_well && said.contains(told), "{arguments:?}: {said}");
    }
    assert_eq!(well(&config, &["drain", "--list"]), "nothing is drained\n");
    drop(second);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_in_the_tree_ends_by_itself_and_holds_over_a_start_without_zookeeper() {
    let mut zookeeper = tokio::task::spawn_blocking(zk::Server::start).await.expect("no panic");
    let servers = zookeeper.address();
    let mut kazoo = Kazoo::connect(&servers);
    curator(&mut kazoo, "/services", "orders", "i-1", "10.0.0.1");
    curator(&mut kazoo, "/services", "orders", "i-2", "10.0.0.2");
    curator(&mut kazoo, "/services", "users", "i-3", "10.0.0.3");
    let more = format!("cache_file = \"{}\"", scratch("cache").display());
    let text = registry(&servers, "format = \"curator\"", "/zonekeeper/drains", &more);
    let config = operator(&text);
    let server = Running::start(&text);
    shows(server.dns, "A users.service", "NOERROR 10.0.0.3").await;
    well(&config, &["drain", "orders", "--instance", "10.0.0.1:8080"]);
    well(&config, &["drain", "users", "--for", "12s"]);
    let begun = Instant::now();
    shows(server.dns, "A orders.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A users.service", "NOERROR").await;
    server.stop().await;
    zookeeper.kill();

    let stale = "EDE: 3 (Stale Answer)";
    let server = Running::start(&text);
    let first = eventually("an answer", async || {
        let response = dig(server.dns, "A orders.service");
        (response.status == "NOERROR").then(|| response.data())
    })
    .await;
    assert_eq!(first, ["10.0.0.2"], "the drained one is never served");
    shows(server.dns, "A users.service", &format!("NOERROR {stale}")).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "the start took {:?}", begun.elapsed());
    shows(server.dns, "A users.service", &format!("NOERROR 10.0.0.3 {stale}")).await;
    assert!(begun.elapsed() >= Duration::from_secs(11), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_mixed_root_zc_keeps_its_flags_and_spring_has_them_in_the_tree_and_without_one_the_key_is_named() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    curator(&mut kazoo, "/services", "pay", "i-1", "10.0.0.1");
    curator(&mut kazoo, "/services", "pay", "i-2", "10.0.0.2");
    kazoo.create("/services/api/providers/10.0.0.3:80", b"{}", false);
    let without = operator(&registry(&servers, "", "", ""));
    let key = "set drains = \"/zonekeeper/drains\" in [registry.main]";
    let (is_well, said) = run(&without, &["drain", "pay"]);
    assert!(!is_well && said.contains(key), "{said}");
    let of_curator = operator(&registry(&servers, "format = \"curator\"", "", ""));
    let (is_well, said) = run(&of_curator, &["drain", "pay"]);
    assert!(
        !is_well && said.contains("main is read as \"curator\", which has no drain flags") && said.contains(key),
        "{said}"
    );

    let text = registry(&servers, "", "/ours", "");
    let config = operator(&text);
    let server = Running::start(&text);
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    well(&config, &["drain", "pay", "--instance", "10.0.0.1:8080"]);
    well(&config, &["drain", "api"]);
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A api.service", "NOERROR").await;
    assert_eq!(kazoo.get("/services/pay").expect("theirs").0, b"");
    assert!(kazoo.get("/ours/services/pay").is_some() && kazoo.get("/ours/services/api").is_none());
    // Garbage in the tree drains nothing and is told with its path; what is beside it holds.
    kazoo.create("/ours/services/api", b"{\"drain\": 7", false);
    eventually("a remark", async || page(server.admin, "/v1/status").contains("/ours/services/api").then_some(()))
        .await;
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.2").await;
    well(&config, &["undrain", "pay"]);
    let said = well(&config, &["undrain", "api"]);
    assert!(said.starts_with("api is not drained any more: all of it") && said.lines().count() == 1, "{said}");
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.3").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_one_reader_finds_drains_the_same_endpoint_of_another() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    for host in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        kazoo.create(&format!("/services/api/{host}:8080"), b"{}", false);
    }
    curator(&mut kazoo, "/discovery", "API", "i-1", "10.0.0.1");
    curator(&mut kazoo, "/discovery", "API", "i-3", "10.0.0.3");
    curator(&mut kazoo, "/discovery", "API", "i-4", "10.0.0.4");
    let read = "read = [\"nd\", { format = \"curator\", root = \"/discovery\" }]";
    let text = registry(&servers, read, "/zonekeeper/drains", "") + "merge = \"union\"\n";
    let config = operator(&text);
    let server = Running::start(&text);
    let all = "NOERROR 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4";
    shows(server.dns, "A api.service", all).await;
    well(&config, &["drain", "/services/api", "--instance", "10.0.0.1:8080", "--reason", "disk"]);
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2 10.0.0.3 10.0.0.4").await;
    let explained = page(server.admin, "/v1/explain?name=api.service");
    assert_eq!(explained.matches("OUT  drained by ").count(), 2, "{explained}");
    well(&config, &["undrain", "/services/api"]);
    shows(server.dns, "A api.service", all).await;
    // All that one of them has; it ends in both.
    well(&config, &["drain", "/discovery/API", "--for", "4s"]);
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A api.service", all).await;
    // What comes later is drained, too.
    well(&config, &["drain", "/services/api", "--instance", "10.0.0.5:8080"]);
    curator(&mut kazoo, "/discovery", "API", "i-5", "10.0.0.5");
    curator(&mut kazoo, "/discovery", "API", "i-6", "10.0.0.6");
    shows(server.dns, "A api.service", &format!("{all} 10.0.0.6")).await;
    server.stop().await;
}
