//! Settings of the running DNS server: made at the start, changed when the configuration is read again. Sockets and
//! threads are not in it; they are as they were at the start.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use super::addresses::if_everywhere;
use super::cookies;
use super::zone_of::{ZoneOf, lock};
use crate::config::Config;
use crate::dns::config::Config as DnsConfig;
use crate::dns::forward::{CheckedSettings, Forwarder, ServerAddresses};
use crate::dns::listen::tls::{Certificates, Files};
use crate::dns::serve::cookie::Secrets;
use crate::dns::serve::gate::Gate;
use crate::dns::serve::metrics::Metrics;
use crate::dns::serve::policy::Policy;
use crate::dns::serve::rate::Limiter;
use crate::dns::transfer::notify::NotifyTargets;
use crate::dns::transfer::secondaries::Allowed;
use crate::dns::transport::Transport;
use crate::publish::unix_now;
use crate::zone::Zones;
use crate::zone::journal::Bounds;
use crate::zone::name::Name;
use crate::zone::warnings::About;

/// The changeable part of the DNS server.
pub(super) struct Dns {
    zones: Vec<ZoneOf>,
    /// Rights of clients.
    pub(super) front: Arc<Gate>,
    /// Forwarder of questions outside the zones.
    pub(super) forwarder: Arc<Forwarder>,
    /// True if serials are kept, which only a start can change.
    keeps_serials: bool,
    /// The certificates of the encrypted transports.
    pub(super) certificates: Certificates,
    /// Secondaries that are told of changes.
    told: watch::Sender<Vec<NotifyTargets>>,
}

impl Dns {
    /// A server by `config` and its part `dns`, for a server that listens on these addresses.
    ///
    /// # Errors
    /// When something that they name cannot be used.
    pub(super) fn new(
        config: &Config,
        dns: &DnsConfig,
        listening: &[SocketAddr],
        zones: (Vec<ZoneOf>, Zones),
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let ours = ServerAddresses { listening: listening.to_vec(), host: if_everywhere(listening) };
        let forwarder = Forwarder::new(said(dns)?, ours, Arc::clone(metrics));
        let secrets = Arc::new(cookies::random()?);
        let policy = Policy {
            rate: Limiter::new(&dns.rate, cookies::bytes()?).map(Arc::new),
            ..Policy::of(dns, config.keys.clone(), allowed(config, dns), secrets, &host())
        };
        let (zones, readers) = zones;
        let front = Arc::new(Gate::new(readers, policy));
        let told = watch::Sender::new(told(config, &zones));
        let keeps_serials = config.serial_file().is_some();
        let certificates = Certificates::new(files(dns));
        let server = Self { zones, front, forwarder: Arc::new(forwarder), keeps_serials, certificates, told };
        // The log has it already, as a warning of the configuration.
        let _ = server.warn_of_serials(config);
        Ok(server)
    }

    /// Takes what a configuration says that was read again. All of it or nothing.
    ///
    /// # Errors
    /// When something that it names cannot be used; then everything is as it was.
    pub(super) fn take(&self, config: &Config) -> anyhow::Result<()> {
        // Whether there is DNS at all is decided at the start.
        let Some(dns) = &config.dns else { return Ok(()) };
        let said = said(dns)?;
        let (fresh, key) = (Arc::new(cookies::random()?), cookies::bytes()?);
        let limiter = Limiter::new(&dns.rate, key).map(Arc::new);
        let allowed = allowed(config, dns);
        for zone in &self.zones {
            let mut writer = lock(&zone.writer);
            writer.keep_journal(bounds(&allowed, &zone.origin));
            if let Some(config) = config.zones.iter().find(|config| config.origin == zone.origin) {
                writer.set_live(config.live);
                writer.commit(unix_now());
            }
        }
        for zone in self.warn_of_serials(config) {
            warn!(%zone, "the zone may be transferred and its serials are not kept: set `serial_file` or `cache_file`");
        }
        self.forwarder.change(said);
        self.certificates.change(files(dns));
        self.front.change_policy(|policy| changed(policy, config, dns, (&allowed, &fresh, limiter.as_ref())));
        self.told.send_replace(told(config, &self.zones));
        Ok(())
    }

    /// Warns of zones that may be transferred and whose serials a restart may take back, in status, page and metrics.
    /// Returns those of which that is news.
    fn warn_of_serials(&self, config: &Config) -> Vec<Name> {
        if self.keeps_serials {
            return Vec::new();
        }
        let unkept = config.unkept_serials();
        let news = self.zones.iter().filter(|zone| {
            let is_unkept = unkept.contains(&&zone.origin);
            let warning = is_unkept.then(|| {
                "serials are not kept, so that a restart may take them back and secondaries then stay behind: set \
                 `serial_file` or `cache_file`"
                    .to_owned()
            });
            lock(&zone.writer).zone().warnings().set(About::Serials, warning) && is_unkept
        });
        news.map(|zone| zone.origin.clone()).collect()
    }

    /// Secondaries that are told of changes, now and whenever that changes.
    pub(super) fn told(&self) -> watch::Receiver<Vec<NotifyTargets>> {
        self.told.subscribe()
    }
}

/// Changes a policy. What is counted and what was given out stays good where nothing else is said: a random cookie
/// secret, and a limiter with what it knows of networks.
fn changed(
    policy: &Policy,
    config: &Config,
    dns: &DnsConfig,
    (allowed, fresh, limiter): (&Allowed, &Arc<Secrets>, Option<&Arc<Limiter>>),
) -> Policy {
    let secrets = if policy.is_random { &policy.secrets } else { fresh };
    let rate = match &policy.rate {
        Some(known) if *known.config() == dns.rate => Some(known),
        _ => limiter,
    };
    let new = Policy::of(dns, config.keys.clone(), allowed.clone(), Arc::clone(secrets), &host());
    Policy { rate: rate.cloned(), ..new }
}

/// The files of the certificates of encrypted transports.
fn files(dns: &DnsConfig) -> impl Iterator<Item = (Transport, &Files)> {
    dns.encrypted().map(|(transport, tls)| (transport, &tls.files))
}

/// The name of this host, as `hostname` prints it.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn said(dns: &DnsConfig) -> Result<CheckedSettings, crate::dns::Error> {
    CheckedSettings::new(dns.forward.clone(), &dns.forward_ca, dns.forward_limits)
}

/// Clients that may transfer each zone.
pub(super) fn allowed(config: &Config, dns: &DnsConfig) -> Allowed {
    Allowed::new(dns.allow_transfer.clone(), &config.secondaries)
}

/// Bounds of the past that the zone at `origin` keeps: differences are for those who transfer.
fn bounds(allowed: &Allowed, origin: &Name) -> Bounds {
    if allowed.is_nobody(origin) { Bounds::NONE } else { Bounds::SECONDARIES }
}

/// The same by `config`, with which nobody transfers where there is no DNS.
pub(super) fn journal(config: &Config, origin: &Name) -> Bounds {
    config.dns.as_ref().map_or(Bounds::NONE, |dns| bounds(&allowed(config, dns), origin))
}

fn told(config: &Config, zones: &[ZoneOf]) -> Vec<NotifyTargets> {
    let told = config.secondaries.iter().filter_map(|(origin, secondaries)| {
        let zone = zones.iter().find(|zone| zone.origin == *origin)?;
        Some((Arc::clone(lock(&zone.writer).zone()), secondaries.notify.clone()))
    });
    told.collect()
}
