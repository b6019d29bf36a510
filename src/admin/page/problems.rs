//! Problems, on the page: lost znodes first, then doubtful ones, then the rest; and what is out on purpose.

use std::time::Duration;

use maud::{Markup, html};

use super::parts::{ROWS, badge, count, more, path, service_url, shown, since, time, znode};
use crate::admin::snapshot::{RegistrySnapshot, Snapshot};
use crate::admin::sources::{RegistrySource, Sources};
use crate::admin::wrong;
use crate::format;
use crate::model::{Drain, Malformed};
use crate::publish::collisions::Clash;

/// Problems of a kind that are shown at once; the others open.
const AT_ONCE: usize = 10;

/// All of them; none where nothing is wrong.
pub(super) fn render(sources: &Sources, snapshot: &Snapshot) -> Option<Markup> {
    let rest = wrong::but_znodes(snapshot);
    let total = |of: fn(&RegistrySnapshot) -> usize| snapshot.registries.iter().map(of).sum::<usize>();
    let (lost, doubtful, clashes) = (total(|one| one.lost.0), total(|one| one.doubtful.0), total(|one| one.clashes.0));
    if rest.is_empty() && lost + doubtful + clashes == 0 {
        return None;
    }
    Some(html! {
        @if lost > 0 {
            h3 { (count(lost)) " lost " @if lost == 1 { "znode" } @else { "znodes" } }
            p.quiet { "Not served." }
            (znodes(sources, &snapshot.registries, |one| &one.lost, "/?state=lost"))
        }
        @if doubtful > 0 {
            h3 { (count(doubtful)) " doubtful " @if doubtful == 1 { "znode" } @else { "znodes" } }
            p.quiet { "Served with a default, or with what was there before." }
            (znodes(sources, &snapshot.registries, |one| &one.doubtful, "/?state=doubtful"))
        }
        @if clashes > 0 {
            h3 { (count(clashes)) " clashing " @if clashes == 1 { "name" } @else { "names" } }
            (self::clashes(sources, &snapshot.registries))
        }
        @if !rest.is_empty() {
            h3 { "Others" }
            ul { @for one in &rest { li { (shown(one)) } } }
        }
    })
}

/// Rows of which the first are shown at once.
fn folded<T>(rows: &[T], what: &str, table: impl Fn(&[T]) -> Markup) -> Markup {
    let (first, rest) = rows.split_at(rows.len().min(AT_ONCE));
    html! {
        (table(first))
        @if !rest.is_empty() {
            details data-key=(what) {
                summary { (count(rest.len())) " more " (what) }
                (table(rest))
            }
        }
    }
}

fn source<'s>(sources: &'s Sources, registry: &RegistrySnapshot) -> Option<&'s RegistrySource> {
    sources.registries.iter().find(|source| source.name == registry.name)
}

fn znodes(
    sources: &Sources,
    registries: &[RegistrySnapshot],
    of: fn(&RegistrySnapshot) -> &(usize, Vec<Malformed>),
    list: &str,
) -> Markup {
    let all = registries.iter().flat_map(|one| of(one).1.iter().map(move |malformed| (one, malformed)));
    let all: Vec<_> = all.take(ROWS).collect();
    let total = registries.iter().map(|one| of(one).0).sum();
    html! {
        (folded(&all, "znodes", |rows| html! {
            table.cards {
                caption.unseen { "Znodes, and what is wrong with them" }
                thead { tr { th scope="col" { "Znode" } th scope="col" { "What is wrong" } } }
                tbody {
                    @for (registry, Malformed { path: full, reason, .. }) in rows {
                        tr {
                            td data-label="Znode" {
                                @match source(sources, registry) {
                                    Some(source) => (znode(sources, source, full)),
                                    None => (path(full)),
                                }
                            }
                            td data-label="What is wrong" { (shown(reason)) }
                        }
                    }
                }
            }
        }))
        (more(total, &html! { a href="/v1/status" { "/v1/status" } }))
        p { a href=(list) { "Their services" } }
    }
}

