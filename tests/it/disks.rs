//! Disks that do not answer, are full, or cannot be written, and FIFOs where files are expected: DNS and checks go on,
//! it is told once with the path, and all is well again when the disk is.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::agent::{blocking, node, registry, service, until};
use crate::harness::admin;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::house::House;
use crate::harness::kazoo::Kazoo;

const ZONE: &str = "$TTL 1h\n@ SOA ns host 1 1h 15m 1w 5s\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.1\n";
const API: &str = "/services/api/providers/10.0.0.1:80";

/// What DNS says: data, or the status.
fn answers(server: SocketAddr, query: &str) -> Vec<String> {
    if TcpStream::connect(server).is_err() {
        return vec!["not listening".into()];
    }
    let response = dig(server, query);
    if response.status == "NOERROR" { response.data() } else { vec![response.status] }
}

fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// A configuration that keeps all its state on this disk.
fn config(servers: &str, disk: &Path, (dns, admin): (SocketAddr, SocketAddr)) -> String {
    let disk = disk.display();
    registry(servers)
        + &format!(
            "linger = \"0s\"\ncache_file = \"{disk}/cache\"\n\
             [dns]\nlisten = [\"{dns}\"]\nserial_file = \"{disk}/serials\"\n[admin]\nlisten = \"{admin}\"\n\
             [announce]\nstate = \"{disk}/identity\"\n"
        )
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("`mkfifo`").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_holds_up_neither_the_start_nor_checks_nor_the_end() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create(API, b"{}", false);
        let serials = "# zonekeeper serials: no zone was ever given out with a later one\nservice. 2900000000\n";
        let house = House::silent(&[
            ("service.zone", ZONE),
            ("example.zone", ZONE),
            ("serials", serials),
            ("identity", "0123456789abcdef\n"),
            ("beat", ""),
        ]);
        let (dns, admin, disk) = (local(), local(), house.disk().display().to_string());
        let (fine, flag, path) = (scratch("fine.zone"), scratch("flag"), scratch("zonekeeper.toml"));
        std::fs::write(&fine, ZONE).expect("a zone");
        let zone = |origin: &str, more: &str| format!("[[zone]]\norigin = \"{origin}.\"\n{more}\n");
        let exec = "interval = \"200ms\", rise = 1, fall = 2";
        let text = config(&servers, house.disk(), (dns, admin))
            + &zone("example", &format!("registry = \"\"\nfile = \"{disk}/example.zone\""))
            + &zone("service", &format!("file = \"{disk}/service.zone\""))
            + &zone("fine", &format!("registry = \"\"\nfile = \"{}\"", fine.display()))
            + &service(
                "beat",
                81,
                &format!("check.ttl = {{ file = \"{disk}/beat\", ttl = \"60s\", initial = \"healthy\" }}"),
            )
            + &service(
                "job",
                82,
                &format!("check.exec = {{ command = [\"test\", \"-e\", \"{}\"], {exec} }}", flag.display()),
            );
        std::fs::write(&path, &text).expect("a configuration");
        let arguments = ["serve", "--config", &path.to_string_lossy()];
        // The first time it ends while the disk is silent.
        for is_last in [false, true] {
            std::fs::write(&flag, "").expect("a file");
            let mut ours = house.run(&[], &arguments);
            let ((), took) = until("the start", || ours.log().contains("DNS, UDP and TCP").then_some(()));
            assert!(took < Duration::from_secs(10), "{took:?}");
            until("an answer", || (answers(dns, "A api.service") == ["10.0.0.1"]).then_some(()));
            for job in [node("job", 82), node("beat", 81)] {
                until(&job, || kazoo.get(&job));
            }
            assert_eq!(answers(dns, "A www.fine"), ["192.0.2.1"]);
            for unread in ["A www.example", "A www.service"] {
                assert_eq!(answers(dns, unread), ["SERVFAIL"], "what is not read is not denied");
            }
            let told = ["the serial file is not read", "the identity file is left out", "the cache file is left out"];
            for what in told.into_iter().chain(["left out until its disk answers"]) {
                let lines: Vec<_> = ours.log().lines().filter(|line| line.contains(what)).map(str::to_owned).collect();
                let files = if what.contains("until its disk") { 2 } else { 1 };
                assert!(lines.len() == files && lines.iter().all(|line| line.contains(&disk)), "{what}: {lines:?}");
            }
            // Longer than its interval and its time limit: it has no result, and stays.
            std::thread::sleep(Duration::from_secs(6));
            assert!(kazoo.get(&node("beat", 81)).is_some());
            let page = admin::page(admin, "/metrics");
            let missed = page.lines().any(|line| line.contains("check_no_results_total{") && line.contains("disk"));
            assert!(missed, "{page}");
            std::fs::remove_file(&flag).expect("a file");
            let ((), took) = until("the withdrawal", || kazoo.get(&node("job", 82)).is_none().then_some(()));
            assert!(took < Duration::from_secs(4), "{took:?}");
            // A reload takes the rest.
            let edited = text.clone() + &service("new", 83, "");
            std::fs::write(&path, if is_last { &text } else { &edited }).expect("a configuration");
            ours.signal("HUP");
            let mut is_there = || kazoo.get(&node("new", 83)).is_some();
            until("the edit", || (is_there() != is_last).then_some(()));
            if is_last {
                house.answer();
                for unread in ["A www.example", "A www.service"] {
                    until(unread, || (answers(dns, unread) == ["192.0.2.1"]).then_some(()));
                }
                until("the serials", || ours.log().contains("the serial file is read now").then_some(()));
                let written = || std::fs::read_to_string(house.seen("serials")).unwrap_or_default();
                until("they are kept", || written().contains("example. ").then_some(()));
                assert!(written().contains("service. 2900000000"), "none is taken back: {}", written());
            }
            let (status, took) = ours.stop();
            assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
            assert!(!ours.log().contains("panicked"));
        }
        let written = std::fs::read_to_string(house.seen("serials")).expect("the serials");
        assert!(written.contains("service. 2900000000"), "none is taken back at the end: {written}");
    })
    .await;
}

