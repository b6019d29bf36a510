//! Restarts and ends by command and by signal: nothing that is registered is absent for a moment, and no query is lost.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::agent::{blocking, node, registry, service, until};
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::asker::{Asker, Over};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::looker::Looker;
use crate::harness::witness::Witness;

/// An agent of ten services with DNS and admin, run from a file that can be replaced.
struct Agent {
    binary: Binary,
    program: PathBuf,
    config: PathBuf,
    dns: SocketAddr,
    admin: u16,
}

const CHECKS: [&str; 3] = [
    "",
    "check.exec = { command = [\"/bin/sleep\", \"0.05\"], interval = \"5s\", rise = 3 }",
    "check.ttl = { ttl = \"60s\", initial = \"healthy\" }",
];

fn nodes() -> Vec<String> {
    (1..=10).map(|port| node("a", port)).collect()
}

impl Agent {
    fn start(servers: &str, more: &str) -> Self {
        let (dns, admin) = (free_port(), free_port());
        let services = (1..=10).zip(CHECKS.iter().cycle()).map(|(port, check)| service("a", port, check));
        let text = registry(servers)
            + "[[zone]]\norigin = \"service.\"\n"
            + &format!("[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n{more}")
            + &services.collect::<String>();
        let config = scratch("zonekeeper.toml");
        std::fs::write(&config, text).expect("a configuration");
        let program = config.with_file_name("zonekeeper");
        std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &program).expect("a copy of the binary");
        let binary = Self::run(&program, &config);
        Self { binary, program, config, dns: (Ipv4Addr::LOCALHOST, dns).into(), admin }
    }

    fn run(program: &Path, config: &Path) -> Binary {
        Binary::run_from(program, &["serve", "--config", &config.to_string_lossy()])
    }

    /// Waits until all ten are registered and in DNS.
    fn is_up(&self, kazoo: &mut Kazoo) {
        for path in nodes() {
            until(&path, || kazoo.get(&path));
        }
        let mut asker = Asker::new(self.dns);
        until("DNS has them", || asker.ask(&query(1), Over::Udp, PATIENCE).filter(|answer| is_answer(answer)));
    }

    fn command(&self, name: &str) -> Output {
        let admin = format!("127.0.0.1:{}", self.admin);
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args([name, "--admin", &admin]).output().expect("the binary")
    }

    /// Puts a script in the place of the program.
    fn replace_program(&self, script: &str) {
        let new = self.program.with_extension("new");
        std::fs::write(&new, script).expect("a script");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).expect("a script");
        std::fs::rename(new, &self.program).expect("a script");
    }

    /// What the admin server answers to a request of this client.
    fn post(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin)).expect("the admin server");
        write!(stream, "POST {path} HTTP/1.0\r\n{headers}Content-Length: 0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

/// SRV of the service, with this id.
fn query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend(b"\x01\0\0\x01\0\0\0\0\0\0\x01a\x07service\0\0\x21\0\x01");
    query
}

/// Whether it is NOERROR with records.
fn is_answer(answer: &[u8]) -> bool {
    answer[3].is_multiple_of(16) && answer[6..8] != [0, 0]
}

/// A client that asks all the time, and the queries that got no good answer.
struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u16, Vec<String>)>,
}

