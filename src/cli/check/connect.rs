//! The look of `check --connect` at the registries: servers, chroots, roots, rights, and whether the formats fit.
//! Sessions read, and nothing is written.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::findings::CheckFindings;
use crate::announce::ServiceConfig;
use crate::cli::survey::formats;
use crate::cli::survey::look::{Sample, look};
use crate::config::{Config, Places, Registry, RegistryReader};
use crate::diagnostic::{Severity, Span};
use crate::format::{self, looks_like};
use crate::registry::root::MissingRoot;
use crate::registry::{Error, Path};
use crate::settings::nearest;
use crate::zookeeper::client::{ChildRights, ZooKeeper, ZooKeeperSession};
use crate::zookeeper::config::{Backing, servers};
use crate::zookeeper::security::Auth;
use crate::zookeeper::session::{Ensemble as _, Read, Reply, Session as _};
use crate::zookeeper::trouble;

/// Session time-out that is asked for.
const SESSION: Duration = Duration::from_secs(6);
/// Time that one registry may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at all registries that are in ZooKeeper.
pub(super) fn registries(config: &Config, places: &Places, found: &mut CheckFindings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for registry in &config.registries {
        let Backing::ZooKeeper(text) = &registry.zookeeper.source else { continue };
        let mut looking = Looking { config, places, registry, text, found, judged: HashMap::new() };
        let looked = runtime.block_on(async { timeout(PATIENCE, looking.run()).await });
        let failed = match looked {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => format!("the look at it ended early: {error}"),
            Err(_) => format!("it was not looked through within {} seconds", PATIENCE.as_secs()),
        };
        let at = looking.key(&["zookeeper"]);
        looking.problem(at, Severity::Error, failed, None);
    }
    Ok(())
}

/// A look at one registry.
struct Looking<'l> {
    config: &'l Config,
    places: &'l Places,
    registry: &'l Registry,
    /// The connect string.
    text: &'l str,
    found: &'l mut CheckFindings,
    /// Rights at directories of instances that were looked at: the nearest znode there is, and its rights.
    judged: HashMap<Path, Option<(Path, ChildRights)>>,
}

