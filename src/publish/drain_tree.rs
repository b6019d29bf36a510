//! Drains of services whose own znodes have no flags: a tree of ours beside the registry, in which the znode
//! `<drains>/<full path of the service>` has the same flags as zc.zk's service nodes have. One mirror of it serves all
//! readers of a registry; it knows nothing of conventions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::format;
use crate::model::{Drain, Malformed};
use crate::registry::shown::ShownTree;
use crate::registry::tree::Entry;
use crate::registry::view::{Freshness, Observer};
use crate::registry::{Error, Path};

/// Time for which the readers of a registry wait for its drains at the start.
const FIRST_READING: Duration = Duration::from_secs(2);

/// The flags of such a tree, as they are now. Cheap to clone; pure but for the waiting.
#[derive(Debug, Clone)]
pub struct DrainTree {
    root: Path,
    /// None until the tree was read, or a cache file of it.
    known: watch::Sender<Option<Arc<FlagsByService>>>,
}

/// Flags by the full paths of their services.
type FlagsByService = BTreeMap<String, NodeFlags>;

/// Flags of a service, from one znode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NodeFlags {
    /// Its flags, those that have ended included.
    pub(super) drains: Vec<Drain>,
    /// Remarks on what in it cannot be used.
    pub(super) malformed: Vec<Malformed>,
}

/// Follows the changes of a drain tree.
#[derive(Debug)]
pub(super) struct DrainFollower {
    known: watch::Receiver<Option<Arc<FlagsByService>>>,
    seen: Arc<FlagsByService>,
}

impl DrainTree {
    /// A tree at `root` of which nothing is known yet.
    pub fn new(root: Path) -> Self {
        Self { root, known: watch::Sender::default() }
    }

    /// The tree's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The flags of the service at `path`, its full path.
    pub(super) fn of(&self, path: &Path) -> NodeFlags {
        let known = self.known.borrow();
        known.as_ref().and_then(|known| known.get(path.as_str())).cloned().unwrap_or_default()
    }

    /// Waits until the flags are known, so that nothing drained is served at the start; until `stop`, and at most
    /// [`FIRST_READING`]: where ZooKeeper is away, answers go before drains.
    pub async fn first_reading(&self, stop: &CancellationToken) {
        let mut known = self.known.subscribe();
        tokio::select! {
            () = stop.cancelled() => {}
            read = tokio::time::timeout(FIRST_READING, known.wait_for(Option::is_some)) => {
                if read.is_err() {
                    warn!(path = %self.root, "the drains are not read yet: services are served as if there were none");
                }
            }
        }
    }

    /// Follows changes from now on.
    pub(super) fn follow(&self) -> DrainFollower {
        let known = self.known.subscribe();
        let seen = known.borrow().clone().unwrap_or_default();
        DrainFollower { known, seen }
    }

    fn take(&self, tree: &ShownTree) {
        let nodes = tree.tree().subtree(&self.root).filter_map(|(path, entry)| {
            let below = path.below(&self.root).filter(|below| !below.is_empty())?;
            let of_node = |reason: String| Malformed::doubtful(path.as_str(), reason);
            let flags = match entry {
                Entry::Known(known) => {
                    let (drains, remarks) = format::flags(&known.data);
                    NodeFlags { drains, malformed: remarks.into_iter().map(of_node).collect() }
                }
                Entry::Unreadable(Error::NoNode) => NodeFlags::default(),
                Entry::Unreadable(error) => {
                    let reason = format!("{error}; it drains nothing");
                    NodeFlags { drains: Vec::new(), malformed: vec![of_node(reason)] }
                }
            };
            (flags != NodeFlags::default()).then(|| (format!("/{below}"), flags))
        });
        let now = Arc::new(nodes.collect::<FlagsByService>());
        self.known.send_if_modified(|known| {
            let is_new = known.as_ref() != Some(&now);
            *known = Some(now);
            is_new
        });
    }
}

impl Observer for DrainTree {
    fn publish(&mut self, tree: &ShownTree, _changed: &BTreeSet<Path>) {
        self.take(tree);
    }

    fn restore(&mut self, tree: &ShownTree) {
        self.take(tree);
    }

    fn freshness(&mut self, _freshness: Freshness) {}
}

impl DrainFollower {
    /// Waits for a change. Returns the full paths of the services whose flags are others than before.
    pub(super) async fn changed(&mut self) -> BTreeSet<Path> {
        if self.known.changed().await.is_err() {
            return std::future::pending().await;
        }
        let now = self.known.borrow_and_update().clone().unwrap_or_default();
        let before = std::mem::replace(&mut self.seen, now);
        let differs = |path: &&String| before.get(*path) != self.seen.get(*path);
        before.keys().chain(self.seen.keys()).filter(differs).map(|path| Path::trusted(path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::links::NoLinks;
    use crate::registry::tree::{Known, Tree};

    fn tree(nodes: &[(&str, &str)]) -> ShownTree {
        let root = Path::new("/d").unwrap();
        let known =
            |data: &str| Known { data: data.as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 };
        let tree = Tree::of(nodes.iter().map(|(path, data)| (Path::new(path).unwrap(), Entry::Known(known(data)))));
        let mut shown = ShownTree::new(root, Arc::new(NoLinks));
        shown.set_tree(tree);
        shown
    }

    #[tokio::test]
    async fn flags_are_those_of_the_service_of_that_path_and_only_what_differs_is_a_change() {
        let mut drains = DrainTree::new(Path::new("/d").unwrap());
        let mut follower = drains.follow();
        let nodes = [("/d", ""), ("/d/s", ""), ("/d/s/a", r#"{"drain":[{"reason":"disk"}]}"#), ("/d/s/b", "{")];
        drains.publish(&tree(&nodes), &BTreeSet::new());
        let service = |path: &str| drains.of(&Path::new(path).unwrap());
        assert_eq!(&*service("/s/a").drains[0].reason, "disk");
        assert_eq!((service("/s/b").drains.len(), service("/s/b").malformed[0].path.as_str()), (0, "/d/s/b"));
        assert_eq!((service("/s"), service("/d/s/a")), (NodeFlags::default(), NodeFlags::default()));
        let changed = follower.changed().await;
        assert_eq!(changed.iter().map(Path::as_str).collect::<Vec<_>>(), ["/s/a", "/s/b"]);
        drains.publish(&tree(&nodes[..3]), &BTreeSet::new());
        assert_eq!(follower.changed().await.iter().map(Path::as_str).collect::<Vec<_>>(), ["/s/b"]);
        drains.publish(&tree(&[]), &BTreeSet::new());
        assert_eq!(follower.changed().await.iter().map(Path::as_str).collect::<Vec<_>>(), ["/s/a"], "it is gone");
    }
}
