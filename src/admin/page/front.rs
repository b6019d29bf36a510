//! The first page: what is wrong first of all, the services with a search, and the state of the parts.

use maud::{Markup, html};

use super::list::{self, ListQuestion, ServiceList};
use super::parts::{count, none, rate};
use super::shell::{optional, section};
use super::{changes, charts, explained, problems, state};
use crate::admin::events::EventFilter;
use crate::admin::history::Sample;
use crate::admin::snapshot::{RegistrySnapshot, Snapshot};
use crate::admin::sources::Sources;

/// Changes that are shown.
const CHANGES: usize = 8;

/// All that the page is made of.
pub(super) struct Front<'a> {
    pub(super) sources: &'a Sources,
    pub(super) snapshot: &'a Snapshot,
    pub(super) question: &'a ListQuestion,
    pub(super) list: &'a ServiceList,
    /// The last hour, the oldest first.
    pub(super) samples: &'a [Sample],
    /// Paths for programs, and what each is for.
    pub(super) endpoints: &'a [(&'static str, &'static str)],
}

impl Front<'_> {
    pub(super) fn body(&self) -> Markup {
        let Self { sources, snapshot, question, list, samples, endpoints } = self;
        let registries = &snapshot.registries;
        let events = changes::last(sources, &EventFilter::default(), None, CHANGES);
        html! {
            h1.unseen { "Overview" }
            div #totals data-live { (totals(snapshot)) }
            div #charts data-live { (charts::row(samples, snapshot.queries.is_some())) }
            (optional("problems", "Problems", problems::render(sources, snapshot).as_ref()))
            section #services aria-labelledby="services-heading" {
                h2 #services-heading { "Services" }
                (list::form(question))
                div #list data-live { (list::render(list, question, registries.len() > 1)) }
            }
            (optional("drains", "Drained by hand", problems::drains(sources, registries).as_ref()))
            (optional("guards", "Held back by the guard", problems::guards(sources, registries).as_ref()))
            (section("changes", "Last changes", &html! {
                (changes::table(sources, &events, true))
                p { a href="/events" { "All changes" } }
            }))
            (section("registries", "Registries", &state::registries(registries)))
            (section("zones", "Zones", &state::zones(&snapshot.zones)))
            (section("host", "This host", &state::registrations(sources, &snapshot.announcers)))
            (optional("configuration", "Configuration", state::configuration(snapshot).as_ref()))
            section aria-labelledby="explain-heading" {
                h2 #explain-heading { "Why is a name answered as it is?" }
                (explained::form("", None))
            }
            section aria-labelledby="programs-heading" {
                h2 #programs-heading { "For programs" }
                details {
                    summary { "Endpoints" }
                    dl.endpoints { @for (path, purpose) in *endpoints { dt { (link(path)) } dd { (purpose) } } }
                }
            }
        }
    }
}

fn totals(snapshot: &Snapshot) -> Markup {
    let registries = &snapshot.registries;
    let sum = |of: fn(&RegistrySnapshot) -> usize| registries.iter().map(of).sum::<usize>();
    let census = || registries.iter().filter_map(|one| one.census.map(|(census, _)| census));
    let services: usize = census().map(|one| one.services).sum();
    let serving: u64 = census().map(|one| one.serving).sum();
    let out: u64 = census().map(|one| one.out).sum();
    let (lost, doubtful) = (sum(|one| one.lost.0), sum(|one| one.doubtful.0));
    let drains = sum(|one| one.drains.0);
    html! {
        @if registries.is_empty() { (none("No registry is mirrored.")) } @else {
            dl.tiles {
                div { dt { "Services" } dd { (count(services)) } }
                div { dt { "Instances in DNS" } dd { (count(serving)) } }
                div { dt { "Instances out" } dd { (count(out)) } }
                div { dt { "Lost znodes" } dd class=[(lost > 0).then_some("bad")] { (count(lost)) } }
                div { dt { "Doubtful znodes" } dd class=[(doubtful > 0).then_some("warn")] { (count(doubtful)) } }
                div { dt { "Drains" } dd class=[(drains > 0).then_some("warn")] { (count(drains)) } }
                @if let Some(queries) = snapshot.queries { div { dt { "Queries a second" } dd { (rate(queries)) } } }
            }
        }
    }
}

/// Link to the path, where it can be asked for as it stands.
fn link(path: &str) -> Markup {
    html! { @if path.contains('{') { code { (path) } } @else { a href=(path) { code { (path) } } } }
}
