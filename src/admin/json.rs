//! The status as JSON: a structure for each answer, made from plain data. Fields are only ever added.
//!
//! Durations are seconds in fractions to the millisecond, keys end in `_s`; sessions are hexadecimal text, as
//! ZooKeeper's own tools write them (64 bits do not fit a JSON number everywhere).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::control::Configuration;
use super::kept_files::FileJson;
use super::shapes::{Drain, MalformedJson, ReaderJson, rounded};
use super::snapshot::{self, Snapshot};
use super::wrong;
use crate::announce;
use crate::dns::forward;
use crate::publish::{collisions, guard};
use crate::registry::cache;
use crate::registry::status::Counters;

/// The answer of `/v1/status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusJson<'a> {
    version: &'static str,
    uptime_s: f64,
    ready: bool,
    /// Complaints, a sentence each; empty where all is well.
    wrong: Vec<String>,
    config: Option<ConfigJson<'a>>,
    registries: Vec<RegistryJson<'a>>,
    zones: Vec<ZoneJson<'a>>,
    /// Answered over the last ten seconds; none without DNS.
    queries_per_s: Option<f64>,
    announcers: Vec<AnnouncerJson<'a>>,
    registrations: Vec<RegistrationJson<'a>>,
    /// Addresses of this host at which services are not registered.
    not_registered: Vec<Refused<'a>>,
    checks: Vec<CheckJson<'a>>,
    upstreams: Vec<Upstream<'a>>,
    files: Vec<FileJson<'a>>,
}

/// The configuration.
#[derive(Debug, Serialize)]
struct ConfigJson<'a> {
    /// Unix time.
    taken_at: f64,
    rejected: Option<Rejected<'a>>,
    /// Tables and keys that wait for a restart.
    restart_pending: &'a [String],
    /// Reason for which the last restart failed.
    restart_failed: Option<&'a str>,
}

/// A configuration that is not taken.
#[derive(Debug, Serialize)]
struct Rejected<'a> {
    /// Unix time.
    since: f64,
    problems: &'a str,
}

impl<'a> ConfigJson<'a> {
    fn new((configuration, failed): &'a (Configuration, Option<String>)) -> Self {
        let unix = |at: SystemTime| rounded(at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let rejected = configuration.rejected.as_ref();
        Self {
            taken_at: unix(configuration.taken_at),
            rejected: rejected.map(|(since, problems)| Rejected { since: unix(*since), problems }),
            restart_pending: &configuration.pending,
            restart_failed: failed.as_deref(),
        }
    }
}

/// A name server that names outside the zones are forwarded to.
#[derive(Debug, Serialize)]
struct Upstream<'a> {
    address: &'a str,
    up: bool,
    answers: u64,
    failures: u64,
}

#[derive(Debug, Serialize)]
struct RegistryJson<'a> {
    name: &'a str,
    /// One of several readers of the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    reader: Option<&'a str>,
    ensemble: &'a str,
    phase: &'static str,
    since_s: f64,
    session: Option<String>,
    synced: bool,
    stale: bool,
    age_s: Option<f64>,
    trouble: Option<&'a str>,
    zones: &'a [String],
    counters: Counted,
    znodes: usize,
    bytes: usize,
    services: Option<usize>,
    /// Instances that are served, and that are not: drained, down or lost.
    instances_in: Option<u64>,
    instances_out: Option<u64>,
    /// Age of the registry's last change of an answer.
    last_change_s: Option<f64>,
    malformed_total: usize,
    malformed: Vec<MalformedJson<'a>>,
    clashes_total: usize,
    clashes: Vec<Clash<'a>>,
    /// Znodes that are not served.
    lost_total: usize,
    lost: Vec<MalformedJson<'a>>,
    /// Znodes that are served with a default, or with what they said before.
    doubtful_total: usize,
    doubtful: Vec<MalformedJson<'a>>,
    cache_file: Option<CacheFile<'a>>,
    guard: Option<GuardJson<'a>>,
    drains_total: usize,
    drains: Vec<Drained<'a>>,
}

/// A name that services do not have to themselves.
#[derive(Debug, Serialize)]
struct Clash<'a> {
    zone: &'a str,
    name: &'a str,
    paths: &'a [String],
    reason: &'a str,
}

