//! The znodes the mirror knows, by full path.
//!
//! A flat, ordered map on purpose: an edit touches one path and nothing below it. A late "no such node" for a parent,
//! applied to its whole subtree, would erase a child that was created again meanwhile. So a znode may be here for a
//! moment without its parent; [`Tree::children`] and [`Tree::subtree`] are range scans over the order of the paths.

use std::collections::btree_map::{Entry as MapEntry, Range};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Instant;

use super::former::{Former, Owners};
use super::kept::Kept;
use super::root::{Root, RootRefusal};
use super::{Error, Path};

/// Knowledge of one znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It was read.
    Known(Known),
    /// It is there, but this session may not read it, or the server gave another such answer.
    Unreadable(Error),
}

/// A znode that was read, as small as it goes: a registry has millions of them.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its data.
    pub data: Box<[u8]>,
    /// Transaction that created it.
    pub czxid: i64,
    /// Transaction that last changed its data.
    pub mzxid: i64,
    /// The session that owns it; 0 for a persistent znode.
    pub ephemeral_owner: i64,
    /// Time at which it was created, by the ensemble's clock, in milliseconds since 1970; 0 where that is not known, as
    /// it is not after a start from the cache file.
    pub ctime: i64,
}

/// Equal znodes came from the same transactions; that tells their time of creation, too.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        let of = |known: &Self| (known.czxid, known.mzxid, known.ephemeral_owner);
        of(self) == of(other) && self.data == other.data
    }
}

impl Eq for Known {}

/// The znodes below (and at) the mirrored root.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<Path, Slot>,
    bytes: usize,
    /// The roots below which everything is known that there is.
    covered: BTreeSet<Path>,
    /// Znodes that the server does not show now.
    refused: BTreeMap<Path, RootRefusal>,
    /// Number of changes of that.
    refusals: u64,
    /// Time at which what is in the tree was last exact: the last reading of a znode that is refused from now on.
    exact_at: Option<Instant>,
    /// True if the mirrored root was ever seen.
    root_seen: bool,
    /// The largest zxid seen in the ensemble.
    zxid: i64,
    /// Former data of znodes whose data are not understood.
    kept: Kept,
    /// What changed znodes were when they were shown last.
    former: Former<Entry>,
    /// Number of znodes of each session.
    owners: Owners,
}

/// Equal trees hold the same znodes.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
    }
}

impl Eq for Tree {}

#[derive(Debug, Clone)]
struct Slot {
    entry: Entry,
    /// The epoch whose scan met the path last.
    epoch: u32,
}

/// Epochs are bookkeeping, not content.
impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.entry == other.entry
    }
}

impl Eq for Slot {}

