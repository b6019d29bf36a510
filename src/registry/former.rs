//! What changed znodes were before, until the change was shown, and how many znodes each session owns: what can be said
//! of a znode that has gone.

use std::collections::{BTreeMap, HashMap};

use super::Path;

/// Former entries of znodes that were edited since the tree was last shown. They are moved here, not copied.
#[derive(Debug, Clone)]
pub(crate) struct Former<Entry>(Option<BTreeMap<Path, Option<Entry>>>);

impl<Entry> Default for Former<Entry> {
    /// Notes nothing yet.
    fn default() -> Self {
        Self(None)
    }
}

impl<Entry> Former<Entry> {
    /// Begins to note. Returns what was noted before.
    pub(super) fn begin(&mut self) -> Self {
        Self(self.0.replace(BTreeMap::new()))
    }

    /// Notes what was at `path`; none where nothing was. Only what was shown counts, which is what is noted first.
    pub(super) fn note(&mut self, path: &Path, entry: Option<Entry>) {
        if let Some(noted) = &mut self.0
            && !noted.contains_key(path)
        {
            noted.insert(path.clone(), entry);
        }
    }

    /// The note about `path`, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<&Option<Entry>> {
        self.0.as_ref()?.get(path)
    }
}

/// Number of znodes of each session.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners(HashMap<i64, u32>);

impl Owners {
    /// Counts a znode that is there from now on, and that this session owns.
    pub(super) fn add(&mut self, session: Option<i64>) {
        if let Some(session) = session {
            *self.0.entry(session).or_default() += 1;
        }
    }

    /// Counts a znode that is there no longer.
    pub(super) fn remove(&mut self, session: Option<i64>) {
        let Some(session) = session else { return };
        if let Some(count) = self.0.get_mut(&session) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&session);
            }
        }
    }

    /// Number of znodes of the session.
    pub(super) fn count(&self, session: i64) -> usize {
        self.0.get(&session).map_or(0, |count| *count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Entry, Known, Tree};
    use super::*;

    #[test]
    fn a_tree_knows_what_changed_znodes_were_when_it_was_shown_and_how_many_each_session_has() {
        let path = |path: &str| Path::new(path).unwrap();
        let node = |data: &str, ephemeral_owner| {
            Entry::Known(Known { data: data.as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner, ctime: 0 })
        };
        let mut tree = Tree::of([(path("/a"), node("1", 7)), (path("/b"), node("1", 7)), (path("/c"), node("1", 0))]);
        assert_eq!(tree.former("/a"), None, "nothing was shown yet");
        assert_eq!((tree.owned_by(7), tree.owned_by(8), tree.owned_by(0)), (2, 0, 0));
        tree.shown_now();
        tree.put(&path("/a"), node("2", 8), 1);
        tree.put(&path("/a"), node("3", 8), 1);
        tree.remove(&path("/b"));
        tree.put(&path("/d"), node("1", 8), 1);
        tree.put(&path("/c"), node("1", 0), 1);
        assert_eq!((tree.owned_by(7), tree.owned_by(8)), (0, 2));
        assert_eq!(tree.former("/a"), Some(&Some(node("1", 7))));
        assert_eq!(tree.former("/b"), Some(&Some(node("1", 7))));
        assert_eq!((tree.former("/c"), tree.former("/d")), (None, Some(&None)));
        tree.shown_now();
        assert_eq!((tree.former("/a"), tree.former("/b")), (None, None));
    }

    #[test]
    fn a_znode_from_the_cache_file_learns_when_it_was_created_and_is_not_changed_by_that() {
        let path = Path::new("/a").unwrap();
        let node = |ctime| Entry::Known(Known { data: Box::default(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime });
        let mut tree = Tree::from_records(vec![(path.clone(), Some(node(0)))]);
        assert!(tree.meet(&path, Some(&node(5)), 1));
        assert_eq!(tree.known("/a").map(|known| known.ctime), Some(5));
        assert!(!tree.put(&path, node(6), 1), "nothing is different");
        assert_eq!(tree.known("/a").map(|known| known.ctime), Some(6));
    }
}
