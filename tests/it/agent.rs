//! The registration agent as its users meet it: the real binary and a real ZooKeeper, with services that fall ill, a
//! configuration that changes under it, and ends of every kind.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::{PATIENCE, zk};

pub(crate) const SESSION: Duration = Duration::from_secs(3);

pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> (T, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return (found, begun.elapsed());
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(10));
    }
}

pub(crate) fn registry(servers: &str) -> String {
    format!("[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"3s\"\n")
}

pub(crate) fn service(name: &str, port: u16, more: &str) -> String {
    format!("[[service]]\nname = \"{name}\"\nport = {port}\naddress = \"192.0.2.10\"\n{more}\n")
}

pub(crate) fn node(name: &str, port: u16) -> String {
    format!("/services/{name}/providers/192.0.2.10:{port}")
}

/// The binary with a configuration that can be edited.
pub(crate) fn serve(config: &str) -> (Binary, PathBuf) {
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    (Binary::run(&["serve", "--config", &path.to_string_lossy()]), path)
}

/// Runs a test that blocks, with a namespace of its own in the shared server.
pub(crate) async fn blocking(test: impl FnOnce(String) + Send + 'static) {
    let servers = zk::shared().namespace().await;
    tokio::task::spawn_blocking(move || test(servers)).await.expect("no panic");
}

/// The proxy's address in place of the server's, with the same chroot.
pub(crate) fn through(proxy: &Proxy, servers: &str) -> String {
    let (_, chroot) = servers.split_once('/').expect("a chroot");
    format!("{}/{chroot}", proxy.address())
}

/// How a web server answers.
pub(crate) const OK: usize = 0;
pub(crate) const UNAVAILABLE: usize = 1;
pub(crate) const HANG: usize = 2;
/// Every fourth answer is bad.
const UNSTEADY: usize = 3;

