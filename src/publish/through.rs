//! What DNS shows through links: which services a changed znode touches besides its own, and which a changed link does.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use super::registry::{Layout, joined};
use crate::format;
use crate::model::Malformed;
use crate::registry::Path;
use crate::registry::links::{Held, Links, PropertyLink};
use crate::registry::tree::{Entry, Tree};

/// A registry's links, for the publisher and those who look something up.
pub type SharedLinks = Arc<RwLock<Links>>;

/// The links of one registry, and the services that are seen through them.
#[derive(Debug)]
pub(super) struct Through {
    links: SharedLinks,
    /// Paths of services that were shown through a link, to find them again when the link goes.
    services: BTreeSet<String>,
}

impl Through {
    pub(super) fn new(root: Path) -> Self {
        Self { links: Arc::new(RwLock::new(Links::new(root))), services: BTreeSet::new() }
    }

    pub(super) fn links(&self) -> SharedLinks {
        Arc::clone(&self.links)
    }

    /// Takes in the links that the changed znodes hold (all are, where none are named), and follows all anew where that
    /// is needed. Gives the services that a batch of changes touches, by their paths as shown, and the links that
    /// cannot be followed if that changed.
    pub(super) fn touched(
        &mut self,
        layout: &Layout,
        tree: &Tree,
        changed: Option<&BTreeSet<Path>>,
    ) -> (BTreeSet<String>, Option<Vec<Malformed>>) {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        // Paths of one service stand together: most are like the one before.
        let mut touched = BTreeSet::new();
        let mut last = None;
        for service in paths(tree, changed).filter_map(|path| layout.service_of(path)) {
            if last.replace(service) != Some(service) {
                touched.insert(service.to_owned());
            }
        }
        // Those seen through links as they were, then through links as they are.
        let mut through: BTreeSet<String> = BTreeSet::new();
        let at = |links: &Links, through: &mut BTreeSet<String>| {
            if !links.lead_nowhere() {
                through.extend(paths(tree, changed).flat_map(|path| services_at(layout, links, path)));
            }
        };
        at(&links, &mut through);
        let mut anew = false;
        let entries: Box<dyn Iterator<Item = _>> = match changed {
            Some(changed) => tree.entries_of(changed),
            None => Box::new(tree.iter().map(|(path, entry)| (path, Some(entry)))),
        };
        for (path, entry) in entries {
            let held = match entry {
                Some(Entry::Known(known)) => held(&known.data),
                _ => Held::default(),
            };
            anew |= links.set(path, held) || links.may_lead_elsewhere(tree, path);
        }
        let mut broken = None;
        if anew {
            let moved = links.follow(tree);
            through.extend(moved.takers.iter().filter_map(|taker| layout.service_of(taker)).map(str::to_owned));
            for shown in moved.mounts {
                let real = links.real(&shown);
                through.extend(layout.service_of(&shown).map(str::to_owned));
                for (path, _) in tree.subtree(&real) {
                    let shown = path.below(&real).map(|below| joined(&shown, below));
                    through.extend(shown.and_then(|shown| layout.service_of(&shown).map(str::to_owned)));
                }
                let Some(prefix) = shown.below(&layout.root) else { continue };
                let before = self.services.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
                through.extend(before.take_while(|service| service.starts_with(prefix)).cloned());
            }
            at(&links, &mut through);
            let malformed = |(path, reason): &(Path, String)| Malformed::lost(path.as_str(), reason.clone());
            broken = Some(links.broken().iter().map(malformed).collect());
        }
        self.services.extend(through.iter().cloned());
        touched.extend(through);
        (touched, broken)
    }

    /// The service at `path` is not shown any more.
    pub(super) fn gone(&mut self, path: &str) {
        self.services.remove(path);
    }
}

/// The paths of the changed znodes.
fn paths<'p>(tree: &'p Tree, changed: Option<&'p BTreeSet<Path>>) -> Box<dyn Iterator<Item = &'p Path> + 'p> {
    match changed {
        Some(changed) => Box::new(changed.iter()),
        None => Box::new(tree.iter().map(|(path, _)| path)),
    }
}

/// The services that show the znode at `path` through links, or a property of it.
fn services_at(layout: &Layout, links: &Links, path: &Path) -> Vec<String> {
    let shown = links.shown(path);
    let shown = shown.iter().chain(links.takers(path));
    shown.filter_map(|shown| layout.service_of(shown)).map(str::to_owned).collect()
}

/// The links that a znode's data hold.
fn held(data: &[u8]) -> Held {
    let links = format::links(data).0.into_iter().map(|link| (link.name.into(), link.target.into()));
    let properties = format::property_links(data).0.into_iter().map(|link| PropertyLink {
        name: link.name.into(),
        path: link.path.into(),
        property: link.property.into(),
    });
    Held { links: links.collect(), properties: properties.collect() }
}
