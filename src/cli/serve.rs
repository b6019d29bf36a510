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
use tracing::{debug, info, warn};

use super::config_file::ConfigFile;
use super::signals::{self, Ends};
use crate::admin::control::{Control, ControlOrder, ControlRequest};
use crate::announce;
use crate::app::{self, App, Sockets, Turn};
use crate::config::{self, Config, Snippets};
use crate::diagnostic::Report;
use crate::disk;
use crate::disk::stamp::{Stamp, stamp};

/// Answer DNS and register services, as the configuration says
///
/// SIGTERM and SIGINT stop in order: registrations are withdrawn first, DNS answers until the end. SIGUSR2 stops and
/// leaves the registrations to the next process, without `drain` and `on_stop`. SIGHUP reads the configuration and the
/// zone files again; one that has become wrong leaves the last good one in force. A configuration that was edited is
/// also read without a signal. Registries, zones and sockets are of the start.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper serve
  zonekeeper serve --config site.toml --log info,zonekeeper::zookeeper=debug";

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = self.file.path()?;
        let begun = SystemTime::now();
        let mut snippets = Snippets::default();
        let (config, left_out) = config::load_without_broken(&path, &mut snippets)?;
        // All problems of the seeds at once, before anything is bound. A zone file that is wrong costs itself alone.
        let report = super::check::seeds(&config);
        if report.errors() > 0 {
            return Err(report.into());
        }
        info!(config = %path.display(), version = env!("CARGO_PKG_VERSION"), "starting");
        if let Some(report) = &left_out {
            warn!("included files are left out until they are mended:\n{report}");
        }
        warn_of(&config, "");
        let read = Stamps::of(&config, begun);
        run(&config, Some((&path, read, snippets)), left_out.as_ref(), |app| {
            for address in app.dns() {
                info!(%address, "DNS, UDP and TCP");
            }
            for (transport, address) in app.dns_encrypted() {
                info!(%address, "DNS over {}", transport.name());
            }
            if let Some(address) = app.admin() {
                info!(%address, "admin, HTTP");
            }
            Ok(())
        })
    }
}

/// Logs what is taken, but has no effect, unless these are the words that were logged last. Returns the words.
fn warn_of(config: &Config, told: &str) -> String {
    let words = config.warnings.to_string();
    if !config.warnings.is_empty() && words != told {
        warn!("in the configuration:\n{words}");
    }
    words
}

/// Starts what `config` says, calls `started` once everything is bound, and runs until a signal or an order to end.
/// The configuration is read again where `followed` names its file, what its files were like when `config` was read,
/// and the included files as they were then; `left_out` is what is wrong with those that are not in it.
pub(super) fn run(
    config: &Config,
    followed: Option<(&Path, Stamps, Snippets)>,
    left_out: Option<&Report>,
    started: impl FnOnce(&App) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    take_descriptors();
    let inherited = Sockets::take().context("cannot take the sockets of the process before this one")?;
    let ends = Ends::default();
    ends.follow(pauses(config))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (control, orders) = Control::new();
        if let Some(report) = left_out {
            control.rejected(&report.to_string());
        }
        let hangup = signal(SignalKind::hangup())?;
        let (program, told) = (program(), config.warnings.to_string());
        // What is left out at the start is tried again like what is refused later.
        let refused = left_out.map(ToString::to_string);
        let mut turns = Turns { hangup, orders, followed, program, control: control.clone(), told, refused };
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
    // What runs ends by itself, but for look-ups of names and stalled disks, which may block for ever.
    runtime.shutdown_timeout(LAST_TASKS);
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

/// Lets this process have so many file descriptors, as far as it may. 1024, where nobody has said more, are gone in a
/// flood, and then there is none for ZooKeeper. Checks and commands that are run inherit it.
fn take_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        warn!(%error, "no more file descriptors are to be had");
    }
}

/// Time that the end waits for what still runs.
const LAST_TASKS: Duration = Duration::from_millis(200);

/// Time between two looks at the files of the configuration.
const POLL: Duration = Duration::from_millis(500);

/// After how long what was not taken is read again, though no file has changed: it may be that this process had no
/// descriptor left, or that a disk was away.
const RETRY_REFUSED: Duration = Duration::from_secs(5);

/// Time that the new program may take to check the configuration.
const CHECKING: Duration = Duration::from_secs(30);

/// The cause of a reading after [`RETRY_REFUSED`].
const ONCE_MORE: &str = "once more";

/// Turns of the app: what it is to do next, and when.
struct Turns<'p> {
    hangup: Signal,
    /// Orders that the admin server was given.
    orders: mpsc::Receiver<ControlRequest>,
    /// The configuration file, all files as they were when they were last read, and what the included ones held.
    followed: Option<(&'p Path, Stamps, Snippets)>,
    /// The file of this program.
    program: PathBuf,
    /// Record of what is not taken.
    control: Control,
    /// The warnings that were logged last.
    told: String,
    /// Reason why the configuration, or a part of it, was not taken when it was read last.
    refused: Option<String>,
}

