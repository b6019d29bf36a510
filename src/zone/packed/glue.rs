//! The addresses of the hosts that SRV records name, packed behind the records:
//!
//! ```text
//! flags │ for each record: the number of its target: 2 │ how many of each family: 2 │ they
//! ```
//! Where every record has a target of its own with one IPv4 address and nothing else, as for services whose instances are
//! registered by address, which are nearly all, the addresses alone are there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;

use super::super::entry::RrSet;
use super::srv_target;

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
/// There are addresses alone.
const IS_PLAIN: u8 = 4;

/// The addresses of the targets of an SRV set.
pub(super) fn pack(set: &RrSet, addresses: &mut AddressesOf<'_>) -> Vec<u8> {
    // A service may have thousands of instances; names that differ in case only are one host.
    let mut groups: HashMap<Cow<'_, [u8]>, usize, FixedState> =
        HashMap::with_capacity_and_hasher(set.len(), FixedState::default());
    let mut found = Addresses::default();
    let mut plain = Vec::with_capacity(1 + set.len() * 4);
    plain.push(IS_PLAIN);
    // Only once something is not.
    let mut bytes = Vec::new();
    let mut flags = 0;
    let mut is_plain = true;
    for (place, rdata) in set.iter().enumerate() {
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
        if let (true, true, [address], []) = (is_plain, group == next, &v4[..], &v6[..]) {
            plain.extend_from_slice(&address.octets());
            continue;
        }
        if is_plain {
            is_plain = false;
            bytes.push(0);
            let before = plain[1..].as_chunks::<4>().0.iter().enumerate();
            before.for_each(|(group, address)| push(&mut bytes, group, &[(*address).into()], &[]));
        }
        flags |= if v6.is_empty() { 0 } else { HAS_V6 } | if groups.len() > place { 0 } else { HAS_SHARED };
        push(&mut bytes, group, v4, v6);
    }
    if is_plain {
        return plain;
    }
    bytes[0] = flags;
    bytes
}

fn push(bytes: &mut Vec<u8>, group: usize, v4: &[Ipv4Addr], v6: &[Ipv6Addr]) {
    bytes.extend_from_slice(&u16::try_from(group).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend([v4.len(), v6.len()].map(|count| u8::try_from(count).unwrap_or(u8::MAX)));
    bytes.extend(v4.iter().flat_map(Ipv4Addr::octets));
    bytes.extend(v6.iter().flat_map(Ipv6Addr::octets));
}

/// The addresses packed with an SRV set; with others there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glues<'t>(pub(super) &'t [u8]);

/// The addresses of one SRV record's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glue<'t> {
    /// Records of one set with the same number here have the same target.
    pub group: u16,
    /// IPv4 addresses.
    pub v4: &'t [[u8; 4]],
    /// IPv6 addresses.
    pub v6: &'t [[u8; 16]],
}

impl<'t> Glues<'t> {
    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.0.first().is_some_and(|flags| flags & flag != 0)
    }

    /// For each of `count` records the one address of its target, where there is nothing else.
    pub fn plain(&self, count: usize) -> Option<&'t [[u8; 4]]> {
        if self.has(IS_PLAIN) { Some(self.0.get(1..1 + count * 4)?.as_chunks().0) } else { None }
    }

    /// Whether some target has an IPv6 address.
    pub fn has_v6(&self) -> bool {
        self.has(HAS_V6)
    }

    /// Whether some records have the same target.
    pub fn has_shared_targets(&self) -> bool {
        self.has(HAS_SHARED)
    }

    /// The addresses of the records' targets, in the records' order.
    pub fn iter(&self) -> impl Iterator<Item = Glue<'t>> + Clone + use<'t> {
        let is_plain = self.has(IS_PLAIN);
        let mut rest = self.0.get(1..).unwrap_or_default();
        let mut place = 0;
        std::iter::from_fn(move || {
            if is_plain {
                let v4 = rest.split_off(..4)?.as_chunks().0;
                place += 1;
                return Some(Glue { group: place - 1, v4, v6: &[] });
            }
            let &[high, low, v4, v6] = rest.first_chunk::<4>()?;
            let (v4, after) = rest[4..].split_at_checked(usize::from(v4) * 4)?;
            let (v6, after) = after.split_at_checked(usize::from(v6) * 16)?;
            rest = after;
            Some(Glue { group: u16::from_be_bytes([high, low]), v4: v4.as_chunks().0, v6: v6.as_chunks().0 })
        })
    }
}