/// A web server whose manners can be changed.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    manner: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (manner, asked) = (Arc::new(AtomicUsize::new(OK)), Arc::new(AtomicUsize::new(0)));
        let (now, count) = (Arc::clone(&manner), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 1024]);
                let status = match now.load(Ordering::SeqCst) {
                    OK => "200 OK",
                    UNSTEADY if number % 4 != 3 => "200 OK",
                    HANG => {
                        hanging.push(stream);
                        continue;
                    }
                    _ => "503 Service Unavailable",
                };
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { address, manner, asked }
    }

    pub(crate) fn behave(&self, manner: usize) {
        self.manner.store(manner, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ill_services_are_withdrawn_and_come_back_and_their_neighbours_do_not_move() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let web = Web::start();
        let flag = scratch("healthy");
        std::fs::write(&flag, "").expect("a file");
        let port = free_port();
        let every = "interval = \"200ms\", timeout = \"300ms\", rise = 2, fall = 2";
        let http = format!("check.http = {{ url = \"http://{}/health\", {every} }}", web.address);
        let tcp = format!("check.tcp = {{ address = \"127.0.0.1:{port}\", {every} }}");
        let script = format!("test -e {0} || {{ echo no {0}; test -e {0}.slow && sleep 60; exit 1; }}", flag.display());
        let exec = format!("check.exec = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], {every} }}");
        let config = registry(&servers)
            + &service("web", 80, &http)
            + &service("db", 81, &tcp)
            + &service("job", 82, &exec)
            + &service("plain", 83, "");
        let (mut ours, _) = serve(&config);
        let [web_node, db, job, plain] = [node("web", 80), node("db", 81), node("job", 82), node("plain", 83)];
        for path in [&web_node, &job, &plain] {
            until(path, || kazoo.get(path));
        }
        assert!(kazoo.get(&db).is_none(), "its port is closed");
        let steady = [&plain, &job].map(|path| kazoo.czxid(path));

        for manner in [UNAVAILABLE, HANG, UNAVAILABLE] {
            web.behave(manner);
            let ((), took) = until("withdrawn", || kazoo.get(&web_node).is_none().then_some(()));
            assert!(took < Duration::from_secs(3), "{took:?}");
            web.behave(OK);
            until("back", || kazoo.get(&web_node));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port");
        until("the port is open", || kazoo.get(&db));
        drop(listener);
        until("connections are refused", || kazoo.get(&db).is_none().then_some(()));
        assert_eq!([&plain, &job].map(|path| kazoo.czxid(path)), steady, "the others have not moved");

        // Every fourth result bad, two make a fall: nothing happens.
        let before = kazoo.czxid(&web_node);
        web.behave(UNSTEADY);
        let asked = web.asked();
        until("twenty checks", || (web.asked() >= asked + 20).then_some(()));
        assert_eq!(kazoo.czxid(&web_node), before);

        std::fs::write(flag.with_extension("slow"), "").expect("a file");
        std::fs::remove_file(&flag).expect("a file");
        until("the command fails", || kazoo.get(&job).is_none().then_some(()));
        std::fs::write(&flag, "").expect("a file");
        until("the command succeeds again", || kazoo.get(&job));
        assert_eq!(kazoo.czxid(&plain), steady[0]);
        ours.signal("TERM");
        assert!(ours.wait().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_over_tls_is_well_when_it_is_who_it_should_be() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let (authority, stranger) = (Authority::new(), Authority::new());
        authority.issue("server");
        // Why a service is unwell is said once: it must not be that nobody listens yet.
        let (mut web, port) = authority.web_server("server");
        let check = |more: String| {
            let url = format!("https://127.0.0.1:{port}/");
            format!(
                "check.http = {{ url = \"{url}\", interval = \"200ms\", rise = 1, contains = \"s_server\", {more} }}"
            )
        };
        let ca = |authority: &Authority| format!("ca = \"{}\"", authority.file("ca.pem").display());
        let config = registry(&servers)
            + &service("known", 80, &check(ca(&authority)))
            + &service("unknown", 81, &check(ca(&stranger)))
            + &service("system", 82, &check("verify = true".to_owned()))
            + &service("anybody", 83, &check("verify = false".to_owned()));
        let (ours, _) = serve(&config);
        for path in [node("known", 80), node("anybody", 83)] {
            until(&path, || kazoo.get(&path));
        }
        until("two who are not believed", || {
            (ours.log().matches("unhealthy: TLS handshake: invalid peer certificate").count() == 2).then_some(())
        });
        assert!(kazoo.get(&node("unknown", 81)).is_none() && kazoo.get(&node("system", 82)).is_none());
        web.kill().expect("the end of openssl");
        web.wait().expect("the end of openssl");
        until("nobody answers", || kazoo.get(&node("known", 80)).is_none().then_some(()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_registered_may_change_the_znodes_where_that_is_asked() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let config = registry(&servers)
            + "auth = \"digest:agent:secret\"\n[announce]\nacl = \"creator\"\nparent_acl = \"creator\"\n"
            + &service("a", 80, "");
        let (mut first, path) = serve(&config);
        let at = node("a", 80);
        let ((_, owner), _) = until("registered, and anybody may read it", || kazoo.get(&at));
        for refused in [kazoo.attempt("set", &at), kazoo.attempt("delete", &at), kazoo.attempt("set", "/services/a")] {
            assert!(refused.contains("NoAuth"), "{refused}");
        }
        let drain = ["drain", "a", "--config", &path.to_string_lossy()];
        let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(drain).output().expect("the binary");
        assert!(output.status.success(), "{output:?}");
        assert!(kazoo.get("/services/a").expect("the service").0.starts_with(b"{\"drain\""));

        // The same credentials take over what a killed process left.
        first.signal("KILL");
        first.wait();
        let (mut second, _) = serve(&config);
        until("taken over", || kazoo.get(&at).filter(|(_, now)| *now != owner));
        second.signal("TERM");
        assert!(second.wait().success(), "{}", second.log());
        assert!(kazoo.get(&at).is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_ill_during_an_outage_is_not_registered_on_return() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let (web, proxy) = (Web::start(), Proxy::start(zk::shared().socket()));
        let http =
            format!("check.http = {{ url = \"http://{}/\", interval = \"200ms\", rise = 1, fall = 1 }}", web.address);
        let config = registry(&through(&proxy, &servers)) + &service("web", 80, &http) + &service("plain", 81, "");
        let (_ours, _) = serve(&config);
        let (ill, plain) = (node("web", 80), node("plain", 81));
        until("registered", || kazoo.get(&ill).and(kazoo.get(&plain)));
        proxy.stall();
        web.behave(UNAVAILABLE);
        until("expired", || kazoo.get(&plain).is_none().then_some(()));
        proxy.heal();
        let (_, took) = until("back", || kazoo.get(&plain));
        assert!(took < Duration::from_secs(10), "{took:?}");
        sleep(Duration::from_secs(1));
        assert!(kazoo.get(&ill).is_none());
        web.behave(OK);
        until("healthy again", || kazoo.get(&ill));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_changes_one_of_fifty_services_changes_one_znode() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let version = scratch("version");
        std::fs::write(&version, "1\n").expect("a file");
        let config = |weight: u16, first: u16| {
            let of = |port| {
                let weight = if port == 7 { weight } else { 10 };
                let file = version.display();
                service("a", port, &format!("properties = {{ weight = {weight}, version = {{ file = \"{file}\" }} }}"))
            };
            registry(&servers) + &(first..=50).map(of).collect::<String>()
        };
        let (mut ours, path) = serve(&config(10, 1));
        let nodes: Vec<String> = (1..=50).map(|port| node("a", port)).collect();
        for path in &nodes {
            until("registered", || kazoo.get(path));
        }
        let mut czxids = || nodes.iter().map(|path| kazoo.czxid(path)).collect::<Vec<_>>();
        let before = czxids();
        std::fs::write(&path, config(20, 1)).expect("the configuration");
        // No signal: the edit is enough.
        until("the changed one", || (czxids()[6] != before[6]).then_some(()));
        sleep(Duration::from_secs(1));
        let changed = czxids().iter().zip(&before).filter(|(now, before)| now != before).count();
        assert_eq!(changed, 1);

        std::fs::write(&path, "[[service]]\nname = 5\n").expect("the configuration");
        until("the mistake is told", || ours.log().contains("`name` must be a string").then_some(()));
        let after = czxids();
        std::fs::write(&path, config(20, 2)).expect("the configuration");
        ours.signal("HUP");
        until("one is removed", || czxids()[0].is_none().then_some(()));
        assert_eq!(czxids()[1..], after[1..], "a broken configuration changes nothing, nor does the next one but one");
        ours.signal("TERM");
        assert!(ours.wait().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_go_at_sigterm_and_dns_goes_on_for_the_drain() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let (admin, said) = (free_port(), scratch("stopped"));
        let config = registry(&servers)
            + &format!("[announce]\ndrain = \"2s\"\non_stop = [\"/usr/bin/touch\", \"{}\"]\n", said.display())
            + &format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n")
            + &(1..=5).map(|port| service("a", port, "")).collect::<String>();
        let (mut ours, _) = serve(&config);
        let nodes: Vec<String> = (1..=5).map(|port| node("a", port)).collect();
        for path in &nodes {
            until("registered", || kazoo.get(path));
        }
        let begun = Instant::now();
        ours.signal("TERM");
        until("all are gone", || nodes.iter().all(|path| kazoo.get(path).is_none()).then_some(()));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        println!("five nodes gone {took:?} after SIGTERM");
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).is_ok(), "the rest goes on meanwhile");
        assert!(ours.wait().success());
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(6), "{took:?}");
        assert!(said.exists(), "{}", ours.log());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_zookeeper_is_quick_and_says_when_the_node_goes() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let proxy = Proxy::start(zk::shared().socket());
        let (mut ours, _) = serve(&(registry(&through(&proxy, &servers)) + &service("a", 80, "")));
        let path = node("a", 80);
        until("registered", || kazoo.get(&path));
        proxy.stall();
        let begun = Instant::now();
        ours.signal("TERM");
        assert!(ours.wait().success());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        println!("stopped {took:?} after SIGTERM without ZooKeeper");
        assert!(ours.log().contains("it goes within 3s"), "{}", ours.log());
        let ((), took) = until("expired", || kazoo.get(&path).is_none().then_some(()));
        assert!(took < 2 * SESSION, "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_past_expiry_registers_again_and_a_killed_ones_node_goes() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let (ours, _) = serve(&(registry(&servers) + &service("a", 80, "")));
        let path = node("a", 80);
        let ((_, owner), _) = until("registered", || kazoo.get(&path));
        ours.signal("STOP");
        until("expired", || kazoo.get(&path).is_none().then_some(()));
        ours.signal("CONT");
        let ((_, again), took) = until("back", || kazoo.get(&path));
        assert_ne!(again, owner);
        println!("back {took:?} after SIGCONT");
        ours.signal("KILL");
        let ((), took) = until("expired", || kazoo.get(&path).is_none().then_some(()));
        assert!(took < 2 * SESSION, "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_says_through_the_admin_server_that_it_is_well() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let admin = free_port();
        let config = registry(&servers)
            + &format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n")
            + &service("staging/a", 80, "check.ttl = { ttl = \"2s\", interval = \"200ms\" }")
            + &service("plain", 81, "");
        let (_ours, _) = serve(&config);
        let send = |method: &str, path: &str| -> Option<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).ok()?;
            write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                .ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        };
        let post = |path: &str| send("POST", path);
        until("the admin server", || post("/v1/heartbeat/staging/a").filter(|answer| answer.contains("200 OK")));
        assert!(send("PUT", "/v1/heartbeat/staging/a").expect("an answer").contains("200 OK"));
        assert!(send("GET", "/v1/heartbeat/staging/a").expect("an answer").contains("takes POST and PUT"));
        assert!(post("/v1/heartbeat/b").expect("an answer").contains("404"));
        let unheard = post("/v1/heartbeat/plain").expect("an answer");
        assert!(unheard.contains("409 Conflict") && unheard.contains("no check.ttl that waits"), "{unheard}");
        let path = node("staging/a", 80);
        until("registered", || kazoo.get(&path));
        // It is registered once it has been read back, a moment after others can see it.
        until("a status that says so", || {
            let _ = post("/v1/heartbeat/staging/a");
            let status = Command::new(env!("CARGO_BIN_EXE_zonekeeper"))
                .args(["status", "--admin", &format!("127.0.0.1:{admin}")])
                .output()
                .expect("the binary");
            let said = String::from_utf8_lossy(&status.stdout).into_owned();
            let registered = said.contains(&format!("{path} registered by 0x"));
            (status.status.success() && registered && said.contains("    ttl 2s healthy for ")).then_some(())
        });
        let ((), took) = until("silent for too long", || kazoo.get(&path).is_none().then_some(()));
        assert!(took < Duration::from_secs(5), "{took:?}");
    })
    .await;
}
