//! What is not as it should be, as a list of sentences: what `zonekeeper status` ends with and takes its exit code
//! from.
//!
//! Doubtful znodes, drains, roots that are gone after they were there, and what waits for a restart are not among it:
//! they are served, wanted, or known.

use super::kept_files;
use super::snapshot::{AnnouncerSnapshot, RegistrySnapshot, Snapshot, ZoneSnapshot};
use crate::announce::{Hold, RegistrationState};
use crate::registry::status::Phase;
use crate::zone::Freshness;

/// All of it, the worst first.
pub(super) fn all(snapshot: &Snapshot) -> Vec<String> {
    gather(snapshot, true)
}

/// The same without lost znodes and clashing names, for those that list these one by one.
pub(super) fn but_znodes(snapshot: &Snapshot) -> Vec<String> {
    gather(snapshot, false)
}

fn gather(snapshot: &Snapshot, has_znodes: bool) -> Vec<String> {
    let mut wrong: Vec<String> = snapshot.zones.iter().flat_map(zone).collect();
    for one in &snapshot.registries {
        wrong.extend(registry(one));
        if has_znodes {
            wrong.extend(of_znodes(one));
        }
    }
    wrong.extend(configuration(snapshot));
    wrong.extend(snapshot.announcers.iter().flat_map(announcer));
    let silent = snapshot.upstreams.iter().filter(|one| !one.is_up);
    wrong.extend(kept_files::wrong(&snapshot.files));
    wrong.extend(silent.map(|one| format!("the name server {} does not answer forwarded questions", one.upstream)));
    wrong
}

fn zone(zone: &ZoneSnapshot) -> Vec<String> {
    let ZoneSnapshot { origin, freshness, sources, file, .. } = zone;
    let mut wrong = Vec::new();
    match freshness {
        Freshness::Fresh => {}
        Freshness::Stale => wrong.push(format!("zone {origin}: answers may be out of date")),
        Freshness::Loading => wrong.push(format!("zone {origin}: SERVFAIL, nothing is known of its registry yet")),
        Freshness::Expired => wrong.push(format!("zone {origin}: SERVFAIL, its registry was not seen for max_stale")),
    }
    if matches!(freshness, Freshness::Fresh | Freshness::Stale) {
        let unserved = sources.iter().filter(|(_, one)| matches!(one, Freshness::Loading | Freshness::Expired));
        let names: Vec<&str> = unserved.map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            wrong.push(format!("zone {origin}: SERVFAIL for names that only {} may have", names.join(", ")));
        }
    }
    if let Some((file, problem)) = file.as_ref().and_then(|file| Some((file, file.problems.first()?))) {
        wrong.push(format!("zone file {} is not taken ({} problems): {problem}", file.path, file.problems_total));
    }
    wrong
}

fn registry(registry: &RegistrySnapshot) -> Vec<String> {
    let RegistrySnapshot { name, report, .. } = registry;
    let mut wrong = Vec::new();
    match &report.trouble {
        Some(_) if report.is_only_gone => {}
        Some(trouble) => wrong.push(format!("registry {name}: {trouble}")),
        None if report.phase != Phase::Live => wrong.push(format!("registry {name}: {}", report.phase.as_str())),
        None => {}
    }
    if let Some(trouble) = report.cache.as_ref().and_then(|cache| cache.trouble.as_ref()) {
        wrong.push(format!("registry {name}: the cache file cannot be saved: {trouble}"));
    }
    wrong
}

fn of_znodes(registry: &RegistrySnapshot) -> Vec<String> {
    let RegistrySnapshot { name, lost, clashes, .. } = registry;
    let mut wrong = Vec::new();
    if let Some(first) = lost.1.first() {
        wrong.push(format!("registry {name}: {} lost, such as {}: {}", znodes(lost.0), first.path, first.reason));
    }
    if let Some(first) = clashes.1.first() {
        wrong.push(format!("registry {name}: {} clashing names: {}", clashes.0, first.reason));
    }
    wrong
}

/// `1 znode`, `2 znodes`.
pub(super) fn znodes(count: usize) -> String {
    format!("{count} {}", if count == 1 { "znode" } else { "znodes" })
}

fn configuration(snapshot: &Snapshot) -> Vec<String> {
    let Some((configuration, failed)) = &snapshot.configuration else { return Vec::new() };
    let rejected = configuration.rejected.as_ref().map(|(_, problems)| {
        format!(
            "the configuration is not taken, the one before is in force: {}",
            problems.lines().next().unwrap_or_default()
        )
    });
    let failed = failed.as_ref().map(|why| format!("the last restart failed: {why}"));
    rejected.into_iter().chain(failed).collect()
}

fn announcer(announcer: &AnnouncerSnapshot) -> Vec<String> {
    let AnnouncerSnapshot { registry, session, registrations, services, .. } = announcer;
    let mut wrong = Vec::new();
    if !services.is_empty() && !session.is_some_and(|session| session.connected) {
        wrong.push(format!("registry {registry}: not connected to register this host's services"));
    }
    for (one, _) in registrations {
        if matches!(
            one.state,
            RegistrationState::Registered | RegistrationState::Removed | RegistrationState::Held(Hold::ReadOnly)
        ) {
            continue;
        }
        let reason = one.state.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        wrong.push(format!("{} is {}{reason}", one.path, one.state.as_str()));
    }
    for service in services.iter().filter(|service| !registrations.iter().any(|(one, _)| one.service == **service)) {
        wrong.push(format!("the service {service} is not registered: this host has no address for it"));
    }
    wrong
}
