//! Whole zones, for `zonekeeper dump`.

use super::query::parameters;
use super::reply::Refusal;
use super::snapshot::MALFORMED_SHOWN;
use super::sources::Sources;
use crate::export::{self, Beside, Form, Snapshot};
use crate::model::{Harm, Malformed};
use crate::zone::Zone;
use crate::zone::name::Name;

/// The zones that `?zone=` chooses, or all of them, in the form `?as=` says.
pub(super) fn dump(sources: &Sources, query: Option<&str>) -> Result<(Form, String), Refusal> {
    let zones = &sources.zones;
    let [form, zone] = parameters(query, ["as", "zone"], "`as` and `zone`")?;
    let form = form.as_deref().unwrap_or("zone");
    let form = Form::named(form)
        .ok_or_else(|| Refusal::bad(format!("there is no form `{form}`, only zone, json and hosts")))?;
    let chosen = zone.map(|zone| {
        Name::parse(&zone).map(|name| name.folded()).map_err(|error| Refusal::bad(format!("`{zone}`: {error}")))
    });
    let chosen = chosen.transpose()?;
    let shown: Vec<_> = zones.iter().filter(|zone| chosen.as_ref().is_none_or(|name| zone.origin() == name)).collect();
    if let Some(name) = chosen.filter(|_| shown.is_empty()) {
        return Err(Refusal::not_found(format!("there is no zone {name} here")));
    }
    let mut text = String::new();
    for zone in shown {
        let rendered = export::render(&Snapshot::take(zone).with(beside(sources, zone)), form);
        text +=
            &rendered.map_err(|error| Refusal::failed(format!("zone {} cannot be written: {error}", zone.origin())))?;
    }
    Ok((form, text))
}

/// Gathers what the registries of a zone say of it besides its records.
fn beside(sources: &Sources, zone: &Zone) -> Beside {
    let mut beside = Beside::default();
    let is_of = |shown: &std::sync::Arc<Zone>| shown.origin() == zone.origin();
    for source in sources.registries.iter().filter(|source| source.zones.iter().any(is_of)) {
        for path in source.reader.paths() {
            let names = source.reader.names(&path).into_iter().filter(|name| name.is_at_or_below(zone.origin()));
            let names: Vec<String> = names.map(|name| name.to_string()).collect();
            if !names.is_empty() {
                beside.paths.push((path, names));
            }
        }
        let of = |harm| {
            let (_, wrong) = source.reader.problems.of(harm, MALFORMED_SHOWN);
            wrong.into_iter().map(|Malformed { path, reason, .. }| (path, reason))
        };
        beside.lost.extend(of(Harm::Lost));
        beside.doubtful.extend(of(Harm::Doubtful));
    }
    beside
}
