//! Forwarding what is outside the zones: to Unbound, as Debian packages it, to nobody who answers, and in a circle.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use crate::harness::app::{Running, free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::client::Client;
use crate::harness::consumer::{Consumer, written};
use crate::harness::dig::dig;
use crate::harness::eventually;

/// A resolver that knows `example.`, and things about our zones that are not so.
struct Upstream {
    address: SocketAddr,
    _unbound: Consumer,
}

impl Upstream {
    async fn start(more: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let directory = scratch("pid").parent().expect("a directory").to_owned();
        let mut config = format!(
            "server:\n  interface: 127.0.0.1\n  port: {}\n  username: \"\"\n  chroot: \"\"\n  directory: \"{2}\"\n  \
             pidfile: \"{2}/pid\"\n  use-syslog: no\n  num-threads: 1\n  verbosity: 2\n  val-permissive-mode: yes\n{more}  \
             local-zone: \"example.\" static\n{1}",
            address.port(),
            [
                "example. 60 SOA ns.example. host.example. 1 3600 600 86400 30",
                "www.example. 60 A 192.0.2.80",
                "www.example. 60 AAAA 2001:db8::80",
                "_http._tcp.example. 60 SRV 0 5 80 www.example.",
                "other.service. 60 A 192.0.2.66",
                "66.0.168.192.in-addr.arpa. 60 PTR wrong.example.",
            ]
            .map(|line| format!("  local-data: '{line}'\n"))
            .concat(),
            directory.display(),
        );
        for i in 0..40 {
            let _ = writeln!(config, "  local-data: 'long.example. 60 TXT \"{i:02}{}\"'", "x".repeat(60));
        }
        config += "remote-control:\n  control-enable: no\n";
        let config = written("unbound.conf", &config);
        let unbound = Consumer::start("/usr/sbin/unbound", "unbound", &["-d", "-c", &config.to_string_lossy()]);
        answers("Unbound", address, "www.example.").await;
        Self { address, _unbound: unbound }
    }
}

/// Waits until a resolver says anything at all.
async fn answers(what: &str, resolver: SocketAddr, name: &str) {
    let says = async || Client::new(resolver).await.ask(name, RecordType::A).await.map(drop);
    eventually(what, says).await;
}

/// A server of one service in `service.` and in the names of its network, which forwards as `dns` says.
async fn forwarding(listen: &str, dns: &str) -> Running {
    let tree = scratch("registry.tree");
    std::fs::write(&tree, "/services\n  /api_x\n    /providers\n      /192.168.0.42:8080\n").expect("a registry");
    let server = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[[zone]]\norigin = \"168.192.in-addr.arpa.\"\n\
         [dns]\nlisten = [\"{listen}\"]\n{dns}\n",
        tree.display()
    ));
    eventually("the registry", async || (dig(server.dns, "A api_x.service").status == "NOERROR").then_some(())).await;
    server
}

