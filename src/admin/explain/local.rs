//! What this process itself does with a name: services that it registers, and what becomes of names elsewhere.

use std::time::Instant;

use super::shapes::{CheckJson, Local};
use crate::admin::sources::Sources;
use crate::announce::RegistrationState;
use crate::zone::name::Name;

/// Services that this process registers and that have the name, or would have it.
pub(super) fn local(sources: &Sources, name: &Name) -> Vec<Local> {
    let mut found = Vec::new();
    for (registry, status) in &sources.announcements {
        let Some(source) = sources.registries.iter().find(|source| source.name == *registry) else { continue };
        let has_name = |service: &str| {
            source.reader.owners(service).iter().any(|owner| name.is_at_or_below(owner))
                || source.reader.names(service).contains(name)
        };
        let now = Instant::now();
        let checks = status.checks();
        let of = |service: &str| {
            let those = checks.iter().filter(|check| check.service == service);
            those
                .map(|check| {
                    let standing = now.saturating_duration_since(check.since).as_secs();
                    let said = format!("for {standing}s: {}", check.words());
                    CheckJson { check: check.check.clone(), state: check.state.as_str(), said }
                })
                .collect::<Vec<_>>()
        };
        let registrations = status.registrations();
        for one in registrations.iter().filter(|one| has_name(&one.service)) {
            found.push(Local {
                registry: registry.to_string(),
                service: one.service.clone(),
                znode: Some(one.path.to_string()),
                state: one.state.as_str(),
                reason: one.state.reason(),
                is_registered: one.state == RegistrationState::Registered,
                checks: of(&one.service),
            });
        }
        let is_without = |service: &String| !registrations.iter().any(|one| one.service == *service);
        for service in status.services().into_iter().filter(|service| is_without(service) && has_name(service)) {
            found.push(Local {
                registry: registry.to_string(),
                znode: None,
                state: "waiting",
                reason: Some("this host has no address to register it at".to_owned()),
                is_registered: false,
                checks: of(&service),
                service,
            });
        }
    }
    found
}

/// Tells what becomes of names that no zone of ours has.
pub(super) fn outside(sources: &Sources) -> String {
    let fate = match sources.forwarder.as_ref().filter(|forwarder| forwarder.is_on()) {
        None => "REFUSED".to_owned(),
        Some(forwarder) => format!(
            "for clients that allow_recursion allows it is forwarded, to the first of these that answers; others are \
             REFUSED\n{}",
            forwarder.describe().trim_end()
        ),
    };
    format!("no zone of this server has the name: {fate}")
}
