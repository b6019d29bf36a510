//! Readiness: whether the names of every zone are answered. Where a whole zone is SERVFAIL, the process is not ready.
//!
//! A process that serves the last known answers while ZooKeeper is away is of more use than one that a load balancer
//! has taken out; all of them would be taken out at once. The same holds for one of several readers of a registry that
//! is in trouble while the others are served: it is named, and the process is ready. `?fresh` is the stricter question.

use std::time::Duration;

use super::query::{BadQuery, parameters};
use super::reply::Refusal;
use super::shapes::rounded;
use super::snapshot::{RegistrySnapshot, Snapshot, ZoneSnapshot};
use crate::registry::status::Phase;
use crate::zone::Freshness;

/// Time for which a start from the cache file waits for the registry itself, and any start for the last of several
/// readers.
const CACHE_WAIT: Duration = Duration::from_secs(5);

/// Subject of a question for readiness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReadyQuestion {
    /// One zone's origin; all zones without.
    zone: Option<String>,
    /// True if stale answers are not enough.
    fresh: bool,
}

impl ReadyQuestion {
    /// Reads `?zone=ORIGIN` and `?fresh`.
    pub(super) fn read(query: Option<&str>) -> Result<Self, BadQuery> {
        let [zone, fresh] = parameters(query, ["zone", "fresh"], "`zone` and `fresh`")?;
        let fresh = fresh.is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no"));
        Ok(Self { zone: zone.map(|zone| format!("{}.", zone.to_ascii_lowercase().trim_end_matches('.'))), fresh })
    }
}

/// Returns whether everything that is asked about is ready.
pub(super) fn is_ready(snapshot: &Snapshot) -> bool {
    snapshot.zones.iter().all(|zone| reason(snapshot, zone, false).is_none())
}

/// A line for each zone that is not ready; none where all are.
///
/// # Errors
/// 404 for a zone that is not here.
pub(super) fn waiting(snapshot: &Snapshot, asked: &ReadyQuestion) -> Result<String, Refusal> {
    let is_meant = |zone: &&ZoneSnapshot| asked.zone.as_ref().is_none_or(|origin| *origin == zone.origin);
    let zones: Vec<&ZoneSnapshot> = snapshot.zones.iter().filter(is_meant).collect();
    match &asked.zone {
        Some(origin) if zones.is_empty() => Err(Refusal::not_found(format!("there is no zone {origin} here"))),
        _ => {
            let line =
                |zone: &&ZoneSnapshot| Some(format!("{}: {}\n", zone.origin, reason(snapshot, zone, asked.fresh)?));
            Ok(zones.iter().filter_map(line).collect())
        }
    }
}

/// Readers that are not served, while the zone is, for a person: a line each.
pub(super) fn unserved(snapshot: &Snapshot, asked: &ReadyQuestion) -> String {
    let is_meant = |zone: &&ZoneSnapshot| asked.zone.as_ref().is_none_or(|origin| *origin == zone.origin);
    let lines = snapshot.zones.iter().filter(is_meant).flat_map(|zone| {
        let missing = readers(snapshot, zone).into_iter().filter(|(_, freshness)| !is_served(*freshness));
        missing.map(|(reader, _)| {
            format!("{}: names that no other reader has are SERVFAIL{}\n", zone.origin, standing(reader))
        })
    });
    lines.collect()
}

fn is_served(freshness: Freshness) -> bool {
    matches!(freshness, Freshness::Fresh | Freshness::Stale)
}

/// The readers that fill a zone, each with the freshness of its data there.
fn readers<'s>(snapshot: &'s Snapshot, zone: &ZoneSnapshot) -> Vec<(&'s RegistrySnapshot, Freshness)> {
    let of_zone = snapshot.registries.iter().filter(|registry| registry.zones.contains(&zone.origin));
    let with_freshness = of_zone.map(|registry| {
        let name = registry.name.to_string();
        let own = zone.sources.iter().find(|(of, _)| *of == name);
        (registry, own.map_or(zone.freshness, |(_, freshness)| *freshness))
    });
    with_freshness.collect()
}

