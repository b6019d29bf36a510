//! Serials across restarts, crashes and edits: what secondaries have is never later than what is served.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::admin::page;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::transfer::serial;
use crate::harness::{eventually, zk};

/// What a server is made of, in a directory of its own.
struct Site {
    config: PathBuf,
    dns: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    /// A zone `service.` of one service; `registry`, `zone` and `dns` are more lines of these tables. What fills the
    /// registry is a file, unless `registry` says another.
    fn new(registry: &str, zone: &str, dns: &str) -> Self {
        let seed = scratch("seed.tree");
        std::fs::write(&seed, "/services\n  /api\n    /providers\n      /10.0.0.1:80\n").unwrap();
        let site = Self {
            config: seed.with_file_name("zonekeeper.toml"),
            dns: ([127, 0, 0, 1], free_port()).into(),
            admin: ([127, 0, 0, 1], free_port()).into(),
        };
        site.write(registry, zone, dns);
        site
    }

    fn write(&self, registry: &str, zone: &str, dns: &str) {
        let seed = if registry.contains("zookeeper") { "" } else { "memory = \"seed.tree\"" };
        let text = format!(
            "[registry.main]\n{seed}\n{registry}\n[[zone]]\norigin = \"service.\"\n{zone}\n[dns]\nlisten = [\"{}\"]\n\
             {dns}\n[admin]\nlisten = \"{}\"\n",
            self.dns, self.admin
        );
        std::fs::write(&self.config, text).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.config.with_file_name(name)
    }

    /// Starts it and waits for its serial.
    async fn start(&self) -> (Binary, u32) {
        let binary = Binary::run(&["serve", "--config", &self.config.to_string_lossy()]);
        eventually("the server", async || binary.log().contains("DNS, UDP and TCP").then_some(())).await;
        let serial = eventually("a serial", async || serial(self.dns)).await;
        (binary, serial)
    }

    /// What `/v1/status` warns of in the first zone.
    fn warnings(&self) -> String {
        let page = page(self.admin, "/v1/status");
        let status: serde_json::Value = serde_json::from_str(page.rsplit("\r\n\r\n").next().unwrap()).unwrap();
        status["zones"][0]["warnings"].to_string()
    }

    /// What a command says, on both outputs.
    fn says(&self, command: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper"))
            .args([command, "--config", &self.config.to_string_lossy()])
            .output()
            .expect("zonekeeper");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }
}

/// Ends a server so that it can write nothing more.
fn kill(mut binary: Binary) {
    binary.signal("KILL");
    binary.wait();
}

fn end(mut binary: Binary, signal: &str) {
    binary.signal(signal);
    assert!(binary.wait().success(), "{}", binary.log());
}

