//! The order in which the records of a set are kept, and what they are drawn by.

use std::net::IpAddr;

use super::additionals::{Addresses, AddressesOf};
use super::layout::srv_target;
use crate::zone::entry::RrSet;
use crate::zone::order::Preference;
use crate::zone::record::rtype;
use crate::zone::records::address;

/// The records of a set as they are kept.
pub(super) struct Records<'s> {
    /// Their data.
    pub(super) rdatas: Vec<&'s [u8]>,
    /// Preferences that they are drawn by; none where all are alike.
    pub(super) preferences: Option<Vec<Preference>>,
    /// Of each record of the set, the place where it is kept; none where they are in the set's own order.
    pub(super) places: Option<Vec<u16>>,
}

impl<'s> Records<'s> {
    /// Those of `set`; `addresses` gives those of the targets of SRV records.
    pub(super) fn of(set: &'s RrSet, addresses: &mut AddressesOf<'_>) -> Self {
        let rdatas: Vec<&[u8]> = set.iter().collect();
        match (set.rtype, set.preferences()) {
            (rtype::SRV, _) => Self::services(&rdatas, addresses),
            // The data of an address are in order already.
            (_, Some(preferences)) => {
                let mut all: Vec<_> = rdatas.into_iter().zip(preferences.iter().copied()).collect();
                all.sort_by_key(|(_, preference)| preference.priority);
                let (rdatas, preferences) = all.into_iter().unzip();
                Self { rdatas, preferences: Some(preferences), places: None }
            }
            _ => Self { rdatas, preferences: None, places: None },
        }
    }

    fn services(rdatas: &[&'s [u8]], addresses: &mut AddressesOf<'_>) -> Self {
        let half =
            |rdata: &[u8], at: usize| rdata.get(at..at + 2).map_or(0, |half| u16::from_be_bytes([half[0], half[1]]));
        let preference = |rdata: &&[u8]| Preference::new(half(rdata, 0), half(rdata, 2));
        // A target that has no address here is behind those that have one, by its name.
        let mut found = Addresses::default();
        let mut key = |rdata: &'s [u8]| {
            let address = first_address(srv_target(rdata), addresses, &mut found);
            (half(rdata, 0), address.is_none(), address, half(rdata, 4), rdata)
        };
        let mut all: Vec<_> = rdatas.iter().zip(0_u16..).map(|(rdata, place)| (key(rdata), place)).collect();
        let places = (!all.is_sorted()).then(|| {
            all.sort_unstable();
            let mut places = vec![0; all.len()];
            all.iter().zip(0..).for_each(|((_, before), place)| places[usize::from(*before)] = place);
            places
        });
        let rdatas: Vec<&[u8]> = all.iter().map(|((.., rdata), _)| *rdata).collect();
        let is_plain = rdatas.iter().map(preference).all(|one| Some(one) == rdatas.first().map(preference));
        let preferences = (!is_plain).then(|| rdatas.iter().map(preference).collect());
        Self { rdatas, preferences, places }
    }
}

/// The lowest address of a target, IPv4 first.
fn first_address(target: &[u8], addresses: &mut AddressesOf<'_>, found: &mut Addresses) -> Option<IpAddr> {
    let label = target.get(1..)?.get(..usize::from(*target.first()?))?;
    // Nearly all say it themselves.
    if target.get(1 + label.len()..)?.starts_with(b"\x04addr")
        && let Some(address) = address::of_label(label)
    {
        return Some(address);
    }
    found.v4.clear();
    found.v6.clear();
    addresses(target, found);
    let v4 = found.v4.iter().min().map(|address| IpAddr::V4(*address));
    v4.or_else(|| found.v6.iter().min().map(|address| IpAddr::V6(*address)))
}
