//! Names that a zone's file gives, and the SOA and NS of its apex: they are answered whatever is not known of the
//! registry that fills the zone; all others are SERVFAIL.

use std::net::{Ipv4Addr, SocketAddr};

use crate::harness::admin::page;
use crate::harness::app::{Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::zk;
use crate::unknown::{readiness, shown, shows};

const FILE: &str = "\
$TTL 60
@ NS ns
@ MX 10 mail
ns A 192.0.2.1
www A 192.0.2.80
mail A 192.0.2.25
_imap._tcp SRV 0 0 143 mail
alias CNAME www
out CNAME www.example.
into CNAME api
sub NS ns.sub
ns.sub A 192.0.2.53
old DNAME elsewhere.example.
a.b TXT \"deep\"
*.wild TXT \"anything\"
";

/// A server of `service.` with the file above, over this ensemble.
fn serve(servers: &str, settings: &str) -> Running {
    let file = scratch("service.zone");
    std::fs::write(&file, FILE).expect("a zone file");
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n{settings}\n\
         [[zone]]\norigin = \"service.\"\nfile = \"{}\"\n",
        file.display()
    ))
}

/// What is known is answered, what is not is SERVFAIL with this extended error, over both transports.
fn knows_its_file(server: &Running, error: &str) {
    for transport in ["+notcp", "+tcp"] {
        let ask = |query: &str| dig(server.dns, &format!("{query} {transport}"));
        for (query, data) in [
            ("A www.service", &["192.0.2.80"][..]),
            ("A WWW.service", &["192.0.2.80"]),
            ("MX service", &["10 mail.service."]),
            ("NS service", &["ns.service."]),
            ("A ns.service", &["192.0.2.1"]),
            ("SRV _imap._tcp.service", &["0 0 143 mail.service."]),
            ("A alias.service", &["192.0.2.80", "www.service."]),
            ("A out.service", &["www.example."]),
            ("CNAME into.service", &["api.service."]),
            ("A x.old.service", &["elsewhere.example.", "x.elsewhere.example."]),
            ("TXT a.b.service", &["\"deep\""]),
            ("TXT *.wild.service", &["\"anything\""]),
        ] {
            let answer = ask(query);
            assert_eq!(
                (&*answer.status, answer.data().iter().map(|line| &**line).collect()),
                ("NOERROR", data.to_vec())
            );
            assert!(answer.has_flag("aa"), "{query}: {answer:?}");
            assert!(!answer.edns.iter().any(|line| line.starts_with("EDE")), "{query}: {answer:?}");
        }
        let soa = ask("SOA service");
        assert_eq!((&*soa.status, soa.answer.len(), soa.has_flag("aa")), ("NOERROR", 1, true), "{soa:?}");
        let referral = ask("A x.sub.service");
        assert_eq!((&*referral.status, referral.has_flag("aa")), ("NOERROR", false), "{referral:?}");
        assert_eq!(referral.authority, ["sub.service. 60 IN NS ns.sub.service."]);
        assert_eq!(referral.additional, ["ns.sub.service. 60 IN A 192.0.2.53"]);
        for query in ["AAAA www.service", "TXT mail.service", "DNSKEY service", "CAA service", "AAAA ns.service"] {
            let answer = ask(query);
            assert_eq!((&*answer.status, answer.answer.len(), answer.has_flag("aa")), ("NOERROR", 0, true), "{query}");
            let serial = |line: &String| line.split(' ').nth(6).map(str::to_owned);
            assert_eq!(serial(&answer.authority[0]), serial(&soa.answer[0]), "{query}: {answer:?}");
        }
        // The registry may have these, whatever the file's wildcard and the names below others say.
        for query in [
            "A api.service",
            "SRV api.service",
            "A nobody.service",
            "A into.service",
            "A service",
            "SRV service",
            "TXT service",
            "A b.service",
            "A x.www.service",
            "TXT x.wild.service",
            "A wild.service",
        ] {
            let said = shown(server.dns, &format!("{query} {transport}"));
            assert_eq!(said, format!("SERVFAIL {error}"), "{query}");
        }
    }
    assert!(readiness(server, "").starts_with("503 service.: SERVFAIL"), "{}", readiness(server, ""));
    let explained = |name: &str| page(server.admin, &format!("/v1/explain?name={name}&type=A"));
    assert!(explained("www.service").contains("answer: 1 records"), "{}", explained("www.service"));
    assert!(explained("api.service").contains("answer: SERVFAIL: "), "{}", explained("api.service"));
}

const NOT_READY: &str = "EDE: 14 (Not Ready)";

#[tokio::test(flavor = "multi_thread")]
async fn zone_file_names_are_answered_while_no_zookeeper_was_ever_reached() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let server = serve(&nobody.to_string(), "");
    shows(server.dns, "A www.service", "NOERROR 192.0.2.80").await;
    knows_its_file(&server, NOT_READY);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zone_file_names_are_answered_while_the_root_does_not_exist_and_the_rest_once_it_does() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let server = serve(&servers, "");
    shows(server.dns, "A www.service", "NOERROR 192.0.2.80").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    knows_its_file(&server, NOT_READY);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    shows(server.dns, "A into.service", "NOERROR 10.0.0.1 api.service.").await;
    assert_eq!(shown(server.dns, "A nobody.service"), "NXDOMAIN");
    assert_eq!(shown(server.dns, "TXT x.wild.service"), "NOERROR \"anything\"");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zone_file_names_are_answered_after_max_stale() {
    let servers = zk::shared().namespace().await;
    let (address, chroot) = servers.split_once('/').expect("a chroot");
    let proxy = Proxy::start(address.parse().expect("an address"));
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    let server = serve(&format!("{}/{chroot}", proxy.address()), "max_stale = \"2s\"");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    proxy.cut();
    let too_old = "EDE: 22 (No Reachable Authority)";
    shows(server.dns, "A api.service", &format!("SERVFAIL {too_old}")).await;
    knows_its_file(&server, too_old);
    proxy.heal();
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    server.stop().await;
}
