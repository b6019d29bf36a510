//! Whole zones, for `zonekeeper dump`.

use super::query::parameters;
use super::routes::Refusal;
use crate::export::{self, Form, Snapshot};
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
