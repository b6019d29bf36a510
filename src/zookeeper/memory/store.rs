//! The znodes of an in-memory ensemble and ZooKeeper's rules about them.
//!
//! Pure: a write goes in, the paths it changed come out, in the order in which a server would tell its watches. It
//! knows no sessions but by their number, and no watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::registry::{Error, Path};
use crate::zookeeper::session::{Access, Mode, Write, WriteError};
use crate::zookeeper::{Stat, Znode};

/// All znodes, the root included. Cloning copies the tree but not the data in it.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// The last transaction.
    zxid: i64,
    nodes: BTreeMap<Path, StoredNode>,
}

#[derive(Debug, Clone, Default)]
struct StoredNode {
    content: Content,
    czxid: i64,
    owner: i64,
    access: Access,
    children: BTreeSet<Box<str>>,
}

/// The owner of writes from outside any session, which nothing is forbidden to.
pub(super) const OUTSIDE: i64 = 0;

/// The part of a znode that a write of data replaces.
#[derive(Debug, Clone, Default)]
struct Content {
    data: Arc<[u8]>,
    mzxid: i64,
    version: i32,
}

/// Way to take back one write of a batch that fails later on.
enum Undo {
    Create(Path),
    Set(Path, Content),
    Delete(Path, StoredNode),
}

impl Store {
    /// A store with nothing but the root.
    pub(super) fn new() -> Self {
        Self { zxid: 0, nodes: BTreeMap::from([(Path::root(), StoredNode::default())]) }
    }

    /// A znode's data and stat.
    pub(super) fn get(&self, path: &Path) -> Result<Znode, Error> {
        let node = self.node(path)?;
        Ok(Znode { data: node.content.data.to_vec(), stat: Stat { pzxid: self.pzxid(path), ..node.stat() } })
    }

    /// A znode's stat.
    pub(super) fn stat(&self, path: &Path) -> Result<Stat, Error> {
        Ok(Stat { pzxid: self.pzxid(path), ..self.node(path)?.stat() })
    }

    /// The last transaction, at the root. Elsewhere nobody needs it.
    fn pzxid(&self, path: &Path) -> i64 {
        if path.is_root() { self.zxid } else { 0 }
    }

    /// The names of a znode's children.
    pub(super) fn children(&self, path: &Path) -> Result<Vec<String>, Error> {
        Ok(self.node(path)?.children.iter().map(ToString::to_string).collect())
    }

