//! Lines of a tree text.

use super::literal::Literal;
use super::python::{self, Fault};

/// The property that holds data which is no JSON object.
pub(super) const STRING_VALUE: &str = "string_value";

/// Meaning of a line.
pub(super) enum Line<'t> {
    Node { name: &'t str, kind: Option<&'t str> },
    Property { name: String, value: Literal },
}

/// A fault at a byte of a line.
pub(super) fn fault(at: usize, message: String) -> Fault {
    Fault::error(at, message)
}

/// Reads what a line says, without its indentation.
pub(super) fn read(line: &str) -> Result<Line<'_>, Fault> {
    if let Some(node) = line.strip_prefix('/') {
        return read_node(node).map_err(|message| fault(0, message.to_owned()));
    }
    let end = line.char_indices().find(|(at, c)| *c == '=' || c.is_whitespace() || line[*at..].starts_with("->"));
    let (name, rest) = line.split_at(end.map_or(line.len(), |(at, _)| at));
    let sign = rest.trim_start();
    let at = line.len() - sign.len();
    if name.is_empty() {
        return Err(fault(0, "a name is missing before the sign".to_owned()));
    }
    if let Some(target) = sign.strip_prefix("=>") {
        // zc.zk's own exports have such a link as a property with the arrow in its name, `name => = u'/path'`.
        if let Some(value) = target.trim_start().strip_prefix('=')
            && let Ok(value @ Literal::Text(_)) = python::parse(value)
        {
            return Ok(Line::Property { name: format!("{name} =>"), value });
        }
        return read_link(name, "=>", target, 2).map_err(|message| fault(at, message));
    }
    if let Some(target) = sign.strip_prefix("->") {
        return read_link(name, "->", target, 1).map_err(|message| fault(at, message));
    }
    let Some(value) = sign.strip_prefix('=') else {
        let message = "neither `/znode`, `property = value`, `link -> path` nor `property => path property`";
        return Err(fault(0, message.to_owned()));
    };
    match python::parse(value) {
        Ok(value) => Ok(Line::Property { name: name.to_owned(), value }),
        Err(inner) => Err(inner.map(|within| at + 1 + within)),
    }
}

/// `name`, `name : type`; colons in the name are the usual thing.
fn read_node(node: &str) -> Result<Line<'_>, &'static str> {
    let (word, rest) = node.split_once(char::is_whitespace).unwrap_or((node, ""));
    let rest = rest.trim_start();
    let (name, kind) = match rest.strip_prefix(':') {
        _ if rest.is_empty() => (word, None),
        Some(kind) => (word, Some(kind.trim_start())),
        // `name: type`, where the colon is the word's last character or the type begins in the word.
        None => match word.rfind(':') {
            Some(colon) => (&word[..colon], Some(node[colon + 1..].trim_start())),
            None => return Err("a znode's name has no spaces; a type stands behind a colon"),
        },
    };
    match kind {
        _ if name.is_empty() => Err("the znode's name is missing"),
        Some("") => Err("the type is missing behind the colon"),
        kind => Ok(Line::Node { name, kind }),
    }
}

/// A link's target: a path, and for `=>` a property's name if it is another.
fn read_link<'t>(name: &str, sign: &str, target: &str, most: usize) -> Result<Line<'t>, String> {
    let words: Vec<&str> = target.split_whitespace().collect();
    match words.len() {
        0 => Err(format!("a path is missing behind `{sign}`")),
        found if found > most => Err(match most {
            1 => "a link has one path and nothing else".to_owned(),
            _ => "a property link has a path, a property's name and nothing else".to_owned(),
        }),
        _ => Ok(Line::Property { name: format!("{name} {sign}"), value: Literal::Text(words.join(" ")) }),
    }
}