impl Turns<'_> {
    /// Waits for the next turn.
    async fn next(&mut self) -> Turn {
        loop {
            let (by, reply) = tokio::select! {
                _ = self.hangup.recv() => ("signal", None),
                () = changed(&mut self.followed) => ("change", None),
                () = tokio::time::sleep(RETRY_REFUSED), if self.refused.is_some() => (ONCE_MORE, None),
                Some(ControlRequest { order, reply }) = self.orders.recv() => match order {
                    ControlOrder::Reload => ("order", Some(reply)),
                    ControlOrder::Leave => {
                        let _ = reply.send(Ok("taking the registrations out and ending\n".to_owned()));
                        signals::terminate_self();
                        continue;
                    }
                    ControlOrder::Restart => match self.check_program().await {
                        Ok(program) => return Turn::Restart { program, reply },
                        Err(why) => {
                            warn!("not restarted, this process goes on: {why}");
                            let _ = reply.send(Err(format!("not restarted, the running process goes on: {why}")));
                            continue;
                        }
                    },
                },
            };
            match (self.load(by).await, reply) {
                (Some(Err(report)), Some(reply)) => {
                    let _ = reply
                        .send(Err(format!("the configuration is not taken, the one before stays in force:\n{report}")));
                }
                (Some(Ok((config, left_out))), reply) => {
                    return Turn::Reload { config: Some(Box::new(config)), left_out, reply };
                }
                (None, None) if by == ONCE_MORE => {}
                (_, reply) => return Turn::Reload { config: None, left_out: None, reply },
            }
        }
    }

    /// Reads the configuration, where there is one. One that cannot be used is reported, and the one in force stays.
    async fn load(&mut self, by: &str) -> Option<Result<(Config, Option<String>), Report>> {
        let (path, read, snippets) = self.followed.as_mut()?;
        if by == ONCE_MORE {
            debug!(config = %path.display(), "reading the configuration once more: it was not taken");
        } else {
            info!(config = %path.display(), by_signal = by == "signal", "reading the configuration again");
        }
        // An edit while it is read is another one.
        let begun = SystemTime::now();
        read.look().await;
        // A copy, as the reading may fail without giving it back.
        let (owned, mut before) = (path.to_owned(), snippets.clone());
        // A stalled disk holds up this alone.
        let loading = disk::aside(move || {
            let loaded = config::load_without_broken(&owned, &mut before);
            let loaded = loaded.and_then(|(config, broken)| match super::check::seeds(&config) {
                report if report.errors() > 0 => Err(report),
                _ => Ok((config, broken)),
            });
            (loaded, before)
        });
        let loaded = match loading.await {
            Ok((loaded, texts)) => {
                *snippets = texts;
                loaded
            }
            Err(error) => {
                let why = error.to_string();
                if self.refused.as_ref() != Some(&why) {
                    warn!(%error, "reading the configuration failed, the one before stays in force");
                }
                self.refused = Some(why);
                return None;
            }
        };
        let refused = match &loaded {
            Ok((_, broken)) => broken.as_ref().map(ToString::to_string),
            Err(report) => Some(report.to_string()),
        };
        // Told, and taken as far as it can be, before.
        if by == ONCE_MORE && refused == self.refused {
            return None;
        }
        self.refused = refused;
        Some(match loaded {
            Ok((config, broken)) => {
                if let Some(report) = &broken {
                    warn!("included files are not taken, what they held before stays in force:\n{report}");
                }
                // Who asks for a reading is told again.
                self.told = warn_of(&config, if by == "change" || by == ONCE_MORE { &self.told } else { "" });
                read.follow(&config, begun);
                Ok((config, broken.map(|report| report.to_string())))
            }
            Err(report) => {
                warn!("the configuration is not taken, the one before stays in force:\n{report}");
                self.control.rejected(&report.to_string());
                Err(report)
            }
        })
    }

    /// Has the program's file, which may be a new one, check the configuration.
    async fn check_program(&self) -> Result<PathBuf, String> {
        let (program, shown) = (&self.program, self.program.display());
        let mut command = Command::new(program);
        match &self.followed {
            Some((path, ..)) => command.arg("check").arg("--config").arg(path),
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

/// Returns once a followed file has changed; never where none is followed.
async fn changed(followed: &mut Option<(&Path, Stamps, Snippets)>) {
    match followed {
        Some((_, read, _)) => read.changed().await,
        None => std::future::pending().await,
    }
}

/// The files of a configuration, and their states. Directories count as their lists of files.
pub(super) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

impl Stamps {
    /// Takes the files of `config`, which was read after `begun`.
    fn of(config: &Config, begun: SystemTime) -> Self {
        let mut stamps = Self(Vec::new());
        stamps.follow(config, begun);
        stamps
    }

    /// Goes on with the files of `config`, which was read after `begun`, just after [`Self::look`]. The state before
    /// that is kept; a file that is new here, and was perhaps edited since, counts as not read.
    fn follow(&mut self, config: &Config, begun: SystemTime) {
        let before = std::mem::take(&mut self.0);
        let state = |path: &PathBuf| match before.iter().find(|(known, _)| known == path) {
            Some((_, stamp)) => *stamp,
            None => stamp(path).filter(|stamp| !stamp.is_after(begun)),
        };
        self.0 = config.read_from.iter().map(|path| (path.clone(), state(path))).collect();
    }

    /// Takes the files as they are now. Returns whether they differ from before.
    /// A disk that does not answer is waited for on a thread of its own. Cancel-safe.
    async fn look(&mut self) -> bool {
        let paths: Vec<PathBuf> = self.0.iter().map(|(path, _)| path.clone()).collect();
        let looking = disk::aside(move || paths.iter().map(|path| stamp(path)).collect::<Vec<_>>());
        let mut has_changed = false;
        for ((_, state), now) in self.0.iter_mut().zip(looking.await.unwrap_or_default()) {
            has_changed |= std::mem::replace(state, now) != now;
        }
        has_changed
    }

    /// Returns once files have changed and then stood still for one look: an editor may write in pieces. Cancel-safe,
    /// but for the standing still.
    async fn changed(&mut self) {
        let mut is_unread = false;
        loop {
            tokio::time::sleep(POLL).await;
            match (self.look().await, is_unread) {
                (true, _) => is_unread = true,
                (false, true) => return,
                (false, false) => {}
            }
        }
    }
}
