//! What is registered stays registered: edits of the configuration under a client that looks every 5 ms.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::agent::{OK, UNAVAILABLE, Web, blocking, node, registry, serve, service, until};
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::looker::Looker;

/// An agent under edits.
pub(crate) struct Agent {
    pub(crate) binary: Binary,
    path: PathBuf,
}

impl Agent {
    pub(crate) fn start(config: &str) -> Self {
        let (binary, path) = serve(config);
        Self { binary, path }
    }

    /// Writes the configuration and waits until it is in force.
    pub(crate) fn edit(&self, config: &str) {
        let before = self.binary.log().matches("configuration re-read").count();
        std::fs::write(&self.path, config).expect("the configuration");
        self.binary.signal("HUP");
        let taken = || self.binary.log().matches("configuration re-read").count() > before;
        until("the edit is taken", || taken().then_some(()));
    }
}

/// The settings of the checks, as one after the other they are edited.
struct Settings {
    /// Milliseconds.
    interval: u32,
    timeout: &'static str,
    rise: u32,
    fall: u32,
    /// More of every check but that of heartbeats.
    common: &'static str,
    http: &'static str,
    ttl: &'static str,
    service: &'static str,
    more: &'static str,
}

impl Settings {
    /// The time that a death may take to be noticed.
    fn bound(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval * self.fall))
    }
}

const PLAIN: Settings = Settings {
    interval: 300,
    timeout: "1s",
    rise: 2,
    fall: 2,
    common: "",
    http: "",
    ttl: "60s",
    service: "address = \"127.0.0.1\"",
    more: "",
};

const EDITS: [Settings; 16] = [
    Settings { timeout: "2s", ..PLAIN },
    Settings { interval: 700, ..PLAIN },
    Settings { rise: 9, ..PLAIN },
    Settings { rise: 9, fall: 5, ..PLAIN },
    Settings { fall: 1, ..PLAIN },
    Settings { common: ", initial = \"healthy\"", ..PLAIN },
    Settings { http: ", headers = { x-check = \"1\" }, method = \"HEAD\"", ..PLAIN },
    Settings { http: ", status = \"200-204\"", ..PLAIN },
    Settings { http: ", contains = \"\"", ..PLAIN },
    Settings { http: ", body_limit = \"64KiB\"", ..PLAIN },
    Settings { http: ", matches = \".*\"", ..PLAIN },
    Settings { ttl: "61s", ..PLAIN },
    Settings { service: "network = \"127.0.0.1/32\"", ..PLAIN },
    Settings { service: "interface = \"lo\"\nnetwork = \"127.0.0.1/32\"", ..PLAIN },
    Settings { more: "properties = { weight = 20 }", ..PLAIN },
    PLAIN,
];

/// How often each of the settings is edited, and how many deaths fall into an edit. By hand: `ZONEKEEPER_EDITS=50`.
pub(crate) fn rounds() -> Option<usize> {
    std::env::var("ZONEKEEPER_EDITS").ok().and_then(|rounds| rounds.parse().ok())
}

/// What is checked, dead or alive.
struct Checked {
    web: Web,
    port: SocketAddr,
    listener: Arc<Mutex<Option<TcpListener>>>,
    alive: PathBuf,
    beat: PathBuf,
}

impl Checked {
    fn new() -> Self {
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let checked =
            Self { web: Web::start(), port, listener: Arc::default(), alive: scratch("alive"), beat: scratch("beat") };
        for name in ["db", "job"] {
            checked.set(name, true);
        }
        let (listener, beat) = (Arc::clone(&checked.listener), checked.beat.clone());
        std::fs::write(&beat, "").expect("a file");
        // Takes what connects, and sends heartbeats.
        std::thread::spawn(move || {
            for round in 0_u64.. {
                if let Some(listener) = &*listener.lock().unwrap_or_else(PoisonError::into_inner) {
                    while listener.accept().is_ok() {}
                }
                if round.is_multiple_of(100) {
                    std::fs::write(&beat, "").expect("a file");
                }
                sleep(Duration::from_millis(10));
            }
        });
        checked
    }

