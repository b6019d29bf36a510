//! Tables that one answer reads: one state of each zone that its aliases lead to.

use std::cell::OnceCell;

use super::data::Data;
use crate::zone::{Zone, Zones};

/// One state of each zone, loaded when it is first needed. Hold it for one answer.
#[derive(Debug)]
pub struct Tables<'z> {
    zones: &'z Zones,
    data: Vec<OnceCell<Data>>,
}

impl<'z> Tables<'z> {
    /// The states of these zones.
    pub fn new(zones: &'z Zones) -> Self {
        Self { zones, data: zones.iter().map(|_| OnceCell::new()).collect() }
    }

    /// Returns whether a name, in wire form and lower case, is the apex of a zone.
    pub(super) fn is_apex(&self, name: &[u8]) -> bool {
        self.zones.iter().any(|zone| zone.origin().wire() == name)
    }

    /// Finds the zone that answers for a name, in wire form and lower case, and its state; `None` where none does.
    pub(super) fn find(&self, name: &[u8], rtype: u16) -> Option<(&'z Zone, &Data)> {
        let place = self.zones.place(name, rtype)?;
        let zone = self.zones.get(place)?;
        Some((zone, self.data.get(place)?.get_or_init(|| Data::load(zone))))
    }
}