impl<'a> Clash<'a> {
    fn new(collisions::Clash { zone, name, paths, reason, .. }: &'a collisions::Clash) -> Self {
        Self { zone, name, paths, reason }
    }
}

/// Instances that an operator has taken out of the answers.
#[derive(Debug, Serialize)]
struct Drained<'a> {
    service: &'a str,
    #[serde(flatten)]
    drain: Drain<'a>,
}

/// Losses that the guard holds back.
#[derive(Debug, Serialize)]
struct GuardJson<'a> {
    services_total: usize,
    instances: u64,
    /// Time at which all is shown as it is.
    lets_through_in_s: Option<f64>,
    trips: u64,
    /// The first of the services.
    services: Vec<&'a String>,
}

/// This many of the services that the guard holds back are told by name.
const HELD_SHOWN: usize = 100;

impl<'a> GuardJson<'a> {
    fn new((report, left): &'a (guard::GuardReport, Duration)) -> Self {
        Self {
            services_total: report.held.len(),
            instances: report.instances,
            lets_through_in_s: report.until.map(|_| rounded(*left)),
            trips: report.trips,
            services: report.held.keys().take(HELD_SHOWN).collect(),
        }
    }
}

/// State of the cache file.
#[derive(Debug, Serialize)]
struct CacheFile<'a> {
    /// Unix time at which what it holds was true.
    saved_at: Option<f64>,
    /// True if something was published that it does not have yet.
    behind: bool,
    bytes: u64,
    saves: u64,
    failures: u64,
    trouble: Option<&'a str>,
}

impl<'a> CacheFile<'a> {
    fn new(report: &'a cache::CacheReport) -> Self {
        Self {
            saved_at: report.saved_at.map(|at| rounded(at.duration_since(UNIX_EPOCH).unwrap_or_default())),
            behind: report.behind,
            bytes: report.bytes,
            saves: report.saves,
            failures: report.failures,
            trouble: report.trouble.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Counted {
    sessions: u64,
    failed_connects: u64,
    epochs: u64,
    syncs: u64,
    events: u64,
    reads: u64,
    torn: u64,
    missed: u64,
    rights: u64,
}

#[derive(Debug, Serialize)]
struct ZoneJson<'a> {
    origin: &'a str,
    serial: u32,
    names: usize,
    freshness: &'static str,
    /// Freshness of each reader's data, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    readers: Option<BTreeMap<&'a str, &'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<ZoneFileJson<'a>>,
    /// A sentence each.
    warnings: &'a [String],
}

/// A zone's master file: since when the version in force is, and why the present one is not.
#[derive(Debug, Serialize)]
struct ZoneFileJson<'a> {
    path: &'a str,
    age_s: Option<f64>,
    problems_total: usize,
    problems: &'a [String],
}

/// The session that a registry's registrations live by.
#[derive(Debug, Serialize)]
struct AnnouncerJson<'a> {
    #[serde(flatten)]
    registry: ReaderJson<'a>,
    session: Option<String>,
    connected: bool,
    timeout_s: Option<f64>,
    /// Reason for which there was no session last, and its age.
    last_error: Option<&'a str>,
    last_error_s: Option<f64>,
}

/// An address at which a service is not registered.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    #[serde(flatten)]
    registry: ReaderJson<'a>,
    service: &'a str,
    address: IpAddr,
    interface: &'a str,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct RegistrationJson<'a> {
    #[serde(flatten)]
    registry: ReaderJson<'a>,
    service: &'a str,
    endpoint: String,
    path: &'a str,
    state: &'static str,
    reason: Option<String>,
    since_s: f64,
    owner: Option<String>,
    registrations: u64,
    takeovers: u64,
    restorations: u64,
    /// Last failure, over or not, and its age.
    last_error: Option<&'a str>,
    last_error_s: Option<f64>,
}

