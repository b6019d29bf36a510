//! Zone transfers, NOTIFY, TSIG and access, as other people's programs see them: dig, NSD, Knot DNS and BIND.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::admin::metrics;
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::secondary::{KEY, Kind, Secondary};
use crate::harness::transfer::{access, follows, serial, signed, transfer};
use crate::harness::{eventually, zk};

/// A server of `service.` from a master file with these lines, `more` below its `[[zone]]`, and `[dns]` with `allow`.
fn over_file(lines: &str, allow: &str, more: &str) -> Running {
    let file = scratch("service.zone");
    std::fs::write(&file, lines).unwrap();
    let (key, dns) = access(allow);
    let zone = format!("[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n", file.display());
    Running::start_with(&format!("{zone}{key}{dns}{more}"))
}

const LINES: &str =
    "$ORIGIN service.\n$TTL 60\n@ NS ns\nns A 192.0.2.1\n*.w TXT \"any\"\nsub NS ns.sub\nns.sub A 192.0.2.2\n";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_transfers_by_default() {
    let server = over_file(LINES, "", "");
    for words in ["AXFR", &signed("AXFR"), "IXFR=1"] {
        let zone = transfer(server.dns, words);
        assert!(zone.records.is_empty() && zone.summary.contains("Transfer failed"), "{words}: {}", zone.summary);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_transfers_the_whole_zone_and_the_difference() {
    let server = over_file(LINES, "\"127.0.0.0/8\"", "");
    let zone = transfer(server.dns, "AXFR");
    // NS, the addresses, the wildcard, the delegation with its glue; the SOA at both ends.
    assert_eq!(zone.records.len(), 7, "{:?}", zone.records);
    assert_eq!(zone.records.iter().filter(|record| record.contains(" SOA ")).count(), 2);
    assert!(zone.records.contains(&"*.w.service. 60 IN TXT \"any\"".into()), "{:?}", zone.records);
    let serial = serial(server.dns).unwrap();
    for (words, records) in [
        (format!("IXFR={serial}"), 1),
        (format!("IXFR={}", serial + 9), 1),
        ("IXFR=1".into(), 7),
        ("IXFR=1 +notcp".into(), 1),
    ] {
        assert_eq!(transfer(server.dns, &words).records.len(), records, "{words}");
    }
    let elsewhere = transfer(server.dns, "AXFR -q nowhere.");
    assert!(elsewhere.records.is_empty() && elsewhere.summary.contains("Transfer failed"), "{}", elsewhere.summary);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc8945_only_the_right_key_opens_and_the_answers_are_signed() {
    let server = over_file(LINES, "\"127.0.0.1 key xfr\"", "");
    let good = transfer(server.dns, &signed("AXFR"));
    assert_eq!(good.records.len(), 7, "{}", good.summary);
    assert!(!good.summary.contains("could not be validated"), "{}", good.summary);
    assert!(transfer(server.dns, "AXFR").summary.contains("Transfer failed"), "unsigned");
    for (key, error) in [
        (format!("hmac-sha256:{}:d3JvbmcgYnV0IGxvbmcgZW5vdWdo", KEY.0), "BADSIG"),
        (format!("hmac-sha256:other:{}", KEY.1), "BADKEY"),
        (format!("hmac-sha512:{}:{}", KEY.0, KEY.1), "BADKEY"),
    ] {
        let zone = transfer(server.dns, &format!("AXFR -y {key}"));
        assert!(zone.records.is_empty(), "{key}: {:?}", zone.records);
        for transport in ["+tcp", "+notcp"] {
            let output = Command::new("dig")
                .args(["@127.0.0.1", "-p", &server.dns.port().to_string(), "SOA", "service.", transport, "-y", &key])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("status: NOTAUTH") && text.contains(error), "{key} {transport}: {text}");
        }
    }
    // An ordinary question that is signed has a signed answer, on both transports.
    for transport in ["+tcp", "+notcp"] {
        let answer = transfer(server.dns, &signed(&format!("NS {transport}")));
        assert!(
            answer.summary.contains("ANSWER: 1,") && answer.summary.contains("TSIG PSEUDOSECTION"),
            "{}",
            answer.summary
        );
        assert!(!answer.summary.contains("verify") && !answer.summary.contains("validated"), "{}", answer.summary);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_of_a_hundred_thousand_names_comes_in_many_messages() {
    let mut lines = LINES.to_owned();
    for i in 0..100_000 {
        let _ = writeln!(lines, "h{i} A 10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255);
    }
    let server = over_file(&lines, "\"key xfr\"", "");
    // A start waits for a file for three seconds, and takes it whenever it is read.
    eventually("the file", async || (dig(server.dns, "A h99999.service").status == "NOERROR").then_some(())).await;
    let begun = Instant::now();
    let zone = transfer(server.dns, &signed("AXFR"));
    assert_eq!(zone.records.len(), 100_007, "{}", zone.summary);
    assert!(!zone.summary.contains("could not be validated"), "{}", zone.summary);
    let size = zone.summary.lines().find(|line| line.contains("XFR size")).expect("a size");
    let messages: u32 = size.split("messages ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap();
    assert!(messages > 50, "{size}");
    println!("signed transfer of 100,000 names, dig included: {:?}; {size}", begun.elapsed());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_may_not_ask_are_refused_on_both_transports() {
    let server = over_file(LINES, "", "allow_query = [\"any\", \"!127.0.0.1\"]\n");
    for words in ["NS service", "NS service +tcp", "A nowhere.service", "A example.com"] {
        let answer = dig(server.dns, words);
        assert_eq!((&*answer.status, answer.answer.len()), ("REFUSED", 0), "{words}");
        assert!(answer.edns.iter().any(|line| line.contains("EDE: 18")), "{answer:?}");
    }
    assert_eq!(dig(server.dns, "NS service -b 127.0.0.2").status, "NOERROR");
    assert_eq!(dig(server.dns, "NS service -b 127.0.0.2 +tcp").status, "NOERROR");
    server.stop().await;
}

/// A restart after which the clock is behind, or a zone that ran ahead of it.
#[tokio::test(flavor = "multi_thread")]
async fn serials_do_not_go_back_at_a_restart() {
    let file = scratch("serials");
    let start = || over_file(LINES, "", &format!("serial_file = \"{}\"\n", file.display()));
    let server = start();
    let first = serial(server.dns).unwrap();
    eventually("the serial file", async || file.exists().then_some(())).await;
    server.stop().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let ahead = first + 100_000;
    std::fs::write(&file, text.replace(&format!("service. {first}"), &format!("service. {ahead}"))).unwrap();
    let server = start();
    let second = serial(server.dns).unwrap();
    assert!(second > ahead, "{second} after {ahead}");
    server.stop().await;
    assert!(
        std::fs::read_to_string(&file).unwrap().contains(&format!("service. {second}\n")),
        "an orderly stop is exact"
    );
}

/// How many transfers of each kind the server has begun.
fn transfers(admin: SocketAddr) -> impl Fn(&str) -> u64 {
    let metrics = metrics(admin);
    move |kind| metrics(&format!("dns_transfers_total{{kind=\"{kind}\"}}"))
}

/// Instances come and go and change at random, with pauses and without.
#[allow(clippy::disallowed_methods)] // it is called where one may block
fn change_at_random(servers: &str, changes: usize) {
    let mut random = fastrand::Rng::with_seed(1996);
    let mut kazoo = Kazoo::connect(servers);
    let mut there: Vec<String> = Vec::new();
    for _ in 0..changes {
        let weight = random.u16(0..100);
        let data = format!("{{\"weight\":{weight}}}");
        match random.u8(0..3) {
            0 if !there.is_empty() => kazoo.delete(&there.swap_remove(random.usize(..there.len()))),
            1 if !there.is_empty() => kazoo.set(&there[random.usize(..there.len())], data.as_bytes()),
            _ => {
                let (service, host, port) = (random.u8(0..20), random.u8(..), random.u16(1024..));
                let path = format!("/services/team{}/s{service}/providers/10.0.0.{host}:{port}", service % 3);
                if !there.contains(&path) {
                    kazoo.create(&path, data.as_bytes(), false);
                    there.push(path);
                }
            }
        }
        if random.bool() {
            std::thread::sleep(Duration::from_millis(random.u64(0..400)));
        }
    }
}

/// NSD, Knot and BIND hold exactly our zone after a hundred random changes, and got there mostly by IXFR.
#[tokio::test(flavor = "multi_thread")]
async fn three_secondaries_hold_exactly_our_zone_after_a_hundred_changes() {
    let servers = zk::shared().namespace().await;
    let addresses = Kind::ALL.map(|_| Secondary::port());
    let notify = addresses.map(|address| format!("\"{address}\"")).join(", ");
    let (key, dns) = access("\"127.0.0.1 key xfr\"");
    let server = Running::start_with(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\nnotify = [{notify}]\n{key}{dns}"
    ));
    let (primary, seed) = (server.dns, servers.clone());
    let secondaries = tokio::task::spawn_blocking(move || {
        let mut kazoo = Kazoo::connect(&seed);
        // Enough that differences are shorter than the zone.
        for i in 0..60 {
            kazoo.create(&format!("/services/fixed{}/providers/10.1.0.{i}:80", i % 30), b"{}", false);
        }
        Kind::ALL
            .iter()
            .zip(addresses)
            .map(|(kind, address)| Secondary::start(*kind, address, primary))
            .collect::<Vec<_>>()
    })
    .await
    .unwrap();
    follows(server.dns, &secondaries).await;
    let before = transfers(server.admin);
    tokio::task::spawn_blocking(move || change_at_random(&servers, 100)).await.unwrap();
    follows(server.dns, &secondaries).await;

    let ours = transfer(server.dns, &signed("AXFR"));
    assert!(ours.records.len() > 100, "{}", ours.summary);
    for secondary in &secondaries {
        let theirs = transfer(secondary.address, "AXFR");
        assert_eq!(theirs.records, ours.records, "{:?}: {}", secondary.kind, secondary.log());
    }
    let after = transfers(server.admin);
    let [ixfr, axfr] = ["ixfr", "axfr"].map(|kind| after(kind) - before(kind));
    // One AXFR is this test's own.
    let axfr = axfr - 1;
    println!("after 100 random changes: {ixfr} IXFR, {axfr} AXFR: {}% incremental", ixfr * 100 / (ixfr + axfr));
    assert!(ixfr >= 10 * axfr, "{ixfr} IXFR, {axfr} AXFR");
    server.stop().await;
}

/// A secondary that demands a key is told of a change with it. Without one NSD and Knot say no, and learn of nothing
/// before their refresh, which is a minute away.
#[tokio::test(flavor = "multi_thread")]
async fn rfc8945_who_demands_a_key_is_told_of_changes_with_it() {
    let file = scratch("service.zone");
    std::fs::write(&file, LINES).unwrap();
    let addresses = Kind::ALL.map(|_| Secondary::port());
    let notify = addresses.map(|address| format!("\"{address}\", \"{address} key xfr\"")).join(", ");
    let primary = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (name, secret) = KEY;
    let server = Binary::serve(&format!(
        "[[zone]]\norigin = \"service.\"\nfile = \"{}\"\nnotify = [{notify}]\nallow_transfer = [\"127.0.0.1 key xfr\"]\n\
         [[key]]\nname = \"{name}\"\nsecret = \"{secret}\"\n[dns]\nlisten = [\"{primary}\"]\n",
        file.display()
    ));
    eventually("the server", async || server.log().contains("DNS, UDP and TCP").then_some(())).await;
    let start =
        move || Kind::ALL.iter().zip(addresses).map(move |(kind, at)| Secondary::start_strict(*kind, at, primary));
    let secondaries: Vec<_> = tokio::task::spawn_blocking(move || start().collect()).await.unwrap();
    follows(primary, &secondaries).await;
    let (serial_before, said_before) = (serial(primary), server.log().len());
    std::fs::write(&file, format!("{LINES}new A 192.0.2.7\n")).unwrap();
    eventually("the change", async || (serial(primary) != serial_before).then_some(())).await;
    follows(primary, &secondaries).await;
    let log = server.log()[said_before..].to_owned();
    for secondary in &secondaries {
        // BIND takes every NOTIFY that comes from a primary.
        let is_refused = log.contains(&format!(
            "a secondary refuses NOTIFY: is it configured for the zone? zone=service. secondary={}",
            secondary.address
        ));
        assert_eq!(is_refused, secondary.kind != Kind::Bind, "{:?}: {log}", secondary.kind);
    }
}

/// What a zone says of its own secondaries goes before what is said for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_says_itself_who_may_transfer_it() {
    let (file, other) = (scratch("service.zone"), scratch("other.zone"));
    for file in [&file, &other] {
        std::fs::write(file, "$TTL 60\n@ NS ns\nns A 192.0.2.1\n").unwrap();
    }
    let (key, dns) = access("\"127.0.0.1\"");
    let zone = |origin: &str, file: &std::path::Path, more: &str| {
        format!("[[zone]]\norigin = \"{origin}\"\nfile = \"{}\"\n{more}", file.display())
    };
    let strict = zone("service.", &file, "allow_transfer = [\"key xfr\"]\n");
    let server = Running::start_with(&format!("{strict}{}{key}{dns}", zone("other.", &other, "")));
    assert!(transfer(server.dns, "AXFR").summary.contains("Transfer failed"));
    assert_eq!(transfer(server.dns, &signed("AXFR")).records.len(), 4);
    assert_eq!(transfer(server.dns, "AXFR -q other.").records.len(), 4);
    server.stop().await;
}
