//! What takes effect without a restart: the configuration is changed under a running binary, which is told by SIGHUP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::{Response, dig};
use crate::harness::eventually;
use crate::harness::secondary::KEY;

/// A running server of `service.` from a file, and its configuration.
struct Server {
    binary: Binary,
    path: PathBuf,
    zone: PathBuf,
    dns: SocketAddr,
    /// How long its log was when its configuration was written last.
    before: usize,
}

impl Server {
    /// With these lines in `[dns]`, and these behind it.
    async fn start(dns: &str, more: &str) -> Self {
        let zone = scratch("service.zone");
        std::fs::write(&zone, "$TTL 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.80\n").unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = zone.with_file_name("zonekeeper.toml");
        std::fs::write(&path, text(address, &zone, dns, more)).unwrap();
        let binary = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
        let server = Self { binary, path, zone, dns: address, before: 0 };
        server.says("DNS, UDP and TCP").await;
        server
    }

    /// Changes the configuration, tells the server, and waits until it has taken it.
    async fn reload(&mut self, dns: &str, more: &str) {
        self.write(dns, more);
        self.says("configuration re-read").await;
    }

    fn write(&mut self, dns: &str, more: &str) {
        self.before = self.binary.log().len();
        std::fs::write(&self.path, text(self.dns, &self.zone, dns, more)).unwrap();
        self.binary.signal("HUP");
    }

    /// Waits until its log says something, where the configuration was written in answer to the signal.
    async fn says(&self, what: &str) {
        let has_said = || {
            let log = self.binary.log();
            let signal = if self.before == 0 { Some(0) } else { log[self.before..].find("by_signal=true") };
            signal.is_some_and(|at| log[self.before + at..].contains(what))
        };
        eventually(what, async || has_said().then_some(())).await;
    }

    fn ask(&self, words: &str) -> Response {
        dig(self.dns, words)
    }

    /// Whether dig may transfer the zone; `more` are its own options.
    fn transfers(&self, more: &str) -> bool {
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &self.dns.port().to_string(), "+tries=1", "AXFR", "service."])
            .args(more.split_whitespace())
            .output()
            .expect("dig");
        String::from_utf8_lossy(&output.stdout).contains("XFR size")
    }
}

fn text(listen: SocketAddr, zone: &std::path::Path, dns: &str, more: &str) -> String {
    let file = zone.display();
    format!("[[zone]]\norigin = \"service.\"\nfile = \"{file}\"\n{more}\n[dns]\nlisten = [\"{listen}\"]\n{dns}\n")
}

