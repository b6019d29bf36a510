//! Lists in the tables of `[dns]`.

use std::net::SocketAddr;

use crate::diagnostic::Problems;
use crate::settings::{Key, Kind, Located, Section, Setting, Value};

/// Reads the addresses of `[TABLE]`, each by itself, so that all that are wrong are told at once.
pub(in crate::dns) fn read_listen(value: &Value, table: &str, problems: &Problems) -> Vec<SocketAddr> {
    let Kind::Array(items) = &value.kind else {
        let help = "for example [\"127.0.0.1:5300\", \"[::1]:5300\"]";
        problems.add_with_help(value.span, format!("`listen` must be a list, not {}", value.kind.name()), help);
        return Vec::new();
    };
    let mut listen = Vec::new();
    for item in items {
        match SocketAddr::read(item) {
            Err((span, message)) => problems.add(span, format!("`listen` has an element that {message}")),
            // Port 0 is a free port each time.
            Ok(address) if address.port() != 0 && listen.contains(&address) => {
                problems.add(item.span, format!("`listen` names {address} twice"));
            }
            Ok(address) => listen.push(address),
        }
    }
    if items.is_empty() {
        let help = format!("leave the [{table}] table out to serve none of it");
        problems.add_with_help(value.span, "`listen` must name an address", help);
    }
    listen
}

/// A list of strings that `parse` makes something of; its problem is told at the element it is about.
pub(in crate::dns) fn read_list<T>(
    section: &mut Section<'_>,
    key: Key,
    parse: impl FnOnce(&[String]) -> Result<T, (usize, String)>,
) -> Option<T> {
    let Located { value, span } = section.located::<Vec<String>>(key)?;
    let (index, problem) = match parse(&value) {
        Ok(parsed) => return Some(parsed),
        Err(problem) => problem,
    };
    let element = match section.value(key).map(|value| &value.kind) {
        Some(Kind::Array(elements)) => elements.get(index).map_or(span, |element| element.span),
        _ => span,
    };
    section.problems().add(element, format!("`{key}` has an element that {problem}"));
    None
}
