//! The announcer's I/O: does what [`super::plan`] decides, and tells it what happened. No decision is made here. What
//! goes through the session is in `operations`.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::address;
use super::address::{LastingAddresses, LocalAddress, UnfitReason};
use super::check::runner::{Change, Checks, RunnerReport};
use super::check::{Check, CheckKind, Resources};
use super::config::ServiceConfig;
use super::error::Error;
use super::flags::Flags;
use super::operations::{Arming, OperationOutcome, inspect, make_parents, make_root};
use super::plan::{Action, Input, Plan};
use super::status::{AnnouncerStatus, Hold, RefusedAddress, SessionStatus};
use super::wanted::{InstanceWriter, Wanted};
use super::watches::Watches;
use crate::model::Endpoint;
use crate::registry;
use crate::registry::Path;
use crate::registry::withdrawn::Withdrawn;
use crate::zookeeper::outage::Outage;
use crate::zookeeper::session::{Ensemble, Event, Mode, Session, Write};
use connected::Connected;

/// Time between two looks at the host's addresses.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(1);

/// Registers services in one registry.
#[derive(Debug)]
pub struct Announcer<E> {
    ensemble: E,
    writer: InstanceWriter,
    services: Services,
    status: AnnouncerStatus,
    means: Resources,
    /// Ends it with its registrations in place.
    keep: CancellationToken,
    /// Takes what it takes out.
    withdrawn: Withdrawn,
}

/// Services that an announcer registers; clones give to the same.
#[derive(Debug, Clone)]
pub struct Services {
    writer: InstanceWriter,
    desired: Arc<watch::Sender<Vec<ServiceConfig>>>,
}

impl Services {
    /// Registers these from now on. What was registered before and is the same keeps its znode and its checks' states.
    ///
    /// # Errors
    /// When a service's name makes no path; then all stays as it is.
    pub fn set(&self, services: Vec<ServiceConfig>) -> Result<(), Error> {
        let somewhere = LocalAddress { interface: String::new(), address: Ipv4Addr::LOCALHOST.into(), unfit: None };
        self.writer.wanted(&services, &[somewhere], &|_, _| false)?;
        self.desired.send_replace(services);
        Ok(())
    }

    fn holding(self, services: Vec<ServiceConfig>) -> Result<Self, Error> {
        self.set(services)?;
        Ok(self)
    }
}

impl<E: Ensemble> Announcer<E> {
    /// An announcer of `services`; nothing is connected yet.
    ///
    /// # Errors
    /// When a service's name makes no path.
    pub fn new(ensemble: E, writer: InstanceWriter, services: Vec<ServiceConfig>) -> Result<Self, Error> {
        let services =
            Services { writer: writer.clone(), desired: Arc::new(watch::Sender::new(Vec::new())) }.holding(services)?;
        let (status, means, keep) = (AnnouncerStatus::default(), Resources::default(), CancellationToken::new());
        Ok(Self { ensemble, writer, services, status, means, keep, withdrawn: Withdrawn::default() })
    }

    /// Ends at `keep`, too, with its registrations left in place: the session is not closed, and the next process takes
    /// over what it finds.
    #[must_use]
    pub fn ends_keeping_at(self, keep: CancellationToken) -> Self {
        Self { keep, ..self }
    }

    /// The same with these means for its checks.
    pub fn with_means(self, means: Resources) -> Self {
        Self { means, ..self }
    }

    /// The same that notes in `withdrawn` what it takes out.
    pub fn noting(self, withdrawn: Withdrawn) -> Self {
        Self { withdrawn, ..self }
    }

    /// A handle through which other services are given to it, now and while it runs.
    pub fn services(&self) -> Services {
        self.services.clone()
    }

    /// Its status, now and while it runs.
    pub fn status(&self) -> AnnouncerStatus {
        self.status.clone()
    }