impl Tree {
    /// Entry of `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.nodes.get(path).map(|slot| &slot.entry)
    }

    /// The znode at `path`, if it was read.
    pub fn known(&self, path: &str) -> Option<&Known> {
        match self.get(path)? {
            Entry::Known(known) => Some(known),
            Entry::Unreadable(_) => None,
        }
    }

    /// The last data of the znode at `path` that its readers understand, where they do not understand those that it
    /// has.
    pub fn kept(&self, path: &str) -> Option<&[u8]> {
        self.kept.get(path)
    }

    /// What the znode at `path` was when the tree was last shown, if it was put in, replaced or taken out since: none
    /// inside where there was none. Nothing before anything was shown.
    pub fn former(&self, path: &str) -> Option<&Option<Entry>> {
        self.former.get(path)
    }

    /// Number of znodes that the session owns.
    pub fn owned_by(&self, session: i64) -> usize {
        self.owners.count(session)
    }

    /// Notes from now on what changed znodes were, and forgets, to be dropped, what was noted of others.
    pub(crate) fn shown_now(&mut self) -> Former<Entry> {
        self.former.begin()
    }

    /// Keeps these data of a znode beside those that it has; none forgets what was kept.
    pub(crate) fn keep(&mut self, path: &Path, data: Option<Box<[u8]>>) {
        self.kept.set(path, data);
    }

    /// The server's refusal to show the znode at `path`, if it refuses.
    pub fn refusal(&self, path: &str) -> Option<&RootRefusal> {
        self.refused.get(path)
    }

    /// All znodes that the server does not show, in the order of their paths.
    pub fn refused(&self) -> impl Iterator<Item = (&Path, &RootRefusal)> {
        self.refused.iter()
    }

    /// A number that is another one whenever something else is refused.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// The paths among them that are in this range.
    pub(crate) fn refused_in(&self, range: (Bound<&Path>, Bound<&Path>)) -> impl Iterator<Item = &Path> {
        self.refused.range::<Path, _>(range).map(|(path, _)| path)
    }

    /// State of the mirrored `root`.
    pub fn root(&self, root: &Path) -> Root {
        match (self.refused.get(root), self.nodes.contains_key(root)) {
            (Some(refusal), _) => Root::Refused(refusal.clone()),
            (None, true) => Root::Present,
            (None, false) if self.root_seen => Root::Gone,
            (None, false) => Root::Missing,
        }
    }

    /// Returns whether the mirrored root was ever seen.
    pub(crate) fn is_root_seen(&self) -> bool {
        self.root_seen
    }

    /// The mirrored root was seen.
    pub(crate) fn see_root(&mut self) {
        self.root_seen = true;
    }

    /// The largest zxid seen in the ensemble; 0 before any.
    pub(crate) fn zxid(&self) -> i64 {
        self.zxid
    }

    /// The largest zxid that the znodes themselves have.
    pub(crate) fn last_zxid(&self) -> i64 {
        let known = self.nodes.values().filter_map(|slot| match &slot.entry {
            Entry::Known(known) => Some(known.czxid.max(known.mzxid)),
            Entry::Unreadable(_) => None,
        });
        known.max().unwrap_or(0)
    }

    /// Takes in the largest zxid of the ensemble: from now on nothing older is expected of it.
    pub(crate) fn set_zxid(&mut self, zxid: i64) {
        self.zxid = zxid;
    }

    /// Notes that the tree is, or was, exact at this moment.
    pub(crate) fn set_exact_at(&mut self, at: Option<Instant>) {
        self.exact_at = at;
    }

    fn refuse(&mut self, path: &Path, refusal: RootRefusal) {
        if self.refused.get(path) != Some(&refusal) {
            self.refusals += 1;
            self.refused.insert(path.clone(), refusal);
        }
    }

    fn unrefuse(&mut self, path: &Path) -> bool {
        let was = self.refused.remove(path).is_some();
        self.refusals += u64::from(was);
        was
    }

    /// Time at which the znode at `path`, which is refused now, was last read; none for one that is not refused or
    /// never was read.
    pub(crate) fn last_read(&self, path: &str) -> Option<Instant> {
        self.refused.get(path)?.read_at
    }

    /// Marks a znode from elsewhere as one that the server refused, with the time of its last reading.
    pub(crate) fn set_refused(&mut self, path: &Path, refusal: RootRefusal) {
        self.refuse(path, refusal);
    }

    /// Returns whether a znode at `path` would be known if there were one.
    pub fn covers(&self, path: &Path) -> bool {
        self.covered.iter().any(|root| path.below(root).is_some())
    }

    /// Everything below `root` is known from now on.
    pub(crate) fn cover(&mut self, root: &Path) {
        self.covered.insert(root.clone());
    }

    /// `root` is of no more interest, nor is what is below it, unless another root has it.
    pub(crate) fn uncover(&mut self, root: &Path) -> Vec<Path> {
        self.covered.remove(root.as_str());
        let below: Vec<Path> = self.subtree(root).map(|(path, _)| path.clone()).collect();
        below.into_iter().filter(|path| !self.covers(path) && self.remove(path)).collect()
    }

    /// Number of znodes that are known.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether none is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of znode data held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All znodes, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.nodes.iter().map(|(path, slot)| (path, &slot.entry))
    }

    /// `path` itself, if known, and everything known below it, in the order of the paths.
    pub fn subtree<'t>(&'t self, path: &Path) -> impl Iterator<Item = (&'t Path, &'t Entry)> + use<'t> {
        let itself = self.nodes.get_key_value(path.as_str());
        let prefix = prefix(path);
        let below = self
            .nodes
            .range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded))
            .take_while(move |(found, _)| found.as_str().starts_with(&prefix));
        itself.into_iter().chain(below).map(|(path, slot)| (path, &slot.entry))
    }

    /// These paths with what is known of each. Where they are a large part of all, both are gone through side by side.
    pub fn entries_of<'t>(
        &'t self,
        paths: &'t BTreeSet<Path>,
    ) -> Box<dyn Iterator<Item = (&'t Path, Option<&'t Entry>)> + 't> {
        if paths.len() < self.len() / 8 {
            return Box::new(paths.iter().map(|path| (path, self.get(path.as_str()))));
        }
        let mut all = self.iter().peekable();
        Box::new(paths.iter().map(move |path| {
            while all.next_if(|(before, _)| *before < path).is_some() {}
            (path, all.next_if(|(found, _)| *found == path).map(|(_, entry)| entry))
        }))
    }

    /// The known children of `path`, in the order of their names; what lies deeper is jumped over.
    pub fn children<'t>(&'t self, path: &Path) -> Children<'t> {
        let prefix = prefix(path);
        let rest = self.nodes.range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded));
        Children { tree: self, prefix, rest, jumped: false }
    }

    /// A tree of these znodes, for the tests of those who read trees.
    #[cfg(test)]
    pub(crate) fn of(entries: impl IntoIterator<Item = (Path, Entry)>) -> Self {
        let mut tree = Self::default();
        for (path, entry) in entries {
            tree.put(&path, entry, 1);
        }
        tree
    }

    /// A tree of what was written down earlier: records in the order of their paths, and behind them, in any order,
    /// those that replace them; none says that the znode went. No epoch has met any of it.
    pub(crate) fn from_records(mut records: Vec<(Path, Option<Entry>)>) -> Self {
        let ordered = records.windows(2).position(|pair| pair[0].0 >= pair[1].0).map_or(records.len(), |last| last + 1);
        let amendments = records.split_off(ordered);
        // Built in one go, the map has no room to spare.
        let slot = |(path, entry): (Path, Option<Entry>)| Some((path, Slot { entry: entry?, epoch: 0 }));
        let nodes: BTreeMap<Path, Slot> = records.into_iter().filter_map(slot).collect();
        let bytes = nodes.values().map(|slot| size(&slot.entry)).sum();
        let mut owners = Owners::default();
        for slot in nodes.values() {
            owners.add(owner(&slot.entry));
        }
        let mut tree = Self { nodes, bytes, owners, ..Self::default() };
        let is_unreadable = |(path, slot): (&Path, &Slot)| match &slot.entry {
            Entry::Unreadable(error) => Some((path.clone(), RootRefusal { error: error.clone(), read_at: None })),
            Entry::Known(_) => None,
        };
        tree.refused = tree.nodes.iter().filter_map(is_unreadable).collect();
        for (path, entry) in amendments {
            match entry {
                Some(entry) => tree.put(&path, entry, 0),
                None => tree.remove(&path),
            };
        }
        tree
    }

    /// At most `limit` znodes behind `after`, or from the first on, in the order of their paths.
    pub(crate) fn range_after<'t>(
        &'t self,
        after: Option<&'t Path>,
        limit: usize,
    ) -> impl Iterator<Item = (&'t Path, &'t Entry)> {
        let from = after.map_or(Bound::Unbounded, |path| Bound::Excluded(path.as_str()));
        self.nodes.range::<str, _>((from, Bound::Unbounded)).take(limit).map(|(path, slot)| (path, &slot.entry))
    }

    /// Puts a znode in the scan of `epoch`. Returns whether anything changed. Of a znode that was read before and is
    /// refused now, what was read stays: it may have changed, but nobody said so.
    pub(crate) fn put(&mut self, path: &Path, entry: Entry, epoch: u32) -> bool {
        let was_refused = match &entry {
            Entry::Known(_) => self.unrefuse(path),
            Entry::Unreadable(error) => {
                if let Some(slot) = self.nodes.get_mut(path)
                    && matches!(slot.entry, Entry::Known(_))
                {
                    slot.epoch = epoch;
                    let before = self.refused.get(path);
                    if before.is_some_and(|before| before.error == *error) {
                        return false;
                    }
                    let read_at = before.map_or(self.exact_at, |before| before.read_at);
                    self.refuse(path, RootRefusal { error: error.clone(), read_at });
                    return true;
                }
                self.refuse(path, RootRefusal { error: error.clone(), read_at: None });
                false
            }
        };
        let added = size(&entry);
        match self.nodes.entry(path.clone()) {
            MapEntry::Occupied(mut slot) => {
                let slot = slot.get_mut();
                slot.epoch = epoch;
                if slot.entry == entry {
                    learn(&mut slot.entry, &entry);
                    return was_refused;
                }
                self.bytes -= size(&slot.entry);
                self.owners.add(owner(&entry));
                let former = std::mem::replace(&mut slot.entry, entry);
                self.owners.remove(owner(&former));
                self.former.note(path, Some(former));
            }
            MapEntry::Vacant(room) => {
                self.owners.add(owner(&entry));
                room.insert(Slot { entry, epoch });
                self.former.note(path, None);
            }
        }
        self.bytes += added;
        true
    }

    /// The scan of `epoch` met `path`, and read `entry` there. Returns whether that is what the tree holds.
    pub(crate) fn meet(&mut self, path: &Path, entry: Option<&Entry>, epoch: u32) -> bool {
        let Some(slot) = self.nodes.get_mut(path.as_str()) else { return entry.is_none() };
        slot.epoch = epoch;
        if let Some(entry) = entry.filter(|entry| **entry == slot.entry) {
            learn(&mut slot.entry, entry);
        }
        match (self.refused.get(path), entry) {
            (Some(refusal), Some(Entry::Unreadable(error))) => refusal.error == *error,
            (Some(_), _) => false,
            (None, entry) => entry == Some(&slot.entry),
        }
    }

    /// Takes one znode out. Returns whether it was there.
    pub(crate) fn remove(&mut self, path: &Path) -> bool {
        let Some(Slot { entry, .. }) = self.nodes.remove(path.as_str()) else { return false };
        self.bytes -= size(&entry);
        self.kept.set(path, None);
        self.unrefuse(path);
        self.owners.remove(owner(&entry));
        self.former.note(path, Some(entry));
        true
    }

    /// Returns whether `path` is known from the scan of `epoch`.
    pub(crate) fn met(&self, path: &Path, epoch: u32) -> bool {
        self.nodes.get(path.as_str()).is_some_and(|slot| slot.epoch == epoch)
    }

    /// The paths that the scan of `epoch` has not met.
    pub(crate) fn not_met(&self, epoch: u32) -> Vec<Path> {
        self.nodes.iter().filter(|(_, slot)| slot.epoch != epoch).map(|(path, _)| path.clone()).collect()
    }
}

