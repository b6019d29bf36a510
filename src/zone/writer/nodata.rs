//! Names that are known and have no data, as secondaries get them.
//!
//! A service without instances is NODATA here. A transfer has records and nothing else, so that a secondary would say
//! NXDOMAIN. Below each such name is therefore `_nodata.NAME TXT ""`: the name is one that something is below, and is
//! NODATA at a secondary, too. It is an ordinary record, the same here, in transfers, in differences and in zone files
//! that are written of the zone: whoever compares a secondary with its primary finds no difference.
//!
//! Nothing of it is below a delegation, which takes all names there. Names that a znode or the configuration vouches
//! for have it, inner znodes included: of what is below these it may be that nothing is transferred. Names that are
//! there for what is below them alone (`_tcp`, those of a zone file) do not, nor do those of which it is not known
//! whether they have data.

use super::changes::{Gathered, NameFindings};
use super::{HashSet, ZoneWriter};
use crate::zone::entry::RrSet;
use crate::zone::name::Name;
use crate::zone::offer::Rank;
use crate::zone::owner_offers::OwnerOffers;
use crate::zone::record::rtype;
use crate::zone::site::Site;

/// The first label.
const LABEL: &[u8] = b"_nodata";

/// The ranks of what services offer.
const RANKS: [Rank; 4] = [Rank::Alias, Rank::Subset, Rank::Derived, Rank::Real];

impl ZoneWriter {
    /// Returns whether what was found is a known name without data.
    pub(super) fn is_bare(&self, NameFindings { change, .. }: &NameFindings) -> bool {
        let owner = &change.owner;
        let is_known = || {
            let by_service = |slot: &OwnerOffers| RANKS.iter().any(|rank| slot.has(*rank));
            let is_offered = self.slots.get(owner).is_some_and(by_service);
            is_offered || self.ghosts.contains(owner) && self.known.contains(owner)
        };
        let is_empty = change.new.as_ref().is_some_and(|new| new.is_empty() && new.unknown().is_none());
        // One below one below one would have no end.
        let is_own = owner.labels().next() == Some(LABEL);
        is_empty && !is_own && owner != self.zone.origin() && self.site(owner) != Site::Cut && is_known()
    }

    /// Notes whether a name is known and without data. Returns the name below it that comes or goes with that.
    pub(super) fn note_bare(&mut self, seen: &NameFindings) -> Option<Name> {
        let owner = &seen.change.owner;
        let is_news = if self.is_bare(seen) { self.bare.insert(owner.clone()) } else { self.bare.remove(owner.wire()) };
        // There is none below a name that is as long as a name can be.
        if is_news { owner.child(LABEL).ok() } else { None }
    }

    /// Looks at the names below those that came to be, or no longer are, without data. Of those that were `touched`
    /// something else was found before.
    pub(super) fn gather_bare(&mut self, names: Vec<Name>, touched: &HashSet<Name>, gathered: &mut Gathered) {
        for name in names {
            if touched.contains(&name) {
                gathered.forget(&name);
            }
            let seen = self.seen(name);
            gathered.take(seen);
        }
    }

    /// The RRset at a name below one without data, where nobody offers anything.
    pub(super) fn bare_set(&self, owner: &Name) -> Option<RrSet> {
        let is_below = owner.labels().next() == Some(LABEL) && self.bare.contains(&owner.parent()?);
        is_below.then(|| RrSet::new(rtype::TXT, self.base.1.minimum, vec![[0]]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::zone::ZoneBuilder;
    use crate::zone::offer::Offer;
    use crate::zone::record::Record;
    use crate::zone::source::SourceId;
    use crate::zone::unknown::{Scope, Unknown};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn writer() -> ZoneWriter {
        ZoneBuilder::new(name("service"), 60, 5).build()
    }

    fn offer(writer: &mut ZoneWriter, owner: &str, sets: &[RrSet]) {
        writer.put(owner, vec![Offer { owner: name(owner), rank: Rank::Real, sets: sets.into() }]);
    }

    fn address() -> RrSet {
        RrSet::new(rtype::A, 5, vec![[10, 0, 0, 1]])
    }

    /// The names that have one below, after a commit.
    fn bare(writer: &mut ZoneWriter) -> String {
        writer.commit(1);
        let records = writer.live().entries().into_iter().flat_map(|entry| entry.records());
        let texts = records.filter(|record| record.rtype == rtype::TXT && *record.rdata == [0]);
        let owners: BTreeSet<String> = texts.map(|record| record.owner.to_string()).collect();
        owners.iter().filter_map(|owner| owner.strip_prefix("_nodata.")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_service_without_instances_has_one_and_what_merely_has_something_below_has_none() {
        let mut writer = writer();
        offer(&mut writer, "a.service", &[]);
        offer(&mut writer, "x.b.service", &[address()]);
        assert_eq!(bare(&mut writer), "a.service.");
        offer(&mut writer, "a.service", &[address()]);
        offer(&mut writer, "b.service", &[]);
        assert_eq!(bare(&mut writer), "b.service.", "whatever is below");
        writer.put("b.service", Vec::new());
        assert_eq!(bare(&mut writer), "");
        writer.put("a.service", Vec::new());
        writer.put("x.b.service", Vec::new());
        writer.commit(1);
        assert_eq!((writer.live().len(), writer.bare.len()), (2, 0), "the apex and its name server stay");
    }

    #[test]
    fn an_expected_name_has_one_until_somebody_has_data_for_it() {
        let mut writer = writer();
        writer.source(SourceId::OWN).know([name("a.b.service")]);
        assert_eq!(bare(&mut writer), "a.b.service.");
        writer.source(SourceId::OWN).know([name("a.b.service"), name("b.service")]);
        assert_eq!(bare(&mut writer), "a.b.service. b.service.");
        writer.source(SourceId::OWN).know([name("b.service")]);
        assert_eq!(bare(&mut writer), "b.service.");
        offer(&mut writer, "b.service", &[address()]);
        assert_eq!(bare(&mut writer), "");
    }

    #[test]
    fn what_is_unknown_has_none_and_who_has_the_name_keeps_it() {
        let mut writer = writer();
        let unknown = Unknown { scope: Scope::Everything, below: true, code: 0, text: "".into() };
        offer(&mut writer, "a.service", &[unknown.set()]);
        assert_eq!(bare(&mut writer), "");
        offer(&mut writer, "a.service", &[]);
        offer(&mut writer, "_nodata.a.service", &[address()]);
        assert_eq!(bare(&mut writer), "");
        writer.put("_nodata.a.service", Vec::new());
        assert_eq!(bare(&mut writer), "a.service.");
    }

    #[test]
    fn below_a_delegation_there_is_none() {
        let mut writer = writer();
        offer(&mut writer, "x.sub.service", &[]);
        writer.source(SourceId::OWN).know([name("y.sub.service")]);
        assert_eq!(bare(&mut writer), "x.sub.service. y.sub.service.");
        let servers = Record { owner: name("sub.service"), rtype: rtype::NS, ttl: 5, rdata: (*b"\x01x\0").into() };
        writer.put_static(vec![servers]);
        assert_eq!(bare(&mut writer), "");
        writer.put_static(Vec::new());
        assert_eq!(bare(&mut writer), "x.sub.service. y.sub.service.");
    }
}