/// A port that takes packets and answers none.
fn silence() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outside_the_zones_are_forwarded_and_ours_never() {
    let upstream = Upstream::start("").await;
    let dns = format!("forward = [\"{}\"]\nallow_recursion = [\"127.0.0.1\"]", upstream.address);
    let server = forwarding("127.0.0.1:0", &dns).await;
    for transport in ["+notcp", "+tcp"] {
        let ask = |words: &str| dig(server.dns, &format!("{words} {transport}"));
        for (words, data) in [
            ("A www.example", &["192.0.2.80"][..]),
            ("A wWw.eXample", &["192.0.2.80"]),
            ("AAAA www.example +dnssec", &["2001:db8::80"]),
            ("SRV _http._tcp.example +noedns", &["0 5 80 www.example."]),
        ] {
            let answer = ask(words);
            assert_eq!((&*answer.status, answer.data()), ("NOERROR", data.iter().map(|&data| data.into()).collect()));
            assert_eq!(answer.flags, ["qr", "rd", "ra"], "{words}: {answer:?}");
            let name = words.split(' ').nth(1).unwrap();
            assert!(answer.answer[0].starts_with(&format!("{name}. ")), "spelled as it was asked: {answer:?}");
            assert_eq!(answer.edns.is_empty(), words.contains("+noedns"), "{answer:?}");
        }
        for (words, status) in [("A none.example", "NXDOMAIN"), ("MX www.example", "NOERROR")] {
            let answer = ask(words);
            assert_eq!((&*answer.status, answer.answer.len(), answer.authority.len()), (status, 0, 1), "{answer:?}");
            assert!(answer.authority[0].starts_with("example. ") && answer.has_flag("ra"), "{answer:?}");
        }
        // What is ours is answered from what we have, whatever others think; and RA is said there as well.
        for (words, status) in [
            ("A other.service", "NXDOMAIN"),
            ("-x 192.168.0.66", "NXDOMAIN"),
            ("A api_x.service", "NOERROR"),
            ("ANY api_x.service", "NOERROR"),
        ] {
            let answer = ask(words);
            assert_eq!((&*answer.status, &answer.flags[..]), (status, &["qr", "aa", "rd", "ra"].map(Into::into)[..]));
        }
        assert!(!ask("A www.example -b 127.0.0.2").has_flag("ra"));
        assert!(!ask("A api_x.service -b 127.0.0.2").has_flag("ra"));
        // RFC 8914 §4.19 and §4.21: who may not have others asked, and what is nobody's to ask here.
        for (words, error) in [
            ("A www.example -b 127.0.0.2", Some("EDE: 18 ")),
            ("A www.example +norecurse", Some("EDE: 20 ")),
            ("A www.example -b 127.0.0.2 +norecurse", Some("EDE: 20 ")),
            ("CH TXT authors.bind", None),
        ] {
            let answer = ask(words);
            assert_eq!((&*answer.status, answer.answer.len()), ("REFUSED", 0), "{words}");
            let told = answer.edns.iter().find(|line| line.starts_with("EDE"));
            assert!(told.map_or(error.is_none(), |told| error.is_some_and(|error| told.contains(error))), "{answer:?}");
        }
    }
    server.stop().await;
}

/// RFC 7873: a cookie is between two neighbours. The client gets ours, whoever knows the answer.
#[tokio::test(flavor = "multi_thread")]
async fn forwarded_answers_have_our_cookies() {
    let upstream = Upstream::start("").await;
    let dns = format!("forward = [\"{}\"]\ncookies = \"required\"", upstream.address);
    let server = forwarding("127.0.0.1:0", &dns).await;
    // The first from the upstream, the second from what it said.
    for _ in 0..2 {
        let answer = dig(server.dns, "A www.example +cookie");
        assert_eq!((answer.data(), answer.tcp), (vec!["192.0.2.80".to_owned()], false));
        assert!(answer.edns.iter().any(|line| line.starts_with("COOKIE: ") && line.ends_with("(good)")), "{answer:?}");
    }
    let refused = dig(server.dns, "A www.example +cookie=0102030405060708 +nobadcookie");
    assert_eq!(refused.status, "BADCOOKIE");
    assert!(refused.has_flag("ra"), "{refused:?}");
    server.stop().await;
}