fn clashes(sources: &Sources, registries: &[RegistrySnapshot]) -> Markup {
    let all: Vec<_> =
        registries.iter().flat_map(|one| one.clashes.1.iter().map(move |clash| (one, clash))).take(ROWS).collect();
    let total = registries.iter().map(|one| one.clashes.0).sum();
    html! {
        (folded(&all, "names", |rows| html! {
            table.cards {
                caption.unseen { "Names that clash" }
                thead { tr { th scope="col" { "Name" } th scope="col" { "Znodes" } th scope="col" { "What is served" } } }
                tbody {
                    @for (registry, Clash { name, paths, reason, .. }) in rows {
                        tr {
                            td data-label="Name" { (path(name)) }
                            td data-label="Znodes" {
                                @for full in paths {
                                    div {
                                        @match source(sources, registry) {
                                            Some(source) => (znode(sources, source, full)),
                                            None => (path(full)),
                                        }
                                    }
                                }
                            }
                            td data-label="What is served" { (shown(reason)) }
                        }
                    }
                }
            }
        }))
        (more(total, &html! { a href="/v1/status" { "/v1/status" } }))
    }
}

/// The drains that operators have set; no table where there are none.
pub(super) fn drains(sources: &Sources, registries: &[RegistrySnapshot]) -> Option<Markup> {
    let total = registries.iter().map(|one| one.drains.0).sum();
    let all: Vec<_> = registries
        .iter()
        .flat_map(|one| one.drains.1.iter().map(move |(service, drain)| (one, service, drain)))
        .collect();
    (total > 0).then(|| {
        html! {
            table.cards {
                caption.unseen { "Drains in force" }
                thead {
                    tr {
                        th scope="col" { "Service" }
                        th scope="col" { "Drained" }
                        th scope="col" { "Until" }
                        th scope="col" { "Reason" }
                        th scope="col" { "By" }
                        th scope="col" { "Since" }
                    }
                }
                tbody {
                    @for (registry, service, drain) in all.iter().take(ROWS) { (drained(source(sources, registry), sources, service, drain)) }
                }
            }
            (more(total, &html! { code { "zonekeeper drain --list" } }))
        }
    })
}

fn drained(source: Option<&RegistrySource>, sources: &Sources, service: &str, drain: &Drain) -> Markup {
    let Drain { instance, until, reason, by, at } = drain;
    // The drains know the service in lower case, and a page its path.
    let service = source.map_or(service.to_owned(), |source| {
        let is_it = |path: &String| path.to_lowercase() == *service;
        if source.reader.read(service).is_some() { None } else { source.reader.paths().into_iter().find(is_it) }
            .unwrap_or_else(|| service.to_owned())
    });
    html! {
        tr {
            th scope="row" data-label="Service" {
                @match source {
                    Some(source) => a href=(service_url(sources, source, &service)) { (path(&service)) },
                    None => (path(&service)),
                }
            }
            td data-label="Drained" {
                @match instance { Some(instance) => (path(&instance.to_string())), None => (badge("warn", "all of it")) }
            }
            td data-label="Until" { @match until { Some(until) => (format::moment(*until)), None => "it is undrained" } }
            td data-label="Reason" { (shown(reason)) }
            td data-label="By" { (shown(by)) }
            td data-label="Since" {
                @if let Some(at) = at {
                    (since(std::time::UNIX_EPOCH + Duration::from_secs((*at).min(u64::from(u32::MAX)))))
                }
            }
        }
    }
}

/// Losses that guards hold back; none where there are none.
pub(super) fn guards(sources: &Sources, registries: &[RegistrySnapshot]) -> Option<Markup> {
    let held: Vec<_> = registries
        .iter()
        .filter_map(|one| one.guard.as_ref().filter(|(guard, _)| !guard.held.is_empty()).map(|guard| (one, guard)))
        .collect();
    (!held.is_empty()).then(|| {
        html! {
            @for (registry, (guard, left)) in held {
                p.note.warn {
                    (count(guard.instances)) " instances of " (count(guard.held.len())) " services of " (registry.name)
                    " are gone and still in DNS, for " (time(*left)) " more:"
                }
                p {
                    @for service in guard.held.keys().take(ROWS) {
                        @match source(sources, registry) {
                            Some(source) => a href=(service_url(sources, source, service)) { (path(service)) },
                            None => (path(service)),
                        }
                        " "
                    }
                }
                (more(guard.held.len(), &html! { a href="/v1/status" { "/v1/status" } }))
            }
        }
    })
}
