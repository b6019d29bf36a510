//! The composition root, and the only one: binds everything, spawns everything, stops it in order.
//!
//! Start: everything is read and bound before anything answers; DNS answers (SERVFAIL) before ZooKeeper does. Stop: the
//! announcements are withdrawn first, DNS answers until the end. A task that ends unasked ends the process with its name.

mod cookies;
mod descriptors;
mod dns;
pub(crate) mod files;
mod handover;
mod reaper;
mod serials;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use rustix::process::{Resource, getrlimit};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::control::{self, Control};
use crate::admin::{self, RegistrySource, Sources};
use crate::announce::{self, Announcer};
use crate::config::{Config, Registry};
use crate::dns::listen::Bound;
use crate::dns::metrics::Metrics;
use crate::dns::{listen, notify};
use crate::keeper::config::Source;
use crate::keeper::driver::Driver;
use crate::keeper::memory::Memory;
use crate::keeper::session::Ensemble;
use crate::keeper::trouble;
use crate::keeper::zookeeper::ZooKeeper;
use crate::publish::past::Wishes;
use crate::publish::registry::{Layout, Reader};
use crate::publish::unread::Wording;
use crate::publish::{Publisher, SharedWriter, Target, resolver, unix_now};
use crate::zone::name::Name;
use crate::zone::records::address::is_reverse;
use crate::zone::{self, Freshness, ZoneBuilder, Zones};
use dns::Dns;
use files::{Seed, ZoneFile};
pub use handover::Sockets;
use serials::Serials;

/// How long the announcements may take to be withdrawn at the end: a little more than each gives itself.
const WITHDRAWAL: Duration = announce::plan::STOP_WITHIN.saturating_add(Duration::from_millis(500));
/// How long the other parts may take to end.
const ENDING: Duration = Duration::from_secs(2);
/// How long the command at the end may take.
pub const ON_STOP: Duration = Duration::from_secs(10);
/// How long queries wait in inherited sockets until the registries are read.
const CATCHING_UP: Duration = Duration::from_secs(3);

/// What a running app is asked to do.
#[derive(Debug)]
pub enum Turn {
    /// Read the zone files again and take this configuration, where there is one that can be taken.
    Reload {
        /// The configuration.
        config: Option<Box<Config>>,
        /// Takes what was taken, a line each.
        reply: Option<oneshot::Sender<control::Outcome>>,
    },
    /// Go on as this program.
    Restart {
        /// Its file.
        program: PathBuf,
        /// Takes that it begins.
        reply: oneshot::Sender<control::Outcome>,
    },
}

/// Everything is read and bound; nothing runs yet.
pub struct App {
    parts: JoinSet<Ended>,
    announcers: JoinSet<Ended>,
    /// The zones' master files, by origin.
    zone_files: Vec<(String, ZoneFile)>,
    /// TCP connections of DNS clients that there are descriptors for.
    tcp: usize,
    /// What all checks may use.
    means: announce::check::Means,
    /// Where each registry's announcer takes its services.
    services: Vec<(String, announce::Services)>,
    /// What fills the zones of each registry.
    publishers: Vec<(String, Publisher)>,
    /// What the DNS server goes by, where there is one.
    server: Option<Dns>,
    /// What it was started with.
    config: Config,
    /// Stops the announcers.
    withdraw: CancellationToken,
    /// Stops everything else.
    stop: CancellationToken,
    dns: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    /// Ends everything with the registrations in place.
    keep: CancellationToken,
    control: Option<Control>,
    /// The sockets, as the next image of this process gets them, and what answers on them.
    answering: Option<Answering>,
    admin_socket: Option<TcpListener>,
}

/// The DNS server on its sockets.
struct Answering {
    bound: Bound,
    zones: Zones,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// A task that ended: its name, and how.
type Ended = (String, anyhow::Result<()>);

/// The name of the task that answers DNS.
const DNS: &str = "dns";
/// How long the reply to whoever asked for a restart may take to leave.
const REPLYING: Duration = Duration::from_millis(50);

impl App {
    /// Reads what the configuration names, binds every address and spawns every part. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// What cannot be read or bound. Then nothing was registered, and nothing answers.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_with(config, Sockets::default(), None)
    }

