//! The zones of a server, and which of them a name belongs to.

use std::sync::Arc;

use super::record::rtype;
use super::served::Zone;

/// The zones of a server.
#[derive(Debug, Clone, Default)]
pub struct Zones(Vec<Arc<Zone>>);

impl Zones {
    /// These zones.
    pub fn new(mut zones: Vec<Arc<Zone>>) -> Self {
        // The longest match is found first.
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.origin().wire().len()));
        Self(zones)
    }

    /// The zone that a name, in wire form and lower case, belongs to.
    pub fn find(&self, name: &[u8]) -> Option<&Arc<Zone>> {
        self.0.iter().find(|zone| zone.has(name))
    }

    /// Finds the zone that answers a question of type `rtype` about a name, in wire form and lower case: its place in
    /// [`Self::iter`]. A DS question at an apex is for the parent zone, where that is here, too (RFC 4035 §3.1.4.1).
    pub fn place(&self, name: &[u8], rtype: u16) -> Option<usize> {
        let mut places = (0..self.0.len()).filter(|&place| self.0[place].has(name));
        let first = places.next()?;
        let is_for_parent = rtype == rtype::DS && self.0[first].origin().wire() == name;
        Some(places.next().filter(|_| is_for_parent).unwrap_or(first))
    }

    /// The one at `index` of [`Self::iter`].
    pub fn get(&self, index: usize) -> Option<&Arc<Zone>> {
        self.0.get(index)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.0.iter()
    }
}