/// The session that owns a znode; none of a persistent one.
fn owner(entry: &Entry) -> Option<i64> {
    match entry {
        Entry::Known(known) => Some(known.ephemeral_owner).filter(|owner| *owner != 0),
        Entry::Unreadable(_) => None,
    }
}

/// Takes what equal znodes may know beyond each other.
fn learn(entry: &mut Entry, read: &Entry) {
    if let (Entry::Known(known), Entry::Known(read)) = (entry, read)
        && read.ctime != 0
    {
        known.ctime = read.ctime;
    }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Known(known) => known.data.len(),
        Entry::Unreadable(_) => 0,
    }
}

fn prefix(path: &Path) -> String {
    if path.is_root() { "/".to_owned() } else { format!("{path}/") }
}

/// See [`Tree::children`].
pub struct Children<'t> {
    tree: &'t Tree,
    prefix: String,
    rest: Range<'t, Path, Slot>,
    jumped: bool,
}

impl Children<'_> {
    /// Returns whether anything deeper was met so far.
    pub fn jumped(&self) -> bool {
        self.jumped
    }
}

impl<'t> Iterator for Children<'t> {
    type Item = (&'t Path, &'t Entry);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (path, slot) = self.rest.next()?;
            match path.as_str().strip_prefix(&self.prefix)?.split_once('/') {
                None => return Some((path, &slot.entry)),
                Some((child, _)) => {
                    self.jumped = true;
                    // '0' comes right after '/': this is the first path that is not below that child.
                    let next = format!("{}{child}0", self.prefix);
                    self.rest = self.tree.nodes.range::<str, _>((Bound::Included(next.as_str()), Bound::Unbounded));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            let known = Known { data: (*path).as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 };
            tree.put(&Path::new(path).unwrap(), Entry::Known(known), 1);
        }
        tree
    }

