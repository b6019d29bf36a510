//! Files of earlier releases: each is taken as it is, and what it says in vain is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

/// The template of the first release, on free ports, over a registry in memory, with `threads` set.
fn first_template() -> (String, SocketAddr) {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, "/services\n  /api\n    /providers\n      /10.0.0.1:80\n").expect("a seed");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut text = include_str!("../fixtures/releases/0.1.0.toml").to_owned();
    for (was, is) in [
        ("\nzookeeper = \"127.0.0.1:2181\"\n", format!("\nmemory = \"{}\"\n", seed.display())),
        ("\nlisten = [\"127.0.0.1:5300\"]\n", format!("\nlisten = [\"{address}\"]\n")),
        ("\nlisten = \"127.0.0.1:5380\"\n", "\nlisten = \"127.0.0.1:0\"\n".to_owned()),
        ("\nsession_timeout = \"10s\"\n", "\n".to_owned()),
    ] {
        assert_eq!(text.matches(was).count(), 1, "{was}");
        text = text.replace(was, &is);
    }
    (text, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_template_still_starts_and_removed_keys_are_told_once_at_each_reading() {
    let (text, address) = first_template();
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, &text).expect("a configuration");
    let check = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["check", "--config"]).arg(&path).output();
    let check = check.expect("the binary");
    let told = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.success(), "{told}");
    assert!(told.contains(": warning: `gather` is ignored: replies leave as soon as they are written"), "{told}");
    assert!(told.contains("| gather = \"500us\"\n") && told.contains("help: remove the line"), "{told}");

    let binary = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    let is_said = |times: usize| {
        let log = binary.log();
        let lines = log.lines().filter(|line| line.contains("`gather` is ignored")).count();
        (lines == times && log.contains(" WARN ")).then_some(())
    };
    eventually("a line about the key", async || is_said(1)).await;
    let answers = || dig(address, "A api.service").data() == ["10.0.0.1"];
    eventually("DNS", async || binary.log().contains("DNS, UDP and TCP").then_some(())).await;
    eventually("an answer", async || answers().then_some(())).await;
    binary.signal("HUP");
    eventually("the same at a reload", async || is_said(2)).await;
    assert!(answers() && !binary.log().contains("at the next start"), "{}", binary.log());
}

/// A file that was written just before the start is read once more, as it may have been edited meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_warning_of_the_configuration_is_logged_once_at_a_start() {
    let (text, _) = first_template();
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, &text).expect("a configuration");
    let binary = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    eventually("the start", async || binary.log().contains("DNS, UDP and TCP").then_some(())).await;
    std::fs::write(&path, &text).expect("a configuration");
    eventually("another reading", async || binary.log().contains("configuration re-read").then_some(())).await;
    assert_eq!(binary.log().matches("WARN in the configuration").count(), 1, "{}", binary.log());
    // An edit that adds one is told with all.
    std::fs::write(&path, text.replace("[dns]\n", "[dns]\nforwarders = []\n")).expect("a configuration");
    let is_told = || binary.log().contains("forwarders");
    eventually("the edit", async || is_told().then_some(())).await;
}
