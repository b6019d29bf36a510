//! zc.zk's symbolic links: where they lead, what is seen through them, and whom a change reaches. Pure.
//!
//! A znode's data may hold `name -> target`: then it has a child `name` that is the target, with everything below it. What
//! holds (zc.zk's rules, `zc/zk/__init__.py` `resolve`):
//!
//! - A real child of that name goes before the link.
//! - A relative target is relative to the znode that holds the link; `.` and `..` are taken out of the text first.
//! - Any element of a path, a target's too, may itself be a link.
//! - A link that leads to a znode which holds a link on the way to it has no end: it is reported and not followed.
//!
//! A path below the root as it is seen, through links, is called *shown*; where the znode really stands is called *real*.
//! A place where a link is followed is a **mount**: a shown path, and the real one it leads to. All mounts are found anew
//! when a link or a znode on the way of one comes, goes or changes; that costs what there are links, not znodes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use super::Path;
use super::tree::Tree;

/// Mounts beyond these are reported and not followed: a few links that lead to each other's parents make billions.
const MOST_MOUNTS: usize = 10_000;

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
    #[error("the link `{0}` is not followed: more than {MOST_MOUNTS} are")]
    TooMany(Box<str>),
}

/// The links that each znode's data holds: name and target, as written.
type Holders = BTreeMap<Path, Vec<(Box<str>, Box<str>)>>;

/// The links of a tree.
#[derive(Debug)]
pub struct Links {
    root: Path,
    holders: Holders,
    followed: Followed,
}

/// Where the links lead.
#[derive(Debug, Default, PartialEq, Eq)]
struct Followed {
    /// Shown path -> real path.
    mounts: BTreeMap<Path, Path>,
    /// Real path -> the shown paths of its mounts.
    seen_at: BTreeMap<Path, Vec<Path>>,
    /// Real paths whose coming or going may lead a link elsewhere, and whether each was there.
    looked_at: HashMap<Path, bool>,
    /// Targets outside the root, none below another.
    outside: BTreeSet<Path>,
    broken: BTreeSet<(Path, String)>,
}

impl Links {
    /// No links yet, in a tree seen from `root`.
    pub fn new(root: Path) -> Self {
        Self { root, holders: BTreeMap::new(), followed: Followed::default() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Says which links (name and target) the data of `holder` has now. Whether they are others than before.
    pub fn set(&mut self, holder: &Path, links: Vec<(Box<str>, Box<str>)>) -> bool {
        let before = if links.is_empty() {
            self.holders.remove(holder.as_str())
        } else {
            self.holders.insert(holder.clone(), links)
        };
        before.as_ref() != self.holders.get(holder.as_str())
    }

    /// Whether a link may lead elsewhere since the znode at `path` came or went, or is known at all.
    pub fn may_lead_elsewhere(&self, tree: &Tree, path: &Path) -> bool {
        let there = self.followed.looked_at.get(path.as_str());
        there.is_some_and(|there| *there != tree.get(path.as_str()).is_some())
            || self.followed.outside.contains(path.as_str())
    }

    /// Follows all links anew. The shown paths at which something else is seen now than before.
    pub fn follow(&mut self, tree: &Tree) -> BTreeSet<Path> {
        let mut walk = Walk { tree, holders: &self.holders, followed: Followed::default(), root: &self.root };
        walk.expand(&self.root, &self.root, &mut Vec::new());
        let mut followed = walk.followed;
        for (shown, real) in &followed.mounts {
            followed.seen_at.entry(real.clone()).or_default().push(shown.clone());
        }
        let all = std::mem::take(&mut followed.outside);
        followed.outside = all.iter().filter(|path| !is_below_another(path, &all)).cloned().collect();
        let before = std::mem::replace(&mut self.followed, followed);
        let (old, new) = (&before.mounts, &self.followed.mounts);
        old.keys().chain(new.keys()).filter(|shown| old.get(*shown) != new.get(*shown)).cloned().collect()
    }

    /// Where the znode shown at `shown` really stands.
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

    /// Targets outside the root: they have to be mirrored as well.
    pub fn outside(&self) -> &BTreeSet<Path> {
        &self.followed.outside
    }

    /// The links that are not followed: the znode that holds each, and why.
    pub fn broken(&self) -> &BTreeSet<(Path, String)> {
        &self.followed.broken
    }
}

/// One following of all links.
struct Walk<'w> {
    tree: &'w Tree,
    holders: &'w Holders,
    root: &'w Path,
    followed: Followed,
}

impl Walk<'_> {
    /// Follows the links held at or below `real`, which is shown at `shown`; `chain` are the holders of the links that
    /// led here.
    fn expand(&mut self, shown: &Path, real: &Path, chain: &mut Vec<Path>) {
        let holders = self.holders;
        let below = holders.range::<str, _>((Bound::Included(real.as_str()), Bound::Unbounded));
        for (holder, links) in below.take_while(|(holder, _)| holder.as_str().starts_with(real.as_str())) {
            // A name that goes on with something before '/' stands between a path and what is below it.
            let Some(rest) = holder.below(real) else { continue };
            let at = join(shown, rest);
            chain.push(holder.clone());
            for (name, target) in links {
                if let Err(broken) = self.link(&at, holder, name, target, chain) {
                    self.followed.broken.insert((holder.clone(), broken.to_string()));
                }
            }
            chain.pop();
        }
    }