impl Looking<'_> {
    /// Position of a key of the registry's table.
    fn key(&self, keys: &[&str]) -> Span {
        self.places.of(&[&["registry", self.registry.name.as_str()], keys].concat())
    }

    fn problem(&mut self, at: Span, severity: Severity, message: String, help: Option<String>) {
        self.found.report.extend(self.places.problem(at, severity, message, help));
    }

    fn line(&mut self, words: &str) {
        self.found.lines.push(format!("registry.{}: {words}", self.registry.name));
    }

    async fn run(&mut self) -> Result<(), Error> {
        let Some(session) = self.connect().await else { return Ok(()) };
        let ensemble = ZooKeeper::new(self.text, SESSION).secured(self.registry.zookeeper.security.clone());
        match session.get(&Path::root()).await {
            Err(Error::NoNode) => {
                let (_, chroot) = servers(self.text);
                let help = "create it, or mend the end of `zookeeper`; zonekeeper never creates a chroot";
                let at = self.key(&["zookeeper"]);
                self.problem(at, Severity::Error, format!("the chroot {chroot} does not exist"), Some(help.to_owned()));
                return Ok(());
            }
            Ok(_) | Err(Error::NoAuth) => {}
            Err(error) => return Err(error),
        }
        let auth = self.registry.zookeeper.security.load().ok().and_then(|loaded| loaded.auth);
        for reader in self.registry.readers() {
            let services = self.config.services_of_reader(&reader);
            let writes = !services.is_empty() && !self.config.announce.settings.readonly;
            self.root(&session, &ensemble, &reader, writes).await?;
            if writes {
                for service in &services {
                    self.service(&session, &reader, service, auth.as_ref()).await?;
                }
            }
        }
        self.drains(&session, &ensemble).await
    }

    /// Looks at the drain tree, which need not be there.
    async fn drains(&mut self, session: &ZooKeeperSession, ensemble: &ZooKeeper) -> Result<(), Error> {
        let Some(drains) = &self.registry.zookeeper.drains else { return Ok(()) };
        for reply in session.read(&[Read::Node(drains.clone()), Read::Children(drains.clone())]).await? {
            match reply {
                Reply::Failed(Error::NoNode) => {
                    self.line(&format!("{drains} is not there yet: the first drain creates it"));
                    return Ok(());
                }
                Reply::Failed(Error::NoAuth) => {
                    let at = self.key(&["drains"]);
                    let help = "without it the server drains nothing that is read neither as zc nor as nd";
                    let message = trouble::not_allowed(ensemble, drains);
                    self.problem(at, Severity::Error, message, Some(help.to_owned()));
                    return Ok(());
                }
                Reply::Failed(error) => return Err(error),
                Reply::Node(_) => {}
                Reply::Children(names) if names.is_empty() => self.line(&format!("{drains}: nothing is drained")),
                Reply::Children(_) => self.line(&format!("{drains}: holds drains")),
            }
        }
        Ok(())
    }

    /// Opens a session with each server by itself; returns one of them.
    async fn connect(&mut self) -> Option<ZooKeeperSession> {
        let (servers, chroot) = servers(self.text);
        let is_alone = servers.len() == 1;
        let attempts = servers.iter().map(async |server| {
            let alone = if is_alone { self.text.to_owned() } else { format!("{server}{chroot}") };
            let ensemble = ZooKeeper::new(&alone, SESSION);
            let ensemble = ensemble.secured(self.registry.zookeeper.security.clone()).for_reading();
            ensemble.connect().await
        });
        let (mut sessions, mut failed) = (Vec::new(), Vec::new());
        for (server, attempt) in servers.iter().zip(join_all(attempts).await) {
            match attempt {
                Ok(session) => sessions.push((*server, session)),
                Err(error) => failed.push((*server, error)),
            }
        }
        let severity = if sessions.is_empty() { Severity::Error } else { Severity::Warning };
        let at = self.key(&["zookeeper"]);
        for (server, error) in failed {
            self.problem(at, severity, format!("no session with {server}: {error}"), None);
        }
        if !sessions.is_empty() {
            let answering: Vec<&str> = sessions.iter().map(|(server, _)| *server).collect();
            self.line(&format!("{} answer{}", answering.join(", "), if answering.len() == 1 { "s" } else { "" }));
        }
        sessions.into_iter().next().map(|(_, session)| session)
    }

    /// Looks at a reader's root and at a sample of what is below it.
    async fn root(
        &mut self,
        session: &ZooKeeperSession,
        ensemble: &ZooKeeper,
        reader: &RegistryReader,
        writes: bool,
    ) -> Result<(), Error> {
        let (root, own) = (&reader.registry.zookeeper.root, &reader.registry.format);
        let index = reader.precedence.to_string();
        let (at, at_format) = match reader.name.reader {
            Some(_) => (self.key(&["read", &index, "root"]), self.key(&["read", &index, "format"])),
            None => (self.key(&["root"]), self.key(&["format"])),
        };
        let shown = ensemble.full_path(root);
        match session.get(root).await {
            Ok(_) => {}
            Err(Error::NoNode) if writes => {
                self.line(&format!("the root {shown} does not exist; the agent creates it at its start"));
                return Ok(());
            }
            Err(Error::NoNode) if self.registry.zookeeper.missing_root == MissingRoot::Empty => {
                self.line(&format!("the root {shown} does not exist; `missing_root` has it count as empty"));
                return Ok(());
            }
            Err(Error::NoNode) => {
                let help = self.near(session, root).await.unwrap_or_else(|| {
                    "its names are SERVFAIL until it does; missing_root = \"empty\" has it count as empty".to_owned()
                });
                self.problem(at, Severity::Error, format!("the root {shown} does not exist"), Some(help));
                return Ok(());
            }
            Err(Error::NoAuth) => {
                self.problem(at, Severity::Error, trouble::not_allowed(ensemble, root), None);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let sample = look(session, root, own, &|_| false).await?;
        for path in sample.refused.iter().take(3) {
            self.problem(at, Severity::Warning, trouble::not_allowed(ensemble, path), None);
        }
        if let Some(more) = sample.refused.len().checked_sub(3).filter(|more| *more > 0) {
            self.problem(at, Severity::Warning, format!("and not {more} paths more below {shown}"), None);
        }
        let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        if sample.instances > 0 {
            let (services, instances) =
                (plural(sample.services.len(), "service"), plural(sample.instances, "instance"));
            let malformed = match sample.malformed {
                0 => String::new(),
                malformed => format!(", and {malformed} that cannot be read"),
            };
            self.line(&format!("{shown} has {instances} of {services} as \"{}\" reads them{malformed}", own.name()));
            return Ok(());
        }
        match better(session, root, own, &sample).await? {
            Some(sentence) => self.problem(at_format, Severity::Warning, format!("{shown} {sentence}"), None),
            None if sample.malformed > 0 => {
                let message =
                    format!("{shown} has no instance that \"{}\" can read, of {}", own.name(), sample.malformed);
                self.problem(at_format, Severity::Warning, message, None);
            }
            None => self.line(&format!("{shown} is there and has no instance now")),
        }
        Ok(())
    }

    /// A root beside the one that does not exist, which may have been meant.
    async fn near(&self, session: &ZooKeeperSession, root: &Path) -> Option<String> {
        let parent = Path::new(root.parent()?).ok()?;
        let Some(Reply::Children(names)) = session.read(&[Read::Children(parent.clone())]).await.ok()?.pop() else {
            return None;
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nearest(root.name(), &names).map(|name| format!("did you mean {}?", parent.child(name)))
    }

    /// Looks at the rights that the registration of a service needs.
    async fn service(
        &mut self,
        session: &ZooKeeperSession,
        reader: &RegistryReader,
        service: &ServiceConfig,
        auth: Option<&Auth>,
    ) -> Result<(), Error> {
        let registry = &reader.registry;
        let path = registry.format.instance_path(registry.zookeeper.root.as_str(), &service.name.value, "");
        let Ok(directory) = Path::new(&path) else { return Ok(()) };
        if !self.judged.contains_key(&directory) {
            let rights = rights(session, &directory, auth).await?;
            self.judged.insert(directory.clone(), rights);
        }
        let (name, at) = (&service.name.value, service.name.span);
        let Some((nearest, rights)) = self.judged.get(&directory).cloned().flatten() else {
            let message =
                format!("whether `{name}` may be registered below {directory} is not known: its ACL may not be read");
            self.problem(at, Severity::Warning, message, None);
            return Ok(());
        };
        // Only where instances are is anything taken out again.
        let deletes = if nearest == directory { rights.deletes } else { Some(true) };
        let lacking = match (rights.creates, deletes) {
            (Some(false), _) => "create",
            (_, Some(false)) => "delete",
            (Some(true), Some(true)) => return Ok(()),
            _ => {
                self.line(&format!(
                    "whether `{name}` may be registered, {nearest}'s ACL leaves to the server: {}",
                    rights.acl
                ));
                return Ok(());
            }
        };
        let identity = auth.map_or_else(|| "sessions without credentials".to_owned(), Auth::identity);
        let message = format!(
            "`{name}` cannot be registered: {identity} may not {lacking} children of {nearest} ({})",
            rights.acl
        );
        let help = "change the ACL of that znode, or `auth` of the registry";
        self.problem(at, Severity::Error, message, Some(help.to_owned()));
        Ok(())
    }
}

/// Rights to the children of a directory, or of the nearest znode above it that exists; none where they may not be
/// read.
async fn rights(
    session: &ZooKeeperSession,
    directory: &Path,
    auth: Option<&Auth>,
) -> Result<Option<(Path, ChildRights)>, Error> {
    let mut at = directory.clone();
    loop {
        match session.child_rights(&at, auth).await {
            Ok(rights) => return Ok(Some((at, rights))),
            Err(Error::NoNode) => match at.parent().and_then(|parent| Path::new(parent).ok()) {
                Some(parent) => at = parent,
                None => return Ok(None),
            },
            Err(error) if error.is_answer() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Says which format reads something where `own` reads nothing.
async fn better(
    session: &ZooKeeperSession,
    root: &Path,
    own: &format::Config,
    sample: &Sample,
) -> Result<Option<String>, Error> {
    let is_candidate = |other: &format::Config| {
        other.name() != own.name() && (other.description.is_none() || other.usual_root == root.as_str())
    };
    let mut best: Option<(format::Config, Sample)> = None;
    for other in formats().into_iter().filter(is_candidate) {
        let seen = look(session, root, &other, &|_| false).await?;
        let is_better = |best: &(format::Config, Sample)| seen.instances > best.1.instances;
        if seen.instances > sample.instances && seen.malformed <= seen.instances && best.as_ref().is_none_or(is_better)
        {
            best = Some((other, seen));
        }
    }
    Ok(best.map(|(other, seen)| {
        let words = seen.signature.filter(|one| one.format() == other.name()).map(format::Signature::words);
        looks_like(words.unwrap_or(other.name()), other.name(), seen.instances, own.name())
    }))
}
