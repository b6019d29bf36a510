//! `zonekeeper drain` and `undrain` over a real ZooKeeper: what they write, and what every server's DNS makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::{eventually, zk};

/// A configuration of somebody who only drains: no server runs from it.
fn config(servers: &str) -> PathBuf {
    let path = scratch("zonekeeper.toml");
    let text = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[admin]\nlisten = \"127.0.0.1:1\"\n"
    );
    std::fs::write(&path, text).expect("a configuration");
    path
}

fn run(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    command.args(arguments).arg("--config").arg(config).output().expect("the binary")
}

fn printed(config: &Path, arguments: &[&str]) -> String {
    let output = run(config, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

async fn shows(servers: &[&Running], name: &str, expected: &[&str]) -> Duration {
    let begun = Instant::now();
    for server in servers {
        eventually(&format!("{name} as {expected:?}"), async || {
            (dig(server.dns, &format!("A {name}")).data() == expected).then_some(())
        })
        .await;
    }
    begun.elapsed()
}

fn ask(server: &Running, arguments: &[&str]) -> String {
    let admin = server.admin.to_string();
    let output =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).args(["--admin", &admin]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_drained_leaves_every_servers_answers_at_once_and_stays_registered() {
    let servers = zk::shared().namespace().await;
    let config = config(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    let theirs = br#"{"database":"/databases/foomain", "ttl":5}"#;
    kazoo.create("/services/api_x", theirs, false);
    kazoo.create("/services/api_x/providers/192.168.0.42:8080", b"{}", true);
    kazoo.create("/services/api_x/providers/192.168.0.43:8080", b"{}", true);
    kazoo.create("/services/staging/memcache/192.168.1.1:11211", b"{}", true);
    let two = [Running::over_zookeeper(&servers, ""), Running::over_zookeeper(&servers, "")];
    let both: Vec<&Running> = two.iter().collect();
    shows(&both, "api_x.service", &["192.168.0.42", "192.168.0.43"]).await;
    shows(&both, "memcache.staging.service", &["192.168.1.1"]).await;

    let one = ["drain", "api_x", "--instance", "192.168.0.42:8080", "--reason", "new disk"];
    let said = printed(&config, &one);
    assert_eq!(said, "api_x is drained: 192.168.0.42:8080 until it is undrained (new disk)\n");
    let took = shows(&both, "api_x.service", &["192.168.0.43"]).await;
    println!("two servers without the drained instance {took:?} after the command");
    assert!(kazoo.get("/services/api_x/providers/192.168.0.42:8080").is_some(), "it stays registered");
    let explained = ask(both[0], &["explain", "api_x.service"]);
    assert!(explained.contains("192.168.0.42:8080        OUT  drained by an operator: new disk\n"), "{explained}");

    // In the other layout, by the whole path, as it stands in other messages.
    printed(&config, &["drain", "/services/staging/memcache"]);
    shows(&both, "memcache.staging.service", &[]).await;
    assert_eq!(dig(both[0].dns, "A memcache.staging.service").status, "NOERROR", "it is there, without answers");
    let listed = printed(&config, &["drain", "--list"]);
    let expected = "api_x: 192.168.0.42:8080 until it is undrained (new disk)\n\
                    staging/memcache: all of it until it is undrained\n";
    assert_eq!(listed, expected);

    printed(&config, &["undrain", "staging/memcache"]);
    printed(&config, &["undrain", "api_x", "--instance", "192.168.0.42:8080"]);
    shows(&both, "memcache.staging.service", &["192.168.1.1"]).await;
    shows(&both, "api_x.service", &["192.168.0.42", "192.168.0.43"]).await;
    assert_eq!(printed(&config, &["drain", "--list"]), "nothing is drained\n");
    assert_eq!(printed(&config, &["undrain", "api_x"]), "api_x was not drained\n");
    let (data, _) = kazoo.get("/services/api_x").expect("the service");
    assert_eq!(String::from_utf8_lossy(&data), r#"{"database":"/databases/foomain","ttl":5}"#);
    assert_eq!(kazoo.get("/services/staging/memcache").expect("the service").0, b"");
    for server in two {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_by_itself_also_while_zookeeper_is_away() {
    let mut zookeeper = tokio::task::spawn_blocking(zk::Server::start).await.expect("no panic");
    let servers = zookeeper.address();
    let config = config(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/a/providers/10.0.0.1:80", b"{}", false);
    let server = Running::over_zookeeper(&servers, "");
    shows(&[&server], "a.service", &["10.0.0.1"]).await;
    let begun = Instant::now();
    printed(&config, &["drain", "a", "--for", "3s"]);
    shows(&[&server], "a.service", &[]).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "out before it ends: {:?}", begun.elapsed());
    zookeeper.kill();
    shows(&[&server], "a.service", &["10.0.0.1"]).await;
    let took = begun.elapsed();
    println!("back in the answers {took:?} after a drain for 3 s");
    assert!((2..6).contains(&took.as_secs()), "{took:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_do_not_lose_each_others_drains_and_mistakes_are_told() {
    let servers = zk::shared().namespace().await;
    let config = config(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/a/10.0.0.1:80", b"", false);
    kazoo.create("/services/b", br#"{"drain":"yes"}"#, false);
    let drains = (1..=6).map(|port| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || {
            let instance = format!("10.0.0.1:{port}");
            run(&config, &["drain", "a", "--instance", &instance])
        })
    });
    for one in drains.collect::<Vec<_>>() {
        let output = one.await.expect("no panic");
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("is not registered at present"), "{output:?}");
    }
    assert_eq!(printed(&config, &["drain", "--list"]).lines().count(), 6);

    for (arguments, told) in [
        (&["drain", "nobody"][..], "cannot read or change /services/nobody: no such znode"),
        (&["drain", "b"], "/services/b is left as it is: its `drain` is not as this program writes it"),
        (&["drain", "a/10.0.0.1:80"], "is an instance: say `a --instance 10.0.0.1:80`"),
        (&["drain", "a//b"], "is not the path of a service"),
        (&["undrain", "a", "--registry", "other"], "has no registry `other`, but main"),
    ] {
        let output = run(&config, arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{told} in {output:?}");
    }
    let text = std::fs::read_to_string(&config).expect("the configuration") + "[announce]\nreadonly = true\n";
    std::fs::write(&config, text).expect("a configuration");
    for arguments in [&["drain", "a"][..], &["undrain", "a"]] {
        let output = run(&config, arguments);
        assert!(String::from_utf8_lossy(&output.stderr).contains("says `readonly`"), "{output:?}");
    }
    assert_eq!(printed(&config, &["drain", "--list"]).lines().count(), 6, "reading is no writing");
    for arguments in [&["drain"][..], &["drain", "a", "--for", "soon"], &["drain", "a", "--instance", "x"]] {
        assert_eq!(run(&config, arguments).status.code(), Some(64), "{arguments:?}");
    }
}