/// A check of a service.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // the names are the JSON's
struct CheckJson<'a> {
    #[serde(flatten)]
    registry: ReaderJson<'a>,
    service: &'a str,
    check: &'a str,
    state: &'static str,
    flapping: bool,
    since_s: f64,
    output: Option<&'a str>,
    /// Unix time.
    output_at: Option<f64>,
    passed: u64,
    failed: u64,
    transitions: u64,
    /// By how much probes have begun late at most, or the next one is late already.
    latest_s: f64,
    /// Such as `1 of 3 failures`.
    progress: Option<String>,
    /// Reason for which there is no result since `output`.
    no_result: Option<&'a str>,
    no_results: BTreeMap<&'static str, u64>,
}

impl<'a> CheckJson<'a> {
    fn all(announcer: &'a snapshot::AnnouncerSnapshot) -> impl Iterator<Item = Self> {
        announcer.checks.iter().map(|(check, standing)| Self {
            registry: ReaderJson::new(&announcer.registry),
            service: &check.service,
            check: &check.check,
            state: check.state.as_str(),
            flapping: check.is_flapping,
            since_s: rounded(*standing),
            output: check.last.as_ref().map(|last| match &last.found {
                Ok(said) | Err(said) => said.as_str(),
            }),
            output_at: check.last.as_ref().map(|last| rounded(last.at.duration_since(UNIX_EPOCH).unwrap_or_default())),
            passed: check.passed,
            failed: check.failed,
            transitions: check.transitions,
            latest_s: rounded(check.latest),
            progress: check.progress.map(|progress| progress.to_string()),
            no_result: check.missed.as_ref().map(|missed| missed.reason.as_str()),
            no_results: check.no_results.iter().map(|(shortage, count)| (shortage.as_str(), *count)).collect(),
        })
    }
}

impl<'a> StatusJson<'a> {
    /// Status as `snapshot` has it.
    pub(super) fn new(snapshot: &'a Snapshot, ready: bool) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: rounded(snapshot.uptime),
            ready,
            wrong: wrong::all(snapshot),
            config: snapshot.configuration.as_ref().map(ConfigJson::new),
            registries: snapshot.registries.iter().map(RegistryJson::new).collect(),
            zones: snapshot.zones.iter().map(ZoneJson::new).collect(),
            queries_per_s: snapshot.queries.map(|rate| (rate * 10.0).round() / 10.0),
            announcers: snapshot.announcers.iter().map(AnnouncerJson::new).collect(),
            registrations: snapshot.announcers.iter().flat_map(RegistrationJson::all).collect(),
            not_registered: snapshot.announcers.iter().flat_map(Refused::all).collect(),
            checks: snapshot.announcers.iter().flat_map(CheckJson::all).collect(),
            upstreams: snapshot.upstreams.iter().map(Upstream::new).collect(),
            files: snapshot.files.iter().map(FileJson::new).collect(),
        }
    }
}

impl<'a> Upstream<'a> {
    fn new(report: &'a forward::UpstreamReport) -> Self {
        let forward::UpstreamReport { upstream, is_up, answers, failures, .. } = report;
        Self { address: upstream, up: *is_up, answers: *answers, failures: *failures }
    }
}

impl<'a> RegistryJson<'a> {
    fn new(registry: &'a snapshot::RegistrySnapshot) -> Self {
        let report = &registry.report;
        let Counters { sessions, failed_connects, epochs, syncs, events, reads, torn, missed, rights, .. } =
            report.counters;
        Self {
            name: &registry.name.registry,
            reader: registry.name.reader.as_deref(),
            ensemble: &report.ensemble,
            phase: report.phase.as_str(),
            since_s: rounded(registry.in_phase),
            session: report.session.map(hexadecimal),
            synced: registry.synced,
            stale: registry.is_stale(),
            age_s: registry.age.map(rounded),
            trouble: report.trouble.as_deref(),
            zones: &registry.zones,
            counters: Counted { sessions, failed_connects, epochs, syncs, events, reads, torn, missed, rights },
            znodes: report.znodes,
            bytes: report.bytes,
            services: registry.census.map(|(census, _)| census.services),
            instances_in: registry.census.map(|(census, _)| census.serving),
            instances_out: registry.census.map(|(census, _)| census.out),
            last_change_s: registry.census.and_then(|(_, changed)| changed).map(rounded),
            malformed_total: registry.malformed_total,
            malformed: registry.malformed.iter().map(MalformedJson::new).collect(),
            clashes_total: registry.clashes.0,
            clashes: registry.clashes.1.iter().map(Clash::new).collect(),
            lost_total: registry.lost.0,
            lost: registry.lost.1.iter().map(MalformedJson::new).collect(),
            doubtful_total: registry.doubtful.0,
            doubtful: registry.doubtful.1.iter().map(MalformedJson::new).collect(),
            cache_file: report.cache.as_ref().map(CacheFile::new),
            guard: registry.guard.as_ref().map(GuardJson::new),
            drains_total: registry.drains.0,
            drains: registry
                .drains
                .1
                .iter()
                .map(|(service, drain)| Drained { service, drain: Drain::new(drain) })
                .collect(),
        }
    }
}

