//! Bringing an in-memory ensemble to a new seed by the fewest writes, so that nobody hears of what did not change.
//!
//! Live sessions come before the seed, as in zc.zk's import: an ephemeral znode is never touched, nor is any znode
//! above it deleted, wanted or not; what the seed has at the place of an ephemeral znode, or below one, waits for the
//! next seed.

use std::collections::{BTreeMap, BTreeSet};

use super::store::Store;
use crate::registry::Path;
use crate::zookeeper::session::{Access, Mode, Write};

/// Outcome of [`Memory::replace`](super::Memory::replace).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replaced {
    /// Number of znodes that were created.
    pub created: usize,
    /// Number of znodes that got other data.
    pub changed: usize,
    /// Number of znodes that were deleted.
    pub deleted: usize,
    /// Znodes that are not wanted any more and stayed, as a session's ephemeral znodes are below them.
    pub kept: Vec<Path>,
    /// Znodes that were wanted and could not be had, as a session's ephemeral znode is at their place or above it.
    pub hidden: Vec<Path>,
}

/// Steps to take.
pub(super) struct ReplacePlan {
    pub(super) writes: Vec<Write>,
    pub(super) kept: Vec<Path>,
    pub(super) hidden: Vec<Path>,
}

/// Plans the writes that make the persistent znodes those of `wanted`.
pub(super) fn plan(store: &Store, wanted: &BTreeMap<Path, Vec<u8>>) -> ReplacePlan {
    let ephemerals = || store.iter().filter(|(.., stat)| stat.ephemeral_owner != 0).map(|(path, ..)| path);
    let ephemeral: BTreeSet<&str> = ephemerals().map(Path::as_str).collect();
    let above_wanted: BTreeSet<&str> = wanted.keys().flat_map(ancestors).collect();
    let above_ephemeral: BTreeSet<&str> = ephemerals().flat_map(ancestors).collect();

    let mut plan = ReplacePlan { writes: Vec::new(), kept: Vec::new(), hidden: Vec::new() };
    // Backwards, as a path sorts after its ancestors' and children are deleted first.
    for (path, ..) in store.iter().rev() {
        let stays = path.is_root() || wanted.contains_key(path) || above_wanted.contains(path.as_str());
        if stays || ephemeral.contains(path.as_str()) {
            continue;
        }
        if above_ephemeral.contains(path.as_str()) {
            plan.kept.push(path.clone());
        } else {
            plan.writes.push(Write::Delete { path: path.clone(), version: None });
        }
    }

    let empty = Vec::new();
    let parents = above_wanted.iter().filter_map(|path| Path::new(path).ok());
    let targets: BTreeSet<Path> = wanted.keys().cloned().chain(parents).collect();
    for path in targets {
        let listed = wanted.get(&path);
        if ephemeral.contains(path.as_str()) || ancestors(&path).any(|above| ephemeral.contains(above)) {
            if listed.is_some() {
                plan.hidden.push(path);
            }
            continue;
        }
        match (store.get(&path), listed) {
            (Ok(znode), Some(data)) if znode.data != *data => {
                plan.writes.push(Write::Set { path, data: data.clone(), version: None });
            }
            (Ok(_), _) => {}
            (Err(_), _) => plan.writes.push(Write::Create {
                path,
                data: listed.unwrap_or(&empty).clone(),
                mode: Mode::Persistent,
                access: Access::Open,
            }),
        }
    }
    plan
}

/// The paths above `path`, nearest first, the root last.
fn ancestors(path: &Path) -> impl Iterator<Item = &str> {
    let text = path.as_str();
    let slashes = text.match_indices('/').map(|(at, _)| at).filter(|_| text.len() > 1);
    slashes.rev().map(|at| if at == 0 { "/" } else { &text[..at] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::memory::{Memory, MemorySession, MemoryWatch};
    use crate::zookeeper::session::{Ensemble, Event, Session};

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    fn seed(nodes: &[(&str, &str)]) -> Vec<(Path, Vec<u8>)> {
        nodes.iter().map(|(at, data)| (path(at), data.as_bytes().to_vec())).collect()
    }

    async fn registry(nodes: &[(&str, &str)]) -> (Memory, MemorySession, MemoryWatch) {
        let memory = Memory::new("test");
        memory.replace(seed(nodes));
        let session = memory.connect().await.unwrap();
        let watch = session.watch(&Path::root()).await.unwrap();
        (memory, session, watch)
    }

    fn told(watch: &mut MemoryWatch) -> Vec<Path> {
        std::iter::from_fn(|| watch.0.try_recv().ok())
            .map(|event| match event {
                Event::Changed(path) => path,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn paths(memory: &Memory) -> Vec<String> {
        memory.dump().into_iter().map(|(path, _)| path.to_string()).collect()
    }

    #[tokio::test]
    async fn only_what_differs_is_written() {
        let (memory, _session, mut watch) =
            registry(&[("/s", "s"), ("/s/a", "1"), ("/s/a/x", ""), ("/s/b", "2"), ("/s/c", "3")]).await;
        let replaced = memory.replace(seed(&[("/s", "s"), ("/s/b", "2"), ("/s/c", "4"), ("/s/d/e", "5")]));
        assert_eq!(told(&mut watch), ["/s/a/x", "/s/a", "/s/c", "/s/d", "/s/d/e"].map(path));
        assert_eq!(replaced, Replaced { created: 2, changed: 1, deleted: 2, ..Replaced::default() });
        assert_eq!(paths(&memory), ["/s", "/s/b", "/s/c", "/s/d", "/s/d/e"]);
    }

    #[tokio::test]
    async fn the_same_seed_again_does_nothing() {
        let nodes = [("/s", "s"), ("/s/a-b", "1"), ("/s/a", "1"), ("/s/a/x", "2"), ("/t/u", "")];
        let (memory, _session, mut watch) = registry(&nodes).await;
        assert_eq!(memory.replace(seed(&nodes)), Replaced::default());
        assert_eq!(told(&mut watch), Vec::<Path>::new());
    }

    #[tokio::test]
    async fn ephemerals_and_what_is_above_them_stay() {
        let (memory, session, _watch) = registry(&[("/s", ""), ("/s/a", "1"), ("/s/a/p", ""), ("/s/b", "")]).await;
        session.create(&path("/s/a/p/e"), b"mine", Mode::Ephemeral, &Access::Open).await.unwrap();
        let replaced = memory.replace(seed(&[("/s", "new"), ("/s/a/p/e", "theirs"), ("/s/a/p/e/x", "")]));
        assert_eq!(replaced.hidden, [path("/s/a/p/e"), path("/s/a/p/e/x")]);
        assert_eq!(paths(&memory), ["/s", "/s/a", "/s/a/p", "/s/a/p/e"]);
        let replaced = memory.replace(seed(&[("/t", "")]));
        assert_eq!(replaced.kept, [path("/s/a/p"), path("/s/a"), path("/s")]);
        assert_eq!(session.get(&path("/s/a/p/e")).await.unwrap().data, b"mine");
        drop(session);
        assert_eq!(memory.replace(seed(&[("/t", "")])).deleted, 3);
        assert_eq!(paths(&memory), ["/t"]);
    }

    #[test]
    fn ancestors_end_at_the_root() {
        assert_eq!(ancestors(&path("/a/b/c")).collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(ancestors(&path("/a")).collect::<Vec<_>>(), ["/"]);
        assert_eq!(ancestors(&Path::root()).count(), 0);
    }
}
