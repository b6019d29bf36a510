//! Big znodes beside services: the server, our memory and the cache file are none the worse for them.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::client::Client;
use crate::harness::zk::Server;

/// 100 services, and so many znodes of a megabyte; then reads those one by one, as any client may.
const FILL: &str = r#"
import sys
from kazoo.client import KazooClient
client = KazooClient(hosts=sys.argv[1])
client.start(timeout=20)
for n in range(100):
    client.create("/services/api%03d/providers/10.0.0.%d:80" % (n, n), b"{}", makepath=True)
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
    let (heap, count) = (500, 100);
    let mut server = Server::sized(heap);
    let fill = ["-c", FILL, &server.address(), &count.to_string()].map(str::to_owned);
    let status = Command::new("/usr/bin/python3").args(fill).status();
    assert!(status.expect("python3, with the package python3-kazoo").success(), "the control");
    let (port, cache) = (free_port(), scratch("cache"));
    let begun = Instant::now();
    let binary = Binary::serve(&format!(
        "[registry.main]\nzookeeper = \"{}\"\ncache_file = \"{}\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{port}\"]\n",
        server.address(),
        cache.display()
    ));
    let mut client = Client::new(([127, 0, 0, 1], port).into()).await;
    let good = Some((ResponseCode::NoError, vec!["10.0.0.42".to_owned()]));
    while client.addresses("api042.service.").await != good {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", binary.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = binary.log();
    assert!(!log.contains("lost ZooKeeper") && !log.contains("cannot connect"), "{log}");
    assert!(log.contains("has 1000000 bytes; more than 65536 are not read"), "{log}");
    while !cache.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", binary.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let saved = std::fs::metadata(&cache).unwrap().len();
    assert!(saved < 1 << 20, "{saved} bytes");
    let memory = resident_megabytes(binary.id());
    assert!(memory < 100, "{memory} MB, as a debug build");
    server.stop();
}
