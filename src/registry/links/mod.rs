//! zc.zk's links: where they lead, what is seen through them, and whom a change reaches. Pure.
//!
//! **Symbolic links.** A znode's data may hold `name -> target`: then it has a child `name` that is the target, with
//! everything below it. What holds (zc.zk's rules, `zc/zk/__init__.py` `resolve`):
//!
//! - A real child of that name goes before the link.
//! - A relative target is relative to the znode that holds the link; `.` and `..` are taken out of the text first.
//! - Any element of a path, a target's too, may itself be a link.
//! - A link that leads to a znode which holds a link on the way to it has no end: it is reported and not followed.
//!
//! **Property links.** The data may hold `name => path property`: then the znode has a property `name`, which is that
//! property of the znode at `path`; without its own name it is the same. What holds (`Properties` in the same file):
//!
//! - A relative path is relative to where the znode was looked for, which may be a link to it.
//! - Any element of the path may be a symbolic link, and the property there may be a link again.
//! - A property of that name goes before the link: whoever says which links data hold leaves such a one out.
//!
//! A path below the root as it is seen, through links, is called *shown*; where the znode really stands is called
//! *real*. A place where a link is followed is a **mount**: a shown path, and the real one it leads to. All mounts are
//! found anew when a link or a znode on the way of one comes, goes or changes; that costs what there are links, not
//! znodes.

mod followed;
mod linking;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Path;
use super::tree::{Entry, Tree};
pub(super) use followed::join;
pub use followed::{Broken, LinkSource};
use followed::{Followed, Holders};
pub use linking::{LinkedProperty, Linking, NoLinks, NodeLinks, PropertyLink};
use walk::Walk;

/// Paths that are seen elsewhere than before.
#[derive(Debug, Default)]
pub struct ViewChange {
    /// The shown paths at which another znode is seen.
    pub mounts: BTreeSet<Path>,
    /// Those of them at which one was seen before, and its real path.
    pub left: Vec<(Path, Path)>,
    /// The shown paths of znodes with a property that comes from another znode.
    pub dependents: BTreeSet<Path>,
}

/// The links of a tree.
#[derive(Debug)]
pub struct Links {
    root: Path,
    holders: Holders,
    followed: Followed,
    times_followed: u64,
    /// A planted fault: the coming or going of a znode leads no link elsewhere.
    #[cfg(test)]
    pub(crate) is_deaf: bool,
}

impl Links {
    /// No links yet, in a tree seen from `root`.
    pub fn new(root: Path) -> Self {
        Self {
            root,
            holders: BTreeMap::new(),
            followed: Followed::default(),
            times_followed: 0,
            #[cfg(test)]
            is_deaf: false,
        }
    }

    /// Path from which the tree is seen.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Number of times that all links were followed.
    pub fn times_followed(&self) -> u64 {
        self.times_followed
    }

    /// Takes the links that all znodes hold, and follows them.
    pub fn take_all(&mut self, tree: &Tree, linking: &dyn Linking) {
        if self.take_entries(tree, linking, tree.iter().map(|(path, entry)| (path, Some(entry)))) {
            self.follow(tree);
        }
    }

    /// Takes the links that the changed znodes hold, and follows all anew where that is needed. Returns the paths at
    /// which the changed znodes are seen through links, or a property of them is, and those at which something else is
    /// seen than before.
    pub fn take(&mut self, tree: &Tree, linking: &dyn Linking, changed: &BTreeSet<Path>) -> BTreeSet<Path> {
        // Through links as they were, then as they are.
        let mut seen = BTreeSet::new();
        self.add_seen(changed, &mut seen);
        if self.take_entries(tree, linking, tree.entries_of(changed)) {
            let moved = self.follow(tree);
            seen.extend(moved.dependents);
            // A znode that has gone with the link that led to it is among the changed ones.
            let now = moved.mounts.iter().map(|shown| (shown, self.real(shown)));
            let before = moved.left.iter().map(|(shown, real)| (shown, real.clone()));
            for (shown, real) in now.chain(before) {
                let below = tree.subtree(&real).filter_map(|(path, _)| path.below(&real));
                seen.extend(below.map(|below| join(shown, below)));
            }
            seen.extend(moved.mounts);
            self.add_seen(changed, &mut seen);
        }
        seen
    }

