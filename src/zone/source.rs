//! Sources of a zone: who contributes to it, under which precedence, and how far each can be trusted.
//!
//! A source is a reader of a registry, or the zone itself ([`SourceId::OWN`]): its file, its name server, the zones
//! below it. It contributes services, each under its path; a path that begins with a slash is no service's. Sources of
//! one precedence are united; of those of several, the first that has a service of some name has it alone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::addresses::AddressTtl;
use super::freshness::Freshness;
use super::name::Name;
use super::offer::Offers;

/// A source of one zone. Those that go first are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    precedence: u16,
    number: u16,
}

impl SourceId {
    /// The zone itself.
    pub const OWN: Self = Self { precedence: 0, number: 0 };

    /// The source at `number` among those of its zone.
    pub(super) fn new(precedence: u16, number: usize) -> Self {
        Self { precedence, number: u16::try_from(number).unwrap_or(u16::MAX) }
    }

    /// Its precedence: that of 0 goes first.
    pub fn precedence(self) -> u16 {
        self.precedence
    }

    /// Its place among the sources of its zone.
    pub(super) fn place(self) -> usize {
        usize::from(self.number)
    }
}

/// A service of a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SourceKey {
    pub(super) source: SourceId,
    pub(super) path: Arc<str>,
}

impl SourceKey {
    pub(super) fn new(source: SourceId, path: &Arc<str>) -> Self {
        Self { source, path: Arc::clone(path) }
    }

    /// A contribution of the zone itself.
    #[cfg(test)]
    pub(super) fn own(path: &str) -> Self {
        Self { source: SourceId::OWN, path: path.into() }
    }
}

/// Returns whether a path is a service's.
pub(super) fn is_service(path: &str) -> bool {
    !path.starts_with('/')
}

/// Fate of a service that several sources of a zone have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Merge {
    /// The first of the sources has it alone.
    #[default]
    First,
    /// It has the instances of all of them.
    Union,
}

impl Merge {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::First, Self::Union];

    /// Returns the name it has in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Union => "union",
        }
    }

    /// Returns the one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|merge| merge.as_str() == name)
    }
}

/// Role of a source in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name, for people: `main`, or `main/kafka` for one of several readers of a registry.
    pub name: Arc<str>,
    /// Its precedence: that of 0 goes first. Sources of one precedence are united; all are with [`Merge::Union`].
    pub precedence: u16,
    /// The name that all its names are at or below; the apex for a source that may have any.
    pub below: Name,
}

/// Contributions of one source.
#[derive(Debug)]
pub(super) struct Contributions {
    pub(super) role: Role,
    /// Extent of each path's contribution.
    pub(super) extents: HashMap<Arc<str>, Extent, FixedState>,
    /// Freshness of its data; `None` for a source that is always what it should be.
    pub(super) freshness: Option<Freshness>,
    /// Names that are to exist although nothing is offered at them.
    pub(super) known: BTreeSet<Name>,
    /// Names that are answered as they last were, and those below them.
    pub(super) stale: Vec<Name>,
    /// True while transfers wait for it.
    pub(super) holds_transfers: bool,
    /// Names at which services have come to meet, or ceased to, and of which it does not know yet.
    pub(super) untold: HashSet<Name, FixedState>,
}

impl Contributions {
    pub(super) fn new(role: Role, freshness: Option<Freshness>) -> Self {
        Self {
            role,
            extents: HashMap::default(),
            freshness,
            known: BTreeSet::new(),
            stale: Vec::new(),
            holds_transfers: false,
            untold: HashSet::default(),
        }
    }

    /// Returns whether what it has may be answered with.
    pub(super) fn is_served(&self) -> bool {
        !matches!(self.freshness, Some(Freshness::Loading | Freshness::Expired))
    }
}

/// Extent of what is contributed under one path: the owners at which something is offered, and the addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) owners: Box<[Name]>,
    pub(super) v4: Box<[(Ipv4Addr, u32)]>,
    pub(super) v6: Box<[(Ipv6Addr, u32)]>,
}

impl Extent {
    pub(super) fn new(offers: &Offers) -> Self {
        let mut v4 = Vec::with_capacity(offers.addresses.len());
        let mut v6 = Vec::new();
        for &(address, ttl) in &offers.addresses {
            match address {
                IpAddr::V4(address) => v4.push((address, ttl)),
                IpAddr::V6(address) => v6.push((address, ttl)),
            }
        }
        let owners = offers.names.iter().map(|offer| offer.owner.clone()).collect();
        Self { owners, v4: v4.into(), v6: v6.into() }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = AddressTtl> + '_ {
        let v4 = self.v4.iter().map(|&(address, ttl)| (address.into(), ttl));
        v4.chain(self.v6.iter().map(|&(address, ttl)| (address.into(), ttl)))
    }
}

/// Freshness of a zone with these sources, at `origin`: as bad as the worst of those that are served. Without one that
/// is, it is as bad as those that may have any of its names; of the others, only the names below are unknown.
pub(super) fn freshness(origin: &Name, sources: &[Contributions]) -> Freshness {
    let states = sources.iter().filter_map(|source| Some((source.freshness?, source.role.below == *origin)));
    let served = states.clone().filter(|(freshness, _)| matches!(freshness, Freshness::Fresh | Freshness::Stale));
    // Of two, the worse is the later one of all states.
    if let Some((worst, _)) = served.max_by_key(|(freshness, _)| *freshness as u8) {
        return worst;
    }
    let whole = states.clone().filter(|(_, is_whole)| *is_whole).max_by_key(|(freshness, _)| *freshness as u8);
    let otherwise = if states.count() > 0 { Freshness::Fresh } else { Freshness::Loading };
    whole.map_or(otherwise, |(worst, _)| worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(below: &str, freshness: Freshness) -> Contributions {
        let role = Role { name: "".into(), precedence: 0, below: Name::parse(below).unwrap() };
        Contributions::new(role, Some(freshness))
    }

    #[test]
    fn a_zone_is_as_fresh_as_the_worst_of_the_sources_that_are_served() {
        use Freshness::{Expired, Fresh, Loading, Stale};
        for (states, expected) in [
            (&[][..], Loading),
            (&[Fresh], Fresh),
            (&[Stale], Stale),
            (&[Loading], Loading),
            (&[Expired], Expired),
            (&[Fresh, Stale], Stale),
            (&[Stale, Fresh], Stale),
            (&[Fresh, Loading], Fresh),
            (&[Expired, Stale], Stale),
            (&[Loading, Expired], Expired),
        ] {
            let sources: Vec<_> = states.iter().map(|state| source("service", *state)).collect();
            assert_eq!(freshness(&Name::parse("service").unwrap(), &sources), expected, "{states:?}");
        }
    }

    #[test]
    fn a_source_of_a_part_makes_no_more_than_that_part_unknown() {
        use Freshness::{Expired, Fresh, Loading, Stale};
        let zone = Name::parse("service").unwrap();
        for (part, whole, expected) in [
            (Loading, None, Fresh),
            (Expired, Some(Loading), Loading),
            (Stale, Some(Loading), Stale),
            (Loading, Some(Fresh), Fresh),
        ] {
            let part = source("pg.service", part);
            let sources: Vec<_> = whole.map(|whole| source("service", whole)).into_iter().chain([part]).collect();
            assert_eq!(freshness(&zone, &sources), expected);
        }
    }
}
