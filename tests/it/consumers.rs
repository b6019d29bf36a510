//! Those who use the answers, for real and as Debian packages them: proxies that find their backends by them, resolvers
//! in front, other people's DNS tools, and the C library. Each has its configuration from `deploy/`.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::harness::app::{Running, free_port, scratch};
use crate::harness::consumer::{Consumer, deployed, written};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::samples::answers;
use crate::harness::zk;
use crate::harness::{PATIENCE, eventually};

/// A registry in a file, and a server of it.
pub(crate) struct Registry {
    tree: PathBuf,
    pub(crate) server: Running,
}

/// An instance: its address, and its weight.
pub(crate) type Instance = (SocketAddr, u16);

impl Registry {
    /// Answers for `api_x.service` and the names of its addresses, once it has read them.
    pub(crate) async fn start(instances: &[Instance]) -> Self {
        let tree = scratch("registry.tree");
        std::fs::write(&tree, text(instances)).expect("a registry");
        let zone = |origin: &str| format!("[[zone]]\norigin = \"{origin}\"\nttl = \"1s\"\nnegative_ttl = \"1s\"\n");
        let server = Running::start(&format!(
            "[registry.main]\nmemory = \"{}\"\n{}{}",
            tree.display(),
            zone("service."),
            zone("168.192.in-addr.arpa."),
        ));
        let ready = async || (dig(server.dns, "SRV api_x.service").status == "NOERROR").then_some(());
        eventually("the registry", ready).await;
        Self { tree, server }
    }

    /// From now on there are these instances.
    pub(crate) fn change(&self, instances: &[Instance]) {
        let new = self.tree.with_extension("new");
        std::fs::write(&new, text(instances)).expect("a registry");
        std::fs::rename(new, &self.tree).expect("a registry");
    }

    /// The word of our port in the files of `deploy/`, and what it is here.
    fn port(&self) -> (&'static str, String) {
        ("5300", self.server.dns.port().to_string())
    }
}

fn text(instances: &[Instance]) -> String {
    let mut text = "/services\n  /api_x\n    /providers\n".to_owned();
    for (endpoint, weight) in instances {
        let _ = writeln!(text, "      /{endpoint}\n        weight = {weight}");
    }
    text
}

/// HTTP servers on addresses of the loopback interface and one port; each answers with its address.
pub(crate) struct Backends {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Backends {
    pub(crate) async fn start(hosts: &[u8]) -> Self {
        for _ in 0..100 {
            let port = free_port();
            let mut listeners = Vec::new();
            for host in hosts {
                listeners.extend(TcpListener::bind((Ipv4Addr::new(127, 0, 0, *host), port)).await);
            }
            if listeners.len() == hosts.len() {
                let mut tasks = JoinSet::new();
                for listener in listeners {
                    tasks.spawn(serve(listener));
                }
                return Self { port, _tasks: tasks };
            }
        }
        panic!("no port that is free on all addresses");
    }

    pub(crate) fn at(&self, host: u8) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, host), self.port).into()
    }
}

async fn serve(listener: TcpListener) {
    let body = listener.local_addr().expect("an address").ip().to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        // Checks of a proxy connect and say nothing.
        let mut request = [0; 4096];
        if matches!(stream.read(&mut request).await, Ok(length) if length > 0) {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

/// What a program says to these bytes on a port of this host; none when it is not there or does not end.
async fn said(port: u16, request: &'static str) -> Option<String> {
    let exchange = move || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said)
    };
    tokio::task::spawn_blocking(exchange).await.expect("no panic")
}