    /// All znodes, in the order of their paths.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Path, &[u8], Stat)> {
        self.nodes.iter().map(|(path, node)| (path, &*node.content.data, node.stat()))
    }

    /// Does all the writes for session `owner` in one transaction, or none of them. Gives the paths that changed.
    pub(super) fn write(&mut self, owner: i64, batch: &[Write]) -> Result<Vec<Path>, WriteError> {
        let zxid = self.zxid + 1;
        let mut undo = Vec::with_capacity(batch.len());
        let mut changed = Vec::with_capacity(batch.len());
        for (index, write) in batch.iter().enumerate() {
            match self.write_one(owner, zxid, write) {
                Ok(done) => undo.push(done),
                Err(error) => {
                    for done in undo.into_iter().rev() {
                        self.undo(done);
                    }
                    return Err(WriteError { index: Some(index), error });
                }
            }
            changed.push(write.path().clone());
        }
        self.zxid = zxid;
        Ok(changed)
    }

    /// Deletes all ephemeral znodes of session `owner`. Gives their paths.
    pub(super) fn close(&mut self, owner: i64) -> Vec<Path> {
        let paths = self.owned_by(owner);
        if !paths.is_empty() {
            self.zxid += 1;
        }
        for path in &paths {
            self.remove(path);
        }
        paths
    }

    /// The ephemeral znodes of session `owner`.
    pub(super) fn owned_by(&self, owner: i64) -> Vec<Path> {
        self.nodes.iter().filter(|(_, node)| node.owner == owner).map(|(path, _)| path.clone()).collect()
    }

    fn write_one(&mut self, owner: i64, zxid: i64, write: &Write) -> Result<Undo, Error> {
        match write {
            Write::Create { path, data, mode, access } => {
                let content = Content { data: data.as_slice().into(), mzxid: zxid, version: 0 };
                let kept = if *mode == Mode::Ephemeral { owner } else { 0 };
                let children = BTreeSet::new();
                self.create(owner, path, StoredNode { content, czxid: zxid, owner: kept, access: *access, children })
            }
            Write::Set { path, data, version } => self.set(owner, zxid, path, data, *version),
            Write::Delete { path, version } => self.delete(owner, path, *version),
        }
    }

    // The order of the checks below is the servers'.

    fn create(&mut self, who: i64, path: &Path, node: StoredNode) -> Result<Undo, Error> {
        let Some(parent) = path.parent() else {
            return Err(root("it cannot be created"));
        };
        if node.access == Access::Creator {
            // Nobody is authenticated here.
            return Err(Error::InvalidAcl);
        }
        let siblings = self.nodes.get_mut(parent).ok_or(Error::NoNode)?;
        siblings.check_access(who)?;
        if siblings.owner != 0 {
            return Err(Error::NoChildrenForEphemerals);
        }
        if !siblings.children.insert(path.name().into()) {
            return Err(Error::NodeExists);
        }
        self.nodes.insert(path.clone(), node);
        Ok(Undo::Create(path.clone()))
    }

    fn set(&mut self, who: i64, zxid: i64, path: &Path, data: &[u8], version: Option<i32>) -> Result<Undo, Error> {
        let node = self.nodes.get_mut(path.as_str()).ok_or(Error::NoNode)?;
        node.check_access(who)?;
        node.check_version(version)?;
        // -1 means "any", so a version never becomes it.
        let next = match node.content.version.wrapping_add(1) {
            -1 => 0,
            next => next,
        };
        let content = Content { data: data.into(), mzxid: zxid, version: next };
        Ok(Undo::Set(path.clone(), std::mem::replace(&mut node.content, content)))
    }

    fn delete(&mut self, who: i64, path: &Path, version: Option<i32>) -> Result<Undo, Error> {
        let Some(parent) = path.parent() else {
            return Err(root("it cannot be deleted"));
        };
        let node = self.node(path)?;
        self.nodes.get(parent).ok_or(Error::NoNode)?.check_access(who)?;
        node.check_version(version)?;
        if !node.children.is_empty() {
            return Err(Error::NotEmpty);
        }
        self.remove(path).map(|node| Undo::Delete(path.clone(), node)).ok_or(Error::NoNode)
    }

    fn undo(&mut self, done: Undo) {
        match done {
            Undo::Create(path) => drop(self.remove(&path)),
            Undo::Set(path, content) => {
                if let Some(node) = self.nodes.get_mut(path.as_str()) {
                    node.content = content;
                }
            }
            Undo::Delete(path, node) => {
                if let Some(parent) = path.parent().and_then(|parent| self.nodes.get_mut(parent)) {
                    parent.children.insert(path.name().into());
                }
                self.nodes.insert(path, node);
            }
        }
    }

    fn remove(&mut self, path: &Path) -> Option<StoredNode> {
        if let Some(parent) = path.parent().and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children.remove(path.name());
        }
        self.nodes.remove(path.as_str())
    }

    fn node(&self, path: &Path) -> Result<&StoredNode, Error> {
        self.nodes.get(path.as_str()).ok_or(Error::NoNode)
    }
}

impl StoredNode {
    fn stat(&self) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.content.mzxid,
            version: self.content.version,
            ephemeral_owner: self.owner,
            num_children: i32::try_from(self.children.len()).unwrap_or(i32::MAX),
            ..Stat::default()
        }
    }

    /// Returns whether `who` may change the data and the children.
    fn check_access(&self, who: i64) -> Result<(), Error> {
        match self.access {
            Access::Read if who != OUTSIDE => Err(Error::NoAuth),
            Access::Read | Access::Open | Access::Creator => Ok(()),
        }
    }

    /// As servers check it: -1 is any version, every other number is compared, negative ones too.
    fn check_version(&self, version: Option<i32>) -> Result<(), Error> {
        match version {
            None | Some(-1) => Ok(()),
            Some(version) if version == self.content.version => Ok(()),
            Some(_) => Err(Error::BadVersion),
        }
    }
}

