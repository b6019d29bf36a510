//! Parts of the process on the page: registries, zones, the configuration, and what this host registers.

use std::time::Duration;

use maud::{Markup, html};

use super::parts::{ROWS, bad, badge, count, more, none, path, service_url, shown, since, time};
use crate::admin::snapshot::{AnnouncerSnapshot, RegistrySnapshot, Snapshot, ZoneSnapshot};
use crate::admin::sources::Sources;
use crate::announce::check::health;
use crate::announce::{CheckStatus, Registration, RegistrationState};
use crate::publish::census::CensusReport;
use crate::registry::status::Phase;
use crate::zone::Freshness;

pub(super) fn registries(registries: &[RegistrySnapshot]) -> Markup {
    if registries.is_empty() {
        return none("No registry is mirrored.");
    }
    html! {
        table.cards {
            caption.unseen { "Registries" }
            thead {
                tr {
                    th scope="col" { "Registry" }
                    th scope="col" { "Mirror" }
                    th scope="col" { "Exact" }
                    th.number scope="col" { "Services" }
                    th.number scope="col" { "In DNS" }
                    th.number scope="col" { "Out" }
                    th.number scope="col" { "Znodes" }
                    th scope="col" { "Last change" }
                }
            }
            tbody { @for one in registries { (registry(one)) } }
        }
    }
}

fn registry(one: &RegistrySnapshot) -> Markup {
    let is_live = one.report.phase == Phase::Live;
    let (census, changed) = one.census.unwrap_or_default();
    let CensusReport { services, serving, out, .. } = census;
    html! {
        tr {
            th scope="row" data-label="Registry" {
                (one.name)
                div.quiet { (path(&one.report.ensemble)) }
                @if let Some(trouble) = &one.report.trouble { div.bad { (shown(trouble)) } }
                @if let Some(trouble) = one.report.cache.as_ref().and_then(|cache| cache.trouble.as_ref()) {
                    div.bad { "cache file: " (shown(trouble)) }
                }
            }
            td data-label="Mirror" {
                (badge(if is_live { "good" } else { "bad" }, one.report.phase.as_str())) " for " (time(one.in_phase))
                @if let Some(session) = one.report.session { div.quiet { code { (format!("{session:#x}")) } } }
            }
            td data-label="Exact" class=[bad(!one.synced || one.is_stale())] { (exact(one)) }
            td.number data-label="Services" { (count(services)) }
            td.number data-label="In DNS" { (count(serving)) }
            td.number data-label="Out" { (count(out)) }
            td.number data-label="Znodes" { (count(one.report.znodes)) }
            td data-label="Last change" { @match changed { Some(age) => { (time(age)) " ago" }, None => "–" } }
        }
    }
}

/// Tells how far what is known of a registry can be relied on.
fn exact(registry: &RegistrySnapshot) -> String {
    match registry.age {
        None => "never yet".to_owned(),
        Some(age) if registry.is_stale() => format!("{} ago", time(age)),
        Some(_) => "now".to_owned(),
    }
}

pub(super) fn zones(zones: &[ZoneSnapshot]) -> Markup {
    if zones.is_empty() {
        return none("No zone is served.");
    }
    html! {
        table.cards {
            caption.unseen { "Zones" }
            thead {
                tr {
                    th scope="col" { "Zone" }
                    th scope="col" { "State" }
                    th.number scope="col" { "Names" }
                    th.number scope="col" { "Serial" }
                    th scope="col" { "File" }
                }
            }
            tbody { @for one in zones { (zone(one)) } }
        }
    }
}

fn zone(ZoneSnapshot { origin, serial, names, freshness, file, warnings, .. }: &ZoneSnapshot) -> Markup {
    let class = match freshness {
        Freshness::Fresh => "good",
        Freshness::Stale => "warn",
        Freshness::Loading | Freshness::Expired => "bad",
    };
    html! {
        tr {
            th scope="row" data-label="Zone" {
                (path(origin))
                @for warning in warnings { div.warn { (shown(warning)) } }
            }
            td data-label="State" { (badge(class, freshness.as_str())) }
            td.number data-label="Names" { (count(*names)) }
            td.number data-label="Serial" { (serial) }
            td data-label="File" {
                @match file {
                    Some(file) => {
                        (path(&file.path))
                        @if let Some(age) = file.age { div.quiet { "taken " (time(age)) " ago" } }
                        @for problem in &file.problems { div.bad { (shown(problem)) } }
                    }
                    None => span.quiet { "none" },
                }
            }
        }
    }
}

