//! The explanation of a name's answer, as a page.

use maud::{Markup, html};

use super::parts::{badge, encoded, explain_url, path, shown, znode};
use super::shell::section;
use crate::admin::explain::{self, Explanation, ServerJson, shapes};
use crate::admin::query::{parameters, seconds};
use crate::admin::reply::Refusal;
use crate::admin::sources::Sources;

/// Types that are offered; others can be written into the address.
const TYPES: [&str; 8] = ["A", "AAAA", "SRV", "TXT", "PTR", "HTTPS", "NS", "ANY"];

/// The name that is to be explained.
#[derive(Debug, Default)]
pub(super) struct ExplainQuestion {
    /// Empty where nothing is asked yet.
    pub(super) name: String,
    rtype: Option<String>,
    pub(super) refresh: Option<u16>,
}

impl ExplainQuestion {
    /// Reads `?name=`, `type` and `refresh`.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let [name, rtype, refresh] = parameters(query, ["name", "type", "refresh"], "`name`, `type` and `refresh`")?;
        let rtype = rtype.filter(|word| !word.is_empty()).map(|word| word.to_ascii_uppercase());
        Ok(Self { name: name.unwrap_or_default().trim().to_owned(), rtype, refresh: seconds(refresh)? })
    }

    /// Address of its page.
    pub(super) fn url(&self) -> String {
        let rtype = self.rtype.as_deref().map(|rtype| format!("&type={}", encoded(rtype))).unwrap_or_default();
        if self.name.is_empty() {
            "/explain".to_owned()
        } else {
            format!("/explain?name={}{rtype}", encoded(&self.name))
        }
    }

    /// The page: the form and, where something is asked, its explanation, or why there is none.
    pub(super) fn body(&self, sources: &Sources, server: &ServerJson) -> (Markup, Option<Refusal>) {
        let asked = (!self.name.is_empty())
            .then(|| explain::explanation(sources, server, self.name.clone(), self.rtype.clone()));
        let (explained, refusal) = match asked {
            None => (html! {}, None),
            Some(Ok(explanation)) => (explained(sources, &explanation), None),
            Some(Err(refusal)) => (html! { p.note.bad { (shown(&refusal.1)) } }, Some(refusal)),
        };
        let body = html! {
            h1 { "Explain" }
            p.quiet { "Why is a name answered as it is, and why is an instance not in an answer?" }
            (form(&self.name, self.rtype.as_deref()))
            (explained)
        };
        (body, refusal)
    }
}

/// The form that asks for an explanation.
pub(super) fn form(name: &str, rtype: Option<&str>) -> Markup {
    html! {
        form action="/explain" {
            div.fields {
                div {
                    label for="name" { "Name, path or address" }
                    input #name type="text" name="name" value=(name) required autocomplete="off" spellcheck="false"
                        placeholder="api_x.service";
                }
                div {
                    label for="type" { "Type" }
                    select #type name="type" {
                        @for word in TYPES { option selected[rtype == Some(word)] { (word) } }
                        @if let Some(other) = rtype.filter(|other| !TYPES.contains(other)) { option selected { (other) } }
                    }
                }
                button { "Explain" }
            }
        }
    }
}

fn explained(sources: &Sources, explanation: &Explanation<'_>) -> Markup {
    let Explanation { asked, r#type: rtype, notes, names, did_you_mean, .. } = explanation;
    html! {
        @if !notes.is_empty() || did_you_mean.is_some() {
            div #notes data-live {
                @for note in notes { p.note { (shown(note)) } }
                @if let Some(near) = did_you_mean {
                    p.note { "Did you mean " a href=(explain_url(near, rtype)) { (shown(near)) } "?" }
                }
            }
        }
        @for (i, name) in names.iter().enumerate() {
            (section(&format!("name-{i}"), &format!("{} {}", shown(&name.name), name.r#type), &one(sources, name)))
        }
        p.quiet {
            "For programs: "
            a href={ "/v1/explain?as=json&name=" (encoded(asked)) "&type=" (encoded(rtype)) } { "this explanation as JSON" }
        }
    }
}

fn one(sources: &Sources, name: &shapes::OfName) -> Markup {
    html! {
        pre.answer { @for line in &name.answer { (shown(line)) "\n" } }
        @if !name.zone_file.is_empty() {
            h3 { "In the zone file" }
            ul { @for line in &name.zone_file { li { code { (shown(&line.place)) } ": " (path(&line.name)) " " (line.r#type) } } }
        }
        @for registry in &name.registries { (of_registry(sources, registry)) }
        @if !name.this_host.is_empty() {
            h3 { "Registered from this host" }
            ul {
                @for one in &name.this_host {
                    li {
                        (path(one.znode.as_deref().unwrap_or(&one.service))) " into " (shown(&one.registry)) ": "
                        (badge(if one.is_registered { "good" } else { "bad" }, one.state))
                        @if let Some(reason) = &one.reason { " " (shown(reason)) }
                        @if !one.checks.is_empty() {
                            ul { @for check in &one.checks { li { (shown(&check.check)) " " (check.state) ": " (shown(&check.said)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn of_registry(sources: &Sources, registry: &shapes::OfRegistry) -> Markup {
    let source = sources.registries.iter().find(|source| source.name.to_string() == registry.registry);
    html! {
        h3 { "Registry " (shown(&registry.registry)) }
        p.quiet {
            "Mirror " (registry.mirror) ", "
            @match registry.age_s { Some(age) => { "exact " (age) " s ago" }, None => "never read completely" }
        }
        @if let Some(known) = &registry.known { p { (shown(known)) } }
        @if registry.known.is_none() && registry.services.is_empty() { p { "No znode leads to this name." } }
        @for service in &registry.services {
            p {
                @match source { Some(source) => (znode(sources, source, &service.path)), None => (path(&service.path)) }
                ": " (shown(&service.form))
            }
            @if let Some(by) = &service.hidden_by { p.note.warn { "It is hidden by " (shown(by)) "." } }
            @for note in &service.notes { p { (shown(note)) } }
            @if !service.instances.is_empty() { (instances(&service.instances)) }
            @for (word, class, problems) in [("lost", "bad", &service.lost), ("doubtful", "warn", &service.doubtful)] {
                @for problem in problems { p { (badge(class, word)) " " (path(&problem.path)) ": " (shown(&problem.reason)) } }
            }
        }
    }
}

fn instances(instances: &[shapes::InstanceJson]) -> Markup {
    html! {
        table.cards {
            caption.unseen { "Instances" }
            thead { tr { th scope="col" { "Instance" } th scope="col" { "State" } th scope="col" { "Why" } } }
            tbody {
                @for one in instances {
                    tr {
                        th scope="row" data-label="Instance" { (path(&one.name)) }
                        td data-label="State" { @if one.r#in { (badge("good", "in")) } @else { (badge("bad", "out")) } }
                        td data-label="Why" {
                            (shown(&one.why))
                            @for note in &one.notes { div.quiet { (shown(note)) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_is_written() {
        for url in ["/explain", "/explain?name=api_x.service&type=SRV", "/explain?name=/services/a%20b"] {
            let query = url.split_once('?').map(|(_, query)| query);
            assert_eq!(ExplainQuestion::read(query).ok().map(|question| question.url()).as_deref(), Some(url));
        }
        let form = form("<b>", Some("TYPE65400")).into_string();
        assert!(
            form.contains(r#"value="&lt;b&gt;""#) && form.contains("<option selected>TYPE65400</option>"),
            "{form}"
        );
    }
}
