//! Checks while this host lacks something: processes, descriptors, places, an answer of the resolver. The real binary,
//! from which the real thing is taken. None of it may take a healthy service out, or let checks pass for made.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::agent::until;
use crate::harness::admin;
use crate::harness::app::{Binary, free_port, scratch};

/// A registry in memory, and an admin server.
pub(crate) fn base(port: u16) -> String {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, "/services\n").expect("a seed");
    format!("[registry.main]\nmemory = \"{}\"\n[admin]\nlisten = \"127.0.0.1:{port}\"\n", seed.display())
}

pub(crate) fn service(name: &str, check: &str) -> String {
    format!("[[service]]\nname = \"{name}\"\nport = 80\naddress = \"192.0.2.10\"\ncheck = {check}\n")
}

/// The state of a service's registration and its checks, as `zonekeeper status` prints them.
pub(crate) fn status(address: SocketAddr) -> String {
    admin::page(address, "/v1/registrations")
}

/// The line of the status that begins with this.
pub(crate) fn line(status: &str, begins: &str) -> String {
    let line = status.lines().map(str::trim).find(|line| line.starts_with(begins));
    line.unwrap_or_else(|| panic!("no line {begins} in {status}")).to_owned()
}

/// A service that says to the admin server every half second that it is well, waiting a second for each answer.
pub(crate) struct Heart(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Heart {
    pub(crate) fn beats(address: SocketAddr, name: &str) -> Self {
        use std::io::{Read as _, Write as _};
        let (stopped, path) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), name.to_owned());
        let is_stopped = std::sync::Arc::clone(&stopped);
        std::thread::spawn(move || {
            while !is_stopped.load(std::sync::atomic::Ordering::Relaxed) {
                // One that is not heard is followed by the next.
                let _ = std::net::TcpStream::connect(address).and_then(|mut stream| {
                    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                    write!(
                        stream,
                        "PUT /v1/heartbeat/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                    )?;
                    stream.read_to_end(&mut Vec::new())
                });
                sleep(Duration::from_millis(500));
            }
        });
        Self(stopped)
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Waits until a znode of the service is registered.
pub(crate) fn registered(address: SocketAddr, name: &str) {
    let path = format!("/services/{name}/providers/192.0.2.10:80 registered");
    until(&format!("{name} is registered"), || {
        std::net::TcpStream::connect(address).ok()?;
        status(address).contains(&path).then_some(())
    });
}

/// Waits until its znode is not registered any more.
pub(crate) fn withdrawn(address: SocketAddr, name: &str) -> Duration {
    let path = format!("/services/{name}/providers/192.0.2.10:80 unhealthy");
    until(&format!("{name} is withdrawn"), || status(address).contains(&path).then_some(())).1
}

/// Everything that a series has counted: `check_no_results_total{…}` with these words in its labels.
pub(crate) fn counted(address: SocketAddr, series: &str, words: &[&str]) -> f64 {
    let page = admin::page(address, "/metrics");
    let lines = page.lines().filter(|line| line.starts_with(&format!("zonekeeper_{series}{{")));
    let lines = lines.filter(|line| words.iter().all(|word| line.contains(word)));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// Sets a limit of a process, which belongs to this user.
fn prlimit(user: &str, pid: u32, limit: &str) {
    let setpriv =
        ["--reuid", user, "--regid", user, "--clear-groups", "--", "prlimit", "--pid", &pid.to_string(), limit];
    let status = Command::new("setpriv").args(setpriv).status();
    assert!(status.expect("the command `prlimit` (package util-linux)").success(), "prlimit {limit}");
}

/// The binary as a user of its own, so that limits of processes count what is its alone.
fn as_somebody(config: &str) -> (Binary, String) {
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let user = fastrand::u32(200_000..2_000_000).to_string();
    let folder = path.parent().expect("a folder");
    let seed = seed_of(config);
    for path in [Some(folder), Some(&*path), seed.as_deref().map(Path::new)].into_iter().flatten() {
        let mode = if path.is_dir() { "a+rx" } else { "a+r" };
        Command::new("chmod").arg(mode).arg(path).status().expect("the command `chmod`");
    }
    (Binary::run_as(&user, &["serve", "--config", &path.to_string_lossy()]), user)
}

/// The seed of a registry in memory, where there is one.
fn seed_of(config: &str) -> Option<String> {
    Some(config.split("memory = \"").nth(1)?.split('"').next()?.to_owned())
}

#[test]
fn without_processes_left_a_healthy_service_stays_and_is_checked_again_when_there_are_some() {
    let (port, flag) = (free_port(), scratch("flag"));
    std::fs::write(&flag, "").expect("a file");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let config = base(port)
        + &service(
            "job",
            &format!(
                "{{ exec = {{ command = [\"/usr/bin/test\", \"-e\", \"{}\"], interval = \"200ms\", rise = 1, fall = 2 }} }}",
                flag.display()
            ),
        )
        + &service("gone", "{ exec = { command = [\"/nonexistent\"], interval = \"200ms\", fall = 2 } }");
    let (ours, user) = as_somebody(&config);
    registered(address, "job");
    withdrawn(address, "gone");

    prlimit(&user, ours.id(), "--nproc=1:");
    let counted = || counted(address, "check_no_results_total", &["reason=\"processes\"", "service=\"job\""]);
    until("checks without a result", || (counted() >= 5.0).then_some(()));
    // Whatever the check would find.
    std::fs::remove_file(&flag).expect("a file");
    sleep(Duration::from_secs(1));
    registered(address, "job");
    let shown = line(&status(address), "exec /usr/bin/test");
    assert!(shown.contains("healthy for") && shown.contains("no result now, no process or thread left"), "{shown}");
    let told = ours.log().matches("checks have no result: no process or thread left").count();
    assert_eq!(told, 1, "{}", ours.log());

    prlimit(&user, ours.id(), "--nproc=1024:");
    withdrawn(address, "job");
    std::fs::write(&flag, "").expect("a file");
    registered(address, "job");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_processes_left_looking_up_the_names_of_hosts_ends_nothing() {
    crate::agent::blocking(|servers| {
        let (dns, port) = (free_port(), free_port());
        let config = crate::agent::registry(&servers)
            + &format!("[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n")
            + &format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n");
        let mut kazoo = crate::harness::kazoo::Kazoo::connect(&servers);
        kazoo.create("/services/near/providers/10.0.0.1:80", b"", false);
        let (mut ours, user) = as_somebody(&config);
        let ask = |words: &str| crate::harness::dig::dig(SocketAddr::from(([127, 0, 0, 1], dns)), words).status;
        until("it is read", || (ask("A near.service") == "NOERROR").then_some(()));
        prlimit(&user, ours.id(), "--nproc=1:");
        for number in 0..20 {
            kazoo.create(&format!("/services/far/providers/host{number}.invalid:80"), b"", false);
        }
        until("the hosts are known", || (ask("SRV far.service +tcp") == "NOERROR").then_some(()));
        sleep(Duration::from_secs(2));
        assert!(ours.is_alive() && ask("A near.service") == "NOERROR", "{}", ours.log());
    })
    .await;
}

#[test]
fn without_descriptors_left_a_healthy_service_stays_and_a_dead_one_is_found_when_there_are_some() {
    let (port, listener) = (free_port(), std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let check = format!(
        "tcp = {{ address = \"{}\", interval = \"200ms\", rise = 1, fall = 2 }}",
        listener.local_addr().unwrap()
    );
    let exec = "exec = { command = [\"/bin/true\"], interval = \"200ms\", rise = 1, fall = 2 }";
    let config = base(port)
        + &service("port", &format!("{{ {check} }}"))
        + &service("job", &format!("{{ {exec} }}"))
        + &service("beat", "{ ttl = { ttl = \"2s\", interval = \"200ms\" } }");
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let ours = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    registered(address, "port");
    registered(address, "job");
    let heart = Heart::beats(address, "beat");
    registered(address, "beat");
    // Nothing can be opened: not even a connection to the admin server.
    prlimit("0", ours.id(), "--nofile=3:");
    until("it is told", || ours.log().contains("checks have no result: no file descriptor left").then_some(()));
    drop(listener);
    // Longer than any heartbeat lasts.
    sleep(Duration::from_secs(4));
    assert!(!ours.log().contains("unhealthy"), "{}", ours.log());
    prlimit("0", ours.id(), "--nofile=1024:");
    withdrawn(address, "port");
    registered(address, "job");
    registered(address, "beat");
    assert!(!ours.log().contains("unhealthy: it said so"), "{}", ours.log());
    drop(heart);
    withdrawn(address, "beat");
    for name in ["port", "job", "beat"] {
        let missed =
            counted(address, "check_no_results_total", &["reason=\"descriptors\"", &format!("service=\"{name}\"")]);
        assert!(missed >= 5.0, "{name}: {missed}");
    }
}

#[test]
fn an_edit_while_no_descriptor_is_left_is_taken_when_there_are_some() {
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let path = scratch("zonekeeper.toml");
    let config = base(admin.port());
    std::fs::write(&path, &config).expect("a configuration");
    let ours = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    until("it runs", || ours.log().contains("admin").then_some(()));
    let plain = "[[service]]\nname = \"plain\"\nport = 80\naddress = \"192.0.2.10\"\n";
    prlimit("0", ours.id(), "--nofile=3:");
    std::fs::write(&path, config + plain).expect("a configuration");
    until("it is told", || ours.log().contains("the configuration is not taken").then_some(()));
    sleep(Duration::from_secs(6));
    assert_eq!(ours.log().matches("the configuration is not taken").count(), 1, "{}", ours.log());
    prlimit("0", ours.id(), "--nofile=1024:");
    registered(admin, "plain");
}

#[test]
fn an_edit_while_no_thread_can_be_had_is_taken_later_and_no_snippet_is_forgotten() {
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let snippet = scratch("snippet.toml");
    std::fs::write(&snippet, "[[service]]\nname = \"kept\"\nport = 80\naddress = \"192.0.2.10\"\n").expect("a snippet");
    let config = format!("include = [\"{}\"]\n", snippet.display()) + &base(admin.port());
    let (ours, user) = as_somebody(&config);
    registered(admin, "kept");
    prlimit(&user, ours.id(), "--nproc=1:");
    ours.signal("HUP");
    until("it is told", || ours.log().contains("reading the configuration failed").then_some(()));
    prlimit(&user, ours.id(), "--nproc=1024:");
    until("it is read", || ours.log().contains("configuration re-read").then_some(()));
    // Half of an edit: what it held before stays in force, also after a reading that failed.
    std::fs::write(&snippet, "[[service]]\nname = ").expect("a snippet");
    until("it is told", || ours.log().contains("what they held before stays in force").then_some(()));
    sleep(Duration::from_secs(1));
    registered(admin, "kept");
    assert!(!ours.log().contains("has left the configuration"), "{}", ours.log());
}

#[test]
fn seven_hundred_hanging_tcp_checks_do_not_delay_a_command_nor_each_other() {
    let (port, flag) = (free_port(), scratch("flag"));
    std::fs::write(&flag, "").expect("a file");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    // A server that takes no connection: its queue is full.
    let server = Hanging::start();
    let mut config = base(port)
        + &service(
            "job",
            &format!(
                "{{ exec = {{ command = [\"/usr/bin/test\", \"-e\", \"{}\"], interval = \"500ms\", rise = 1, fall = 2 }} }}",
                flag.display()
            ),
        );
    for number in 0..700 {
        let check = format!("{{ tcp = {{ address = \"{}\", interval = \"2s\", timeout = \"2s\" }} }}", server.address);
        config += &service(&format!("silent{number}"), &check);
    }
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let _ours = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    registered(address, "job");
    until("every one was asked", || {
        (counted(address, "check_failures_total", &["check=\"tcp"]) >= 1400.0).then_some(())
    });
    std::fs::remove_file(&flag).expect("a file");
    let took = withdrawn(address, "job");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(counted(address, "check_no_results_total", &["slots"]) < 1.0);
}

/// A socket where the resolver of a file of this path expects a name server.
fn name_server() -> (std::net::UdpSocket, PathBuf) {
    let address = std::net::Ipv4Addr::new(127, 53, fastrand::u8(..), fastrand::u8(1..255));
    let socket = std::net::UdpSocket::bind((address, 53)).expect("port 53, as root");
    let resolv = scratch("resolv.conf");
    std::fs::write(&resolv, format!("nameserver {address}\noptions timeout:30 attempts:2\n")).expect("a file");
    (socket, resolv)
}

/// The binary, which alone sees this file as resolv.conf.
fn with_resolver(config: &str, resolv: &Path) -> Binary {
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let (resolv, path) = (resolv.display(), path.display());
    Binary::run_in(&format!("mount --bind {resolv} /etc/resolv.conf && exec \"$0\" serve --config {path}"), &[])
}

#[test]
fn servfail_is_no_result_and_a_name_that_does_not_exist_is_a_bad_one() {
    const SERVFAIL: u8 = 2;
    const NXDOMAIN: u8 = 3;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (socket, resolv) = name_server();
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut message) {
            let is_missing = message[..length].windows(7).any(|label| label == b"missing");
            message[2] |= 0x80;
            message[3] = 0x80 | if is_missing { NXDOMAIN } else { SERVFAIL };
            let _ = socket.send_to(&message[..length], client);
        }
    });
    let tcp = |name: &str| {
        format!(
            "{{ tcp = {{ address = \"{name}.example.com:80\", interval = \"200ms\", fall = 2, initial = \"healthy\" }} }}"
        )
    };
    let config = base(address.port()) + &service("failing", &tcp("failing")) + &service("gone", &tcp("missing"));
    let ours = with_resolver(&config, &resolv);
    registered(address, "failing");
    withdrawn(address, "gone");
    until("no result for it", || {
        (counted(address, "check_no_results_total", &["resolver", "failing"]) >= 5.0).then_some(())
    });
    assert!(counted(address, "check_no_results_total", &["missing"]) < 1.0);
    registered(address, "failing");
    let shown = line(&status(address), "tcp missing.example.com:80");
    assert!(shown.contains("missing.example.com cannot be looked up: "), "{shown}: {}", ours.log());
}

#[test]
fn a_silent_resolver_changes_nothing_for_checks_of_other_targets_nor_for_services_that_were_healthy() {
    let (port, flag) = (free_port(), scratch("flag"));
    std::fs::write(&flag, "").expect("a file");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = listener.local_addr().expect("an address").port();
    let (_silent, resolv) = name_server();
    let tcp = |target: &str| {
        format!("{{ tcp = {{ address = \"{target}\", interval = \"1s\", timeout = \"1s\", rise = 1 }} }}")
    };
    let mut config = base(port)
        + &service("local", &tcp(&format!("localhost:{open}")))
        + &service("literal", &tcp(&format!("127.0.0.1:{open}")))
        + &service(
            "job",
            &format!(
                "{{ exec = {{ command = [\"/usr/bin/test\", \"-e\", \"{}\"], interval = \"500ms\", rise = 1, fall = 2 }} }}",
                flag.display()
            ),
        );
    for number in 0..60 {
        config += &service(&format!("name{number}"), &tcp(&format!("db{number}.example.com:80")));
    }
    config += &service(
        "hopeful",
        "{ tcp = { address = \"other.example.com:80\", interval = \"1s\", timeout = \"1s\", initial = \"healthy\" } }",
    );
    let ours = with_resolver(&config, &resolv);
    for name in ["local", "literal", "job", "hopeful"] {
        registered(address, name);
    }
    until("no result for each of the names", || {
        let counted = counted(address, "check_no_results_total", &["reason=\"resolver\""]);
        (counted >= 180.0).then_some(())
    });
    assert!(counted(address, "check_failures_total", &[]) < 1.0, "{}", ours.log());
    let threads = std::fs::read_dir(format!("/proc/{}/task", ours.id())).expect("threads").count();
    assert!(threads < 32 + 60, "{threads} threads");
    for name in ["local", "literal", "job", "hopeful"] {
        registered(address, name);
    }
    assert!(status(address).contains("no result now, no answer from the resolver"));
    assert_eq!(ours.log().matches("checks have no result").count(), 1, "{}", ours.log());
    drop(listener);
    std::fs::remove_file(&flag).expect("a file");
    for name in ["local", "literal", "job"] {
        let took = withdrawn(address, name);
        assert!(took < Duration::from_secs(6), "{name}: {took:?}");
    }
}

#[test]
fn as_pid_one_no_process_that_a_check_leaves_behind_stays_a_zombie() {
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let check = |script: &str, timeout: &str| {
        format!(
            "{{ exec = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], interval = \"300ms\", timeout = \"{timeout}\", rise = 1 }} }}"
        )
    };
    let config = base(port)
        + &service("slow", &check("sleep 30; true", "200ms"))
        + &service("background", &check("(sleep 0.2 &) ; exit 0", "2s"))
        + &service("failing", &check("(sleep 0.2 &) ; exit 3", "2s"));
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let script =
        format!("exec unshare --fork --pid --mount-proc --kill-child \"$0\" serve --config {}", path.display());
    let ours = Binary::run_in(&script, &[]);
    registered(address, "background");
    let pid = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", ours.id())).expect("children");
    let pid = pid.trim().to_owned();
    let zombies = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads").flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<String> =
            children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
        let is_zombie = |pid: &&String| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
        };
        children.iter().filter(is_zombie).count()
    };
    until("there were some", || (zombies() > 2).then_some(()));
    sleep(Duration::from_secs(5));
    // Ten come in a second, and each is there for two.
    assert!(zombies() < 40, "{}", zombies());
    // Exit statuses of the commands themselves were not taken away.
    let shown = status(address);
    assert!(shown.contains("exit status: 3") && shown.contains("healthy for"), "{shown}");
    assert!(!shown.contains("no result now"), "{shown}");
    std::fs::write(&path, base(port)).expect("a configuration");
    until("its checks are gone", || (!status(address).contains("exec ")).then_some(()));
    until("no zombie is left", || (zombies() == 0).then_some(()));
}

/// A listener whose queue is full: connects to it hang.
struct Hanging {
    address: SocketAddr,
    _sockets: Vec<socket2::Socket>,
}

impl Hanging {
    fn start() -> Self {
        let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        listener.listen(0).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let client = socket();
            client.set_nonblocking(true).expect("a socket");
            let _ = client.connect(&address);
            sockets.push(client);
        }
        Self { address: address.as_socket().expect("an address"), _sockets: sockets }
    }
}
