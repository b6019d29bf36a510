//! The convention of a registry, as far as its mirror needs it: which znodes change in one step, which data can be read
//! and which links they hold.

use super::layout::Layout;
use crate::format::{self, NodeKind, Placement};
use crate::registry::Path;
use crate::registry::grouping::Grouping;
use crate::registry::links::{LinkedProperty, Linking, NodeLinks, PropertyLink};
use crate::registry::placed::{Place, Placing};
use crate::registry::selection::{Selected, Selection};

/// A service changes in one step, whether its own node or an instance's does. Elsewhere, where links lead, services are
/// told by their shape alone.
impl Grouping for Layout {
    fn group<'p>(&self, path: &'p Path) -> &'p str {
        if self.format.is_placed() {
            return path.parent().unwrap_or_default();
        }
        self.service_of(path).unwrap_or_else(|| self.service_at(path.as_str().trim_start_matches('/')))
    }

    fn is_understood(&self, path: &Path, data: &[u8]) -> bool {
        let below = path.below(&self.root).unwrap_or_else(|| path.as_str().trim_start_matches('/'));
        if self.format.is_placed() {
            return !matches!(self.format.placement(below), Placement::Instance(_)) || self.format.check(data).is_ok();
        }
        match self.format.place(below) {
            NodeKind::Instance { .. } | NodeKind::Service { .. } | NodeKind::Leaf { .. } => {
                self.format.check(data).is_ok()
            }
            NodeKind::Directory { .. } | NodeKind::Beside { .. } | NodeKind::Inside { .. } => true,
        }
    }
}

impl Placing for Layout {
    fn place(&self, below: &str) -> Place {
        match self.format.placement(below) {
            Placement::Instance(service) => Place::Child(service),
            Placement::Directory(service) => Place::Home(service),
            Placement::Beside(Some(service)) => Place::Beside(service),
            Placement::Beside(None) => Place::BesideAll,
            Placement::Way => Place::Way,
            Placement::Foreign => Place::Nowhere,
        }
    }
}

/// Of a convention that places its znodes, those that it knows. Of the others each znode may be a service.
impl Selection for Layout {
    fn selected(&self, below: &str) -> Option<Selected> {
        if !self.format.is_placed() {
            return Some(Selected::WHOLE);
        }
        match self.format.placement(below) {
            Placement::Instance(_) => Some(Selected { data: self.format.reads_data(), children: false }),
            Placement::Beside(_) => Some(Selected::WHOLE),
            Placement::Directory(_) | Placement::Way => Some(Selected { data: false, children: true }),
            // The root is there or not, whatever it is.
            Placement::Foreign => below.is_empty().then_some(Selected { data: false, children: false }),
        }
    }

    fn is_sparse(&self) -> bool {
        self.format.is_sparse()
    }
}

impl Linking for Layout {
    fn links(&self, data: &[u8]) -> NodeLinks {
        let links = self.format.links(data).into_iter().map(|link| (link.name.into(), link.target.into()));
        let properties = self.format.property_links(data).0.into_iter().map(|link| PropertyLink {
            name: link.name.into(),
            path: link.path.into(),
            property: link.property.into(),
        });
        NodeLinks { links: links.collect(), properties: properties.collect() }
    }

    fn remarks(&self, data: &[u8]) -> Vec<String> {
        self.format.property_links(data).1
    }

    fn resolve(&self, data: &[u8], taken: &[LinkedProperty<'_>]) -> (Vec<u8>, Vec<String>) {
        let taken = taken.iter().map(|LinkedProperty { name, data, property }| format::LinkedProperty {
            name,
            data: *data,
            property,
        });
        format::with_properties(data, &taken.collect::<Vec<_>>())
    }
}
