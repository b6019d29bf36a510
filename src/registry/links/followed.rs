//! Links, followed to their ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::linking::NodeLinks;
use crate::registry::Path;

/// Mounts beyond these are reported and not followed: a few links that lead to each other's parents make billions.
pub(super) const MAX_MOUNTS: usize = 10_000;

/// Why a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It leads back to itself.
    #[error("the link `{0}` leads back to itself; it is not followed")]
    Loop(Box<str>),
    /// Nothing is there.
    #[error("the link `{0}` leads to {1}, which does not exist")]
    Missing(Box<str>, Path),
    /// The target is no path.
    #[error("the link `{0}` leads to `{1}`, which is no path of a znode")]
    NoPath(Box<str>, Box<str>),
    /// There are too many.
    #[error("the link `{0}` is not followed: more than {MAX_MOUNTS} are")]
    TooMany(Box<str>),
}

/// Source of a property link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSource {
    /// The property's name.
    pub name: Box<str>,
    /// The znodes it leads to, one after the other, and what the property is called there. The last has it, or nobody.
    pub hops: Vec<(Path, Box<str>)>,
}

/// By the znode that holds them.
pub(super) type Holders = BTreeMap<Path, NodeLinks>;

/// Links, followed to their ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// Shown path -> real path.
    pub(super) mounts: BTreeMap<Path, Path>,
    /// Real path -> the shown paths of its mounts.
    pub(super) seen_at: BTreeMap<Path, Vec<Path>>,
    /// Shown path of a znode -> where its properties come from that are links.
    pub(super) sources: BTreeMap<Path, Vec<LinkSource>>,
    /// Real path of a znode -> the shown paths of those that have a property from it.
    pub(super) dependents: BTreeMap<Path, BTreeSet<Path>>,
    /// Real paths whose coming or going may lead a link elsewhere, and whether each was there.
    pub(super) looked_at: HashMap<Path, bool>,
    /// Targets outside the root, none below another.
    pub(super) outside: BTreeSet<Path>,
    pub(super) broken: BTreeSet<(Path, String)>,
}

/// The path `below` that of `path`, which is `path` itself where `below` is empty.
pub(in crate::registry) fn join(path: &Path, below: &str) -> Path {
    if below.is_empty() { path.clone() } else { path.child(below) }
}
