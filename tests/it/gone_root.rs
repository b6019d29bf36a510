//! A root that vanished: its services are known and empty until it is back, over restarts of the server, too.

use std::path::Path;

use crate::harness::admin::page;
use crate::harness::app::{Running, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::{eventually, zk};
use crate::unknown::{readiness, shown, shows};

/// A server with this cache file, of which no deleted service lingers.
fn serve(servers: &str, cache: &Path) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nlinger = \"0s\"\ncache_file = \"{}\"\n\
         [[zone]]\norigin = \"service.\"\n",
        cache.display()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_a_root_that_is_gone_are_empty_after_a_restart_and_no_longer_once_it_is_back() {
    let servers = zk::shared().namespace().await;
    let (address, chroot) = servers.split_once('/').expect("a chroot");
    let proxy = Proxy::start(address.parse().expect("an address"));
    let through = format!("{}/{chroot}", proxy.address());
    let cache = scratch("registry.cache");
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    kazoo.create("/services/a/b/providers/10.0.0.2:80", b"{}", false);
    let server = serve(&through, &cache);
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    for path in [
        "/services/api/providers/10.0.0.1:80",
        "/services/api/providers",
        "/services/api",
        "/services/a/b/providers/10.0.0.2:80",
        "/services/a/b/providers",
        "/services/a/b",
        "/services/a",
        "/services",
    ] {
        kazoo.delete(path);
    }
    shows(server.dns, "A api.service", "NOERROR").await;
    shows(server.dns, "SRV _api._tcp.service", "NOERROR").await;
    let gone = format!("the root /{chroot}/services is gone: its services are known and empty until it is back");
    eventually("a line of the status", async || page(server.admin, "/v1/status?as=text").contains(&gone).then_some(()))
        .await;
    let status = page(server.admin, "/v1/status?as=text");
    assert!(!status.contains("wrong:"), "empty is not wrong: container nodes go with the last instance:\n{status}");
    assert!(page(server.admin, "/metrics").contains("zonekeeper_registry_trouble{registry=\"main\"} 0"));
    server.stop().await;

    let empty = |server: &Running, stale: &str| {
        for query in ["A api.service", "SRV _api._tcp.service", "A b.a.service", "A a.service"] {
            assert_eq!(shown(server.dns, query), format!("NOERROR{stale}"), "{query}");
        }
        assert!(shown(server.dns, "A never.service").starts_with("NXDOMAIN"));
    };
    // Twice: what was read from the file is in the next one.
    for _ in 0..2 {
        let server = serve(&through, &cache);
        shows(server.dns, "A api.service", "NOERROR").await;
        empty(&server, "");
        assert_eq!(readiness(&server, "?fresh"), "200 ready");
        server.stop().await;
    }
    // And while ZooKeeper is away.
    proxy.cut();
    let server = serve(&through, &cache);
    shows(server.dns, "A api.service", "NOERROR EDE: 3 (Stale Answer)").await;
    empty(&server, " EDE: 3 (Stale Answer)");
    proxy.heal();
    shows(server.dns, "A api.service", "NOERROR").await;
    kazoo.create("/services/web/providers/10.0.0.3:80", b"{}", false);
    shows(server.dns, "A web.service", "NOERROR 10.0.0.3").await;
    shows(server.dns, "A api.service", "NXDOMAIN").await;
    server.stop().await;
}
