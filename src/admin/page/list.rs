//! The list of services: those that a search and a condition choose, a page at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use super::parts::{ago, badge, count, encoded, explain_url, none, path, service_url};
use crate::admin::listing::Condition;
use crate::admin::query::{parameters, seconds};
use crate::admin::reply::Refusal;
use crate::admin::sources::{RegistrySource, Sources};
use crate::format;
use crate::inspect::standing::{self, InstanceStanding};
use crate::model::{Endpoint, Harm, Instance};
use crate::publish::reading::Reading;

/// Services of a page.
const OF_PAGE: usize = 50;
/// Time for which a service counts as changed.
const RECENTLY: Duration = Duration::from_secs(3_600);

/// The services that are wanted, and the part of them that is shown.
#[derive(Debug, Default, Clone)]
pub(super) struct ListQuestion {
    /// Part of a path or name, or the address of an instance; empty for all.
    pub(super) search: String,
    state: Option<Filter>,
    registry: Option<String>,
    /// Number of the page, from 1.
    number: usize,
    pub(super) refresh: Option<u16>,
}

/// Condition of the services that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    State(Condition),
    /// Changed in the last hour.
    Changed,
}

impl Filter {
    const ALL: [(&'static str, &'static str, Self); 5] = [
        ("empty", "Empty", Self::State(Condition::Empty)),
        ("drained", "Drained", Self::State(Condition::Drained)),
        ("lost", "Lost", Self::State(Condition::Lost)),
        ("doubtful", "Doubtful", Self::State(Condition::Doubtful)),
        ("changed", "Changed in the last hour", Self::Changed),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, _, one)| *one == self).map_or("", |(word, ..)| word)
    }
}

impl ListQuestion {
    /// Reads `?q=`, `state`, `registry`, `page` and `refresh`.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let known = "`q`, `state`, `registry`, `page` and `refresh`";
        let names = ["q", "state", "registry", "page", "refresh"];
        let [search, state, registry, number, refresh] = parameters(query, names, known)?;
        let state = state.filter(|word| !word.is_empty()).map(|word| {
            let found = Filter::ALL.iter().find(|(name, ..)| *name == word).map(|(.., filter)| *filter);
            let words = Filter::ALL.map(|(name, ..)| name).join(", ");
            found.ok_or_else(|| Refusal::bad(format!("`state` is one of {words}, not `{word}`")))
        });
        let number = number.map(|text| match text.parse() {
            Ok(0) | Err(_) => Err(Refusal::bad(format!("`page` is not a number from 1 on: `{text}`"))),
            Ok(number) => Ok(number),
        });
        Ok(Self {
            search: search.unwrap_or_default().trim().to_owned(),
            state: state.transpose()?,
            registry: registry.filter(|name| !name.is_empty()),
            number: number.transpose()?.unwrap_or(1),
            refresh: seconds(refresh)?,
        })
    }

    /// Address of the list of these services.
    pub(super) fn url(&self) -> String {
        let number = if self.number > 1 { self.number.to_string() } else { String::new() };
        let pairs = [
            ("q", self.search.as_str()),
            ("state", self.state.map_or("", Filter::word)),
            ("registry", self.registry.as_deref().unwrap_or_default()),
            ("page", &number),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> = pairs.map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
    }
}

/// Text of a search, in the forms in which it is compared.
struct Search {
    /// In lower case, without slashes and dots at its ends.
    text: String,
    endpoint: Option<Endpoint>,
    address: Option<IpAddr>,
}

impl Search {
    fn new(asked: &str) -> Self {
        let bare = asked.trim_start_matches('[').trim_end_matches(']');
        let text = asked.trim_matches(['/', '.']).to_lowercase();
        Self { text, endpoint: format::endpoint(asked).ok(), address: bare.parse().ok() }
    }

    /// Returns whether it is part of the path, with its root, or of the name in a zone of these.
    fn is_of(&self, source: &RegistrySource, below: &str) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let below = below.to_lowercase();
        if below.contains(&self.text) {
            return true;
        }
        if self.text.contains('/') {
            return source.reader.full(&below).to_lowercase().contains(&self.text);
        }
        let elements: Vec<&str> = below.rsplit('/').collect();
        let front = elements.join(".");
        let is_name = |origin: &str| format!("{front}.{origin}").contains(&self.text);
        source.zones.iter().any(|zone| is_name(zone.origin().to_string().trim_end_matches('.')))
    }

    fn is_at(&self, instance: &Instance) -> bool {
        let mut all = instance.ports.iter().map(|(_, endpoint)| endpoint).chain([&instance.endpoint]);
        all.any(|one| {
            self.address.is_some_and(|address| one.host.ip() == Some(address))
                || self.endpoint.as_ref().is_some_and(|endpoint| endpoint.is_same(one))
        })
    }

    /// Returns whether instances are to be looked at.
    fn is_place(&self) -> bool {
        self.address.is_some() || self.endpoint.is_some()
    }
}