/// The configuration in force, and what is not.
pub(super) fn configuration(snapshot: &Snapshot) -> Option<Markup> {
    let (configuration, failed) = snapshot.configuration.as_ref()?;
    Some(html! {
        p { "Taken " (since(configuration.taken_at)) "." }
        @if let Some((at, problems)) = &configuration.rejected {
            p.note.bad { "A newer one was rejected " (since(*at)) ", and the one before is in force:" }
            pre { (shown(problems)) }
        }
        @if !configuration.pending.is_empty() {
            p.note.warn { "Waits for a restart: " (shown(&configuration.pending.join(", "))) }
        }
        @if let Some(why) = failed { p.note.bad { "The last restart failed: " (shown(why)) } }
    })
}

/// Registrations of this host with their checks, those that are not as they should be first.
pub(super) fn registrations(sources: &Sources, announcers: &[AnnouncerSnapshot]) -> Markup {
    let total = announcers.iter().map(|one| one.registrations.len()).sum();
    if total == 0 && announcers.iter().all(|one| one.services.is_empty()) {
        return none("Nothing is registered from this host.");
    }
    let mut all: Vec<_> =
        announcers.iter().flat_map(|one| one.registrations.iter().map(move |each| (one, each))).collect();
    all.sort_by_key(|(_, (registration, _))| registration.state == RegistrationState::Registered);
    html! {
        @for one in announcers.iter().filter(|one| !one.session.is_some_and(|session| session.connected)) {
            @if !one.services.is_empty() {
                p.note.bad {
                    "Not connected to the ZooKeeper of registry " (one.registry)
                    ": nothing can be registered or changed there."
                }
            }
        }
        @if !all.is_empty() {
            table.cards {
                caption.unseen { "Registrations of this host" }
                thead {
                    tr {
                        th scope="col" { "Registration" }
                        th scope="col" { "State" }
                        th scope="col" { "For" }
                        th scope="col" { "Checks" }
                    }
                }
                tbody { @for (announcer, each) in all.into_iter().take(ROWS) { (registration(sources, announcer, each)) } }
            }
        }
        @for refused in announcers.iter().flat_map(|one| &one.refused).take(ROWS) {
            p.quiet {
                (shown(&refused.service)) " is not registered at " (refused.address) " (" (shown(&refused.interface)) "): "
                (shown(&refused.reason))
            }
        }
        (more(total, &html! { code { "zonekeeper status" } }))
    }
}

fn registration(
    sources: &Sources,
    announcer: &AnnouncerSnapshot,
    (registration, standing): &(Registration, Duration),
) -> Markup {
    let source = sources.registries.iter().find(|source| source.name == announcer.registry);
    let source = source.filter(|source| source.reader.read(&registration.service).is_some());
    let is_well = registration.state == RegistrationState::Registered;
    let checks = announcer.checks.iter().filter(|(check, _)| check.service == registration.service);
    html! {
        tr {
            th scope="row" data-label="Registration" {
                @match source {
                    Some(source) => {
                        a href=(service_url(sources, source, &registration.service)) { (path(&registration.place())) }
                    }
                    None => (path(&registration.place())),
                }
            }
            td data-label="State" {
                (badge(if is_well { "good" } else { "bad" }, registration.state.as_str()))
                @if let Some(reason) = registration.state.reason() { " " (shown(&reason)) }
            }
            td data-label="For" { (time(*standing)) }
            td data-label="Checks" { @for (check, standing) in checks { (checked(check, *standing)) } }
        }
    }
}

fn checked(check: &CheckStatus, standing: Duration) -> Markup {
    let is_well = check.state == health::CheckState::Well && !check.is_flapping;
    html! {
        div.check {
            (path(&check.check)) " "
            (badge(if is_well { "good" } else { "bad" }, check.state.as_str()))
            " for " (time(standing)) @if check.is_flapping { ", flapping" }
            div.quiet { (shown(&check.words())) }
        }
    }
}
