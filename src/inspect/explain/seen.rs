//! One state of a registry, as it is explained.

use std::collections::{BTreeMap, BTreeSet};

use crate::publish::layout::Layout;
use crate::publish::reading::Reading;
use crate::registry::shown::ShownTree;

/// One state of a registry.
#[derive(Debug, Clone, Copy)]
pub(in crate::inspect) struct RegistryView<'r> {
    pub(in crate::inspect) layout: &'r Layout,
    pub(in crate::inspect) tree: &'r ShownTree,
    /// Seconds since 1970.
    pub(in crate::inspect) now: u64,
    /// The services that the guard holds, by their paths in lower case, and how many instances each has lost.
    pub(in crate::inspect) held: &'r BTreeMap<String, u32>,
    /// Until when, in seconds since 1970.
    pub(in crate::inspect) until: u64,
}

impl RegistryView<'_> {
    pub(super) fn read(&self, below: &str) -> Option<Reading> {
        self.layout.read(self.tree, below, self.now)
    }

    pub(super) fn services(&self) -> BTreeSet<String> {
        self.layout.services(self.tree)
    }

    /// The services that the guard holds and that are not there any more.
    pub(super) fn gone(&self) -> impl Iterator<Item = &String> {
        self.held.keys().filter(|path| self.read(path).is_none())
    }
}
