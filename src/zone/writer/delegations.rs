//! Delegations to other zones of this server: the delegation, and the addresses of its name servers (glue).

use super::ZoneWriter;
use crate::zone::delegation::Child;
use crate::zone::name::Name;
use crate::zone::offer::Offer;

/// The source under which delegations are offered. No path begins with a slash.
const CHILDREN: &str = "/children";

impl ZoneWriter {
    /// Delegates to these zones, and to no others but those that the zone file delegates to. What is below their apexes
    /// is theirs, and no longer shown here. Returns whether that is different from before.
    pub fn delegate(&mut self, children: Vec<Child>) -> bool {
        if self.children == children {
            return false;
        }
        let offers: Vec<Offer> = children.iter().flat_map(|child| child.offers.clone()).collect();
        self.put(CHILDREN, offers);
        self.children = children;
        self.place(self.of_file.clone());
        true
    }

    /// Returns whether a cut takes nothing away, as the zone below shows the same services under the same names.
    pub(super) fn is_alike(&self, cut: &Name) -> bool {
        self.children.iter().any(|child| child.origin == *cut && child.is_alike)
    }

    /// The apexes of the zones below.
    pub(super) fn children(&self) -> impl Iterator<Item = &Name> {
        self.children.iter().map(|child| &child.origin)
    }
}
