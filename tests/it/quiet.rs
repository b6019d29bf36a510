//! A registry that others use as well: what is no registration is counted, and costs a handful of lines and no name.

use std::time::Duration;

use zonekeeper::registry::Path;
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::{Access, Ensemble as _, Mode, Session as _, Write};

use crate::harness::admin::metrics;
use crate::harness::app::{Binary, free_port};
use crate::harness::dig::dig;
use crate::harness::{eventually, zk};

async fn create(servers: &str, paths: impl Iterator<Item = String>) {
    let session = ZooKeeper::new(servers, Duration::from_secs(30)).connect().await.expect("a session");
    let paths: Vec<_> = paths.map(|path| Path::new(&path).expect("a path")).collect();
    for paths in paths.chunks(500) {
        let write = |path: &Path| Write::Create {
            path: path.clone(),
            data: b"{}".to_vec(),
            mode: Mode::Persistent,
            access: Access::Open,
        };
        session.write(&paths.iter().map(write).collect::<Vec<_>>()).await.expect("znodes");
    }
}

async fn serve(servers: &str, root: &str) -> (Binary, std::net::SocketAddr, std::net::SocketAddr) {
    let (dns, admin) = (free_port(), free_port());
    let binary = Binary::serve(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nroot = \"{root}\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    ));
    eventually("the mirror", async || binary.log().contains("the mirror is live").then_some(())).await;
    (binary, ([127, 0, 0, 1], dns).into(), ([127, 0, 0, 1], admin).into())
}

fn warnings(log: &str) -> usize {
    log.lines().filter(|line| line.contains("WARN")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_foreign_znodes_give_a_handful_of_lines() {
    let servers = zk::shared().namespace().await;
    let base = ["/services", "/services/a", "/services/a/providers", "/services/a/providers/10.0.0.1:80"];
    let foreign = (0..10_000).map(|i| format!("/services/a/providers/lock-{i:05}"));
    let others = (0..100).flat_map(|i| {
        let service = format!("/services/s{i}");
        [service.clone(), format!("{service}/providers"), format!("{service}/providers/leader")]
    });
    // No name in DNS is so long.
    let deep = (1..=150).map(|depth| format!("/services/deep{}", "/x".repeat(depth)));
    let all = base.map(str::to_owned).into_iter().chain(foreign).chain(others);
    create(&servers, all.chain(std::iter::once("/services/deep".to_owned())).chain(deep)).await;
    let (binary, dns, admin) = serve(&servers, "/services").await;
    eventually("the service", async || (dig(dns, "A a.service").data() == ["10.0.0.1"]).then_some(())).await;
    let count = metrics(admin);
    assert_eq!(count("registry_lost{registry=\"main\"}"), 10_101, "each is counted: {}", binary.log());
    let log = binary.log();
    assert!((2..=12).contains(&warnings(&log)), "{log}");
    assert!(log.contains("znodes of this service are not served service=\"a\" znodes=10000"), "{log}");
    assert!(log.contains("/services/a/providers/lock-00000: its name is not of the form host:port"), "{log}");
    assert!(log.contains("more znodes are lost or doubtful"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeepers_own_znodes_are_no_services() {
    let servers = zk::shared().namespace().await;
    let paths = ["/zookeeper", "/zookeeper/quota", "/zookeeper/quota/api", "/zookeepers", "/api", "/api/10.0.0.1:80"];
    create(&servers, paths.map(str::to_owned).into_iter()).await;
    let (binary, dns, _) = serve(&servers, "/").await;
    eventually("the service", async || (dig(dns, "A api.service").data() == ["10.0.0.1"]).then_some(())).await;
    for name in ["zookeeper.service", "quota.zookeeper.service", "api.quota.zookeeper.service"] {
        assert_eq!(dig(dns, &format!("A {name}")).status, "NXDOMAIN", "{name}: {}", binary.log());
    }
    assert_eq!(dig(dns, "A zookeepers.service").status, "NOERROR");
}