    /// The configuration of one of the agents.
    fn config(&self, servers: &str, agent: u16, edit: &Settings) -> String {
        let Settings { interval, timeout, rise, fall, common, http, ttl, service, more } = edit;
        let every =
            format!("interval = \"{interval}ms\", timeout = \"{timeout}\", rise = {rise}, fall = {fall}{common}");
        let script = format!("sleep 0.05; test -e {}", self.alive.display());
        let checks = [
            format!("check.http = {{ url = \"http://{}/\", {every}{http} }}", self.web.address),
            format!("check.tcp = {{ address = \"{}\", {every} }}", self.port),
            format!("check.exec = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], {every} }}"),
            format!("check.ttl = {{ file = \"{}\", ttl = \"{ttl}\" }}", self.beat.display()),
        ];
        let services = ["web", "db", "job", "beat"].into_iter().zip(&checks).map(|(name, check)| {
            format!("[[service]]\nname = \"{name}\"\nport = {}\n{service}\n{check}\n{more}\n", 80 + agent)
        });
        registry(servers) + &services.collect::<String>()
    }

    /// Has one of them die, or live again.
    fn set(&self, name: &str, is_alive: bool) {
        match (name, is_alive) {
            ("web", _) => self.web.behave(if is_alive { OK } else { UNAVAILABLE }),
            ("db", _) => {
                let listener = is_alive.then(|| TcpListener::bind(self.port).expect("its port"));
                if let Some(listener) = &listener {
                    listener.set_nonblocking(true).expect("a socket");
                }
                *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
            }
            (_, true) => std::fs::write(&self.alive, "").expect("a file"),
            (_, false) => std::fs::remove_file(&self.alive).expect("a file"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_edit_of_a_check_takes_a_healthy_service_out() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let checked = Checked::new();
        let start = |agent| Agent::start(&checked.config(&servers, agent, &PLAIN));
        let agents: Vec<_> = (0..3).map(start).collect();
        let of = |agent: u16, name: &str| format!("/services/{name}/providers/127.0.0.1:{}", 80 + agent);
        let nodes: Vec<_> = (0..3).flat_map(|agent| ["web", "db", "job", "beat"].map(|name| of(agent, name))).collect();
        for path in &nodes {
            until(path, || kazoo.get(path));
        }
        let looker = Looker::start(&servers, nodes.clone());
        let rounds = rounds();
        for edit in std::iter::repeat_n(&EDITS, rounds.unwrap_or(1)).flatten() {
            for (number, agent) in (0..).zip(&agents) {
                agent.edit(&checked.config(&servers, number, edit));
            }
            sleep(Duration::from_millis(200));
        }
        sleep(Duration::from_secs(1));
        let seen = looker.stop();
        assert!(seen.looks > 30 && seen.absent.is_empty(), "{seen:?}");
        for agent in &agents {
            assert!(!agent.binary.log().contains("withdrawn"), "{}", agent.binary.log());
        }

        // Killed during an edit, it is out within `fall` × `interval` and a second.
        let (mut slowest, mut before) = (Duration::ZERO, &PLAIN);
        let edits = [&EDITS[0], &EDITS[6], &EDITS[12]];
        let edits = rounds.map_or(edits.to_vec(), |rounds| EDITS.iter().cycle().take(rounds).collect());
        for (edit, name) in edits.into_iter().zip(["web", "db", "job"].into_iter().cycle()) {
            let bound = before.bound().max(edit.bound()) + Duration::from_secs(1);
            before = edit;
            checked.set(name, false);
            let begun = Instant::now();
            agents[0].edit(&checked.config(&servers, 0, edit));
            until("it is out", || kazoo.get(&of(0, name)).is_none().then_some(()));
            let took = begun.elapsed();
            assert!(took < bound, "{name}: {took:?}, more than {bound:?}");
            slowest = slowest.max(took);
            checked.set(name, true);
            until("it is back", || kazoo.get(&of(0, name)));
        }
        let log = agents[0].binary.log();
        assert!(log.contains("withdrawn") && log.contains("reason=http http://"), "{log}");
        assert!(log.contains("registered") && log.contains("its checks pass"), "{log}");
        println!("{} looks, none at an absent znode; the slowest death was noticed after {slowest:?}", seen.looks);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_leaves_the_configuration_is_told_with_its_file() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let config = "include = [\"conf.d/*.toml\"]\n".to_owned() + &registry(&servers) + &service("main", 82, "");
        let agent = Agent::start(&config);
        until("it runs", || kazoo.get(&node("main", 82)));
        let snippet = agent.path.with_file_name("conf.d").join("web.toml");
        std::fs::create_dir_all(snippet.parent().expect("a directory")).expect("conf.d");
        std::fs::write(&snippet, service("web", 80, "") + &service("db", 81, "")).expect("a snippet");
        agent.edit(&config);
        for path in [node("web", 80), node("db", 81)] {
            until(&path, || kazoo.get(&path));
        }
        std::fs::write(&snippet, service("db", 81, "")).expect("a snippet");
        until("it is out", || kazoo.get(&node("web", 80)).is_none().then_some(()));
        let log = agent.binary.log();
        let line = log.lines().find(|line| line.contains("has left the configuration and is being withdrawn"));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("WARN") && line.contains("web.toml") && line.contains("web"), "{line}");
        assert!(kazoo.get(&node("db", 81)).is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_moves_is_never_absent_and_says_why() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let web = Web::start();
        let check =
            format!("check.http = {{ url = \"http://{}/\", interval = \"300ms\", rise = 3, fall = 2 }}", web.address);
        let service = |place: &str| format!("[[service]]\nname = \"web\"\n{place}\n{check}\n");
        let main =
            "include = [\"conf.d/*.toml\"]\n".to_owned() + &registry(&servers) + &crate::agent::service("main", 82, "");
        let agent = Agent::start(&main);
        until("it runs", || kazoo.get(&node("main", 82)));
        let snippet = agent.path.with_file_name("conf.d").join("web.toml");
        std::fs::create_dir_all(snippet.parent().expect("a directory")).expect("conf.d");
        let write = |place: &str| std::fs::write(&snippet, service(place)).expect("a snippet");
        write("port = 80\naddress = \"192.0.2.10\"");
        agent.edit(&main);
        let path = |place: &str| format!("/services/web/providers/{place}");
        until("it is registered", || kazoo.get(&path("192.0.2.10:80")));
        let looker = Looker::start(&servers, vec!["/services/web/providers/".to_owned()]);
        let mut from = "192.0.2.10:80";
        for (edit, to, why) in [
            (
                "port = 80\naddress = \"192.0.2.11\"",
                "192.0.2.11:80",
                "its address was 192.0.2.10 and is 192.0.2.11 now",
            ),
            ("port = 81\naddress = \"192.0.2.11\"", "192.0.2.11:81", "its port was 80 and is 81 now"),
            ("port = 81\nnetwork = \"127.0.0.1/32\"", "127.0.0.1:81", "its address was 192.0.2.11 and is not in "),
            ("port = 81\naddress = \"192.0.2.10\"", "192.0.2.10:81", "it was registered at this host's own addresses"),
            ("port = 81\naddress = \"192.0.2.10\"\nproperties = { weight = 7 }", "192.0.2.10:81", ""),
        ] {
            let before = agent.binary.log().len();
            write(edit);
            until(to, || kazoo.get(&path(to)));
            if why.is_empty() {
                until("its weight", || {
                    kazoo.get(&path(to)).filter(|(data, _)| String::from_utf8_lossy(data).contains('7'))
                });
                assert!(!agent.binary.log()[before..].contains("withdrawn"), "{}", agent.binary.log());
                continue;
            }
            until(from, || kazoo.get(&path(from)).is_none().then_some(()));
            until(why, || agent.binary.log()[before..].contains("withdrawn").then_some(()));
            let log = agent.binary.log()[before..].to_owned();
            for words in ["registered elsewhere", "withdrawn"] {
                let lines: Vec<_> = log.lines().filter(|line| line.contains(words)).collect();
                let is_good = |line: &&str| line.contains(why) && line.contains("WARN") && line.contains("web.toml");
                assert!(lines.len() == 1 && lines.iter().all(is_good), "{words}, {why}: {log}");
            }
            from = to;
        }
        let seen = looker.stop();
        assert!(seen.looks > 50 && seen.absent.is_empty(), "{seen:?}");

        // One that is ill at its new place does not stay at the old one.
        let closed = crate::harness::app::free_port();
        std::fs::write(
            &snippet,
            format!(
                "[[service]]\nname = \"web\"\nport = {closed}\naddress = \"127.0.0.1\"\n\
            check.tcp = {{ interval = \"200ms\", fall = 2 }}\n"
            ),
        )
        .expect("a snippet");
        let ((), took) = until("it is out", || kazoo.get(&path(from)).is_none().then_some(()));
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert!(kazoo.get(&path(&format!("127.0.0.1:{closed}"))).is_none());
    })
    .await;
}

/// Adds two hosts' worth of interfaces to a network namespace, and checks the configuration in it.
const HOST: &str = "set -e
ip link set lo up
ip link add eth0 type veth peer name peer0 && ip link set peer0 up && ip link set eth0 up
ip addr add 10.1.0.5/24 dev eth0
ip addr add 169.254.20.10/32 dev eth0
ip -6 addr add 2001:db8::5/64 dev eth0 nodad
ip -6 addr add 2001:db8::dea5/64 dev eth0 nodad preferred_lft 0
ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up
ip link add port0 type veth peer name port1 && ip link set port0 master docker0 && ip link set port0 up && ip link set port1 up
ip link add wg0 type veth peer name wg1 && ip addr add 10.7.0.1/24 dev wg0 && ip link set wg0 up && ip link set wg1 up
ip link add down0 type veth peer name down1 && ip addr add 10.9.9.5/24 dev down0
exec \"$@\"";

#[test]
fn a_blank_address_registers_only_what_others_can_reach() {
    let config = scratch("zonekeeper.toml");
    let text = "[registry.main]\nzookeeper = \"127.0.0.1:1\"\n".to_owned()
        + "[[service]]\nname = \"web\"\nport = 80\nexclude = [\"wg*\"]\ncheck.tcp = {}\n"
        + "[[service]]\nname = \"web6\"\nport = 80\nfamilies = [\"ipv6\"]\n"
        + "[[service]]\nname = \"inside\"\nport = 80\ninterface = \"docker0\"\n"
        + "[[service]]\nname = \"own\"\nport = 80\naddress = \"10.1.0.5\"\ncheck.tcp = {}\n"
        + "[[service]]\nname = \"other\"\nport = 80\naddress = \"10.1.0.99\"\ncheck.tcp = {}\n";
    std::fs::write(&config, text).expect("a configuration");
    let output = std::process::Command::new("unshare")
        .args([
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            HOST,
            "sh",
            env!("CARGO_BIN_EXE_zonekeeper"),
            "check",
            "--config",
        ])
        .arg(&config)
        .output()
        .expect("`unshare` (package util-linux) and `ip` (package iproute2)");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for line in [
        "web, port 80, at 10.1.0.5 (eth0)\n",
        "web6, port 80, at 2001:db8::5 (eth0)\n",
        "inside, port 80, at 172.17.0.1 (docker0)\n",
        "  not at 169.254.20.10 (eth0): it is link-local\n",
        "  not at 10.9.9.5 (down0): its interface is not up and running\n",
        "  not at 172.17.0.1 (docker0): its interface is a bridge",
        "  not at 10.7.0.1 (wg0): `exclude` names it\n",
        "  not at 2001:db8::dea5 (eth0): it is deprecated\n",
        "own at 10.1.0.5:80\n  check tcp 10.1.0.5:80\n",
        "other at 10.1.0.99:80\n  check tcp 127.0.0.1:80\n",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    assert!(err.contains("warning: `other` is registered at an address that is not this host's"), "{err}");
    assert_eq!(err.matches("warning").count(), 1, "{err}");
}
