//! A zone of this server below another one, as that one delegates to it.

use super::entry::RrSet;
use super::lookup;
use super::name::Name;
use super::offer::{Offer, Rank};
use super::packed::{Packed, PackedSet};
use super::record::rtype;
use super::rrset_builder::RrSetBuilder;
use super::served::Zone;

/// A zone below this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its apex.
    pub origin: Name,
    /// Its NS records, and the addresses of those name servers that lie in it.
    pub(super) offers: Vec<Offer>,
    /// True if a service has the same name in both zones.
    pub(super) is_alike: bool,
}

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
    let mut sets = RrSetBuilder::default();
    for set in entry.sets().filter(|set| types.contains(&set.rtype)) {
        set.iter().for_each(|rdata| sets.add(set.rtype, set.ttl, &rdata));
    }
    sets.into_sets()
}
