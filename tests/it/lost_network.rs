//! Faults of the network and of the host, made for real: descriptors that run out, addresses that are silent, servers
//! that are none.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use zonekeeper::registry::Cause;
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::Ensemble as _;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::meter::Meter;
use crate::harness::proxy::Proxy;
use crate::harness::{eventually, zk};

/// Ends it, and says how long that took.
fn terminate(binary: &mut Binary) -> Duration {
    let begun = Instant::now();
    binary.signal("TERM");
    binary.wait();
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_nothing_spins_and_the_session_comes_back_with_them() {
    let server = zk::shared();
    let proxy = Proxy::start(server.socket());
    let servers = server.namespace().await.replace(&server.address(), &proxy.address().to_string());
    let port = free_port();
    let mut binary = Binary::serve(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{port}\"]\n"
    ));
    eventually("the mirror", async || binary.log().contains("the mirror is live").then_some(())).await;
    let limit = |most: &str| {
        let pid = binary.id().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status();
        assert!(status.expect("`prlimit` (package util-linux)").success());
    };
    limit("3");
    proxy.blip();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let meter = Meter::of(binary.id());
    tokio::time::sleep(Duration::from_secs(7)).await;
    let used = meter.share();
    assert!(used < 0.05, "{:.1} % of a core:\n{}", 100.0 * used, binary.log());
    assert!(binary.log().contains("no file descriptor is left"), "{}", binary.log());
    limit("1024");
    eventually("the mirror", async || binary.log().contains("the mirror is live again").then_some(())).await;
    assert!(terminate(&mut binary) < Duration::from_secs(10));
}

/// A listener that answers no connect: its backlog is full.
fn silent(address: Ipv4Addr, port: u16) -> Vec<Box<dyn std::any::Any + Send>> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((address, port).into()).unwrap();
    let mut full: Vec<Box<dyn std::any::Any + Send>> = vec![Box::new(socket.listen(0).unwrap())];
    while let Ok(stream) = TcpStream::connect_timeout(&(address, port).into(), Duration::from_millis(100)) {
        full.push(Box::new(stream));
    }
    full
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_name_with_several_addresses_a_silent_one_does_not_keep_it_from_the_others() {
    let server = zk::shared();
    let port = server.socket().port();
    let _silent = silent(Ipv4Addr::new(127, 0, 0, 12), port);
    let servers = server.namespace().await.replace(&server.address(), &format!("zk.example:{port}"));
    let (hosts, config) = (scratch("hosts"), scratch("zonekeeper.toml"));
    std::fs::write(&hosts, "127.0.0.12 zk.example\n127.0.0.1 zk.example\n").unwrap();
    std::fs::write(
        &config,
        format!(
            "[registry.main]\nzookeeper = \"{servers}\"\n[[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"127.0.0.1:{}\"]\n",
            free_port()
        ),
    )
    .unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    for _ in 0..3 {
        let begun = Instant::now();
        let binary = Binary::run_by(
            &["unshare", "-m", "sh", "-c", script, &hosts.to_string_lossy()],
            &["serve", "--config", &config.to_string_lossy()],
        );
        eventually("the mirror", async || binary.log().contains("the mirror is live").then_some(())).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

/// A server that says this to whoever connects, and then closes or stays silent.
fn fake(says: &'static [u8], closes: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut client in listener.incoming().flatten() {
            let mut request = [0; 44];
            let _ = client.read_exact(&mut request);
            let _ = client.write_all(says);
            if !closes {
                kept.push(client);
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_of_a_failed_connect_is_told() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let cases = [
        (closed.to_string(), Cause::Refused, "connection refused"),
        (fake(b"", true).to_string(), Cause::Closed, "closes the connection at once"),
        (fake(b"", false).to_string(), Cause::Silent, "does not answer"),
        (fake(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).to_string(), Cause::Garbage, "ZooKeeper's protocol"),
        (fake(b"\0\0\0\0", false).to_string(), Cause::Garbage, "ZooKeeper's protocol"),
        (fake(b"\x7f\xff\xff\xff", false).to_string(), Cause::Garbage, "ZooKeeper's protocol"),
        (fake(b"\x15\x03\x03\0\x02\x02\x28", true).to_string(), Cause::Garbage, "ZooKeeper's protocol"),
        (fake(b"\0\0\0\x10aaaabbbbccccdddd", false).to_string(), Cause::Garbage, "ZooKeeper's protocol"),
        ("no-such-host.invalid:2181".to_owned(), Cause::UnknownName, "cannot be resolved"),
    ];
    for (servers, cause, words) in cases {
        let begun = Instant::now();
        let failed = ZooKeeper::new(&servers, Duration::from_secs(2)).connect().await.unwrap_err();
        assert!(failed.to_string().contains(words), "{servers}: {failed}");
        assert!(failed.to_string().contains(&servers), "{servers}: {failed}");
        assert!(failed.cause() == cause || cause == Cause::UnknownName, "{servers}: {failed}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{servers}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_server_is_found_behind_bad_ones() {
    let server = zk::shared();
    let bad = [fake(b"", true), fake(b"", false), fake(b"HTTP/1.1 400\r\n\r\n", true)].map(|bad| bad.to_string());
    for _ in 0..5 {
        let servers = format!("{},{}", bad.join(","), server.address());
        let begun = Instant::now();
        ZooKeeper::new(&servers, Duration::from_secs(6)).connect().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}
