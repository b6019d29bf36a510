//! `zonekeeper serve`: the real thing. Also what `dev` shares with it: running an app until a signal.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ConfigFile;
use crate::app::App;
use crate::config::{self, Config};

/// Answer DNS and register services, as the configuration says
///
/// SIGTERM and SIGINT stop in order: registrations are withdrawn first, DNS answers until the end. SIGHUP reads the
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

/// Starts what `config` says, calls `started` once everything is bound, and runs until a signal.
/// What is read again, and when `path` is given also when a file of the configuration changes, is the configuration.
pub(super) fn run(
    config: &Config,
    path: Option<&Path>,
    started: impl FnOnce(&App) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    take_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut reloads = Reloads { hangup: signal(SignalKind::hangup())?, path, read: Stamps::of(config) };
        let app = App::start(config)?;
        started(&app)?;
        let stopper = stop.clone();
        let reload = async move || reloads.next().await;
        let signals = async move {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM"),
                _ = interrupt.recv() => info!("SIGINT"),
            }
            stopper.cancel();
            // A second signal is a person who does not want to wait.
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::select! {
            result = app.run(stop, reload) => result,
            () = signals => Err(anyhow::anyhow!("stopped at once by a second signal")),
        }
    });
    // Look-ups of names in progress may block; nobody waits for them.
    runtime.shutdown_background();
    result
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

/// The occasions on which the configuration is read again.
struct Reloads<'p> {
    hangup: Signal,
    /// The configuration file; none where there is none.
    path: Option<&'p Path>,
    /// Its files as they were when they were last read.
    read: Stamps,
}

impl Reloads<'_> {
    /// Waits for the next one. Gives the configuration, unless it cannot be used: that is told, and the one in force
    /// stays.
    async fn next(&mut self) -> Option<Config> {
        let by_signal = tokio::select! {
            _ = self.hangup.recv() => true,
            () = self.read.changed(), if self.path.is_some() => false,
        };
        let path = self.path?;
        info!(config = %path.display(), by_signal, "reading the configuration again");
        let loaded = config::load(path).and_then(|config| match super::check::files(&config) {
            report if report.errors() > 0 => Err(report),
            _ => Ok(config),
        });
        match loaded {
            Ok(config) => {
                self.read = Stamps::of(&config);
                Some(config)
            }
            Err(report) => {
                self.read.look();
                warn!("the configuration is not taken, the one before stays in force:\n{report}");
                None
            }
        }
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
