//! DNS over HTTPS, with clients nobody here wrote: kdig, dnsperf and curl; and padding over both encrypted transports.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::encrypted::{self, authority, kdig, records, shown};
use crate::harness::admin::metrics;
use crate::harness::app::{free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::eventually;
use crate::harness::secondary::KEY;

struct Server {
    /// With DNS over TLS as well.
    inner: encrypted::Server,
    https: SocketAddr,
}

async fn server(cert: &Path, key: &Path, more: &str) -> Server {
    let https = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let table = format!(
        "{more}\n[dns.https]\nlisten = [\"{https}\"]\ncert = \"{}\"\nkey = \"{}\"\n",
        cert.display(),
        key.display()
    );
    let inner = encrypted::server(cert, key, &table).await;
    assert!(inner.binary.log().contains("DNS over HTTPS"), "{}", inner.binary.log());
    Server { inner, https }
}

/// Words for kdig: the method, and the authority.
fn over(authority: &Authority, method: &str) -> String {
    format!("+{method} +tls-ca={} +tls-hostname=127.0.0.1", authority.file("ca.pem").display())
}

/// The answer's `status`.
fn status(output: &str) -> Option<String> {
    output.split("QUERY; status: ").nth(1).map(|rest| rest.split(';').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_over_https_are_those_over_tcp_by_get_and_by_post() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    for query in
        ["api.service A", "api.service SRV", "crowd.service SRV", "crowd.service A", "nobody.service A", "service SOA"]
    {
        let plain = kdig(server.inner.dns, &format!("{query} +tcp"));
        for method in ["https", "https-get"] {
            let encrypted = kdig(server.https, &format!("{query} {}", over(&authority, method)));
            assert!(encrypted.contains("HTTP session (HTTP/2-"), "{encrypted}");
            assert_eq!(records(&plain), records(&encrypted), "{query} {method}");
            assert!(status(&plain).is_some() && status(&plain) == status(&encrypted), "{query} {method}");
        }
    }
    let https = over(&authority, "https");
    // Signatures are those of TCP, and zones are not transferred, whoever signs.
    let signed = format!("-y hmac-sha256:{}:{}", KEY.0, KEY.1);
    let plain = kdig(server.https, &format!("api.service A {https} {signed}"));
    assert!(plain.contains("10.0.0.1") && !plain.contains("WARNING"), "{plain}");
    let wrong = kdig(server.https, &format!("api.service A {https} -y hmac-sha256:{}:AAAAAAAAAAAAAAAAAAAAAA==", KEY.0));
    assert!(wrong.contains("BADSIG") && !wrong.contains("10.0.0.1"), "{wrong}");
    let transfer = kdig(server.https, &format!("service AXFR {https} {signed}"));
    assert!(transfer.contains("REFUSED") || status(&transfer).as_deref() == Some("REFUSED"), "{transfer}");
    let counts = metrics(server.inner.admin);
    assert!(counts("zonekeeper_dns_responses_total{transport=\"https\",rcode=\"NOERROR\"}") >= 11);
    assert_eq!(counts("zonekeeper_dns_responses_total{transport=\"https\",rcode=\"NXDOMAIN\"}"), 2);
    assert_eq!(counts("zonekeeper_dns_responses_total{transport=\"https\",rcode=\"REFUSED\"}"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_queries_over_https_lose_no_answer_by_either_method() {
    let (_authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let queries = scratch("queries");
    let questions = ["api.service A", "crowd.service A", "no.service A", "api.service SRV", "service SOA"];
    let lines: Vec<String> = (0..500).map(|i| format!("{}\n", questions[i % 5])).collect();
    std::fs::write(&queries, lines.concat()).expect("queries");
    for method in ["GET", "POST"] {
        // One query at a time on each connection: of two answers that come together dnsperf takes one.
        let done = Command::new("dnsperf")
            .args(["-m", "doh", "-s", "127.0.0.1", "-T", "8", "-c", "8", "-q", "8", "-n", "4", "-p"])
            .arg(server.https.port().to_string())
            .args(["-O", &format!("doh-uri=https://127.0.0.1:{}/dns-query", server.https.port())])
            .args(["-O", &format!("doh-method={method}"), "-d", &queries.to_string_lossy()])
            .output()
            .expect("`dnsperf` (package dnsperf)");
        let output = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        let of = |label: &str| {
            output.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_default().trim().to_owned()
        };
        assert!(of("Queries completed:").starts_with("2000 (100.00%)"), "{method}: {output}");
        assert!(of("Queries lost:").starts_with("0 "), "{method}: {output}");
        assert!(of("Response codes:").contains("NXDOMAIN"), "{method}: {output}");
    }
}

/// Head and code of what curl is answered to a request with these arguments, for this path.
fn curl(server: &Server, authority: &Authority, path: &str, words: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "20", "--cacert"]).arg(authority.file("ca.pem")).args(words);
    command.arg(format!("https://127.0.0.1:{}{path}", server.https.port())).stdin(Stdio::null());
    let done = command.output().expect("`curl` (package curl)");
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

/// A query for the address of a name of one label below `service.`.
fn query(label: &str) -> Vec<u8> {
    let length = u8::try_from(label.len()).expect("a label");
    [b"\0\0\x01\0\0\x01\0\0\0\0\0\0", &[length][..], label.as_bytes(), b"\x07service\0\0\x01\0\x01"].concat()
}

fn post(file: &Path) -> Vec<String> {
    ["-H", "Content-Type: application/dns-message", "--data-binary", &format!("@{}", file.display())]
        .map(str::to_owned)
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_no_queries_get_the_code_that_says_so_over_both_versions_of_http() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let write = |name: &str, bytes: &[u8]| {
        let file = scratch(name);
        std::fs::write(&file, bytes).expect("a file");
        file
    };
    let (good, large, response) = (
        write("good", &query("api")),
        write("large", &vec![0; 20_000]),
        write("response", &[&[0, 0, 0x80], &query("api")[3..]].concat()),
    );
    let encoded = |bytes: &[u8]| format!("/dns-query?dns={}", data_encoding::BASE64URL_NOPAD.encode(bytes));
    let get = encoded(&query("api"));
    for version in ["--http1.1", "--http2"] {
        let ask = |path: &str, words: &[String]| {
            let words: Vec<&str> = [version].into_iter().chain(words.iter().map(String::as_str)).collect();
            let answer = curl(&server, &authority, path, &words);
            let code = answer.split(' ').nth(1).unwrap_or_default().to_owned();
            (code, answer.to_ascii_lowercase())
        };
        for (what, path, words) in [
            ("GET", get.as_str(), Vec::new()),
            ("GET among others", &format!("{get}&x=1"), Vec::new()),
            ("POST", "/dns-query", post(&good)),
        ] {
            let (code, answer) = ask(path, &words);
            assert_eq!(code, "200", "{what} {version}: {answer}");
            assert!(answer.contains("content-type: application/dns-message"), "{answer}");
            // The service's time to live, and that of its zone's SOA below.
            assert!(answer.contains("cache-control: max-age=5"), "{answer}");
        }
        let (code, answer) = ask(&encoded(&query("nobody")), &[]);
        assert!(code == "200" && answer.contains("cache-control: max-age="), "{answer}");
        let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let text = [&strings(&["-H", "Content-Type: text/plain"])[..], &post(&good)[2..]].concat();
        for (expected, path, words) in [
            ("404", "/", vec![]),
            ("404", "/dns-query/x", vec![]),
            ("400", "/dns-query", vec![]),
            ("400", "/dns-query?dns=", vec![]),
            ("400", "/dns-query?dns=AA%3D", vec![]),
            ("400", "/dns-query?dns=AAAA", vec![]),
            ("400", "/dns-query", post(&response)),
            ("405", "/dns-query", strings(&["-X", "PUT"])),
            ("413", "/dns-query", post(&large)),
            ("415", "/dns-query", text),
        ] {
            let (code, answer) = ask(path, &words);
            assert_eq!(code, expected, "{path} {words:?} {version}: {answer}");
        }
        assert!(ask("/dns-query", &strings(&["-X", "DELETE"])).1.contains("allow: get, post"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_requests_at_once_on_one_connection_are_all_answered() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let url =
        format!("https://{}/dns-query?dns={}", server.https, data_encoding::BASE64URL_NOPAD.encode(&query("api")));
    let list = scratch("urls");
    std::fs::write(&list, format!("url=\"{url}\"\noutput=/dev/null\n").repeat(300)).expect("a file");
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "-Z",
        "--parallel-max",
        "50",
        "--http2",
        "-w",
        "%{http_code} %{size_download}\\n",
        "--cacert",
    ]);
    command.arg(authority.file("ca.pem")).arg("-K").arg(&list).stdin(Stdio::null());
    let done = command.output().expect("`curl` (package curl)");
    let output = String::from_utf8_lossy(&done.stdout);
    assert_eq!(output.matches("200 45\n").count(), 300, "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_https_that_says_nothing_or_never_ends_loses_its_place_to_others() {
    use std::io::{Read as _, Write as _};
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "tcp = { idle = \"1s\", connections = 4 }").await;
    let mut silent: Vec<_> =
        (0..4).map(|_| std::net::TcpStream::connect(server.https).expect("a connection")).collect();
    silent[0].write_all(b"\x16\x03\x01").expect("a connection");
    // All places are taken: the longest idle one makes room, over HTTPS and TCP alike.
    assert!(kdig(server.https, &format!("api.service A {}", over(&authority, "https"))).contains("10.0.0.1"));
    assert!(kdig(server.inner.dns, "api.service A +tcp").contains("10.0.0.1"));
    let begun = Instant::now();
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        let mut ended = stream.read(&mut [0; 1]);
        while matches!(ended, Ok(1..)) {
            ended = stream.read(&mut [0; 64]);
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // The same for a request whose body does not come to its end.
    let mut slow = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &server.https.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("`openssl` (package openssl)");
    let mut input = slow.stdin.take().expect("a pipe");
    let head =
        "POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: 33\r\n\r\n";
    input.write_all(head.as_bytes()).and_then(|()| input.write_all(&[0; 20])).expect("a pipe");
    eventually("its end", || std::future::ready(slow.try_wait().expect("a process").map(drop))).await;
    drop(input);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_over_https_and_its_path_and_port_survive_a_restart_in_place() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    assert!(shown(server.https).ends_with("dns"));
    authority.issue("renewed");
    std::fs::copy(authority.file("renewed.pem"), &cert).expect("a certificate");
    std::fs::copy(authority.file("renewed.key"), &key).expect("a key");
    eventually("the renewed one", async || shown(server.https).ends_with("renewed").then_some(())).await;
    let restart =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["restart", "--config"]).arg(&server.inner.config).output();
    let restart = restart.expect("the binary");
    assert!(restart.status.success(), "{}", String::from_utf8_lossy(&restart.stderr));
    for _ in 0..10 {
        let answer = kdig(server.https, &format!("api.service A +retry=0 {}", over(&authority, "https")));
        assert!(answer.contains("10.0.0.1"), "{answer}\n{}", server.inner.binary.log());
    }
}

/// RFC 8467 §4.1: blocks of 468 bytes, for clients that pad, over encrypted transports alone.
#[tokio::test(flavor = "multi_thread")]
async fn responses_are_padded_over_tls_and_https_where_the_query_is() {
    let (authority, cert, key) = authority();
    let server = server(&cert, &key, "").await;
    let size = |output: &str| -> usize {
        let line = output.lines().find_map(|line| line.strip_prefix(";; Received ")).unwrap_or_default();
        line.split(' ').next().and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("{output}"))
    };
    let tls = format!("+tls-ca={} +tls-hostname=127.0.0.1", authority.file("ca.pem").display());
    for query in ["api.service A", "api.service ANY", "crowd.service A", "nobody.service A", "example. A"] {
        for (address, words) in [(server.inner.tls, tls.clone()), (server.https, over(&authority, "https"))] {
            let padded = kdig(address, &format!("{query} +padding=128 {words}"));
            assert_eq!(size(&padded) % 468, 0, "{query}: {padded}");
            assert!(padded.contains("PADDING"), "{padded}");
            let plain = kdig(address, &format!("{query} +nopadding +edns {words}"));
            assert!(!plain.contains("PADDING") && size(&plain) % 468 != 0, "{plain}");
        }
        let plain = kdig(server.inner.dns, &format!("{query} +padding=128 +tcp"));
        assert!(!plain.contains("PADDING"), "{plain}");
    }
}
