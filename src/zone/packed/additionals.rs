//! The addresses of the hosts that SRV records name, packed behind the records:
//!
//! ```text
//! flags │ for each record: the number of its target: 2 │ how many of each family: 2 │ they
//! ```
//! Where every record has a target of its own with one IPv4 address and nothing else, they may be among the records
//! instead ([`super::hosts`]).

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;

use super::hosts::PackedHosts;
use super::layout::srv_target;

/// The addresses of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4, each once.
    pub v4: Vec<Ipv4Addr>,
    /// IPv6, each once.
    pub v6: Vec<Ipv6Addr>,
}

impl Addresses {
    /// Adds an address.
    pub fn push(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4.push(address),
            IpAddr::V6(address) => self.v6.push(address),
        }
    }
}

/// Adds the addresses of a host named by an SRV record, as far as the zone knows them.
pub type AddressesOf<'a> = dyn FnMut(&[u8], &mut Addresses) + 'a;

/// Some target has an IPv6 address.
const HAS_V6: u8 = 1;
/// Some records have the same target.
const HAS_SHARED: u8 = 2;

/// The addresses of the targets of an SRV set.
pub(super) enum TargetAddresses {
    /// One for each record, whose targets are all different.
    Each(Vec<[u8; 4]>),
    /// Packed, whatever they are.
    Any(Vec<u8>),
}

/// Packs addresses of which each is of another target.
pub(super) fn pack_each(addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut bytes = vec![0];
    addresses.iter().enumerate().for_each(|(group, address)| push(&mut bytes, group, &[(*address).into()], &[]));
    bytes
}

/// Looks up those of SRV records.
pub(super) fn find(rdatas: &[&[u8]], addresses: &mut AddressesOf<'_>) -> TargetAddresses {
    // A service may have thousands of instances; names that differ in case only are one host.
    let mut groups: HashMap<Cow<'_, [u8]>, usize, FixedState> =
        HashMap::with_capacity_and_hasher(rdatas.len(), FixedState::default());
    let mut found = Addresses::default();
    let mut each = Vec::with_capacity(rdatas.len());
    // Only once something else is there.
    let mut any = None;
    let mut flags = 0;
    for (place, rdata) in rdatas.iter().enumerate() {
        let target = srv_target(rdata);
        let next = groups.len();
        let is_folded = !target.iter().any(u8::is_ascii_uppercase);
        let folded = if is_folded { Cow::Borrowed(target) } else { Cow::Owned(target.to_ascii_lowercase()) };
        let group = *groups.entry(folded).or_insert(next);
        found.v4.clear();
        found.v6.clear();
        addresses(target, &mut found);
        let Addresses { v4, v6 } = &mut found;
        v4.truncate(255);
        v6.truncate(255);
        if let (None, true, [address], []) = (&any, group == next, &v4[..], &v6[..]) {
            each.push(address.octets());
            continue;
        }
        let bytes = any.get_or_insert_with(|| pack_each(&each));
        flags |= if v6.is_empty() { 0 } else { HAS_V6 } | if groups.len() > place { 0 } else { HAS_SHARED };
        push(bytes, group, v4, v6);
    }
    match any {
        Some(mut bytes) => {
            bytes[0] = flags;
            TargetAddresses::Any(bytes)
        }
        None => TargetAddresses::Each(each),
    }
}

fn push(bytes: &mut Vec<u8>, group: usize, v4: &[Ipv4Addr], v6: &[Ipv6Addr]) {
    bytes.extend_from_slice(&u16::try_from(group).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend([v4.len(), v6.len()].map(|count| u8::try_from(count).unwrap_or(u8::MAX)));
    bytes.extend(v4.iter().flat_map(Ipv4Addr::octets));
    bytes.extend(v6.iter().flat_map(Ipv6Addr::octets));
}

/// The addresses packed with an SRV set; with others there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Additionals<'t> {
    /// Among the records.
    Each(PackedHosts<'t>),
    /// Behind them.
    Any(&'t [u8]),
}

/// The addresses of one SRV record's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAddresses<'t> {
    /// Records of one set with the same number here have the same target.
    pub group: u16,
    /// IPv4 addresses.
    pub v4: &'t [[u8; 4]],
    /// IPv6 addresses.
    pub v6: &'t [[u8; 16]],
}

impl<'t> Additionals<'t> {
    fn has(&self, flag: u8) -> bool {
        matches!(self, Self::Any([flags, ..]) if flags & flag != 0)
    }

    /// Returns whether some target has an IPv6 address.
    pub fn has_v6(&self) -> bool {
        self.has(HAS_V6)
    }

    /// Returns whether some records have the same target.
    pub fn has_shared_targets(&self) -> bool {
        self.has(HAS_SHARED)
    }

    /// The addresses of the records' targets, in the records' order.
    pub fn iter(&self) -> impl Iterator<Item = HostAddresses<'t>> + Clone + use<'t> {
        let mut rest = match *self {
            Self::Each(_) => &[],
            Self::Any(bytes) => bytes.get(1..).unwrap_or_default(),
        };
        let mut hosts = if let Self::Each(hosts) = *self { Some(hosts) } else { None };
        let mut place = 0;
        std::iter::from_fn(move || {
            if let Some(hosts) = &mut hosts {
                let v4 = std::slice::from_ref(hosts.take()?.address());
                place += 1;
                return Some(HostAddresses { group: place - 1, v4, v6: &[] });
            }
            let &[high, low, v4, v6] = rest.first_chunk::<4>()?;
            let (v4, after) = rest[4..].split_at_checked(usize::from(v4) * 4)?;
            let (v6, after) = after.split_at_checked(usize::from(v6) * 16)?;
            rest = after;
            Some(HostAddresses { group: u16::from_be_bytes([high, low]), v4: v4.as_chunks().0, v6: v6.as_chunks().0 })
        })
    }
}
