//! A real ZooKeeper on a free port of the loopback interface, with a directory of its own, that can be stopped, killed,
//! frozen and started again with its data.
//!
//! It needs the Debian packages `zookeeper` and `default-jre-headless`; elsewhere `ZONEKEEPER_TEST_CLASSPATH` says
//! which jars to run. Everything here blocks for as long as it takes, a second for a start: a test that has work going
//! on in its own runtime uses `spawn_blocking`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use zonekeeper::registry;
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::{Access, Ensemble as _, Mode, Session as _};

use super::release::Release;
use super::{PATIENCE, spawner};

/// The session timeouts that the server grants, in milliseconds.
const SESSION_TIMEOUTS: (u32, u32) = (1_000, 60_000);

/// What is special about a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) release: Release,
    /// Lines of its configuration.
    pub(crate) config: String,
    /// Options of its Java.
    pub(crate) java: Vec<String>,
    /// Its number in an ensemble.
    pub(crate) id: Option<usize>,
}

/// A ZooKeeper server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub(crate) struct Server {
    setup: Setup,
    port: u16,
    directory: PathBuf,
    /// The process, while it runs.
    child: Option<Child>,
}

/// Word in a configuration for the address at which the server is to take clients, where that is in a line of its own.
pub(crate) const CLIENT: &str = "{client}";

impl Server {
    /// Starts a server with no data. Returns when it serves.
    pub(crate) fn start() -> Self {
        Self::sized(300)
    }

    /// Starts a server with no data and a heap of `heap` megabytes. Returns when it serves.
    pub(crate) fn sized(heap: u32) -> Self {
        Self::with(&Setup { java: vec![format!("-Xmx{heap}m")], ..Setup::default() })
    }

    /// Starts a server with no data that is special. Returns when it serves.
    pub(crate) fn with(setup: &Setup) -> Self {
        // Another process may take the port between the test of it and the server's start: then on to the next.
        for _ in 0..20 {
            let mut server = Self::prepare(setup.clone());
            server.launch();
            if server.comes_up() {
                return server;
            }
        }
        panic!("ZooKeeper found no free port in 20 attempts");
    }

    /// A server that does not run yet.
    pub(super) fn prepare(setup: Setup) -> Self {
        let server = Self { setup, port: free_port(), directory: directory(), child: None };
        server.configure();
        server
    }

    /// Its address, as in a connect string.
    pub(crate) fn address(&self) -> String {
        self.socket().to_string()
    }

    /// Its address.
    pub(crate) fn socket(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A connect string whose root is an empty znode that nobody else uses.
    pub(crate) async fn namespace(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let session = ZooKeeper::new(&self.address(), Duration::from_secs(10)).connect().await.expect("a session");
        let path = registry::Path::root().child(&name);
        session.create(&path, b"", Mode::Persistent, &Access::Open).await.expect("a namespace");
        format!("{}/{name}", self.address())
    }

    /// Starts it again, with its data and on its port, after [`stop`](Self::stop) or [`kill`](Self::kill).
    pub(crate) fn start_again(&mut self) {
        let begun = Instant::now();
        loop {
            self.launch();
            if self.comes_up() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "ZooKeeper did not start again: {}", self.log());
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        self.wait();
    }

    /// Kills it on the spot.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.wait();
    }

