//! The names of one service under construction.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::addresses::AddressTtl;
use super::name::Name;
use super::offer::{Built, Offer, Offers, Rank};
use super::rrset_builder::RrSetBuilder;

/// The names of one service under construction.
#[derive(Debug, Default)]
pub(super) struct Names {
    owners: Vec<(Name, Rank, RrSetBuilder)>,
    /// Index of each in `owners`.
    places: BTreeMap<(Name, Rank), usize>,
    /// The one that was asked for last: nearly always it is the next as well.
    last: usize,
    addresses: Vec<AddressTtl>,
    remarks: Vec<String>,
}

/// More remarks of one kind of trouble help nobody.
const MAX_REMARKS: usize = 16;

impl Names {
    /// Returns the offers at a name, which exists from now on.
    pub(super) fn at(&mut self, owner: &Name, rank: Rank) -> &mut RrSetBuilder {
        let is_last = |(name, of, _): &(Name, Rank, RrSetBuilder)| *of == rank && name == owner;
        if !self.owners.get(self.last).is_some_and(is_last) {
            let owners = &mut self.owners;
            self.last = *self.places.entry((owner.clone(), rank)).or_insert_with(|| {
                owners.push((owner.clone(), rank, RrSetBuilder::default()));
                owners.len() - 1
            });
        }
        &mut self.owners[self.last].2
    }

    /// Has an address have a name.
    pub(super) fn name_address(&mut self, address: IpAddr, ttl: u32) {
        self.addresses.push((address, ttl));
    }

    pub(super) fn remark(&mut self, sentence: String) {
        if self.remarks.len() < MAX_REMARKS && !self.remarks.contains(&sentence) {
            self.remarks.push(sentence);
        }
    }

    /// Of one owner, what has the highest rank: the service would hide the rest itself.
    pub(super) fn into_built(mut self) -> Built {
        self.owners.sort_unstable_by(|(a, of_a, _), (b, of_b, _)| (a, of_a).cmp(&(b, of_b)));
        let mut names: Vec<Offer> = Vec::with_capacity(self.owners.len());
        for (owner, rank, sets) in self.owners {
            names.pop_if(|last| last.owner == owner);
            names.push(Offer { owner, rank, sets: sets.into_sets() });
        }
        // Of one address, the least time to live.
        self.addresses.sort_unstable();
        self.addresses.dedup_by_key(|(address, _)| *address);
        self.addresses.shrink_to_fit();
        Built { offers: Offers { names, addresses: self.addresses }, remarks: self.remarks }
    }
}
