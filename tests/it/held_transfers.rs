//! Hosts that are being looked up for the first time: secondaries get nothing that says SRV and no address. The real
//! binary, on a host whose name server answers when this test lets it.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::{dig, transfer};
use crate::harness::eventually;

/// A server of two services at host names, and the secondary that is told of changes.
struct Server {
    binary: Binary,
    dns: SocketAddr,
    resolver: UdpSocket,
    seed: PathBuf,
    told: UdpSocket,
}

impl Server {
    async fn start(tree: &str) -> Self {
        let (seed, hosts, config) = (scratch("seed.tree"), scratch("hosts"), scratch("zonekeeper.toml"));
        let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let told = UdpSocket::bind("127.0.0.1:0").unwrap();
        told.set_nonblocking(true).unwrap();
        std::fs::write(&seed, tree).unwrap();
        std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
        let own = [127, fastrand::u8(64..128), fastrand::u8(..), fastrand::u8(1..255)];
        let resolver = UdpSocket::bind(SocketAddr::from((own, 53))).expect("port 53: run the tests as root");
        let resolv = format!("nameserver {}\noptions timeout:30 attempts:1\n", resolver.local_addr().unwrap().ip());
        let text = format!(
            "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\nnotify = [\"{}\"]\n\
             [dns]\nlisten = [\"{dns}\"]\nallow_transfer = [\"any\"]\n",
            seed.display(),
            told.local_addr().unwrap()
        );
        std::fs::write(&config, text).unwrap();
        let binary = Binary::serve_asking(&config, &hosts, &resolv);
        eventually("the zone", async || binary.log().contains("is in DNS").then_some(())).await;
        Self { binary, dns, resolver, seed, told }
    }

    /// Answers what was asked and what will be: each name has this address.
    fn resolver_says(&self, address: [u8; 4]) {
        let resolver = self.resolver.try_clone().unwrap();
        // It ends with the process.
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = resolver.recv_from(&mut query) {
                let is_a = query[length - 4..length] == [0, 1, 0, 1];
                let mut answer =
                    [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0], &query[12..length]].concat();
                if is_a {
                    answer.extend([&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4], &address[..]].concat());
                }
                let _ = resolver.send_to(&answer, from);
            }
        });
    }

    fn is_transferred(&self) -> bool {
        !transfer(self.dns, "service.").is_empty()
    }

    fn was_notified(&self) -> bool {
        self.told.recv_from(&mut [0; 512]).is_ok()
    }
}

const TREE: &str =
    "/services\n  /one\n    /providers\n      /db.example.com:80\n  /two\n    /providers\n      /192.0.2.9:80\n";

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_get_no_srv_before_the_addresses_of_its_host_were_looked_up() {
    let server = Server::start(TREE).await;
    for _ in 0..20 {
        assert!(!server.is_transferred(), "{:?}", transfer(server.dns, "service."));
        assert!(!server.was_notified());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(dig(server.dns, "SRV one.service").answer.len(), 1, "we ourselves know what we do not know");
    assert_eq!(dig(server.dns, "A one.service").status, "SERVFAIL");
    assert_eq!(dig(server.dns, "A two.service").data(), ["192.0.2.9"]);
    server.resolver_says([192, 0, 2, 7]);
    let zone =
        eventually("a transfer", async || Some(transfer(server.dns, "service.")).filter(|records| !records.is_empty()))
            .await;
    assert!(zone.iter().any(|record| record.ends_with("IN A 192.0.2.7")), "{zone:?}");
    eventually("NOTIFY", async || server.was_notified().then_some(())).await;

    // The same for a host that comes later: no state of the zone has the one without the other.
    std::fs::write(&server.seed, TREE.replace("/two", "/new\n    /providers\n      /db2.example.com:80\n  /two"))
        .unwrap();
    eventually("the new host at secondaries", async || {
        let zone = transfer(server.dns, "service.");
        let has = |end: &str| zone.iter().any(|record| record.ends_with(end));
        let is_whole = zone.iter().any(|record| record.starts_with("new.service.") && record.contains(" A "));
        assert_eq!(has("db2.example.com."), is_whole, "{zone:?}");
        has("db2.example.com.").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_never_answers_keeps_secondaries_from_the_zone_for_ten_seconds_and_no_longer() {
    let begun = Instant::now();
    let server = Server::start(TREE).await;
    let words = "hosts were not looked up in time";
    eventually("a transfer", async || server.is_transferred().then_some(())).await;
    assert!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(server.binary.log().matches(words).count(), 1, "{}", server.binary.log());
    eventually("NOTIFY", async || server.was_notified().then_some(())).await;
    // Another host that nobody can look up makes nobody wait again.
    std::fs::write(&server.seed, TREE.replace("/two", "/new\n    /providers\n      /db2.example.com:80\n  /two"))
        .unwrap();
    eventually("the change", async || {
        assert!(server.is_transferred());
        (dig(server.dns, "SRV new.service").answer.len() == 1).then_some(())
    })
    .await;
    assert!(server.is_transferred());
}