/// As if the zone had changed so often, or the clock had been set back.
fn run_ahead(file: &Path, of: u32) -> u32 {
    let text = std::fs::read_to_string(file).unwrap();
    let ahead = of + 100_000;
    let lines =
        text.lines().map(|line| if line.starts_with("service. ") { format!("service. {ahead}") } else { line.into() });
    std::fs::write(file, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    ahead
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cache_file_serials_do_not_go_back_either() {
    let servers = zk::shared().namespace().await;
    let registry = format!("zookeeper = \"{servers}\"\nsession_timeout = \"4s\"\ncache_file = \"cache\"");
    let seeded = tokio::task::spawn_blocking(move || {
        Kazoo::connect(&servers).create("/services/api/providers/10.0.0.1:80", b"{}", false);
    });
    seeded.await.unwrap();
    let site = Site::new(&registry, "", "allow_transfer = [\"127.0.0.1\"]");
    let kept = site.file("cache.serials");
    let (server, first) = site.start().await;
    eventually("the serials", async || kept.exists().then_some(())).await;
    assert_eq!(site.warnings(), "[]");
    end(server, "TERM");
    let mut before = run_ahead(&kept, first);
    for signal in ["KILL", "USR2", "TERM"] {
        let (server, serial) = site.start().await;
        assert!(serial > before, "{serial} after {before}");
        // Nobody has changed it 100,000 times: the clock went back.
        let told = "its serial is 1day ";
        eventually("a warning", async || site.warnings().contains(told).then_some(())).await;
        assert_eq!(server.log().matches(told).count(), 1, "{}", server.log());
        assert!(site.says("check").contains("zone service. in "), "{}", site.says("check"));
        eventually("the serials", async || {
            std::fs::read_to_string(&kept).ok().filter(|text| text.contains("service."))
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        before = serial;
        if signal == "KILL" { kill(server) } else { end(server, signal) }
    }
    // From now on they are kept elsewhere, and what is known stays known.
    run_ahead(&kept, before);
    site.write(&registry, "", "serial_file = \"elsewhere\"");
    let (server, serial) = site.start().await;
    assert!(serial > before + 100_000, "{serial} after {before}");
    end(server, "TERM");
    assert!(site.file("elsewhere").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_allows_transfers_and_keeps_no_serials_is_warned() {
    let site = Site::new("", "", "allow_transfer = [\"127.0.0.1\"]");
    let told = "serials are not kept";
    assert!(site.says("check").contains(told), "{}", site.says("check"));
    let (server, _) = site.start().await;
    assert!(server.log().contains(told), "{}", server.log());
    assert!(site.warnings().contains(told), "{}", site.warnings());
    assert!(site.says("status").contains(told), "{}", site.says("status"));
    assert!(page(site.admin, "/metrics").contains("zonekeeper_zone_warnings{zone=\"service.\"} 1"));
    // Nobody transfers any more, and then the zone's own secondaries do again.
    for (zone, warns) in [("", false), ("allow_transfer = [\"127.0.0.1\"]", true)] {
        let before = server.log().len();
        site.write("", zone, "");
        server.signal("HUP");
        eventually("the warning", async || {
            let is_taken = server.log()[before..].contains("configuration re-read");
            (is_taken && site.warnings().contains(told) == warns).then_some(())
        })
        .await;
        assert_eq!(server.log()[before..].contains(told), warns, "{}", server.log());
    }
    // A zone that is only its file has its file's serial.
    std::fs::write(site.file("a.zone"), "$TTL 60\n@ SOA ns x 7 60 60 60 60\n NS ns\nns A 192.0.2.1\n").unwrap();
    site.write("", "registry = \"\"\nfile = \"a.zone\"", "allow_transfer = [\"127.0.0.1\"]");
    assert!(!site.says("check").contains(told), "{}", site.says("check"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_zone_whose_serials_are_not_kept_is_named_and_not_the_first_alone() {
    let more = "[[zone]]\norigin = \"eu.example.\"\n[[zone]]\norigin = \"us.example.\"\nallow_transfer = []\n";
    let site = Site::new("", more, "allow_transfer = [\"127.0.0.1\"]");
    let told = "zones service., eu.example. may be transferred and their serials are not kept";
    assert!(site.says("check").contains(told), "{}", site.says("check"));
    let (server, _) = site.start().await;
    assert!(server.log().contains(told), "{}", server.log());
    let status = site.says("status");
    let is_warned = |zone: &str| {
        let mut below = status.lines().skip_while(|line| !line.starts_with(&format!("zone {zone}:"))).skip(1);
        below.next().is_some_and(|line| line.contains("serials are not kept"))
    };
    assert_eq!(["service.", "eu.example.", "us.example."].map(is_warned), [true, true, false], "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serials_that_cannot_be_written_are_told_and_forgotten_when_they_can() {
    let site = Site::new("", "", "serial_file = \"file/serials\"");
    std::fs::write(site.file("file"), "").unwrap();
    let (server, _) = site.start().await;
    let told = "cannot write the serial file";
    eventually("the warning", async || site.warnings().contains(told).then_some(())).await;
    assert_eq!(server.log().matches(told).count(), 1, "{}", server.log());
    std::fs::remove_file(site.file("file")).unwrap();
    eventually("the serials", async || (site.warnings() == "[]").then_some(())).await;
    assert!(server.log().contains("the serial file is written again"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_only_its_file_has_its_files_serial_after_a_crash_too() {
    let site = Site::new(
        "",
        "registry = \"\"\nfile = \"a.zone\"",
        "serial_file = \"serials\"\nallow_transfer = [\"127.0.0.1\"]",
    );
    let write = |serial: u32, host: u8| {
        let text = format!("$TTL 60\n@ SOA ns x {serial} 60 60 60 60\n NS ns\nns A 192.0.2.{host}\n");
        std::fs::write(site.file("a.zone"), text).unwrap();
    };
    // What the file says, and what is served, after a crash each time.
    for (serial, host, expected) in [(7, 1, 7), (7, 1, 7), (7, 2, 8), (7, 2, 8), (12, 3, 12), (12, 3, 12)] {
        write(serial, host);
        let (server, now) = site.start().await;
        assert_eq!(now, expected, "of {serial} with {host}");
        let kept = format!("service. {expected}\n");
        let is_kept = || std::fs::read_to_string(site.file("serials")).is_ok_and(|text| text.contains(&kept));
        eventually("the serials", async || is_kept().then_some(())).await;
        kill(server);
    }
}

/// Another build, as far as anybody can tell: a copy of the binary, of another time.
fn another_build(of: &Path) -> PathBuf {
    let new = of.with_extension("new");
    std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &new).unwrap();
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn no_restart_in_place_takes_serials_back() {
    for (registry, dns) in [("", ""), ("", "serial_file = \"serials\""), ("cache", "")] {
        let servers = zk::shared().namespace().await;
        let more = "cache_file = \"cache\"".repeat(registry.len() / 5);
        let registry = format!("zookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n{more}");
        let file = "[[zone]]\norigin = \"file.\"\nregistry = \"\"\nfile = \"a.zone\"";
        let site = Site::new(&registry, &format!("[[zone]]\norigin = \"other.\"\nregistry = \"main\"\n{file}"), dns);
        std::fs::write(site.file("a.zone"), "$TTL 60\n@ SOA ns x 7 60 60 60 60\n NS ns\nns A 192.0.2.1\n").unwrap();
        let program = site.file("zonekeeper");
        std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &program).unwrap();
        let binary = Binary::run_from(&program, &["serve", "--config", &site.config.to_string_lossy()]);
        let ask = |origin: &str| {
            let answer = crate::harness::dig::dig(site.dns, &format!("SOA {origin} +tcp"));
            answer.data().first().and_then(|soa| soa.split_whitespace().nth(2)?.parse::<u32>().ok())
        };
        eventually("the server", async || binary.log().contains("DNS, UDP and TCP").then_some(())).await;
        // It runs ahead of the clock.
        let begun = eventually("a serial", async || ask("service.")).await;
        tokio::task::spawn_blocking(move || {
            let mut kazoo = Kazoo::connect(&servers);
            for number in 0..60 {
                kazoo.create(&format!("/services/api{number}/providers/10.0.0.1:80"), b"{}", false);
            }
        })
        .await
        .unwrap();
        eventually("the last", async || {
            (crate::harness::dig::dig(site.dns, "A api59.service").status == "NOERROR").then_some(())
        })
        .await;
        let mut before = [ask("service.").unwrap(), ask("other.").unwrap(), ask("file.").unwrap()];
        assert!(before[0] > begun && before[2] == 7, "{before:?} after {begun}");
        for round in 0..3 {
            let is_new = round == 1;
            if is_new {
                std::fs::rename(another_build(&program), &program).unwrap();
            }
            let restarted = Command::new(env!("CARGO_BIN_EXE_zonekeeper"))
                .args(["restart", "--admin", &site.admin.to_string()])
                .output()
                .unwrap();
            assert!(restarted.status.success(), "{restarted:?} {}", binary.log());
            let origins = ["service.", "other.", "file."];
            let mut now = [0; 3];
            for (origin, now) in origins.iter().zip(&mut now) {
                *now = eventually("a serial", async || ask(origin)).await;
            }
            for (origin, (before, now)) in origins.iter().zip(before.iter().zip(&now)) {
                assert!(now >= before, "{origin} {now} after {before}, {dns} {registry}, round {round}");
            }
            assert!(now[0] > before[0], "a zone of a registry goes on with another one");
            assert_eq!(now[2], before[2] + u32::from(is_new), "of the file; another program may read it otherwise");
            before = now;
        }
    }
}