/// One page of the list.
#[derive(Debug)]
pub(super) struct ServiceList {
    /// Number of services that were chosen.
    chosen: usize,
    /// Number of all services.
    all: usize,
    /// Number of this page, and of the last one.
    number: usize,
    last: usize,
    rows: Vec<ServiceRow>,
}

/// One service of the list.
#[derive(Debug)]
struct ServiceRow {
    registry: String,
    below: String,
    url: String,
    name: Option<String>,
    serving: usize,
    out: usize,
    is_drained: bool,
    lost: usize,
    doubtful: usize,
    /// Milliseconds since 1970 of its last event that is known.
    changed: Option<u64>,
}

impl ServiceList {
    /// Takes the services that `question` wants as they are now.
    pub(super) fn take(sources: &Sources, question: &ListQuestion) -> Result<Self, Refusal> {
        let is_meant = |one: &&RegistrySource| question.registry.as_ref().is_none_or(|name| one.name.is_of(name));
        let registries: Vec<_> = sources.registries.iter().filter(is_meant).collect();
        if let (Some(name), []) = (&question.registry, &*registries) {
            return Err(Refusal::not_found(format!("there is no registry `{name}` here")));
        }
        let (search, changes) = (Search::new(&question.search), last_changes(sources));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let recent = u64::try_from(now.saturating_sub(RECENTLY).as_millis()).unwrap_or_default();
        let last_change = |source: &RegistrySource, below: &str| {
            changes.get(&(source.name.to_string(), below.to_lowercase())).copied()
        };
        let mut all = 0;
        let mut chosen: Vec<(&RegistrySource, String)> = Vec::new();
        for source in registries {
            let paths = source.reader.paths();
            all += paths.len();
            let is_chosen = |below: &String| {
                let is_found = search.is_of(source, below)
                    || search.is_place()
                        && source
                            .reader
                            .read(below)
                            .is_some_and(|reading| reading.service.instances.iter().any(|one| search.is_at(one)));
                is_found
                    && match question.state {
                        None => true,
                        Some(Filter::Changed) => last_change(source, below).is_some_and(|at| at >= recent),
                        Some(Filter::State(condition)) => {
                            read(source, below).is_some_and(|(reading, standing)| condition.is_of(&reading, &standing))
                        }
                    }
            };
            chosen.extend(paths.into_iter().filter(is_chosen).map(|below| (source, below)));
        }
        if question.state == Some(Filter::Changed) {
            chosen.sort_by_key(|(source, below)| std::cmp::Reverse(last_change(source, below)));
        }
        let pages = chosen.len().div_ceil(OF_PAGE).max(1);
        let number = question.number.min(pages);
        let shown = chosen.iter().skip((number - 1) * OF_PAGE).take(OF_PAGE);
        let rows = shown.filter_map(|(source, below)| {
            // One that went away meanwhile is left out.
            let (reading, standing) = read(source, below)?;
            let of = |harm| reading.malformed.iter().filter(|one| one.harm == harm).count();
            let (lost, doubtful) = (of(Harm::Lost), of(Harm::Doubtful));
            let (serving, out) = standing::numbers(lost, &standing);
            let (names, owners) = (source.reader.names(below), source.reader.owners(below));
            let name = owners.iter().find(|owner| names.contains(owner)).or(names.first());
            Some(ServiceRow {
                registry: source.name.to_string(),
                url: service_url(sources, source, below),
                name: name.map(|name| name.to_string().trim_end_matches('.').to_owned()),
                serving,
                out,
                is_drained: Condition::Drained.is_of(&reading, &standing),
                lost,
                doubtful,
                changed: last_change(source, below),
                below: below.clone(),
            })
        });
        Ok(Self { chosen: chosen.len(), all, number, last: pages, rows: rows.collect() })
    }
}

fn read(source: &RegistrySource, below: &str) -> Option<(Reading, Vec<InstanceStanding>)> {
    let reading = source.reader.read(below)?;
    let standing = source.reader.standing(&reading);
    Some((reading, standing))
}

/// Time of the last event of each service, by its registry and its path in lower case, as far as events are kept.
fn last_changes(sources: &Sources) -> HashMap<(String, String), u64> {
    let mut changes = HashMap::new();
    for event in sources.events.since(0, usize::MAX, |event| event.service.is_some()).events {
        if let Some((registry, service)) = event.registry.as_ref().zip(event.service.as_ref()) {
            changes.insert((registry.to_string(), service.to_lowercase()), event.unix_ms);
        }
    }
    changes
}

/// The form for a search; it stays where it is while the list below it changes.
pub(super) fn form(question: &ListQuestion) -> Markup {
    html! {
        form #search action="/" role="search" {
            label for="q" { "Find a service" }
            div.field {
                input #q type="search" name="q" value=(question.search) autocomplete="off" spellcheck="false"
                    placeholder="name, path or address";
                @if let Some(state) = question.state { input type="hidden" name="state" value=(state.word()); }
                @if let Some(registry) = &question.registry { input type="hidden" name="registry" value=(registry); }
                button { "Search" }
            }
        }
    }
}

