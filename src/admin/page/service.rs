//! The page of one service: its instances, in DNS and not, with reasons; commands to copy; its names; its last changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use maud::{Markup, html};

use super::changes;
use super::parts::{
    ROWS, ago, badge, command, count, encoded, explain_url, more, none, path, service_url, shown, since,
};
use super::shell::{optional, section};
use crate::admin::events::EventFilter;
use crate::admin::query::{parameters, seconds};
use crate::admin::reply::Refusal;
use crate::admin::shapes::session;
use crate::admin::sources::{RegistrySource, Sources};
use crate::admin::{named, services};
use crate::format;
use crate::inspect::standing::{self, InstanceStanding};
use crate::model::{Drain, Harm, Instance, Malformed};
use crate::publish::reading::Reading;
use crate::zone::name::Name;

/// Changes of a service that are shown.
const CHANGES: usize = 50;
/// Names of a service that are listed: tags make many.
const NAMES: usize = 40;
/// Services that are offered in place of one that is not there.
const NEAR: usize = 8;

/// The service that is wanted.
#[derive(Debug)]
pub(super) struct ServiceQuestion {
    asked: String,
    registry: Option<String>,
    pub(super) refresh: Option<u16>,
}

/// Outcome of looking for the service.
#[derive(Debug)]
pub(super) enum Found<'s> {
    /// The service, with its path.
    One(&'s RegistrySource, String),
    /// Several registries have it.
    Several(Vec<(&'s RegistrySource, String)>),
    /// No registry has it.
    Nothing,
}

impl ServiceQuestion {
    /// Reads the path of the target, in place of which `?path=` can be, `registry` and `refresh`.
    pub(super) fn read(asked: Option<String>, query: Option<&str>) -> Result<Self, Refusal> {
        let known = "`path`, `registry` and `refresh`";
        let [path, registry, refresh] = parameters(query, ["path", "registry", "refresh"], known)?;
        let asked = asked.filter(|asked| !asked.is_empty()).or(path).unwrap_or_default();
        Ok(Self { asked: asked.trim_end_matches('/').to_owned(), registry, refresh: seconds(refresh)? })
    }

    /// Finds the service by its path, or else by its name.
    pub(super) fn find<'s>(&self, sources: &'s Sources) -> Found<'s> {
        let is_meant = |source: &RegistrySource| self.registry.as_ref().is_none_or(|name| source.name.is_of(name));
        let at_path = sources.registries.iter().filter_map(|source| {
            let below = source.reader.below(&self.asked)?;
            source.reader.read(below).map(|reading| (source, reading.service.path))
        });
        let mut found: Vec<_> = at_path.filter(|(source, _)| is_meant(source)).collect();
        if found.is_empty() {
            let named = named::services(sources, &self.asked).into_iter().map(|one| (one.source, one.below));
            found = named.filter(|(source, below)| is_meant(source) && source.reader.read(below).is_some()).collect();
        }
        match found.len() {
            0 => Found::Nothing,
            1 => found.pop().map_or(Found::Nothing, |(source, below)| Found::One(source, below)),
            _ => Found::Several(found),
        }
    }

    /// The name for its heading.
    pub(super) fn asked(&self) -> &str {
        if self.asked.is_empty() { "(root)" } else { &self.asked }
    }

    /// The page where several registries have it.
    pub(super) fn several(&self, sources: &Sources, found: &[(&RegistrySource, String)]) -> Markup {
        html! {
            h1 { (path(self.asked())) }
            p { "Several registries have this service:" }
            ul {
                @for (source, below) in found {
                    li { a href=(service_url(sources, source, below)) { (path(&source.reader.full(below))) " in " (source.name) } }
                }
            }
        }
    }

    /// The page where nobody knows it, with the services that it may have been.
    pub(super) fn nothing(&self, sources: &Sources) -> Markup {
        let near = named::near(sources, &self.asked, NEAR);
        html! {
            h1 { "There is no service " (path(self.asked())) }
            @if near.is_empty() { p { "No service has a similar name. " } } @else {
                p { "Did you mean:" }
                ul { @for (source, below) in &near { li { a href=(service_url(sources, source, below)) { (path(below)) } } } }
            }
            p {
                a href={ "/?q=" (encoded(&self.asked)) } { "Search for it" } ", see "
                a href=(explain_url(&self.asked, "A")) { "why it is not answered" } ", or go "
                a href="/" { "back to all services" } "."
            }
        }
    }
}

