//! What is true at one moment, as plain data. Everything that is shown, but for the services themselves, is rendered
//! from it.

use std::time::{Duration, Instant};

use super::control::{Configuration, Control};
use super::sources::Sources;
use crate::announce::{CheckStatus, RefusedAddress, Registration, SessionStatus};
use crate::dns::forward;
use crate::instance_files::config::FileConfig;
use crate::instance_files::{FileReport, InstanceFiles};
use crate::model::{Drain, Harm, Malformed};
use crate::publish::collisions::Clash;
use crate::publish::{census, guard};
use crate::registry::ReaderName;
use crate::registry::status::MirrorReport;
use crate::registry::status::Phase;
use crate::zone::warnings::Large;
use crate::zone::{Freshness, file};

/// Malformed nodes shown; the others are only counted.
pub(super) const MALFORMED_SHOWN: usize = 1_000;

/// Drains shown; the others are only counted.
const DRAINS_SHOWN: usize = 1_000;

/// Clashing names shown; the others are only counted.
const CLASHES_SHOWN: usize = 1_000;

/// Problems of a zone's file that are shown; the others are only counted.
const PROBLEMS_SHOWN: usize = 20;

/// One moment of the process.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Time for which it has run.
    pub(super) uptime: Duration,
    /// Memory that it occupies, in bytes, where the system says so.
    pub(super) resident: Option<u64>,
    /// The registries, in the order of the config.
    pub(super) registries: Vec<RegistrySnapshot>,
    /// The zones.
    pub(super) zones: Vec<ZoneSnapshot>,
    /// Queries answered a second; none without DNS.
    pub(super) queries: Option<f64>,
    /// The announcers, by registry.
    pub(super) announcers: Vec<AnnouncerSnapshot>,
    /// The configuration, and why the last restart failed; none where the process takes no orders.
    pub(super) configuration: Option<(Configuration, Option<String>)>,
    /// The name servers that names outside the zones are forwarded to.
    pub(super) upstreams: Vec<forward::UpstreamReport>,
    /// The files that are kept equal to services' instances.
    pub(super) files: Vec<(FileConfig, FileReport)>,
}

/// One moment of a registry, or of one of its readers.
#[derive(Debug)]
pub(super) struct RegistrySnapshot {
    /// Its name.
    pub(super) name: ReaderName,
    /// The mirror's own report; its instants are told as durations below.
    pub(super) report: MirrorReport,
    /// Time for which the mirror has been in its phase.
    pub(super) in_phase: Duration,
    /// Age of the last moment at which the view was known to be exact; `None` before it was.
    pub(super) age: Option<Duration>,
    /// Origins of the zones that are filled from it.
    pub(super) zones: Vec<String>,
    /// True if it was read completely once, and its zones filled.
    pub(super) synced: bool,
    /// Losses that the guard holds back, and for how long still; `None` without a guard.
    pub(super) guard: Option<(guard::GuardReport, Duration)>,
    /// How many services and instances are shown, and how long ago that changed answers last; none where no zone shows
    /// it.
    pub(super) census: Option<(census::CensusReport, Option<Duration>)>,
    /// Number of drains that hold, and the first [`DRAINS_SHOWN`], by service.
    pub(super) drains: (usize, Vec<(String, Drain)>),
    /// Number of names its services do not have to themselves, and the first [`CLASHES_SHOWN`].
    pub(super) clashes: (usize, Vec<Clash>),
    /// The first [`MALFORMED_SHOWN`] malformed nodes.
    pub(super) malformed: Vec<Malformed>,
    /// Number of all.
    pub(super) malformed_total: usize,
    /// Number of znodes that are not served, and the first [`MALFORMED_SHOWN`] reasons.
    pub(super) lost: (usize, Vec<Malformed>),
    /// How many znodes are served with a default or with what they said before, and the first [`MALFORMED_SHOWN`]
    /// reasons.
    pub(super) doubtful: (usize, Vec<Malformed>),
}

/// One moment of a zone.
#[derive(Debug)]
pub(super) struct ZoneSnapshot {
    /// Its origin, with the final dot.
    pub(super) origin: String,
    /// Its serial.
    pub(super) serial: u32,
    /// Names in it, empty non-terminals included.
    pub(super) names: usize,
    /// Freshness of its data.
    pub(super) freshness: Freshness,
    /// Freshness of the data of each reader that fills it, by the reader's name.
    pub(super) sources: Vec<(String, Freshness)>,
    /// Its master file, if it has one.
    pub(super) file: Option<ZoneFileSnapshot>,
    /// Warnings for those who run it, a sentence each.
    pub(super) warnings: Vec<String>,
    /// Number of its RRsets that are larger than others carry.
    pub(super) large: Large,
}

/// One moment of a zone's master file.
#[derive(Debug)]
pub(super) struct ZoneFileSnapshot {
    /// Path of the file.
    pub(super) path: String,
    /// Age of the reading that is in force.
    pub(super) age: Option<Duration>,
    /// The first [`PROBLEMS_SHOWN`] problems of a version that was not taken; none when the present one is in force.
    pub(super) problems: Vec<String>,
    /// Number of all.
    pub(super) problems_total: usize,
}

