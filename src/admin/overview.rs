//! The process on one screen, for `zonekeeper status`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::explain::ServerJson;
use super::snapshot::{RegistrySnapshot, Snapshot, ZoneSnapshot};
use super::{kept_files, registrations, wrong};
use crate::publish::census;
use crate::registry::status::Phase;

/// The last line where nothing is wrong.
const WELL: &str = "all is well\n";

// Writing to a string cannot fail.
/// The screen: it ends in [`WELL`], or in what is wrong, a line each.
pub(super) fn render(snapshot: &Snapshot, server: &ServerJson, ready: bool) -> String {
    let mut text = String::new();
    let ServerJson { host, admin, version, pid } = server;
    let ready = if ready { "answering" } else { "NOT READY" };
    let _ = writeln!(
        text,
        "zonekeeper {version} on {host} (pid {pid}, admin {admin}), up {}, {ready}",
        time(snapshot.uptime)
    );
    if let Some((configuration, _)) = &snapshot.configuration {
        let _ = writeln!(text, "configuration taken {} ago", since(configuration.taken_at));
        if let Some((at, problems)) = &configuration.rejected {
            let _ = writeln!(text, "configuration REJECTED {} ago, the one before is in force:", since(*at));
            for line in problems.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        if !configuration.pending.is_empty() {
            let _ = writeln!(text, "waits for a restart: {}", configuration.pending.join(", "));
        }
    }
    snapshot.registries.iter().for_each(|one| registry(one, &mut text));
    snapshot.zones.iter().for_each(|one| zone(one, &mut text));
    if let Some(queries) = snapshot.queries {
        let _ = writeln!(text, "dns: {queries:.1} queries/s");
    }
    for one in &snapshot.upstreams {
        let _ = writeln!(text, "upstream {}: {}", one.upstream, if one.is_up { "up" } else { "DOWN" });
    }
    kept_files::lines(&snapshot.files, &mut text);
    text.push_str(&registrations::of_this_host(snapshot));
    match &*wrong::all(snapshot) {
        [] => text.push_str(WELL),
        all => {
            text.push_str("wrong:\n");
            for one in all {
                let _ = writeln!(text, "  {one}");
            }
        }
    }
    text
}

fn registry(registry: &RegistrySnapshot, text: &mut String) {
    let RegistrySnapshot { name, report, in_phase, age, census, lost, doubtful, drains, clashes, .. } = registry;
    let phase = report.phase.as_str();
    let _ = write!(text, "registry {name} ({}): {phase} for {}", report.ensemble, time(*in_phase));
    if report.phase != Phase::Live {
        let _ = match age {
            Some(age) => write!(text, ", last exact {} ago", time(*age)),
            None => write!(text, ", never read"),
        };
    }
    if let Some(session) = report.session {
        let _ = write!(text, ", session {session:#x}");
    }
    let _ = write!(text, ", {}", wrong::znodes(report.znodes));
    if let Some((census::CensusReport { services, serving, out, .. }, changed)) = census {
        let _ = write!(text, ", {services} services, instances {serving} in and {out} out");
        if let Some(changed) = changed {
            let _ = write!(text, ", last change {} ago", time(*changed));
        }
    }
    for (count, word) in
        [(lost.0, "lost"), (doubtful.0, "doubtful"), (drains.0, "drains"), (clashes.0, "clashing names")]
    {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    if let Some((guard, left)) = registry.guard.as_ref().filter(|(guard, _)| !guard.held.is_empty()) {
        let _ = write!(text, ", {} instances held by the guard for {}", guard.instances, time(*left));
    }
    text.push('\n');
    if let Some(gone) = report.trouble.as_ref().filter(|_| report.is_only_gone) {
        let _ = writeln!(text, "  {gone}: its services are known and empty until it is back");
    }
}

fn zone(zone: &ZoneSnapshot, text: &mut String) {
    let ZoneSnapshot { origin, serial, names, freshness, file, warnings, .. } = zone;
    let _ = write!(text, "zone {origin}: {}, serial {serial}, {names} names", freshness.as_str());
    if let Some(file) = file {
        let _ = match file.age {
            Some(age) => write!(text, ", file {} of {} ago", file.path, time(age)),
            None => write!(text, ", file {} never read", file.path),
        };
    }
    text.push('\n');
    for warning in warnings {
        let _ = writeln!(text, "  {warning}");
    }
}

fn since(at: SystemTime) -> String {
    time(SystemTime::now().duration_since(at).unwrap_or_default())
}

/// To the second, for people.
fn time(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}