fn key() -> String {
    format!("[[key]]\nname = \"{}\"\nsecret = \"{}\"\n", KEY.0, KEY.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_sighup_access_keys_and_limits_are_taken() {
    let mut server = Server::start("", "").await;
    let signed = format!("-y hmac-sha256:{}:{}", KEY.0, KEY.1);
    assert_eq!(server.ask("A www.service -b 127.0.0.2").status, "NOERROR");
    assert!(!server.transfers("") && !server.transfers(&signed));

    server.reload("allow_query = [\"any\", \"!127.0.0.2\"]\nallow_transfer = [\"key xfr\"]", &key()).await;
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(server.ask(&format!("A www.service -b 127.0.0.2 {transport}")).status, "REFUSED");
        assert_eq!(server.ask(&format!("A www.service {transport}")).status, "NOERROR");
    }
    assert!(!server.transfers("") && server.transfers(&signed));

    // What a zone says goes before what is said for all; the key is another one now.
    let other = key().replace(KEY.1, "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHNhbWUga2V5");
    server.reload("allow_transfer = [\"key xfr\"]", &format!("allow_transfer = [\"127.0.0.0/8\"]\n{other}")).await;
    assert!(server.transfers("") && !server.transfers(&signed), "by address, and a bad signature is a bad one");

    server.reload("[dns.tcp]\nidle = \"3s\"", "").await;
    let told = server.ask("A www.service +tcp +keepalive");
    assert!(told.edns.iter().any(|line| line == "TCP KEEPALIVE: 3.0 secs"), "{told:?}");
    assert!(!server.transfers(""));

    server.reload("[dns.rate]\nresponses = 1\nslip = 1", "").await;
    let mut cut = 0;
    for _ in 0..20 {
        cut += u32::from(server.ask("A www.service +ignore").has_flag("tc"));
    }
    assert!(cut > 0);
    server.reload("", "").await;
    assert!((0..20).all(|_| !server.ask("A www.service +ignore").has_flag("tc")));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_sighup_cookies_their_secrets_and_the_servers_name_are_taken() {
    let mut server = Server::start("cookies = \"off\"", "").await;
    let cookie = |response: &Response| {
        let line = response.edns.iter().find_map(|line| line.strip_prefix("COOKIE: "))?;
        line.split(' ').next().map(str::to_owned)
    };
    let ask = |server: &Server, cookie: &str| server.ask(&format!("A www.service +cookie={cookie} +nobadcookie +nsid"));
    let client = "0102030405060708";
    assert_eq!(cookie(&ask(&server, client)), None);

    assert_eq!(server.ask("CH TXT version.bind").status, "NOERROR");
    server.reload("cookies = \"on\"\nnsid = \"ns1.example\"\nidentity = false", "").await;
    assert_eq!(server.ask("CH TXT version.bind").status, "REFUSED");
    let given = ask(&server, client);
    assert!(given.edns.iter().any(|line| line.contains("ns1.example")), "{given:?}");
    let given = cookie(&given).expect("a cookie");
    // A random secret stays when something else changes: what was given out stays good.
    server.reload("cookies = \"required\"", "").await;
    assert_eq!(ask(&server, &given).status, "NOERROR");
    assert_eq!(ask(&server, client).status, "BADCOOKIE");

    // One in a file is another one, and so is the next in the same file.
    let file = scratch("cookie.secret");
    std::fs::write(&file, "00112233445566778899aabbccddeeff\n").unwrap();
    let dns = format!("cookies = \"required\"\ncookie_secret_file = \"{}\"", file.display());
    server.reload(&dns, "").await;
    assert_eq!(ask(&server, &given).status, "BADCOOKIE");
    let given = cookie(&ask(&server, client)).expect("a cookie");
    assert_eq!(ask(&server, &given).status, "NOERROR");
    std::fs::write(&file, "ffeeddccbbaa99887766554433221100\n00112233445566778899aabbccddeeff\n").unwrap();
    server.reload(&dns, "").await;
    let renewed = ask(&server, &given);
    assert_eq!(renewed.status, "NOERROR", "the old one is accepted");
    let renewed = cookie(&renewed).expect("a cookie");
    assert_ne!(renewed, given);
    std::fs::write(&file, "ffeeddccbbaa99887766554433221100\n").unwrap();
    server.reload(&dns, "").await;
    assert_eq!((&*ask(&server, &given).status, &*ask(&server, &renewed).status), ("BADCOOKIE", "NOERROR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_sighup_others_are_asked_for_names_outside() {
    let mut server = Server::start("", "").await;
    let other = scratch("other.zone");
    std::fs::write(&other, "$TTL 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.9\n").unwrap();
    let zone = format!("[[zone]]\norigin = \"example.\"\nfile = \"{}\"", other.display());
    let upstream = Server::start("", &zone).await;
    assert_eq!(server.ask("A www.example").status, "REFUSED");
    let forward = format!("forward = [\"{}\"]", upstream.dns);
    server.reload(&forward, "").await;
    let answer = server.ask("A www.example");
    assert_eq!((answer.data(), answer.has_flag("ra")), (vec!["192.0.2.9".to_owned()], true), "{answer:?}");
    assert!(server.ask("A www.service").has_flag("ra"));
    server.reload(&format!("{forward}\nallow_recursion = [\"192.0.2.0/24\"]"), "").await;
    assert_eq!(server.ask("A www.example").status, "REFUSED");

    // Authorities that are not there: nothing of it is taken.
    server.write(
        &format!("forward = [\"tls://192.0.2.1\"]\nforward_ca = \"/nonexistent\"\nnsid = \"x\"\n{forward}x"),
        "",
    );
    server.says("is not taken, the one before stays in force").await;
    server.write("nsid = \"x\"\nforward = [\"tls://192.0.2.1\"]\nforward_ca = \"/nonexistent\"", "");
    server.says("cannot take authorities from /nonexistent").await;
    let answer = server.ask("A www.example +nsid");
    assert_eq!((&*answer.status, answer.edns.iter().any(|line| line.contains("NSID"))), ("REFUSED", false));

    server.reload("", "").await;
    let answer = server.ask("A www.service");
    assert!(!answer.has_flag("ra"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_not_taken_and_what_only_a_start_can_take_is_told() {
    let mut server = Server::start("allow_query = [\"any\", \"!127.0.0.2\"]", "").await;
    server.write("allow_query = [\"everybody\"]", "");
    server.says("`allow_query` has an element that must be a network").await;
    server.says("is not taken, the one before stays in force").await;
    assert_eq!(server.ask("A www.service -b 127.0.0.2").status, "REFUSED");
    assert_eq!(server.ask("A www.service").status, "NOERROR");

    server.reload("threads = 3", "ttl = \"9s\"").await;
    for part in ["[dns] threads", "[[zone]] service. ttl"] {
        server.says(&format!("{part} is not what it was: that takes effect at the next start")).await;
    }
    assert!(!server.binary.log().contains("[dns] listen is not"), "{}", server.binary.log());
    assert_eq!(server.ask("A www.service -b 127.0.0.2").status, "NOERROR", "what can be taken is");
}

/// `minimal_responses` belongs to a zone, and a reload takes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_zones_ns_records_are_beside_answers_where_they_are_wanted() {
    let ns = ["service. 60 IN NS ns.service."];
    let mut server = Server::start("", "").await;
    assert_eq!(server.ask("A www.service").authority, [""; 0]);
    let text = std::fs::read_to_string(&server.path).unwrap();
    let wanted = text.replacen("[[zone]]\n", "[[zone]]\nminimal_responses = false\n", 1);
    assert_ne!(text, wanted);
    server.before = server.binary.log().len();
    std::fs::write(&server.path, &wanted).unwrap();
    server.binary.signal("HUP");
    server.says("configuration re-read").await;
    for query in ["A www.service", "A www.service +tcp", "ANY www.service +notcp", "SOA service"] {
        let response = server.ask(query);
        assert_eq!(response.authority, ns, "{query}");
    }
    let response = server.ask("A www.service");
    assert_eq!(response.additional, ["ns.service. 60 IN A 192.0.2.1"]);
    // They are the answer, or there is none.
    for (query, authority) in [("NS service", ""), ("A nobody.service", "SOA"), ("AAAA www.service", "SOA")] {
        let response = server.ask(query);
        let kinds: Vec<&str> = response.authority.iter().filter_map(|line| line.split(' ').nth(3)).collect();
        assert_eq!(kinds.join(" "), authority, "{query}");
    }
    server.reload("", "").await;
    assert_eq!(server.ask("A www.service").authority, [""; 0]);
    assert!(!server.binary.log().contains("next start"), "{}", server.binary.log());
}
