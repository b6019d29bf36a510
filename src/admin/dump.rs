//! Whole zones and explanations, for `zonekeeper dump` and `zonekeeper explain`.

use std::fmt::Write as _;

use super::Sources;
use super::query::parameters;
use super::routes::Refusal;
use crate::export::{self, Form, Snapshot};
use crate::publish;
use crate::zone::Zones;
use crate::zone::name::Name;

/// The zones that `?zone=` chooses, or all of them, in the form `?as=` says.
pub(super) fn dump(zones: &Zones, query: Option<&str>) -> Result<(Form, String), Refusal> {
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
        let rendered = export::render(&Snapshot::take(zone), form);
        text +=
            &rendered.map_err(|error| Refusal::failed(format!("zone {} cannot be written: {error}", zone.origin())))?;
    }
    Ok((form, text))
}

/// Why `?name=` is answered as it is, for `?type=`.
pub(super) fn explain(sources: &Sources, query: Option<&str>) -> Result<String, Refusal> {
    let [name, rtype] = parameters(query, ["name", "type"], "`name` and `type`")?;
    let name = name.ok_or_else(|| Refusal::bad("`name` is missing".to_owned()))?;
    let parsed = Name::parse(&name).map_err(|error| Refusal::bad(format!("`{name}` is no name: {error}")))?.folded();
    let word = rtype.unwrap_or_else(|| "A".to_owned());
    let rtype = export::number(&word)
        .ok_or_else(|| Refusal::bad(format!("there is no type `{word}`; write TYPE65 for others")))?;
    let Some(zone) = sources.zones.find(parsed.wire()) else {
        let fate = match sources.forwarder.as_ref().filter(|forwarder| forwarder.is_on()) {
            None => "REFUSED".to_owned(),
            Some(forwarder) => format!(
                "for clients that allow_recursion allows it is forwarded, to the first of these that answers; others are \
                 REFUSED\n{}",
                forwarder.describe().trim_end()
            ),
        };
        return Ok(format!("{parsed} {word}\nno zone of this server has the name: {fate}\n"));
    };
    let data = |rtype, rdata: &[u8]| format!("{} {}", export::mnemonic(rtype), export::data(rtype, rdata));
    let mut text =
        format!("{parsed} {}\n{}", export::mnemonic(rtype), publish::explain::answer(zone, &parsed, rtype, &data));
    for source in &sources.registries {
        let Some(explained) = source.reader.explain(zone.origin(), &parsed) else { continue };
        let report = source.status.report();
        let age = report
            .fresh_at
            .map_or("never read completely".to_owned(), |at| format!("exact {} s ago", at.elapsed().as_secs()));
        let _ = write!(text, "registry {}: mirror {}, {age}\n{explained}", source.name, report.phase.as_str());
    }
    Ok(text)
}
