//! The offers at one owner name, and which of them show.
//!
//! Most names are offered by one service. A few are shared by very many: `_services._dns-sd._udp` by all of a domain.
//! So a short list becomes a map when it grows, and of what is united ([`united`](super::united)) no more than
//! `MAX_UNITED` sources are: the first in the order of their paths. What one change of one service costs does not
//! depend on how many there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::RrSet;
use super::instances;
use super::offer::Rank;
use super::order::Preference;
use super::packed::Packed;
use super::record::rtype;
use super::site::Site;
use super::source::{self, SourceId, SourceKey};
use super::united::{SourceSets, united, united_instances};
use super::unknown;

/// Services that are told of at a name where they meet.
pub(super) const MAX_LISTED: usize = 16;

/// Beyond this many offers, a map.
const FEW: usize = 16;

/// Offers at one owner.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnerOffers {
    offers: Offers,
    /// Names below this one at which something is offered.
    pub(super) below: u32,
}

type SharedRrSets = Arc<[RrSet]>;

#[derive(Debug, Clone)]
enum Offers {
    Few(Vec<Offered>),
    Many(BTreeMap<(Rank, SourceId, Arc<str>), SharedRrSets>),
}

/// An offer. There is one for nearly every name: the key's parts are apart, so that the small ones share eight bytes.
#[derive(Debug, Clone)]
struct Offered {
    path: Arc<str>,
    source: SourceId,
    rank: Rank,
    /// None while nobody else offers anything and it is all in the packed entry that readers see: nearly everywhere,
    /// and it need not be held twice.
    shown: Option<SharedRrSets>,
}

impl Offered {
    fn is_of(&self, key: &SourceKey) -> bool {
        self.source == key.source && self.path == key.path
    }
}

/// An offer under some rank: the source, the path there, and the RRsets.
type RankedOffer<'s> = (SourceId, &'s Arc<str>, &'s SharedRrSets);

impl Default for Offers {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// Collision of offers at a name at which a service does not show as it would alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollisionKind {
    /// The paths of several services make the name: they show as one.
    United,
    /// The name is another spelling of several services: the first shows.
    First,
    /// The name is that of a name server: its addresses show, and those of services do not.
    Server,
    /// Sources that are not united have the service: that of the one that goes first shows.
    Preceded,
    /// The zone file has an alias (CNAME) there: nothing of the services shows.
    Hidden,
    /// The zone file has records there: the services' alias (CNAME) does not show.
    Unaliased,
    /// The name lies below a cut: nothing of the services shows.
    Cut,
}

const RANKS: [Rank; 6] = [Rank::Base, Rank::Alias, Rank::Subset, Rank::Derived, Rank::Real, Rank::Static];

impl OwnerOffers {
    /// Returns whether nothing is offered.
    pub(super) fn is_empty(&self) -> bool {
        match &self.offers {
            Offers::Few(offers) => offers.is_empty(),
            Offers::Many(offers) => offers.is_empty(),
        }
    }

    /// Returns whether one source offers something at most.
    pub(super) fn is_alone(&self) -> bool {
        matches!(&self.offers, Offers::Few(offers) if offers.len() < 2)
    }

    /// Returns whether it is nothing but another spelling of a name.
    pub(super) fn is_alias(&self) -> bool {
        matches!(&self.offers, Offers::Few(offers) if !offers.is_empty() && offers.iter().all(|one| one.rank == Rank::Alias))
    }

