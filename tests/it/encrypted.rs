//! DNS over TLS, with clients nobody here wrote: kdig, dnsperf and openssl.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::admin::metrics;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::secondary::KEY;

pub(crate) struct Server {
    pub(crate) binary: Binary,
    pub(crate) config: std::path::PathBuf,
    pub(crate) dns: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A server of `service.` with one service and a crowd of 300, over plain DNS and TLS.
pub(crate) async fn server(cert: &Path, key: &Path, more: &str) -> Server {
    let seed = scratch("seed.tree");
    let crowd: Vec<String> = (0..300).map(|i| format!("      /10.0.{}.{}:80\n", 1 + i / 250, 1 + i % 250)).collect();
    let tree =
        format!("/services\n  /api\n    /providers\n      /10.0.0.1:80\n  /crowd\n    /providers\n{}", crowd.concat());
    std::fs::write(&seed, tree).expect("a seed");
    let [dns, tls, admin] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let config = scratch("zonekeeper.toml");
    let text = format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\nallow_transfer = [\"key {name}\"]\n\
         [[key]]\nname = \"{name}\"\nsecret = \"{secret}\"\n[dns]\nlisten = [\"{dns}\"]\n{more}\n\
         [dns.tls]\nlisten = [\"{tls}\"]\ncert = \"{}\"\nkey = \"{}\"\n[admin]\nlisten = \"{admin}\"\n",
        seed.display(),
        cert.display(),
        key.display(),
        name = KEY.0,
        secret = KEY.1,
    );
    std::fs::write(&config, text).expect("a configuration");
    let binary = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
    eventually("the server", async || binary.log().contains("DNS over TLS").then_some(())).await;
    eventually("an answer", async || (dig(dns, "A api.service").status == "NOERROR").then_some(())).await;
    Server { binary, config, dns, tls, admin }
}

/// Output of kdig with these words, which go to the address.
pub(crate) fn kdig(server: SocketAddr, words: &str) -> String {
    let mut command = Command::new("kdig");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]).args(words.split(' '));
    let done = command.stdin(Stdio::null()).output().expect("`kdig` (package knot-dnsutils)");
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

/// Records of the answer, sorted.
pub(crate) fn records(output: &str) -> Vec<String> {
    let lines = output.lines().filter(|line| !line.is_empty() && !line.starts_with(";;"));
    let mut records: Vec<String> =
        lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect();
    records.sort();
    records
}