    /// The same with the sockets of the process image before this one, and with orders taken through `control`.
    ///
    /// # Errors
    /// As [`App::start`].
    pub fn start_with(config: &Config, mut inherited: Sockets, control: Option<Control>) -> anyhow::Result<Self> {
        let goes_on = inherited.are_there();
        let budget = descriptors(config);
        let mut config = config.clone();
        bound(&mut config, budget.tcp);
        let config = &config;
        let mut app = Self {
            parts: JoinSet::new(),
            announcers: JoinSet::new(),
            zone_files: Vec::new(),
            means: announce::check::Means { slots: budget.slots, ..Default::default() },
            tcp: budget.tcp,
            services: Vec::new(),
            publishers: Vec::new(),
            server: None,
            config: config.clone(),
            withdraw: CancellationToken::new(),
            stop: CancellationToken::new(),
            dns: Vec::new(),
            admin: None,
            keep: CancellationToken::new(),
            control,
            answering: None,
            admin_socket: None,
        };
        // Where this fails, what runs already ends before the runtime does.
        let unfinished = app.stop.clone().drop_guard();
        let sockets = config.dns.as_ref().map(|dns| listen::bind(dns, inherited.dns)).transpose()?;
        let is_meant = |listener: &TcpListener, wanted: SocketAddr| {
            let is_same = |local: SocketAddr| local.ip() == wanted.ip() && [0, local.port()].contains(&wanted.port());
            listener.local_addr().is_ok_and(is_same)
        };
        let admin = config.admin.as_ref().map(|admin| match inherited.admin.take() {
            Some(listener) if is_meant(&listener, admin.listen) => Ok(listener),
            _ => admin::bind(admin.listen),
        });
        let admin = admin.transpose()?;
        app.admin_socket = admin.as_ref().map(TcpListener::try_clone).transpose().context("the admin socket")?;
        app.dns = sockets.as_ref().map(|bound| bound.addresses().to_vec()).unwrap_or_default();
        app.admin = admin.as_ref().map(TcpListener::local_addr).transpose().context("the admin socket")?;

        let serials = config.dns.as_ref().and_then(|dns| dns.serial_file.as_deref()).map(Serials::open);
        let zones = app.zones(config, serials.as_ref());
        let mut sources = Sources {
            registries: Vec::new(),
            zones: Zones::new(zones.iter().map(|zone| Arc::clone(lock(&zone.writer).zone())).collect()),
            files: app.zone_files.iter().map(|(origin, file)| (origin.clone(), file.status())).collect(),
            dns: None,
            forwarder: None,
            announcements: Vec::new(),
            control: app.control.clone(),
        };
        for registry in &config.registries {
            let targets: Vec<_> =
                zones.iter().filter(|zone| zone.registry.as_deref() == Some(&*registry.name)).cloned().collect();
            app.registry(registry, targets, config, &mut sources)?;
        }
        if let Some((bound, dns)) = sockets.zip(config.dns.as_ref()) {
            let metrics = Arc::new(Metrics::default());
            sources.dns = Some(Arc::clone(&metrics));
            let server = Dns::new(config, dns, &app.dns, (zones, sources.zones.clone()), &metrics)?;
            sources.forwarder = Some(Arc::clone(&server.forwarder));
            app.serve(bound, &server, &sources.zones, metrics, goes_on)?;
            app.server = Some(server);
        }
        if let Some(serials) = serials {
            let (zones, stop) = (sources.zones.iter().cloned().collect(), app.stop.clone());
            app.parts.spawn(async move {
                serials.follow(zones, stop).await;
                ("serial file".into(), Ok(()))
            });
        }
        if let Some(listener) = admin {
            let running = admin::spawn(listener, sources, budget.admin, app.stop.clone())?;
            app.parts.spawn(async move { ("admin".into(), running.await.map_err(Into::into)) });
        }
        // The image before this one has left commands of checks behind.
        if reaper::is_heir() || goes_on {
            info!("orphans of checks and on_stop are reaped");
            let stop = app.stop.clone();
            app.parts.spawn(async move {
                reaper::run(stop).await;
                ("reaper".into(), Ok(()))
            });
        }
        unfinished.disarm();
        Ok(app)
    }

