//! What secondaries get of a zone, and what they answer with it: NSD, Knot DNS and BIND with their own limits.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::admin::page;
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::asker::{Asker, Over};
use crate::harness::consumer::{Consumer, deployed, written};
use crate::harness::dig::{Response, dig};
use crate::harness::kazoo::Kazoo;
use crate::harness::secondary::{KEY, Kind, Secondary};
use crate::harness::transfer::{follows, serial, transfer};
use crate::harness::{eventually, zk};

/// A running server of `service.` over a seed file, and its secondaries.
struct Server {
    binary: Binary,
    dns: SocketAddr,
    seed: PathBuf,
    config: PathBuf,
    /// Where the secondaries are, which are told of changes.
    told: Vec<SocketAddr>,
}

impl Server {
    /// Starts one over `tree`, `zone` being more lines of its `[[zone]]`, with secondaries of these kinds.
    async fn start(tree: &str, zone: &str, kinds: &[Kind]) -> (Self, Vec<Secondary>) {
        let seed = scratch("seed.tree");
        std::fs::write(&seed, tree).unwrap();
        let told: Vec<SocketAddr> = kinds.iter().map(|_| Secondary::port()).collect();
        let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = seed.with_file_name("zonekeeper.toml");
        std::fs::write(&config, text(dns, &seed, zone, &told)).unwrap();
        let binary = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
        // BIND that was refused the zone once takes its time before it asks again.
        let is_up = || ["DNS, UDP and TCP", "the registry is in DNS"].iter().all(|line| binary.log().contains(line));
        eventually("the server", async || is_up().then_some(())).await;
        let secondaries = kinds.iter().zip(&told).map(|(kind, at)| Secondary::start(*kind, *at, dns)).collect();
        (Self { binary, dns, seed, config, told }, secondaries)
    }

    /// Has the configuration read again with these lines in `[[zone]]`.
    async fn reload(&self, zone: &str) {
        let before = self.binary.log().len();
        std::fs::write(&self.config, text(self.dns, &self.seed, zone, &self.told)).unwrap();
        self.binary.signal("HUP");
        let is_read = || self.binary.log()[before..].contains("configuration re-read");
        eventually("the configuration", async || is_read().then_some(())).await;
    }

    /// Replaces the seed and waits until the zone has changed.
    async fn change(&self, tree: &str) {
        let before = serial(self.dns);
        std::fs::write(&self.seed, tree).unwrap();
        eventually("the change", async || (serial(self.dns) != before).then_some(())).await;
    }

    fn ask(&self, words: &str) -> Response {
        dig(self.dns, words)
    }

    /// The records of a transfer that begin with `owner`.
    fn transferred(&self, owner: &str) -> usize {
        let zone = transfer(self.dns, "AXFR");
        assert!(zone.summary.contains("XFR size"), "{}", zone.summary);
        zone.records.iter().filter(|record| record.starts_with(owner)).count()
    }
}

fn text(dns: SocketAddr, seed: &Path, zone: &str, told: &[SocketAddr]) -> String {
    let (name, secret) = KEY;
    let told: Vec<String> = told.iter().map(|at| format!("\"{at}\"")).collect();
    let (seed, told) = (seed.display(), told.join(", "));
    format!(
        "[registry.main]\nmemory = \"{seed}\"\nlinger = \"0s\"\n[[zone]]\norigin = \"service.\"\nnotify = [{told}]\n{zone}\n\
         [[key]]\nname = \"{name}\"\nsecret = \"{secret}\"\n[dns]\nlisten = [\"{dns}\"]\nallow_transfer = [\"127.0.0.1\", \"key {name}\"]\n"
    )
}