pub(crate) fn authority() -> (Authority, std::path::PathBuf, std::path::PathBuf) {
    let authority = Authority::new();
    authority.issue("dns");
    let (cert, key) = (authority.file("dns.pem"), authority.file("dns.key"));
    (authority, cert, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_over_tls_are_those_over_tcp() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let ca = format!("+tls-ca={} +tls-hostname=127.0.0.1", authority.file("ca.pem").display());
    let transfer = format!("service AXFR -y hmac-sha256:{}:{}", KEY.0, KEY.1);
    for query in
        ["api.service A", "api.service SRV", "crowd.service SRV", "crowd.service A", "nobody.service A", "service SOA"]
    {
        let (plain, encrypted) =
            (kdig(server.dns, &format!("{query} +tcp")), kdig(server.tls, &format!("{query} {ca}")));
        assert!(encrypted.contains("TLS session (TLS1.3)"), "{encrypted}");
        assert_eq!(records(&plain), records(&encrypted), "{query}");
        let status = |output: &str| output.split("status: ").nth(1).map(|rest| rest[..7].to_owned());
        assert_eq!(status(&plain), status(&encrypted), "{query}");
    }
    // Rights and signatures are those of TCP: a zone of several hundred names comes whole, and nothing without the key.
    let (plain, encrypted) = (kdig(server.dns, &transfer), kdig(server.tls, &format!("{transfer} {ca}")));
    assert!(records(&plain).len() > 600, "{plain}");
    let without_tsig = |output: &str| -> Vec<String> {
        records(output).into_iter().filter(|record| !record.contains(" TSIG ")).collect()
    };
    assert_eq!(without_tsig(&plain), without_tsig(&encrypted));
    let refused = kdig(server.tls, &format!("service AXFR {ca}"));
    assert!(refused.contains("REFUSED"), "{refused}");
    let counts = metrics(server.admin);
    assert!(counts("zonekeeper_dns_responses_total{transport=\"tls\",rcode=\"NOERROR\"}") >= 5);
    assert_eq!(counts("zonekeeper_dns_responses_total{transport=\"tls\",rcode=\"NXDOMAIN\"}"), 1);
    // A client without TLS gets no answer here.
    assert!(!kdig(server.tls, "api.service A +tcp +time=1 +retry=0").contains("10.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_queries_over_tls_lose_no_answer() {
    let (_authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let queries = scratch("queries");
    // dnsperf takes no message over 16 KiB.
    let questions = ["api.service A", "crowd.service A", "no.service A", "api.service SRV", "service SOA"];
    let lines: Vec<String> = (0..500).map(|i| format!("{}\n", questions[i % 5])).collect();
    std::fs::write(&queries, lines.concat()).expect("queries");
    let done = Command::new("dnsperf")
        .args([
            "-m",
            "dot",
            "-s",
            "127.0.0.1",
            "-p",
            &server.tls.port().to_string(),
            "-c",
            "8",
            "-q",
            "100",
            "-n",
            "20",
        ])
        .args(["-d", &queries.to_string_lossy()])
        .output()
        .expect("`dnsperf` (package dnsperf)");
    let output = String::from_utf8_lossy(&done.stdout);
    let of = |label: &str| {
        output.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_default().trim().to_owned()
    };
    assert!(of("Queries completed:").starts_with("10000 (100.00%)"), "{output}");
    assert!(of("Queries lost:").starts_with("0 "), "{output}");
    assert!(of("Response codes:").contains("NXDOMAIN"), "{output}");
}

/// Subject of the certificate that is shown.
pub(crate) fn shown(server: SocketAddr) -> String {
    let script = format!("openssl s_client -connect {server} </dev/null 2>/dev/null | openssl x509 -noout -subject");
    let done = Command::new("sh").args(["-c", &script]).output().expect("`openssl` (package openssl)");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_reload_and_a_wrong_one_changes_nothing() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let first = shown(server.tls);
    assert!(first.ends_with("dns"), "{first}");
    authority.issue("renewed");
    // The certificate first, as renewals do: for a moment it does not go with the key.
    std::fs::copy(authority.file("renewed.pem"), &cert).expect("a certificate");
    eventually("the trouble", async || server.binary.log().contains("does not go with").then_some(())).await;
    assert_eq!(shown(server.tls), first);
    std::fs::copy(authority.file("renewed.key"), &key).expect("a key");
    eventually("the renewed one", async || shown(server.tls).ends_with("renewed").then_some(())).await;
    assert_eq!(server.binary.log().matches("does not go with").count(), 1, "{}", server.binary.log());
    // Another file, by a reload.
    authority.issue("other");
    let text = std::fs::read_to_string(&server.config).expect("the configuration");
    let text = text.replace("/dns.pem", "/other.pem").replace("/dns.key", "/other.key");
    std::fs::write(&server.config, text).expect("the configuration");
    server.binary.signal("HUP");
    eventually("the other one", async || shown(server.tls).ends_with("other").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_certificate_the_rest_of_dns_is_served_and_tls_when_it_is_there() {
    let (authority, cert, key) = authority();
    std::fs::rename(&cert, authority.file("aside.pem")).expect("a certificate");
    let server = server(&cert, &key, "").await;
    let log = server.binary.log();
    assert!(log.contains("the certificate of DNS over TLS cannot be used: "), "{log}");
    assert!(log.contains("DNS over TLS refuses its clients until it can be read"), "{log}");
    assert_eq!(shown(server.tls), "");
    let check =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).arg("check").arg("--config").arg(&server.config).output();
    let check = check.expect("the binary");
    let said = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    assert!(said.contains("dns.tls: ") && said.contains("dns.pem: ") && !check.status.success(), "{said}");
    std::fs::rename(authority.file("aside.pem"), &cert).expect("a certificate");
    eventually("it is shown", async || shown(server.tls).ends_with("dns").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_holds_its_place_no_longer_than_a_silent_connection() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "tcp = { idle = \"1s\", connections = 4 }").await;
    let silent: Vec<_> = (0..4).map(|_| std::net::TcpStream::connect(server.tls).expect("a connection")).collect();
    let ca = format!("+tls-ca={} +tls-hostname=127.0.0.1", authority.file("ca.pem").display());
    // All places are taken: the longest idle one makes room, over TLS and TCP alike.
    assert!(kdig(server.tls, &format!("api.service A {ca}")).contains("10.0.0.1"));
    assert!(kdig(server.dns, "api.service A +tcp").contains("10.0.0.1"));
    let begun = Instant::now();
    for mut stream in silent {
        use std::io::Read as _;
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_place_keeps_the_listeners_of_tls() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let ca = format!("+tls-ca={} +tls-hostname=127.0.0.1", authority.file("ca.pem").display());
    assert!(kdig(server.tls, &format!("api.service A {ca}")).contains("10.0.0.1"));
    let restart =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["restart", "--config"]).arg(&server.config).output();
    let restart = restart.expect("the binary");
    assert!(restart.status.success(), "{}", String::from_utf8_lossy(&restart.stderr));
    // Whoever comes meanwhile waits in the listener, and is not turned away.
    for _ in 0..20 {
        assert!(
            kdig(server.tls, &format!("api.service A {ca} +retry=0")).contains("10.0.0.1"),
            "{}",
            server.binary.log()
        );
    }
}