    /// The addresses DNS answers on, with their real ports.
    pub fn dns(&self) -> &[SocketAddr] {
        &self.dns
    }

    /// The address of the admin server, with its real port.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Ends the app, once it runs, with its registrations left in place for the next process.
    pub fn keep(&self) -> CancellationToken {
        self.keep.clone()
    }

    /// Runs until `stop`, then stops in order. Whenever `next` returns, that turn is taken: of a configuration, what it says
    /// of DNS and of services holds from then on.
    ///
    /// # Errors
    /// When a part ends unasked: its name, and why.
    pub async fn run(mut self, stop: CancellationToken, mut next: impl AsyncFnMut() -> Turn) -> anyhow::Result<()> {
        let outcome = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                () = self.keep.cancelled() => return self.end_keeping().await,
                turn = next() => match turn {
                    Turn::Reload { config, reply } => {
                        let outcome = self.reload(config.map(|config| *config));
                        // Whoever asked may have gone.
                        let _ = reply.map(|reply| reply.send(outcome));
                    }
                    Turn::Restart { program, reply } => self.restart(&program, reply).await,
                },
                Some(ended) = self.parts.join_next() => break Err(unasked(ended)),
                // They may see before this does that they are to end.
                Some(ended) = self.announcers.join_next() => {
                    if self.keep.is_cancelled() {
                        return self.end_keeping().await;
                    }
                    break Err(unasked(ended));
                }
            }
        };
        info!("stopping");
        self.withdraw.cancel();
        let withdrawn =
            tokio::time::timeout(WITHDRAWAL, async { while self.announcers.join_next().await.is_some() {} });
        if withdrawn.await.is_err() {
            warn!("the registrations could not be withdrawn in time: they go when the session expires");
        }
        if outcome.is_ok() {
            self.drain().await;
        }
        self.end_parts().await;
        outcome
    }

    async fn end_parts(&mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(ENDING, async { while self.parts.join_next().await.is_some() {} });
        if ended.await.is_err() {
            warn!("not every part stopped in time");
        }
        info!("stopped");
    }

    /// Ends with the registrations in place.
    async fn end_keeping(mut self) -> anyhow::Result<()> {
        info!("stopping; the registrations stay");
        let ended = tokio::time::timeout(ENDING, async { while self.announcers.join_next().await.is_some() {} });
        if ended.await.is_err() {
            warn!("not every announcer ended in time");
        }
        self.end_parts().await;
        Ok(())
    }

    /// Becomes `program`. When that fails, all goes on as before.
    async fn restart(&mut self, program: &Path, reply: oneshot::Sender<control::Outcome>) {
        info!(program = %program.display(), "restarting in place");
        if let Some(control) = &self.control {
            control.set_failed(None);
        }
        let _ = reply.send(Ok(format!("restarting as {}\n", program.display())));
        // The reply is on its way before the sockets go.
        tokio::time::sleep(REPLYING).await;
        self.stop_answering().await;
        let bound = self.answering.as_ref().map(|answering| &answering.bound);
        let error = handover::exec(program, bound, self.admin_socket.as_ref());
        let why = format!("cannot run {}: {error}", program.display());
        warn!("{why}; this process goes on");
        if let Some(control) = &self.control {
            control.set_failed(Some(why));
        }
        if let Err(error) = self.answer() {
            warn!(error = format!("{error:#}"), "DNS does not go on");
        }
    }

    /// Lets the threads that answer DNS end: what they have taken from the sockets is answered, the rest waits there.
    async fn stop_answering(&mut self) {
        let Some(answering) = &self.answering else { return };
        answering.stop.cancel();
        let ended = async {
            while let Some(ended) = self.parts.join_next().await {
                match ended {
                    Ok((name, _)) if name == DNS => return,
                    ended => warn!("{:#}", unasked(ended)),
                }
            }
        };
        if tokio::time::timeout(ENDING, ended).await.is_err() {
            warn!("the threads that answer DNS do not end in time");
        }
    }

    /// What comes between the end of the registrations and that of DNS.
    async fn drain(&self) {
        let announce::Settings { drain, on_stop, .. } = &self.config.announce.settings;
        if !drain.is_zero() && !self.config.announce.services.is_empty() {
            info!(?drain, "nothing is registered any more; draining");
            tokio::time::sleep(*drain).await;
        }
        if on_stop.is_empty() {
            return;
        }
        match tokio::time::timeout(ON_STOP, announce::check::exec::run(on_stop)).await {
            Ok(Ok(said)) => info!(%said, "on_stop has run"),
            Ok(Err(why)) => warn!("on_stop: {why}"),
            Err(_) => warn!("on_stop did not end within {ON_STOP:?}; it was killed"),
        }
    }

    /// Makes the zones as they are before any registry was read.
    fn zones(&mut self, config: &Config, serials: Option<&Serials>) -> Vec<ZoneOf> {
        let addresses = self.name_server_addresses();
        let mut zones = Vec::new();
        for zone::config::Config { origin, registry, under, file, ttl, negative_ttl, names, live } in
            config.zones.clone()
        {
            let zone_origin = origin.clone();
            let builder = ZoneBuilder::new(origin.clone(), ttl, negative_ttl).addresses(addresses.clone());
            let resume = serials.map_or(0, |serials| serials.resume(&origin));
            let builder = builder.journal(dns::journal(config, &origin)).resume(resume);
            let builder = if registry.is_none() && file.is_some() { builder.numbered_by_its_file() } else { builder };
            let mut writer = builder.build();
            writer.zone().set_live(live);
            if registry.is_none() && file.is_none() {
                writer.zone().set_freshness(Freshness::Fresh);
            }
            writer.commit(unix_now());
            let writer = Arc::new(Mutex::new(writer));
            if let Some(path) = file {
                let file = ZoneFile::new(path, origin, Arc::clone(&writer), registry.is_none());
                file.load_first();
                let (followed, stop) = (file.clone(), self.stop.clone());
                self.parts.spawn(async move {
                    followed.follow(stop).await;
                    ("zone file".into(), Ok(()))
                });
                self.zone_files.push((zone_origin.to_string(), file));
            }
            zones.push(ZoneOf { origin: zone_origin, registry, under, ttl, names, writer });
        }
        zones
    }

    /// Spawns what serves DNS: the sockets, the secret of cookies, and NOTIFY.
    fn serve(
        &mut self,
        bound: Bound,
        server: &Dns,
        zones: &Zones,
        metrics: Arc<Metrics>,
        goes_on: bool,
    ) -> anyhow::Result<()> {
        let again = bound.try_clone().context("the DNS sockets")?;
        let (zones, stop) = (zones.clone(), self.stop.child_token());
        self.spawn_answering(bound, server, (&zones, &metrics, &stop), goes_on);
        self.answering = Some(Answering { bound: again, zones, metrics, stop });
        let (front, stop) = (Arc::clone(&server.front), self.stop.clone());
        self.parts.spawn(async move {
            cookies::rotate(&front, stop).await;
            ("cookie secret".into(), Ok(()))
        });
        let (told, listening, stop) = (server.told(), self.dns.clone(), self.stop.clone());
        self.parts.spawn(async move {
            notify::run(told, listening, stop).await;
            ("notify".into(), Ok(()))
        });
        Ok(())
    }

    /// Answers on the same sockets again, after it was stopped.
    fn answer(&mut self) -> anyhow::Result<()> {
        let (Some(answering), Some(server)) = (self.answering.take(), self.server.take()) else { return Ok(()) };
        let bound = answering.bound.try_clone().context("the DNS sockets")?;
        let stop = self.stop.child_token();
        self.spawn_answering(bound, &server, (&answering.zones, &answering.metrics, &stop), false);
        (self.answering, self.server) = (Some(Answering { stop, ..answering }), Some(server));
        Ok(())
    }

    fn spawn_answering(
        &mut self,
        bound: Bound,
        server: &Dns,
        (zones, metrics, stop): (&Zones, &Arc<Metrics>, &CancellationToken),
        goes_on: bool,
    ) {
        let (front, forwarder) = (Arc::clone(&server.front), Some(Arc::clone(&server.forwarder)));
        let (zones, metrics, stop) = (zones.clone(), Arc::clone(metrics), stop.clone());
        self.parts.spawn(async move {
            if goes_on {
                catch_up(&zones, &stop).await;
            }
            (DNS.into(), bound.run(zones, front, forwarder, metrics, stop).await.map_err(Into::into))
        });
    }

    /// Addresses for the name servers of zones whose file names none: those DNS answers on, where they are plain.
    fn name_server_addresses(&self) -> Vec<IpAddr> {
        let listening = self.dns.iter().map(SocketAddr::ip);
        if self.dns.iter().any(|address| address.ip().is_unspecified()) {
            let own = announce::address::own().unwrap_or_default().into_iter().map(IpAddr::V4);
            return own.chain(listening.filter(|address| !address.is_unspecified())).collect();
        }
        listening.collect()
    }

    /// Spawns what one registry needs: its mirror, its announcer, and what feeds it in memory.
    fn registry(
        &mut self,
        registry: &Registry,
        zones: Vec<ZoneOf>,
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        match &registry.keeper.source {
            Source::ZooKeeper(servers) => {
                let security = registry.keeper.security.clone();
                security.load().with_context(|| format!("registry {}", registry.name))?;
                let ensemble = ZooKeeper::new(servers, registry.keeper.session_timeout).secured(security);
                self.mirror(ensemble, registry, zones, config, sources)
            }
            Source::Memory(path) => {
                let memory = Memory::new(&path.display().to_string());
                let seed = Seed::new(path.clone(), memory.clone());
                seed.load()?;
                let stop = self.stop.clone();
                self.parts.spawn(async move {
                    seed.follow(stop).await;
                    ("seed".into(), Ok(()))
                });
                self.mirror(memory, registry, zones, config, sources)
            }
        }
    }

    fn mirror<E: Ensemble>(
        &mut self,
        ensemble: E,
        registry: &Registry,
        zones: Vec<ZoneOf>,
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let layout = Layout { root: registry.keeper.root.clone(), format: registry.format.clone() };
        if !zones.is_empty() {
            let shown = zones.iter().map(|zone| Arc::clone(lock(&zone.writer).zone())).collect();
            let targets = targets(zones);
            let own = config.zones.iter().map(|zone| zone.origin.clone());
            let publisher = Publisher::new(layout.clone(), targets, registry.keeper.max_stale).never_ask(own);
            let is_file = |zone: &&zone::config::Config| zone.registry.is_none();
            let files: Vec<Name> = config.zones.iter().filter(is_file).map(|zone| zone.origin.clone()).collect();
            let files = sources.zones.iter().filter(|zone| files.contains(zone.origin())).cloned();
            let publisher = publisher.with_files(files);
            let publisher = publisher.guarded(registry.guard);
            let refusing = ensemble.clone();
            let wording = Wording::new(move |path| trouble::not_allowed(&refusing, path));
            let publisher = publisher.unread(registry.keeper.missing_root, wording);
            publisher.take(wishes(config, registry));
            self.publishers.push((registry.name.clone(), publisher.clone()));
            let (problems, links) = (publisher.problems(), publisher.links());
            let (root, timeout) = (layout.root.clone(), registry.keeper.session_timeout);
            let mut driver = Driver::new(ensemble.clone(), root, timeout, publisher.clone());
            driver = driver.holding(registry.keeper.hold);
            if let Some(file) = &registry.keeper.cache_file {
                driver = driver.with_cache(file.clone(), registry.keeper.cache_refresh());
            }
            let (name, tree, stop) =
                (format!("host names of registry {}", registry.name), driver.tree(), self.stop.clone());
            let looked_up = publisher.clone();
            self.parts.spawn(async move {
                resolver::run(looked_up, tree, stop).await;
                (name, Ok(()))
            });
            let (name, tree, stop) =
                (format!("drains of registry {}", registry.name), driver.tree(), self.stop.clone());
            let drained = publisher.clone();
            self.parts.spawn(async move {
                drained.follow_drains(tree, stop).await;
                (name, Ok(()))
            });
            sources.registries.push(RegistrySource {
                name: registry.name.clone(),
                status: driver.status(),
                reader: Reader::new(&registry.name, layout.clone(), driver.tree(), problems)
                    .with_links(links)
                    .shown_by(publisher),
                zones: shown,
            });
            let (name, stop) = (format!("mirror of registry {}", registry.name), self.stop.clone());
            // A thread of its own: the first sight of a large registry is seconds of work, which no timer and no packet
            // waits for.
            let runtime = tokio::runtime::Handle::current();
            self.parts.spawn_blocking(move || {
                runtime.block_on(driver.run(stop));
                (name, Ok(()))
            });
        }
        self.announce(ensemble, registry, config, sources)
    }

    fn announce<E: Ensemble>(
        &mut self,
        ensemble: E,
        registry: &Registry,
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let announce::Settings { state, acl, parent_acl, readonly, .. } = &config.announce.settings;
        let host = match state {
            Some(path) => announce::identity::HostIdentity::kept_in_or_own(path),
            None => announce::identity::HostIdentity::of_this_host(),
        };
        let writer = announce::Writer {
            format: registry.format.clone(),
            root: registry.keeper.root.clone(),
            host,
            pid: std::process::id(),
            created: SystemTime::now(),
            access: *acl,
            parent_access: *parent_acl,
            readonly: *readonly,
        };
        // Also where nothing is to be registered yet: without services it connects to nothing.
        let announcer = Announcer::new(ensemble, writer, config.services_of(&registry.name))?;
        let announcer = announcer.with_means(self.means.clone());
        self.services.push((registry.name.clone(), announcer.services()));
        sources.announcements.push((registry.name.clone(), announcer.status()));
        let announcer = announcer.ends_keeping_at(self.keep.clone());
        let (name, stop) = (format!("announcer of registry {}", registry.name), self.withdraw.clone());
        self.announcers.spawn(async move {
            announcer.run(stop).await;
            (name, Ok(()))
        });
        Ok(())
    }

    /// Re-reads the zone files, one that has become wrong leaving what was read before in force, and takes a configuration
    /// that was read again.
    fn reload(&mut self, config: Option<Config>) -> control::Outcome {
        let taken = match config {
            Some(config) => self.take(config),
            None => Ok(String::new()),
        };
        self.zone_files.iter().for_each(|(_, file)| file.reload());
        taken
    }
}

