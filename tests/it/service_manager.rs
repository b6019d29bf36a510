//! Under a service manager: the shipped units, what is told by `sd_notify`, and sockets that were passed, of which no
//! query is lost over restarts.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::agent::{blocking, node, registry, service, until};
use crate::harness::app::{free_port, scratch};
use crate::harness::asker::{Asker, Over};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::looker::Looker;
use crate::harness::spawner;

const UNIT: &str = include_str!("../../deploy/zonekeeper.service");
const SOCKET: &str = include_str!("../../deploy/zonekeeper.socket");

/// A stand-in for systemd with the program under it. Dropping it ends both.
struct Manager {
    driver: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    dns: SocketAddr,
    heard: PathBuf,
    log: PathBuf,
    process: String,
}

impl Manager {
    fn start(config: &Path, names: &str) -> Self {
        let (notify, heard, log) = (scratch("notify"), scratch("heard"), scratch("log"));
        // The path of a socket has 108 bytes at most.
        let link = std::env::temp_dir().join(format!("zk-{}-{}", std::process::id(), fastrand::u64(..)));
        std::os::unix::fs::symlink(notify.parent().expect("a directory"), &link).expect("a link");
        let file = std::fs::File::create(&log).expect("a log");
        let mut driver = spawner::spawn("/usr/bin/python3", |command| {
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/manager_driver.py"));
            command.arg(link.join("notify")).arg(&heard).args([names, "900000"]);
            command.arg(env!("CARGO_BIN_EXE_zonekeeper")).args(["serve", "--config"]).arg(config);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        })
        .expect("python3");
        let orders = driver.stdin.take().expect("a pipe");
        let replies = BufReader::new(driver.stdout.take().expect("a pipe"));
        let dns = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut manager = Self { driver, orders, replies, dns, heard, log, process: String::new() };
        let port = manager.reply();
        manager.dns.set_port(port.parse().expect("a port"));
        manager.process = manager.order("start");
        manager
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("a reply");
        line.trim().to_owned()
    }

    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").expect("the driver");
        self.reply()
    }

    fn heard(&self) -> Vec<String> {
        std::fs::read_to_string(&self.heard).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a message with this beginning has come behind the first `skip`. Returns the number of all by then.
    fn hears(&self, skip: usize, beginning: &str) -> usize {
        let is_meant = |(at, line): (usize, &String)| at >= skip && line.starts_with(beginning);
        let at = until(beginning, || self.heard().iter().enumerate().position(is_meant)).0;
        at + 1
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        if std::thread::panicking() {
            eprintln!("--- log ---\n{}\n--- heard ---\n{}", self.log(), self.heard().join("\n"));
        }
    }
}

/// A query for SRV of the service `a`.
fn query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend(b"\x01\0\0\x01\0\0\0\0\0\0\x01a\x07service\0\0\x21\0\x01");
    query
}

fn is_answer(answer: &[u8]) -> bool {
    answer.len() > 12 && answer[3].is_multiple_of(16) && answer[6..8] != [0, 0]
}

/// A thousand queries a second by sixteen clients, whatever becomes of them.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, usize, Vec<u8>)>,
}

