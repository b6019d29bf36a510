//! The DNS server as a whole: made of its sockets and its part of the configuration at the start, changed when the
//! configuration is read again. Sockets and threads stay as they were at the start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dns::Error;
use crate::dns::config::Config;
use crate::dns::forward::{CheckedSettings, Forwarder, ServerAddresses};
use crate::dns::listen::Bound;
use crate::dns::listen::tls::{Certificates, Files};
use crate::dns::message::key::TsigKey;
use crate::dns::serve::cookie::Secrets;
use crate::dns::serve::gate::Gate;
use crate::dns::serve::metrics::Metrics;
use crate::dns::serve::policy::Policy;
use crate::dns::serve::query_log::{QueryLog, QuerySink};
use crate::dns::serve::rate::Limiter;
use crate::dns::serve::rotation;
use crate::dns::transfer::notify::{self, NotifyTargets};
use crate::dns::transfer::secondaries::{Allowed, Secondaries};
use crate::dns::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;

/// The server's part of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct ServerSettings<'c> {
    /// The table `[dns]`.
    pub dns: &'c Config,
    /// The tables `[[key]]` that can be used.
    pub keys: &'c [Arc<TsigKey>],
    /// Secondaries of each zone, by origin.
    pub secondaries: &'c [(Name, Secondaries)],
}

impl ServerSettings<'_> {
    /// Returns the clients that may transfer each zone.
    pub fn allowed(&self) -> Allowed {
        Allowed::new(self.dns.allow_transfer.clone(), self.secondaries)
    }

    fn checked(&self) -> Result<CheckedSettings, Error> {
        CheckedSettings::new(self.dns.forward.clone(), &self.dns.forward_ca, self.dns.forward_limits)
    }

    /// Files of the certificates of encrypted transports.
    fn files(&self) -> impl Iterator<Item = (Transport, &Files)> {
        self.dns.encrypted().map(|(transport, tls)| (transport, &tls.files))
    }

    fn limiter(&self) -> Result<Option<Arc<Limiter>>, Error> {
        Ok(Limiter::new(&self.dns.rate, rotation::bytes()?).map(Arc::new))
    }

    /// The policy, but for limiter and log; with `secrets` where the configuration has none.
    fn policy(&self, secrets: Arc<Secrets>) -> Policy {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Policy::of(self.dns, self.keys.to_vec(), self.allowed(), secrets, &host)
    }

    /// Secondaries that are notified of changes of each zone.
    fn notified(&self, zones: &Zones) -> Vec<NotifyTargets> {
        let targets = self.secondaries.iter().filter_map(|(origin, secondaries)| {
            let zone = zones.iter().find(|zone| zone.origin() == origin)?;
            Some((Arc::clone(zone), secondaries.notify.clone()))
        });
        targets.collect()
    }
}

/// The DNS server.
pub struct Server {
    /// The sockets, of which each [`Self::answer`] has clones.
    bound: Bound,
    zones: Zones,
    metrics: Arc<Metrics>,
    gate: Arc<Gate>,
    forwarder: Arc<Forwarder>,
    certificates: Certificates,
    query_sink: QuerySink,
    notified: watch::Sender<Vec<NotifyTargets>>,
    allowed: watch::Sender<Allowed>,
}

impl Server {
    /// A server of `zones` on sockets that are bound. `host` are the addresses of this host, where it listens on all of
    /// them.
    ///
    /// # Errors
    /// When something that the settings name cannot be used, or the system gives no random bytes.
    pub fn new(bound: Bound, host: Vec<IpAddr>, zones: Zones, settings: ServerSettings<'_>) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::new(&zones));
        let ours = ServerAddresses { listening: bound.addresses().to_vec(), host };
        let forwarder = Arc::new(Forwarder::new(settings.checked()?, ours, Arc::clone(&metrics)));
        let policy = settings.policy(Arc::new(rotation::random()?));
        let query_sink = QuerySink::new(Arc::clone(&metrics));
        let query_log = QueryLog::new(&settings.dns.query_log, &query_sink);
        let policy = Policy { rate: settings.limiter()?, query_log, ..policy };
        let gate = Arc::new(Gate::new(zones.clone(), policy));
        let certificates = Certificates::new(settings.files());
        let notified = watch::Sender::new(settings.notified(&zones));
        let allowed = watch::Sender::new(settings.allowed());
        Ok(Self { bound, zones, metrics, gate, forwarder, certificates, query_sink, notified, allowed })
    }

    /// Takes settings that were read again. All of them or nothing.
    ///
    /// # Errors
    /// As [`Self::new`]; then everything is as it was.
    pub fn take(&self, settings: ServerSettings<'_>) -> Result<(), Error> {
        let (checked, fresh, limiter) = (settings.checked()?, Arc::new(rotation::random()?), settings.limiter()?);
        self.forwarder.change(checked);
        self.certificates.change(settings.files());
        let query_log = QueryLog::new(&settings.dns.query_log, &self.query_sink);
        self.gate.change_policy(|policy| Policy {
            query_log: query_log.clone(),
            ..changed(policy, settings, &fresh, limiter.as_ref())
        });
        self.notified.send_replace(settings.notified(&self.zones));
        self.allowed.send_replace(settings.allowed());
        Ok(())
    }

    /// Answers on the sockets until `stop`.
    ///
    /// # Errors
    /// At once when there are no descriptors left; later when a socket fails for good.
    pub fn answer(
        &self,
        stop: CancellationToken,
    ) -> std::io::Result<impl Future<Output = Result<(), Error>> + Send + use<>> {
        let (bound, zones, gate) = (self.bound.try_clone()?, self.zones.clone(), Arc::clone(&self.gate));
        let (forwarder, metrics) = (Some(Arc::clone(&self.forwarder)), Arc::clone(&self.metrics));
        Ok(bound.run(zones, gate, forwarder, metrics, self.certificates.clone(), stop))
    }

    /// Changes the random secret of cookies every day, until `stop`.
    pub fn rotate_secret(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let gate = Arc::clone(&self.gate);
        async move { rotation::run(&gate, stop).await }
    }

    /// Notifies secondaries of changes, until `stop`.
    pub fn notify(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        notify::run(self.notified.subscribe(), self.bound.addresses().to_vec(), stop)
    }

    /// The sockets.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The zones that it answers for.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The addresses that plain DNS listens on, with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.bound.addresses()
    }

    /// Clients that may transfer each zone, now and from now on.
    pub fn allowed(&self) -> watch::Receiver<Allowed> {
        self.allowed.subscribe()
    }

    /// Forwarder of questions outside the zones.
    pub fn forwarder(&self) -> &Arc<Forwarder> {
        &self.forwarder
    }

    /// Counters of everything that it answers.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

/// Changes a policy. Counts and secrets that were given out stay good where the settings do not name others: a random
/// cookie secret, and a limiter with what it knows of networks.
fn changed(
    policy: &Policy,
    settings: ServerSettings<'_>,
    fresh: &Arc<Secrets>,
    limiter: Option<&Arc<Limiter>>,
) -> Policy {
    let secrets = if policy.is_random { &policy.secrets } else { fresh };
    let rate = match &policy.rate {
        Some(known) if *known.config() == settings.dns.rate => Some(known),
        _ => limiter,
    };
    Policy { rate: rate.cloned(), ..settings.policy(Arc::clone(secrets)) }
}
