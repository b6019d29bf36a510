//! What is registered from here and how its checks stand, and what zones warn of, as text for `zonekeeper status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::json::ago;
use super::snapshot::{AnnouncerSnapshot, RegistrySnapshot, Snapshot};
use crate::announce::RefusedAddress;

/// The same for a screen that has the registries already: nothing of those for which nothing is to be registered.
pub(super) fn of_this_host(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for announcer in snapshot.announcers.iter().filter(|one| !one.services.is_empty() || !one.registrations.is_empty())
    {
        let _ = writeln!(text, "this host, {} services:", announcer.services.len());
        one(announcer, &mut text);
    }
    text
}

/// One service's line, and below it a line for each of its checks, by registry.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for announcer in &snapshot.announcers {
        one(announcer, &mut text);
    }
    for registry in &snapshot.registries {
        clashes(registry, &mut text);
    }
    if text.is_empty() {
        text.push_str("nothing is registered from here: there is no registry\n");
    }
    for zone in &snapshot.zones {
        for warning in &zone.warnings {
            let _ = writeln!(text, "zone {}: {warning}", zone.origin);
        }
    }
    text
}

/// Addresses that are listed, and services of each.
const ADDRESSES: usize = 20;
const SERVICES: usize = 3;

/// Clashes that are listed.
const CLASHES: usize = 20;

/// The names that services of a registry do not have to themselves.
fn clashes(registry: &RegistrySnapshot, text: &mut String) {
    let (total, clashes) = &registry.clashes;
    if *total == 0 {
        return;
    }
    let _ = writeln!(text, "registry {}: {total} clashing names", registry.name);
    for clash in clashes.iter().take(CLASHES) {
        let _ = writeln!(text, "  {}", clash.reason);
    }
    let rest = total.saturating_sub(clashes.len().min(CLASHES));
    if rest > 0 {
        let _ = writeln!(text, "  and {rest} more: /v1/status");
    }
}

// Writing to a string cannot fail.
fn one(announcer: &AnnouncerSnapshot, text: &mut String) {
    let session = match announcer.session {
        None if announcer.services.is_empty() => "this host registers nothing here".to_owned(),
        None => {
            let why = announcer.last_error.as_ref().map(|(reason, _)| format!(": {reason}")).unwrap_or_default();
            format!("not connected, so that nothing can be registered{why}")
        }
        Some(session) if session.connected => format!("session {:#x}", session.id),
        Some(session) => format!("session {:#x}, not connected: nodes go within {:?}", session.id, session.timeout),
    };
    let _ = writeln!(text, "registry {}: {session}", announcer.registry);
    let mut shown = None;
    for (registration, standing) in &announcer.registrations {
        let reason = registration.state.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        let owner = registration.owner.map(|owner| format!(" by {owner:#x}")).unwrap_or_default();
        let state = registration.state.as_str();
        let _ = write!(text, "  {} {state}{owner} for {}s{reason}", registration.place(), standing.as_secs());
        if let Some(error) = registration.last_error.as_ref().filter(|_| reason.is_empty()) {
            let _ = write!(text, "; {}s ago: {}", ago(error.at, registration, *standing).as_secs(), error.reason);
        }
        text.push('\n');
        if shown.replace(&registration.service) == Some(&registration.service) {
            // The checks are the service's, and stand below the first of its addresses.
            continue;
        }
        for (check, standing) in announcer.checks.iter().filter(|(check, _)| check.service == registration.service) {
            let flapping = if check.is_flapping { ", flapping" } else { "" };
            let (state, seconds, last) = (check.state.as_str(), standing.as_secs(), check.words());
            let _ = writeln!(text, "    {} {state} for {seconds}s{flapping}: {last}", check.check);
        }
    }
    refused(announcer, text);
}

/// The addresses of this host at which services are not registered, each once with its services.
fn refused(announcer: &AnnouncerSnapshot, text: &mut String) {
    let mut all: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for RefusedAddress { service, address, interface, reason } in &announcer.refused {
        all.entry((address, interface, reason)).or_default().push(service);
    }
    let rest = all.len().saturating_sub(ADDRESSES);
    for ((address, interface, reason), services) in all.into_iter().take(ADDRESSES) {
        let named = services.iter().take(SERVICES).copied().collect::<Vec<_>>().join(", ");
        let more = services.len().saturating_sub(SERVICES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(text, "  not at {address} ({interface}): {reason} ({named}{more})");
    }
    if rest > 0 {
        let _ = writeln!(text, "  and not at {rest} more: /v1/status");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::sample;

    #[test]
    fn services_stand_above_their_checks() {
        let expected = "\
registry main: session 0x10000abcdef0002
  /services/api_x/providers/10.0.0.1:80 registered by 0x10000abcdef0002 for 9s; 15s ago: somebody deleted it
    tcp 127.0.0.1:80 unhealthy for 8s, flapping: refused
  /services/api_x/providers/10.0.0.2:80 blocked for 9s: a persistent znode is in its place; delete it if nobody needs it
  not at 169.254.1.1 (eth0): it is link-local (api_x)
registry main: 1500 clashing names
  ns.service. is a name server of the zone: its own addresses are served, not those of /services/ns
  and 1499 more: /v1/status
zone service.: the RRset <a> is too large
";
        assert_eq!(render(&sample()), expected);
    }
}