    fn link(
        &mut self,
        at: &Path,
        holder: &Path,
        name: &str,
        target: &str,
        chain: &mut Vec<Path>,
    ) -> Result<(), Broken> {
        let real_child = holder.child(name);
        let is_shadowed = self.tree.get(real_child.as_str()).is_some();
        self.followed.looked_at.insert(real_child, is_shadowed);
        if is_shadowed {
            return Ok(());
        }
        let real = self.resolve(holder, name, target, &mut HashSet::new())?;
        if chain.iter().any(|holder| holder.below(&real).is_some()) {
            return Err(Broken::Loop(name.into()));
        }
        if self.followed.mounts.len() >= MOST_MOUNTS {
            return Err(Broken::TooMany(name.into()));
        }
        if real.below(self.root).is_none() {
            self.followed.outside.insert(real.clone());
        }
        let shown = at.child(name);
        self.followed.mounts.insert(shown.clone(), real.clone());
        self.expand(&shown, &real, chain);
        Ok(())
    }

    /// Where a link really leads, element by element, as each may be a link.
    fn resolve(
        &mut self,
        holder: &Path,
        name: &str,
        target: &str,
        under_way: &mut HashSet<(Path, Box<str>)>,
    ) -> Result<Path, Broken> {
        if !under_way.insert((holder.clone(), name.into())) {
            return Err(Broken::Loop(name.into()));
        }
        let target = absolute(holder, target).ok_or_else(|| Broken::NoPath(name.into(), target.into()))?;
        let mut real = Path::root();
        for element in target.as_str().split('/').filter(|element| !element.is_empty()) {
            let next = real.child(element);
            let known = self.tree.get(next.as_str()).is_some();
            self.followed.looked_at.insert(next.clone(), known);
            let link =
                self.holders.get(real.as_str()).and_then(|links| links.iter().find(|(name, _)| **name == *element));
            real = match link {
                Some((inner, target)) if !known => self.resolve(&real, inner, target, under_way)?,
                None if !known && self.tree.covers(&next) => {
                    // Where nothing is, something may come: what is not mirrored any more would be looked at again.
                    if next.below(self.root).is_none() {
                        self.followed.outside.insert(next.clone());
                    }
                    return Err(Broken::Missing(name.into(), next));
                }
                // There, or outside of what is mirrored: then it is mirrored, and looked at again.
                _ => next,
            };
        }
        under_way.remove(&(holder.clone(), name.into()));
        Ok(real)
    }
}

/// A target as an absolute path, `.` and `..` taken out of the text.
fn absolute(holder: &Path, target: &str) -> Option<Path> {
    let mut elements: Vec<&str> = Vec::new();
    let base = if target.starts_with('/') { "" } else { holder.as_str() };
    for element in base.split('/').chain(target.split('/')) {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            other => elements.push(other),
        }
    }
    Path::new(&format!("/{}", elements.join("/"))).ok()
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

