//! `zonekeeper drain` and `undrain` over a real ZooKeeper: what they write, and what every server's DNS makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use zonekeeper::announce::drain;
use zonekeeper::publish::unix_now;
use zonekeeper::zookeeper::client::ZooKeeper;

use crate::harness::app::{Binary, Running, free_port, scratch};
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
    let drained = explained.lines().find(|line| line.contains("OUT  drained by ")).expect("a drained instance");
    assert!(drained.contains("192.168.0.42:8080 ") && drained.ends_with("Z: new disk"), "{explained}");

    // In the other layout, by the whole path, as it stands in other messages.
    printed(&config, &["drain", "/services/staging/memcache"]);
    shows(&both, "memcache.staging.service", &[]).await;
    assert_eq!(dig(both[0].dns, "A memcache.staging.service").status, "NOERROR", "it is there, without answers");
    let listed = printed(&config, &["drain", "--list"]);
    let [one, other] = listed.lines().collect::<Vec<_>>()[..] else { panic!("{listed}") };
    assert!(one.starts_with("api_x: 192.168.0.42:8080 until it is undrained (new disk), by "), "{listed}");
    assert!(other.starts_with("staging/memcache: all of it until it is undrained, by "), "{listed}");
    let (user, since) = one.rsplit_once(", since ").expect("a time");
    assert!(user.rsplit(", by ").next().is_some_and(|by| by.contains('@')) && since.ends_with('Z'), "{listed}");

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
        (&["drain", "nobody"][..], "/services/nobody does not exist: nothing is drained\n"),
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