    /// Freezes it: connections stay open and nothing answers. On a busy machine its threads stop one after the other,
    /// some time after the signal was sent: this is waited for.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        let begun = Instant::now();
        while !self.is_frozen() {
            assert!(begun.elapsed() < PATIENCE, "ZooKeeper goes on after SIGSTOP");
            pause();
        }
    }

    /// Whether each of its threads is stopped (the letter after the name in `stat`, proc(5)).
    fn is_frozen(&self) -> bool {
        let child = self.child.as_ref().expect("a running ZooKeeper");
        let threads = fs::read_dir(format!("/proc/{}/task", child.id())).expect("the threads of ZooKeeper");
        threads.flatten().all(|thread| {
            // One that has ended meanwhile does nothing any more.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { return true };
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 'Z', 'X']))
        })
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn configure(&self) {
        let (least, most) = SESSION_TIMEOUTS;
        let client = if self.setup.config.contains(CLIENT) {
            String::new()
        } else {
            format!("clientPort={}\nclientPortAddress={}\n", self.port, Ipv4Addr::LOCALHOST)
        };
        let config = format!(
            "tickTime=500\ndataDir={}\n{client}maxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\nextendedTypesEnabled=true\n\
             minSessionTimeout={least}\nmaxSessionTimeout={most}\n{}",
            self.data().display(),
            self.setup.config.replace(CLIENT, &format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)),
        );
        fs::create_dir_all(self.data()).expect("a directory for ZooKeeper's data");
        fs::write(self.directory.join("zoo.cfg"), config).expect("ZooKeeper's configuration");
        if let Some(id) = self.setup.id {
            fs::write(self.data().join("myid"), id.to_string()).expect("ZooKeeper's number");
        }
    }

    /// Starts the process.
    pub(super) fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.join("log")).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let child = spawner::spawn("java", |command| {
            // Without syncs: what is in the kernel's hands survives a killed process, and that is all that is tested.
            command.args(["-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"]).args(&self.setup.java);
            if !self.setup.java.iter().any(|option| option.starts_with("-Xmx")) {
                command.arg("-Xmx300m");
            }
            command.args(["-cp", &self.setup.release.classpath()]);
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(self.directory.join("zoo.cfg"));
            command.stdout(log).stderr(errors);
        });
        self.child = Some(child.unwrap_or_else(|error| panic!("cannot run `setpriv` (package util-linux): {error}")));
    }

    /// Waits until the process serves; false if it ended instead.
    pub(super) fn comes_up(&mut self) -> bool {
        let begun = Instant::now();
        while !self.serves() {
            if self.has_ended() {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "ZooKeeper does not serve: {}", self.log());
            pause();
        }
        true
    }

    /// Whether it has not ended of itself.
    pub(crate) fn is_alive(&mut self) -> bool {
        !self.has_ended()
    }

    /// Whether it runs and leads its ensemble.
    pub(super) fn leads(&self) -> bool {
        self.child.is_some() && self.ask("srvr").is_ok_and(|answer| answer.contains("Mode: leader"))
    }

    /// Whether the process has ended, of itself. That it cannot run at all is no matter of a port: it fails the test.
    fn has_ended(&mut self) -> bool {
        let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().expect("the state of ZooKeeper"))
        else {
            return false;
        };
        self.child = None;
        assert!(status.code() != Some(127), "cannot run `java`: install the package default-jre-headless");
        let log = self.log();
        assert!(!log.contains("ClassNotFound"), "install the package zookeeper: {log}");
        true
    }

    /// Whether this server, and no other on the same port, serves: it tells its own directory.
    fn serves(&self) -> bool {
        // 3.4 answers with its configuration before it serves.
        self.ask("conf").is_ok_and(|answer| answer.contains(&*self.data().to_string_lossy()))
            && self.ask("srvr").is_ok_and(|answer| answer.contains("Mode:"))
    }

    /// Asks one of the four-letter words.
    fn ask(&self, word: &str) -> io::Result<String> {
        // A connection that is accepted during the start may stay unanswered for ever.
        let limit = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&self.socket(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(word.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("a running ZooKeeper");
        let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(status.expect("the command `kill`").success(), "cannot send SIG{name} to ZooKeeper");
    }

    fn wait(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().expect("the end of ZooKeeper");
        }
    }

    /// Deletes all that a stopped server has kept.
    pub(crate) fn wipe(&self) {
        for entry in std::fs::read_dir(self.data()).expect("its data").flatten().filter(|entry| entry.path().is_dir()) {
            std::fs::remove_dir_all(entry.path()).expect("its data");
        }
    }

    /// Makes a backup of all that a stopped server has kept, or puts that backup in its place.
    pub(crate) fn copy(&self, is_backup: bool) {
        let backup = self.directory.join("backup");
        let (from, to) = if is_backup { (self.data(), backup) } else { (backup, self.data()) };
        if !is_backup {
            self.wipe();
        }
        let status = std::process::Command::new("cp").arg("-rT").args([&from, &to]).status();
        assert!(status.expect("`cp` (package coreutils)").success());
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The end of its log.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The time between two looks at a server that starts.
#[expect(clippy::disallowed_methods, reason = "nothing here runs in a runtime, as the module's text says")]
pub(super) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// The server of this process for tests that only need a [`namespace`](Server::namespace). It ends with the process.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

/// As [`shared`], of another release.
pub(crate) fn shared_of(release: Release) -> &'static Server {
    static OLD: OnceLock<Server> = OnceLock::new();
    static NEW: OnceLock<Server> = OnceLock::new();
    let start = || Server::with(&Setup { release, ..Setup::default() });
    match release {
        Release::System => shared(),
        Release::V3_4 => OLD.get_or_init(start),
        Release::V3_9 => NEW.get_or_init(start),
    }
}

/// A port that is free now. Below the range from which the kernel takes the ports of outgoing connections, so that it
/// stays free while the server is down.
pub(crate) fn free_port() -> u16 {
    for _ in 0..1000 {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A new directory, its name telling the process; those of processes that are gone are removed on the way.
fn directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zookeeper");
    for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    all.join(format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}