/// All that the page of a service is made of.
struct ServiceView<'s> {
    sources: &'s Sources,
    source: &'s RegistrySource,
    reading: Reading,
    standing: Vec<InstanceStanding>,
    names: Vec<Name>,
}

/// The page of the service at `below`; none where it is not there any more.
pub(super) fn body(sources: &Sources, source: &RegistrySource, below: &str) -> Option<Markup> {
    let reader = &source.reader;
    let reading = reader.read(below)?;
    let standing = reader.standing(&reading);
    let view = ServiceView { sources, source, standing, names: services::names(reader, below), reading };
    let path_of = &view.reading.service.path;
    let full = reader.full(path_of);
    let filter = EventFilter::new(sources, Some(source.name.to_string()), Some(full.clone()));
    let events = changes::last(sources, &filter, None, CHANGES);
    Some(html! {
        p.crumbs { a href="/" { "Services" } " / " (source.name) }
        h1 { @if path_of.is_empty() { "(root)" } @else { (path(path_of)) } }
        div #summary data-live { (view.summary(&full)) }
        (section("instances", "Instances", &view.instances()))
        (optional("znodes", "Znodes that are lost or doubtful", view.malformed().as_ref()))
        (section("commands", "Commands", &view.commands()))
        (section("names", "DNS names", &view.explains()))
        (section("changes", "Last changes", &html! {
            (changes::table(sources, &events, false))
            p.quiet { a href={ "/events?name=" (encoded(&full)) } { "All changes of it" } }
        }))
        p.quiet {
            "For programs: "
            a href={ "/v1/services/" (encoded(path_of)) (registry_query(sources, source)) } { "this service as JSON" }
        }
    })
}

fn registry_query(sources: &Sources, source: &RegistrySource) -> String {
    let name = source.name.to_string();
    if sources.registries.len() > 1 { format!("?registry={}", encoded(&name)) } else { String::new() }
}