impl App {
    /// From now on holds what `config` says of DNS and of services. Services that it has like the present one are not
    /// touched.
    fn take(&mut self, mut config: Config) -> control::Outcome {
        bound(&mut config, self.tcp);
        let mut taken = String::new();
        if let Some(Err(error)) = self.server.as_ref().map(|server| server.take(&config)) {
            let error = format!("{error:#}");
            warn!(error, "the configuration is not taken, the one before stays in force");
            return Err(format!("the configuration is not taken, the one before stays in force: {error}"));
        }
        for service in self.config.announce.gone_from(&config.announce) {
            let (name, port, file) = (&*service.name.value, service.port, service.file.display());
            warn!(service = name, port, %file, "the service has left the configuration and is being withdrawn");
            let _ = writeln!(taken, "withdrawn: {name}, port {port}, of {file}");
        }
        for service in config.announce.gone_from(&self.config.announce) {
            let (name, port, file) = (&*service.name.value, service.port, service.file.display());
            let _ = writeln!(taken, "added: {name}, port {port}, of {file}");
        }
        for service in config.announce.changed_since(&self.config.announce) {
            let _ = writeln!(taken, "changed: {}, port {}", service.name.value, service.port);
        }
        for (registry, services) in &self.services {
            if let Err(error) = services.set(config.services_of(registry)) {
                warn!(registry, %error, "the services stay as they are");
                let _ = writeln!(taken, "not taken: the services of registry {registry}: {error}");
            }
        }
        for (name, publisher) in &self.publishers {
            if let Some(registry) = config.registries.iter().find(|registry| registry.name == *name) {
                publisher.take(wishes(&config, registry));
            }
        }
        for part in self.config.fixed_differences(&config) {
            warn!("{part} is not what it was: that takes effect at the next start");
            let _ = writeln!(taken, "takes effect at the next start: {part}");
        }
        for service in &self.config.announce.services {
            let same = |other: &&announce::ServiceConfig| {
                other.name.value == service.name.value
                    && other.registry.as_ref().map(|registry| &registry.value)
                        == service.registry.as_ref().map(|registry| &registry.value)
            };
            if !config.announce.services.iter().any(|other| same(&other)) {
                let (service, file) = (&service.name.value, service.file.display());
                warn!(service, %file, "the service has left the configuration: it is withdrawn");
            }
        }
        info!(services = config.announce.services.len(), "configuration re-read");
        let services = config.announce.services.len();
        self.config.announce.services = config.announce.services;
        Ok(format!("the configuration is taken, {services} services\n{taken}"))
    }
}

