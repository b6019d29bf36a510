//! Servers of an ensemble that are found by SRV records, which another zonekeeper serves.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::harness::admin::page;
use crate::harness::app::{Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::samples::answers;
use crate::harness::zk::{self, CLIENT, Server, Setup};

/// Writes the directory: a registry in a file in which `zookeeper` has these servers.
fn list(file: &Path, servers: &[SocketAddr]) {
    let servers: Vec<String> = servers.iter().map(|server| format!("      /{server}\n")).collect();
    let servers = servers.concat();
    let new = file.with_extension("new");
    std::fs::write(&new, format!("/services\n  /other\n  /zookeeper\n    /providers\n{servers}")).expect("a seed");
    std::fs::rename(new, file).expect("a seed");
}

fn directory(file: &Path) -> Running {
    Running::start(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"dir.\"\nttl = \"0s\"\nnegative_ttl = \"0s\"\n",
        file.display()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_is_found_by_its_own_name_in_dns_and_registered_into() {
    let server = tokio::task::spawn_blocking(|| {
        let (quorum, election) = (free_port(), free_port());
        let config = format!(
            "initLimit=20\nsyncLimit=6\nstandaloneEnabled=false\nserver.1=127.0.0.1:{quorum}:{election};{CLIENT}\n"
        );
        Server::with(&Setup { config, id: Some(1), ..Setup::default() })
    });
    let server = server.await.expect("no panic");
    let first = Running::start(&format!(
        "[registry.zk]\nzookeeper = \"{}\"\nformat = \"ensemble\"\n[[zone]]\norigin = \"zk.\"\n",
        server.address()
    ));
    let second = Running::start(&format!(
        "[registry.main]\nzookeeper = \"dns-srv://_zookeeper._tcp.zk?resolver={}\"\n[[zone]]\norigin = \"service.\"\n\
         [[service]]\nname = \"api\"\nport = 80\naddress = \"10.0.0.7\"\n",
        first.dns
    ));
    answers(second.dns, "SRV api.service", &["0 10 80 10-0-0-7.addr.service."]).await;
    let source = format!("dns-srv://_zookeeper._tcp.zk?resolver={}", first.dns);
    let run = |arguments: Vec<String>| async move {
        let program = env!("CARGO_BIN_EXE_zonekeeper");
        let output = tokio::process::Command::new(program).args(arguments).output().await.expect("the binary");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let survey = run(vec!["survey".into(), source.clone()]).await;
    assert!(survey.contains("# 1 instance of 1 service seen: api.service"), "{survey}");
    let config = scratch("zonekeeper.toml");
    let text = format!(
        "[registry.main]\nzookeeper = \"{source}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{}\"]\n",
        free_port()
    );
    std::fs::write(&config, text).expect("a configuration");
    let file = config.display().to_string();
    let checked = run(vec!["check".into(), "--connect".into(), "--config".into(), file.clone()]).await;
    assert!(checked.contains("dns-srv://_zookeeper._tcp.zk answers\n") && checked.contains("no problems"), "{checked}");
    let drained = run(vec!["drain".into(), "api".into(), "--config".into(), file]).await;
    eventually("the drain", async || dig(second.dns, "SRV api.service").data().is_empty().then_some(())).await;
    assert!(!drained.contains("cannot"), "{drained}");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_srv_records_and_follows_them_at_each_connect() {
    let servers = zk::shared().namespace().await;
    let (socket, chroot) = servers.split_once('/').expect("a chroot");
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"", false);
    let (one, two) =
        (Proxy::start(socket.parse().expect("an address")), Proxy::start(socket.parse().expect("an address")));
    let seed = scratch("directory.tree");
    list(&seed, &[]);
    let directory = directory(&seed);
    eventually("the directory", async || (dig(directory.dns, "A other.dir").status == "NOERROR").then_some(())).await;
    let ours =
        Running::over_zookeeper(&format!("dns-srv://_zookeeper._tcp.dir/{chroot}?resolver={}", directory.dns), "");
    eventually("the trouble", async || {
        page(ours.admin, "/v1/status")
            .contains("the servers' SRV records at _zookeeper._tcp.dir: there are none")
            .then_some(())
    })
    .await;
    assert_eq!(dig(ours.dns, "A api.service").status, "SERVFAIL");

    list(&seed, &[one.address()]);
    answers(ours.dns, "A api.service", &["10.0.0.1"]).await;
    // The set changes while the connection stands, which then breaks.
    list(&seed, &[two.address()]);
    let port = two.address().port().to_string();
    eventually("the other server", async || {
        dig(directory.dns, "SRV _zookeeper._tcp.dir").data().iter().any(|data| data.contains(&port)).then_some(())
    })
    .await;
    one.cut();
    kazoo.create("/services/api/providers/10.0.0.2:80", b"", false);
    answers(ours.dns, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    // Without the resolver the servers that were found last serve on.
    directory.stop().await;
    two.blip();
    kazoo.delete("/services/api/providers/10.0.0.1:80");
    answers(ours.dns, "A api.service", &["10.0.0.2"]).await;
    ours.stop().await;
}

#[test]
fn a_name_that_is_none_is_told_where_it_stands() {
    let config = scratch("zonekeeper.toml");
    std::fs::write(&config, "[registry.main]\nzookeeper = \"dns-srv://zk:2181\"\n[dns]\n").expect("a configuration");
    let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["check", "--config"]).arg(&config).output();
    let told = String::from_utf8_lossy(&output.expect("the binary").stderr).into_owned();
    assert!(told.contains(":2:13: error: `zookeeper` must name SRV records behind dns-srv://"), "{told}");
}
