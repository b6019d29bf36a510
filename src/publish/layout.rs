//! Finds services in the mirrored tree: which znodes make one service, and which services there are.

use std::collections::BTreeSet;

use crate::format::{self, NodeKind};
use crate::registry::Path;
use crate::registry::shown::ShownTree;

/// How one registry's services are found in its tree.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The znode below which services stand.
    pub root: Path,
    /// The convention they follow.
    pub format: format::Config,
}

impl Layout {
    /// The path (below the root) of the service that a changed znode belongs to; none for one that stands elsewhere,
    /// and for ZooKeeper's own.
    pub fn service_of<'p>(&self, path: &'p Path) -> Option<&'p str> {
        let below = path.below(&self.root)?;
        (!self.is_system(below)).then(|| self.service_at(below))
    }

    /// Returns whether a path below the root is that of znodes that ZooKeeper keeps for itself: `/zookeeper`.
    pub(crate) fn is_system(&self, below: &str) -> bool {
        let rest = below.strip_prefix("zookeeper").filter(|_| self.root.is_root());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(crate) fn service_at<'p>(&self, below: &'p str) -> &'p str {
        match self.format.place(below) {
            NodeKind::Instance { service, .. } | NodeKind::Directory { service } | NodeKind::Inside { service } => {
                service
            }
            NodeKind::Service { path } => path,
        }
    }

    /// Full path of the service at `below`.
    pub fn full(&self, below: &str) -> Path {
        below.split('/').filter(|element| !element.is_empty()).fold(self.root.clone(), |path, name| path.child(name))
    }

    /// Where instances of the service shown at `shown` may stand.
    pub(crate) fn directories(&self, shown: &Path) -> Vec<Path> {
        std::iter::once(shown.clone()).chain(self.format.directory().map(|name| shown.child(name))).collect()
    }

    /// The paths (below the root) of all services. A node that only leads to others is none.
    pub fn services(&self, tree: &ShownTree) -> BTreeSet<String> {
        let mut all = self.paths(tree);
        all.retain(|below| self.is_service(tree, below));
        all
    }

    /// The paths (below the root) of the services that these paths belong to.
    pub(crate) fn services_of(&self, paths: &BTreeSet<Path>) -> BTreeSet<String> {
        let (mut all, mut last) = (BTreeSet::new(), None);
        // Paths of one service stand together: most are like the one before.
        for service in paths.iter().filter_map(|path| self.service_of(path)) {
            if last.replace(service) != Some(service) {
                all.insert(service.to_owned());
            }
        }
        all
    }

    /// The paths (below the root) of all services and of the nodes that lead to them.
    pub(crate) fn paths(&self, tree: &ShownTree) -> BTreeSet<String> {
        let (mut all, mut last) = (BTreeSet::new(), None);
        tree.each_path(|path| {
            if let Some(service) = self.service_of(path)
                && last.as_deref() != Some(service)
            {
                all.insert(service.to_owned());
                last = Some(service.to_owned());
            }
        });
        all
    }

    /// Whether there is a service at `below`: something of its own, or at least a node that does not lead to others.
    pub(crate) fn is_service(&self, tree: &ShownTree, below: &str) -> bool {
        if self.is_system(below) {
            return false;
        }
        let mut leads_on = below.is_empty();
        for child in tree.children(&self.full(below)).0 {
            match child.path.below(&self.root).map(|at| self.format.place(at)) {
                Some(NodeKind::Service { .. }) => leads_on = true,
                _ => return true,
            }
        }
        !leads_on
    }
}
