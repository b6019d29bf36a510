//! One state of a zone, as questions are answered from it: all its names, or, while what a registry says is not known,
//! those of its file alone.

use super::parts::Ede;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::packed::PackedSet;
use crate::zone::record::rtype;
use crate::zone::view::View;
use crate::zone::{Freshness, Zone};

/// One state of a zone. Hold it for one query.
#[derive(Debug)]
pub struct Data {
    table: View,
    /// The names of [`Zone::fixed`], where they are all that is known.
    fixed: Option<View>,
    freshness: Freshness,
}

impl Data {
    /// The state of now.
    pub fn load(zone: &Zone) -> Self {
        let (table, freshness) = (zone.load(), zone.freshness());
        let is_unknown = matches!(freshness, Freshness::Loading | Freshness::Expired);
        let fixed = zone.fixed().filter(|_| is_unknown).map(|fixed| fixed.load());
        Self { table, fixed, freshness }
    }

    /// Returns whether what is said of a name was true when it was last read.
    pub(super) fn is_stale(&self, zone: &Zone, name: &[u8]) -> bool {
        self.freshness == Freshness::Stale || (self.freshness == Freshness::Fresh && zone.stale().cover(name))
    }

    /// The extended error of names that are not known, where not all are.
    pub(super) fn why_unknown(&self) -> Option<Ede> {
        match self.freshness {
            Freshness::Loading => Some(Ede::NotReady),
            Freshness::Expired => Some(Ede::NoReachableAuthority),
            Freshness::Fresh | Freshness::Stale => None,
        }
    }

    /// The names that are known.
    pub(super) fn names(&self) -> &View {
        self.fixed.as_ref().unwrap_or(&self.table)
    }

    /// The SOA record, with the serial of the zone.
    pub(super) fn soa(&self) -> Option<PackedSet<'_>> {
        lookup::soa(&self.table)
    }

    /// Looks up a name; none where the whole zone is unknown but for other names.
    pub(super) fn find(&self, zone: &Zone, name: &[u8], rtype: u16) -> Option<LookupResult<'_>> {
        if self.why_unknown().is_none() {
            return Some(lookup::find(zone, &self.table, name, rtype));
        }
        let fixed = self.fixed.as_ref()?;
        if rtype == rtype::SOA && name == zone.origin().wire() {
            return self.soa().map(LookupResult::Answer);
        }
        lookup::find_fixed(zone, fixed, name, rtype)
    }
}