    /// Registers the services and keeps them registered; when `stop` says so takes them out and returns, in bounded
    /// time. It never ends before.
    pub async fn run(self, stop: CancellationToken) {
        let mut addresses = interval(LOOK_AT_ADDRESSES);
        addresses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let driver = Driver {
            desired: self.services.desired.subscribe(),
            checks: Checks::new(self.status.clone(), self.means.clone(), fastrand::Rng::new()),
            follows_addresses: false,
            flags: Flags::default(),
            plan: Plan::new(fastrand::Rng::new()).on(self.writer.here.clone()),
            announcer: self,
            session: None,
            connecting: JoinSet::new(),
            operations: JoinSet::new(),
            watches: Watches::default(),
            addresses,
            own: None,
            lasting: LastingAddresses::default(),
            before: Vec::new(),
            given: Vec::new(),
            is_stopping: false,
            outage: Outage::default(),
            root_is_made: false,
        };
        driver.run(stop).await;
    }
}

struct Driver<E: Ensemble> {
    announcer: Announcer<E>,
    plan: Plan,
    session: Option<Arc<E::Session>>,
    connecting: JoinSet<Result<Connected<E::Session>, registry::Error>>,
    /// Operations on their way through the session.
    operations: JoinSet<OperationOutcome<E>>,
    watches: Watches<<E::Session as Session>::Watch>,
    /// Drains of services whose registrations show them.
    flags: Flags,
    desired: watch::Receiver<Vec<ServiceConfig>>,
    follows_addresses: bool,
    addresses: Interval,
    /// The host's addresses when they were last looked at.
    own: Option<Vec<LocalAddress>>,
    /// The same over short absences.
    lasting: LastingAddresses,
    /// The services as they were before they were last given.
    before: Vec<ServiceConfig>,
    /// The services as they were last given.
    given: Vec<ServiceConfig>,
    /// True if everything is being taken out for good.
    is_stopping: bool,
    /// The outage, as far as it was logged.
    outage: Outage,
    /// True if the registry's root was seen to since the start.
    root_is_made: bool,
    checks: Checks,
}

/// Reason for waking up.
enum Wakeup<E: Ensemble> {
    Stop,
    Keep,
    Connected(Result<Connected<E::Session>, registry::Error>),
    Ended(OperationOutcome<E>),
    Told(Event, Path),
    Addresses,
    Checked(RunnerReport),
    Services,
    Time,
}

/// Creates the registry's root if it is missing, but never a chroot: a mistyped one would be filled.
async fn see_to_root<E: Ensemble>(session: Arc<E::Session>, ensemble: E, writer: InstanceWriter) {
    let root = ensemble.full_path(&writer.root);
    match make_root(&*session, &writer.root, writer.parent_access).await {
        Ok(true) => info!(root, "the root was missing: created"),
        Ok(false) => {}
        Err(registry::Error::NoNode | registry::Error::NoRoot(_)) => {
            let chroot = ensemble.full_path(&Path::root());
            warn!(root, "the chroot {chroot} does not exist: create it, or correct `zookeeper`");
        }
        Err(error) if !error.is_answer() => debug!(root, %error, "not known whether the root is there"),
        Err(error) => warn!(root, %error, "the root is missing and cannot be created"),
    }
}

impl<E: Ensemble> Driver<E> {
    async fn run(mut self, stop: CancellationToken) {
        let mut actions = Vec::new();
        // What is wished already is a change too.
        self.desired.mark_changed();
        let mut deadline = self.plan.deadline();
        loop {
            let inputs = match self.wake(deadline, &stop).await {
                Wakeup::Stop => {
                    self.is_stopping = true;
                    vec![Input::Stop]
                }
                Wakeup::Keep => return self.keep(),
                Wakeup::Connected(result) => self.connected(result),
                Wakeup::Ended(outcome) => self.ended(outcome),
                Wakeup::Told(event, path) => self.told(event, path).into_iter().collect(),
                Wakeup::Services => self.take_services().into_iter().collect(),
                Wakeup::Addresses => self.look_at_addresses().into_iter().collect(),
                Wakeup::Checked(told) => self.checked(told).into_iter().collect(),
                Wakeup::Time => self.end_drains().into_iter().chain([Input::Tick]).collect(),
            };
            if inputs.is_empty() {
                // Most results of checks change nothing, and the plan looks at every registration.
                self.look_at_flags();
                deadline = self.deadline();
                continue;
            }
            for input in inputs {
                self.plan.handle(now(), input, &mut actions);
            }
            for action in actions.drain(..) {
                if let Action::Stopped { left, expire_within } = action {
                    return self.stopped(&left, expire_within).await;
                }
                self.perform(action);
            }
            self.show_session();
            self.look_at_flags();
            deadline = self.deadline();
        }
    }

