//! The composition root, and the only one: binds everything, spawns everything, stops it in order.
//!
//! Start: everything is read and bound before anything answers; DNS answers (SERVFAIL) before ZooKeeper does. Stop: the
//! announcements are withdrawn first, DNS answers until the end. A task that ends unasked ends the process with its
//! name.

mod addresses;
mod admin_server;
mod clock;
mod delegations;
mod descriptors;
mod drain_tree;
pub(crate) mod files;
mod handover;
mod host;
mod instance_lists;
mod manager;
mod program;
mod reaper;
mod registry;
mod reload;
mod serials;
mod sizes;
mod threads;
mod zone_of;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::Sources;
use crate::admin::control::{self, Control};
use crate::announce::{self, identity::HostIdentity};
use crate::config::Config;
use crate::disk;
use crate::dns::listen::{self, tls::Certificate};
use crate::dns::server::Server;
use crate::dns::transport::Transport;
use crate::instance_files::InstanceFiles;
use crate::publish::{Publisher, unix_now};
use crate::registry::ReaderName;
use crate::registry::cache::Hurry;
use crate::zone::{self, Freshness, ZoneBuilder, Zones};
use addresses::if_everywhere;
pub use clock::serials_ahead;
use descriptors::Budget;
use files::ZoneFile;
use handover::Inheritance;
pub use handover::Sockets;
use serials::Serials;
pub use serials::unusable as unusable_serials;
use threads::Threads;
use zone_of::{ZoneOf, lock};

/// Time that the announcements may take to be withdrawn at the end: a little more than each gives itself.
const WITHDRAWAL: Duration = announce::plan::STOP_WITHIN.saturating_add(Duration::from_millis(500));
/// Time that the other parts may take to end.
const ENDING: Duration = Duration::from_secs(2);
/// Time that the command at the end may take.
pub const ON_STOP: Duration = Duration::from_secs(10);
/// Time that queries wait in sockets of before, and the service manager for the start, until the registries are read.
const CATCHING_UP: Duration = Duration::from_secs(3);

/// Task of a running app.
#[derive(Debug)]
pub enum Turn {
    /// Read the zone files again and take this configuration, where there is one that can be taken.
    Reload {
        /// The configuration.
        config: Option<Box<Config>>,
        /// Problems of included files that it leaves out.
        left_out: Option<String>,
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
    /// The threads that some of the parts have to themselves.
    threads: Threads,
    /// The zones' master files, by origin.
    zone_files: Vec<(String, ZoneFile)>,
    /// TCP connections of DNS clients that there are descriptors for.
    tcp: usize,
    /// Identity of the host that registers, once that is read.
    host: Option<HostIdentity>,
    /// The cache files.
    hurries: Vec<Hurry>,
    /// Means that all checks share.
    means: announce::check::Resources,
    /// Services of each reader's announcer.
    services: Vec<(ReaderName, announce::Services)>,
    /// Publisher of each reader, which fills its zones.
    publishers: Vec<(ReaderName, Publisher)>,
    /// Time between two verifications of each reader's mirror.
    verifications: Vec<(ReaderName, watch::Sender<Duration>)>,
    /// The DNS server, where there is one.
    server: Option<Server>,
    /// Stops what answers on its sockets, which is begun again where a restart fails.
    answering: CancellationToken,
    /// The zones, and where their data come from.
    zones: Vec<ZoneOf>,
    /// Configuration that it was started with.
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
    /// The admin server's socket, as the next image of this process gets it.
    admin_socket: Option<TcpListener>,
    /// The certificate that the admin server shows, where it has one.
    admin_certificate: Option<Arc<Certificate>>,
    /// The files of `[[file]]`.
    instance_files: Option<InstanceFiles>,
}

/// A task that ended: its name, and how.
type Ended = (String, anyhow::Result<()>);

/// The name of the task that answers DNS.
const DNS: &str = "dns";
/// Time that a restart waits for a cache file.
const SAVING: Duration = Duration::from_secs(1);
/// Time that the reply to whoever asked for a restart may take to leave.
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
        let (goes_on, waits) = (inherited.are_there(), inherited.hold_queries());
        manager::warn_of_unused(&inherited.dns, config.dns.is_some());
        let budget = Budget::of_process(config);
        let config = &descriptors::bounded(config, budget.tcp);
        let mut app = Self {
            parts: JoinSet::new(),
            announcers: JoinSet::new(),
            threads: Threads::default(),
            zone_files: Vec::new(),
            means: announce::check::Resources { slots: budget.slots, ..Default::default() },
            host: None,
            hurries: Vec::new(),
            tcp: budget.tcp,
            services: Vec::new(),
            publishers: Vec::new(),
            verifications: Vec::new(),
            server: None,
            answering: CancellationToken::new(),
            zones: Vec::new(),
            config: config.clone(),
            withdraw: CancellationToken::new(),
            stop: CancellationToken::new(),
            dns: Vec::new(),
            admin: None,
            keep: CancellationToken::new(),
            control,
            admin_socket: None,
            admin_certificate: None,
            instance_files: None,
        };
        // Where this fails, what runs already ends before the runtime does.
        let unfinished = app.stop.clone().drop_guard();
        let sockets = config.dns.as_ref().map(|dns| listen::bind(dns, inherited.dns)).transpose()?;
        let admin = config.admin.as_ref();
        let admin = admin.map(|admin| Self::admin_listener(admin, inherited.admin.take())).transpose()?;
        app.admin_socket = admin.as_ref().map(TcpListener::try_clone).transpose().context("the admin socket")?;
        app.dns = sockets.as_ref().map(|bound| bound.addresses().to_vec()).unwrap_or_default();
        app.admin = admin.as_ref().map(TcpListener::local_addr).transpose().context("the admin socket")?;

