//! Drain trees: znodes of ours for the flags of services whose own znodes have none. Each is made for the first flag of
//! its service and goes with the last one, so that the tree has no more than what is drained, and what has ended by
//! itself since.

use super::retry::retrying;
use crate::announce::Error;
use crate::announce::operations::make_parents;
use crate::format;
use crate::model::Drain;
use crate::registry;
use crate::registry::Path;
use crate::zookeeper::Stat;
use crate::zookeeper::session::{Access, Ensemble, Mode, Read, Reply, Session};

/// Znodes that are read in one request.
const BATCH: usize = 100;

/// A drain tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainTree {
    /// Its root, which the first drain creates.
    pub root: Path,
    /// Rights to what is created.
    pub access: Access,
}

impl DrainTree {
    /// The znode with the flags of the service at `path`, its full path.
    pub fn node(&self, path: &Path) -> super::FlagNode {
        super::FlagNode { path: self.root.with(path), tree: Some(self.clone()) }
    }

    /// Creates a znode, and what is missing above it; never a chroot.
    ///
    /// # Errors
    /// [`registry::Error::NodeExists`] where somebody else did; as [`Session::create`].
    pub(super) async fn create<S: Session>(
        &self,
        session: &S,
        path: &Path,
        data: &[u8],
    ) -> Result<Stat, registry::Error> {
        match session.create(path, data, Mode::Persistent, &self.access).await {
            Err(registry::Error::NoNode) => {}
            done => return done,
        }
        make_parents(session, path, self.access).await?;
        session.create(path, data, Mode::Persistent, &self.access).await
    }

    /// Deletes a znode of this version without flags, and those above it that have nothing, but for the root; empties
    /// one with others below it. Returns its stat where it is still there.
    ///
    /// # Errors
    /// As [`Session::delete`] and [`Session::set`].
    pub(super) async fn clear<S: Session>(
        &self,
        session: &S,
        path: &Path,
        version: i32,
    ) -> Result<Option<Stat>, registry::Error> {
        match session.delete(path, Some(version)).await {
            Ok(()) => {}
            Err(registry::Error::NotEmpty) => return session.set(path, b"", Some(version)).await.map(Some),
            Err(error) => return Err(error),
        }
        let mut below = path.clone();
        while let Some(parent) = below.parent().map(Path::trusted).filter(|it| *it != self.root) {
            let Ok(znode) = session.get(&parent).await else { break };
            // One that stays does no harm: it is told to nobody.
            if !znode.data.is_empty() || session.delete(&parent, Some(znode.stat.version)).await.is_err() {
                break;
            }
            below = parent;
        }
        Ok(None)
    }
}

/// All flags in the drain tree at `root`, those that have ended included, with the full paths of their services.
///
/// # Errors
/// When it cannot be read.
pub async fn list_tree<E: Ensemble>(ensemble: &E, root: &Path) -> Result<Vec<(Path, Vec<Drain>)>, Error> {
    let read = retrying(ensemble, async |session: &E::Session| {
        let (mut found, mut level) = (Vec::new(), vec![root.clone()]);
        session.sync(root).await?;
        while !level.is_empty() {
            let mut next = Vec::new();
            for paths in level.chunks(BATCH) {
                let reads = paths.iter().flat_map(|path| [Read::Node(path.clone()), Read::Children(path.clone())]);
                let reads: Vec<_> = reads.collect();
                for (read, reply) in reads.iter().zip(session.read(&reads).await?) {
                    match reply {
                        Reply::Node(znode) => {
                            let flags = format::flags(&znode.data).0;
                            let service = read.path().below(root).filter(|below| !below.is_empty());
                            if let Some(service) = service.filter(|_| !flags.is_empty()) {
                                found.push((Path::trusted(&format!("/{service}")), flags));
                            }
                        }
                        Reply::Children(names) => next.extend(names.iter().map(|name| read.path().child(name))),
                        Reply::Failed(registry::Error::NoNode) => {}
                        Reply::Failed(error) => return Err(error),
                    }
                }
            }
            level = next;
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    });
    read.await.map_err(|error| Error::ListServices { root: ensemble.full_path(root), error })
}

#[cfg(test)]
mod tests {
    use super::super::{drain, undrain};
    use super::*;
    use crate::zookeeper::memory::Memory;

    const NOW: u64 = 1_700_000_000;

    fn at(path: &str) -> Path {
        Path::new(path).unwrap()
    }

    fn paths(memory: &Memory) -> Vec<String> {
        memory.dump().into_iter().map(|(path, _)| path.to_string()).filter(|path| path.starts_with("/z")).collect()
    }

    #[tokio::test]
    async fn the_first_drain_makes_the_tree_and_the_last_one_leaves_nothing_but_its_root() {
        let memory = Memory::new("memory");
        let tree = DrainTree { root: at("/z/drains"), access: Access::Open };
        let flag = |reason: &str| [Drain { reason: reason.into(), ..Drain::default() }];
        let (outer, inner) = (tree.node(&at("/s/a")), tree.node(&at("/s/a/b")));
        assert_eq!(list_tree(&memory, &tree.root).await.unwrap(), []);
        assert_eq!(undrain(&memory, &outer, &|_| true, NOW).await.unwrap(), []);
        assert_eq!(paths(&memory), [""; 0], "what was not drained makes nothing");
        drain(&memory, &inner, &flag("one"), NOW).await.unwrap();
        drain(&memory, &outer, &flag("two"), NOW).await.unwrap();
        let listed = list_tree(&memory, &tree.root).await.unwrap();
        assert_eq!(listed, [(at("/s/a"), flag("two").to_vec()), (at("/s/a/b"), flag("one").to_vec())]);
        let written = drain(&memory, &outer, &flag("three"), NOW).await.unwrap();
        assert_eq!(written.replaced, flag("two"));
        assert_eq!(undrain(&memory, &outer, &|_| true, NOW).await.unwrap(), flag("three"));
        assert_eq!(paths(&memory), ["/z", "/z/drains", "/z/drains/s", "/z/drains/s/a", "/z/drains/s/a/b"]);
        assert_eq!(undrain(&memory, &inner, &|_| true, NOW).await.unwrap(), flag("one"));
        assert_eq!(paths(&memory), ["/z", "/z/drains"]);
    }

    #[tokio::test]
    async fn those_who_drain_and_undrain_at_once_in_a_tree_all_have_their_way() {
        let memory = Memory::new("memory");
        let tree = DrainTree { root: at("/z/drains"), access: Access::Open };
        let each = (1..=20).map(async |number| {
            let node = tree.node(&at(&format!("/s/a{}", number % 4)));
            let instance = Some(format::endpoint(&format!("10.0.0.1:{number}")).unwrap());
            let flag = Drain { instance: instance.clone(), ..Drain::default() };
            drain(&memory, &node, &[flag], NOW).await.unwrap();
            if number % 2 == 0 {
                let ended = undrain(&memory, &node, &|flag| flag.instance == instance, NOW).await.unwrap();
                assert_eq!(ended.len(), 1);
            }
        });
        futures_util::future::join_all(each).await;
        let listed = list_tree(&memory, &tree.root).await.unwrap();
        assert_eq!(listed.iter().map(|(_, flags)| flags.len()).sum::<usize>(), 10, "{listed:?}");
    }
}
