//! A tree in JSON: what a tree text cannot say can be said here, binary data and rights among it.
//!
//! ```text
//! {
//! "/services": {},
//! "/services/api_x": {"properties":{"owner":"team"},"acl":["world:anyone:r"]},
//! "/services/api_x/logo": {"data_base64":"iVBORw0="},
//! "/services/api_x/motd": {"data":"hello"}
//! }
//! ```
//!
//! `properties` is the data byte for byte where those are a JSON object; `ephemeral` tells that the znode went with its
//! session.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::problem::TextProblem;
use crate::diagnostic::{Location, Problem};
use crate::registry::Path;

/// Znode of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeNode {
    /// Its data.
    pub data: Vec<u8>,
    /// Its rights, as `scheme:id:rights`; none where they are not said.
    pub acl: Vec<String>,
    /// True if it went with its session.
    pub is_ephemeral: bool,
}

/// Znode as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNode<'t> {
    #[serde(borrow)]
    properties: Option<&'t RawValue>,
    data: Option<String>,
    data_base64: Option<String>,
    #[serde(default)]
    acl: Vec<String>,
    #[serde(default)]
    ephemeral: bool,
}

/// Writes a tree. `tree` has each znode before those below it.
pub fn write_tree<'t>(tree: impl Iterator<Item = (&'t str, &'t TreeNode)>) -> String {
    let mut text = String::from("{");
    for (index, (path, node)) in tree.enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        let _ = write!(text, "{}: {}", serde_json::Value::from(path), line(node));
    }
    text.push_str("\n}\n");
    text
}

fn line(node: &TreeNode) -> String {
    let mut parts = Vec::new();
    match std::str::from_utf8(&node.data) {
        Ok("") => {}
        // As it is, but for the ends of its lines, which mean nothing there.
        Ok(data) if data.starts_with('{') && serde_json::from_str::<BTreeMap<String, &RawValue>>(data).is_ok() => {
            if data.contains(['\n', '\r']) {
                parts.push(format!("\"data\":{}", serde_json::Value::from(data)));
            } else {
                parts.push(format!("\"properties\":{data}"));
            }
        }
        Ok(data) => parts.push(format!("\"data\":{}", serde_json::Value::from(data))),
        Err(_) => parts.push(format!("\"data_base64\":\"{}\"", BASE64.encode(&node.data))),
    }
    if !node.acl.is_empty() {
        parts.push(format!("\"acl\":{}", serde_json::Value::from(node.acl.clone())));
    }
    if node.is_ephemeral {
        parts.push("\"ephemeral\":true".to_owned());
    }
    format!("{{{}}}", parts.join(","))
}

/// Reads a tree. A parent that is not said is a znode without data.
///
/// # Errors
/// The first thing that is wrong with the JSON, or all that is wrong with the znodes.
pub(super) fn parse_tree(text: &str) -> Result<BTreeMap<Path, TreeNode>, Vec<TextProblem>> {
    let read: Result<BTreeMap<String, WrittenNode<'_>>, _> = serde_json::from_str(text);
    let read = read.map_err(|error| {
        let (line, column) = (error.line().max(1), error.column().max(1));
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
        vec![Problem::error(Location { path: PathBuf::new(), line, column, width: 1 }, message)]
    })?;
    let (mut tree, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, written) in read {
        match node(&name, written) {
            Ok((path, node)) => drop(tree.insert(path, node)),
            Err(message) => {
                let before = text.find(&format!("\"{name}\"")).map_or("", |at| &text[..at]);
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                let at = Location { path: PathBuf::new(), line, column, width: name.chars().count() + 2 };
                problems.push(Problem::error(at, message));
            }
        }
    }
    if problems.is_empty() { Ok(tree) } else { Err(problems) }
}

fn node(name: &str, written: WrittenNode<'_>) -> Result<(Path, TreeNode), String> {
    let path = Path::new(name).map_err(|error| error.to_string())?;
    let data = match (written.properties, written.data, written.data_base64) {
        (None, None, None) => Vec::new(),
        (Some(properties), None, None) if properties.get().starts_with('{') => properties.get().as_bytes().to_vec(),
        (Some(_), None, None) => return Err(format!("the properties of {path} are not an object")),
        (None, Some(data), None) => data.into_bytes(),
        (None, None, Some(coded)) => {
            BASE64.decode(coded.as_bytes()).map_err(|error| format!("the data of {path} are not Base64: {error}"))?
        }
        _ => return Err(format!("{path} has data more than once: `properties`, `data` or `data_base64`")),
    };
    Ok((path, TreeNode { data, acl: written.acl, is_ephemeral: written.ephemeral }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        parse_tree(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let node = |data: &[u8]| TreeNode { data: data.to_vec(), ..TreeNode::default() };
        let tree = [
            ("/a", node(br#"{"b" : 1.0,"c":"\u00fc"}"#)),
            ("/a/empty", node(b"")),
            ("/a/lines", node(b"{\n\"b\":1}\n")),
            ("/a/list", node(b"[1]")),
            ("/a/binary", node(b"\xff\0")),
            ("/a/own", TreeNode { acl: vec!["world:anyone:r".into()], is_ephemeral: true, ..node(b"{}") }),
            ("/ü \"x\"", node(b"{no json")),
        ];
        let text = write_tree(tree.iter().map(|(path, node)| (*path, node)));
        let back = parse_tree(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let expected: BTreeMap<Path, TreeNode> =
            tree.into_iter().map(|(path, node)| (Path::new(path).unwrap(), node)).collect();
        assert_eq!(back, expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(lines("{\n\"/a\": {}\n\"/b\": {}}"), ["3:1: expected `,` or `}`"]);
        assert_eq!(lines("{\"/a\":{},\n \"b\": {}}"), ["2:2: `b` is not a znode path: it must begin with a slash"]);
        assert!(lines("{\"/a\":{\"colour\":1}}")[0].contains("unknown field `colour`"));
        assert!(lines("{\"/a\":{\"data\":\"\",\"data_base64\":\"\"}}")[0].contains("/a has data more than once"));
    }
}