    fn children(tree: &Tree, path: &str) -> Vec<String> {
        tree.children(&Path::new(path).unwrap()).map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn children_are_direct_and_neighbours_are_not_children() {
        let tree = tree(&["/s", "/s/a", "/s/a/x", "/s/a/x/y", "/s/a-b", "/s/a0", "/s/a0/z", "/s/b", "/s2", "/s2/c"]);
        assert_eq!(children(&tree, "/s"), ["/s/a", "/s/a-b", "/s/a0", "/s/b"]);
        assert_eq!(children(&tree, "/s/a"), ["/s/a/x"]);
        assert_eq!(children(&tree, "/s/b"), [""; 0]);
        assert_eq!(children(&tree, "/"), ["/s", "/s2"]);
    }

    #[test]
    fn a_child_without_its_parent_hides_nobody() {
        let tree = tree(&["/s/a/x", "/s/a0", "/s/b/y", "/s/b0/z", "/s/c"]);
        assert_eq!(children(&tree, "/s"), ["/s/a0", "/s/c"]);
    }

    #[test]
    fn a_subtree_is_the_node_and_what_is_below_it() {
        let tree = tree(&["/s", "/s/a", "/s/a/x", "/s/a-b", "/s/a0"]);
        let below: Vec<_> = tree.subtree(&Path::new("/s/a").unwrap()).map(|(path, _)| path.to_string()).collect();
        assert_eq!(below, ["/s/a", "/s/a/x"]);
        assert_eq!(tree.subtree(&Path::root()).count(), 5);
    }

    #[test]
    fn many_paths_are_found_as_one_by_one() {
        let tree = tree(&["/a", "/b", "/c/d", "/e"]);
        let paths: BTreeSet<Path> =
            ["/", "/a", "/c", "/c/d", "/d", "/e", "/f"].map(|path| Path::new(path).unwrap()).into();
        let found: Vec<_> = tree.entries_of(&paths).collect();
        assert_eq!(found, paths.iter().map(|path| (path, tree.get(path.as_str()))).collect::<Vec<_>>());
        assert_eq!(found.iter().filter(|(_, entry)| entry.is_some()).count(), 3);
    }

    #[test]
    fn what_was_read_stays_when_the_server_refuses_it_later() {
        let (mut tree, at, now) = (tree(&["/s", "/s/a"]), Path::new("/s/a").unwrap(), Instant::now());
        tree.set_exact_at(Some(now));
        let refused = Entry::Unreadable(Error::NoAuth);
        assert!(tree.put(&at, refused.clone(), 2) && !tree.put(&at, refused.clone(), 3));
        assert!(tree.known("/s/a").is_some());
        assert_eq!(tree.refusal("/s/a").map(|refusal| refusal.read_at), Some(Some(now)));
        assert!(tree.meet(&at, Some(&refused), 4));
        let known = tree.get("/s/a").cloned().unwrap();
        assert!(!tree.meet(&at, Some(&known), 4) && tree.put(&at, known, 4), "that it can be read again is news");
        assert!(tree.refusal("/s/a").is_none());
        tree.put(&Path::new("/s/b").unwrap(), refused, 4);
        assert_eq!(tree.refusal("/s/b").map(|refusal| refusal.read_at), Some(None), "it never was");
    }

    #[test]
    fn a_root_that_was_never_seen_is_not_one_that_is_gone() {
        let (mut tree, root) = (Tree::default(), Path::new("/s").unwrap());
        assert_eq!(tree.root(&root), Root::Missing);
        tree.put(&root, Entry::Unreadable(Error::NoAuth), 1);
        tree.see_root();
        assert!(matches!(tree.root(&root), Root::Refused(RootRefusal { read_at: None, .. })));
        tree.remove(&root);
        assert_eq!(tree.root(&root), Root::Gone);
    }

    #[test]
    fn bytes_follow_every_edit() {
        let mut tree = tree(&["/abc", "/de"]);
        assert_eq!(tree.bytes(), 7);
        assert!(tree.remove(&Path::new("/de").unwrap()));
        assert!(!tree.remove(&Path::new("/de").unwrap()));
        assert_eq!(tree.bytes(), 4);
        let unreadable = Entry::Unreadable(Error::NoAuth);
        assert!(tree.put(&Path::new("/abc").unwrap(), unreadable.clone(), 2));
        assert_eq!(tree.bytes(), 4);
        assert!(tree.put(&Path::new("/new").unwrap(), unreadable, 2));
        assert_eq!(tree.not_met(1), ["/abc", "/new"].map(|path| Path::new(path).unwrap()));
    }
}