impl Client {
    fn start(server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut asked, mut bad, mut client) = (0, Vec::new(), Asker::new(server));
            while !stopped.load(Ordering::Relaxed) {
                asked += 1;
                match client.ask(&query(asked), Over::Udp, PATIENCE) {
                    Some(answer) if is_answer(&answer) => {}
                    Some(answer) => bad.push(format!("{asked}: {:x?}", &answer[..12])),
                    None => bad.push(format!("{asked}: no answer")),
                }
                sleep(Duration::from_millis(2));
            }
            (asked, bad)
        });
        Self { stop, thread }
    }

    fn stop(self) -> (u16, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

/// How often it restarts: more by hand.
fn rounds() -> usize {
    std::env::var("ZONEKEEPER_TEST_RESTARTS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_leave_every_service_in_place_and_lose_no_query() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let agent = Agent::start(&servers, "");
        agent.is_up(&mut kazoo);
        let (looker, client) = (Looker::start(&servers, nodes()), Client::start(agent.dns));
        for round in 0..rounds() {
            let before: Vec<_> = nodes().iter().map(|path| kazoo.czxid(path)).collect();
            let output = agent.command("restart");
            assert!(output.status.success(), "round {round}: {output:?}\n{}", agent.binary.log());
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(&format!("process {}", agent.binary.id())), "{said}");
            until("all are taken over", || {
                nodes().iter().zip(&before).all(|(path, before)| kazoo.czxid(path) != *before).then_some(())
            });
        }
        // The old sessions expire: what was taken over outlives them.
        sleep(Duration::from_secs(5));
        let (seen, (asked, bad)) = (looker.stop(), client.stop());
        assert!(seen.looks > 100 && seen.absent.is_empty(), "{seen:?}\n{}", agent.binary.log());
        assert!(asked > 100 && bad.is_empty(), "{bad:?} of {asked}\n{}", agent.binary.log());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigusr2_ends_the_process_and_leaves_its_registrations_to_the_next() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let said = scratch("stopped");
        let more = format!("[announce]\ndrain = \"20s\"\non_stop = [\"/usr/bin/touch\", \"{}\"]\n", said.display());
        let mut agent = Agent::start(&servers, &more);
        agent.is_up(&mut kazoo);
        let looker = Looker::start(&servers, nodes());
        for _ in 0..2 {
            let before: Vec<_> = nodes().iter().map(|path| kazoo.czxid(path)).collect();
            let begun = Instant::now();
            agent.binary.signal("USR2");
            assert!(agent.binary.wait().success(), "{}", agent.binary.log());
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
            agent.binary = Agent::run(&agent.program, &agent.config);
            until("all are taken over", || {
                nodes().iter().zip(&before).all(|(path, before)| kazoo.czxid(path) != *before).then_some(())
            });
        }
        sleep(Duration::from_secs(4));
        let seen = looker.stop();
        assert!(seen.looks > 100 && seen.absent.is_empty(), "{seen:?}\n{}", agent.binary.log());
        assert!(!said.exists(), "on_stop is for ends that take the registrations out");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_place_leaves_every_service_in_place_though_the_identity_file_is_gone_or_empty() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let identity = scratch("identity");
        let agent = Agent::start(&servers, &format!("[announce]\nstate = \"{}\"\n", identity.display()));
        agent.is_up(&mut kazoo);
        let drawn = std::fs::read_to_string(&identity).expect("an identity");
        let looker = Looker::start(&servers, nodes());
        for (number, is_gone) in [true, false].into_iter().enumerate() {
            if is_gone {
                std::fs::remove_file(&identity).expect("a file");
            } else {
                std::fs::write(&identity, "").expect("a file");
            }
            let output = agent.command("restart");
            assert!(output.status.success(), "{output:?}");
            let images = || agent.binary.log().matches("starting config").count();
            until("the next image", || (images() == 2 + number).then_some(()));
            agent.is_up(&mut kazoo);
            sleep(Duration::from_secs(1));
        }
        let seen = looker.stop();
        assert!(seen.absent.is_empty(), "{seen:?}\n{}", agent.binary.log());
        assert_eq!(std::fs::read_to_string(&identity).expect("a file"), "", "what is there is left alone");
        std::fs::remove_file(&identity).expect("a file");
        assert!(agent.command("restart").status.success());
        until("it is put back", || std::fs::read_to_string(&identity).ok().filter(|kept| *kept == drawn));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_place_denies_nothing_that_was_registered_since_the_cache_file_was_saved() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let directory = scratch("cache");
        let agent =
            Agent::start(&servers, &format!("[announce]\nstate = \"{}\"\n", directory.with_extension("id").display()));
        let text = std::fs::read_to_string(&agent.config).expect("a configuration");
        let cached = format!("session_timeout = \"3s\"\ncache_file = \"{}\"\n", directory.display());
        std::fs::write(&agent.config, text.replace("session_timeout = \"3s\"\n", &cached)).expect("a configuration");
        agent.is_up(&mut kazoo);
        assert!(agent.command("restart").status.success());
        until("a cache file", || directory.is_file().then_some(()));
        agent.is_up(&mut kazoo);
        for (name, last) in [("first", 1), ("second", 2)] {
            let images = || agent.binary.log().matches("starting config").count();
            let before = images();
            kazoo.create(&format!("/services/{name}/providers/10.9.9.{last}:80"), b"{}", false);
            until("it is in DNS", || (dig(agent.dns, &format!("A {name}.service")).status == "NOERROR").then_some(()));
            let witness = Witness::start(agent.dns, vec!["a", name]);
            assert!(agent.command("restart").status.success());
            until("the next image", || (images() > before).then_some(()));
            agent.is_up(&mut kazoo);
            let denied = witness.stop();
            assert!(denied.is_empty(), "{denied:?}\n{}", agent.binary.log());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_start_leaves_the_running_one_in_place() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let agent = Agent::start(&servers, "");
        agent.is_up(&mut kazoo);
        let before: Vec<_> = nodes().iter().map(|path| kazoo.czxid(path)).collect();
        let client = Client::start(agent.dns);
        let scripts = [
            ("#!/bin/sh\necho it is broken >&2; exit 1\n", "it is broken"),
            ("#!/nowhere/interpreter\n", "cannot run"),
            // It passes the check, and is gone when it is to run.
            ("#!/bin/sh\nrm -- \"$0\"\n", "No such file or directory"),
        ];
        for (script, why) in scripts {
            agent.replace_program(script);
            let output = agent.command("restart");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains(why) && said.contains("goes on"), "{output:?}");
        }
        // A configuration that is wrong is found by the check.
        std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &agent.program).expect("a copy of the binary");
        let good = std::fs::read_to_string(&agent.config).expect("the configuration");
        std::fs::write(&agent.config, good.clone() + "nonsense = 1\n").expect("the configuration");
        let output = agent.command("restart");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("nonsense"), "{output:?}");
        std::fs::write(&agent.config, good).expect("the configuration");
        let (asked, bad) = client.stop();
        assert!(asked > 20 && bad.is_empty(), "{bad:?} of {asked}\n{}", agent.binary.log());
        let after: Vec<_> = nodes().iter().map(|path| kazoo.czxid(path)).collect();
        assert_eq!(before, after);
        let output = agent.command("restart");
        assert!(output.status.success(), "{output:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_shows_what_was_taken_and_leave_returns_when_everything_is_out() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let mut agent = Agent::start(&servers, "");
        agent.is_up(&mut kazoo);
        let good = std::fs::read_to_string(&agent.config).expect("the configuration");
        let edited = good.replacen("[admin]", "threads = 1\n[admin]", 1).replace("port = 3\n", "port = 33\n")
            + &service("b", 90, "");
        std::fs::write(&agent.config, edited).expect("the configuration");
        let output = agent.command("reload");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for line in [
            "is taken, 11 services",
            "withdrawn: a, port 3",
            "added: a, port 33",
            "added: b, port 90",
            "next start: [dns] threads",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        std::fs::write(&agent.config, "nonsense = 1\n").expect("the configuration");
        let output = agent.command("reload");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("nonsense") && said.contains("stays"), "{output:?}");

        for (headers, why) in [
            ("Host: evil.example\r\n", "Host"),
            ("Host: localhost\r\nOrigin: http://localhost\r\n", "browser"),
            ("Host: localhost\r\nForwarded: for=10.0.0.1\r\n", "proxy"),
        ] {
            for path in ["/v1/leave", "/v1/restart", "/v1/reload"] {
                let answer = agent.post(path, headers);
                assert!(answer.starts_with("HTTP/1.0 403") && answer.contains(why), "{answer}");
            }
        }
        let output = agent.command("leave");
        assert!(output.status.success(), "{output:?}");
        assert!(nodes().iter().all(|path| kazoo.get(path).is_none()), "they are out");
        assert!(agent.binary.wait().success());
    })
    .await;
}
