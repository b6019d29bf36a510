//! A part of a registry that was read and may not be read any more: its names keep their last answers, as stale ones,
//! and all others are current.

use std::time::Duration;

use crate::harness::admin::page;
use crate::harness::app::Running;
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::zk;
use crate::unknown::{readiness, shown, shows};

const STALE: &str = "EDE: 3 (Stale Answer)";

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_may_not_be_read_any_more_is_stale_alone_and_servfail_alone_after_max_stale() {
    let servers = zk::shared().namespace().await;
    let (address, chroot) = servers.split_once('/').expect("a chroot");
    let proxy = Proxy::start(address.parse().expect("an address"));
    let mut kazoo = Kazoo::connect(&servers);
    for (service, host) in [("api", "10.0.0.1"), ("pay", "10.0.0.2"), ("pay/eu", "10.0.0.3")] {
        kazoo.create(&format!("/services/{service}/providers/{host}:80"), b"{}", false);
    }
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{}/{chroot}\"\nsession_timeout = \"4s\"\nmax_stale = \"15s\"\n\
         [[zone]]\norigin = \"service.\"\n[[zone]]\norigin = \"pay.\"\nunder = \"pay\"\n",
        proxy.address()
    ));
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A eu.pay", "NOERROR 10.0.0.3").await;
    for path in ["/services/pay/providers/10.0.0.2:80", "/services/pay/providers", "/services/pay"] {
        kazoo.lock(path, "owner:secret");
    }
    // No event tells of an ACL: it is met at the next reading.
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.heal();
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    shows(server.dns, "A pay.service", &format!("NOERROR 10.0.0.2 {STALE}")).await;
    for transport in ["+notcp", "+tcp"] {
        let said = |query: &str| shown(server.dns, &format!("{query} {transport}"));
        for (query, data) in [
            ("A eu.pay.service", "NOERROR 10.0.0.3 EDE: 3 (Stale Answer)"),
            ("TXT pay.service", "NOERROR EDE: 3 (Stale Answer)"),
            ("A x.pay.service", "NXDOMAIN EDE: 19 (Stale NXDOMAIN Answer)"),
            ("A eu.pay", "NOERROR 10.0.0.3 EDE: 3 (Stale Answer)"),
            ("A api.service", "NOERROR 10.0.0.1"),
            ("A nobody.service", "NXDOMAIN"),
        ] {
            assert_eq!(said(query), data, "{query}");
        }
        let srv = dig(server.dns, &format!("SRV _pay._tcp.service {transport}"));
        assert_eq!((srv.answer.len(), srv.edns.iter().any(|line| line == STALE)), (1, true), "{srv:?}");
        let soa = dig(server.dns, &format!("SOA service {transport}"));
        assert!(!soa.edns.iter().any(|line| line.starts_with("EDE")), "{soa:?}");
    }
    assert_eq!(readiness(&server, ""), "200 ready");
    assert!(readiness(&server, "?fresh").starts_with("503"), "{}", readiness(&server, "?fresh"));
    let explained = page(server.admin, "/v1/explain?name=pay.service");
    assert!(explained.contains("stale: its part of the registry may not be read any more"), "{explained}");
    // What can still be read goes on.
    kazoo.create("/services/web/providers/10.0.0.9:80", b"{}", false);
    shows(server.dns, "A web.service", "NOERROR 10.0.0.9").await;

    let too_old = |path: &str| {
        let path = format!("/{chroot}/services/{path}");
        format!("SERVFAIL EDE: 22 (No Reachable Authority): (not allowed to read {path} (without credentials))")
    };
    shows(server.dns, "A pay.service", &too_old("pay")).await;
    assert_eq!(shown(server.dns, "A eu.pay.service"), too_old("pay"));
    assert_eq!(shown(server.dns, "A api.service"), "NOERROR 10.0.0.1");
    assert_eq!(shown(server.dns, "A nobody.service"), "NXDOMAIN");
    assert_eq!(readiness(&server, "?zone=service"), "200 ready");
    assert!(readiness(&server, "?zone=pay").starts_with("503 pay.: SERVFAIL"), "{}", readiness(&server, "?zone=pay"));

    for path in ["/services/pay", "/services/pay/providers", "/services/pay/providers/10.0.0.2:80"] {
        kazoo.unlock(path);
    }
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A eu.pay.service", "NOERROR 10.0.0.3").await;
    shows(server.dns, "A x.pay.service", "NXDOMAIN").await;
    assert_eq!(readiness(&server, "?fresh"), "200 ready");
    server.stop().await;
}