        let end = Instant::now() + files::FIRST_READING;
        let opened = config.serial_file().map(|file| Serials::open(&file, config.former_serial_files(), end));
        let (is_kept, mut serials) = (opened.is_some(), opened.unwrap_or_default());
        serials.inherit(&inherited.serials);
        let zones = app.make_zones(config, &serials, end);
        app.host = Some(host::host(config, &inherited.host, end));
        if let Some(settings) = config.dns_settings() {
            delegations::refresh(&zones, &settings.allowed());
        }
        app.take_http(config.admin.as_ref());
        let mut sources = Sources {
            registries: Vec::new(),
            zones: Zones::new(zones.iter().map(|zone| Arc::clone(lock(&zone.writer).zone())).collect()),
            files: app.zone_files.iter().map(|(origin, file)| (origin.clone(), file.status())).collect(),
            listens: app.dns.clone(),
            dns: None,
            forwarder: None,
            announcements: Vec::new(),
            events: app.control.as_ref().map(|control| control.events().clone()).unwrap_or_default(),
            control: app.control.clone(),
            instance_files: None,
            metrics_per_service: config.admin.as_ref().map_or(0, |admin| admin.metrics_per_service),
        };
        for registry in &config.registries {
            let targets: Vec<_> =
                zones.iter().filter(|zone| zone.registry.as_deref() == Some(&*registry.name)).cloned().collect();
            app.registry(registry, &targets, config, &mut sources)?;
        }
        if let Some((bound, settings)) = sockets.zip(config.dns_settings()) {
            let server = Server::new(bound, if_everywhere(&app.dns), sources.zones.clone(), settings)?;
            // The log has it already, as a warning of the configuration.
            let _ = zone_of::warn_of_serials(&zones, config, is_kept);
            sources.dns = Some(Arc::clone(server.metrics()));
            sources.forwarder = Some(Arc::clone(server.forwarder()));
            app.zones = zones;
            app.serve(server, waits)?;
        }
        if is_kept {
            let (zones, stop) = (sources.zones.iter().cloned().collect(), app.stop.clone());
            app.parts.spawn(async move {
                serials.follow(zones, stop).await;
                ("serial file".into(), Ok(()))
            });
        }
        app.watch(&sources.zones, config.serial_file().is_some());
        app.tell(&sources);
        sources.instance_files = Some(app.keep_files(&sources));
        if let Some((listener, settings)) = admin.zip(config.admin.as_ref()) {
            app.serve_http(listener, settings, sources, budget.admin)?;
        }
        app.reap(goes_on);
        unfinished.disarm();
        Ok(app)
    }

    /// The addresses DNS answers on, with their real ports.
    pub fn dns(&self) -> &[SocketAddr] {
        &self.dns
    }

    /// The encrypted transports that DNS answers by, and the addresses it answers on, with their real ports.
    pub fn dns_encrypted(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        self.server.iter().flat_map(|server| server.bound().encrypted())
    }

    /// The address of the admin server, with its real port.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Ends the app, once it runs, with its registrations left in place for the next process.
    pub fn keep(&self) -> CancellationToken {
        self.keep.clone()
    }

    /// Runs until `stop`, then stops in order. Whenever `next` returns, that turn is taken: of a configuration, what it
    /// says of DNS and of services holds from then on.
    ///
    /// # Errors
    /// When a part ends unasked: its name, and why.
    pub async fn run(mut self, stop: CancellationToken, mut next: impl AsyncFnMut() -> Turn) -> anyhow::Result<()> {
        let outcome = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                () = self.keep.cancelled() => return self.end_keeping().await,
                turn = next() => match turn {
                    Turn::Reload { config, left_out, reply } => {
                        manager::reloading();
                        let outcome = self.reload(config.map(|config| *config), &stop).await;
                        if let Some((control, left_out)) = self.control.as_ref().zip(left_out) {
                            control.rejected(&left_out);
                        }
                        manager::ready();
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
        manager::stopping("Taking the registrations out");
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
        manager::stopping("Leaving the registrations to the next process");
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
        // The next image begins with the cache files.
        let hurries = self.hurries.clone();
        let saved = disk::aside(move || hurries.iter().all(|hurry| hurry.save(SAVING))).await;
        if !saved.unwrap_or(false) {
            warn!("the cache file is not written in time: the next answers may be some seconds old");
        }
        self.stop_answering().await;
        let bound = self.server.as_ref().map(Server::bound);
        let serials = self
            .server
            .as_ref()
            .map(Server::zones)
            .map(|zones| Serials::of_zones(zones.iter().map(|zone| &**zone)))
            .unwrap_or_default();
        // The system's is the next image's, too, and is not to be put into a file that is there to tell hosts apart.
        let host = self.host.as_ref().filter(|host| **host != HostIdentity::of_this_host());
        let (admin, host) = (self.admin_socket.as_ref(), host.map_or("", HostIdentity::as_str));
        manager::reloading();
        let error = handover::exec(program, Inheritance { dns: bound, admin, serials: &serials, host });
        let why = format!("cannot run {}: {error}", program.display());
        manager::ready();
        warn!("{why}; this process goes on");
        if let Some(control) = &self.control {
            control.set_failed(Some(why));
        }
        if let Err(error) = self.answer(false) {
            warn!(error = format!("{error:#}"), "DNS does not go on");
        }
    }

    /// Lets the threads that answer DNS end: what they have taken from the sockets is answered, the rest waits there.
    async fn stop_answering(&mut self) {
        if self.server.is_none() {
            return;
        }
        self.answering.cancel();
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

    /// Goes through what comes between the end of the registrations and that of DNS.
    async fn drain(&self) {
        let announce::Settings { drain, on_stop, .. } = &self.config.announce.settings;
        if !drain.is_zero() && !self.config.announce.services.is_empty() {
            info!(?drain, "nothing is registered any more; draining");
            tokio::time::sleep(*drain).await;
        }
        if on_stop.is_empty() {
            return;
        }
        match tokio::time::timeout(ON_STOP, announce::check::exec::run(on_stop, ON_STOP)).await {
            Ok(Ok(said)) => info!(%said, "on_stop has run"),
            Ok(Err(why)) => warn!("on_stop: {why}"),
            Err(_) => warn!("on_stop did not end within {ON_STOP:?}; it was killed"),
        }
    }

    /// Makes the zones as they are before any registry was read.
    fn make_zones(&mut self, config: &Config, serials: &Serials, end: Instant) -> Vec<ZoneOf> {
        let addresses = addresses::of_name_server(&self.dns);
        let mut zones = Vec::new();
        for zone::config::Config { origin, registry, under, file, ttl, negative_ttl, names, live } in
            config.zones.clone()
        {
            let zone_origin = origin.clone();
            let builder = ZoneBuilder::new(origin.clone(), ttl, negative_ttl).addresses(addresses.clone());
            let (resume, content) = (serials.resume(&origin), serials.content(&origin));
            let builder = builder.journal(zone_of::journal(config, &origin)).resume(resume).resume_content(content);
            let builder = if registry.is_none() && file.is_some() {
                builder.build_id(program::build()).numbered_by_its_file()
            } else {
                builder
            };
            let mut writer = builder.build();
            writer.set_live(live);
            if registry.is_none() && file.is_none() {
                writer.set_freshness(Freshness::Fresh);
            }
            writer.commit(unix_now());
            let writer = Arc::new(Mutex::new(writer));
            if let Some(path) = file {
                let file = ZoneFile::new(path, origin, Arc::clone(&writer), registry.is_none());
                file.load_first(end);
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

    /// Spawns what serves DNS: the sockets, the secret of cookies, NOTIFY and delegations.
    fn serve(&mut self, server: Server, waits: bool) -> anyhow::Result<()> {
        let (rotation, notify) = (server.rotate_secret(self.stop.clone()), server.notify(self.stop.clone()));
        let delegations = delegations::follow(self.zones.clone(), server.allowed(), self.stop.clone());
        self.server = Some(server);
        self.answer(waits)?;
        self.spawn("cookie secret", rotation);
        self.spawn("notify", notify);
        self.spawn("delegations", delegations);
        Ok(())
    }

    /// Answers on the sockets; at the start, or again after that was stopped. An app in whose sockets queries wait,
    /// from the time of a process or an image before it, reads them once it has the answers.
    fn answer(&mut self, waits: bool) -> anyhow::Result<()> {
        let Some(server) = &self.server else { return Ok(()) };
        let stop = self.stop.child_token();
        let (answering, zones) = (server.answer(stop.clone()).context("the DNS sockets")?, server.zones().clone());
        self.answering = stop.clone();
        self.parts.spawn(async move {
            if waits {
                catch_up(&zones, &stop).await;
            }
            (DNS.into(), answering.await.map_err(Into::into))
        });
        Ok(())
    }

    /// Spawns a part that fails never.
    fn spawn(&mut self, name: &str, part: impl Future<Output = ()> + Send + 'static) {
        let name = name.to_owned();
        self.parts.spawn(async move {
            part.await;
            (name, Ok(()))
        });
    }
}

impl App {
    /// Keeps the files of `[[file]]` equal to what these give.
    fn keep_files(&mut self, sources: &Sources) -> InstanceFiles {
        let (files, telling) = instance_lists::files(sources.clone(), self.stop.clone());
        files.take(&self.config.files);
        self.instance_files = Some(files.clone());
        self.parts.spawn(async move {
            telling.await;
            ("files of services".into(), Ok(()))
        });
        files
    }

    /// Waits for the orphans of commands, where they become this process's children; the image before this one has
    /// left commands of checks behind.
    fn reap(&mut self, goes_on: bool) {
        if reaper::is_heir() || goes_on {
            info!("orphans of checks and on_stop are reaped");
            self.spawn("reaper", reaper::run(self.stop.clone()));
        }
    }

    /// Tells the service manager once the first answers are there, and from then on how all is.
    fn tell(&mut self, sources: &Sources) {
        let (zones, registries, stop) = (sources.zones.clone(), sources.registries.clone(), self.stop.clone());
        self.spawn("service manager", async move {
            catch_up(&zones, &stop).await;
            manager::ready();
            manager::follow(zones, registries, stop).await;
        });
    }

    /// Warns of zones that outgrow what others carry, and of serials, kept or not, that are ahead of the clock.
    fn watch(&mut self, zones: &Zones, is_kept: bool) {
        let all = || zones.iter().cloned().collect::<Vec<_>>();
        let (sizes, clock) =
            (sizes::follow(all(), self.stop.clone()), clock::follow(all(), is_kept, self.stop.clone()));
        self.parts.spawn(async move {
            tokio::join!(sizes, clock);
            ("sizes and serials of zones".into(), Ok(()))
        });
    }
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

/// The error of a task that ended although nobody asked it to.
fn unasked(ended: Result<Ended, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow!("the {name} ended unasked"),
        Ok((name, Err(error))) => error.context(format!("the {name} failed")),
        Err(error) => anyhow!(error).context("a part panicked"),
    }
}
