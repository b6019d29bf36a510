//! The registry that a command is about, and the meaning of PATH there.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::sleep;

use crate::announce;
use crate::cli::config_file::{ConfigFile, one_registry};
use crate::cli::output;
use crate::config::{self, Registry};
use crate::registry::{Error, Path, text};
use crate::zookeeper::Znode;
use crate::zookeeper::bulk::{self, Scan};
use crate::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use crate::zookeeper::config::{Backing, is_connect_string};
use crate::zookeeper::memory::{Memory, MemorySession};
use crate::zookeeper::security::{self, AuthSource, Tls};
use crate::zookeeper::session::{Ensemble as _, Read, Reply};

/// Session time-out that is asked for where no configuration says another.
const SESSION: Duration = Duration::from_secs(10);

/// Time for which servers that do not answer are tried again by what waits anyway.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// Registry that is meant.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Place {
    /// The ensemble, host:port,… with a chroot or without, in place of the configuration's registry; its root is /
    #[arg(long, value_name = "SERVERS", global = true, value_parser = servers, conflicts_with_all = ["registry", "config"])]
    zookeeper: Option<String>,
    /// A file with a tree text, as `zonekeeper dev --seed` takes it: to look at; its root is /
    #[arg(long, value_name = "FILE", global = true, conflicts_with_all = ["zookeeper", "registry", "config"])]
    seed: Option<PathBuf>,
    /// With --zookeeper: a file with the credentials, digest:USER:PASSWORD or sasl:USER:PASSWORD
    #[arg(long, value_name = "FILE", global = true)]
    auth_file: Option<PathBuf>,
    /// With --zookeeper: certificates (PEM) that vouch for the servers, which are spoken to over TLS
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// The registry, where the configuration has several
    #[arg(long, value_name = "NAME", global = true)]
    registry: Option<String>,
    /// The configuration file [default: zonekeeper.toml, then /etc/zonekeeper/zonekeeper.toml]
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// A registry by its settings, not connected to.
pub(in crate::cli) struct Meant {
    backing: Backing,
    security: security::Config,
    session_timeout: Duration,
    /// The configured registry; none of `--zookeeper`.
    pub(in crate::cli) registry: Option<Registry>,
    /// Settings of registrations.
    pub(in crate::cli) settings: announce::Settings,
}

/// A registry that is open.
pub(in crate::cli) struct Opened {
    /// Its znodes.
    pub(in crate::cli) source: Source,
    /// The path that others are below.
    pub(in crate::cli) root: Path,
    /// The configuration says that nothing may be written.
    is_readonly: bool,
}

/// Source of znodes.
pub(in crate::cli) enum Source {
    /// An ensemble, and a session with it.
    ZooKeeper(ZooKeeper, ZooKeeperSession),
    /// A file with a tree text, as in `zonekeeper dev`.
    File(PathBuf, MemorySession),
}

fn servers(text: &str) -> Result<String, String> {
    is_connect_string(text).map(|()| text.to_owned())
}

/// Runs a command's work to its end.
pub(in crate::cli) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

impl Place {
    /// An ensemble by its servers alone, in place of what this says.
    pub(super) fn of_servers(&self, servers: &str) -> Self {
        Self { zookeeper: Some(servers.to_owned()), seed: None, registry: None, config: None, ..self.clone() }
    }

    /// Finds out which registry is meant. Nothing is connected to.
    ///
    /// # Errors
    /// When the configuration does not say it.
    pub(in crate::cli) fn meant(&self) -> anyhow::Result<Meant> {
        if let Some(servers) = &self.zookeeper {
            let security = security::Config {
                auth: self.auth_file.clone().map(AuthSource::File),
                tls: self.ca.clone().map(|ca| Tls { ca, identity: None }),
            };
            let backing = Backing::ZooKeeper(servers.clone());
            let settings = announce::Settings::default();
            return Ok(Meant { backing, security, session_timeout: SESSION, registry: None, settings });
        }
        if let Some(seed) = &self.seed {
            let (backing, settings) = (Backing::Memory(seed.clone()), announce::Settings::default());
            let security = security::Config::default();
            return Ok(Meant { backing, security, session_timeout: SESSION, registry: None, settings });
        }
        if self.auth_file.is_some() || self.ca.is_some() {
            bail!("--auth-file and --ca go with --zookeeper; of the configuration, `auth_file` and `tls` count");
        }
        let file = ConfigFile { config: self.config.clone() }.path()?;
        let config = config::load(&file)?;
        let registry = one_registry(config.registries, self.registry.as_deref(), &file)?;
        let zookeeper = &registry.zookeeper;
        Ok(Meant {
            backing: zookeeper.source.clone(),
            security: zookeeper.security.clone(),
            session_timeout: zookeeper.session_timeout,
            settings: config.announce.settings,
            registry: Some(registry),
        })
    }