/// The backend that a proxy chose.
pub(crate) async fn chosen(port: u16) -> Option<String> {
    let response = said(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

/// Waits until a proxy uses exactly these backends, as far as thirty requests in a row can tell.
pub(crate) async fn uses(consumer: &Consumer, port: u16, expected: &[&str]) {
    let mut last = Vec::new();
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            let mut all = Vec::new();
            for _ in 0..30 {
                all.push(chosen(port).await.unwrap_or_else(|| "nothing".into()));
            }
            all.sort();
            all.dedup();
            if all == expected {
                return;
            }
            last = all;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let found = found.await;
    assert!(found.is_ok(), "it uses {last:?}, not {expected:?}\n{}", consumer.log());
}

/// HAProxy's servers of a backend that are up: address, port and weight.
async fn haproxy_servers(control: u16, backend: &str) -> Vec<String> {
    let state = said(control, "show servers state\n").await.unwrap_or_default();
    let mut up: Vec<String> = state
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields.len() > 18 && fields[1] == backend && fields[5] == "2")
        .map(|fields| format!("{}:{} {}", fields[4], fields[18], fields[7]))
        .collect();
    up.sort();
    up
}

async fn haproxy_has(consumer: &Consumer, control: u16, backend: &str, expected: &[String]) {
    let found = tokio::time::timeout(PATIENCE, async {
        while haproxy_servers(control, backend).await != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    if found.await.is_err() {
        let servers = haproxy_servers(control, backend).await;
        panic!("{backend} has {servers:?}, not {expected:?}\n{}", consumer.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_follows_srv_records_with_their_weights_and_addresses() {
    let backends = Backends::start(&[11, 12, 13]).await;
    let at = |host| backends.at(host);
    let registry = Registry::start(&[(at(11), 256), (at(12), 2560)]).await;
    let alone = Command::new("/usr/sbin/haproxy").args(["-c", "-f", "deploy/haproxy.cfg"]).output().expect("haproxy");
    let complaint = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(alone.status.success() && !complaint.contains("missing timeouts"), "{complaint}");
    let (control, http) = (free_port(), free_port());
    let part = deployed(
        "haproxy.cfg",
        &[registry.port(), ("127.0.0.1:8000", format!("127.0.0.1:{http}")), (":8080", format!(":{}", backends.port))],
    );
    let config = written(
        "haproxy.cfg",
        &format!(
            "global\n    stats socket ipv4@127.0.0.1:{control} level admin\ndefaults\n    mode http\n    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\n    default-server inter 200ms\n{part}"
        ),
    );
    let haproxy = Consumer::start("/usr/sbin/haproxy", "haproxy", &["-db", "-f", &config.to_string_lossy()]);
    let by_srv = |pairs: &[(u8, u16)]| -> Vec<String> {
        pairs.iter().map(|(host, weight)| format!("{} {weight}", at(*host))).collect()
    };
    let by_address = |hosts: &[u8]| by_srv(&hosts.iter().map(|host| (*host, 1)).collect::<Vec<_>>());

    haproxy_has(&haproxy, control, "api", &by_srv(&[(11, 1), (12, 10)])).await;
    haproxy_has(&haproxy, control, "api_by_address", &by_address(&[11, 12])).await;
    uses(&haproxy, http, &["127.0.0.11", "127.0.0.12"]).await;

    // One more, and another weight.
    registry.change(&[(at(11), 512), (at(12), 2560), (at(13), 256)]);
    haproxy_has(&haproxy, control, "api", &by_srv(&[(11, 2), (12, 10), (13, 1)])).await;
    haproxy_has(&haproxy, control, "api_by_address", &by_address(&[11, 12, 13])).await;
    uses(&haproxy, http, &["127.0.0.11", "127.0.0.12", "127.0.0.13"]).await;

    // Two fewer.
    registry.change(&[(at(13), 256)]);
    haproxy_has(&haproxy, control, "api", &by_srv(&[(13, 1)])).await;
    haproxy_has(&haproxy, control, "api_by_address", &by_address(&[13])).await;
    uses(&haproxy, http, &["127.0.0.13"]).await;

    // More than any datagram holds: HAProxy does not come again over TCP, so it uses nothing else.
    let many: Vec<Instance> =
        (1..=90).map(|host| ((Ipv4Addr::new(127, 1, 0, host), backends.port).into(), 256)).collect();
    assert!(dig(registry.server.dns, "SRV _api_x._tcp.service +tcp").size < 1232, "few so far");
    registry.change(&many);
    eventually("ninety slots", async || {
        let state = said(control, "show servers state\n").await?;
        let taken = state.lines().filter(|line| line.contains(" api ") && line.contains(" 127.1.0.")).count();
        (taken == 90).then_some(())
    })
    .await;
    assert!(dig(registry.server.dns, "SRV _api_x._tcp.service").size > 1232, "many");
    registry.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_follows_the_leader_with_its_port_and_uses_no_server_between_two() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let backends = Backends::start(&[51, 52]).await;
    for (name, host, role) in [("pg1", 51, "primary"), ("pg2", 52, "replica")] {
        let at = backends.at(host);
        let data = format!(r#"{{"conn_url":"postgres://{at}/postgres","state":"running","role":"{role}"}}"#);
        kazoo.create(&format!("/service/db/members/{name}"), data.as_bytes(), true);
    }
    kazoo.create("/service/db/leader", b"pg1", true);
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nformat = \"patroni\"\n\
         [[zone]]\norigin = \"pg.\"\nttl = \"1s\"\nnegative_ttl = \"1s\"\n"
    ));
    answers(server.dns, "SRV _leader._tcp.db.pg", &[&format!("0 10 {} 127-0-0-51.addr.pg.", backends.port)]).await;
    answers(server.dns, "SRV _replica._tcp.db.pg", &[&format!("0 10 {} 127-0-0-52.addr.pg.", backends.port)]).await;
    let (control, http) = (free_port(), free_port());
    let config = written(
        "haproxy.cfg",
        &format!(
            "global\n    stats socket ipv4@127.0.0.1:{control} level admin\n\
             resolvers zonekeeper\n    nameserver one tcp@{}\n    accepted_payload_size 65535\n\
             {}defaults\n    mode http\n    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\n\
             listen primary\n    bind 127.0.0.1:{http}\n    default-server inter 200ms\n    \
             server-template pg 1 _leader._tcp.db.pg resolvers zonekeeper resolve-prefer ipv4 init-addr none check\n",
            server.dns,
            "    timeout resolve 200ms\n    timeout retry 200ms\n    hold valid 200ms\n    hold obsolete 0s\n    \
             hold other 0s\n    hold nx 0s\n    hold refused 30s\n    hold timeout 30s\n",
        ),
    );
    let haproxy = Consumer::start("/usr/sbin/haproxy", "haproxy", &["-db", "-f", &config.to_string_lossy()]);
    uses(&haproxy, http, &["127.0.0.51"]).await;
    kazoo.delete("/service/db/leader");
    uses(&haproxy, http, &["nothing"]).await;
    assert_eq!(dig(server.dns, "SRV _leader._tcp.db.pg").status, "NOERROR");
    kazoo.create("/service/db/leader", b"pg2", true);
    uses(&haproxy, http, &["127.0.0.52"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_follows_addresses() {
    let backends = Backends::start(&[21, 22, 23]).await;
    let at = |host| (backends.at(host), 10);
    let registry = Registry::start(&[at(21), at(22)]).await;
    let http = free_port();
    let part = deployed(
        "nginx.conf",
        &[registry.port(), ("127.0.0.1:8000", format!("127.0.0.1:{http}")), (":8080", format!(":{}", backends.port))],
    );
    let part = written("part.conf", &part);
    let directory = part.parent().expect("a directory").display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {directory}/{what};\n"))
        .concat();
    let config = written(
        "nginx.conf",
        &format!(
            "daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log stderr info;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}include {};\n}}\n",
            part.display()
        ),
    );
    let nginx = Consumer::start("/usr/sbin/nginx", "nginx", &["-e", "stderr", "-c", &config.to_string_lossy()]);
    uses(&nginx, http, &["127.0.0.21", "127.0.0.22"]).await;
    registry.change(&[at(21), at(22), at(23)]);
    uses(&nginx, http, &["127.0.0.21", "127.0.0.22", "127.0.0.23"]).await;
    registry.change(&[at(23)]);
    uses(&nginx, http, &["127.0.0.23"]).await;
    registry.server.stop().await;
}

fn instance(host: u8) -> Instance {
    ((Ipv4Addr::new(192, 168, 0, host), 8080).into(), 10)
}

fn srv(host: u8) -> String {
    format!("0 10 8080 192-168-0-{host}.addr.service.")
}

/// What a resolver in front says: like [`dig`], but none while it starts.
async fn asked(resolver: SocketAddr, query: &str) -> Option<(String, Vec<String>)> {
    let words: Vec<String> = query.split(' ').map(str::to_owned).collect();
    let run = move || {
        let port = resolver.port().to_string();
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &port, "+tries=1", "+time=3", "+noall", "+comments", "+answer"]).args(words);
        String::from_utf8_lossy(&dig.output().expect("dig").stdout).into_owned()
    };
    let text = tokio::task::spawn_blocking(run).await.expect("no panic");
    let status = text.split_once("status: ")?.1.split(',').next()?.to_owned();
    let records = text.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
    let mut data: Vec<String> =
        records.map(|line| line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ")).collect();
    data.sort();
    Some((status, data))
}

async fn says(resolver: SocketAddr, consumer: &Consumer, query: &str, status: &str, data: &[String]) {
    let mut last = None;
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            last = asked(resolver, query).await;
            if last.as_ref().is_some_and(|(rcode, records)| rcode == status && records == data) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let found = found.await;
    assert!(found.is_ok(), "{query} is {last:?}, not {status} {data:?}\n{}", consumer.log());
}

/// A file with its part about reverse names in force, which is a comment in it.
fn with_reverse_names(text: &str) -> String {
    let (before, behind) = text.split_once("# Reverse names").expect("that part");
    let lines = behind.lines().map(|line| match line.strip_prefix('#') {
        Some(line) if !line.starts_with(' ') || line.starts_with("  ") => line,
        _ => line,
    });
    // The rest of the first line is a comment.
    format!("{before}#{}\n", lines.collect::<Vec<_>>().join("\n"))
}

/// A resolver in front of us gives what we give, and follows what changes.
async fn stands_in_front(start: impl FnOnce(&Registry, u16) -> Consumer) {
    let registry = Registry::start(&[instance(42), instance(43)]).await;
    let resolver = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let consumer = start(&registry, resolver.port());
    let is = async |query: &str, status: &str, data: &[String]| {
        says(resolver, &consumer, query, status, data).await;
    };
    is("SRV _api_x._tcp.service", "NOERROR", &[srv(42), srv(43)]).await;
    is("SRV api_x.service", "NOERROR", &[srv(42), srv(43)]).await;
    is("A api_x.service", "NOERROR", &["192.168.0.42".into(), "192.168.0.43".into()]).await;
    is("A 192-168-0-42.addr.service", "NOERROR", &["192.168.0.42".into()]).await;
    is("AAAA api_x.service", "NOERROR", &[]).await;
    is("A addr.service", "NOERROR", &[]).await;
    is("A other.service", "NXDOMAIN", &[]).await;
    is("-x 192.168.0.42", "NOERROR", &["192-168-0-42.addr.service.".into()]).await;
    is("SRV api_x.service +tcp", "NOERROR", &[srv(42), srv(43)]).await;

    registry.change(&[instance(43), instance(44)]);
    is("SRV api_x.service", "NOERROR", &[srv(43), srv(44)]).await;
    is("A api_x.service", "NOERROR", &["192.168.0.43".into(), "192.168.0.44".into()]).await;
    is("-x 192.168.0.42", "NXDOMAIN", &[]).await;
    is("-x 192.168.0.44", "NOERROR", &["192-168-0-44.addr.service.".into()]).await;

    // More than its datagrams and ours hold, and than BIND takes by itself.
    let many: Vec<Instance> = (1..=150).map(instance).collect();
    registry.change(&many);
    let mut all: Vec<String> = (1..=150).map(srv).collect();
    all.sort();
    is("SRV api_x.service +tcp", "NOERROR", &all).await;

    registry.change(&[]);
    is("SRV api_x.service", "NOERROR", &[]).await;
    registry.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_stands_in_front() {
    stands_in_front(|registry, port| {
        let part = written("part.conf", &with_reverse_names(&deployed("unbound.conf", &[registry.port()])));
        let directory = part.parent().expect("a directory").display();
        let config = format!(
            "server:\n  interface: 127.0.0.1\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  \
             directory: \"{directory}\"\n  pidfile: \"{directory}/pid\"\n  use-syslog: no\n  num-threads: 1\n  \
             private-address: 192.168.0.0/16\n  qname-minimisation-strict: yes\n\
             remote-control:\n  control-enable: no\ninclude: \"{}\"\n",
            part.display()
        );
        let config = written("unbound.conf", &config);
        Consumer::start("/usr/sbin/unbound", "unbound", &["-d", "-c", &config.to_string_lossy()])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dnsmasq_stands_in_front() {
    stands_in_front(|registry, port| {
        let config = written("dnsmasq.conf", &with_reverse_names(&deployed("dnsmasq.conf", &[registry.port()])));
        let (config, port) = (format!("--conf-file={}", config.display()), format!("--port={port}"));
        let arguments =
            ["--keep-in-foreground", &config, &port, "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv"];
        let more = ["--no-hosts", "--stop-dns-rebind", "--user=", "--pid-file", "--log-facility=-", "--log-queries"];
        Consumer::start("/usr/sbin/dnsmasq", "dnsmasq-base", &[&arguments[..], &more].concat())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bind_stands_in_front() {
    stands_in_front(|registry, port| {
        let directory = scratch("pid");
        let directory = directory.parent().expect("a directory").display();
        let options = format!(
            "options {{\n  directory \"{directory}\"; pid-file \"{directory}/pid\"; session-keyfile \"{directory}/key\";\n  \
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n  recursion yes; dnssec-validation auto;\n"
        );
        let part = with_reverse_names(&deployed("named.conf", &[registry.port(), ("options {\n", options)]));
        let config = written("named.conf", &format!("{part}controls {{ }};\n"));
        Consumer::start("/usr/sbin/named", "bind9", &["-g", "-n", "1", "-c", &config.to_string_lossy()])
    })
    .await;
}

/// What a tool prints, in single spaces.
pub(crate) async fn printed(program: &'static str, package: &'static str, arguments: Vec<String>) -> String {
    let run = move || {
        let output = Command::new(program).args(&arguments).output();
        let output =
            output.unwrap_or_else(|error| panic!("cannot run {program}: install the package {package} ({error})"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect::<String>()
    };
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_and_drill_read_what_dig_reads() {
    let registry = Registry::start(&[instance(42), instance(43)]).await;
    let port = registry.server.dns.port().to_string();
    let questions = [
        ("SRV", "api_x.service", vec![format!("api_x.service. 1 IN SRV {}", srv(42)), "A 192.168.0.43".into()]),
        ("A", "api_x.service", vec!["api_x.service. 1 IN A 192.168.0.42".into()]),
        ("AAAA", "api_x.service", vec!["service. 1 IN SOA ".into(), "NOERROR".into()]),
        ("A", "no.service", vec!["service. 1 IN SOA ".into(), "NXDOMAIN".into()]),
        ("PTR", "42.0.168.192.in-addr.arpa", vec!["PTR 192-168-0-42.addr.service.".into()]),
    ];
    for (rtype, name, expected) in questions {
        for tcp in [false, true] {
            let mut kdig: Vec<String> =
                ["@127.0.0.1", "-p", &port, "+edns", "+nsid", rtype, name].map(Into::into).into();
            let mut drill: Vec<String> = ["-p", &port, rtype, name, "@127.0.0.1"].map(Into::into).into();
            if tcp {
                kdig.push("+tcp".into());
                drill.insert(0, "-t".into());
            }
            for (program, package, arguments) in [("kdig", "knot-dnsutils", kdig), ("drill", "ldnsutils", drill)] {
                let text = printed(program, package, arguments).await;
                for expected in &expected {
                    assert!(
                        text.contains(&**expected),
                        "{program} {rtype} {name} (tcp: {tcp}), no {expected}:\n{text}"
                    );
                }
                assert!(!text.contains("WARNING") && !text.contains("rror "), "{program} {rtype} {name}:\n{text}");
            }
        }
    }
    registry.server.stop().await;
}

/// getaddrinfo sends both questions at once from one socket, and takes "no such name" to either for both.
#[tokio::test(flavor = "multi_thread")]
async fn the_c_library_resolves_names() {
    let registry = Registry::start(&[instance(42), instance(43)]).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/glibc.py");
    let ask = async || {
        let port = registry.server.dns.port().to_string();
        let names = ["api_x.service", "api-x.service", "addr.service", "other.service"];
        let arguments = [script, &port].into_iter().chain(names).map(Into::into).collect();
        printed("/usr/bin/python3", "python3", arguments).await
    };
    let both = "192.168.0.42 192.168.0.43";
    assert_eq!(
        ask().await,
        format!("api_x.service {both}\napi-x.service {both}\naddr.service NODATA\nother.service NONAME\n")
    );
    registry.change(&[instance(44)]);
    eventually("the change", async || ask().await.starts_with("api_x.service 192.168.0.44\n").then_some(())).await;
    registry.server.stop().await;
}