/// Services `s0` and so on with an instance each.
fn services(count: usize) -> String {
    (0..count).fold("/services\n".to_owned(), |mut tree, i| {
        let _ = writeln!(tree, "  /s{i}\n    /providers\n      /10.0.{}.{}:80", i / 250, i % 250);
        tree
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_hundred_services_go_into_bind_as_it_is_shipped() {
    let (server, bind) = Server::start(&services(101), "", &[Kind::Bind]).await;
    follows(server.dns, &bind).await;
    server.change(&services(130)).await;
    follows(server.dns, &bind).await;
    for owner in ["s100.service", "_s129._tcp.service", "s129.service"] {
        let (ours, theirs) = (server.ask(&format!("SRV {owner}")), dig(bind[0].address, &format!("SRV {owner}")));
        assert_eq!((ours.data(), ours.data().len()), (theirs.data(), 1), "{owner}");
    }
    // Who asks us sees all of them.
    assert_eq!(server.ask("PTR _services._dns-sd._udp.service +tcp").answer.len(), 130);
    assert_eq!(server.ask("PTR _s7._tcp.service").data(), ["10\\.0\\.0\\.7:80._s7._tcp.service."]);
    assert_eq!(server.ask("TXT 10\\.0\\.0\\.7:80._s7._tcp.service").answer.len(), 1);
    for left_out in ["_services._dns-sd", "10\\.0\\.0\\.7:80._s7"] {
        assert_eq!(server.transferred(left_out), 0, "{left_out}");
    }
    assert_eq!(server.transferred("_s7._tcp"), 1, "the SRV record alone");
    assert!(!bind[0].log().contains("too many records"), "{}", bind[0].log());
    // It is the list of services that it does not take.
    let zone = "transfer_browse = true";
    server.reload(zone).await;
    let refuses = || bind[0].log().contains("too many records");
    eventually("BIND's limit", async || refuses().then_some(())).await;
    assert_eq!(server.transferred("_services._dns-sd"), 130);
}

/// Secondaries that hold the zone as it was must not be given a difference to it as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_is_transferred_is_transferred_as_a_whole() {
    let (server, secondaries) = Server::start(&services(3), "", &Kind::ALL).await;
    follows(server.dns, &secondaries).await;
    for (zone, count) in [("transfer_browse = true", 3), ("", 0)] {
        let before = serial(server.dns).unwrap();
        server.reload(zone).await;
        let now = serial(server.dns).unwrap();
        assert!(now > before, "{now} after {before}");
        let records = |words: &str| transfer(server.dns, words).records;
        assert_eq!(records(&format!("IXFR={before}")), records("AXFR"));
        follows(server.dns, &secondaries).await;
        for secondary in &secondaries {
            let list = dig(secondary.address, "PTR _services._dns-sd._udp.service");
            assert_eq!(list.answer.len(), count, "{:?}: {}", secondary.kind, secondary.log());
        }
    }
    // The same configuration again is no change.
    let before = serial(server.dns);
    server.reload("").await;
    assert_eq!(serial(server.dns), before);
}

/// A resolver remembers "no such name", and pools are emptied by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_instances_is_nodata_at_secondaries_and_not_nxdomain() {
    let empty = "/services\n  /api_x\n    /providers\n  /team\n    /job\n      /providers\n        /10.0.0.2:80\n";
    let full = empty.replace("    /providers\n  /team", "    /providers\n      /10.0.0.1:80\n  /team");
    let (server, secondaries) = Server::start(empty, "expect = [\"pay/card\"]", &Kind::ALL).await;
    follows(server.dns, &secondaries).await;
    // What is said of a name, here and at each secondary.
    let all_say = |words: &str, status: &str, records: usize| {
        for (address, whose) in
            [(server.dns, "ours")].into_iter().chain(secondaries.iter().map(|one| (one.address, one.kind.name())))
        {
            let answer = dig(address, words);
            assert_eq!((&*answer.status, answer.answer.len()), (status, records), "{words} at {whose}: {answer:?}");
        }
    };
    for name in ["api_x.service", "api-x.service", "card.pay.service", "pay.service", "team.service", "API_X.service"] {
        for rtype in ["A", "AAAA", "SRV", "TXT"] {
            all_say(&format!("{rtype} {name}"), "NOERROR", 0);
        }
    }
    all_say("A nobody.service", "NXDOMAIN", 0);
    // Whoever compares finds the same everywhere.
    all_say("TXT _nodata.api_x.service", "NOERROR", 1);
    all_say("TXT _nodata.team.service", "NOERROR", 1);
    all_say("TXT _nodata._tcp.team.service", "NXDOMAIN", 0);
    server.change(&full).await;
    follows(server.dns, &secondaries).await;
    all_say("A api_x.service", "NOERROR", 1);
    all_say("TXT _nodata.api_x.service", "NXDOMAIN", 0);
    server.change(empty).await;
    follows(server.dns, &secondaries).await;
    all_say("A api_x.service", "NOERROR", 0);
    server.change(&empty.replace("  /api_x\n    /providers\n", "")).await;
    follows(server.dns, &secondaries).await;
    all_say("A api_x.service", "NXDOMAIN", 0);
    all_say("A card.pay.service", "NOERROR", 0);
}

/// The response code of a transfer over TCP; `serial` makes it an incremental one.
fn code_of_transfer(server: SocketAddr, serial: Option<u32>) -> u8 {
    let mut request = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07service\0\0\xfc\0\x01".to_vec();
    if let Some(serial) = serial {
        (request[9], request[22]) = (1, 251);
        request.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
        request.extend_from_slice(&[&serial.to_be_bytes()[..], &[0; 16]].concat());
    }
    let response = Asker::new(server).ask(&request, Over::Tcp, Duration::from_secs(5)).expect("a response");
    response[3] & 0x0f
}

/// Takes what is sent to an address that nobody answers at.
fn heard(socket: &std::net::UdpSocket) -> usize {
    let mut buffer = [0; 512];
    std::iter::from_fn(|| socket.recv_from(&mut buffer).ok()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_unknown_is_not_transferred_and_nobody_is_notified_of_it() {
    let servers = zk::shared().namespace().await;
    let told = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    told.set_nonblocking(true).unwrap();
    let server = Running::start_with(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\n\
         notify = [\"{}\"]\n[dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [\"127.0.0.1\"]\n",
        told.local_addr().unwrap()
    ));
    let has_trouble = || page(server.admin, "/v1/status").contains("does not exist");
    eventually("the missing root", async || has_trouble().then_some(())).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((code_of_transfer(server.dns, None), code_of_transfer(server.dns, Some(7))), (2, 2), "SERVFAIL");
    assert_eq!(heard(&told), 0, "a NOTIFY of a zone that nobody can have");
    let kazoo = tokio::task::spawn_blocking(move || {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
        kazoo
    });
    let _kazoo = kazoo.await.unwrap();
    eventually("the zone", async || (dig(server.dns, "A api.service").status == "NOERROR").then_some(())).await;
    eventually("a NOTIFY", async || (heard(&told) > 0).then_some(())).await;
    assert_eq!(code_of_transfer(server.dns, None), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_read_is_absent_at_secondaries() {
    let servers = zk::shared().namespace().await;
    let address = servers.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let mut kazoo = Kazoo::connect(&address);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
        kazoo.create("/services/pay/card/providers/10.0.0.2:80", b"{}", false);
        kazoo.lock("/services/pay", "owner:secret");
    });
    locked.await.unwrap();
    let server = Running::start_with(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [\"127.0.0.1\"]\n"
    ));
    eventually("the zone", async || (dig(server.dns, "A api.service").status == "NOERROR").then_some(())).await;
    for name in ["pay.service", "card.pay.service", "_pay._tcp.service"] {
        assert_eq!(dig(server.dns, &format!("A {name}")).status, "SERVFAIL", "{name}");
    }
    let zone = transfer(server.dns, "AXFR");
    assert!(zone.records.iter().any(|record| record.starts_with("api.service.")), "{:?}", zone.records);
    assert!(!zone.records.iter().any(|record| record.contains("pay")), "{:?}", zone.records);
    server.stop().await;
}

/// A service `crowd` with so many instances, and another one.
fn crowd(count: usize) -> String {
    let mut tree = "/services\n  /other\n    /providers\n      /10.9.9.9:80\n  /crowd\n    /providers\n".to_owned();
    for i in 0..count {
        let _ = writeln!(tree, "      /10.0.{}.{}:80", i / 250, i % 250);
    }
    tree
}

/// BIND stays at its old serial and says nothing to anybody but its own log.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_outgrows_bind_is_told_where_it_is_served() {
    let (server, bind) = Server::start(&crowd(100), "", &[Kind::Bind]).await;
    follows(server.dns, &bind).await;
    let (large, over) = ("the zone is too large for others", "the zone is no longer too large");
    assert!(!server.binary.log().contains(large), "{}", server.binary.log());
    server.change(&crowd(101)).await;
    eventually("BIND's limit", async || bind[0].log().contains("too many records").then_some(())).await;
    eventually("a warning", async || server.binary.log().contains(large).then_some(())).await;
    let log = server.binary.log();
    let line = log.lines().find(|line| line.contains(large)).unwrap();
    assert!(line.contains("WARN") && line.contains("max-records-per-type"), "{line}");
    assert!(line.contains("crowd.service. (101, A)") && line.contains("_crowd._tcp.service. (101, SRV)"), "{line}");
    assert!(!line.contains("PTR"), "{line}");
    server.change(&crowd(102)).await;
    server.change(&crowd(100)).await;
    eventually("its end", async || server.binary.log().contains(over).then_some(())).await;
    assert_eq!(server.binary.log().matches(large).count(), 1, "{}", server.binary.log());
    follows(server.dns, &bind).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bind_is_a_secondary_by_the_configuration_for_it_however_many_instances_there_are() {
    let (server, _) = Server::start(&crowd(150), "", &[]).await;
    let address = Secondary::port();
    let directory = scratch("pid").parent().expect("a directory").display().to_string();
    let options = format!(
        "options {{\n  directory \"{directory}\"; pid-file \"{directory}/pid\"; session-keyfile \"{directory}/key\";\n  \
         listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n",
        address.port()
    );
    let all = deployed("named.conf", &[("5300", server.dns.port().to_string()), ("options {\n", options)]);
    // The options, and the zone that is there to be taken in place of the other.
    let (options, zones) = all.split_once("# `forward only`").expect("a zone that is forwarded");
    let secondary: Vec<&str> = zones
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') || line.starts_with("    "))
        .collect();
    let config = written("named.conf", &format!("{options}{}\ncontrols {{ }};\n", secondary.join("\n")));
    let bind = Consumer::start("/usr/sbin/named", "bind9", &["-g", "-n", "1", "-c", &config.to_string_lossy()]);
    let ours = server.ask("SRV crowd.service +tcp").data();
    assert_eq!(ours.len(), 150);
    let has_all = || {
        let output = std::process::Command::new("dig")
            .args(["@127.0.0.1", "-p", &address.port().to_string(), "+short", "+tries=1", "+time=1", "+tcp"])
            .args(["SRV", "crowd.service"])
            .output();
        output.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(" 80 ")).count() == 150
        })
    };
    for _ in 0..1_000 {
        if has_all() {
            assert_eq!(dig(address, "SRV crowd.service +tcp").data(), ours);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}", bind.log());
}

/// NSD and Knot have such an RRset, and cannot answer with it; nor can we with more than a part.
#[tokio::test(flavor = "multi_thread")]
async fn an_rrset_that_no_message_has_room_for_is_transferred_whole_and_told() {
    let (server, nsd) = Server::start(&crowd(5000), "", &[Kind::Nsd]).await;
    follows(server.dns, &nsd).await;
    eventually("a warning", async || server.binary.log().contains("no message has room").then_some(())).await;
    assert_eq!(server.transferred("crowd.service. 5 IN SRV"), 5000);
    let theirs = transfer(nsd[0].address, "AXFR");
    assert_eq!(theirs.records, transfer(server.dns, "AXFR").records, "{}", nsd[0].log());
}