impl ServiceView<'_> {
    fn summary(&self, full: &str) -> Markup {
        let Self { source, reading: Reading { service, malformed, .. }, standing, .. } = self;
        let of = |harm| malformed.iter().filter(move |one| one.harm == harm).count();
        let (lost, doubtful) = (of(Harm::Lost), of(Harm::Doubtful));
        let (serving, out) = standing::numbers(lost, standing);
        let ttl = service.defaults.ttl.or(source.reader.ttl(&service.path));
        html! {
            dl.tiles {
                div { dt { "In DNS" } dd class=[(serving == 0).then_some("bad")] { (count(serving)) } }
                div { dt { "Out" } dd { (count(out)) } }
                div { dt { "Lost" } dd class=[(lost > 0).then_some("bad")] { (count(lost)) } }
                div { dt { "Doubtful" } dd { (count(doubtful)) } }
                div { dt { "TTL" } dd { @match ttl { Some(ttl) => { (ttl) " s" }, None => "–" } } }
            }
            dl.facts {
                dt { "Znode" } dd { (path(full)) }
                dt { "Registry" } dd { (source.name) }
                @let (format, pattern) = source.reader.convention();
                dt { "Read as" } dd { (format) ": " (pattern) }
                @for (key, value) in &service.defaults.metadata { dt { (shown(key)) } dd { (shown(value)) } }
            }
            @for drain in &service.defaults.drains { (drained(drain)) }
            @if let Some((instances, until)) = source.reader.held(&service.path) {
                p.note.warn {
                    "The guard holds back a loss: " (instances) " instances are gone and still in DNS, until "
                    (format::moment(until)) "."
                }
            }
        }
    }

    /// The instances, those that are out first.
    fn instances(&self) -> Markup {
        let all = self.reading.service.instances.iter().zip(&self.standing);
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(_, standing)| standing.out.is_none());
        if all.is_empty() {
            return none("No instance is registered: the name is known, and its answers are empty (NODATA).");
        }
        html! {
            table.cards {
                caption.unseen { "Instances" }
                thead {
                    tr {
                        th scope="col" { "Instance" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Weight" }
                        th.number scope="col" { "Priority" }
                        th.number scope="col" { "TTL" }
                        th scope="col" { "Session" }
                        th scope="col" { "Since" }
                        th scope="col" { "Drain" }
                    }
                }
                tbody { @for (instance, standing) in all.iter().take(ROWS) { (self.instance(instance, standing)) } }
            }
            (more(all.len(), &html! { code { "/v1/services/" (shown(&self.reading.service.path)) } }))
        }
    }

    fn instance(&self, instance: &Instance, standing: &InstanceStanding) -> Markup {
        let InstanceStanding { out, weight, priority, ttl, path: znode, owner, ctime, .. } = standing;
        let endpoint = instance.endpoint.to_string();
        html! {
            tr data-key=(znode) data-state=(out.as_deref().unwrap_or_default()) {
                th scope="row" data-label="Instance" title=(shown(znode.as_str())) {
                    (path(&instance.name))
                    @if *instance.name != *endpoint { div.quiet { (path(&endpoint)) } }
                    @for tag in &instance.tags { " " (badge("plain", &shown(tag))) }
                    @for (name, port) in &instance.ports { div.quiet { (shown(name)) " " (path(&port.to_string())) } }
                    @for remark in &instance.remarks { div.warn { (shown(remark)) } }
                }
                td data-label="State" {
                    @match out {
                        None => (badge("good", "in DNS")),
                        Some(reason) => { (badge("bad", "out")) " " (shown(reason)) }
                    }
                }
                td.number data-label="Weight" { (weight) }
                td.number data-label="Priority" { (priority) }
                td.number data-label="TTL" { @match ttl { Some(ttl) => { (ttl) " s" }, None => "–" } }
                td data-label="Session" {
                    @match session(*owner) { Some(id) => code { (id) }, None => span.quiet { "none" } }
                }
                td data-label="Since" { (ago(u64::try_from(*ctime).unwrap_or_default())) }
                td data-label="Drain" {
                    details {
                        summary aria-label={ "Drain " (shown(&instance.name)) } { "drain" }
                        (command("Take it out for ten minutes", &[
                            "zonekeeper", "drain", &self.named(), "--instance", &endpoint, "--for", "10m",
                        ]))
                        (command("Put it back", &["zonekeeper", "undrain", &self.named(), "--instance", &endpoint]))
                    }
                }
            }
        }
    }

    /// The service as commands take it: its path, with the root where it would be taken for something else.
    fn named(&self) -> String {
        let below = &self.reading.service.path;
        let is_plain = !below.is_empty() && !below.starts_with('-') && self.sources.registries.len() == 1;
        if is_plain { below.clone() } else { self.source.reader.full(below) }
    }

    fn malformed(&self) -> Option<Markup> {
        let mut all: Vec<&Malformed> = self.reading.malformed.iter().collect();
        all.sort_by_key(|one| one.harm != Harm::Lost);
        (!all.is_empty()).then(|| html! {
            table.cards {
                caption.unseen { "Znodes that are lost or doubtful" }
                thead { tr { th scope="col" { "Kind" } th scope="col" { "Znode" } th scope="col" { "What is wrong" } } }
                tbody {
                    @for Malformed { path: znode, reason, harm, .. } in all.iter().take(ROWS) {
                        tr {
                            td data-label="Kind" {
                                @match harm { Harm::Lost => (badge("bad", "lost")), Harm::Doubtful => (badge("warn", "doubtful")) }
                            }
                            td data-label="Znode" { (path(znode)) }
                            td data-label="What is wrong" { (shown(reason)) }
                        }
                    }
                }
            }
            (more(all.len(), &html! { a href="/v1/status" { "/v1/status" } }))
        })
    }

    fn commands(&self) -> Markup {
        let service = self.named();
        let name = self.names.first().map(|name| name.to_string().trim_end_matches('.').to_owned());
        let (server, port) = dns(&self.sources.listens);
        html! {
            @if let Some(name) = &name {
                @for (purpose, rtype) in [("Ask for its instances", "SRV"), ("Ask for its addresses", "A")] {
                    (command(purpose, &["dig", &server, "-p", &port, rtype, name]))
                }
            }
            (command("See it on a terminal", &["zonekeeper", "service", &service]))
            @if self.reading.service.defaults.drains.is_empty() {
                (command("Take all of it out for ten minutes", &["zonekeeper", "drain", &service, "--for", "10m"]))
            } @else {
                (command("Put it back", &["zonekeeper", "undrain", &service]))
            }
        }
    }

    fn explains(&self) -> Markup {
        if self.names.is_empty() {
            return none("It has no name in a zone of this server.");
        }
        html! {
            table.cards {
                caption.unseen { "DNS names" }
                thead { tr { th scope="col" { "Name" } th scope="col" { "Explain the answer for" } } }
                tbody {
                    @for name in self.names.iter().take(NAMES).map(ToString::to_string) {
                        tr {
                            th scope="row" data-label="Name" { (path(&name)) }
                            td data-label="Explain" {
                                @for rtype in ["A", "AAAA", "SRV", "TXT", "PTR"] {
                                    a href=(explain_url(&name, rtype)) aria-label={ "Explain " (rtype) " of " (shown(&name)) } { (rtype) } " "
                                }
                            }
                        }
                    }
                }
            }
            @if self.names.len() > NAMES { p.quiet { "and " (count(self.names.len() - NAMES)) " more" } }
        }
    }
}

