//! `zonekeeper serve`: the real thing. Also what `dev` shares with it: running an app until a signal.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{info, warn};

use super::ConfigFile;
use super::signals::{self, Ends};
use crate::admin::control::{Control, Order, Request};
use crate::announce;
use crate::app::{self, App, Sockets, Turn};
use crate::config::{self, Config, Report};

/// Answer DNS and register services, as the configuration says
///
/// SIGTERM and SIGINT stop in order: registrations are withdrawn first, DNS answers until the end. SIGUSR2 stops and leaves
/// the registrations to the next process, without `drain` and `on_stop`. SIGHUP reads the
/// configuration and the zone files again; one that has become wrong leaves the last good one in force. A configuration
/// that was edited is also read without a signal. Registries, zones and sockets are of the start.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper serve
  zonekeeper serve --config site.toml --log info,zonekeeper::keeper=debug";

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = self.file.path()?;
        let config = config::load(&path)?;
        // All problems of all files at once, before anything is bound.
        let report = super::check::files(&config);
        if report.errors() > 0 {
            return Err(report.into());
        }
        info!(config = %path.display(), version = env!("CARGO_PKG_VERSION"), "starting");
        run(&config, Some(&path), |app| {
            for address in app.dns() {
                info!(%address, "DNS, UDP and TCP");
            }
            if let Some(address) = app.admin() {
                info!(%address, "admin, HTTP");
            }
            Ok(())
        })
    }
}

/// Starts what `config` says, calls `started` once everything is bound, and runs until a signal or an order to end.
/// What is read again, and when `path` is given also when a file of the configuration changes, is the configuration.
pub(super) fn run(
    config: &Config,
    path: Option<&Path>,
    started: impl FnOnce(&App) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    take_descriptors();
    let inherited = Sockets::take().context("cannot take the sockets of the process before this one")?;
    let ends = Ends::default();
    ends.follow(pauses(config))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (control, orders) = Control::new();
        let read = Stamps::of(config);
        let mut turns = Turns { hangup: signal(SignalKind::hangup())?, orders, path, program: program(), read };
        let app = App::start_with(config, inherited, Some(control))?;
        let (keep, kept) = (app.keep(), ends.keep.clone());
        started(&app)?;
        let keeping = async move {
            kept.cancelled().await;
            keep.cancel();
            std::future::pending::<anyhow::Result<()>>().await
        };
        tokio::select! {
            result = app.run(ends.withdraw.clone(), async move || turns.next().await) => result,
            result = keeping => result,
        }
    });
    // Look-ups of names in progress may block; nobody waits for them.
    runtime.shutdown_background();
    result
}

/// The time that the end may take besides what it takes anyway.
fn pauses(config: &Config) -> Duration {
    let announce::Settings { drain, on_stop, .. } = &config.announce.settings;
    let drain = if config.announce.services.is_empty() { Duration::ZERO } else { *drain };
    drain + if on_stop.is_empty() { Duration::ZERO } else { app::ON_STOP }
}

/// The file of this program, as it was started: after an upgrade the new one is there. A link that leads to another
/// version by then is followed anew.
fn program() -> PathBuf {
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let found = if name.components().count() > 1 {
        std::path::absolute(&name).ok()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|directory| directory.join(&name)).find(|file| file.is_file())
    };
    found.filter(|file| file.is_file()).or_else(|| std::env::current_exe().ok()).unwrap_or(name)
}

/// As many file descriptors as the TCP connections and forwarded questions that there may be take, and many more.
const DESCRIPTORS: u64 = 65_536;

/// Lets this process have so many file descriptors, as far as it may. 1024, where nobody has said more, are gone in a flood,
/// and then there is none for ZooKeeper. Checks and commands that are run inherit it.
fn take_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        warn!(%error, "no more file descriptors are to be had");
    }
}

/// How often the files of the configuration are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long the new program may take to check the configuration.
const CHECKING: Duration = Duration::from_secs(30);