    /// Takes the links that these znodes hold. Returns whether all have to be followed anew.
    fn take_entries<'t>(
        &mut self,
        tree: &Tree,
        linking: &dyn Linking,
        entries: impl Iterator<Item = (&'t Path, Option<&'t Entry>)>,
    ) -> bool {
        let mut anew = false;
        for (path, entry) in entries {
            let held = match entry {
                Some(Entry::Known(known)) => linking.links(&known.data),
                _ => NodeLinks::default(),
            };
            anew |= self.set(path, held) || self.may_lead_elsewhere(tree, path);
        }
        anew
    }

    /// Adds the paths at which these znodes are seen through links, or a property of them is.
    pub(super) fn add_seen(&self, paths: &BTreeSet<Path>, seen: &mut BTreeSet<Path>) {
        if !self.lead_nowhere() {
            seen.extend(
                paths.iter().flat_map(|path| self.shown(path).into_iter().chain(self.dependents(path).cloned())),
            );
        }
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Returns whether nothing is seen through any link.
    pub fn lead_nowhere(&self) -> bool {
        self.followed.mounts.is_empty() && self.followed.dependents.is_empty()
    }

    /// Says which links the data of `holder` has now. Whether they are others than before.
    pub fn set(&mut self, holder: &Path, held: NodeLinks) -> bool {
        let before = if held == NodeLinks::default() {
            self.holders.remove(holder.as_str())
        } else {
            self.holders.insert(holder.clone(), held)
        };
        before.as_ref() != self.holders.get(holder.as_str())
    }

    /// Returns whether a link may lead elsewhere since the znode at `path` came or went, or is known at all.
    pub fn may_lead_elsewhere(&self, tree: &Tree, path: &Path) -> bool {
        #[cfg(test)]
        if self.is_deaf {
            return false;
        }
        let there = self.followed.looked_at.get(path.as_str());
        there.is_some_and(|there| *there != tree.get(path.as_str()).is_some())
            || self.followed.outside.contains(path.as_str())
    }

    /// Follows all links anew. What is seen elsewhere now than before.
    pub fn follow(&mut self, tree: &Tree) -> ViewChange {
        let mut walk = Walk { tree, holders: &self.holders, followed: Followed::default(), root: &self.root };
        walk.expand(&self.root, &self.root, &mut Vec::new());
        let mut followed = walk.followed;
        for (shown, real) in &followed.mounts {
            followed.seen_at.entry(real.clone()).or_default().push(shown.clone());
        }
        for (dependent, sources) in &followed.sources {
            for (giver, _) in sources.iter().filter_map(|source| source.hops.last()) {
                followed.dependents.entry(giver.clone()).or_default().insert(dependent.clone());
            }
        }
        let all = std::mem::take(&mut followed.outside);
        followed.outside = all.iter().filter(|path| !is_below_another(path, &all)).cloned().collect();
        let before = std::mem::replace(&mut self.followed, followed);
        self.times_followed += 1;
        let mounts = differing(&before.mounts, &self.followed.mounts);
        let left = mounts.iter().filter_map(|shown| Some((shown.clone(), before.mounts.get(shown)?.clone())));
        ViewChange { left: left.collect(), mounts, dependents: differing(&before.sources, &self.followed.sources) }
    }

    /// Real path of the znode shown at `shown`.
    pub fn real(&self, shown: &Path) -> Path {
        let mounts = &self.followed.mounts;
        if mounts.is_empty() {
            return shown.clone();
        }
        for above in ancestors(shown) {
            if let Some((mount, real)) = mounts.get_key_value(above)
                && let Some(below) = shown.below(mount)
            {
                return join(real, below);
            }
        }
        shown.clone()
    }

    /// The paths through links at which the znode that stands at `real` is shown, besides its own.
    pub fn shown(&self, real: &Path) -> Vec<Path> {
        let mut shown = Vec::new();
        if self.followed.mounts.is_empty() {
            return shown;
        }
        for above in ancestors(real) {
            if let Some((target, mounts)) = self.followed.seen_at.get_key_value(above)
                && let Some(below) = real.below(target)
            {
                shown.extend(mounts.iter().map(|mount| join(mount, below)));
            }
        }
        shown
    }

    /// The mounts right below the shown path `directory`: shown and real path of each.
    pub fn mounts_in<'l>(&'l self, directory: &'l Path) -> impl Iterator<Item = (&'l Path, &'l Path)> {
        let from = Bound::Excluded(directory.as_str());
        let all = self.followed.mounts.range::<str, _>((from, Bound::Unbounded));
        // Names that go on with something before '/' stand between a path and what is below it.
        all.take_while(|(shown, _)| shown.as_str().starts_with(directory.as_str()))
            .filter(|(shown, _)| shown.parent() == Some(directory.as_str()))
    }

    /// All mounts: shown and real path of each.
    pub fn mounts(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.followed.mounts.iter()
    }

    /// Sources of the properties of the znode shown at `shown` that are links.
    pub fn sources(&self, shown: &Path) -> &[LinkSource] {
        self.followed.sources.get(shown.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The shown paths of znodes that have a property from the one that stands at `real`.
    pub fn dependents(&self, real: &Path) -> impl Iterator<Item = &Path> {
        self.followed.dependents.get(real.as_str()).into_iter().flatten()
    }

    /// Targets outside the root: they have to be mirrored as well.
    pub fn outside(&self) -> &BTreeSet<Path> {
        &self.followed.outside
    }

    /// The links that are not followed: the znode that holds each, and why.
    pub fn broken(&self) -> &BTreeSet<(Path, String)> {
        &self.followed.broken
    }
}

/// The keys under which two maps do not hold the same.
fn differing<V: PartialEq>(old: &BTreeMap<Path, V>, new: &BTreeMap<Path, V>) -> BTreeSet<Path> {
    old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
}

/// `path` and everything above it, the longest first.
fn ancestors(path: &Path) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path.as_str()), |path| match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        slash => Some(&path[..slash]),
    })
}

fn is_below_another(path: &Path, all: &BTreeSet<Path>) -> bool {
    ancestors(path).skip(1).any(|above| all.contains(above))
}