fn drained(drain: &Drain) -> Markup {
    let Drain { instance, until, reason, by, at } = drain;
    html! {
        p.note.warn {
            @match instance { Some(instance) => (path(&instance.to_string())), None => "All of it" }
            " is drained"
            @match until { Some(until) => { " until " (format::moment(*until)) }, None => " until it is undrained" }
            @if !by.is_empty() { " by " (shown(by)) }
            @if let Some(at) = at {
                ", " (since(std::time::UNIX_EPOCH + std::time::Duration::from_secs((*at).min(u64::from(u32::MAX)))))
            }
            @if !reason.is_empty() { ": " (shown(reason)) }
        }
    }
}

/// Words for `dig` about where this server answers.
fn dns(listens: &[SocketAddr]) -> (String, String) {
    let first = listens.first().copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    let ip = match first.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    (format!("@{ip}"), first.port().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dig_asks_where_this_server_answers() {
        let dns = |listens: &[&str]| dns(&listens.iter().map(|one| one.parse().unwrap()).collect::<Vec<_>>());
        let is = |server: &str, port: &str| (server.to_owned(), port.to_owned());
        assert_eq!(dns(&["0.0.0.0:5300"]), is("@127.0.0.1", "5300"));
        assert_eq!(dns(&["[::1]:53", "127.0.0.1:54"]), is("@::1", "53"));
        assert_eq!(dns(&[]), is("@127.0.0.1", "53"));
    }

    #[test]
    fn the_path_of_a_page_may_stand_in_its_query() {
        let asked = |path: Option<&str>, query| {
            ServiceQuestion::read(path.map(str::to_owned), query).ok().map(|question| question.asked)
        };
        assert_eq!(asked(Some("a/b/"), None).as_deref(), Some("a/b"));
        assert_eq!(asked(None, Some("path=a/../b")).as_deref(), Some("a/../b"));
        assert_eq!(asked(None, None).as_deref(), Some(""));
        assert_eq!(asked(Some("a"), Some("path=x&y=1")), None);
    }
}
