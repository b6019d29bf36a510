//! ZooKeeper's own servers as a service of DNS.

use std::net::Ipv4Addr;

use crate::harness::admin::page;
use crate::harness::app::{Running, free_port};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::zk::{CLIENT, Server, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_of_an_ensemble_are_the_service_zookeeper() {
    let server = tokio::task::spawn_blocking(|| {
        let (quorum, election) = (free_port(), free_port());
        let address = Ipv4Addr::LOCALHOST;
        let config = format!(
            "initLimit=20\nsyncLimit=6\nstandaloneEnabled=false\nserver.1={address}:{quorum}:{election};{CLIENT}\n"
        );
        Server::with(&Setup { config, id: Some(1), ..Setup::default() })
    });
    let server = server.await.expect("no panic");
    let ours = Running::start(&format!(
        "[registry.zk]\nzookeeper = \"{}\"\nformat = \"ensemble\"\n[[zone]]\norigin = \"service.\"\n",
        server.address()
    ));
    let wanted = format!("0 10 {} 127-0-0-1.addr.service.", server.socket().port());
    eventually("the server", async || {
        (dig(ours.dns, "SRV _zookeeper._tcp.service").data() == [wanted.as_str()]).then_some(())
    })
    .await;
    assert_eq!(dig(ours.dns, "A zookeeper.service").data(), ["127.0.0.1"]);
    assert_eq!(dig(ours.dns, "SRV _quorum._tcp.zookeeper.service").data().len(), 1);
    assert_eq!(dig(ours.dns, "A other.service").status, "NXDOMAIN");
    let services = page(ours.admin, "/v1/services");
    assert!(services.contains("\"path\":\"zookeeper\"") && services.contains("\"malformed\":[]"), "{services}");
    let explained = page(ours.admin, "/v1/explain?name=zookeeper.service&type=SRV");
    assert!(explained.contains("/zookeeper/config") && explained.contains("127.0.0.1"), "{explained}");
}
