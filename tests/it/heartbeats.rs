//! Heartbeats over restarts and edits: a service has its whole `ttl` from when its heartbeats can be heard, and stays
//! registered until that has passed.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::agent::{blocking, node, registry, service, until};
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::looker::Looker;

fn beat(admin: SocketAddr, service: &str) -> Option<()> {
    let mut stream = TcpStream::connect(admin).ok()?;
    write!(stream, "PUT /v1/heartbeat/{service} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.contains("200 OK").then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_no_heartbeat_and_takes_no_service_out() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config = registry(&servers)
            + &format!("[admin]\nlisten = \"{admin}\"\n")
            + &service("plain", 80, "check.ttl = { ttl = \"5s\", interval = \"200ms\" }")
            + &service("hopeful", 81, "check.ttl = { ttl = \"5s\", interval = \"200ms\", initial = \"healthy\" }");
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, &config).expect("a configuration");
        let serve = || Binary::run(&["serve", "--config", &path.to_string_lossy()]);
        let mut ours = serve();
        until("it is hopeful at once", || kazoo.get(&node("hopeful", 81)));
        assert!(kazoo.get(&node("plain", 80)).is_none(), "it has said nothing yet");
        for name in ["plain", "hopeful"] {
            until("the heartbeat is heard", || beat(admin, name));
        }
        until("registered", || kazoo.get(&node("plain", 80)));
        for signal in ["KILL", "USR2"] {
            let looker = Looker::start(&servers, vec![node("plain", 80), node("hopeful", 81)]);
            ours.signal(signal);
            ours.wait();
            ours = serve();
            until("it listens", || TcpStream::connect(admin).ok());
            // Less than `ttl` since it listens; with the time before, more than that since the last heartbeat.
            std::thread::sleep(Duration::from_secs(3));
            let seen = looker.stop();
            assert!(seen.looks > 50 && seen.absent.is_empty(), "SIG{signal}: {seen:?}\n{}", ours.log());
        }
        for name in ["plain", "hopeful"] {
            until("the heartbeat is heard", || beat(admin, name));
        }
        // An edit of `ttl` is no silence either.
        let looker = Looker::start(&servers, vec![node("plain", 80), node("hopeful", 81)]);
        std::fs::write(&path, config.replace("\"5s\"", "\"4s\"")).expect("a configuration");
        until("the edit is taken", || ours.log().contains("configuration re-read").then_some(()));
        std::thread::sleep(Duration::from_secs(1));
        let seen = looker.stop();
        assert!(seen.absent.is_empty(), "{seen:?}\n{}", ours.log());
        for (name, port) in [("plain", 80), ("hopeful", 81)] {
            let ((), took) = until("silence", || kazoo.get(&node(name, port)).is_none().then_some(()));
            assert!(took < Duration::from_secs(6), "{took:?}");
        }
    })
    .await;
}
