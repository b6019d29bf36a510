//! Delegations to other zones of this server: the delegation, and the addresses of its name servers (glue).

use super::super::Zone;
use super::super::build::{Offer, Rank};
use super::super::entry::RrSet;
use super::super::lookup;
use super::super::name::Name;
use super::super::packed::{Packed, PackedSet};
use super::super::record::rtype;
use super::super::sets::Sets;
use super::ZoneWriter;

/// A zone below this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its apex.
    pub origin: Name,
    /// Its NS records, and the addresses of those name servers that lie in it.
    offers: Vec<Offer>,
    /// True if a service has the same name in both zones.
    is_alike: bool,
}

/// The source under which delegations are offered. No path begins with a slash.
const CHILDREN: &str = "/children";

impl Child {
    /// Delegation of `zone`, for the zone above it. `is_alike` says that a service has the same name in both.
    pub fn of(zone: &Zone, is_alike: bool) -> Self {
        let (origin, table) = (zone.origin().clone(), zone.load());
        let mut offers = Vec::new();
        let servers = table.apex().and_then(|apex| apex.set(rtype::NS));
        let targets: Vec<Name> =
            servers.iter().flat_map(PackedSet::iter).filter_map(|rdata| lookup::target(&rdata)).collect();
        if let Some(entry) = table.apex() {
            offers.push(Offer { owner: origin.clone(), rank: Rank::Base, sets: copied(entry, &[rtype::NS]) });
        }
        let mut targets: Vec<Name> = targets.iter().map(Name::folded).collect();
        targets.sort();
        targets.dedup();
        for target in targets.into_iter().filter(|target| *target != origin && target.is_at_or_below(&origin)) {
            if let Some(entry) = table.get(target.wire()) {
                offers.push(Offer { owner: target, rank: Rank::Base, sets: copied(entry, &[rtype::A, rtype::AAAA]) });
            }
        }
        Self { origin, offers, is_alike }
    }
}

/// The RRsets of these types.
fn copied(entry: &Packed, types: &[u16]) -> Box<[RrSet]> {
    let mut sets = Sets::default();
    for set in entry.sets().filter(|set| types.contains(&set.rtype)) {
        set.iter().for_each(|rdata| sets.add(set.rtype, set.ttl, &rdata));
    }
    sets.into_sets()
}

impl ZoneWriter {
    /// Delegates to these zones, and to no others but those that the zone file delegates to. What is below their apexes
    /// is theirs, and no longer shown here.
    pub fn delegate(&mut self, children: Vec<Child>) {
        if self.children == children {
            return;
        }
        let offers: Vec<Offer> = children.iter().flat_map(|child| child.offers.clone()).collect();
        self.put(CHILDREN, offers);
        self.children = children;
        self.place(self.of_file.clone());
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
