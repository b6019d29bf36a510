//! zc.zk's tree text: a registry as a person writes it, the seed of an in-memory ensemble.
//!
//! ```text
//! # a comment
//! /services
//!   /api_x : api
//!     owner = 'team'
//!     backup -> /services/api_y
//!     timeout => /defaults http_timeout
//!     /providers
//!       /192.168.0.42:8080
//!         weight = 10
//! ```
//!
//! `/name` is a znode, `: type` its property `type`; `name = value` is a property of the znode above it,
//! `name -> path` a link to another znode, `name => path property` a link to another znode's property, both kept as
//! properties called `name ->` and `name =>`. What belongs to one znode has one indentation, deeper than the znode's
//! own: by spaces or by tabs, one of them for the whole text. (zc.zk counts a tab as one space, so that a mixture nests
//! in ways that nobody sees.) A line beginning with a slash is always a znode; zc.zk takes `/a=1` for a property.
//!
//! - `literal`: the values; `python` reads them, `arithmetic` has what may stand between them. [`export()`] writes such
//!   a text.
//! - `json`: a tree in JSON, for what a tree text cannot say.
//!
//! All that is wrong with a text is reported at once, by line and column.

mod arithmetic;
mod export;
mod json;
mod line;
mod literal;
mod problem;
mod python;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

pub use self::export::{Export, export, properties, property};
pub use self::json::{TreeNode, write_tree};
use self::line::{Line, STRING_VALUE, fault, read};
pub use self::literal::Literal;
pub use self::problem::TextProblem;
use self::python::Fault;
use super::Path;
use crate::diagnostic::Location;

/// Limit of nested znodes.
const DEPTH: usize = 100;

/// A znode of a tree text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextNode {
    /// Its path.
    pub path: Path,
    /// Its properties, links among them, in the order of the text.
    pub properties: Vec<(String, Literal)>,
}

impl TextNode {
    /// The znode's data as zc.zk encodes properties: a text that is called `string_value` and alone stands for itself,
    /// everything else is compact JSON, nothing is `{}`.
    pub fn data(&self) -> Vec<u8> {
        match self.properties.as_slice() {
            [(name, Literal::Text(text))] if name == STRING_VALUE => text.clone().into_bytes(),
            properties => Literal::Dict(properties.to_vec()).to_json(),
        }
    }
}

/// Reads a tree text. Parents come before their children.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn parse(text: &str) -> Result<Vec<TextNode>, Vec<TextProblem>> {
    let mut reader = TextReader::default();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        if let Err(fault) = reader.line(line) {
            let column = line.get(..fault.at).unwrap_or(line).chars().count() + 1;
            let at = Location { path: PathBuf::new(), line: index + 1, column, width: 1 };
            reader.problems.push(fault.map(|_| at));
        }
    }
    if reader.problems.is_empty() { Ok(reader.nodes) } else { Err(reader.problems) }
}

/// Reads a tree: a tree text, or JSON as [`write_tree`] writes it.
///
/// # Errors
/// All that is wrong with it; of JSON that is not valid the first.
pub fn read_tree(text: &str) -> Result<BTreeMap<Path, TreeNode>, Vec<TextProblem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return json::parse_tree(text);
    }
    let node = |node: TextNode| {
        let data = node.data();
        (node.path, TreeNode { data, ..TreeNode::default() })
    };
    parse(text).map(|nodes| nodes.into_iter().map(node).collect())
}

/// Returns whether the data of two znodes say the same properties, whatever their order and spaces.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let (Ok(one), Ok(other)) = (properties(one), properties(other)) else { return false };
    Literal::Dict(one).is_like(&Literal::Dict(other))
}

/// State of the reading. After a problem it goes on with the likeliest meaning, to find the next one.
#[derive(Default)]
struct TextReader {
    nodes: Vec<TextNode>,
    known: HashSet<Path>,
    levels: Vec<Level>,
    /// The character of the text's indentation.
    indent: Option<char>,
    problems: Vec<TextProblem>,
}

/// Lines of one indentation that belong to one znode.
struct Level {
    indent: usize,
    /// Index of the znode they belong to; none at the top.
    owner: Option<usize>,
    /// Index of the znode that the last line is; none where it is a property.
    last: Option<usize>,
}

impl TextReader {
    fn line(&mut self, line: &str) -> Result<(), Fault> {
        let line = line.trim_end();
        let said = line.trim_start();
        if said.is_empty() || said.starts_with('#') {
            return Ok(());
        }
        let at = line.len() - said.len();
        let mixed = self.mixed(&line[..at]);
        let placed = self.place(at);
        let read = read(said).map_err(|fault| fault.map(|within| at + within));
        let added = match read {
            Ok(Line::Node { name, kind }) => self.node(name, kind).map_err(|message| fault(at, message)),
            Ok(Line::Property { name, value }) => self.property(name, value).map_err(|message| fault(at, message)),
            Err(fault) => Err(fault),
        };
        // One problem a line: a second one would mostly be a consequence.
        mixed.and(placed.map_err(|message| fault(at, message))).and(added)
    }

    fn mixed(&mut self, indent: &str) -> Result<(), Fault> {
        for (at, character) in indent.char_indices() {
            if !matches!(character, ' ' | '\t') {
                return Err(fault(at, "indent with spaces or with tabs".to_owned()));
            }
            if *self.indent.get_or_insert(character) != character {
                return Err(fault(
                    at,
                    "this text is indented with spaces and with tabs: keep to one of them".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Finds the level of a line with this indentation.
    fn place(&mut self, indent: usize) -> Result<(), String> {
        let Some(top) = self.levels.last() else {
            self.levels.push(Level { indent, owner: None, last: None });
            return Ok(());
        };
        if indent > top.indent {
            let owner = top.last;
            self.levels.push(Level { indent, owner: owner.or(top.owner), last: None });
            return match owner {
                Some(_) => Ok(()),
                None => Err("nothing can be indented below a property".to_owned()),
            };
        }
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| indent < level.indent) {
            self.levels.pop();
        }
        match self.levels.last() {
            Some(level) if level.indent == indent => Ok(()),
            _ => Err("the indentation is not that of any line above it".to_owned()),
        }
    }

    fn node(&mut self, name: &str, kind: Option<&str>) -> Result<(), String> {
        let owner = self.levels.last().and_then(|level| level.owner);
        let path = owner.map_or_else(Path::root, |owner| self.nodes[owner].path.clone()).child(name);
        let properties = kind.map(|kind| ("type".to_owned(), Literal::Text(kind.to_owned()))).into_iter().collect();
        let new = self.known.insert(path.clone());
        self.nodes.push(TextNode { path: path.clone(), properties });
        let index = self.nodes.len() - 1;
        if let Some(level) = self.levels.last_mut() {
            level.last = Some(index);
        }
        if name.contains('/') {
            return Err(format!("`{name}` is more than one name: put each znode on a line of its own"));
        }
        if let Err(error) = Path::new(&format!("/{name}")) {
            return Err(error.to_string());
        }
        if self.levels.len() > DEPTH {
            return Err(format!("znodes nest deeper than {DEPTH}"));
        }
        if new { Ok(()) } else { Err(format!("{path} is there already")) }
    }

    fn property(&mut self, name: String, value: Literal) -> Result<(), String> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        level.last = None;
        let Some(node) = level.owner.map(|owner| &mut self.nodes[owner]) else {
            return Err(format!("`{name}` belongs to no znode: indent it below one"));
        };
        if node.properties.iter().any(|(other, _)| *other == name) {
            return Err(format!("{} has a property `{name}` already", node.path));
        }
        node.properties.push((name, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
