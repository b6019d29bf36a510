//! Why names are answered as they are, for `zonekeeper explain`: finds what is meant, gathers what every part knows of
//! it, and gives that as text ([`words`]) or as JSON.

mod local;
mod meant;
pub(super) mod shapes;
mod words;

use super::query::parameters;
use super::reply::Refusal;
use super::sources::{RegistrySource, Sources};
use crate::inspect::explain::{self, outcome::NameSource};
use crate::log;
use crate::model::Harm;
use crate::publish::collisions::CollisionKind;
use crate::zone::Zone;
use crate::zone::file::{self, Placed};
use crate::zone::name::Name;
use crate::zone::rdata;
use crate::zone::record::rtype;
use local::{local, outside};
use meant::Meant;
pub(super) use shapes::{Explanation, ServerJson};
use shapes::{InFile, InstanceJson, OfName, OfRegistry, ProblemJson, ServiceJson};

/// Types of records below which nothing is the registry's.
const CUTS: [u16; 2] = [rtype::NS, rtype::DNAME];

/// Records of a zone file that are listed.
const MAX_PLACES: usize = 20;

/// The form of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerForm {
    Text,
    Json,
}

/// Explains why `?name=` is answered as it is, for `?type=`, in the form `?as=` says.
pub(super) fn explain(
    sources: &Sources,
    server: &ServerJson,
    query: Option<&str>,
) -> Result<(AnswerForm, String), Refusal> {
    let [name, rtype, form] = parameters(query, ["name", "type", "as"], "`name`, `type` and `as`")?;
    let asked = name.ok_or_else(|| Refusal::bad("`name` is missing".to_owned()))?;
    let form = match form.as_deref() {
        None | Some("text") => AnswerForm::Text,
        Some("json") => AnswerForm::Json,
        Some(other) => return Err(Refusal::bad(format!("there is no form `{other}`, only text and json"))),
    };
    let explanation = explanation(sources, server, asked, rtype)?;
    let text = match form {
        AnswerForm::Text => log::visible(&words::render(&explanation)).into_owned(),
        AnswerForm::Json => serde_json::to_string(&explanation)
            .map_err(|error| Refusal::failed(format!("cannot write the answer as JSON: {error}")))?,
    };
    Ok((form, text))
}

