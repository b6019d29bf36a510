//! HTTPS records of services (RFC 9460): by dig and kdig over a real ZooKeeper, at secondaries, in explain and dump.

use std::process::Command;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::{dig, transfer};
use crate::harness::kazoo::Kazoo;
use crate::harness::{eventually, zk};

#[tokio::test(flavor = "multi_thread")]
async fn browsers_find_the_port_of_a_service_by_its_https_records() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/web/providers/10.0.0.1:443", b"{}", false);
    kazoo.create("/services/web/providers/10.0.0.2:80", br#"{"ports": {"https": 8443}, "ttl": 30}"#, false);
    kazoo.create("/services/web/providers/10.0.0.3:80", b"{}", false);
    kazoo.create("/services/web/providers/10.0.0.4:443", br#"{"state": "drain"}"#, false);
    kazoo.create("/services/plain/providers/10.0.0.5:80", b"{}", false);
    kazoo.create("/services/alone/providers/alone.example.invalid:443", b"{}", false);
    let [dns, admin] = [(); 2].map(|()| std::net::SocketAddr::from(([127, 0, 0, 1], free_port())));
    let config = scratch("zonekeeper.toml");
    let text = |more: &str| {
        format!(
            "[registry.main]\nzookeeper = \"{servers}\"\n[[zone]]\norigin = \"service.\"\nttl = \"60s\"\n\
             unknown_host = \"alias\"\n{more}\n[dns]\nlisten = [\"{dns}\"]\nallow_transfer = [\"any\"]\n\
             [admin]\nlisten = \"{admin}\"\n"
        )
    };
    std::fs::write(&config, text("")).unwrap();
    let mut server = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
    eventually("an answer", async || (dig(dns, "SRV web.service").answer.len() == 3).then_some(())).await;
    assert_eq!(dig(dns, "TYPE65 web.service").status, "NOERROR");
    assert!(dig(dns, "TYPE65 web.service").answer.is_empty(), "nobody asked for them");

    std::fs::write(&config, text("https = true")).unwrap();
    server.signal("HUP");
    let records = ["1 10-0-0-1.addr.service. port=443", "1 10-0-0-2.addr.service. port=8443"];
    eventually("HTTPS records", async || (dig(dns, "HTTPS web.service").data() == records).then_some(())).await;
    for query in ["TYPE65 web.service +tcp", "HTTPS WEB.service +noedns", "HTTPS web.service +bufsize=1232"] {
        let response = dig(dns, query);
        assert_eq!(response.data(), records, "{query}");
        assert!(response.answer.iter().all(|line| line.contains(" 30 IN HTTPS ")), "the least TTL: {response:?}");
    }
    // Others read them, too.
    let kdig = Command::new("kdig")
        .args(["@127.0.0.1", "-p", &dns.port().to_string(), "+short", "HTTPS", "web.service"])
        .output()
        .expect("install the package knot-dnsutils");
    let kdig = String::from_utf8_lossy(&kdig.stdout).into_owned();
    assert!(kdig.contains("1 10-0-0-2.addr.service. port=8443"), "{kdig}");
    let none = dig(dns, "HTTPS plain.service");
    assert_eq!((none.status.as_str(), none.answer.len()), ("NOERROR", 0));
    // An alias is alone at its name.
    let alias = dig(dns, "HTTPS alone.service");
    assert!(alias.answer.iter().all(|line| !line.contains(" HTTPS ")), "{alias:?}");

    let zone = transfer(dns, "service");
    let lines: Vec<_> = zone.iter().filter(|line| line.contains(" HTTPS ")).collect();
    assert_eq!(lines.len(), 2, "{zone:?}");
    assert!(lines.iter().all(|line| line.starts_with("web.service. ")), "{lines:?}");
    let asked = |words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(words).args(["--admin", &admin.to_string()]).output();
        let output = output.expect("our own binary");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).replace('\t', " ")
    };
    for words in [&["dump", "--zone", "service"][..], &["explain", "web.service", "https"]] {
        let text = asked(words);
        for record in records {
            assert!(text.contains(&format!("HTTPS {record}")), "{words:?}: {text}");
        }
    }

    kazoo.set("/services/web/providers/10.0.0.2:80", br#"{"ports": {"https": 8443}, "state": "drain"}"#);
    eventually("the drained one gone", async || (dig(dns, "HTTPS web.service").data() == records[..1]).then_some(()))
        .await;
    server.signal("TERM");
    assert!(server.wait().success());
}
