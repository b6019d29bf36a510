//! Changes: the last events as a table, on a page of their own and beside what they are about.

use std::sync::Arc;

use maud::{Markup, html};

use super::parts::{ago, badge, encoded, none, path, service_url, shown};
use super::shell::section;
use crate::admin::events::EventFilter;
use crate::admin::query::{parameters, seconds};
use crate::admin::reply::Refusal;
use crate::admin::sources::Sources;
use crate::publish::events::event::{EventKind, EventRecord};

/// Events of a page.
const OF_PAGE: usize = 200;

/// The changes that are wanted.
#[derive(Debug, Default)]
pub(super) struct ChangesQuestion {
    /// Name or path of a service, or of what is above it; empty for all.
    name: String,
    /// Index of the event before which they end; none for the last ones.
    before: Option<u64>,
    pub(super) refresh: Option<u16>,
}

impl ChangesQuestion {
    /// Reads `?name=`, `before` and `refresh`.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let known = "`name`, `before` and `refresh`";
        let [name, before, refresh] = parameters(query, ["name", "before", "refresh"], known)?;
        let before =
            before.map(|text| text.parse().map_err(|_| Refusal::bad(format!("`before` is not a number: `{text}`"))));
        let name = name.unwrap_or_default().trim().to_owned();
        Ok(Self { name, before: before.transpose()?, refresh: seconds(refresh)? })
    }

    /// Address of the page of these changes.
    pub(super) fn url(&self) -> String {
        let name = (!self.name.is_empty()).then(|| format!("name={}", encoded(&self.name)));
        let before = self.before.map(|before| format!("before={before}"));
        let query: Vec<String> = name.into_iter().chain(before).collect();
        if query.is_empty() { "/events".to_owned() } else { format!("/events?{}", query.join("&")) }
    }
}

/// The last events that `filter` takes, at most `limit`, the last one first.
pub(super) fn last(
    sources: &Sources,
    filter: &EventFilter,
    before: Option<u64>,
    limit: usize,
) -> Vec<Arc<EventRecord>> {
    let is_wanted = |event: &EventRecord| before.is_none_or(|before| event.index < before) && filter.takes(event);
    let mut events = sources.events.since(0, limit, is_wanted).events;
    events.reverse();
    events
}

/// The page of all changes.
pub(super) fn body(sources: &Sources, question: &ChangesQuestion) -> Markup {
    let name = (!question.name.is_empty()).then(|| question.name.clone());
    let filter = EventFilter::new(sources, None, name);
    let events = last(sources, &filter, question.before, OF_PAGE);
    let older = events.last().filter(|_| events.len() == OF_PAGE).map(|event| event.index);
    let older =
        older.map(|before| ChangesQuestion { name: question.name.clone(), before: Some(before), refresh: None });
    let newest = ChangesQuestion { name: question.name.clone(), ..ChangesQuestion::default() };
    html! {
        h1 { "Changes" }
        p.quiet {
            "What was registered, changed, drained and gone, the last first. The last 10,000 are kept: also as "
            code { "zonekeeper events --follow" } " and at " a href="/v1/events?since=1h" { "/v1/events" } "."
        }
        form #search action="/events" role="search" {
            label for="name" { "Changes of" }
            div.field {
                input #name type="search" name="name" value=(question.name) autocomplete="off" spellcheck="false"
                    placeholder="name or path";
                button { "Show" }
            }
        }
        (section("changes", "Last changes", &html! {
            (table(sources, &events, true))
            nav.pages aria-label="Pages of changes" {
                @if question.before.is_some() { a href=(newest.url()) { "Newest" } }
                @if let Some(older) = older { a rel="next" href=(older.url()) { "Older" } }
            }
        }))
    }
}

/// The events as a table; with the services that they are of, unless all are of one.
pub(super) fn table(sources: &Sources, events: &[Arc<EventRecord>], has_services: bool) -> Markup {
    if events.is_empty() {
        return none("Nothing has changed since this process began.");
    }
    html! {
        table.cards.changes {
            caption.unseen { "Changes" }
            thead {
                tr {
                    th scope="col" { "When" }
                    th scope="col" { "Kind" }
                    @if has_services { th scope="col" { "Service" } }
                    th scope="col" { "What happened" }
                }
            }
            tbody { @for event in events { (row(sources, event, has_services)) } }
        }
    }
}

fn row(sources: &Sources, event: &EventRecord, has_services: bool) -> Markup {
    let about = event.registry.as_ref().zip(event.service.as_ref());
    let source = about.and_then(|(registry, _)| sources.registries.iter().find(|source| source.name == *registry));
    html! {
        tr data-key=(event.index) {
            td data-label="When" { (ago(event.unix_ms)) }
            td data-label="Kind" { (badge(class(event.kind), event.kind.as_str())) }
            @if has_services {
                td data-label="Service" {
                    @match (about, source) {
                        (Some((_, service)), Some(source)) => {
                            a href=(service_url(sources, source, service)) {
                                @if service.is_empty() { "(root)" } @else { (path(service)) }
                            }
                        }
                        (Some((_, service)), None) => (path(service)),
                        (None, _) => span.quiet { @if event.registry.is_some() { "registry" } @else { "process" } },
                    }
                }
            }
            td data-label="What happened" { (shown(&event.sentence())) }
        }
    }
}

/// Colour of a kind.
fn class(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Added | EventKind::First | EventKind::Undrained | EventKind::Live | EventKind::Taken => "good",
        EventKind::Changed | EventKind::Many | EventKind::Read => "plain",
        EventKind::Drained | EventKind::Stale => "warn",
        EventKind::Gone | EventKind::Last | EventKind::Lost | EventKind::Expired | EventKind::Rejected => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_is_written() {
        for url in ["/events", "/events?name=staging/api_x&before=7", "/events?name=a%3Fb"] {
            let query = url.split_once('?').map(|(_, query)| query);
            assert_eq!(ChangesQuestion::read(query).ok().map(|question| question.url()).as_deref(), Some(url));
        }
        for bad in ["before=x", "refresh=0", "index=1"] {
            assert!(ChangesQuestion::read(Some(bad)).is_err(), "{bad}");
        }
    }
}