/// The upstream's datagrams are cut: it is asked over TCP. Then ours are: we are.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_datagram_holds_comes_over_tcp() {
    let upstream = Upstream::start("").await;
    let server = forwarding("127.0.0.1:0", &format!("forward = [\"{}\"]", upstream.address)).await;
    let cut = dig(server.dns, "TXT long.example +ignore");
    assert!(cut.has_flag("tc") && cut.answer.is_empty() && cut.has_flag("ra"), "{cut:?}");
    let whole = dig(server.dns, "TXT long.example");
    assert!(whole.tcp && whole.answer.len() == 40 && !whole.has_flag("tc"), "{whole:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_forward_nobody_recurses_and_nothing_says_so() {
    let server = forwarding("127.0.0.1:0", "").await;
    for words in ["A www.example", "A api_x.service"] {
        assert!(!dig(server.dns, words).has_flag("ra"));
    }
    assert_eq!(dig(server.dns, "A www.example").status, "REFUSED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_dead_or_silent_is_passed_over() {
    let upstream = Upstream::start("").await;
    let (_silent, silent) = silence();
    // Nobody is there: the system says so at once.
    let dead = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let dns = format!("forward = [\"{dead}\", \"{silent}\", \"{}\"]", upstream.address);
    let server = forwarding("127.0.0.1:0", &dns).await;
    let answer = dig(server.dns, "A www.example");
    assert_eq!((&*answer.status, answer.data()), ("NOERROR", vec!["192.0.2.80".into()]));
    let begun = Instant::now();
    assert_eq!(dig(server.dns, "AAAA www.example").status, "NOERROR");
    assert!(begun.elapsed() < Duration::from_secs(1), "it is known by now who answers: {:?}", begun.elapsed());
    server.stop().await;
}

/// A thousand questions wait for an upstream that says nothing. What is ours is answered as if there were none.
#[tokio::test(flavor = "multi_thread")]
async fn upstream_trouble_slows_no_local_answer() {
    let (_silent, silent) = silence();
    let server = forwarding("127.0.0.1:0", &format!("forward = [\"{silent}\"]")).await;
    let address = server.dns;
    let (sent, worst) = tokio::task::spawn_blocking(move || {
        let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        let mut worst = Duration::ZERO;
        let mut sent = 0;
        for round in 0..20_u16 {
            for i in 0..100 {
                flood.send_to(&question(i, &format!("n{round}-{i}.example."), RecordType::A), address).unwrap();
                sent += 1;
            }
            // Behind one on the same connection that waits as well, and one that is for the slower path.
            let begun = Instant::now();
            for (id, name, rtype) in [
                (1, format!("t{round}.example."), RecordType::A),
                (2, "api_x.service.".into(), RecordType::A),
                (3, "api_x.service.".into(), RecordType::ANY),
            ] {
                let message = question(id, &name, rtype);
                tcp.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
                tcp.write_all(&message).unwrap();
            }
            let mut local = 0;
            while local < 2 {
                let mut length = [0; 2];
                tcp.read_exact(&mut length).expect("an answer in time");
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                tcp.read_exact(&mut message).unwrap();
                let answer = Message::from_vec(&message).unwrap();
                local += u16::from(answer.metadata.id != 1);
            }
            worst = worst.max(begun.elapsed());
        }
        (sent, worst)
    })
    .await
    .unwrap();
    println!("{sent} questions wait for a silent upstream; the slowest local answer took {worst:?}");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    let mut client = Client::new(server.dns).await;
    let local = client.addresses("api_x.service.").await.expect("an answer");
    assert_eq!(local, (ResponseCode::NoError, vec!["192.168.0.42".into()]));
    let answer = dig(server.dns, "A www.example +time=6");
    assert_eq!(answer.status, "SERVFAIL", "in time for the client to ask somebody else");
    server.stop().await;
}

fn question(id: u16, name: &str, rtype: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), rtype));
    message.to_vec().expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_upstream_must_be_whom_it_says() {
    let authority = Authority::new();
    authority.issue("resolver");
    let port = free_port();
    let path = |name: &str| -> PathBuf { authority.file(name) };
    let upstream = Upstream::start(&format!(
        "  interface: 127.0.0.1@{port}\n  tls-port: {port}\n  tls-service-key: \"{}\"\n  tls-service-pem: \"{}\"\n",
        path("resolver.key").display(),
        path("resolver.pem").display()
    ))
    .await;
    let ca = format!("forward_ca = \"{}\"", path("ca.pem").display());
    for (name, status) in [("#localhost", "NOERROR"), ("", "NOERROR"), ("#elsewhere.example", "SERVFAIL")] {
        let server = forwarding("127.0.0.1:0", &format!("forward = [\"tls://127.0.0.1:{port}{name}\"]\n{ca}")).await;
        for words in ["A www.example +time=6", "TXT long.example +time=6"] {
            assert_eq!(dig(server.dns, words).status, status, "{words} by {name:?}");
        }
        server.stop().await;
    }
    // Nor may anybody vouch for it.
    let stranger = format!("forward_ca = \"{}\"", Authority::new().file("ca.pem").display());
    let dns = format!("forward = [\"tls://127.0.0.1:{port}#localhost\"]\n{stranger}");
    let server = forwarding("127.0.0.1:0", &dns).await;
    assert_eq!(dig(server.dns, "A www.example +time=6").status, "SERVFAIL");
    server.stop().await;
    drop(upstream);
}

