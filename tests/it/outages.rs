//! Outages that last: the network to ZooKeeper is gone, or clients hold every file descriptor. Meanwhile nothing spins,
//! checks are made on time, DNS and the admin server answer, and SIGTERM ends the process at any moment.
//!
//! `ZONEKEEPER_OUTAGE=60` has each last a minute, as in `.ci/run`.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::agent::blocking;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::meter::{Meter, Runs, longest_gap};
use crate::harness::proxy::Proxy;
use crate::harness::{PATIENCE, relay, zk};
use crate::shortage::{Heart, counted, registered, status};

/// The time between two runs of the command.
const INTERVAL: Duration = Duration::from_millis(500);
/// Checks may be late by so much on a machine that is busy with other tests.
const LATE: Duration = Duration::from_millis(1500);
/// The share of a core that an outage may cost.
const SHARE: f64 = 0.05;
/// The same while clients come back as soon as they are cut off: each costs a build without optimisation more.
const SHARE_OF_CLIENTS: f64 = if cfg!(debug_assertions) { 0.2 } else { SHARE };

/// The length of an outage.
fn length() -> Duration {
    Duration::from_secs(std::env::var("ZONEKEEPER_OUTAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(11))
}

/// A service whose command is on record.
fn job(runs: &Runs) -> String {
    format!(
        "[[service]]\nname = \"job\"\naddress = \"192.0.2.10\"\nport = 80\n\
         check.exec = {{ command = {}, interval = \"500ms\", timeout = \"400ms\", rise = 1, fall = 1 }}\n",
        runs.command()
    )
}

/// Waits for this, and gives the log where it does not come.
fn wait(binary: &Binary, what: &str, mut probe: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !probe() {
        assert!(begun.elapsed() < PATIENCE, "{what}:\n{}", binary.log());
        sleep(Duration::from_millis(50));
    }
}

/// Ends it, and gives the time that takes.
fn terminate(binary: &mut Binary) -> Duration {
    let begun = Instant::now();
    binary.signal("TERM");
    assert!(binary.wait().success(), "{}", binary.log());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}:\n{}", binary.log());
    took
}

/// A moment within the first seconds of an outage.
fn some_time() -> Duration {
    Duration::from_millis(fastrand::u64(0..8_000))
}

/// Two hosts on a cable: 10.1.0.5, where the binary runs, and 10.1.0.6, behind which ZooKeeper is.
struct Hosts {
    near: Child,
    far: Child,
    relay: Option<Child>,
}

impl Hosts {
    fn new() -> Self {
        let hosts = Self { near: relay::host(&["-n"]), far: relay::host(&["-n"]), relay: None };
        hosts.near(&format!(
            "ip link set lo up && ip link add eth0 type veth peer name far && ip link set far netns {} && \
             ip addr add 10.1.0.5/24 dev eth0 && ip link set eth0 up",
            hosts.far.id()
        ));
        let far = "ip link set lo up && ip addr add 10.1.0.6/24 dev far && ip link set far up";
        run(&hosts.far, far);
        hosts
    }

    /// Puts ZooKeeper at 10.1.0.6:2181.
    fn serve(&mut self, server: std::net::SocketAddr) {
        self.relay = Some(relay::serve(server, &self.far, "10.1.0.6"));
    }

    fn near(&self, script: &str) {
        run(&self.near, script);
    }

    /// The binary, on the near host.
    fn binary(&self, config: &str) -> Binary {
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, config).unwrap();
        Binary::run_by(
            &["nsenter", "-t", &self.near.id().to_string(), "-n"],
            &["serve", "--config", &path.to_string_lossy()],
        )
    }

    /// What a program on the near host says.
    fn ask(&self, program: &[&str]) -> String {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.near.id().to_string(), "-n"]).args(program);
        let output = command.output().expect("`nsenter` (package util-linux)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn dig(&self, question: &str) -> String {
        self.ask(&["dig", "+short", "+time=1", "+tries=1", "@127.0.0.1", "-p", "5300", question])
    }

    /// The page of the admin server.
    fn status(&self) -> String {
        self.ask(&[env!("CARGO_BIN_EXE_zonekeeper"), "status", "--admin", "127.0.0.1:8053"])
    }
}