/// What the app is to do next, and when.
struct Turns<'p> {
    hangup: Signal,
    /// What the admin server is asked for.
    orders: mpsc::Receiver<Request>,
    /// The configuration file; none where there is none.
    path: Option<&'p Path>,
    /// The file of this program.
    program: PathBuf,
    /// The configuration's files as they were when they were last read.
    read: Stamps,
}

impl Turns<'_> {
    /// Waits for the next turn.
    async fn next(&mut self) -> Turn {
        loop {
            let (by, reply) = tokio::select! {
                _ = self.hangup.recv() => ("signal", None),
                () = self.read.changed(), if self.path.is_some() => ("change", None),
                Some(Request { order, reply }) = self.orders.recv() => match order {
                    Order::Reload => ("order", Some(reply)),
                    Order::Leave => {
                        let _ = reply.send(Ok("taking the registrations out and ending\n".to_owned()));
                        signals::terminate_self();
                        continue;
                    }
                    Order::Restart => match self.check_program().await {
                        Ok(program) => return Turn::Restart { program, reply },
                        Err(why) => {
                            warn!("not restarted, this process goes on: {why}");
                            let _ = reply.send(Err(format!("not restarted, the running process goes on: {why}")));
                            continue;
                        }
                    },
                },
            };
            match (self.load(by == "signal"), reply) {
                (Some(Err(report)), Some(reply)) => {
                    let _ = reply
                        .send(Err(format!("the configuration is not taken, the one before stays in force:\n{report}")));
                }
                (Some(Ok(config)), reply) => return Turn::Reload { config: Some(Box::new(config)), reply },
                (_, reply) => return Turn::Reload { config: None, reply },
            }
        }
    }

    /// Reads the configuration, where there is one. One that cannot be used is reported, and the one in force stays.
    fn load(&mut self, by_signal: bool) -> Option<Result<Config, Report>> {
        let path = self.path?;
        info!(config = %path.display(), by_signal, "reading the configuration again");
        let loaded = config::load(path).and_then(|config| match super::check::files(&config) {
            report if report.errors() > 0 => Err(report),
            _ => Ok(config),
        });
        match &loaded {
            Ok(config) => self.read = Stamps::of(config),
            Err(report) => {
                self.read.look();
                warn!("the configuration is not taken, the one before stays in force:\n{report}");
            }
        }
        Some(loaded)
    }

    /// Has the program's file, which may be a new one, check the configuration.
    async fn check_program(&self) -> Result<PathBuf, String> {
        let (program, shown) = (&self.program, self.program.display());
        let mut command = Command::new(program);
        match self.path {
            Some(path) => command.arg("check").arg("--config").arg(path),
            None => command.arg("--version"),
        };
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(CHECKING, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(format!("cannot run {shown}: {error}")),
            Err(_) => return Err(format!("{shown} did not check the configuration within {CHECKING:?}")),
        };
        if output.status.success() {
            return Ok(program.clone());
        }
        let printed = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
        Err(format!("`{shown} check` failed ({}): {}", output.status, printed.trim()))
    }
}

/// The state of files: when each was last changed, and its size. Directories count as their lists of files.
struct Stamps(Vec<(PathBuf, Stamp)>);

/// None where there is no file.
type Stamp = Option<(SystemTime, u64)>;

impl Stamps {
    fn of(config: &Config) -> Self {
        let mut stamps = Self(config.read_from.iter().map(|path| (path.clone(), None)).collect());
        stamps.look();
        stamps
    }

    /// Takes the files as they are now. Says whether they are others than before.
    fn look(&mut self) -> bool {
        let mut has_changed = false;
        for (path, stamp) in &mut self.0 {
            let now = std::fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len()))).ok();
            has_changed |= std::mem::replace(stamp, now) != now;
        }
        has_changed
    }

    /// Returns once files have changed and then stood still for one look: an editor may write in pieces. Cancel-safe, but
    /// for the standing still.
    async fn changed(&mut self) {
        let mut is_unread = false;
        loop {
            tokio::time::sleep(LOOK).await;
            match (self.look(), is_unread) {
                (true, _) => is_unread = true,
                (false, true) => return,
                (false, false) => {}
            }
        }
    }
}