impl<'a> ZoneJson<'a> {
    fn new(zone: &'a snapshot::ZoneSnapshot) -> Self {
        let snapshot::ZoneSnapshot { origin, serial, names, freshness, sources, file, warnings, .. } = zone;
        let readers = sources.iter().map(|(name, freshness)| (name.as_str(), freshness.as_str()));
        let readers = (sources.len() > 1).then(|| readers.collect());
        let file = file.as_ref().map(|snapshot::ZoneFileSnapshot { path, age, problems, problems_total }| {
            ZoneFileJson { path, age_s: age.map(rounded), problems_total: *problems_total, problems }
        });
        Self { origin, serial: *serial, names: *names, freshness: freshness.as_str(), readers, file, warnings }
    }
}

impl<'a> AnnouncerJson<'a> {
    fn new(announcer: &'a snapshot::AnnouncerSnapshot) -> Self {
        let session = announcer.session;
        Self {
            registry: ReaderJson::new(&announcer.registry),
            session: session.map(|session| hexadecimal(session.id)),
            connected: session.is_some_and(|session| session.connected),
            timeout_s: session.map(|session| rounded(session.timeout)),
            last_error: announcer.last_error.as_ref().map(|(reason, _)| &**reason),
            last_error_s: announcer.last_error.as_ref().map(|(_, ago)| rounded(*ago)),
        }
    }
}

impl<'a> Refused<'a> {
    fn all(announcer: &'a snapshot::AnnouncerSnapshot) -> impl Iterator<Item = Self> {
        announcer.refused.iter().map(|announce::RefusedAddress { service, address, interface, reason }| Self {
            registry: ReaderJson::new(&announcer.registry),
            service,
            address: *address,
            interface,
            reason,
        })
    }
}

impl<'a> RegistrationJson<'a> {
    fn all(announcer: &'a snapshot::AnnouncerSnapshot) -> impl Iterator<Item = Self> {
        announcer.registrations.iter().map(|(registration, standing)| {
            let announce::Counts { registrations, takeovers, restorations } = registration.counts;
            Self {
                registry: ReaderJson::new(&announcer.registry),
                service: &registration.service,
                endpoint: registration.endpoint.to_string(),
                path: registration.path.as_str(),
                state: registration.state.as_str(),
                reason: registration.state.reason(),
                since_s: rounded(*standing),
                owner: registration.owner.map(hexadecimal),
                registrations,
                takeovers,
                restorations,
                last_error: registration.last_error.as_ref().map(|error| &*error.reason),
                last_error_s: registration
                    .last_error
                    .as_ref()
                    .map(|error| rounded(ago(error.at, registration, *standing))),
            }
        })
    }
}

/// Age of something that happened to a registration, which stands as it does for `standing`.
pub(super) fn ago(at: Instant, registration: &announce::Registration, standing: Duration) -> Duration {
    // As of the moment at which the snapshot was taken.
    (registration.since + standing).saturating_duration_since(at)
}

fn hexadecimal(session: i64) -> String {
    format!("{session:#x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::sample;

    fn text(answer: &impl Serialize) -> String {
        serde_json::to_string_pretty(answer).unwrap()
    }

    #[test]
    fn the_status_shows_every_registry_and_zone() {
        let expected = include_str!("testdata/status.json").replace("$VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(text(&StatusJson::new(&sample(), false)), expected.trim_end());
    }
}