/// Explains why `asked` is answered as it is, for a type by its name.
pub(super) fn explanation<'s>(
    sources: &Sources,
    server: &'s ServerJson,
    asked: String,
    rtype: Option<String>,
) -> Result<Explanation<'s>, Refusal> {
    let wanted = rtype.map(|word| {
        rdata::type_number(&word)
            .ok_or_else(|| Refusal::bad(format!("there is no type `{word}`; write TYPE65 for others")))
    });
    let wanted = wanted.transpose()?;
    let Meant { names, mut notes } = meant::find(sources, &asked, wanted)?;
    let mut explained: Vec<OfName> = names
        .iter()
        .filter_map(|(name, rtype)| Some(of_name(sources, sources.zones.find(name.wire())?, name, *rtype)))
        .collect();
    if explained.is_empty() && notes.is_empty() {
        notes.push(outside(sources));
    }
    // Of several zones, those that have the name.
    if explained.len() > 1 && explained.iter().any(|one| !one.is_nothing()) {
        explained.retain(|one| !one.is_nothing());
    }
    let did_you_mean = if explained.iter().all(OfName::is_nothing) { meant::near(sources, &asked) } else { None };
    let rtype = rdata::mnemonic(wanted.unwrap_or(rtype::A));
    Ok(Explanation { server, asked, r#type: rtype, notes, names: explained, did_you_mean })
}

fn of_name(sources: &Sources, zone: &Zone, name: &Name, rtype: u16) -> OfName {
    let data = |rtype, rdata: &[u8]| format!("{} {}", rdata::mnemonic(rtype), rdata::text(rtype, rdata));
    let explain::ZoneAnswer { text: mut answer, is_cut } = explain::answer(zone, name, rtype, &data);
    let in_file = in_file(sources, zone, name);
    let cut = in_file.iter().find(|placed| placed.owner != *zone.origin() && CUTS.contains(&placed.rtype));
    let is_of_host = [rtype::A, rtype::AAAA, rtype::CNAME].contains(&rtype);
    if in_file.is_empty() && zone.fixed().is_some_and(|fixed| makes(fixed, name)) {
        answer += "the zone itself makes this name: its SOA and name server, and the addresses that are listened on\n";
    }
    let winner = in_file.iter().find(|placed| {
        placed.owner == *name && (placed.rtype == rtype || [rtype::CNAME, rtype::DNAME].contains(&placed.rtype))
    });
    let mut registries = Vec::new();
    for source in &sources.registries {
        let Some(mut explained) = source.reader.explain(zone.origin(), name) else { continue };
        let clash = || source.reader.clash(zone.origin(), name);
        let hidden_by = match winner {
            Some(placed) => Some(format!("the zone file, {}", placed.place)),
            None if is_cut => {
                Some(cut.map_or("a delegation".to_owned(), |cut| format!("the zone file, {}", cut.place)))
            }
            None if is_of_host && clash().is_some_and(|clash| clash.kind == CollisionKind::Server) => {
                Some("the zone's own name server, which has this name".to_owned())
            }
            None => None,
        };
        for one in &mut explained.sources {
            if let Some(by) = hidden_by.clone().or_else(|| preceding(source, zone.origin(), &one.service)) {
                one.hide(&by);
            }
        }
        let report = source.status.report();
        let (format, pattern) = source.reader.convention();
        registries.push(OfRegistry {
            registry: source.name.to_string(),
            format: format.to_owned(),
            pattern: pattern.to_owned(),
            mirror: report.phase.as_str(),
            age_s: report.fresh_at.map(|at| at.elapsed().as_secs()),
            known: explained.known,
            services: explained.sources.iter().map(|one| service(one, &source.reader)).collect(),
            sources: explained.sources,
        });
    }
    OfName {
        name: name.to_string(),
        r#type: rdata::mnemonic(rtype),
        zone: zone.origin().to_string(),
        answer: answer.lines().map(str::to_owned).collect(),
        zone_file: in_file.into_iter().map(InFile::new).collect(),
        registries,
        this_host: local(sources, name),
    }
}

/// The reader that goes first and has a service of this name, where that is so.
fn preceding(source: &RegistrySource, origin: &Name, service: &str) -> Option<String> {
    let reader = source.name.reader.as_ref().map(|_| &source.reader)?;
    let clashes = || reader.owners(service).into_iter().filter_map(|owner| reader.clash(origin, &owner));
    let clash = clashes().find(|clash| clash.kind == CollisionKind::Preceded)?;
    let first = clash.paths.first()?;
    reader.is_preceded(service).then(|| format!("{first}, which goes before it"))
}

/// Returns whether the zone without its registry has records at a name.
fn makes(fixed: &Zone, name: &Name) -> bool {
    fixed.load().get(name.wire()).is_some_and(|entry| entry.sets().next().is_some())
}

fn service(source: &NameSource, reader: &crate::inspect::reader::Reader) -> ServiceJson {
    let of = |harm: Harm| {
        let those = source.malformed.iter().filter(|one| one.harm == harm);
        those.map(|one| ProblemJson { path: one.path.clone(), reason: one.reason.clone() }).collect()
    };
    ServiceJson {
        path: source.path.clone(),
        names: reader.names(&source.service).iter().map(ToString::to_string).collect(),
        form: source.form.clone(),
        hidden_by: source.hidden_by.clone(),
        notes: source.notes.clone(),
        instances: source
            .instances
            .iter()
            .map(|one| InstanceJson {
                name: one.name.clone(),
                r#in: one.is_in,
                why: one.words.clone(),
                notes: one.notes.clone(),
            })
            .collect(),
        lost: of(Harm::Lost),
        doubtful: of(Harm::Doubtful),
    }
}

/// The records of a zone's file that decide about a name: its own, those of cuts and redirections above it, and, where
/// it does not exist, the wildcards that may stand for it.
fn in_file(sources: &Sources, zone: &Zone, name: &Name) -> Vec<Placed> {
    let origin = zone.origin();
    let Some((_, status)) = sources.files.iter().find(|(of, _)| *of == origin.to_string()) else { return Vec::new() };
    let table = zone.load();
    let exists = table.get(name.wire()).is_some();
    let mut placed = file::places(&status.report().path, origin, &|owner| {
        let above = owner.labels().next().filter(|label| *label == b"*").and_then(|_| owner.parent());
        let stands_for = !exists && above.is_some_and(|above| name.is_at_or_below(&above));
        name.is_at_or_below(owner) || stands_for
    });
    placed.retain(|one| {
        one.owner == *name || !name.is_at_or_below(&one.owner) || (CUTS.contains(&one.rtype) && one.owner != *origin)
    });
    placed.truncate(MAX_PLACES);
    placed
}
