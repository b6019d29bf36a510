//! Finds services in the mirrored tree: which znodes make one service, and which services there are.

use std::collections::BTreeSet;

use super::drain_tree::DrainTree;
use super::shared_drains::SharedDrains;
use crate::format::{self, NodeKind};
use crate::registry::Path;
use crate::registry::placed;
use crate::registry::shown::{ShownNode, ShownTree};

/// How one registry's services are found in its tree.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The znode below which services stand.
    pub root: Path,
    /// The convention they follow.
    pub format: format::Config,
    /// Drains of services whose own znodes have none; none where there is no such tree.
    pub drains: Option<DrainTree>,
    /// Drains that other readers of the registry share with this one; none where it is alone.
    pub shared: Option<SharedDrains>,
}

impl Layout {
    /// The layout of a registry at `root` in this convention, whose drains are in its services' own znodes.
    pub fn new(root: Path, format: format::Config) -> Self {
        Self { root, format, drains: None, shared: None }
    }

    /// The path (below the root) of the service that a changed znode belongs to; none for one that stands elsewhere,
    /// and for ZooKeeper's own.
    pub fn service_of<'p>(&self, path: &'p Path) -> Option<&'p str> {
        self.below(path).map(|below| self.service_at(below))
    }

    /// The part of a path below the root; none for one that stands elsewhere, and for ZooKeeper's own.
    fn below<'p>(&self, path: &'p Path) -> Option<&'p str> {
        path.below(&self.root).filter(|below| !self.is_system(below))
    }

    /// Returns whether a path below the root is that of znodes that ZooKeeper keeps for itself: `/zookeeper`.
    pub(crate) fn is_system(&self, below: &str) -> bool {
        let is_meant = self.root.is_root() && !self.format.is_placed();
        let rest = below.strip_prefix("zookeeper").filter(|_| is_meant);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(crate) fn service_at<'p>(&self, below: &'p str) -> &'p str {
        match self.kind_by_path(below) {
            // A service's own znode changes together with its instances, which their paths tell.
            NodeKind::Leaf { path, .. } if self.format.is_told_by_data_as_well() => path,
            kind => kind.service(),
        }
    }

    /// Kind of what is shown at `below`, as far as its path tells.
    pub(crate) fn kind_by_path<'p>(&self, below: &'p str) -> NodeKind<'p> {
        if !self.format.is_placed() {
            return match self.format.place(below) {
                // A child of the root is a service: the root itself is none that others than zc.zk would have.
                NodeKind::Service { path } if self.format.is_told_by_data_as_well() => match path.rsplit_once('/') {
                    Some((service, name)) => NodeKind::Leaf { service, name, path },
                    None => NodeKind::Service { path },
                },
                kind => kind,
            };
        }
        match placed::instance(below) {
            Some((service, name)) => NodeKind::Instance { service, name },
            None => NodeKind::Service { path: below },
        }
    }

    /// Kind of a znode by its path and, where that does not tell, by its data.
    pub(crate) fn kind<'p>(&self, tree: &ShownTree, node: &ShownNode<'_>, below: &'p str) -> NodeKind<'p> {
        match self.kind_by_path(below) {
            NodeKind::Leaf { service, name, path } => {
                let is_instance = tree.data(node).is_some_and(|data| self.format.is_instance(name, data));
                if is_instance { NodeKind::Instance { service, name } } else { NodeKind::Service { path } }
            }
            kind => kind,
        }
    }

    /// Kind of the znode shown at `below`, which may not be there.
    pub(crate) fn kind_at<'p>(&self, tree: &ShownTree, below: &'p str) -> NodeKind<'p> {
        match self.kind_by_path(below) {
            NodeKind::Leaf { path, .. } => match tree.get(&self.full(below)) {
                Some(node) => self.kind(tree, &node, below),
                None => NodeKind::Service { path },
            },
            kind => kind,
        }
    }

    /// Returns whether the znode shown at `below` is an instance by its data, and not by its path.
    pub(crate) fn is_instance_by_data(&self, tree: &ShownTree, below: &str) -> bool {
        matches!(self.kind_by_path(below), NodeKind::Leaf { .. })
            && matches!(self.kind_at(tree, below), NodeKind::Instance { .. })
    }

    /// Returns whether the znode shown at `below` is a service and its one instance.
    pub(crate) fn is_own_instance(&self, tree: &ShownTree, below: &str) -> bool {
        let is_own = |node: &ShownNode<'_>| tree.data(node).is_some_and(|data| self.format.is_own_instance(data));
        matches!(self.kind_by_path(below), NodeKind::Leaf { .. })
            && tree.get(&self.full(below)).is_some_and(|node| is_own(&node))
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

    /// The paths (below the root) of the services that these paths belong to, or are.
    pub(crate) fn services_of(&self, paths: &BTreeSet<Path>) -> BTreeSet<String> {
        let mut all = Services::default();
        for path in paths {
            self.add_services(path, &mut all);
        }
        all.paths
    }

    /// The paths (below the root) of all services and of the nodes that lead to them.
    pub(crate) fn paths(&self, tree: &ShownTree) -> BTreeSet<String> {
        let mut all = Services::default();
        tree.each_path(|path| self.add_services(path, &mut all));
        all.paths
    }

    fn add_services(&self, path: &Path, all: &mut Services) {
        let Some(below) = self.below(path) else { return };
        let kind = self.kind_by_path(below);
        all.add(kind.service());
        if let NodeKind::Leaf { path, .. } = kind {
            all.paths.insert(path.to_owned());
        }
    }

    /// Returns whether there is a service at `below`: something of its own, or at least a node that does not lead to
    /// others.
    pub(crate) fn is_service(&self, tree: &ShownTree, below: &str) -> bool {
        if self.is_system(below) || self.is_instance_by_data(tree, below) {
            return false;
        }
        if self.is_own_instance(tree, below) {
            return true;
        }
        let mut leads_on = below.is_empty();
        for child in tree.children(&self.full(below)).0 {
            match child.path.below(&self.root).map(|at| self.kind(tree, &child, at)) {
                Some(NodeKind::Service { .. }) => leads_on = true,
                _ => return true,
            }
        }
        !leads_on
    }
}

/// Paths of services, of which those that are one like the other come together.
#[derive(Default)]
struct Services {
    paths: BTreeSet<String>,
    last: Option<String>,
}

impl Services {
    fn add(&mut self, service: &str) {
        if self.last.as_deref() != Some(service) {
            self.paths.insert(service.to_owned());
            self.last = Some(service.to_owned());
        }
    }
}