impl Load {
    fn start(server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let client = || {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
                socket.connect(server).expect("a route");
                socket.set_nonblocking(true).expect("a mode");
                socket
            };
            let clients: Vec<UdpSocket> = (0..16).map(|_| client()).collect();
            let (begun, mut sent, mut good, mut bad) = (Instant::now(), 0_usize, 0_usize, Vec::new());
            let mut last = Instant::now();
            // Late answers are answers, as resolvers wait for seconds.
            while !stopped.load(Ordering::Relaxed)
                || (good + bad.len() < sent && last.elapsed() < Duration::from_secs(5))
            {
                while !stopped.load(Ordering::Relaxed) && begun.elapsed().as_millis() > sent as u128 {
                    let packet = query(u16::try_from(sent % 60_000).expect("a number"));
                    if clients[sent % clients.len()].send(&packet).is_ok() {
                        sent += 1;
                    }
                    last = Instant::now();
                }
                let mut answer = [0; 1500];
                for client in &clients {
                    while let Ok(length) = client.recv(&mut answer) {
                        if is_answer(&answer[..length]) {
                            good += 1;
                        } else {
                            bad.push(answer[3]);
                        }
                    }
                }
                sleep(Duration::from_micros(200));
            }
            (sent, good, bad)
        });
        Self { stop, thread }
    }

    fn stop(self) -> (usize, usize, Vec<u8>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

/// Two services of this host, DNS on an address that is not to be used, and an admin server.
fn configuration(servers: &str) -> (PathBuf, u16, u16) {
    let (other, admin) = (free_port(), free_port());
    let text = registry(servers)
        + "[[zone]]\norigin = \"service.\"\n"
        + &format!("[dns]\nlisten = [\"127.0.0.1:{other}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n")
        + &service("a", 1, "")
        + &service("b", 2, "");
    let config = scratch("zonekeeper.toml");
    std::fs::write(&config, text).expect("a configuration");
    (config, other, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_under_a_thousand_queries_a_second_lose_none_with_passed_sockets() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let (config, other, admin) = configuration(&servers);
        let mut manager = Manager::start(&config, "dns:dns");
        until("it answers", || {
            kazoo.get(&node("a", 1)).filter(|_| dig(manager.dns, "SRV a.service +tries=1").data().len() == 1)
        });
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, other)).is_err(), "a socket beside those that were passed");
        UdpSocket::bind((Ipv4Addr::LOCALHOST, other)).expect("no socket beside those that were passed");
        let looker = Looker::start(&servers, vec![node("a", 1), node("b", 2)]);
        let load = Load::start(manager.dns);
        sleep(Duration::from_millis(500));
        for round in 0..4 {
            let before = kazoo.czxid(&node("b", 2));
            // By the manager, and in place by the command.
            if round % 2 == 0 {
                assert_eq!(manager.order("SIGUSR2"), "sent");
                assert_eq!(manager.order("wait"), "0", "{}", manager.log());
                // The queries of this time wait.
                sleep(Duration::from_millis(300));
                manager.process = manager.order("start");
            } else {
                let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
                let output = command.args(["restart", "--admin", &format!("127.0.0.1:{admin}")]).output();
                let output = output.expect("the binary");
                assert!(output.status.success(), "{output:?}");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(said.contains(&format!("process {}", manager.process)), "{said}");
            }
            until("taken over", || (kazoo.czxid(&node("b", 2)) != before).then_some(()));
            sleep(Duration::from_millis(500));
        }
        let (sent, good, bad) = load.stop();
        let seen = looker.stop();
        assert!(sent > 2_000 && good == sent && bad.is_empty(), "{good} of {sent}, {bad:?}");
        assert!(seen.looks > 100 && seen.absent.is_empty(), "{seen:?}");
        // TCP goes on over the same listener.
        let mut asker = Asker::new(manager.dns);
        assert!(asker.ask(&query(1), Over::Tcp, Duration::from_secs(5)).is_some_and(|answer| is_answer(&answer)));
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, other)).is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_what_the_process_does() {
    blocking(|servers| {
        let (config, ..) = configuration(&servers);
        let mut manager = Manager::start(&config, "zonekeeper.socket:zonekeeper.socket");
        let ready = manager.hears(0, "READY=1");
        assert_eq!(
            dig(manager.dns, "SOA service +tries=1").status,
            "NOERROR",
            "ready is when the first answers are there"
        );
        let answering = manager.hears(0, "STATUS=Answering from live data");
        manager.hears(ready, "WATCHDOG=1");
        assert_eq!(manager.order("SIGHUP"), "sent");
        let reloading = manager.hears(answering, "RELOADING=1 MONOTONIC_USEC=");
        manager.hears(reloading, "READY=1");
        // The clock is the manager's own.
        let heard = manager.heard();
        let (_, at) = heard[reloading - 1].rsplit_once('=').expect("a time");
        let uptime = std::fs::read_to_string("/proc/uptime").expect("the uptime");
        let uptime: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
        let at: f64 = at.parse::<f64>().expect("a number") / 1e6;
        assert!((uptime - at).abs() < 60.0, "{uptime} {at}");
        let before = heard.len();
        manager.hears(before, "WATCHDOG=1");
        assert_eq!(manager.order("SIGTERM"), "sent");
        manager.hears(before, "STOPPING=1 STATUS=");
        assert_eq!(manager.order("wait"), "0");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_zookeeper_the_start_is_reported_all_the_same_with_what_is_missing() {
    tokio::task::spawn_blocking(|| {
        let nobody = free_port();
        let (config, ..) = configuration(&format!("127.0.0.1:{nobody}"));
        let manager = Manager::start(&config, "dns:dns");
        // The query waits in the socket until then.
        let mut asker = Asker::new(manager.dns);
        let answer = asker.ask(&query(1), Over::Udp, Duration::from_secs(10)).expect("an answer");
        assert_eq!(answer[3] & 15, 2, "SERVFAIL");
        manager.hears(0, "READY=1");
        let at = manager.hears(0, "STATUS=SERVFAIL: service.; registry main (127.0.0.1:");
        assert!(!manager.heard()[at - 1].contains("Answering"), "{:?}", manager.heard());
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_systemd_socket_activate_is_answered_on() {
    tokio::task::spawn_blocking(|| {
        for over in [Over::Udp, Over::Tcp] {
            let (seed, config, port, other) = (scratch("seed.tree"), scratch("c.toml"), free_port(), free_port());
            std::fs::write(&seed, "/services\n  /a\n    /providers\n      /10.0.0.1:80\n").expect("a seed");
            let text = format!(
                "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{other}\"]\n",
                seed.display()
            );
            std::fs::write(&config, text).expect("a configuration");
            let log = std::fs::File::create(scratch("log")).expect("a log");
            let mut child = spawner::spawn("systemd-socket-activate", |command| {
                if matches!(over, Over::Udp) {
                    command.arg("--datagram");
                }
                command.arg("--listen").arg(format!("127.0.0.1:{port}"));
                command.arg(env!("CARGO_BIN_EXE_zonekeeper")).args(["serve", "--config"]).arg(&config);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            })
            .expect("systemd-socket-activate (package systemd)");
            let mut asker = Asker::new((Ipv4Addr::LOCALHOST, port).into());
            let ask = || asker.ask(&query(1), over, Duration::from_secs(3)).filter(|answer| is_answer(answer));
            until("an answer over the socket that was passed", ask);
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, other)).is_err(), "the configured address is not used");
            let _ = child.kill();
            let _ = child.wait();
        }
    })
    .await
    .expect("no panic");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_their_exposure_is_low() {
    let directory = scratch("units").with_file_name("units");
    std::fs::create_dir_all(&directory).expect("a directory");
    let (unit, socket) = (directory.join("zonekeeper.service"), directory.join("zonekeeper.socket"));
    let installed = UNIT.replace("/usr/local/bin/zonekeeper", env!("CARGO_BIN_EXE_zonekeeper"));
    assert_ne!(installed, UNIT);
    std::fs::write(&unit, &installed).expect("the unit");
    std::fs::write(&socket, SOCKET).expect("the socket");
    let analyze = |arguments: &[&str], files: &[&PathBuf]| {
        let output = Command::new("systemd-analyze").args(arguments).args(files).output().expect("systemd");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (is_good, said) = analyze(&["verify", "--man=no"], &[&unit, &socket]);
    assert!(is_good && said.trim().is_empty(), "{said}");
    // In tenths.
    let (is_good, said) = analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"], &[&unit]);
    assert!(is_good, "{said}");
    // With the socket unit the last privilege can go.
    let without = installed.replace("=CAP_NET_BIND_SERVICE", "=");
    std::fs::write(&unit, without).expect("the unit");
    let (is_good, said) = analyze(&["security", "--offline=true", "--threshold=14", "--no-pager"], &[&unit]);
    assert!(is_good, "{said}");
}
