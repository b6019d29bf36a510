//! An explanation as text, for a person at a terminal.

use std::fmt::Write as _;

use super::shapes::{Explanation, InFile, Local, OfName, OfRegistry};
use crate::inspect::explain::outcome::Explained;

// Writing to a string cannot fail.
pub(super) fn render(explanation: &Explanation<'_>) -> String {
    let Explanation { server, asked, r#type, notes, names, did_you_mean } = explanation;
    let mut text = String::new();
    if names.is_empty() {
        let _ = writeln!(text, "{asked} {type}");
    }
    for note in notes {
        let _ = writeln!(text, "{note}");
    }
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        one(name, &mut text);
    }
    if let Some(near) = did_you_mean {
        let _ = writeln!(text, "did you mean {near}?");
    }
    let _ = writeln!(
        text,
        "(answered by {}, zonekeeper {}, pid {}, admin {})",
        server.host, server.version, server.pid, server.admin
    );
    text
}

fn one(name: &OfName, text: &mut String) {
    let _ = writeln!(text, "{} {}", name.name, name.r#type);
    name.answer.iter().for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
    for InFile { place, name, r#type } in &name.zone_file {
        let _ = writeln!(text, "zone file {place}: {name} {type}");
    }
    for OfRegistry { registry, format, pattern, mirror, age_s, known, sources, .. } in &name.registries {
        let age = age_s.map_or("never read completely".to_owned(), |age| format!("exact {age} s ago"));
        let _ = writeln!(text, "registry {registry}: mirror {mirror}, {age}");
        // zc's and nd's are what everybody has.
        if !sources.is_empty() && !["auto", "zc", "nd"].contains(&&**format) {
            let _ = writeln!(text, "read as \"{format}\": {pattern}");
        }
        if known.is_none() && sources.is_empty() {
            text.push_str("no znode leads to this name\n");
        }
        let _ = write!(text, "{}", Explained { known: known.clone(), sources: sources.clone() });
    }
    for Local { registry, service, znode, state, reason, checks, .. } in &name.this_host {
        let znode = znode.as_deref().unwrap_or(service);
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let _ = writeln!(text, "registered from this host into {registry}: {znode} {state}{reason}");
        for check in checks {
            let _ = writeln!(text, "  check {} {} {}", check.check, check.state, check.said);
        }
    }
}
