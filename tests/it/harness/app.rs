//! zonekeeper itself under test: in this process on free ports, or as the binary it is shipped as.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zonekeeper::app::App;
use zonekeeper::config;

use super::{PATIENCE, spawner};

/// An app in this process. Dropping it stops it.
pub(crate) struct Running {
    pub(crate) dns: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Starts what `text` says, with DNS and admin on free ports of the loopback interface.
    pub(crate) fn start(text: &str) -> Self {
        Self::start_on(text, "127.0.0.1:0")
    }

    /// Starts what `text` says, with DNS on this address.
    pub(crate) fn start_on(text: &str, dns: &str) -> Self {
        Self::start_with(&format!("{text}\n[dns]\nlisten = [\"{dns}\"]\n"))
    }

    /// Starts what `text` says, which has a `[dns]` table of its own, and an admin server.
    pub(crate) fn start_with(text: &str) -> Self {
        let text = format!("{text}\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        let config = config::parse(Path::new("test.toml"), &text).unwrap_or_else(|report| panic!("{report}"));
        let app = App::start(&config).expect("the app starts");
        let (dns, admin) = (app.dns()[0], app.admin().expect("an admin address"));
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone(), std::future::pending));
        Self { dns, admin, stop, task }
    }

    /// A registry in ZooKeeper and one zone over it. What is deleted is gone at once, so that the end of a name can be
    /// seen.
    pub(crate) fn over_zookeeper(servers: &str, more: &str) -> Self {
        Self::start(&format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nlinger = \"0s\"\n[[zone]]\norigin = \"service.\"\n{more}"
        ))
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }
}

/// A server of one service, `api`, whose `[dns]` table has these lines as well.
pub(crate) async fn serve(dns: &str) -> Running {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, "/services\n  /api\n    /providers\n      /10.0.0.1:80\n").unwrap();
    let server = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:0\"]\n{dns}",
        seed.display()
    ));
    super::eventually("an answer", async || {
        (super::dig::dig(server.dns, "A api.service +tcp").status == "NOERROR").then_some(())
    })
    .await;
    server
}

/// A file of this test, in a directory that is there when it is asked for.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let directory = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scratch").join(directory);
    std::fs::create_dir_all(&directory).expect("a scratch directory");
    directory.join(name)
}

/// The binary. Dropping it kills it.
pub(crate) struct Binary {
    child: Child,
    log: PathBuf,
}

impl Binary {
    /// Runs `zonekeeper` with these arguments; what it says goes to a file.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        Self::run_from(Path::new(env!("CARGO_BIN_EXE_zonekeeper")), arguments)
    }

    /// The same from this file.
    pub(crate) fn run_from(program: &Path, arguments: &[&str]) -> Self {
        let log = scratch("log");
        let file = std::fs::File::create(&log).expect("a log file");
        let both = file.try_clone().expect("a log file");
        let child = spawner::spawn(&program.to_string_lossy(), |command| {
            command.args(arguments).stdin(Stdio::null()).stdout(file).stderr(both);
        });
        Self { child: child.expect("`setpriv` (package util-linux)"), log }
    }

    /// Runs a script of the shell that has the path of `zonekeeper` as `$0` and these arguments, and ends as that.
    pub(crate) fn run_in(script: &str, arguments: &[&str]) -> Self {
        let log = scratch("log");
        let file = std::fs::File::create(&log).expect("a log file");
        let both = file.try_clone().expect("a log file");
        let child = spawner::spawn("unshare", |command| {
            command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_zonekeeper")]).args(arguments);
            command.stdin(Stdio::null()).stdout(file).stderr(both);
        });
        Self { child: child.expect("`unshare` (package util-linux)"), log }
    }

    /// Runs `zonekeeper` with these arguments by another program, which turns into it.
    pub(crate) fn run_by(program: &[&str], arguments: &[&str]) -> Self {
        let log = scratch("log");
        let file = std::fs::File::create(&log).expect("a log file");
        let both = file.try_clone().expect("a log file");
        let child = spawner::spawn(program[0], |command| {
            command.args(&program[1..]).arg(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments);
            command.stdin(Stdio::null()).stdout(file).stderr(both);
        });
        Self { child: child.expect("`unshare` and `nsenter` (package util-linux)"), log }
    }

    /// Runs `zonekeeper` as the user with this number, who owns nothing else.
    #[allow(clippy::disallowed_methods)] // it is called where one may block
    pub(crate) fn run_as(user: &str, arguments: &[&str]) -> Self {
        let log = scratch("log");
        let file = std::fs::File::create(&log).expect("a log file");
        let both = file.try_clone().expect("a log file");
        // The binary where everybody can read it.
        let program = std::env::temp_dir().join(format!("zonekeeper-{}-{user}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &program).expect("a copy of the binary");
        let child = spawner::spawn("setpriv", |command| {
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(&program).args(arguments);
            command.stdin(Stdio::null()).stdout(file).stderr(both);
        });
        let ours = Self { child: child.expect("`setpriv` (package util-linux)"), log };
        // It is open once it runs.
        let begun = Instant::now();
        while ours.log().is_empty() && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_file(&program);
        ours
    }

    /// `serve` with this configuration.
    pub(crate) fn serve(config: &str) -> Self {
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, config).expect("a configuration");
        Self::run(&["serve", "--config", &path.to_string_lossy()])
    }

    /// `serve` with the configuration at this path, on a host whose resolver knows what the file `hosts` has, and
    /// nobody to ask besides: in a mount namespace of its own.
    pub(crate) fn serve_knowing(config: &Path, hosts: &Path) -> Self {
        Self::serve_asking(config, hosts, "nameserver 127.255.255.254\noptions timeout:1 attempts:1\n")
    }

    /// The same with a resolver that asks whom this `resolv.conf` says.
    pub(crate) fn serve_asking(config: &Path, hosts: &Path, resolv: &str) -> Self {
        let asked = scratch("resolv.conf");
        std::fs::write(&asked, resolv).expect("a file");
        let log = scratch("log");
        let file = std::fs::File::create(&log).expect("a log file");
        let both = file.try_clone().expect("a log file");
        let script = "mount --bind \"$1\" /etc/resolv.conf && mount --bind \"$2\" /etc/hosts && exec \"$3\" serve --config \"$4\"";
        let child = spawner::spawn("unshare", |command| {
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
            command.arg(&asked).arg(hosts).arg(env!("CARGO_BIN_EXE_zonekeeper")).arg(config);
            command.stdin(Stdio::null()).stdout(file).stderr(both);
        });
        Self { child: child.expect("`setpriv` and `unshare` (package util-linux)"), log }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("the command `kill`").success(), "cannot send SIG{name}");
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the state of the binary").is_none()
    }

    /// Waits until it has ended.
    #[allow(clippy::disallowed_methods)] // it is called where one may block
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of the binary") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- log of the binary ---\n{}", self.log());
        }
    }
}

/// A port that is free now for UDP and TCP.
pub(crate) fn free_port() -> u16 {
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..20_000);
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free port");
}
