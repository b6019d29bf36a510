//! Offers of sources to a zone: RRsets at owner names, each under a precedence.

use super::addresses::AddressTtl;
use super::entry::RrSet;
use super::instances::{self, Instance};
use super::name::Name;
use super::synthesized::{self, SyntheticName};

/// Precedence between the offers for one owner name: the highest that is there hides all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The zone's own records, type by type, unless anybody says otherwise.
    Base,
    /// Another spelling of a service's name. Of several, one is shown.
    Alias,
    /// A part of a service, under a name below its own. Of several, one is shown.
    Subset,
    /// Made from services, under a name that is not their own. Several are united.
    Derived,
    /// A znode of that very name.
    Real,
    /// Written in the zone's master file, type by type.
    Static,
}

/// The RRsets that one service offers at one owner name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The owner, in lower case.
    pub owner: Name,
    /// Its precedence.
    pub rank: Rank,
    /// The RRsets, in the order of their types; none for a name that merely exists.
    pub sets: Box<[RrSet]>,
}

/// Offers of one service in a zone: entries, and addresses that are to have names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// Each owner once.
    pub names: Vec<Offer>,
    /// Each address once, in order, with its time to live: made a name of when somebody asks.
    pub addresses: Vec<AddressTtl>,
}

impl From<Vec<Offer>> for Offers {
    fn from(names: Vec<Offer>) -> Self {
        Self { names, addresses: Vec::new() }
    }
}

/// Outcome of building a service.
#[derive(Debug, Default)]
pub struct Built {
    /// Its offers.
    pub offers: Offers,
    /// A sentence for each thing that could not be shown.
    pub remarks: Vec<String>,
}

impl Built {
    /// Under what precedence something is offered at `name`, names that are made on demand included.
    pub fn rank_at(&self, origin: &Name, name: &Name) -> Option<Rank> {
        if let Some(offer) = self.offers.names.iter().find(|offer| offer.owner == *name) {
            return Some(offer.rank);
        }
        let is_synthesized = match synthesized::shape(origin.wire(), name.wire())? {
            SyntheticName::Address(address) => self.offers.addresses.iter().any(|(other, _)| *other == address),
            SyntheticName::Instance(label) => {
                let above =
                    self.offers.names.iter().filter(|offer| offer.owner.wire() == synthesized::parent(name.wire()));
                let mut of_instances = above.flat_map(|offer| &offer.sets).filter(|set| set.rtype == instances::TYPE);
                let is = |rdata: &[u8]| Instance::read(rdata).is_some_and(|one| one.label == label);
                of_instances.any(|set| set.iter().any(is))
            }
        };
        is_synthesized.then_some(Rank::Derived)
    }
}
