//! DNS over QUIC, with a client nobody here wrote: kdig.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::encrypted::{self, authority, kdig, records};
use crate::harness::admin::metrics;
use crate::harness::app::free_port;
use crate::harness::secondary::KEY;

#[tokio::test(flavor = "multi_thread")]
async fn answers_over_quic_are_those_over_tcp_and_survive_a_restart_in_place() {
    let (authority, cert, key) = authority();
    let quic = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let table =
        format!("[dns.quic]\nlisten = [\"{quic}\"]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    let server = encrypted::server(&cert, &key, &table).await;
    assert!(server.binary.log().contains("DNS over QUIC"), "{}", server.binary.log());
    let over = format!("+tls-ca={} +tls-hostname=127.0.0.1 +quic", authority.file("ca.pem").display());
    let status = |output: &str| {
        output.split("QUERY; status: ").nth(1).and_then(|rest| rest.split(';').next()).map(str::to_owned)
    };
    for query in
        ["api.service A", "api.service SRV", "crowd.service SRV", "api.service ANY", "nobody.service A", "service SOA"]
    {
        let (plain, encrypted) = (kdig(server.dns, &format!("{query} +tcp")), kdig(quic, &format!("{query} {over}")));
        assert!(encrypted.contains("QUIC session"), "{encrypted}");
        assert_eq!(records(&plain), records(&encrypted), "{query}");
        assert!(status(&plain).is_some() && status(&plain) == status(&encrypted), "{query}: {encrypted}");
    }
    // Neither a zone nor a signature goes over it.
    let signed = format!("-y hmac-sha256:{}:{}", KEY.0, KEY.1);
    for words in [format!("api.service A {signed}"), "service AXFR".to_owned()] {
        let refused = kdig(quic, &format!("{words} {over}"));
        assert!(refused.contains("REFUSED") && !refused.contains("10.0.0.1"), "{words}: {refused}");
    }
    let counts = metrics(server.admin);
    assert!(counts("zonekeeper_dns_responses_total{transport=\"quic\",rcode=\"NOERROR\"}") >= 5);
    assert_eq!(counts("zonekeeper_dns_responses_total{transport=\"quic\",rcode=\"NXDOMAIN\"}"), 1);
    let restart =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["restart", "--config"]).arg(&server.config).output();
    let restart = restart.expect("the binary");
    assert!(restart.status.success(), "{}", String::from_utf8_lossy(&restart.stderr));
    crate::harness::eventually("an answer by the next image", async || {
        kdig(quic, &format!("api.service A +retry=0 +time=2 {over}")).contains("10.0.0.1").then_some(())
    })
    .await;
}