/// dnsmasq forwards to us what we forward to it.
#[tokio::test(flavor = "multi_thread")]
async fn forwarding_in_a_circle_is_noticed_and_ends() {
    let (port, listen) = (free_port(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let server = format!("--server=127.0.0.1#{}", listen.port());
    let port = format!("--port={port}");
    let dnsmasq = Consumer::start(
        "/usr/sbin/dnsmasq",
        "dnsmasq-base",
        &[
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            &port,
            &server,
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--address=/ready.example/192.0.2.1",
            "--no-resolv",
            "--no-hosts",
            "--user=",
            "--pid-file",
            "--log-facility=-",
            "--log-queries",
        ],
    );
    let dnsmasq_at: SocketAddr = format!("127.0.0.1:{}", &port["--port=".len()..]).parse().unwrap();
    answers("dnsmasq", dnsmasq_at, "ready.example.").await;
    let server = forwarding(&listen.to_string(), &format!("forward = [\"{dnsmasq_at}\"]")).await;
    let admin = server.admin;
    eventually("the circle to be noticed", async || {
        let explained = tokio::task::spawn_blocking(move || explain(admin, "www.example")).await.unwrap();
        explained.contains(&format!("{dnsmasq_at}, not asked: it forwards to this server")).then_some(())
    })
    .await;
    let begun = Instant::now();
    assert_eq!(dig(server.dns, "A www.example").status, "SERVFAIL", "{}", dnsmasq.log());
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(dig(dnsmasq_at, "A api_x.service").data(), ["192.168.0.42"], "what is ours goes through");
    server.stop().await;
}

/// What `zonekeeper explain` shows.
fn explain(admin: SocketAddr, name: &str) -> String {
    let mut stream = TcpStream::connect(admin).expect("the admin server");
    write!(stream, "GET /v1/explain?name={name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_where_a_name_outside_goes() {
    let authority = Authority::new();
    let ca = authority.file("ca.pem");
    let dns = format!("forward = [\"192.0.2.1\", \"tls://127.0.0.1:1#localhost\"]\nforward_ca = \"{}\"", ca.display());
    let server = forwarding("127.0.0.1:0", &dns).await;
    let admin = server.admin;
    let explained = tokio::task::spawn_blocking(move || explain(admin, "www.example")).await.unwrap();
    for expected in
        ["no zone of this server has the name", "allow_recursion", "  192.0.2.1:53", "  tls://127.0.0.1:1#localhost"]
    {
        assert!(explained.contains(expected), "no {expected:?} in {explained}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_reverse_names_go_upstream_or_nowhere_as_the_configuration_says_and_ours_stay_ours() {
    let tree = scratch("network.tree");
    std::fs::write(&tree, "/services\n  /printer\n    /10.1.2.3:631\n").expect("a registry");
    let network = Running::start(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"lan.\"\n[[zone]]\norigin = \"10.in-addr.arpa.\"\n",
        tree.display()
    ));
    eventually("the upstream", async || (dig(network.dns, "-x 10.1.2.3").status == "NOERROR").then_some(())).await;
    for (setting, is_forwarded) in
        [("", true), ("private_reverse = \"forward\"\n", true), ("private_reverse = \"local\"\n", false)]
    {
        let server = forwarding("127.0.0.1:0", &format!("forward = [\"{}\"]\n{setting}", network.dns)).await;
        for transport in ["", " +tcp"] {
            let ask = |words: &str| dig(server.dns, &format!("{words}{transport}"));
            let known = ask("-x 10.1.2.3");
            let expected: &[&str] = if is_forwarded { &["10-1-2-3.addr.lan."] } else { &[] };
            assert_eq!(
                (known.data(), &*known.status),
                (expected.iter().map(ToString::to_string).collect(), if is_forwarded { "NOERROR" } else { "NXDOMAIN" }),
                "{setting}{known:?}"
            );
            if !is_forwarded {
                assert!(
                    known.authority[0].starts_with("10.in-addr.arpa. 10800 IN SOA 10.in-addr.arpa. nobody.invalid. "),
                    "{known:?}"
                );
                assert!(
                    ask("-x 172.20.0.1").authority[0].starts_with("20.172.in-addr.arpa. "),
                    "nobody has that network"
                );
            }
            // What is in a zone here is answered from it, private or not.
            assert_eq!(ask("-x 192.168.0.42").data(), ["192-168-0-42.addr.service."]);
            assert_eq!(ask("-x 127.0.0.1").data(), ["localhost."], "whatever the setting");
            assert_eq!(ask("A printer.lan").data(), ["10.1.2.3"], "all other names are forwarded");
        }
        server.stop().await;
    }
    // A public address is nobody's own.
    let server =
        forwarding("127.0.0.1:0", &format!("forward = [\"{}\"]\nprivate_reverse = \"local\"\n", network.dns)).await;
    assert_eq!(dig(server.dns, "-x 8.8.8.8").status, "SERVFAIL", "the upstream refuses it, and was asked");
    server.stop().await;
    network.stop().await;
}