/// Returns what keeps a zone from being ready.
fn reason(snapshot: &Snapshot, zone: &ZoneSnapshot, fresh: bool) -> Option<String> {
    let readers = readers(snapshot, zone);
    let told = |is_meant: &dyn Fn(Freshness) -> bool| {
        let meant = readers.iter().filter(|(_, freshness)| is_meant(*freshness));
        meant.map(|(reader, _)| standing(reader)).collect::<String>()
    };
    let is_early = snapshot.uptime < CACHE_WAIT;
    match zone.freshness {
        Freshness::Loading | Freshness::Expired => Some(format!("SERVFAIL{}", told(&|one| !is_served(one)))),
        Freshness::Stale if fresh => {
            Some(format!("stale{}", told(&|one| readers.len() == 1 || one != Freshness::Fresh)))
        }
        Freshness::Fresh | Freshness::Stale => {
            if (fresh || is_early) && readers.iter().any(|(_, one)| !is_served(*one)) {
                let told = told(&|one| !is_served(one));
                return Some(format!("names that no other reader has are SERVFAIL{told}"));
            }
            let cached =
                readers.iter().filter(|(reader, _)| reader.report.counters.syncs == 0).map(|(one, _)| standing(one));
            let cached: String = cached.collect();
            (!cached.is_empty() && is_early).then(|| format!("answered from the cache file so far{cached}"))
        }
    }
}

/// State of a registry, behind a colon.
fn standing(RegistrySnapshot { name, report, in_phase, .. }: &RegistrySnapshot) -> String {
    let (phase, ensemble, since) = (report.phase.as_str(), &report.ensemble, rounded(*in_phase));
    let trouble = report.trouble.as_deref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    match report.phase {
        Phase::Live => format!(": registry {name} ({ensemble}){trouble}"),
        _ if report.counters.syncs == 0 => {
            format!(": registry {name} not read yet, {phase} for {since} s ({ensemble}){trouble}")
        }
        _ => format!(": registry {name} {phase} for {since} s ({ensemble}){trouble}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::sample;

    fn lines(snapshot: &Snapshot, query: &str) -> String {
        waiting(snapshot, &ReadyQuestion::read(Some(query)).unwrap()).unwrap_or_else(|_| "404".into())
    }

    #[test]
    fn without_zones_there_is_nothing_to_wait_for() {
        let mut snapshot = sample();
        snapshot.zones.clear();
        assert!(is_ready(&snapshot));
    }

    #[test]
    fn a_zone_that_is_servfail_as_a_whole_is_named_with_the_reason() {
        let mut snapshot = sample();
        assert!(!is_ready(&snapshot));
        let far = "far.: SERVFAIL: registry far not read yet, offline for 1.5 s (zk9:2181): no server of the ensemble \
                   answered in time\n";
        assert_eq!(lines(&snapshot, ""), far);
        assert_eq!(lines(&snapshot, "zone=FAR"), far);
        assert_eq!(lines(&snapshot, "zone=service."), "");
        assert_eq!(lines(&snapshot, "zone=other."), "404");
        snapshot.zones[1].freshness = Freshness::Stale;
        snapshot.registries[1].report.counters.syncs = 1;
        assert!(is_ready(&snapshot), "the last answers are answers");
        assert!(lines(&snapshot, "fresh").starts_with("far.: stale: registry far offline"));
        snapshot.zones[1].freshness = Freshness::Expired;
        assert!(!is_ready(&snapshot), "max_stale has passed");
    }

    #[test]
    fn a_start_from_the_cache_file_waits_five_seconds_for_the_registry() {
        let mut snapshot = sample();
        snapshot.zones[1].freshness = Freshness::Stale;
        snapshot.uptime = CACHE_WAIT / 2;
        assert!(
            lines(&snapshot, "").starts_with("far.: answered from the cache file so far: registry far not read yet")
        );
        snapshot.uptime = CACHE_WAIT;
        assert!(is_ready(&snapshot));
    }
}