fn refused(config: &Path, arguments: &[&str]) -> String {
    let output = run(config, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A configuration with two zones over the registry.
fn config_with_zones(servers: &str) -> PathBuf {
    let path = scratch("zonekeeper.toml");
    let text = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[admin]\nlisten = \"127.0.0.1:1\"\n\
         [dns]\nlisten = [\"127.0.0.1:2\"]\n[[zone]]\norigin = \"service.\"\n\
         [[zone]]\norigin = \"stage.\"\nunder = \"staging\"\n"
    );
    std::fs::write(&path, text).expect("a configuration");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_of_an_inner_node_drains_what_is_below_or_fails() {
    let servers = zk::shared().namespace().await;
    let config = config_with_zones(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/staging/job/providers/10.0.0.1:80", b"{}", true);
    kazoo.create("/services/staging/db/10.0.0.2:80", b"{}", true);
    kazoo.create("/services/staging/notes/of-others", b"[1]", false);
    kazoo.create("/services/empty/deeper", b"", false);
    let server = Running::over_zookeeper(&servers, "");
    shows(&[&server], "job.staging.service", &["10.0.0.1"]).await;
    let said = printed(&config, &["drain", "staging", "--reason", "move"]);
    let expected = "staging/db is drained: all of it until it is undrained (move)\n\
                    staging/job is drained: all of it until it is undrained (move)\n2 services are drained\n";
    assert_eq!(said, expected);
    shows(&[&server], "job.staging.service", &[]).await;
    shows(&[&server], "db.staging.service", &[]).await;
    for others in ["/services/staging", "/services/staging/notes", "/services/staging/notes/of-others"] {
        let (data, _) = kazoo.get(others).expect("a znode");
        assert!(!String::from_utf8_lossy(&data).contains("drain"), "{others} is left alone");
    }
    let said = printed(&config, &["undrain", "staging"]);
    assert_eq!(said.lines().count(), 2, "{said}");
    shows(&[&server], "db.staging.service", &["10.0.0.2"]).await;
    let one = printed(&config, &["drain", "staging", "--instance", "10.0.0.2:80"]);
    assert_eq!(one, "staging/db is drained: 10.0.0.2:80 until it is undrained\n");
    let told = refused(&config, &["drain", "staging", "--instance", "10.0.0.9:80"]);
    assert!(told.contains("no service at or below /services/staging has 10.0.0.9:80"), "{told}");
    let told = refused(&config, &["drain", "empty"]);
    assert!(told.contains("there is no service at or below /services/empty"), "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_drained_by_its_dns_name_and_a_misspelt_one_gets_a_hint() {
    let servers = zk::shared().namespace().await;
    let config = config_with_zones(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    for path in ["api_x/providers/10.0.0.1:80", "staging/db/10.0.0.2:80", "twin_a/10.0.0.3:1", "twin-a/10.0.0.4:1"] {
        kazoo.create(&format!("/services/{path}"), b"{}", true);
    }
    for (name, service) in [
        ("api_x", "api_x"),
        ("/services/api_x", "api_x"),
        ("api_x.service", "api_x"),
        ("API-X.service.", "api_x"),
        ("_api_x._tcp.service", "api_x"),
        ("db.staging.service", "staging/db"),
        ("db.staging", "staging/db"),
        ("db.stage.", "staging/db"),
        ("db", "staging/db"),
        ("twin-a", "twin-a"),
    ] {
        assert_eq!(
            printed(&config, &["drain", name]),
            format!("{service} is drained: all of it until it is undrained\n")
        );
        let undrained = printed(&config, &["undrain", name]);
        assert!(undrained.starts_with(&format!("{service} is not drained any more: all of it")), "{name}: {undrained}");
    }
    for (name, hint) in [
        ("api-y", "; did you mean api_x?"),
        ("apix.service", "; did you mean api_x?"),
        ("staging/dd", "; did you mean staging/db?"),
        ("nothing-like-it", "/services/nothing-like-it does not exist: nothing is drained\n"),
        ("twin-a.service", "is the name of several services; write the path of one: twin-a, twin_a"),
    ] {
        for command in ["drain", "undrain"] {
            let told = refused(&config, &[command, name]);
            assert!(told.contains(hint), "{command} {name}: {told}");
        }
    }
    assert_eq!(printed(&config, &["drain", "--list"]), "nothing is drained\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_instances_of_a_host_are_drained_at_once_and_no_others() {
    let servers = zk::shared().namespace().await;
    let config = config(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    for path in [
        "a/providers/10.0.0.1:80",
        "a/providers/10.0.0.1:81",
        "a/providers/10.0.0.2:80",
        "b/c/10.0.0.1:443",
        "d/web7:1",
    ] {
        kazoo.create(&format!("/services/{path}"), b"{}", true);
    }
    let server = Running::over_zookeeper(&servers, "");
    shows(&[&server], "a.service", &["10.0.0.1", "10.0.0.2"]).await;
    let said = printed(&config, &["drain", "--host", "10.0.0.1", "--for", "1h"]);
    assert_eq!(said.lines().filter(|line| line.contains(" is drained: 10.0.0.1:")).count(), 3, "{said}");
    assert!(said.ends_with("2 services are drained\n"), "{said}");
    shows(&[&server], "a.service", &["10.0.0.2"]).await;
    shows(&[&server], "c.b.service", &[]).await;
    let said = printed(&config, &["undrain", "--host", "10.0.0.1"]);
    assert_eq!(said.lines().count(), 3, "{said}");
    shows(&[&server], "a.service", &["10.0.0.1", "10.0.0.2"]).await;
    let said = printed(&config, &["drain", "d", "--host", "WEB7"]);
    assert!(said.starts_with("d is drained: web7:1 until"), "{said}");
    let told = refused(&config, &["drain", "--host", "10.0.0.9"]);
    assert!(told.contains("nothing is drained: no instance is registered at 10.0.0.9"), "{told}");
    let told = refused(&config, &["drain", "--host"]);
    assert!(told.contains("nothing is drained: no instance is registered at "), "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flag_is_written_into_what_is_read_neither_as_zc_nor_as_nd() {
    let servers = zk::shared().namespace().await;
    let config = config(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    let curator = br#"{"name":"pay","id":"6f2c","address":"10.0.0.1","port":80}"#;
    kazoo.create("/services/pay/6f2c", curator, true);
    kazoo.create("/services/com.acme.Pay/providers/dubbo%3A%2F%2F10.0.0.1%3A20880", b"", true);
    for (name, why) in [
        ("pay/6f2c", "/services/pay/6f2c is not drained: it is an ephemeral znode"),
        ("pay", "/services/pay/6f2c: it is an ephemeral znode, so an instance that is read neither as zc nor as nd"),
        ("com.acme.Pay", "/services/com.acme.Pay is not drained: none of the 1 znodes where its instances would be"),
    ] {
        let told = refused(&config, &["drain", name]);
        assert!(told.contains(why), "{name}: {told}");
    }
    assert_eq!(kazoo.get("/services/pay/6f2c").expect("theirs").0, curator);
    assert_eq!(kazoo.get("/services/pay").expect("theirs").0, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drain_is_in_the_log_where_it_begins_and_where_it_ends() {
    let servers = zk::shared().namespace().await;
    let config = config(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    let old = br#"{"drain":[{"until":"2020-01-01T00:00:00Z"}]}"#;
    kazoo.create("/services/API_X", old, false);
    kazoo.create("/services/API_X/providers/10.0.0.1:80", b"{}", false);
    kazoo.create("/services/b/10.0.0.2:80", b"{}", false);
    let server = Binary::serve(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{}\"]\n",
        free_port()
    ));
    let logged = async |words: &[&str]| {
        eventually(&format!("{words:?} in the log"), async || {
            server.log().lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        })
        .await;
    };
    logged(&["the mirror is live"]).await;
    let log = server.log();
    assert!(!log.contains("drain"), "an old flag is nothing new: {log}");
    printed(&config, &["drain", "API_X", "--for", "1h", "--reason", "new disk"]);
    logged(&[
        "INFO",
        "drained: out of DNS",
        "path=/services/API_X",
        "instance=\"all\"",
        "by=\"",
        "until=\"20",
        "new disk",
    ])
    .await;
    printed(&config, &["drain", "b", "--instance", "10.0.0.2:80", "--for", "2s"]);
    logged(&["drained: out of DNS", "path=/services/b", "instance=\"10.0.0.2:80\""]).await;
    logged(&["INFO", "the drain has ended", "path=/services/b", "its time is over"]).await;
    printed(&config, &["undrain", "API_X"]);
    logged(&["INFO", "the drain has ended", "path=/services/API_X", "by=\"", "why=\"undrained\"", "new disk"]).await;
    assert_eq!(server.log().matches("drained: out of DNS").count(), 2, "each is told once");

    // Hosts whose clocks are wrong.
    kazoo.set(
        "/services/b",
        br#"{"drain":[{"by":"u@slow","at":"2020-01-01T00:00:00Z","until":"2020-01-01T00:30:00Z"}]}"#,
    );
    logged(&["WARN", "had ended already: clocks differ", "path=/services/b", "u@slow", "2020-01-01T00:30:00Z"]).await;
    kazoo.set(
        "/services/b",
        br#"{"drain":[{"by":"u@fast","at":"2099-01-01T00:00:00Z","until":"2099-01-01T00:30:00Z"}]}"#,
    );
    logged(&["WARN", "was set in the future: clocks differ", "path=/services/b", "u@fast"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeepers_clock_is_compared_with_that_of_the_host_that_drains() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/a/10.0.0.2:80", b"{}", false);
    let ensemble = ZooKeeper::new(&servers, Duration::from_secs(4));
    let path = zonekeeper::registry::Path::new("/services/a").expect("a path");
    for hours in [-1, 0, 2] {
        let now = unix_now().saturating_add_signed(hours * 3600);
        let flag = zonekeeper::model::Drain { until: Some(now + 60), ..Default::default() };
        let written =
            drain::drain(&ensemble, &drain::FlagNode::own(path.clone()), &[flag], now).await.expect("a drain");
        let ahead = written.ahead.expect("the ensemble's time");
        assert!((ahead - hours * 3600).abs() <= 2, "{hours} h: {ahead}");
    }
}
