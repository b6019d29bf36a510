//! Several readers of one registry over a real ZooKeeper: conventions side by side in one zone, each with its root, its
//! place and its troubles.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::admin::page;
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::dig::{dig, transfer};
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::secondary::{KEY, Kind, Secondary};
use crate::harness::transfer::follows;
use crate::harness::{eventually, zk};
use crate::unknown::{readiness, shown, shows};

const NOT_READY: &str = "EDE: 14 (Not Ready): (the registry main/nd is not read yet)";
const STALE: &str = "EDE: 3 (Stale Answer)";

/// A registry with these readers, in two zones: one of names and one of addresses.
fn config(servers: &str, read: &str, more: &str, zone: &str) -> String {
    format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nlinger = \"0s\"\nread = {read}\n{more}\n\
         [[zone]]\norigin = \"service.\"\n{zone}\n[[zone]]\norigin = \"10.in-addr.arpa.\"\n"
    )
}

const DNS: &str = "[dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [\"any\"]\n";

fn serve(servers: &str, read: &str, more: &str, zone: &str) -> Running {
    Running::start_with(&format!("{}{DNS}", config(servers, read, more, zone)))
}

/// What Curator writes of an instance.
fn curator(kazoo: &mut Kazoo, root: &str, service: &str, host: &str, port: u16) {
    let data =
        format!(r#"{{"name":"{service}","id":"i-{host}","address":"{host}","port":{port},"serviceType":"DYNAMIC"}}"#);
    kazoo.create(&format!("{root}/{service}/i-{host}"), data.as_bytes(), false);
}

fn zc(kazoo: &mut Kazoo, root: &str, service: &str, endpoint: &str, data: &str) {
    kazoo.create(&format!("{root}/{service}/providers/{endpoint}"), data.as_bytes(), false);
}

fn json(admin: SocketAddr, path: &str) -> Value {
    // In pieces, each behind its length in hexadecimal digits, where it is a list.
    let page = page(admin, path);
    let body = page.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let lines = body.split("\r\n").filter(|line| !line.is_empty() && u32::from_str_radix(line, 16).is_err());
    serde_json::from_str(&lines.collect::<String>()).unwrap_or_else(|error| panic!("{error}: {page}"))
}

fn command(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

const BOTH: &str =
    "[\"zc\", { format = \"curator\", root = \"/discovery\" }, { format = \"nd\", root = \"/nd\", as = \"pg\" }]";

#[tokio::test(flavor = "multi_thread")]
async fn conventions_side_by_side_are_one_zone_with_all_their_services_and_addresses() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api_x", "10.0.0.1:80", "{}");
    curator(&mut kazoo, "/discovery", "orders", "10.0.0.2", 8080);
    kazoo.create("/nd/orders-db/10.0.0.3:5432", b"{}", false);
    kazoo.create("/nd/eu/users-db/10.0.0.4:5432", b"{}", false);
    let server = serve(&servers, BOTH, "", "");
    for (query, expected) in [
        ("A api_x.service", "NOERROR 10.0.0.1"),
        ("A api-x.service", "NOERROR 10.0.0.1"),
        ("A orders.service", "NOERROR 10.0.0.2"),
        ("SRV _orders._tcp.service", "NOERROR 0 10 8080 10-0-0-2.addr.service."),
        ("A orders-db.pg.service", "NOERROR 10.0.0.3"),
        ("SRV _users-db._tcp.eu.pg.service", "NOERROR 0 10 5432 10-0-0-4.addr.service."),
        ("-x 10.0.0.1", "NOERROR 10-0-0-1.addr.service."),
        ("-x 10.0.0.2", "NOERROR 10-0-0-2.addr.service."),
        ("-x 10.0.0.4", "NOERROR 10-0-0-4.addr.service."),
        ("A orders-db.service", "NXDOMAIN"),
        ("A eu.service", "NXDOMAIN"),
        ("-x 10.0.0.9", "NXDOMAIN"),
    ] {
        shows(server.dns, query, expected).await;
    }
    // Changes of each show, and its ends.
    kazoo.create("/nd/orders-db/10.0.0.5:5432", b"{}", false);
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3 10.0.0.5").await;
    kazoo.delete("/nd/orders-db/10.0.0.3:5432");
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.5").await;
    kazoo.delete("/discovery/orders/i-10.0.0.2");
    shows(server.dns, "A orders.service", "NOERROR").await;
    assert_eq!(readiness(&server, "?fresh"), "200 ready");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reader_is_seen_by_its_name_in_status_services_explain_and_metrics() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    curator(&mut kazoo, "/discovery", "api", "10.0.0.2", 8080);
    kazoo.create("/nd/orders-db/10.0.0.3:5432", b"{}", false);
    let server = serve(&servers, BOTH, "", "");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3").await;
    eventually("the clash", async || {
        let status = json(server.admin, "/v1/status");
        (status["registries"][1]["clashes_total"] == 1).then_some(())
    })
    .await;
    let status = json(server.admin, "/v1/status");
    let names: Vec<_> =
        status["registries"].as_array().unwrap().iter().map(|one| (&one["name"], &one["reader"])).collect();
    assert_eq!(format!("{names:?}").matches("main").count(), 3, "{names:?}");
    assert_eq!(status["registries"][1]["reader"], "curator");
    assert_eq!(status["zones"][0]["readers"]["main/nd"], "fresh", "{}", status["zones"]);
    let reason = status["registries"][1]["clashes"][0]["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        "api.service. is the name of main/zc:api, /discovery/api, which are not united: main/zc:api is served there alone"
    );
    let text = page(server.admin, "/v1/status?as=text");
    for line in ["registry main/zc (", "registry main/curator (", "registry main/nd ("] {
        assert!(text.contains(line), "{text}");
    }
    let services = json(server.admin, "/v1/services?registry=main/nd");
    assert_eq!(services["services"][0]["reader"], "nd");
    assert!(services["services"][0]["names"].to_string().contains("orders-db.pg.service."), "{services}");
    assert_eq!(json(server.admin, "/v1/services?registry=main")["services"].as_array().unwrap().len(), 3);
    let metrics = page(server.admin, "/metrics");
    for line in [
        "zonekeeper_registry_services{registry=\"main\",reader=\"zc\"} 1\n",
        "zonekeeper_clashes{registry=\"main\",reader=\"curator\"} 1\n",
        "zonekeeper_announce_connected{registry=\"main\",reader=\"nd\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let explained = page(server.admin, "/v1/explain?name=orders-db.pg.service");
    assert!(explained.contains("registry main/nd: mirror live") && explained.contains("/nd/orders-db"), "{explained}");
    assert!(explained.contains("10.0.0.3:5432"), "{explained}");
    let explained = page(server.admin, "/v1/explain?name=api.service");
    assert!(explained.contains("main/zc:api, which goes before it"), "{explained}");
    // What is not in DNS is no target.
    let targets = json(server.admin, "/v1/prometheus");
    let all: Vec<String> = targets.as_array().unwrap().iter().map(|one| one["targets"][0].to_string()).collect();
    assert_eq!(all, ["\"10.0.0.1:80\"", "\"10.0.0.3:5432\""]);
    assert_eq!(targets[1]["labels"]["__meta_zonekeeper_reader"], "nd");
    let dump = page(server.admin, "/v1/dump?as=zone&zone=service.");
    assert!(dump.contains("orders-db.pg"), "{dump}");
    let html = page(server.admin, "/v1/explain?name=10.0.0.3");
    assert!(html.contains("/nd/orders-db"), "{html}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_service_in_two_readers_the_first_shows_and_when_it_ends_the_second() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let read = "[{ format = \"zc\", root = \"/a\" }, { format = \"nd\", root = \"/b\" }]";
    kazoo.create("/a", b"", false);
    kazoo.create("/b/api/10.0.0.2:80", b"{}", false);
    let server = serve(&servers, read, "", "");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2").await;
    zc(&mut kazoo, "/a", "api", "10.0.0.1:80", "{}");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    assert_eq!(shown(server.dns, "SRV _api._tcp.service"), "NOERROR 0 10 80 10-0-0-1.addr.service.");
    assert_eq!(shown(server.dns, "A 10-0-0-2.addr.service"), "NXDOMAIN");
    // What changes in the second meanwhile is known when the first has none any more.
    kazoo.create("/b/api/10.0.0.3:80", b"{}", false);
    kazoo.delete("/a/api/providers/10.0.0.1:80");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2 10.0.0.3").await;
    eventually("no clash", async || {
        let status = json(server.admin, "/v1/status");
        let none = |i: usize| status["registries"][i]["clashes_total"] == 0;
        (none(0) && none(1)).then_some(())
    })
    .await;
    server.stop().await;
}

/// The binary, whose configuration can be replaced.
struct Served {
    binary: Binary,
    path: PathBuf,
    dns: SocketAddr,
    admin: SocketAddr,
}

impl Served {
    async fn start(text: &str) -> Self {
        let path = scratch("zonekeeper.toml");
        let at = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (dns, admin) = (at(), at());
        Self::write(&path, text, dns, admin);
        let binary = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
        eventually("a start", async || binary.log().contains("DNS, UDP and TCP").then_some(())).await;
        Self { binary, path, dns, admin }
    }

    fn write(path: &Path, text: &str, dns: SocketAddr, admin: SocketAddr) {
        let text =
            format!("{text}[dns]\nlisten = [\"{dns}\"]\nallow_transfer = [\"any\"]\n[admin]\nlisten = \"{admin}\"\n");
        std::fs::write(path, text).expect("a configuration");
    }

    async fn reload(&self, text: &str) {
        let before = self.binary.log().len();
        Self::write(&self.path, text, self.dns, self.admin);
        self.binary.signal("HUP");
        eventually("the configuration", async || {
            self.binary.log()[before..].contains("configuration re-read").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_union_has_the_instances_of_both_and_one_that_both_write_once_and_a_reload_makes_it() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let read = "[{ format = \"zc\", root = \"/a\" }, { format = \"nd\", root = \"/b\" }]";
    zc(&mut kazoo, "/a", "api_x", "10.0.0.1:80", r#"{"weight": 30}"#);
    kazoo.create("/b/api_x/10.0.0.1:80", br#"{"weight": 7}"#, false);
    kazoo.create("/b/api_x/10.0.0.2:80", b"{}", false);
    let with = |merge: &str| config(&servers, read, "", &format!("merge = \"{merge}\""));
    let server = Served::start(&with("first")).await;
    shows(server.dns, "A api_x.service", "NOERROR 10.0.0.1").await;
    eventually("the second reader", async || {
        page(server.admin, "/metrics").contains("zonekeeper_clashes{registry=\"main\",reader=\"nd\"} 1\n").then_some(())
    })
    .await;

    server.reload(&with("union")).await;
    let both = "NOERROR 0 10 80 10-0-0-2.addr.service. 0 30 80 10-0-0-1.addr.service.";
    shows(server.dns, "SRV api_x.service", both).await;
    for query in ["SRV _api_x._tcp.service", "SRV api-x.service"] {
        assert_eq!(shown(server.dns, query), both, "{query}");
    }
    assert_eq!(shown(server.dns, "A api_x.service"), "NOERROR 10.0.0.1 10.0.0.2");
    eventually("no clash", async || {
        page(server.admin, "/metrics").contains("zonekeeper_clashes{registry=\"main\",reader=\"nd\"} 0\n").then_some(())
    })
    .await;
    // One of the two that write it goes: it stays, with what the other says.
    kazoo.delete("/a/api_x/providers/10.0.0.1:80");
    shows(server.dns, "SRV api_x.service", "NOERROR 0 10 80 10-0-0-2.addr.service. 0 7 80 10-0-0-1.addr.service.")
        .await;
    kazoo.delete("/b/api_x/10.0.0.1:80");
    shows(server.dns, "SRV api_x.service", "NOERROR 0 10 80 10-0-0-2.addr.service.").await;

    zc(&mut kazoo, "/a", "api_x", "10.0.0.3:80", "{}");
    shows(server.dns, "A api_x.service", "NOERROR 10.0.0.2 10.0.0.3").await;
    server.reload(&with("first")).await;
    shows(server.dns, "A api_x.service", "NOERROR 10.0.0.3").await;
    assert!(!server.binary.log().contains("takes effect at the next start"), "{}", server.binary.log());
    server.reload(&config(&servers, "[{ format = \"zc\", root = \"/a\" }]", "", "")).await;
    assert!(server.binary.log().contains("[registry.main] read is not what it was"), "{}", server.binary.log());
    assert_eq!(shown(server.dns, "A api_x.service"), "NOERROR 10.0.0.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_without_its_root_makes_names_unknown_that_nobody_else_has_and_is_named() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    let read = "[\"zc\", { format = \"nd\", root = \"/nd\" }]";
    let server = serve(&servers, read, "", "");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    for query in ["A orders.service", "A x.y.service", "SRV _orders._tcp.service", "-x 10.0.0.9"] {
        shows(server.dns, query, &format!("SERVFAIL {NOT_READY}")).await;
    }
    assert_eq!(shown(server.dns, "-x 10.0.0.1"), "NOERROR 10-0-0-1.addr.service.");
    assert_eq!(dig(server.dns, "SOA service").status, "NOERROR");
    assert!(transfer(server.dns, "service.").is_empty(), "a secondary would deny the names");
    eventually("it is ready", async || readiness(&server, "").starts_with("200 ready\n").then_some(())).await;
    let named = "names that no other reader has are SERVFAIL: registry main/nd (";
    for query in ["", "?fresh", "?zone=service."] {
        let said = readiness(&server, query);
        assert!(said.contains(named) && said.contains("/nd does not exist"), "{said}");
        assert!(!said.contains("main/zc"), "{said}");
    }
    assert!(readiness(&server, "?fresh").starts_with("503 "), "{}", readiness(&server, "?fresh"));
    let text = page(server.admin, "/v1/status?as=text");
    assert!(text.contains("SERVFAIL for names that only main/nd may have"), "{text}");
    let targets = page(server.admin, "/v1/prometheus");
    assert!(targets.contains("503") && targets.contains("main/nd"), "{targets}");
    assert!(page(server.admin, "/v1/prometheus?registry=main/zc").contains("10.0.0.1:80"));

    // The others follow their znodes meanwhile, and it is there when its root is.
    zc(&mut kazoo, "/services", "pay", "10.0.0.2:80", "{}");
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.2").await;
    kazoo.create("/nd/orders/10.0.0.3:80", b"{}", false);
    shows(server.dns, "A orders.service", "NOERROR 10.0.0.3").await;
    shows(server.dns, "A x.y.service", "NXDOMAIN").await;
    eventually("it is ready", async || (readiness(&server, "?fresh") == "200 ready").then_some(())).await;
    assert!(!transfer(server.dns, "service.").is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_may_not_read_its_root_harms_no_name_beside_its_place() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    kazoo.create("/nd/orders-db/10.0.0.3:5432", b"{}", false);
    kazoo.lock("/nd", "owner:secret");
    let read = "[\"zc\", { format = \"nd\", root = \"/nd\", as = \"pg\" }]";
    let server = serve(&servers, read, "verify = \"1s\"", "");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    for query in ["A orders-db.pg.service", "A pg.service", "A x.y.pg.service"] {
        shows(server.dns, query, &format!("SERVFAIL {NOT_READY}")).await;
    }
    for query in ["A orders.service", "A orders-db.service"] {
        shows(server.dns, query, "NXDOMAIN").await;
    }
    let status = json(server.admin, "/v1/status");
    assert_eq!(status["registries"][0]["trouble"], Value::Null, "{status}");
    let trouble = status["registries"][1]["trouble"].as_str().unwrap_or_default();
    assert!(trouble.starts_with("not allowed to read /") && trouble.contains("/nd"), "{status}");
    assert_eq!(status["zones"][0]["freshness"], "fresh");
    kazoo.unlock("/nd");
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3").await;
    shows(server.dns, "A x.y.pg.service", "NXDOMAIN").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_from_the_cache_files_answers_what_they_have_and_denies_nothing_of_the_one_without() {
    let servers = zk::shared().namespace().await;
    let (address, chroot) = servers.split_once('/').expect("a namespace");
    let proxy = Proxy::start(address.parse().expect("an address"));
    let through = format!("{}/{chroot}", proxy.address());
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    curator(&mut kazoo, "/discovery", "orders", "10.0.0.2", 8080);
    kazoo.create("/nd/orders-db/10.0.0.3:5432", b"{}", false);
    let cache = scratch("cache");
    let more = format!("cache_file = \"{}\"", cache.display());
    let server = serve(&through, BOTH, &more, "");
    for (name, host) in [("api", "10.0.0.1"), ("orders", "10.0.0.2"), ("orders-db.pg", "10.0.0.3")] {
        shows(server.dns, &format!("A {name}.service"), &format!("NOERROR {host}")).await;
    }
    server.stop().await;
    let of = |reader: &str| PathBuf::from(format!("{}.{reader}", cache.display()));
    assert!(of("zc").exists() && of("curator").exists() && of("nd").exists() && of("serials").exists());
    assert!(!cache.exists());
    std::fs::remove_file(of("curator")).expect("the cache file");

    proxy.cut();
    let server = serve(&through, BOTH, &more, "");
    shows(server.dns, "A api.service", &format!("NOERROR 10.0.0.1 {STALE}")).await;
    shows(server.dns, "A orders-db.pg.service", &format!("NOERROR 10.0.0.3 {STALE}")).await;
    let unknown = shown(server.dns, "A orders.service");
    assert!(unknown.starts_with("SERVFAIL"), "{unknown}");
    assert!(readiness(&server, "?fresh").contains("main/curator"), "{}", readiness(&server, "?fresh"));
    proxy.heal();
    shows(server.dns, "A orders.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    shows(server.dns, "A nobody.service", "NXDOMAIN").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reader_past_max_stale_is_not_answered_and_the_others_are() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    kazoo.create("/nd/api/10.0.0.2:80", b"{}", false);
    kazoo.create("/nd/db/10.0.0.3:80", b"{}", false);
    let read = "[{ format = \"nd\", root = \"/nd\" }, \"zc\"]";
    let server = serve(&servers, read, "max_stale = \"3s\"\nverify = \"1s\"", "");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A db.service", "NOERROR 10.0.0.3").await;
    for path in ["/nd/api", "/nd/db", "/nd"] {
        kazoo.lock(path, "owner:secret");
    }
    // What it goes before the other with is nothing any more.
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    eventually("SERVFAIL", async || shown(server.dns, "A db.service").starts_with("SERVFAIL").then_some(())).await;
    for path in ["/nd", "/nd/api", "/nd/db"] {
        kazoo.unlock(path);
    }
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A db.service", "NOERROR 10.0.0.3").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_reader_of_a_zone_at_a_place_of_its_own_is_not_answered_from_past_max_stale() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/nd/db/10.0.0.3:80", b"{}", false);
    let (address, chroot) = servers.split_once('/').expect("a namespace");
    let proxy = Proxy::start(address.parse().expect("an address"));
    let through = format!("{}/{chroot}", proxy.address());
    let read = "[{ format = \"nd\", root = \"/nd\", as = \"pg\" }]";
    let server = serve(&through, read, "max_stale = \"4s\"", "");
    shows(server.dns, "A db.pg.service", "NOERROR 10.0.0.3").await;
    proxy.cut();
    eventually("SERVFAIL", async || shown(server.dns, "A db.pg.service").starts_with("SERVFAIL").then_some(())).await;
    proxy.heal();
    shows(server.dns, "A db.pg.service", "NOERROR 10.0.0.3").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_have_what_several_readers_make() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    curator(&mut kazoo, "/discovery", "api", "10.0.0.2", 80);
    kazoo.create("/nd/orders-db/10.0.0.3:5432", b"{}", false);
    let (dns, told) = (SocketAddr::from(([127, 0, 0, 1], free_port())), Secondary::port());
    let key = format!("[[key]]\nname = \"{}\"\nsecret = \"{}\"\n", KEY.0, KEY.1);
    let zone = format!("merge = \"union\"\nnotify = [\"{told}\"]");
    let server = Running::start_with(&format!(
        "{}{key}[dns]\nlisten = [\"{dns}\"]\nallow_transfer = [\"127.0.0.1\", \"key {}\"]\n",
        config(&servers, BOTH, "", &zone),
        KEY.0
    ));
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3").await;
    let secondary = Secondary::start(Kind::Nsd, told, server.dns);
    kazoo.create("/nd/orders-db/10.0.0.4:5432", b"{}", false);
    kazoo.delete("/services/api/providers/10.0.0.1:80");
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3 10.0.0.4").await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2").await;
    let all = [secondary];
    follows(server.dns, &all).await;
    for query in ["A api.service", "SRV api.service", "A orders-db.pg.service", "SRV _orders-db._tcp.pg.service"] {
        assert_eq!(dig(all[0].address, query).data(), dig(server.dns, query).data(), "{query}");
    }
    assert_eq!(dig(all[0].address, "A nobody.service").status, "NXDOMAIN");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_go_to_the_reader_that_is_meant_by_the_path_or_the_name() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    zc(&mut kazoo, "/services", "api", "10.0.0.2:80", "{}");
    kazoo.create("/nd/api/10.0.0.9:80", b"{}", false);
    kazoo.create("/nd/orders-db/10.0.0.3:5432", b"{}", false);
    kazoo.create("/nd/orders-db/10.0.0.4:5432", b"{}", false);
    curator(&mut kazoo, "/discovery", "pay", "10.0.0.5", 80);
    let text = format!("{}[admin]\nlisten = \"127.0.0.1:1\"\n", config(&servers, BOTH, "", ""));
    let path = scratch("drain.toml");
    std::fs::write(&path, text).expect("a configuration");
    let run = |words: &[&str]| command(&[words, &["--config", &path.to_string_lossy()]].concat());
    let server = serve(&servers, BOTH, "", "");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3 10.0.0.4").await;

    let (is_well, said) = run(&["drain", "orders-db.pg.service", "--instance", "10.0.0.3:5432"]);
    assert!(is_well, "{said}");
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.4").await;
    let (is_well, said) = run(&["drain", "/services/api", "--instance", "10.0.0.1:80"]);
    assert!(is_well, "{said}");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.2").await;
    let (_, said) = run(&["drain", "--list"]);
    assert!(said.contains("/services/api: 10.0.0.1:80") && said.contains("/nd/orders-db: 10.0.0.3:5432"), "{said}");

    let (is_well, said) = run(&["drain", "api"]);
    assert!(!is_well && said.contains("/services/api, /nd/api"), "{said}");
    let (is_well, said) = run(&["drain", "pay"]);
    assert!(!is_well && said.contains("is read as \"curator\", which has no drain flags"), "{said}");
    let (is_well, said) = run(&["drain", "nobody"]);
    assert!(!is_well && said.contains("nothing is drained"), "{said}");
    let (is_well, said) = run(&["drain", "--host", "10.0.0.4"]);
    assert!(is_well, "{said}");
    shows(server.dns, "A orders-db.pg.service", "NOERROR").await;
    for name in ["/nd/orders-db", "/services/api"] {
        let (is_well, said) = run(&["undrain", name]);
        assert!(is_well && said.contains("is not drained any more"), "{said}");
    }
    shows(server.dns, "A orders-db.pg.service", "NOERROR 10.0.0.3 10.0.0.4").await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1 10.0.0.2").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_registered_below_the_root_that_they_name_in_its_convention() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/discovery", b"", false);
    let service = |name: &str, root: &str| {
        format!("[[service]]\nname = \"{name}\"\nport = 80\naddress = \"10.0.0.7\"\nroot = \"{root}\"\n")
    };
    let text = |services: &str| format!("{}{services}", config(&servers, BOTH, "", ""));
    let server = Served::start(&text(&(service("api", "/services") + &service("db", "/nd")))).await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.7").await;
    shows(server.dns, "A db.pg.service", "NOERROR 10.0.0.7").await;
    assert!(kazoo.get("/services/api/providers/10.0.0.7:80").is_some());
    assert!(kazoo.get("/nd/db/10.0.0.7:80").is_some());
    // One that is said to be elsewhere leaves the place where it was.
    server.reload(&text(&(service("api", "/nd") + &service("db", "/nd")))).await;
    shows(server.dns, "A api.pg.service", "NOERROR 10.0.0.7").await;
    shows(server.dns, "A api.service", "NOERROR").await;
    assert!(server.binary.log().contains("registered in the only registry below /nd now"), "{}", server.binary.log());
    let registered = page(server.admin, "/v1/registrations");
    assert!(registered.contains("/nd/db/10.0.0.7:80"), "{registered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn described_systems_stand_beside_registered_services_each_at_its_place() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    zc(&mut kazoo, "/services", "api", "10.0.0.1:80", "{}");
    let broker =
        br#"{"endpoints":["INTERNAL://10.0.0.2:9092","EXTERNAL://10.0.0.2:9094"],"host":"10.0.0.2","port":9092}"#;
    kazoo.create("/brokers/ids/1", broker, false);
    let member = |host: &str, role: &str| {
        format!(r#"{{"conn_url":"postgres://{host}:5432/postgres","state":"running","role":"{role}"}}"#)
    };
    kazoo.create("/service/orders-db/members/pg1", member("10.0.0.3", "primary").as_bytes(), false);
    kazoo.create("/service/orders-db/members/pg2", member("10.0.0.4", "replica").as_bytes(), false);
    kazoo.create("/service/orders-db/leader", b"pg1", false);
    let server = serve(&servers, "[\"auto\", \"kafka\", { format = \"patroni\", as = \"pg\" }]", "", "");
    for (query, expected) in [
        ("A api.service", "NOERROR 10.0.0.1"),
        ("SRV _external._tcp.kafka.service", "NOERROR 0 10 9094 10-0-0-2.addr.service."),
        ("A orders-db.pg.service", "NOERROR 10.0.0.3 10.0.0.4"),
        ("A leader.orders-db.pg.service", "NOERROR 10.0.0.3"),
        ("A orders-db.service", "NXDOMAIN"),
        ("-x 10.0.0.4", "NOERROR 10-0-0-4.addr.service."),
    ] {
        shows(server.dns, query, expected).await;
    }
    kazoo.set("/service/orders-db/leader", b"pg2");
    shows(server.dns, "A leader.orders-db.pg.service", "NOERROR 10.0.0.4").await;
    let explained = page(server.admin, "/v1/explain?name=leader.orders-db.pg.service");
    assert!(explained.contains("registry main/patroni") && explained.contains("/service/orders-db"), "{explained}");
    server.stop().await;
}

/// Very many services are built on threads.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_services_of_a_reader_have_its_place_from_a_seed_too() {
    let seed = scratch("seed.tree");
    let mut tree = "/services\n  /api\n    /providers\n      /10.0.0.1:80\n/nd\n".to_owned();
    for i in 0..1_000 {
        let _ = write!(tree, "  /db{i}\n    /10.1.{}.{}:5432\n", i / 250, i % 250);
    }
    std::fs::write(&seed, &tree).expect("a seed");
    let server = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\nlinger = \"0s\"\nread = [\"zc\", {{ format = \"nd\", root = \"/nd\", as = \"pg\" }}]\n\
         [[zone]]\norigin = \"service.\"\n[[zone]]\norigin = \"pg.\"\nunder = \"pg\"\n[[zone]]\norigin = \"one.\"\n\
         under = \"pg/db7\"\n[[zone]]\norigin = \"elsewhere.\"\nunder = \"staging\"\n{DNS}",
        seed.display()
    ));
    for (query, expected) in [
        ("A db0.pg.service", "NOERROR 10.1.0.0"),
        ("SRV _db999._tcp.pg.service", "NOERROR 0 10 5432 10-1-3-249.addr.service."),
        ("A db0.service", "NXDOMAIN"),
        ("A api.service", "NOERROR 10.0.0.1"),
        // A zone of the place alone, and of a part of it.
        ("A db999.pg", "NOERROR 10.1.3.249"),
        ("A api.pg", "NXDOMAIN"),
        ("A one", "NOERROR 10.1.0.7"),
        ("A db0.elsewhere", "NXDOMAIN"),
    ] {
        shows(server.dns, query, expected).await;
    }
    assert_eq!(readiness(&server, "?fresh"), "200 ready");
    std::fs::write(&seed, tree.replace("/10.1.0.7:5432", "/10.2.0.7:5432")).expect("a seed");
    for name in ["db7.pg.service", "db7.pg", "one"] {
        shows(server.dns, &format!("A {name}"), "NOERROR 10.2.0.7").await;
    }
    server.stop().await;
}