#[test]
fn a_zone_file_that_merely_takes_long_is_not_blamed_on_its_disk() {
    // It uses up the time that the start has for files.
    let house = House::silent(&[("silent.zone", ZONE)]);
    let (dns, admin) = (local(), local());
    let (large, path) = (scratch("large.zone"), scratch("zonekeeper.toml"));
    let hosts = (0..120_000).map(|number| format!("h{number} A 10.{}.{}.1\n", number / 256 % 256, number % 256));
    std::fs::write(&large, ZONE.to_owned() + &hosts.collect::<String>()).expect("a zone");
    let silent = house.disk().join("silent.zone");
    let zone = |origin: &str, file: &Path| {
        format!("[[zone]]\norigin = \"{origin}.\"\nregistry = \"\"\nfile = \"{}\"\n", file.display())
    };
    let text = zone("silent", &silent)
        + &zone("large", &large)
        + &format!("[dns]\nlisten = [\"{dns}\"]\n[admin]\nlisten = \"{admin}\"\n");
    std::fs::write(&path, text).expect("a configuration");
    let mut ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
    until("the start", || ours.log().contains("DNS, UDP and TCP").then_some(()));
    let log = ours.log();
    let of = |file: &Path| {
        let lines = log.lines().filter(|line| line.contains(&*file.to_string_lossy()) && line.contains("WARN"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(of(&silent).len() == 1 && of(&silent)[0].contains("left out until its disk answers"), "{log}");
    assert!(of(&large).len() == 1 && of(&large)[0].contains("the zone file is still being read"), "{log}");
    assert_eq!(answers(dns, "A h7.large"), ["SERVFAIL"], "what is not read is not denied");
    until("the large zone", || (answers(dns, "A h7.large") == ["10.0.7.1"]).then_some(()));
    assert!(ours.log().contains("the zone file is read now"), "{}", ours.log());
    house.answer();
    until("the other", || (answers(dns, "A www.silent") == ["192.0.2.1"]).then_some(()));
    let (status, took) = ours.stop();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_on_a_disk_that_does_not_answer_hold_up_neither_the_start_nor_a_session_that_is_there() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create(API, b"{}", false);
        let house = House::silent(&[("auth", "digest:reader:secret\n")]);
        let (dns, admin, path) = (local(), local(), scratch("zonekeeper.toml"));
        let text = registry(&servers)
            + &format!(
                "verify = \"1s\"\nauth_file = \"{}/auth\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n[admin]\nlisten = \"{admin}\"\n",
                house.disk().display()
            );
        std::fs::write(&path, text + &service("web", 80, "")).expect("a configuration");
        let mut ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
        let ((), took) = until("the start", || ours.log().contains("DNS, UDP and TCP").then_some(()));
        assert!(took < Duration::from_secs(12), "{took:?}");
        until("the trouble", || admin::page(admin, "/v1/status").contains("disk does not answer").then_some(()));
        house.answer();
        until("an answer", || (answers(dns, "A api.service") == ["10.0.0.1"]).then_some(()));
        until("the registration", || kazoo.get(&node("web", 80)));
        // What cannot be read is told with who is not allowed to, which asks no disk.
        let silence = house.silence(house.disk());
        kazoo.lock("/services/api", "other:user");
        until("it is told", || admin::page(admin, "/v1/status").contains("digest user reader").then_some(()));
        assert!(kazoo.get(&node("web", 80)).is_some());
        drop(silence);
        let (status, took) = ours.stop();
        assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_on_a_disk_that_does_not_answer_leave_out_their_snippet_and_nothing_else() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create(API, b"{}", false);
        let house = House::silent(&[("version", "1.2.3\n"), ("build", "7\n")]);
        let (dns, path) = (local(), scratch("zonekeeper.toml"));
        let disk = house.disk().display();
        let text = format!("include = [\"{}\"]\n", path.with_file_name("late.toml").display()) + &registry(&servers);
        let text = text + &format!("[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n");
        std::fs::write(&path, text + &service("web", 80, "")).expect("a configuration");
        let properties = format!(
            "properties = {{ version = {{ file = \"{disk}/version\" }}, build = {{ file = \"{disk}/build\" }} }}"
        );
        std::fs::write(path.with_file_name("late.toml"), service("late", 81, &properties)).expect("a snippet");
        let mut ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
        let ((), took) = until("the start", || ours.log().contains("DNS, UDP and TCP").then_some(()));
        assert!(took < Duration::from_secs(12), "{took:?}");
        until("the other service", || kazoo.get(&node("web", 80)));
        let said = format!("{disk}/version cannot be read: its disk does not answer");
        assert!(ours.log().contains(&said), "{}", ours.log());
        assert!(kazoo.get(&node("late", 81)).is_none());
        house.answer();
        let ((data, _), _) = until("the service that was left out", || kazoo.get(&node("late", 81)));
        assert!(String::from_utf8_lossy(&data).contains("1.2.3"));
        assert!(kazoo.get(&node("web", 80)).is_some());
        let (status, took) = ours.stop();
        assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    })
    .await;
}

#[test]
fn check_waits_for_no_disk_that_does_not_answer() {
    let house = House::silent(&[("service.zone", ZONE), ("identity", "x\n"), ("serials", "x\n")]);
    let (disk, path) = (house.disk().display(), scratch("zonekeeper.toml"));
    let text = format!(
        "[registry.main]\nzookeeper = \"127.0.0.1:1\"\ncache_file = \"{disk}/cache\"\n\
         [[zone]]\norigin = \"service.\"\nfile = \"{disk}/service.zone\"\n\
         [dns]\nlisten = [\"127.0.0.1:5300\"]\nserial_file = \"{disk}/serials\"\n[announce]\nstate = \"{disk}/identity\"\n"
    );
    std::fs::write(&path, text).expect("a configuration");
    let mut ours = house.run(&[], &["check", "--config", &path.to_string_lossy()]);
    let (status, took) = until("its end", || ours.ended());
    assert!(took < Duration::from_secs(25), "{took:?}");
    let log = ours.log();
    assert_eq!(status.code(), Some(64), "{log}");
    for file in ["service.zone", "cache", "serials", "identity"] {
        let line =
            log.lines().find(|line| line.contains(&format!("{disk}/{file}")) && line.contains("does not answer"));
        assert!(line.is_some(), "{file}: {log}");
    }
}

/// State on a disk that cannot be written, from before the start on.
async fn unwritable(make: fn(&House), mend: fn(&House), error: &'static str, help: &'static str) {
    blocking(move |servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create(API, b"{}", false);
        let house = House::with_disk(64);
        let (dns, admin, disk) = (local(), local(), house.disk().display().to_string());
        let path = scratch("zonekeeper.toml");
        let text = config(&servers, house.disk(), (dns, admin)) + "[[zone]]\norigin = \"service.\"\n";
        std::fs::write(&path, text + &service("web", 80, "")).expect("a configuration");
        make(&house);
        let mut ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
        let began = Instant::now();
        until("an answer", || (answers(dns, "A api.service") == ["10.0.0.1"]).then_some(()));
        until("the registration", || kazoo.get(&node("web", 80)));
        // Each is told in one line with its path, what is wrong, and what to do about it.
        let told = ["cannot write the serial file", "cannot save the cache file", "the identity file is left out"];
        for what in told {
            until(what, || ours.log().contains(what).then_some(()));
        }
        std::thread::sleep(Duration::from_secs(3));
        for what in told {
            let log = ours.log();
            let lines: Vec<_> = log.lines().filter(|line| line.contains(what)).collect();
            let is_good = |line: &&str| [&*disk, error, help].iter().all(|part| line.contains(part));
            assert!(lines.len() == 1 && lines.iter().all(is_good), "{lines:?} in {log}");
        }
        kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", false);
        until("a change", || (answers(dns, "A api.service").len() == 2).then_some(()));
        assert!(admin::page(admin, "/metrics").contains("zonekeeper_zone_warnings"));

        mend(&house);
        until("the serials", || ours.log().contains("the serial file is written again").then_some(()));
        until("the cache file", || ours.log().contains("cache file saved").then_some(()));
        for file in ["serials", "cache"] {
            assert!(house.seen(file).is_file(), "{file}");
        }
        assert!(!house.seen("serials.new").exists() && !house.seen("cache.new").exists(), "no beginnings are left");
        println!("well again after {:?}", began.elapsed());
        make(&house);
        let (status, took) = ours.stop();
        assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_once_and_costs_nothing_but_what_is_kept_on_it() {
    unwritable(House::fill, House::empty, "No space left on device", "make room on its disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_told_once_and_costs_nothing_but_what_is_kept_on_it() {
    let (make, mend) = (|house: &House| house.remount("ro"), |house: &House| house.remount("rw"));
    unwritable(make, mend, "Read-only file system", "mount its disk so that it can be written").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_in_the_place_of_the_cache_file_or_its_next_version_is_not_waited_for() {
    blocking(|servers| {
        Kazoo::connect(&servers).create(API, b"{}", false);
        let (dns, admin, path) = (local(), local(), scratch("zonekeeper.toml"));
        let directory = path.parent().expect("a directory");
        for name in ["cache", "cache.new", "serials.new", "service.zone"] {
            fifo(&directory.join(name));
        }
        std::fs::create_dir_all(directory.join("identity")).expect("a directory");
        let zone = "[[zone]]\norigin = \"service.\"\nfile = \"service.zone\"\n";
        std::fs::write(&path, config(&servers, directory, (dns, admin)) + zone).expect("a configuration");
        let mut ours = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
        until("an answer", || (answers(dns, "A api.service") == ["10.0.0.1"]).then_some(()));
        until("the cache file", || directory.join("cache").is_file().then_some(()));
        let refused = std::fs::metadata(directory.join("cache.refused")).expect("what was there");
        assert!(refused.file_type().is_fifo(), "it is moved aside");
        until("the serials", || directory.join("serials").is_file().then_some(()));
        let log = ours.log();
        for told in ["the cache file is not taken", "the identity file is left out", "service.zone: is not a regular"] {
            assert!(log.contains(told), "{told} is not in {log}");
        }
        ours.signal("TERM");
        assert!(ours.wait().success());
    })
    .await;
}

#[test]
fn secrets_and_values_that_are_fifos_are_problems_and_not_waited_for() {
    let (path, seed) = (scratch("zonekeeper.toml"), scratch("seed.tree"));
    let odd = path.with_file_name("fifo");
    fifo(&odd);
    std::fs::write(&seed, "/services\n").expect("a seed");
    let odd = odd.display();
    let text = format!(
        "[registry.main]\nmemory = {seed:?}\n[dns]\nlisten = [\"127.0.0.1:0\"]\ncookie_secret_file = \"{odd}\"\n\
         [[key]]\nname = \"key.\"\nsecret_file = \"{odd}\"\n\
         [[service]]\nname = \"web\"\nport = 80\naddress = \"192.0.2.10\"\nproperties = {{ version = {{ file = \"{odd}\" }} }}\n\
         check.http = {{ url = \"https://127.0.0.1/\", ca = \"{odd}\" }}\n"
    );
    std::fs::write(&path, text).expect("a configuration");
    let mut check = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    check.args(["check", "--config"]).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut check = check.spawn().expect("the binary");
    until("its end", || check.try_wait().expect("its state"));
    let output = check.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("it is not a regular file").count(), 4, "{said}");
}