    /// Returns whether very many offer something.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.offers, Offers::Many(_))
    }

    /// Replaces what is offered under `key`. Says whether that is different. `live` is the entry that readers see.
    pub(super) fn put(
        &mut self,
        key: &SourceKey,
        rank: Rank,
        sets: Box<[RrSet]>,
        live: impl FnOnce() -> Option<Packed>,
    ) -> bool {
        let was_packed = self.is_packed();
        self.unpack(live);
        if self.get(key).is_some_and(|(before, shown)| before == rank && **shown == *sets) {
            if was_packed {
                self.pack();
            }
            return false;
        }
        self.remove(key);
        // Many services on one host offer the same for it: held once.
        let same = self.of(rank).map(|(.., shown)| shown).take(FEW).find(|shown| ***shown == *sets);
        let sets = same.map_or_else(|| sets.into(), Arc::clone);
        match &mut self.offers {
            Offers::Few(offers) => {
                if offers.is_empty() {
                    // Nearly every name is offered by one service alone, and there are many.
                    offers.reserve_exact(1);
                }
                let (path, source) = (Arc::clone(&key.path), key.source);
                offers.push(Offered { path, source, rank, shown: Some(sets) });
                if offers.len() > FEW {
                    let many = std::mem::take(offers).into_iter();
                    let many = many.filter_map(|one| Some(((one.rank, one.source, one.path), one.shown?)));
                    self.offers = Offers::Many(many.collect());
                }
            }
            Offers::Many(offers) => drop(offers.insert((rank, key.source, Arc::clone(&key.path)), sets)),
        }
        true
    }

    /// Takes away what is offered under `key`.
    pub(super) fn remove(&mut self, key: &SourceKey) {
        match &mut self.offers {
            Offers::Few(offers) => offers.retain(|one| !one.is_of(key)),
            Offers::Many(offers) => {
                for rank in RANKS {
                    offers.remove(&(rank, key.source, Arc::clone(&key.path)));
                }
            }
        }
    }

    /// Leaves the offer to the packed entry that readers see, word for word, where one alone offers it: no more is
    /// held. Master file and zone are left out, as they are shown type by type.
    pub(super) fn pack(&mut self) {
        if let Offers::Few(offers) = &mut self.offers
            && let [one] = &mut offers[..]
            && !matches!(one.rank, Rank::Static | Rank::Base)
            // An alias hides what is beside it.
            && !one.shown.as_ref().is_some_and(|sets| sets.iter().any(|set| set.rtype == rtype::CNAME))
        {
            one.shown = None;
        }
    }

    /// Returns whether [`Self::pack`] has left nothing here.
    pub(super) fn is_packed(&self) -> bool {
        matches!(&self.offers, Offers::Few(offers) if offers.iter().any(|one| one.shown.is_none()))
    }

    /// Takes back what is held in the packed entry that readers see.
    pub(super) fn unpack(&mut self, live: impl FnOnce() -> Option<Packed>) {
        if let Offers::Few(offers) = &mut self.offers
            && let Some(one) = offers.iter_mut().find(|one| one.shown.is_none())
        {
            one.shown = Some(live().map(|entry| entry.offered().into()).unwrap_or_default());
        }
    }

    /// Returns what is offered under `key`; `None` also while that is packed.
    pub(super) fn get(&self, key: &SourceKey) -> Option<(Rank, &SharedRrSets)> {
        match &self.offers {
            Offers::Few(offers) => {
                let one = offers.iter().find(|one| one.is_of(key))?;
                Some((one.rank, one.shown.as_ref()?))
            }
            Offers::Many(offers) => {
                let of = |rank| offers.get(&(rank, key.source, Arc::clone(&key.path)));
                RANKS.into_iter().find_map(|rank| of(rank).map(|shown| (rank, shown)))
            }
        }
    }

    /// Offers under `rank`.
    fn of(&self, rank: Rank) -> Box<dyn Iterator<Item = RankedOffer<'_>> + '_> {
        match &self.offers {
            Offers::Few(offers) => {
                let of_rank = offers.iter().filter(move |one| one.rank == rank);
                Box::new(of_rank.filter_map(|one| Some((one.source, &one.path, one.shown.as_ref()?))))
            }
            Offers::Many(offers) => Box::new(
                offers
                    .range((rank, SourceId::OWN, Arc::from(""))..)
                    .take_while(move |((other, ..), _)| *other == rank)
                    .map(|((_, source, path), shown)| (*source, path, shown)),
            ),
        }
    }

    /// Returns whether anything is offered under `rank`.
    pub(super) fn has(&self, rank: Rank) -> bool {
        match &self.offers {
            Offers::Few(offers) => offers.iter().any(|one| one.rank == rank),
            Offers::Many(_) => self.of(rank).next().is_some(),
        }
    }

    /// Of several that cannot be united, one of the source that goes first among those that have data, and there the
    /// one whose service is nearest: the longest path; then the first.
    fn one_of(&self, rank: Rank) -> Option<RankedOffer<'_>> {
        let with_data = self.of(rank).filter(|(.., shown)| has_data(shown));
        let first = with_data.map(|(source, ..)| source.precedence()).min();
        let key = |(source, path, _): &RankedOffer<'_>| {
            (source.precedence(), std::cmp::Reverse(path.len()), Arc::clone(path), *source)
        };
        self.of(rank).filter(|(source, ..)| first.is_none_or(|first| source.precedence() == first)).min_by_key(key)
    }

    /// Returns whether different paths offer something under `rank`, as far as they are `meant`. One path in several
    /// sources that are united is one service.
    fn is_of_several(&self, rank: Rank, is_meant: impl Fn(&SharedRrSets) -> bool) -> bool {
        let meant = self.of(rank).filter(|(_, path, shown)| source::is_service(path) && is_meant(shown));
        let mut paths = meant.map(|(_, path, _)| path);
        paths.next().is_some_and(|first| paths.any(|path| path != first))
    }

    /// Returns how offers meet here so that people are to know of it.
    pub(super) fn collision_kind(&self, site: Site) -> Option<CollisionKind> {
        match site {
            Site::Cut => return self.services(&[Rank::Real], has_data).next().map(|_| CollisionKind::Cut),
            _ if self.is_alone() => return None,
            Site::Server if self.services(&RANKS, says_where).next().is_some() => {
                return Some(CollisionKind::Server);
            }
            _ => {}
        }
        if self.of(Rank::Static).any(|(.., shown)| has_alias(shown)) {
            return self.services(&RANKS, has_data).next().map(|_| CollisionKind::Hidden);
        }
        if self.has(Rank::Static) && self.services(&RANKS, has_alias).next().is_some() {
            return Some(CollisionKind::Unaliased);
        }
        if self.has(Rank::Real) {
            return self.is_of_several(Rank::Real, |_| true).then_some(CollisionKind::United);
        }
        let is_hidden = [Rank::Derived, Rank::Subset].into_iter().any(|rank| self.has(rank));
        // Everybody at an address has the same name for it.
        let is_reverse = |shown: &SharedRrSets| shown.iter().any(|set| set.rtype == rtype::PTR);
        self.is_of_several(Rank::Alias, |shown| !is_hidden && !is_reverse(shown)).then_some(CollisionKind::First)
    }

    /// The services that meet, the one that shows first where one does; no more than people want to read.
    pub(super) fn collision(&self, kind: CollisionKind) -> Vec<SourceKey> {
        let of_rank = |rank| {
            let services = self.of(rank).filter(|(_, path, _)| source::is_service(path));
            services.map(|(source, path, _)| SourceKey::new(source, path)).collect()
        };
        let mut services: Vec<SourceKey> = match kind {
            CollisionKind::United => of_rank(Rank::Real),
            CollisionKind::First => of_rank(Rank::Alias),
            CollisionKind::Cut => self.services(&[Rank::Real], has_data).collect(),
            CollisionKind::Server => self.services(&RANKS, says_where).take(MAX_LISTED).collect(),
            CollisionKind::Hidden => self.services(&RANKS, has_data).take(MAX_LISTED).collect(),
            CollisionKind::Unaliased => self.services(&RANKS, has_alias).collect(),
            // It is of whole services, of which those that do not show are not here.
            CollisionKind::Preceded => Vec::new(),
        };
        services.sort();
        if let Some((source, path, _)) =
            self.one_of(Rank::Alias).filter(|(_, path, _)| kind == CollisionKind::First && source::is_service(path))
        {
            let first = SourceKey::new(source, path);
            services.retain(|service| *service != first);
            services.insert(0, first);
        }
        services.truncate(MAX_LISTED);
        services
    }

    /// The services that offer something under one of `ranks` that `is_meant`.
    fn services<'s>(
        &'s self,
        ranks: &'s [Rank],
        is_meant: impl Fn(&SharedRrSets) -> bool + 's,
    ) -> impl Iterator<Item = SourceKey> + 's {
        let offered = ranks.iter().filter(|rank| !matches!(rank, Rank::Static | Rank::Base));
        let offered = offered.flat_map(|rank| self.of(*rank));
        let services = offered.filter(move |(_, path, shown)| source::is_service(path) && is_meant(shown));
        services.map(|(source, path, _)| SourceKey::new(source, path))
    }

    /// The instances that have names below this one ([`instances`]), whatever shows here.
    pub(super) fn instances(&self) -> Option<RrSet> {
        let sets = self
            .of(Rank::Derived)
            .filter_map(|(source, _, shown)| Some((source, shown.iter().find(|set| set.rtype == instances::TYPE)?)));
        united_instances(sets)
    }

    /// The RRsets that show at a name of this `site`, in no order; `made` are those that are synthesized for the name,
    /// in the rank of what is derived. Must not be packed.
    pub(super) fn sets(&self, made: Option<&SharedRrSets>, site: Site) -> Vec<RrSet> {
        let mut sets = match site {
            Site::Cut => Vec::new(),
            Site::Plain | Site::Server => self.registered(made),
        };
        if site == Site::Server {
            sets.retain(|set| !is_of_host(set));
        }
        // RFC 2181 §10.1: beside a CNAME there is nothing. One of the registry's stands for addresses that nobody
        // knows, and shows where nobody else offers anything; one of the file's hides everything.
        if sets.iter().any(|set| set.rtype == rtype::CNAME) {
            let is_alone = !self.has(Rank::Static) && self.of(Rank::Real).nth(1).is_none();
            sets.retain(|set| (set.rtype == rtype::CNAME) == is_alone);
        }
        for set in self.of(Rank::Static).flat_map(|(.., shown)| shown.iter()) {
            sets.retain(|other| other.rtype != set.rtype && set.rtype != rtype::CNAME);
            sets.push(set.clone());
        }
        for set in self.of(Rank::Base).flat_map(|(.., shown)| shown.iter()) {
            if !sets.iter().any(|other| other.rtype == set.rtype || other.rtype == rtype::CNAME) {
                sets.push(set.clone());
            }
        }
        unknown::settle(&mut sets);
        sets.extend(self.instances().filter(|_| site != Site::Cut));
        sets
    }

    /// The RRsets of the registry: those of the highest rank.
    fn registered(&self, made: Option<&SharedRrSets>) -> Vec<RrSet> {
        fn sets((source, _, shown): RankedOffer<'_>) -> SourceSets<'_> {
            (source, shown)
        }
        let mut sets = if self.has(Rank::Real) {
            united(self.of(Rank::Real).map(sets), Some(Preference::default()))
        } else if self.has(Rank::Derived) || made.is_some() {
            // Hosts, each of which has its address once, whoever names it.
            let made = made.map(|made| (SourceId::OWN, &**made));
            united(made.into_iter().chain(self.of(Rank::Derived).map(sets)), None)
        } else {
            let rank = if self.has(Rank::Subset) { Rank::Subset } else { Rank::Alias };
            // One path in several sources that are united is one service.
            let best = self.one_of(rank).map(|(source, path, _)| (source.precedence(), path));
            let is_best = |(source, path, _): &RankedOffer<'_>| best == Some((source.precedence(), *path));
            united(self.of(rank).filter(is_best).map(sets), Some(Preference::default()))
        };
        sets.retain(|set| set.rtype != instances::TYPE);
        sets
    }
}

