//! What `zonekeeper check --connect` finds in registries and on ports before `serve` does.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::app::{Running, free_port, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

const SPRING: &[u8] =
    br#"{"name":"a","id":"7","address":"10.0.0.1","port":80,"payload":{"@class":"org.springframework.X"}}"#;

/// Exit code, standard output, and standard error.
fn check(config: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    let output = command.args(["check", "--connect", "--config"]).arg(config).args(more).output().expect("the binary");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

fn written(text: &str) -> std::path::PathBuf {
    let file = scratch("zonekeeper.toml");
    std::fs::write(&file, text).expect("a configuration");
    file
}

/// Panics with all that was told where one of these parts is missing.
fn has(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_rights_and_formats_are_looked_at_and_told_where_they_stand() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"", true);
    kazoo.create("/spring/a/7", SPRING, true);
    kazoo.create("/secret", b"", false);
    kazoo.create("/services/locked", b"", false);
    kazoo.create("/services/fixed/providers", b"", false);
    kazoo.read_only("/services/fixed/providers");
    kazoo.lock("/services/locked", "team:word");
    kazoo.lock("/secret", "team:word");
    let dns = free_port();
    let readers = "read = [\n  \"zc\",\n  { format = \"nd\", root = \"/servces\" },\n  \
                   { format = \"zc\", root = \"/spring\", name = \"s\" },\n  \
                   { format = \"zc\", root = \"/secret\", name = \"t\" },\n]\n";
    let service = |name: &str| {
        format!("[[service]]\nname = \"{name}\"\nport = 1\naddress = \"10.0.0.9\"\nroot = \"/services\"\n")
    };
    let text = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\n{readers}[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{dns}\"]\n{}{}{}{}",
        service("api"),
        service("new/one"),
        service("locked"),
        service("fixed")
    );
    let config = written(&text);
    let (code, found, told) = check(&config, &[]);
    assert_eq!(code, 64, "{found}{told}");
    let chroot = servers.split_once('/').map(|(_, chroot)| format!("/{chroot}")).expect("a chroot");
    has(
        &found,
        &[
            &format!("registry.main: {} answers", servers.split('/').next().unwrap_or_default()),
            &format!("registry.main: {chroot}/services has 1 instance of 1 service as \"zc\" reads them"),
            &format!("127.0.0.1:{dns} (UDP) is free\n127.0.0.1:{dns} (TCP) is free"),
        ],
    );
    let file = config.display();
    has(
        &told,
        &[
            &format!("{file}:5:27: error: the root {chroot}/servces does not exist"),
            "did you mean /services?",
            &format!("{file}:6:14: warning: {chroot}/spring looks like Spring (Curator): format = \"curator\" reads 1"),
            &format!("{file}:7:27: error: not allowed to read {chroot}/secret (without credentials)"),
            &format!("warning: not allowed to read {chroot}/services/locked (without credentials)"),
            "warning: whether `locked` may be registered below /services/locked/providers is not known: its ACL may \
             not be read",
            "error: `fixed` cannot be registered: sessions without credentials may not create children of \
             /services/fixed/providers (world:anyone:r)",
        ],
    );
    assert_eq!(told.matches("cannot be registered").count(), 1, "{told}");

    // With the credentials, the root mended and the right format nothing is left.
    let mended = text
        .replace(&format!("{servers}\"\n"), &format!("{servers}\"\nauth = \"digest:team:word\"\n"))
        .replace("servces", "nothing")
        .replace("format = \"zc\", root = \"/spring\"", "format = \"curator\", root = \"/spring\"")
        .replace(&service("fixed"), "")
        .replace("[[zone]]", "missing_root = \"empty\"\n[[zone]]");
    let (code, found, told) = check(&written(&mended), &[]);
    assert_eq!(code, 0, "{found}{told}");
    has(
        &found,
        &["no problems", "does not exist; `missing_root` has it count as empty", "/secret is there and has no"],
    );
    assert!(kazoo.get("/services/new").is_none(), "nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_makes_its_root_and_a_chroot_must_be_there() {
    let servers = zk::shared().namespace().await;
    let with = |servers: &str| {
        written(&format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nroot = \"/none\"\n\
             [[service]]\nname = \"a\"\nport = 1\naddress = \"10.0.0.9\"\n"
        ))
    };
    let (code, found, told) = check(&with(&servers), &[]);
    assert_eq!((code, &*told), (0, ""), "{found}");
    has(&found, &["/none does not exist; the agent creates it at its start"]);

    let config = with(&format!("{servers}/missing"));
    let (code, _, told) = check(&config, &[]);
    assert_eq!(code, 64, "{told}");
    has(&told, &[&format!("{}:2:13: error: the chroot ", config.display()), "/missing does not exist"]);

    let (code, _, told) = check(&with(&format!("127.0.0.1:{},{servers}", free_port())), &[]);
    assert_eq!(code, 0, "one server answers: {told}");
    has(&told, &["warning: no session with 127.0.0.1:", "connection refused"]);
    let (code, json, _) = check(&with(&format!("127.0.0.1:{}", free_port())), &["--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let problem = &json["problems"][0];
    assert_eq!((code, &json["errors"], &problem["severity"]), (64, &1.into(), &"error".into()));
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &13.into()), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_free_or_held_by_the_server_that_runs_or_by_another_program() {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, "/services\n").expect("a seed");
    let registry = format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", seed.display());
    let running = Running::start(&registry);
    let with = |dns: String, admin: String| {
        written(&format!("{registry}[dns]\nlisten = [\"{dns}\"]\n[admin]\nlisten = \"{admin}\"\n"))
    };
    let (code, found, told) = check(&with(running.dns.to_string(), running.admin.to_string()), &[]);
    assert_eq!(code, 0, "{told}");
    has(&found, &[&format!("{} (UDP) is in use: zonekeeper ", running.dns), &format!("{} (TCP) is in", running.admin)]);
    running.stop().await;

    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = udp.local_addr().expect("an address");
    let config = with(address.to_string(), format!("127.0.0.1:{}", free_port()));
    let (code, found, told) = check(&config, &[]);
    assert_eq!(code, 64, "{found}");
    has(&told, &[&format!("{}:6:10: error: {address} (UDP) is in use by another program", config.display())]);
    let at = tcp.local_addr().expect("an address").to_string();
    let (code, _, told) = check(&with("192.0.2.77:0".to_owned(), at.clone()), &[]);
    assert_eq!(code, 64, "{told}");
    has(&told, &[&format!("error: {at} (TCP) is in use by another program")]);
    let (code, _, told) = check(&with(format!("192.0.2.77:{}", free_port()), "127.0.0.1:0".to_owned()), &[]);
    assert_eq!(code, 0, "{told}");
    has(&told, &["warning: no interface has the address 192.0.2.77"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_tree_may_be_missing_and_must_be_readable_where_it_is_there() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"", false);
    let text = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\ndrains = \"/ours\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{}\"]\n",
        free_port()
    );
    let file = written(&text);
    let (code, said, told) = check(&file, &[]);
    assert_eq!(code, 0, "{said}{told}");
    has(&said, &["registry.main: /ours is not there yet: the first drain creates it"]);
    kazoo.create("/ours/services", b"", false);
    let (code, said, told) = check(&file, &[]);
    assert_eq!(code, 0, "{said}{told}");
    has(&said, &["registry.main: /ours: holds drains"]);
    kazoo.lock("/ours", "team:word");
    let (code, said, told) = check(&file, &[]);
    assert_eq!(code, 64, "{said}{told}");
    has(&told, &["zonekeeper.toml:3:10: error: not allowed to read ", "/ours (without credentials)"]);
}