fn run(host: &Child, script: &str) {
    let status = Command::new("nsenter").args(["-t", &host.id().to_string(), "-n", "sh", "-c", script]).status();
    assert!(status.expect("`nsenter` (package util-linux)").success(), "{script}: `ip` (package iproute2)");
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for child in [&mut self.near, &mut self.far].into_iter().chain(&mut self.relay) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How often the library's own lines and ours are in the log.
fn warnings(log: &str) -> usize {
    log.lines().filter(|line| line.contains("WARN") && !line.contains("check")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_nothing_spins_checks_go_on_and_sigterm_ends_it() {
    blocking(|servers| {
        let (mut hosts, server) = (Hosts::new(), zk::shared());
        hosts.serve(server.socket());
        let servers = servers.replace(&server.address(), "10.1.0.6:2181");
        let runs = Runs::new();
        let config = format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"127.0.0.1:5300\"]\n[admin]\nlisten = \"127.0.0.1:8053\"\n{}",
            job(&runs)
        );
        let mut binary = hosts.binary(&config);
        wait(&binary, "an answer", || hosts.dig("job.service") == "192.0.2.10\n");
        let told = warnings(&binary.log());
        hosts.near("ip addr del 10.1.0.5/24 dev eth0");
        sleep(Duration::from_secs(1));
        // Longer than the session lives, on both sides.
        let (meter, since, length) = (Meter::of(binary.id()), Instant::now(), length());
        while since.elapsed() < length {
            assert_eq!(hosts.dig("job.service"), "192.0.2.10\n", "the last answer");
            assert!(hosts.status().contains("10.1.0.6:2181"), "{}", hosts.status());
            sleep(Duration::from_secs(1));
        }
        let (used, elapsed, times) = (meter.share(), since.elapsed(), runs.times());
        let gap = longest_gap(&times);
        println!("{:.1} % of a core in {elapsed:?}, {gap:?} between two checks at most", 100.0 * used);
        assert!(used < SHARE, "{:.1} % of a core:\n{}", 100.0 * used, binary.log());
        assert!(gap < INTERVAL + LATE, "{gap:?} between two checks of {}", times.len());
        let log = binary.log();
        assert!(log.contains("network is unreachable"), "{log}");
        assert!(warnings(&log) <= told + 5 && !log.contains("fails to establish"), "{log}");
        // Back: everything is as before.
        hosts.near("ip addr add 10.1.0.5/24 dev eth0");
        wait(&binary, "the mirror", || binary.log().contains("the mirror is live again"));
        wait(&binary, "the registration", || binary.log().contains("announcing again"));
        hosts.near("ip addr del 10.1.0.5/24 dev eth0");
        sleep(some_time());
        let took = terminate(&mut binary);
        println!("SIGTERM took {took:?} without a network");
    })
    .await;
}

/// Opens so many connections, more than there are places, and opens each again within a second that is closed.
fn fill(address: SocketAddr, count: usize, over: &AtomicBool) {
    let mut open: Vec<TcpStream> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        open.retain_mut(
            |stream| matches!(stream.read(&mut [0; 16]), Err(error) if error.kind() == ErrorKind::WouldBlock),
        );
        for _ in open.len()..count {
            let connected = TcpStream::connect_timeout(&address, Duration::from_millis(50));
            let Ok(stream) = connected else { break };
            stream.set_nonblocking(true).expect("a socket");
            open.push(stream);
        }
        sleep(Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_every_connection_delay_no_check_no_query_and_no_probe() {
    blocking(|servers| {
        let server = zk::shared();
        let proxy = Proxy::start(server.socket());
        let mut kazoo = Kazoo::connect(&servers);
        let servers = servers.replace(&server.address(), &proxy.address().to_string());
        let [address, dns] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let runs = Runs::new();
        let config = format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"{dns}\"]\n[dns.tcp]\nper_client = 100000\n[admin]\nlisten = \"{address}\"\n{}\
             [[service]]\nname = \"beat\"\naddress = \"192.0.2.10\"\nport = 80\n\
             check.ttl = {{ ttl = \"3s\", interval = \"200ms\" }}\n",
            job(&runs)
        );
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, config).expect("a configuration");
        let mut ours = Binary::run_in(&format!("ulimit -n 512; exec \"$0\" serve --config {}", path.display()), &[]);
        registered(address, "job");
        let _heart = Heart::beats(address, "beat");
        registered(address, "beat");
        wait(&ours, "an answer", || dig(dns, "A beat.service").data() == ["192.0.2.10"]);
        let (begun, length) = (Instant::now(), length());
        let over = Arc::new(AtomicBool::new(false));
        let fillers = [address, dns].map(|address| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || fill(address, 400, &over))
        });
        sleep(Duration::from_secs(1));
        let (meter, first) = (Meter::of(ours.id()), runs.times().len());
        let (mut longest, mut cuts) = (Duration::ZERO, 0);
        while begun.elapsed() + Duration::from_millis(500) < length {
            let asked = Instant::now();
            assert!(status(address).contains("/services/job/providers/192.0.2.10:80 registered"), "{}", ours.log());
            let page = asked.elapsed();
            let answer = dig(dns, "A job.service +timeout=1 +tries=1");
            if asked.elapsed() > Duration::from_secs(2) {
                println!("late after {:?}: the page took {page:?}, both {:?}", begun.elapsed(), asked.elapsed());
            }
            assert_eq!(answer.status, "NOERROR", "{}", ours.log());
            longest = longest.max(asked.elapsed());
            // A connection to ZooKeeper that breaks has its place.
            if begun.elapsed() > (cuts + 1) * Duration::from_secs(4) {
                proxy.blip();
                cuts += 1;
            }
            sleep(Duration::from_millis(500));
        }
        let used = meter.share();
        let latest = counted(address, "check_latest_seconds", &["job"]);
        let times = runs.times();
        let gap = longest_gap(&times[first.min(times.len())..]);
        println!("{:.1} % of a core, {gap:?} between two checks at most, answers within {longest:?}", 100.0 * used);
        assert!(cuts > 0 && gap < INTERVAL + LATE, "{gap:?} between two checks of {}", times.len() - first);
        assert!(latest < 0.5, "{latest} s late");
        // Some wait in the queue behind the clients that come back.
        assert!(longest < Duration::from_secs(6), "{longest:?}");
        kazoo.create("/services/far/providers/10.9.9.1:80", b"{}", true);
        wait(&ours, "what another host registers", || dig(dns, "A far.service").data() == ["10.9.9.1"]);
        let log = ours.log();
        for not in ["cannot accept", "no file descriptor left", "unhealthy", "the session is over"] {
            assert!(!log.contains(not), "{not} is in {log}");
        }
        assert!(used < SHARE_OF_CLIENTS, "{:.1} % of a core", 100.0 * used);
        sleep(some_time());
        let took = terminate(&mut ours);
        over.store(true, Ordering::Relaxed);
        for filler in fillers {
            filler.join().expect("no panic");
        }
        println!("SIGTERM took {took:?} while the clients stayed");
    })
    .await;
}
