//! EDNS options by dig: cookies, and the server's name; and what a server says about itself in class CH.

use std::net::SocketAddr;
use std::process::Command;

use crate::harness::admin::metrics;
use crate::harness::app::{scratch, serve};
use crate::harness::dig::{Response, dig};

/// The cookie of an answer, and what dig thinks of it.
fn cookie(response: &Response) -> Option<(String, String)> {
    let line = response.edns.iter().find_map(|line| line.strip_prefix("COOKIE: "))?;
    let (cookie, verdict) = line.split_once(' ')?;
    Some((cookie.to_owned(), verdict.to_owned()))
}

fn ask(server: SocketAddr, cookie: &str, more: &str) -> Response {
    dig(server, &format!("A api.service +cookie={cookie} +nobadcookie {more}"))
}

const CLIENT: &str = "0102030405060708";

#[tokio::test(flavor = "multi_thread")]
async fn what_dig_sends_by_default_is_answered_on_the_fast_path_with_a_cookie() {
    let server = serve("nsid = \"ns1.example\"\n").await;
    let unusual = metrics(server.admin)("dns_unusual_total{transport=\"udp\"}");
    let response = dig(server.dns, "A api.service +cookie +nsid");
    assert_eq!(response.data(), ["10.0.0.1"]);
    assert_eq!(cookie(&response).expect("a cookie").1, "(good)");
    assert!(
        response.edns.iter().any(|line| line.starts_with("NSID: ") && line.contains("ns1.example")),
        "{response:?}"
    );
    assert_eq!(metrics(server.admin)("dns_unusual_total{transport=\"udp\"}"), unusual);
    let plain = dig(server.dns, "A api.service");
    assert!(cookie(&plain).is_none() && !plain.edns.iter().any(|line| line.starts_with("NSID")), "unasked: {plain:?}");
    server.stop().await;
}