    async fn wake(&mut self, deadline: Option<Instant>, stop: &CancellationToken) -> Wakeup<E> {
        let stopping = self.is_stopping;
        let time = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time);
        loop {
            return tokio::select! {
                () = self.announcer.keep.cancelled() => Wakeup::Keep,
                () = stop.cancelled(), if !stopping => Wakeup::Stop,
                Some(joined) = self.connecting.join_next() => match ended(joined) {
                    Some(result) => Wakeup::Connected(result),
                    None => continue,
                },
                Some(joined) = self.operations.join_next() => match ended(joined) {
                    Some(outcome) => Wakeup::Ended(outcome),
                    None => continue,
                },
                (event, path) = self.watches.next() => Wakeup::Told(event, path),
                // The sender is ours, too: it does not go.
                _ = self.desired.changed(), if !stopping => Wakeup::Services,
                _ = self.addresses.tick(), if self.follows_addresses => Wakeup::Addresses,
                told = self.checks.next(), if !stopping => Wakeup::Checked(told),
                () = &mut time => Wakeup::Time,
            };
        }
    }

    fn connected(&mut self, result: Result<Connected<E::Session>, registry::Error>) -> Vec<Input> {
        match result {
            Ok(Connected { session, flags }) => {
                let found: Vec<_> = flags.into_iter().map(|(path, found)| self.flags_found(&path, found)).collect();
                if !self.flags.are_known() {
                    // Services came meanwhile: theirs are looked at with the next session.
                    return vec![Input::ConnectFailed];
                }
                let wanted = found.into_iter().flatten().next_back();
                let (id, timeout) = (session.id(), session.timeout());
                let (ensemble, session_id) = (self.announcer.ensemble.describe(), format!("{id:#x}"));
                if let Some(after) = self.outage.ends(now()) {
                    info!(ensemble, session = session_id, ?after, "announcing again");
                } else {
                    info!(ensemble, session = session_id, "announcing");
                }
                let session = Arc::new(session);
                if !self.announcer.writer.readonly && !std::mem::replace(&mut self.root_is_made, true) {
                    tokio::spawn(see_to_root(
                        Arc::clone(&session),
                        self.announcer.ensemble.clone(),
                        self.announcer.writer.clone(),
                    ));
                }
                self.session = Some(session);
                self.flags.connected(now());
                wanted.into_iter().chain([Input::Connected { session: id, timeout }]).collect()
            }
            Err(error) => {
                let ensemble = self.announcer.ensemble.describe();
                self.announcer.status.failed(now(), error.to_string());
                if self.outage.failed(now(), &error) {
                    warn!(ensemble, %error, "no session to register services with; trying on");
                } else {
                    debug!(ensemble, %error, "still no session to register services with");
                }
                vec![Input::ConnectFailed]
            }
        }
    }

    fn ended(&mut self, outcome: OperationOutcome<E>) -> Vec<Input> {
        match outcome {
            OperationOutcome::Done { path, result } => vec![Input::Done { path, result }],
            OperationOutcome::Flags { path, arming, found } => {
                if let Arming::Armed { watch, connection } = arming
                    && self.flags.are_at(&path)
                {
                    self.watches.add(&path, watch, connection);
                }
                self.flags_found(&path, found).into_iter().collect()
            }
            OperationOutcome::Inspected { path, arming, found } => {
                let mut inputs = Vec::with_capacity(2);
                match arming {
                    Arming::Armed { watch, connection } => self.watches.add(&path, watch, connection),
                    Arming::Unwatchable => {
                        warn!(
                            ensemble = self.announcer.ensemble.describe(),
                            "the server is older than ZooKeeper 3.6; registrations are looked at now and then, not watched"
                        );
                        inputs.push(Input::Unwatchable);
                    }
                    Arming::None => {}
                }
                let armed = self.watches.is_armed(&path);
                inputs.push(Input::Inspected { path, armed, found });
                inputs
            }
        }
    }

    /// Takes other services. Returns what is to be registered.
    fn take_services(&mut self) -> Option<Input> {
        let services = self.desired.borrow_and_update().clone();
        self.before = std::mem::replace(&mut self.given, services.clone());
        self.checks.set(&services, now());
        self.follows_addresses = services.iter().any(|service| service.address.is_none());
        let waits = |check: &Check| matches!(&check.kind, CheckKind::Ttl(ttl) if ttl.file.is_none());
        let names = services.iter().map(|service| (service.name.value.clone(), service.checks.iter().any(waits)));
        self.announcer.status.set_services(names, self.checks.shown());
        let own = self.own_addresses();
        self.follow_flags(&services);
        if self.session.is_some() && !self.flags.are_known() {
            // They are looked at, and then it is wanted.
            self.own = Some(own);
            return None;
        }
        self.want(&services, own).map(Input::Wanted)
    }

    /// Looks at this host's addresses. Returns what is to be registered, if they have changed.
    fn look_at_addresses(&mut self) -> Option<Input> {
        let own = self.own_addresses();
        if self.own.as_ref() == Some(&own) {
            return None;
        }
        if self.session.is_some() && !self.flags.are_known() {
            return None;
        }
        let services = self.given.clone();
        self.want(&services, own).map(Input::Readdressed)
    }

    fn own_addresses(&mut self) -> Vec<LocalAddress> {
        if !self.follows_addresses {
            return Vec::new();
        }
        match address::all() {
            Ok(all) => self.lasting.look(all, now()),
            Err(error) => {
                warn!(%error, "the services stay registered at the addresses known before");
                self.own.clone().unwrap_or_default()
            }
        }
    }

    fn want(&mut self, services: &[ServiceConfig], own: Vec<LocalAddress>) -> Option<Vec<Wanted>> {
        for service in services.iter().filter(|service| service.address.is_none()) {
            if service.selection.select(&own).is_empty() {
                let name = &*service.name.value;
                warn!(service = name, "this host has no address such as it asks for; it waits for one");
            }
        }
        let (writer, flags) = (&self.announcer.writer, &self.flags);
        let is_drained = |service: &ServiceConfig, endpoint: &Endpoint| {
            writer.flags_at(service).iter().any(|path| flags.cover(path, endpoint))
        };
        let (mut wanted, doubles) = match writer.wanted(services, &own, &is_drained) {
            Ok(wanted) => wanted,
            Err(error) => {
                warn!(%error, "the registrations stay as they are");
                return None;
            }
        };
        for path in doubles {
            warn!(%path, "two [[service]] tables ask for the same znode; the first one gets it");
        }
        for one in &mut wanted {
            one.hold = self.hold(&one.key);
        }
        self.announcer.status.set_refused(refused(services, &own));
        self.own = Some(own);
        self.announcer.status.forget_removed();
        Some(wanted)
    }

    fn hold(&self, key: &str) -> Option<Hold> {
        if self.announcer.writer.readonly { Some(Hold::ReadOnly) } else { self.checks.hold(key) }
    }

    /// Shows a check's result; what it does to its service goes to the plan.
    fn checked(&mut self, told: RunnerReport) -> Option<Input> {
        let RunnerReport { id, shown, change } = told;
        if change.is_some() {
            let (service, check) = (&*shown.service, &*shown.check);
            if let Some(Err(why)) = shown.last.as_ref().map(|last| &last.found) {
                warn!(service, check, flapping = shown.is_flapping, "unhealthy: {why}");
            } else {
                info!(service, check, flapping = shown.is_flapping, "healthy");
            }
        }
        self.announcer.status.set_check(id, shown);
        change.map(|Change { key }| Input::Hold { hold: self.hold(&key), key })
    }

    fn perform(&mut self, action: Action) {
        let (access, parent_access) = (self.announcer.writer.access, self.announcer.writer.parent_access);
        match action {
            Action::Connect { after } => {
                let (ensemble, flags) = (self.announcer.ensemble.clone(), self.flags.paths());
                self.connecting.spawn(async move {
                    sleep(after).await;
                    Connected::open(&ensemble, flags).await
                });
            }
            Action::Close { why } => {
                let ensemble = self.announcer.ensemble.describe();
                self.announcer.status.failed(now(), format!("the session is over: {why}"));
                warn!(ensemble, %why, "the session is over, and the registrations with it; registering again");
                self.session = None;
                self.operations = JoinSet::new();
                self.watches = Watches::default();
                self.flags.session_over();
            }
            Action::Inspect { path, arm } => {
                let connection = self.watches.connection();
                self.spawn(move |session| async move { inspect(&*session, path, arm, connection).await });
            }
            Action::MakeParents { path } => {
                let top = self.announcer.ensemble.full_path(&Path::root());
                self.spawn(move |session| async move {
                    let result = make_parents(&*session, &path, parent_access).await;
                    let result = result.map_err(|error| match error {
                        registry::Error::NoRoot(_) => registry::Error::NoRoot(top),
                        other => other,
                    });
                    OperationOutcome::Done { path, result }
                });
            }
            Action::Create { path, data } => self.spawn(move |session| async move {
                let result = session.create(&path, &data, Mode::Ephemeral, &access).await.map(drop);
                OperationOutcome::Done { path, result }
            }),
            Action::Replace { path, version, data } => self.spawn(move |session| async move {
                let delete = Write::Delete { path: path.clone(), version: Some(version) };
                let mode = Mode::Ephemeral;
                let create = Write::Create { path: path.clone(), data: data.to_vec(), mode, access };
                let result = session.write(&[delete, create]).await.map_err(|failed| failed.error);
                OperationOutcome::Done { path, result }
            }),
            Action::Delete { path, version } => {
                self.announcer.withdrawn.note(&path, Instant::now());
                self.spawn(move |session| async move {
                    let result = session.delete(&path, Some(version)).await;
                    OperationOutcome::Done { path, result }
                });
            }
            Action::Unwatch { path } => self.watches.remove(&path),
            Action::Report { registration, news } => {
                if let Some(news) = news {
                    self.log(&registration, &news);
                }
                self.announcer.status.set(registration);
            }
            // `run` ends with it.
            Action::Stopped { .. } => {}
        }
    }

    fn spawn<F>(&mut self, operation: impl FnOnce(Arc<E::Session>) -> F)
    where
        F: Future<Output = OperationOutcome<E>> + Send + 'static,
    {
        if let Some(session) = &self.session {
            self.operations.spawn(operation(Arc::clone(session)));
        }
    }

    /// Shows how the session stands and tells when its connection goes or comes.
    fn show_session(&self) {
        let now = self.plan.session();
        let before = self.announcer.status.set_session(now);
        let (Some(before), Some(now)) = (before, now) else { return };
        let SessionStatus { timeout, connected, .. } = now;
        match (before.connected, connected) {
            (true, false) => {
                warn!(?timeout, "the connection is lost; the registrations stay until the session expires");
            }
            (false, true) => info!("the connection is back; looking at the registrations"),
            _ => {}
        }
    }

    /// Ends without a word to ZooKeeper. A session closes when the last handle on it is dropped, so one never is.
    fn keep(mut self) {
        if let Some(session) = self.session.take() {
            let (id, timeout) = (format!("{:#x}", session.id()), session.timeout());
            info!(session = id, ?timeout, "the registrations stay for the next process, or until the session expires");
            std::mem::forget(session);
        }
    }

    async fn stopped(mut self, left: &[Path], expire_within: Duration) {
        for path in left {
            warn!(%path, "not taken out: ZooKeeper did not answer in time; it goes within {expire_within:?}");
        }
        // The session is closed when the last operation has let go of it; closing takes out what is left.
        self.operations.shutdown().await;
        self.watches.shutdown().await;
        self.session = None;
        self.announcer.status.set_session(None);
    }
}

/// The addresses at which services without one of their own are not registered. Nobody misses loopback ones.
fn refused(services: &[ServiceConfig], own: &[LocalAddress]) -> Vec<RefusedAddress> {
    let of_service = |service: &ServiceConfig| {
        let refused = own.iter().filter(|own| own.unfit != Some(UnfitReason::Loopback)).filter_map(|own| {
            let reason = service.selection.refuses(own)?;
            let (service, interface) = (service.name.value.clone(), own.interface.clone());
            Some(RefusedAddress { service, address: own.address, interface, reason })
        });
        refused.collect::<Vec<_>>()
    };
    services.iter().filter(|service| service.address.is_none()).flat_map(of_service).collect()
}

/// Result of a task, unless it was called off. A panic in it goes on here, and ends this part by its name.
fn ended<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined {
        Ok(ended) => Some(ended),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

mod connected;
mod drains;
mod log;
#[cfg(test)]
mod tests;
