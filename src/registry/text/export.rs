//! Writing a tree text.
//!
//! What [`parse`](super::parse) reads from it has the same paths, and the same data wherever that is as zc.zk writes
//! it; other JSON comes back compact. What cannot be said in a tree text is left out and told.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::line::{Line, STRING_VALUE, read};
use super::literal::Literal;
use crate::registry::Path;

/// A tree text and what is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    /// The text.
    pub text: String,
    /// Znodes, or whole subtrees, that cannot be said in a tree text, and why.
    pub left_out: Vec<(Path, &'static str)>,
}

/// Writes znodes, given as path and data, as a tree text. A parent that is not given is written without properties; the
/// root is not written, as a tree text has no place for it.
pub fn export<'z>(znodes: impl IntoIterator<Item = (&'z Path, &'z [u8])>) -> Export {
    // By elements, not by path: a `-` sorts before a slash, and children must follow their parent at once.
    let mut tree: BTreeMap<Vec<&str>, &[u8]> = BTreeMap::new();
    for (path, data) in znodes.into_iter().filter(|(path, _)| !path.is_root()) {
        let elements: Vec<&str> = path.as_str().split('/').skip(1).collect();
        for depth in 1..elements.len() {
            tree.entry(elements[..depth].to_vec()).or_default();
        }
        tree.insert(elements, data);
    }
    let mut export = Export::default();
    let mut without: Option<Vec<&str>> = None;
    for (elements, data) in tree {
        if without.as_ref().is_some_and(|above| elements.starts_with(above)) {
            continue;
        }
        match node(&elements, data) {
            Ok(lines) => export.text.push_str(&lines),
            Err(reason) => {
                let path = elements.iter().fold(Path::root(), |path, element| path.child(element));
                export.left_out.push((path, reason));
                without = Some(elements);
            }
        }
    }
    export
}

/// The lines of one znode.
fn node(elements: &[&str], data: &[u8]) -> Result<String, &'static str> {
    let name = elements.last().copied().unwrap_or_default();
    if !matches!(read(&format!("/{name}")), Ok(Line::Node { name: same, kind: None }) if same == name) {
        return Err("its name cannot be written on a line");
    }
    let mut properties = properties(data)?.into_iter().peekable();
    let indent = "  ".repeat(elements.len());
    let mut lines = format!("{}/{name}", &indent[2..]);
    if let Some((_, kind)) = properties.next_if(|(key, value)| key == "type" && is_line(value)) {
        let _ = write!(lines, " : {}", text(&kind));
    }
    lines.push('\n');
    for (key, value) in properties {
        let line = property(&key, &value);
        // The reader judges: what it does not read back is not written.
        match read(&line) {
            Ok(Line::Property { name, value: same }) if name == key && same == value => {
                let _ = writeln!(lines, "{indent}{line}");
            }
            _ => return Err("a property cannot be written on a line"),
        }
    }
    Ok(lines)
}

/// A property or a link as a line of a tree text has it.
pub fn property(key: &str, value: &Literal) -> String {
    let link = key.ends_with(" ->") || key.ends_with(" =>");
    if link { format!("{key} {}", text(value)) } else { format!("{key} = {value}") }
}

/// A znode's properties as zc.zk decodes them: an object in JSON, or all of the data as a text.
///
/// # Errors
/// The reason why they cannot be told.
pub fn properties(data: &[u8]) -> Result<Vec<(String, Literal)>, &'static str> {
    let Ok(data) = std::str::from_utf8(data) else {
        return Err("its data is no text");
    };
    let trimmed = data.trim();
    if trimmed.is_empty() {
        return Ok(Vec::new());
    }
    if trimmed.starts_with('{')
        && let Ok(Literal::Dict(properties)) = serde_json::from_str(trimmed)
    {
        return Ok(properties);
    }
    Ok(vec![(STRING_VALUE.to_owned(), Literal::Text(data.to_owned()))])
}

/// Returns whether a value can stand behind the colon of a znode's line.
fn is_line(value: &Literal) -> bool {
    let text = text(value);
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

fn text(value: &Literal) -> &str {
    match value {
        Literal::Text(text) => text,
        _ => "",
    }
}