/// The list, with the conditions that can be chosen above it.
pub(super) fn render(list: &ServiceList, question: &ListQuestion, has_several: bool) -> Markup {
    let of = |state| ListQuestion { state, number: 1, ..question.clone() }.url();
    let chip = |state: Option<Filter>, words: &str| {
        html! {
            li { a.chip href=(of(state)) aria-current=[(question.state == state).then_some("true")] { (words) } }
        }
    };
    let page = |number| ListQuestion { number, ..question.clone() }.url();
    let (from, to) = ((list.number - 1) * OF_PAGE, ((list.number - 1) * OF_PAGE + list.rows.len()));
    html! {
        ul.chips aria-label="Conditions" {
            (chip(None, "All"))
            @for (_, words, filter) in Filter::ALL { (chip(Some(filter), words)) }
        }
        p.quiet {
            @if list.chosen == list.all {
                (count(list.all)) @if list.all == 1 { " service" } @else { " services" }
            } @else {
                (count(list.chosen)) " of " (count(list.all)) " services "
                a href=(ListQuestion::default().url()) { "show all" }
            }
        }
        @if list.rows.is_empty() {
            @if list.all == 0 { (none("No service is registered yet.")) } @else {
                p.quiet {
                    "No service is found."
                    @if !question.search.is_empty() {
                        " " a href=(explain_url(&question.search, "A")) { "Explain " (question.search) }
                    }
                }
            }
        } @else {
            table.cards {
                caption.unseen { "Services" }
                thead {
                    tr {
                        th scope="col" { "Service" }
                        @if has_several { th scope="col" { "Registry" } }
                        th scope="col" { "DNS name" }
                        th.number scope="col" { "In DNS" }
                        th.number scope="col" { "Out" }
                        th scope="col" { "Remarks" }
                        th scope="col" { "Last change" }
                    }
                }
                tbody { @for row in &list.rows { (self::row(row, has_several)) } }
            }
        }
        @if list.last > 1 {
            nav.pages aria-label="Pages of services" {
                @if list.number > 1 { a rel="prev" href=(page(list.number - 1)) { "Previous" } }
                span { (count(from + 1)) "–" (count(to)) " of " (count(list.chosen)) }
                @if list.number < list.last { a rel="next" href=(page(list.number + 1)) { "Next" } }
            }
        }
    }
}

fn row(row: &ServiceRow, has_several: bool) -> Markup {
    let ServiceRow { registry, below, url, name, serving, out, is_drained, lost, doubtful, changed } = row;
    html! {
        tr data-key={ (registry) " " (below) } data-state={ (serving) "/" (out) } {
            th scope="row" data-label="Service" {
                a href=(url) { @if below.is_empty() { "(root)" } @else { (path(below)) } }
            }
            @if has_several { td data-label="Registry" { (registry) } }
            td data-label="DNS name" { @match name { Some(name) => (path(name)), None => span.quiet { "none" } } }
            td.number data-label="In DNS" { (count(*serving)) }
            td.number data-label="Out" { (count(*out)) }
            td data-label="Remarks" {
                @if *serving == 0 { (badge("bad", "empty")) " " }
                @if *is_drained { (badge("warn", "drained")) " " }
                @if *lost > 0 { (badge("bad", &format!("{lost} lost"))) " " }
                @if *doubtful > 0 { (badge("warn", &format!("{doubtful} doubtful"))) " " }
            }
            td data-label="Last change" {
                @match changed { Some(at) => (ago(*at)), None => span.quiet title="not in the events that are kept" { "–" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<String> {
        ListQuestion::read(Some(query)).ok().map(|question| question.url())
    }

    #[test]
    fn a_question_is_read_as_it_is_written() {
        for url in ["/", "/?q=a%20b%26c", "/?q=api&state=lost&registry=main&page=3", "/?state=changed"] {
            let query = url.strip_prefix("/").unwrap().trim_start_matches('?');
            assert_eq!(read(query).as_deref(), Some(url));
        }
        assert_eq!(read("q=&state=&page=1").as_deref(), Some("/"), "as an empty form is sent");
        for bad in ["state=well", "page=0", "page=x", "refresh=0", "query=x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_finds_the_instances_at_it() {
        let instance = |text: &str| Instance::new(text, format::endpoint(text).unwrap());
        for (asked, at, is_at) in [
            ("10.0.0.1", "10.0.0.1:80", true),
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:81", "10.0.0.1:80", false),
            ("10.0.0", "10.0.0.1:80", false),
            ("2001:db8::1", "[2001:db8:0::1]:80", true),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", true),
        ] {
            assert_eq!(Search::new(asked).is_at(&instance(at)), is_at, "{asked} {at}");
        }
    }
}
