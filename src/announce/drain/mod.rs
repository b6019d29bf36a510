//! Drains in the registry itself: sets and ends the flags in services' own nodes, and finds them all; `survey` finds
//! the services to drain. For the command line, which needs no running server for it: whoever mirrors the registry
//! honours them.
//!
//! Others write to these nodes, too: every write names the version that was read, and is done anew with what is there
//! by then. What was asked for is the same however often it is done, so that a lost reply does no harm.

mod retry;
mod survey;
mod tree;

pub use survey::{Survey, SurveyedNode, descend, survey};
pub use tree::{DrainTree, FlagNode, list_tree};

use tokio::time::Instant;

use super::error::Error;
use crate::format::{self, Config};
use crate::model::Drain;
use crate::registry;
use crate::registry::Path;
use crate::zookeeper::session::{Ensemble, Session};
use retry::retrying;

/// Outcome of a write of flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Flags that were in force and are replaced.
    pub replaced: Vec<Drain>,
    /// Seconds by which this host's clock is ahead of the ensemble's, behind it where negative; none where nothing was
    /// to be written, or the ensemble does not say.
    pub ahead: Option<i64>,
}

/// Sets `flags` on the service whose flags are in `node`, at `now` in seconds since 1970.
///
/// # Errors
/// When the node cannot be read or changed, or holds what must not be written over.
pub async fn drain<E: Ensemble>(ensemble: &E, node: &FlagNode, flags: &[Drain], now: u64) -> Result<Written, Error> {
    let begun = Instant::now();
    let mut all: Vec<Drain> = Vec::new();
    let mtime = change(ensemble, node, |data| {
        let (data, replaced) = format::drain(data, flags, now)?;
        // What an attempt has replaced whose reply was lost is not found by the next one.
        all.extend(replaced.into_iter().filter(|flag| !all.contains(flag)).collect::<Vec<_>>());
        Ok(data)
    })
    .await?;
    let ours = i64::try_from(now.saturating_add(begun.elapsed().as_secs())).unwrap_or(i64::MAX);
    let ahead = mtime.filter(|mtime| *mtime != 0).map(|mtime| ours.saturating_sub(mtime / 1000));
    Ok(Written { replaced: all, ahead })
}

/// Ends those drains of the service whose flags are in `node` that `is_meant` chooses. Returns those that were in
/// force.
///
/// # Errors
/// As [`drain`].
pub async fn undrain<E: Ensemble>(
    ensemble: &E,
    node: &FlagNode,
    is_meant: &dyn Fn(&Drain) -> bool,
    now: u64,
) -> Result<Vec<Drain>, Error> {
    let mut all: Vec<Drain> = Vec::new();
    change(ensemble, node, |data| {
        let (data, ended) = format::undrain(data, is_meant, now)?;
        all.extend(ended.into_iter().filter(|flag| !all.contains(flag)).collect::<Vec<_>>());
        Ok(data)
    })
    .await?;
    Ok(all)
}

/// All drains in force at `now` in the registry at `root`, with the paths of their services below it.
///
/// # Errors
/// When the registry cannot be read.
pub async fn list<E: Ensemble>(
    ensemble: &E,
    root: &Path,
    format: &Config,
    now: u64,
) -> Result<Vec<(String, Drain)>, Error> {
    let found = survey::outline(ensemble, root, format, root, false).await?;
    let each = found.nodes.into_iter().flat_map(|(path, node)| {
        node.drains.into_iter().filter(|flag| flag.holds(now)).map(move |flag| (path.clone(), flag))
    });
    Ok(each.collect())
}

/// Returns whether the instance is registered.
///
/// # Errors
/// When that cannot be read.
pub async fn is_registered<E: Ensemble>(ensemble: &E, path: &Path) -> Result<bool, Error> {
    let found = retrying(ensemble, async |session: &E::Session| match session.get(path).await {
        Ok(_) => Ok(true),
        Err(registry::Error::NoNode) => Ok(false),
        Err(error) => Err(error),
    });
    found.await.map_err(|error| Error::ChangeNode { path: ensemble.full_path(path), error })
}