/// RFC 7873 §5.2: the first time there is no cookie to show, and over TCP none is needed.
#[tokio::test(flavor = "multi_thread")]
async fn where_cookies_are_required_clients_with_and_without_them_get_on() {
    let server = serve("cookies = \"required\"\n").await;
    let first = ask(server.dns, CLIENT, "");
    assert_eq!((&*first.status, first.answer.len()), ("BADCOOKIE", 0));
    let (good, _) = cookie(&first).expect("a cookie");
    assert_eq!(ask(server.dns, &good, "").data(), ["10.0.0.1"]);
    assert_eq!(ask(server.dns, CLIENT, "+tcp").data(), ["10.0.0.1"]);
    // dig does the same by itself, and those who know no cookies come again over TCP.
    assert_eq!(dig(server.dns, "A api.service +cookie").data(), ["10.0.0.1"]);
    for old in ["", "+noedns"] {
        let response = dig(server.dns, &format!("A api.service {old}"));
        assert_eq!((response.data(), response.tcp), (vec!["10.0.0.1".to_owned()], true));
        assert!(dig(server.dns, &format!("A api.service +ignore {old}")).has_flag("tc"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_are_off_are_not_looked_at() {
    let server = serve("cookies = \"off\"\n").await;
    let response = ask(server.dns, CLIENT, "");
    assert_eq!((response.data(), cookie(&response)), (vec!["10.0.0.1".to_owned()], None));
    server.stop().await;
}

/// RFC 8914 §4.19: what is refused because of who asks, or whoever asks, says so; what is merely not there says that.
#[tokio::test(flavor = "multi_thread")]
async fn rfc8914_a_refusal_says_why() {
    let server = serve("allow_query = [\"any\", \"!127.0.0.2\"]\n").await;
    for transport in ["+notcp", "+tcp"] {
        for (words, error) in [
            ("A api.service -b 127.0.0.2", "EDE: 18 "),
            ("SOA service +opcode=update", "EDE: 18 "),
            ("SOA service +opcode=notify", "EDE: 18 "),
            ("A www.example", "EDE: 20 "),
        ] {
            let answer = dig(server.dns, &format!("{words} {transport}"));
            assert_eq!(answer.status, "REFUSED", "{words}");
            assert!(answer.edns.iter().any(|line| line.starts_with(error)), "{words}: {answer:?}");
        }
    }
    server.stop().await;
}

/// RFC 9018 §5: replicas with the same file take each other's cookies, and those of the secret before.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_share_a_secret_take_each_others_cookies() {
    let (old, new) = ("00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100");
    let with = async |secrets: String| {
        let file = scratch("cookie.secret");
        std::fs::write(&file, secrets).unwrap();
        serve(&format!("cookies = \"required\"\ncookie_secret_file = \"{}\"\n", file.display())).await
    };
    let servers = [
        with(old.into()).await,
        with(format!("# staged\n{old}\n{new}\n")).await,
        with(format!("{new}\n{old}\n")).await,
    ];
    let (given, _) = cookie(&ask(servers[0].dns, CLIENT, "")).expect("a cookie");
    for server in &servers {
        assert_eq!(ask(server.dns, &given, "").status, "NOERROR");
    }
    let (renewed, _) = cookie(&ask(servers[2].dns, &given, "")).expect("a cookie");
    assert_ne!(renewed, given, "the new secret is in use");
    let taken = servers.each_ref().map(|server| ask(server.dns, &renewed, "").status);
    assert_eq!(taken, ["BADCOOKIE", "NOERROR", "NOERROR"]);
    for server in servers {
        server.stop().await;
    }
}

/// The name of this host, by its own command.
fn host() -> String {
    let output = Command::new("uname").arg("-n").output().expect("the command `uname`");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

fn nsid(response: &Response) -> Option<String> {
    let line = response.edns.iter().find_map(|line| line.strip_prefix("NSID: "))?;
    line.split('"').nth(1).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_which_one_it_is() {
    let version = format!("\"zonekeeper {}\"", env!("CARGO_PKG_VERSION"));
    for (dns, id, sent) in [
        ("", host(), None),
        ("nsid = \"hostname\"\n", host(), Some(host())),
        ("nsid = \"edge-1\"\n", "edge-1".to_owned(), Some("edge-1".to_owned())),
    ] {
        let server = serve(dns).await;
        let (id, own) = (format!("\"{id}\""), format!("\"{}\"", host()));
        for transport in ["+notcp", "+tcp", "+noedns"] {
            for (name, text) in [
                ("version.bind", &version),
                ("version.server", &version),
                ("id.server", &id),
                ("ID.Server", &id),
                ("hostname.bind", &own),
            ] {
                let answer = dig(server.dns, &format!("CH TXT {name} {transport} +norecurse"));
                assert_eq!((&*answer.status, &*answer.flags.join(" ")), ("NOERROR", "qr aa"), "{answer:?}");
                assert_eq!(answer.answer, [format!("{name}. 0 CH TXT {text}")]);
                assert!(answer.authority.is_empty() && answer.additional.is_empty(), "{answer:?}");
            }
            // What is not asked of the server itself is refused: another name or type, class HS, a name in a zone.
            for words in ["CH TXT authors.bind", "CH A version.bind", "HS TXT version.bind", "CH TXT api.service"] {
                let answer = dig(server.dns, &format!("{words} {transport}"));
                assert_eq!((&*answer.status, answer.answer.len()), ("REFUSED", 0), "{words}");
            }
        }
        for words in
            ["CH TXT id.server +nsid", "A api.service +nsid", "A api.service +nsid +tcp", "A www.example +nsid"]
        {
            assert_eq!(nsid(&dig(server.dns, words)), sent, "{words}");
        }
        assert_eq!(nsid(&dig(server.dns, "A api.service")), None, "unasked");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_its_identity_to_itself_where_that_is_said_and_from_those_who_may_not_ask() {
    let server = serve("identity = false\nnsid = \"hostname\"\n").await;
    for name in ["version.bind", "version.server", "id.server", "hostname.bind"] {
        for transport in ["+notcp", "+tcp"] {
            let answer = dig(server.dns, &format!("CH TXT {name} {transport}"));
            assert_eq!((&*answer.status, answer.answer.len()), ("REFUSED", 0), "{name}");
        }
    }
    assert_eq!(nsid(&dig(server.dns, "A api.service +nsid")), Some(host()));
    server.stop().await;

    let server = serve("allow_query = [\"any\", \"!127.0.0.2\"]\n[dns.rate]\nresponses = 1\nslip = 1\n").await;
    let answer = dig(server.dns, "CH TXT version.bind -b 127.0.0.2 +tcp");
    assert_eq!((&*answer.status, answer.answer.len()), ("REFUSED", 0));
    assert!(answer.edns.iter().any(|line| line.starts_with("EDE: 18 ")), "{answer:?}");
    let cut = (0..20).filter(|_| dig(server.dns, "CH TXT version.bind +ignore").has_flag("tc")).count();
    assert!(cut > 0, "the rate is bounded as for other answers");
    server.stop().await;
}