/// Returns whether records say where a host is, or that this is not known.
fn is_of_host(set: &RrSet) -> bool {
    match set.rtype {
        rtype::A | rtype::AAAA | rtype::CNAME => true,
        unknown::TYPE => !unknown::is_all(std::slice::from_ref(set)),
        _ => false,
    }
}

fn says_where(shown: &SharedRrSets) -> bool {
    shown.iter().any(is_of_host)
}

/// Returns whether it is more than a name that exists: inner znodes offer no more.
fn has_data(shown: &SharedRrSets) -> bool {
    !shown.is_empty()
}

fn has_alias(shown: &SharedRrSets) -> bool {
    shown.iter().any(|set| set.rtype == rtype::CNAME)
}

#[cfg(test)]
mod tests {
    use super::super::united::MAX_UNITED;
    use super::*;

    fn sets(last: u16) -> Box<[RrSet]> {
        [RrSet::new(rtype::A, 5, vec![[[10, 0], last.to_be_bytes()].concat()])].into()
    }

    fn shows(slot: &OwnerOffers) -> Vec<u8> {
        slot.sets(None, Site::Plain).iter().flat_map(RrSet::iter).map(|rdata| rdata[3]).collect()
    }

    /// There is an offer for nearly every name.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_source_of_an_offer_costs_no_memory() {
        assert_eq!(size_of::<Offered>(), size_of::<(Rank, Arc<str>, Option<SharedRrSets>)>());
        assert_eq!(size_of::<(Rank, SourceId, Arc<str>)>(), size_of::<(Rank, Arc<str>)>());
    }

    #[test]
    fn few_and_many_are_alike() {
        let mut slot = OwnerOffers::default();
        let sources: Vec<SourceKey> = (0..40).map(|i| SourceKey::own(&format!("s{i:02}"))).collect();
        for (i, source) in (0..).zip(&sources) {
            assert!(slot.put(source, Rank::Derived, sets(i), || None));
            assert!(!slot.put(source, Rank::Derived, sets(i), || None), "nothing new");
            assert_eq!(shows(&slot).len(), usize::from(i) + 1);
        }
        assert!(slot.put(&sources[7], Rank::Real, sets(99), || None), "another rank");
        assert_eq!(shows(&slot), [99]);
        for source in &sources {
            assert!(!slot.is_empty());
            slot.remove(source);
        }
        assert!(slot.is_empty());
    }

    #[test]
    fn what_is_united_is_bounded_and_always_the_same() {
        let mut slot = OwnerOffers::default();
        for i in (0..6000_u16).rev() {
            slot.put(&SourceKey::own(&format!("s{i:04}")), Rank::Derived, sets(i), || None);
        }
        assert_eq!(slot.sets(None, Site::Plain)[0].len(), MAX_UNITED);
        assert_eq!(slot.sets(None, Site::Plain)[0].iter().next(), Some(&[10, 0, 0, 0][..]));
    }

    #[test]
    fn a_cname_of_the_registry_shows_for_one_host_alone() {
        let of = |rtype, last: u8| RrSet::new(rtype, 5, vec![vec![last]]);
        let is_shown = |slot: &OwnerOffers| slot.sets(None, Site::Plain).iter().any(|set| set.rtype == rtype::CNAME);
        let mut slot = OwnerOffers::default();
        slot.put(&SourceKey::own("a"), Rank::Real, [of(rtype::CNAME, 1), of(rtype::SRV, 1)].into(), || None);
        assert!(is_shown(&slot));
        slot.put(&SourceKey::own("b"), Rank::Real, [of(rtype::SRV, 2)].into(), || None);
        assert!(!is_shown(&slot));
    }

    #[test]
    fn of_two_aliases_the_first_shows_and_of_two_subsets_the_nearer() {
        let mut slot = OwnerOffers::default();
        slot.put(&SourceKey::own("a-b_c"), Rank::Alias, sets(2), || None);
        slot.put(&SourceKey::own("a_b_c"), Rank::Alias, sets(3), || None);
        assert_eq!(shows(&slot), [2]);
        slot.put(&SourceKey::own("x"), Rank::Subset, sets(4), || None);
        slot.put(&SourceKey::own("x/y"), Rank::Subset, sets(5), || None);
        assert_eq!(shows(&slot), [5]);
    }
}
