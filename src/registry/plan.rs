//! The way from a tree as it is to one as it is wanted: which znodes are created, changed and deleted. Pure.
//!
//! As zc.zk's `import_tree` has it: what is not wanted is only looked for below znodes that are; ephemeral znodes are
//! others' registrations and stay, and so does what is above them.

use std::collections::{BTreeMap, HashSet};

use super::Path;
use super::text::{self, Literal};

/// Znode as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNode {
    /// Its data.
    pub data: Vec<u8>,
    /// Number of changes of its data.
    pub version: i32,
    /// True if it goes with its session.
    pub is_ephemeral: bool,
}

/// Change of a znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// It is missing.
    Create {
        /// Its path.
        path: Path,
        /// The data that it is to have.
        data: Vec<u8>,
    },
    /// It has other data.
    Set {
        /// Its path.
        path: Path,
        /// The data that it has.
        old: Vec<u8>,
        /// The data that it is to have.
        data: Vec<u8>,
        /// Number of changes of the data that it has.
        version: i32,
    },
    /// It is not wanted.
    Delete {
        /// Its path.
        path: Path,
        /// Number of changes of its data.
        version: i32,
    },
}

/// Changes in the order in which they can be made, and what stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreePlan {
    /// The changes: parents are created first, children are deleted first.
    pub changes: Vec<TreeChange>,
    /// Znodes that are wanted with other data, and are ephemeral: they stay as they are.
    pub kept: Vec<Path>,
}

impl TreeChange {
    /// The znode's path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Create { path, .. } | Self::Set { path, .. } | Self::Delete { path, .. } => path,
        }
    }

    /// Returns whether the znode is to go.
    pub fn is_delete(&self) -> bool {
        matches!(self, Self::Delete { .. })
    }
}

/// The changes that make `found` what is `wanted`. With `ephemeral` ephemeral znodes count as all others do.
pub fn plan(wanted: &BTreeMap<Path, Vec<u8>>, found: &BTreeMap<Path, FoundNode>, ephemeral: bool) -> TreePlan {
    let mut plan = TreePlan::default();
    let mut order: Vec<_> = wanted.iter().collect();
    order.sort_unstable_by(|(one, _), (other, _)| one.cmp_in_tree(other));
    for (path, data) in order {
        match found.get(path.as_str()) {
            None => plan.changes.push(TreeChange::Create { path: path.clone(), data: data.clone() }),
            Some(node) if text::is_same(&node.data, data) => {}
            Some(node) if node.is_ephemeral && !ephemeral => plan.kept.push(path.clone()),
            Some(FoundNode { data: old, version, .. }) => plan.changes.push(TreeChange::Set {
                path: path.clone(),
                old: old.clone(),
                data: data.clone(),
                version: *version,
            }),
        }
    }
    let mut rest: Vec<_> = found.iter().filter(|(path, _)| !wanted.contains_key(path.as_str())).collect();
    rest.sort_unstable_by(|(one, _), (other, _)| other.cmp_in_tree(one));
    let mut above: HashSet<&str> = HashSet::new();
    for (path, node) in rest {
        let stays = (node.is_ephemeral && !ephemeral) || above.contains(path.as_str());
        if stays {
            above.extend(path.parent());
        } else {
            plan.changes.push(TreeChange::Delete { path: path.clone(), version: node.version });
        }
    }
    plan
}

/// Differences of two znodes' properties in words: `owner = 'a' -> 'b'`, `+ ttl = 5`, `- link -> /x`.
pub fn differences(old: &[u8], new: &[u8]) -> Vec<String> {
    let (Ok(old_properties), Ok(new_properties)) = (text::properties(old), text::properties(new)) else {
        return vec![format!("{} bytes -> {} bytes", old.len(), new.len())];
    };
    let sorted = |properties: Vec<(String, Literal)>| properties.into_iter().collect::<BTreeMap<_, _>>();
    let (old, new) = (sorted(old_properties), sorted(new_properties));
    let mut words = Vec::new();
    for (key, value) in &old {
        match new.get(key) {
            None => words.push(format!("- {}", text::property(key, value))),
            Some(other) if other.is_like(value) => {}
            Some(other) => {
                let link = key.ends_with(" ->") || key.ends_with(" =>");
                let old = text::property(key, value);
                let new = text::property(key, other);
                let new = new.get(key.len()..).unwrap_or(&new).trim_start();
                let new = if link { new } else { new.trim_start_matches("= ") };
                words.push(format!("{old} -> {new}"));
            }
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
    words.extend(added.map(|(key, value)| format!("+ {}", text::property(key, value))));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(nodes: &[(&str, &str)]) -> BTreeMap<Path, Vec<u8>> {
        nodes.iter().map(|(path, data)| (Path::new(path).unwrap(), data.as_bytes().to_vec())).collect()
    }

    fn found(nodes: &[(&str, &str, bool)]) -> BTreeMap<Path, FoundNode> {
        let node = |(path, data, is_ephemeral): &(&str, &str, bool)| {
            let node = FoundNode { data: data.as_bytes().to_vec(), version: 3, is_ephemeral: *is_ephemeral };
            (Path::new(path).unwrap(), node)
        };
        nodes.iter().map(node).collect()
    }

    fn words(plan: &TreePlan) -> Vec<String> {
        let word = |change: &TreeChange| match change {
            TreeChange::Create { path, .. } => format!("+{path}"),
            TreeChange::Set { path, .. } => format!("~{path}"),
            TreeChange::Delete { path, .. } => format!("-{path}"),
        };
        plan.changes.iter().map(word).collect()
    }

    #[test]
    fn parents_are_created_first_and_deleted_last() {
        let wanted = wanted(&[("/a", "{}"), ("/a-b", ""), ("/a/b", "{}"), ("/a/c", "{\"x\":1}")]);
        let found = found(&[("/a", "", false), ("/a/c", "{}", false), ("/a/d", "", false), ("/a/d/e", "", false)]);
        assert_eq!(words(&plan(&wanted, &found, false)), ["+/a/b", "~/a/c", "+/a-b", "-/a/d/e", "-/a/d"]);
    }

    #[test]
    fn registrations_stay_and_what_is_above_them_too() {
        let wanted = wanted(&[("/a", "{}"), ("/a/own", "{\"x\":1}")]);
        let nodes = [("/a", "{}", false), ("/a/own", "{}", true), ("/a/b", "", false), ("/a/b/c", "", true)];
        let made = plan(&wanted, &found(&nodes), false);
        assert_eq!((words(&made), made.kept.len()), (Vec::<String>::new(), 1));
        assert_eq!(words(&plan(&wanted, &found(&nodes), true)), ["~/a/own", "-/a/b/c", "-/a/b"]);
    }

    #[test]
    fn what_means_the_same_is_not_changed() {
        let wanted = wanted(&[("/a", r#"{"x":1,"y":"ü"}"#), ("/b", "{}"), ("/c", "text")]);
        let found = found(&[("/a", r#"{ "y":"\u00fc", "x":1 }"#, false), ("/b", " ", false), ("/c", "text", false)]);
        assert_eq!(plan(&wanted, &found, false), TreePlan::default());
    }

    #[test]
    fn differences_are_told_by_property() {
        let words = differences(br#"{"a":1,"b":2,"c ->":"/x","d":[1]}"#, br#"{"a":2,"c ->":"/y","d":[1],"e =>":"/z"}"#);
        assert_eq!(words, ["a = 1 -> 2", "- b = 2", "c -> /x -> /y", "+ e => /z"]);
        assert_eq!(differences(b"\xff", b"x"), ["1 bytes -> 1 bytes"]);
    }
}