    /// Opens the registry.
    ///
    /// # Errors
    /// When the configuration does not say which it is, or there is no session with it.
    pub(in crate::cli) async fn open(&self) -> anyhow::Result<Opened> {
        let meant = self.meant()?;
        let root = meant.registry.as_ref().map_or_else(Path::root, |registry| registry.zookeeper.root.clone());
        let source = match &meant.backing {
            Backing::Memory(seed) => Source::File(seed.clone(), seeded(seed).await?),
            Backing::ZooKeeper(_) => connected(meant.ensemble()?).await?,
        };
        Ok(Opened { source, root, is_readonly: meant.settings.readonly })
    }
}

impl Meant {
    /// Its ensemble.
    ///
    /// # Errors
    /// When it is in none.
    pub(in crate::cli) fn ensemble(&self) -> anyhow::Result<ZooKeeper> {
        match &self.backing {
            Backing::ZooKeeper(servers) => {
                Ok(ZooKeeper::new(servers, self.session_timeout).secured(self.security.clone()))
            }
            Backing::Memory(file) => {
                bail!("this registry is not in ZooKeeper but in the file {}: see --zookeeper", file.display())
            }
        }
    }
}

impl Place {
    /// Opens the registry, and tries again for a while where no server answers.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(in crate::cli) async fn open_patiently(&self) -> anyhow::Result<Opened> {
        let begun = Instant::now();
        loop {
            match self.open().await {
                Err(error) if begun.elapsed() < PATIENCE && is_passing(&error) => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    }
}

/// Returns whether an error is trouble with connections, which may pass.
fn is_passing(error: &anyhow::Error) -> bool {
    let trouble = error.downcast_ref::<Error>();
    matches!(trouble, Some(Error::NoServer { .. } | Error::ConnectionLoss(_) | Error::Timeout | Error::SessionExpired))
}

async fn connected(ensemble: ZooKeeper) -> anyhow::Result<Source> {
    let session = ensemble.connect().await.with_context(|| format!("cannot connect to {}", ensemble.describe()))?;
    Ok(Source::ZooKeeper(ensemble, session))
}

/// A registry in this process, as the file has it now.
async fn seeded(file: &std::path::Path) -> anyhow::Result<MemorySession> {
    let seed = super::json::read_file(file)?;
    let nodes = text::parse(&seed).map_err(|problems| super::json::report(file, &seed, problems))?;
    let memory = Memory::new(&file.to_string_lossy());
    memory.replace(nodes.into_iter().map(|node| (node.path.clone(), node.data())));
    Ok(memory.connect().await?)
}

impl Opened {
    /// The path that PATH means, links not followed.
    pub(in crate::cli) fn path(&self, given: Option<&str>) -> anyhow::Result<Path> {
        let Some(given) = given else { return Ok(self.root.clone()) };
        let trimmed = given.trim_end_matches('/');
        Ok(match (given.starts_with('/'), trimmed) {
            (true, "") => Path::root(),
            (true, whole) => Path::new(whole)?,
            (false, "") => self.root.clone(),
            (false, below) => Path::new(&format!("{}/{below}", self.root.as_str().trim_end_matches('/')))?,
        })
    }

    /// A path as messages have it, with the chroot.
    pub(in crate::cli) fn full(&self, path: &Path) -> String {
        match &self.source {
            Source::ZooKeeper(ensemble, _) => ensemble.full_path(path),
            Source::File(..) => path.to_string(),
        }
    }

    /// The session that writes; only a registry in ZooKeeper has one.
    ///
    /// # Errors
    /// When nothing is to be written there.
    pub(in crate::cli) fn session(&self) -> anyhow::Result<&ZooKeeperSession> {
        match &self.source {
            Source::ZooKeeper(..) if self.is_readonly => {
                bail!("the configuration says `readonly`: nothing is written")
            }
            Source::ZooKeeper(_, session) => Ok(session),
            Source::File(file, _) => bail!(
                "this registry is not in ZooKeeper but in the file {}: edit it, a running server follows",
                file.display()
            ),
        }
    }