/// One moment of what is announced into a registry.
#[derive(Debug)]
pub(super) struct AnnouncerSnapshot {
    /// The reader's name.
    pub(super) registry: ReaderName,
    /// The session that the registrations live by.
    pub(super) session: Option<SessionStatus>,
    /// Each registration, and for how long it has stood as it does.
    pub(super) registrations: Vec<(Registration, Duration)>,
    /// Each check, and for how long its state has been what it is.
    pub(super) checks: Vec<(CheckStatus, Duration)>,
    /// The paths of all services that are configured here.
    pub(super) services: Vec<String>,
    /// Addresses of this host at which they are not registered.
    pub(super) refused: Vec<RefusedAddress>,
    /// Reason for which there was no session last, and its age.
    pub(super) last_error: Option<(String, Duration)>,
}

impl Snapshot {
    /// Takes what `sources` say at `now`.
    pub(super) fn take(sources: &Sources, started: Instant, now: Instant) -> Self {
        let registries = sources.registries.iter().map(|source| {
            let mut report = source.status.report();
            let of_drains = source.drains.as_ref().and_then(|drains| drains.report().trouble);
            // While ZooKeeper is away, both say so.
            if let Some(trouble) = of_drains.filter(|_| report.trouble.is_none() || report.is_only_gone) {
                let own = report.trouble.take().map(|own| format!("{own}; ")).unwrap_or_default();
                (report.trouble, report.is_only_gone) = (Some(format!("{own}drains: {trouble}")), false);
            }
            // A report says "live" only after that epoch was published; a zone says so itself.
            let filled = source.zones.iter().all(|zone| zone.freshness() != Freshness::Loading);
            RegistrySnapshot {
                name: source.name.clone(),
                in_phase: now.saturating_duration_since(report.since),
                age: report.fresh_at.map(|at| now.saturating_duration_since(at)),
                zones: source.zones.iter().map(|zone| zone.origin().to_string()).collect(),
                synced: report.counters.syncs > 0 && filled,
                guard: source.reader.guard().map(|guard| {
                    let left = guard.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
                    (guard, left)
                }),
                census: source
                    .reader
                    .census()
                    .map(|census| (census, census.changed_at.map(|at| now.saturating_duration_since(at)))),
                drains: source.reader.drains().first(DRAINS_SHOWN),
                clashes: source.reader.clashes(CLASHES_SHOWN),
                malformed: source.reader.problems.first(MALFORMED_SHOWN),
                malformed_total: source.reader.problems.count(),
                lost: source.reader.problems.of(Harm::Lost, MALFORMED_SHOWN),
                doubtful: source.reader.problems.of(Harm::Doubtful, MALFORMED_SHOWN),
                report,
            }
        });
        let zones = sources.zones.iter().map(|zone| ZoneSnapshot {
            origin: zone.origin().to_string(),
            serial: zone.serial(),
            names: zone.load().len(),
            // Who asks for what is not fresh wants to know of a part, too.
            freshness: match zone.freshness() {
                Freshness::Fresh if zone.stale().are_there() => Freshness::Stale,
                freshness => freshness,
            },
            sources: zone.sources().into_iter().map(|(name, freshness)| (name.to_string(), freshness)).collect(),
            file: sources.files.iter().find(|(origin, _)| *origin == zone.origin().to_string()).map(|(_, status)| {
                let file::status::ZoneFileReport { path, taken_at, mut problems } = status.report();
                let problems_total = problems.len();
                problems.truncate(PROBLEMS_SHOWN);
                let age = taken_at.map(|at| now.saturating_duration_since(at));
                ZoneFileSnapshot { path: path.display().to_string(), age, problems, problems_total }
            }),
            warnings: zone.warnings().all(),
            large: zone.warnings().large(),
        });
        let announcers = sources.announcements.iter().map(|(registry, status)| AnnouncerSnapshot {
            registry: registry.clone(),
            session: status.session(),
            services: status.services(),
            refused: status.refused(),
            last_error: status.last_error().map(|error| (error.reason, now.saturating_duration_since(error.at))),
            registrations: status
                .registrations()
                .into_iter()
                .map(|one| {
                    let standing = now.saturating_duration_since(one.since);
                    (one, standing)
                })
                .collect(),
            checks: status
                .checks()
                .into_iter()
                .map(|mut one| {
                    one.latest = one.latest(now);
                    let standing = now.saturating_duration_since(one.since);
                    (one, standing)
                })
                .collect(),
        });
        Self {
            uptime: now.saturating_duration_since(started),
            resident: resident(),
            registries: registries.collect(),
            zones: zones.collect(),
            queries: None,
            announcers: announcers.collect(),
            configuration: sources.control.as_ref().map(Control::report),
            files: sources.instance_files.as_ref().map(InstanceFiles::reports).unwrap_or_default(),
            upstreams: sources.forwarder.as_ref().map(|forwarder| forwarder.reports()).unwrap_or_default(),
        }
    }
}

impl RegistrySnapshot {
    /// Returns whether what is served of it may be out of date.
    pub(super) fn is_stale(&self) -> bool {
        self.age.is_some() && self.report.phase != Phase::Live
    }
}

/// Resident memory as Linux tells it.
fn resident() -> Option<u64> {
    resident_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmRSS:     1234 kB` of `/proc/self/status` (proc(5)), in bytes.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(resident_of("VmPeak:\t 9 kB\nVmRSS:\t   1234 kB\nThreads:\t1\n"), Some(1234 * 1024));
        for other in ["", "VmRSS: 12 MB", "VmRSS: kB", "VmRSS: 99999999999999999999 kB"] {
            assert_eq!(resident_of(other), None, "{other}");
        }
    }
}
