//! Big znodes beside services: the server, our memory and the cache file are none the worse for them.
//!
//! By hand `ZONEKEEPER_BIG=200` has as many of them as megabytes, beside 1,000 services, and ZooKeeper a heap of 1 GB.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;

use crate::harness::PATIENCE;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::client::Client;
use crate::harness::zk::Server;

/// So many services, and so many znodes of a megabyte; then reads those one by one, as any client may.
const FILL: &str = r#"
import sys
from kazoo.client import KazooClient
client = KazooClient(hosts=sys.argv[1])
client.start(timeout=20)
for n in range(int(sys.argv[3])):
    client.create("/services/api%03d/providers/10.0.%d.%d:80" % (n, n // 256, n % 256), b"{}", makepath=True)
for n in range(int(sys.argv[2])):
    client.create("/services/artifacts/build-%03d" % n, b"x" * 1000000, makepath=True)
for n in range(int(sys.argv[2])):
    assert len(client.get("/services/artifacts/build-%03d" % n)[0]) == 1000000
client.stop()
"#;

fn resident_megabytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let high = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    high.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("its memory") >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn big_znodes_kill_no_server_and_are_not_kept() {
    let by_hand = std::env::var("ZONEKEEPER_BIG").ok().and_then(|count| count.parse().ok());
    let (heap, count, services) = by_hand.map_or((500, 100, 100), |count: u32| (1000, count, 1000));
    let mut server = Server::sized(heap);
    let fill = ["-c", FILL, &server.address(), &count.to_string(), &services.to_string()].map(str::to_owned);
    let status = Command::new("/usr/bin/python3").args(fill).status();
    assert!(status.expect("python3, with the package python3-kazoo").success(), "the control");
    let (port, cache) = (free_port(), scratch("cache"));
    let begun = Instant::now();
    let mut binary = Binary::serve(&format!(
        "[registry.main]\nzookeeper = \"{}\"\ncache_file = \"{}\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{port}\"]\n",
        server.address(),
        cache.display()
    ));
    let mut client = Client::new(([127, 0, 0, 1], port).into()).await;
    for number in 0..services {
        let good = Some((ResponseCode::NoError, vec![format!("10.0.{}.{}", number / 256, number % 256)]));
        while client.addresses(&format!("api{number:03}.service.")).await != good {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", binary.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let answered = begun.elapsed();
    let log = binary.log();
    assert!(!log.contains("lost ZooKeeper") && !log.contains("cannot connect"), "{log}");
    assert!(log.contains("has 1000000 bytes; more than 65536 are not read"), "{log}");
    while !cache.exists() {
        assert!(begun.elapsed() < 3 * PATIENCE, "{}", binary.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let saved = std::fs::metadata(&cache).unwrap().len();
    assert!(saved < 1 << 20, "{saved} bytes");
    let memory = resident_megabytes(binary.id());
    println!("{services} services after {answered:?}, {memory} MB at most, a cache file of {saved} bytes");
    assert!(memory < 100, "{memory} MB, as a debug build");
    assert!(server.is_alive(), "{}", binary.log());
    assert!(binary.is_alive() && server.is_alive(), "{}", binary.log());
    server.stop();
}