    /// The ensemble and the session that writes.
    ///
    /// # Errors
    /// As [`Self::session`].
    pub(in crate::cli) fn into_session(self) -> anyhow::Result<(ZooKeeper, ZooKeeperSession)> {
        self.session()?;
        match self.source {
            Source::ZooKeeper(ensemble, session) => Ok((ensemble, session)),
            Source::File(file, _) => bail!("{} is not in ZooKeeper", file.display()),
        }
    }

    /// ZooKeeper's own subtree, where it can be seen.
    fn own(&self) -> Option<Path> {
        (self.full(&Path::root()) == "/").then(|| Path::root().child("zookeeper"))
    }

    /// Reads a znode and all below it, but for ZooKeeper's own.
    ///
    /// # Errors
    /// When there is none; connection trouble.
    pub(in crate::cli) async fn scan(&self, path: &Path) -> anyhow::Result<Scan> {
        let own = self.own().filter(|own| own != path);
        let scan = match &self.source {
            Source::ZooKeeper(_, session) => bulk::scan(session, path, own.as_ref()).await,
            Source::File(_, session) => bulk::scan(session, path, own.as_ref()).await,
        };
        scan.map_err(|error| self.trouble(path, &error))
    }

    /// Reads a znode; none where there is none.
    ///
    /// # Errors
    /// When it may not be read; connection trouble.
    pub(super) async fn get(&self, path: &Path) -> Result<Option<Znode>, Error> {
        match self.read(&[Read::Node(path.clone())]).await?.pop() {
            Some(Reply::Node(znode)) => Ok(Some(znode)),
            Some(Reply::Failed(Error::NoNode)) | None => Ok(None),
            Some(Reply::Failed(error)) => Err(error),
            Some(Reply::Children(_)) => Err(Error::Refused("a reply to another question".to_owned())),
        }
    }

    /// The names of a znode's children, sorted, without ZooKeeper's own.
    ///
    /// # Errors
    /// When they may not be read; connection trouble.
    pub(super) async fn children(&self, path: &Path) -> anyhow::Result<Vec<String>> {
        let mut names = match self.read(&[Read::Children(path.clone())]).await {
            Ok(mut replies) => match replies.pop() {
                Some(Reply::Children(names)) => names,
                Some(Reply::Failed(error)) => return Err(self.trouble(path, &error)),
                _ => Vec::new(),
            },
            Err(error) => return Err(self.trouble(path, &error)),
        };
        names.sort_unstable();
        names.retain(|name| Some(path.child(name)) != self.own());
        Ok(names)
    }

    /// Reads many znodes, in order.
    ///
    /// # Errors
    /// Connection trouble.
    pub(super) async fn nodes(&self, paths: &[Path]) -> anyhow::Result<Vec<(Path, Result<Znode, Error>)>> {
        let mut list = Vec::with_capacity(paths.len());
        let take = |read: &Read, reply| match reply {
            Reply::Node(znode) => list.push((read.path().clone(), Ok(znode))),
            Reply::Failed(error) => list.push((read.path().clone(), Err(error))),
            Reply::Children(_) => {}
        };
        let reads = paths.iter().cloned().map(Read::Node);
        match &self.source {
            Source::ZooKeeper(_, session) => bulk::each(session, reads, take).await?,
            Source::File(_, session) => bulk::each(session, reads, take).await?,
        }
        Ok(list)
    }

    /// Complains of what a scan could not read. The exit code for that.
    pub(super) fn unread(&self, scan: &Scan) -> ExitCode {
        for (path, error) in &scan.refused {
            output::complain(&format_args!("zonekeeper: not read: {:#}\n", self.trouble(path, error)));
        }
        if scan.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    async fn read(&self, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        match &self.source {
            Source::ZooKeeper(_, session) => bulk::read(session, batch).await,
            Source::File(_, session) => bulk::read(session, batch).await,
        }
    }

    /// An error about a path, as a person is told.
    pub(in crate::cli) fn trouble(&self, path: &Path, error: &Error) -> anyhow::Error {
        let full = self.full(path);
        match error {
            Error::NoNode => anyhow::anyhow!("{full} does not exist"),
            error => anyhow::anyhow!("{full}: {error}"),
        }
    }
}
