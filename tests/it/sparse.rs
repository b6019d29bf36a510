//! Trees in which the wanted znodes are few among many busy ones: what is not wanted costs nothing.

use std::time::{Duration, Instant};

use crate::harness::admin::metrics;
use crate::harness::app::Running;
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::{eventually, zk};

const TABLE: &str = "/clickhouse/tables/01/t";

fn host(port: u16) -> Vec<u8> {
    format!("host: 192.0.2.1\nport: 9009\ntcp_port: {port}\ndatabase: d\ntable: t\nscheme: http\n").into_bytes()
}

fn znodes(server: &Running) -> u64 {
    metrics(server.admin)("zonekeeper_registry_znodes{registry=\"main\"}")
}

fn events(server: &Running) -> u64 {
    metrics(server.admin)("zonekeeper_registry_events_total{registry=\"main\"}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_busy_beside_the_wanted_znodes_is_neither_mirrored_nor_told_and_those_follow_at_once() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let replica = format!("{TABLE}/replicas/ch1");
    kazoo.create(&format!("{replica}/host"), &host(9000), true);
    kazoo.create(&format!("{replica}/is_active"), b"", true);
    for part in 0..200 {
        kazoo.create(&format!("{replica}/parts/all_{part}"), b"x", false);
        kazoo.create(&format!("{TABLE}/log/log-{part}"), b"x", false);
    }
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nformat = \"clickhouse\"\nlinger = \"0s\"\n\
         [[zone]]\norigin = \"service.\"\n"
    ));
    let answer = |port: u16| format!("0 10 {port} 192-0-2-1.addr.service.");
    let shows = async |port: u16| {
        let wanted = answer(port);
        let is_it = async || (dig(server.dns, "SRV t.clickhouse.service").data() == [wanted.as_str()]).then_some(());
        eventually(&wanted, is_it).await;
    };
    shows(9000).await;
    // The root, the shard, the table, its replicas, one of them, its host and whether it is active.
    assert!(znodes(&server) <= 8, "{}", znodes(&server));
    let before = events(&server);
    for part in 0..200 {
        kazoo.set(&format!("{replica}/parts/all_{part}"), b"y");
        kazoo.create(&format!("{replica}/parts/more_{part}"), b"x", false);
    }
    let begun = Instant::now();
    kazoo.set(&format!("{replica}/host"), &host(9001));
    shows(9001).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(events(&server) - before < 10, "{}", events(&server) - before);
    // One that is not active any more is drained, and back when it is; a new one comes with its znodes.
    kazoo.delete(&format!("{replica}/is_active"));
    eventually("not active", async || dig(server.dns, "SRV t.clickhouse.service").data().is_empty().then_some(()))
        .await;
    kazoo.create(&format!("{replica}/is_active"), b"", true);
    shows(9001).await;
    kazoo.create(&format!("{TABLE}/replicas/ch2/host"), &host(9002), true);
    kazoo.create(&format!("{TABLE}/replicas/ch2/is_active"), b"", true);
    eventually("two", async || (dig(server.dns, "SRV t.clickhouse.service").data().len() == 2).then_some(())).await;
}