fn join(path: &Path, below: &str) -> Path {
    if below.is_empty() { path.clone() } else { path.child(below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tree::{Entry, Known};

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    struct World {
        tree: Tree,
        links: Links,
    }

    impl World {
        fn new(paths: &[&str], links: &[(&str, &str, &str)]) -> Self {
            let mut world = Self { tree: Tree::default(), links: Links::new(path("/s")) };
            world.tree.cover(&path("/s"));
            for at in paths {
                world.add(at);
            }
            for (holder, ..) in links {
                let held = links.iter().filter(|(other, ..)| other == holder);
                let held = held.map(|(_, name, target)| ((*name).into(), (*target).into())).collect();
                world.links.set(&path(holder), held);
            }
            world.links.follow(&world.tree);
            world
        }

        fn add(&mut self, at: &str) {
            let known = Known { data: (*b"").into(), czxid: 1, mzxid: 1, ephemeral_owner: 0 };
            self.tree.put(&path(at), Entry::Known(known), 1);
        }

        fn real(&self, shown: &str) -> String {
            self.links.real(&path(shown)).to_string()
        }

        fn shown(&self, real: &str) -> Vec<String> {
            let mut shown: Vec<_> = self.links.shown(&path(real)).iter().map(ToString::to_string).collect();
            shown.sort();
            shown
        }

        fn broken(&self) -> Vec<String> {
            self.links.broken().iter().map(|(holder, reason)| format!("{holder}: {reason}")).collect()
        }
    }

    #[test]
    fn relative_and_absolute_targets_are_followed_and_seen_from_both_sides() {
        let world = World::new(
            &["/s", "/s/a", "/s/a/p", "/s/a/p/1", "/s/b"],
            &[("/s/b", "p", "../a/p"), ("/s", "c", "/s/./x/../a"), ("/s", "d", "b")],
        );
        assert_eq!(world.real("/s/b/p/1"), "/s/a/p/1");
        assert_eq!(world.real("/s/c/p/1"), "/s/a/p/1");
        assert_eq!(world.real("/s/d/p/1"), "/s/a/p/1", "a link seen through a link");
        assert_eq!(world.real("/s/a/p/1"), "/s/a/p/1");
        assert_eq!(world.shown("/s/a/p/1"), ["/s/b/p/1", "/s/c/p/1", "/s/d/p/1"]);
        assert_eq!(world.shown("/s/b"), ["/s/d"]);
        assert_eq!(world.broken(), [""; 0]);
        let mounts: Vec<_> = world.links.mounts_in(&world.links.root).map(|(shown, _)| shown.to_string()).collect();
        assert_eq!(mounts, ["/s/c", "/s/d"]);
    }

    #[test]
    fn any_element_of_a_target_may_be_a_link() {
        let world = World::new(
            &["/s", "/s/a", "/s/a/p", "/s/a/p/1"],
            &[("/s", "b", "/s/a"), ("/s", "c", "/s/b/p"), ("/s/a", "q", "p")],
        );
        assert_eq!(world.real("/s/c/1"), "/s/a/p/1");
        assert_eq!(world.real("/s/b/q/1"), "/s/a/p/1");
        assert_eq!(world.broken(), [""; 0]);
    }

    #[test]
    fn a_real_child_goes_before_the_link_when_it_comes_and_after_it_went() {
        let mut world = World::new(&["/s", "/s/a"], &[("/s", "b", "/s/a")]);
        assert_eq!(world.real("/s/b/x"), "/s/a/x");
        assert!(!world.links.may_lead_elsewhere(&world.tree, &path("/s/b")));
        world.add("/s/b");
        assert!(world.links.may_lead_elsewhere(&world.tree, &path("/s/b")));
        assert_eq!(world.links.follow(&world.tree), BTreeSet::from([path("/s/b")]));
        assert_eq!(world.real("/s/b/x"), "/s/b/x");
        world.tree.remove(&path("/s/b"));
        assert_eq!(world.links.follow(&world.tree), BTreeSet::from([path("/s/b")]));
        assert_eq!(world.real("/s/b/x"), "/s/a/x");
    }

    #[test]
    fn loops_are_reported_and_their_neighbours_followed() {
        let world = World::new(
            &["/s", "/s/a", "/s/b", "/s/c"],
            &[
                ("/s/a", "up", ".."),
                ("/s/a", "self", "/s/a"),
                ("/s", "x", "/s/y"),
                ("/s", "y", "/s/x"),
                ("/s/b", "c", "/s/c"),
                ("/s/c", "b", "/s/b"),
            ],
        );
        assert_eq!(world.real("/s/a/up/z"), "/s/a/up/z");
        assert_eq!(world.real("/s/b/c/z"), "/s/c/z");
        assert_eq!(world.real("/s/b/c/b/z"), "/s/c/b/z", "not followed a second time");
        let broken = world.broken();
        for holder in ["/s/a: the link `up`", "/s/a: the link `self`", "/s: the link `x`", "/s: the link `y`"] {
            assert!(broken.iter().any(|reason| reason.starts_with(holder)), "{holder} in {broken:?}");
        }
    }

    #[test]
    fn targets_outside_are_asked_for_and_missing_ones_reported() {
        let mut world = World::new(
            &["/s", "/s/a"],
            &[("/s", "out", "/t/x"), ("/s", "deeper", "/t/x/y"), ("/s", "gone", "/s/a/b"), ("/s", "bad", "/a\u{1}")],
        );
        assert_eq!(world.links.outside(), &BTreeSet::from([path("/t/x")]), "one watch for both");
        let broken = world.broken();
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert_eq!(broken[1], "/s: the link `gone` leads to /s/a/b, which does not exist");
        world.tree.cover(&path("/t/x"));
        assert!(world.links.follow(&world.tree).len() == 2, "both lead nowhere now that it is known");
        assert_eq!(world.broken().len(), 4);
        assert_eq!(world.links.outside(), &BTreeSet::from([path("/t/x")]), "something may come");
        world.add("/t/x");
        world.add("/t/x/y");
        world.links.follow(&world.tree);
        assert_eq!(world.real("/s/deeper/1"), "/t/x/y/1");
        assert_eq!(world.shown("/t/x/y/1"), ["/s/deeper/1", "/s/out/y/1"]);
    }

    #[test]
    fn links_that_multiply_are_bounded() {
        let names: Vec<String> = (0..40).map(|i| format!("/s/n{i:02}")).collect();
        let mut paths = vec!["/s"];
        paths.extend(names.iter().map(String::as_str));
        let mut links = Vec::new();
        for pair in names.windows(2) {
            links.push((&*pair[0], "l", &*pair[1]));
            links.push((&*pair[0], "r", &*pair[1]));
        }
        let world = World::new(&paths, &links);
        assert_eq!(world.links.followed.mounts.len(), MOST_MOUNTS);
        assert!(world.broken().iter().any(|reason| reason.contains("more than 10000")));
    }
}