/// How many file descriptors each part may take.
fn descriptors(config: &Config) -> descriptors::Budget {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1 << 20);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let budget = descriptors::Budget::of(limit, config, threads);
    let descriptors::Budget { slots, tcp, admin } = budget;
    let announce::check::slots::Slots { tcp: checks_tcp, http, exec, grpc } = slots;
    info!(
        limit,
        dns_tcp = tcp,
        admin,
        checks_tcp,
        http,
        exec,
        grpc,
        "file descriptors: connections and checks at once"
    );
    budget
}

/// Lets DNS have so many TCP connections at most.
fn bound(config: &mut Config, tcp: usize) {
    if let Some(dns) = &mut config.dns
        && dns.tcp.connections > tcp
    {
        warn!(
            connections = dns.tcp.connections,
            possible = tcp,
            "[dns.tcp] connections: there are not so many file descriptors; raise the limit (LimitNOFILE=, ulimit -n)"
        );
        dns.tcp.connections = tcp;
        dns.tcp.per_client = dns.tcp.per_client.min(tcp);
    }
}

/// A zone under construction, and where its data come from.
#[derive(Clone)]
struct ZoneOf {
    origin: Name,
    registry: Option<String>,
    under: String,
    ttl: u32,
    names: zone::records::config::Config,
    writer: SharedWriter,
}