fn root(reason: &'static str) -> Error {
    Error::BadPath { path: "/".to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    fn create(text: &str) -> Write {
        Write::Create { path: path(text), data: b"0".to_vec(), mode: Mode::Persistent, access: Access::Open }
    }

    fn ephemeral(text: &str) -> Write {
        Write::Create { path: path(text), data: Vec::new(), mode: Mode::Ephemeral, access: Access::Open }
    }

    fn set(text: &str, version: Option<i32>) -> Write {
        Write::Set { path: path(text), data: b"1".to_vec(), version }
    }

    fn delete(text: &str, version: Option<i32>) -> Write {
        Write::Delete { path: path(text), version }
    }

    fn store(batch: &[Write]) -> Store {
        let mut store = Store::new();
        for write in batch {
            store.write(7, std::slice::from_ref(write)).unwrap();
        }
        store
    }

    fn contents(store: &Store) -> Vec<(String, Vec<u8>, Stat)> {
        store.iter().map(|(path, data, stat)| (path.to_string(), data.to_vec(), stat)).collect()
    }

    #[test]
    fn stats_tell_transactions_versions_owners_and_children() {
        let store = store(&[create("/a"), create("/a/b"), ephemeral("/a/c"), set("/a", None), set("/a", Some(1))]);
        let stat = Stat { czxid: 1, mzxid: 5, version: 2, num_children: 2, ..Stat::default() };
        assert_eq!(store.get(&path("/a")), Ok(Znode { data: b"1".to_vec(), stat }));
        assert_eq!(store.stat(&path("/a/c")).unwrap().ephemeral_owner, 7);
        assert_eq!(store.stat(&path("/a/b")).unwrap().czxid, 2);
        assert_eq!(store.children(&path("/a")).unwrap(), ["b", "c"]);
    }

    #[test]
    fn every_rule_has_its_error() {
        let mut store = store(&[create("/a"), create("/a/b"), ephemeral("/e")]);
        let cases = [
            (create("/a"), Error::NodeExists),
            (create("/x/y"), Error::NoNode),
            (create("/e/x"), Error::NoChildrenForEphemerals),
            (set("/x", None), Error::NoNode),
            (set("/a", Some(1)), Error::BadVersion),
            (set("/a", Some(-2)), Error::BadVersion),
            (delete("/x", None), Error::NoNode),
            (delete("/a", None), Error::NotEmpty),
            (delete("/a", Some(9)), Error::BadVersion),
            (delete("/", None), root("it cannot be deleted")),
            (create("/"), root("it cannot be created")),
        ];
        let before = contents(&store);
        for (write, error) in cases {
            assert_eq!(
                store.write(7, std::slice::from_ref(&write)),
                Err(WriteError { index: Some(0), error }),
                "{write:?}"
            );
        }
        assert_eq!(contents(&store), before);
    }

    #[test]
    fn minus_one_is_any_version() {
        let mut store = store(&[create("/a"), set("/a", Some(0)), set("/a", Some(-1))]);
        assert_eq!(store.stat(&path("/a")).unwrap().version, 2);
        assert_eq!(store.write(7, &[delete("/a", Some(-1))]), Ok(vec![path("/a")]));
    }

    #[test]
    fn a_batch_that_fails_leaves_no_trace() {
        let mut store = store(&[create("/a"), create("/a/b"), ephemeral("/a/c")]);
        let before = contents(&store);
        let batch = [
            set("/a", None),
            set("/a", None),
            delete("/a/b", None),
            create("/a/b"),
            set("/a/b", None),
            create("/a/b/x"),
            delete("/a/c", None),
            create("/a/b/x"),
        ];
        assert_eq!(store.write(7, &batch), Err(WriteError { index: Some(7), error: Error::NodeExists }));
        assert_eq!(contents(&store), before);
        assert_eq!(store.children(&path("/a")).unwrap(), ["b", "c"]);
        assert_eq!(store.write(7, &batch[..7]).unwrap().len(), 7);
        assert_eq!(store.stat(&path("/a/b")).unwrap().czxid, 4);
    }

    #[test]
    fn closing_a_session_takes_its_own_znodes_only() {
        let mut store = store(&[create("/a"), ephemeral("/a/mine")]);
        store.write(8, &[ephemeral("/a/theirs")]).unwrap();
        assert_eq!(store.close(7), [path("/a/mine")]);
        assert_eq!(store.close(7), []);
        assert_eq!(store.children(&path("/a")).unwrap(), ["theirs"]);
    }
}