/// Changes the data of a znode into what `change` makes of it. Returns the time of that by the ensemble's clock, in
/// milliseconds since 1970; none where nothing was to be written, or the znode is gone with its last flag.
async fn change<E: Ensemble>(
    ensemble: &E,
    node: &FlagNode,
    mut change: impl FnMut(&[u8]) -> Result<Vec<u8>, format::Error>,
) -> Result<Option<i64>, Error> {
    let path = &node.path;
    let changed = retrying(ensemble, async |session: &E::Session| {
        loop {
            session.sync(path).await?;
            let before = match session.get(path).await {
                Ok(znode) => Some(znode),
                Err(registry::Error::NoNode) if node.tree.is_some() => None,
                Err(error) => return Err(error),
            };
            let data = before.as_ref().map(|znode| &*znode.data).unwrap_or_default();
            let after = match change(data) {
                Ok(changed) => changed,
                Err(error) => return Ok(Err(error)),
            };
            if after == data {
                return Ok(Ok(None));
            }
            let version = before.map(|znode| znode.stat.version);
            let written = match (&node.tree, version) {
                (Some(tree), None) => tree.create(session, path, &after).await.map(Some),
                (Some(tree), Some(version)) if after.is_empty() => tree.clear(session, path, version).await,
                _ => session.set(path, &after, version).await.map(Some),
            };
            match written {
                Ok(stat) => return Ok(Ok(stat.map(|stat| stat.mtime))),
                // Another writer was there in between; that one has made progress, so this ends.
                Err(registry::Error::BadVersion | registry::Error::NodeExists) => {}
                Err(registry::Error::NoNode) if node.tree.is_some() => {}
                Err(error) => return Err(error),
            }
        }
    });
    let changed = changed.await.map_err(|error| Error::ChangeNode { path: ensemble.full_path(path), error })?;
    changed.map_err(|error| Error::KeepNode { path: ensemble.full_path(path), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::memory::Memory;
    use crate::zookeeper::session::{Access, Mode};

    const NOW: u64 = 1_700_000_000;

    async fn registry(nodes: &[(&str, &str)]) -> Memory {
        let memory = Memory::new("memory");
        let session = memory.connect().await.unwrap();
        for (path, data) in nodes {
            session.create(&at(path), data.as_bytes(), Mode::Persistent, &Access::Open).await.unwrap();
        }
        memory
    }

    fn at(path: &str) -> Path {
        Path::new(path).unwrap()
    }

    async fn data(memory: &Memory, path: &str) -> String {
        let session = memory.connect().await.unwrap();
        String::from_utf8(session.get(&at(path)).await.unwrap().data).unwrap()
    }

    fn flag(instance: Option<&str>, until: Option<u64>) -> Drain {
        let instance = instance.map(|text| format::endpoint(text).unwrap());
        Drain { instance, until, reason: "disk".into(), ..Drain::default() }
    }

    #[tokio::test]
    async fn what_is_drained_is_found_in_both_layouts_and_ends() {
        let nodes = [
            ("/s", ""),
            ("/s/a", r#"{"owner":"x"}"#),
            ("/s/a/providers", ""),
            ("/s/a/providers/10.0.0.1:80", ""),
            ("/s/stage", ""),
            ("/s/stage/db", ""),
            ("/s/stage/db/10.0.0.1:5432", r#"{"drain":[{}]}"#),
            ("/s/old", r#"{"drain":[{"until":"2001-01-01T00:00:00Z"}]}"#),
        ];
        let memory = registry(&nodes).await;
        let (one, all) = (flag(Some("10.0.0.1:80"), Some(NOW + 9)), flag(None, None));
        drain(&memory, &FlagNode::own(at("/s/a")), std::slice::from_ref(&one), NOW).await.unwrap();
        drain(&memory, &FlagNode::own(at("/s/stage/db")), std::slice::from_ref(&all), NOW).await.unwrap();
        let format = Config::default();
        let listed = list(&memory, &at("/s"), &format, NOW).await.unwrap();
        assert_eq!(listed, [("a".to_owned(), one.clone()), ("stage/db".to_owned(), all.clone())]);
        assert_eq!(list(&memory, &at("/s"), &format, NOW + 9).await.unwrap().len(), 1);

        let ended =
            undrain(&memory, &FlagNode::own(at("/s/a")), &|flag| flag.instance == one.instance, NOW).await.unwrap();
        assert_eq!(ended, [one]);
        assert_eq!(data(&memory, "/s/a").await, r#"{"owner":"x"}"#);
        assert_eq!(undrain(&memory, &FlagNode::own(at("/s/stage/db")), &|_| true, NOW).await.unwrap(), [all]);
        assert_eq!(data(&memory, "/s/stage/db").await, "");
        assert!(is_registered(&memory, &at("/s/a/providers/10.0.0.1:80")).await.unwrap());
        assert!(!is_registered(&memory, &at("/s/a/providers/10.0.0.2:80")).await.unwrap());
    }

    #[tokio::test]
    async fn two_who_drain_at_once_both_have_their_way() {
        let memory = registry(&[("/a", "")]).await;
        let drains = (1..=20).map(async |port| {
            let flag = flag(Some(&format!("10.0.0.1:{port}")), None);
            drain(&memory, &FlagNode::own(at("/a")), &[flag], NOW).await.unwrap();
        });
        futures_util::future::join_all(drains).await;
        let listed = list(&memory, &at("/"), &Config::default(), NOW).await.unwrap();
        assert_eq!(listed.len(), 20, "{listed:?}");
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_understood_is_told() {
        let memory = registry(&[("/a", r#"{"drain":true}"#)]).await;
        let told = drain(&memory, &FlagNode::own(at("/b")), &[flag(None, None)], NOW).await.unwrap_err().to_string();
        assert_eq!(told, "cannot read or change /b: no such znode");
        let told = drain(&memory, &FlagNode::own(at("/a")), &[flag(None, None)], NOW).await.unwrap_err().to_string();
        assert!(told.starts_with("/a is left as it is: its `drain` is not as"), "{told}");
        assert_eq!(data(&memory, "/a").await, r#"{"drain":true}"#);
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