/// What a publisher writes; zones of reverse names with the zones that they can point to.
fn targets(zones: Vec<ZoneOf>) -> Vec<Target> {
    let forward: Vec<_> = zones.iter().filter(|zone| !is_reverse(&zone.origin)).collect();
    let forward: Vec<_> = forward.iter().map(|zone| (zone.under.clone(), zone.origin.clone())).collect();
    let target = |ZoneOf { origin, under, ttl, names, writer, .. }: ZoneOf| {
        let reverse_of = if is_reverse(&origin) { forward.clone() } else { Vec::new() };
        Target { under, ttl, names, reverse_of, writer }
    };
    zones.into_iter().map(target).collect()
}

/// Waits until every zone can answer, or for a bounded time: whoever asks meanwhile waits in the sockets.
async fn catch_up(zones: &Zones, stop: &CancellationToken) {
    let caught_up = async {
        while zones.iter().any(|zone| zone.freshness() == Freshness::Loading) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = tokio::time::timeout(CATCHING_UP, caught_up) => {}
    }
}

/// What a configuration says of a registry's names that a reload can change.
fn wishes(config: &Config, registry: &Registry) -> Wishes {
    let registered = config.services_of(&registry.name).into_iter().map(|service| service.name.value).collect();
    let zones = config.zones.iter().map(|zone| (zone.origin.clone(), zone.names.clone())).collect();
    Wishes { linger: registry.linger, registered, zones }
}

/// The addresses of this host, where these listen on all of them.
fn if_everywhere(listening: &[SocketAddr]) -> Vec<IpAddr> {
    if listening.iter().all(|address| !address.ip().is_unspecified()) {
        return Vec::new();
    }
    announce::address::own().unwrap_or_default().into_iter().map(IpAddr::V4).collect()
}

fn lock(writer: &SharedWriter) -> std::sync::MutexGuard<'_, zone::writer::ZoneWriter> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of a task that ended although nobody asked it to.
fn unasked(ended: Result<Ended, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow!("the {name} ended unasked"),
        Ok((name, Err(error))) => error.context(format!("the {name} failed")),
        Err(error) => anyhow!(error).context("a part panicked"),
    }
}
