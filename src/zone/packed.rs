//! An entry as the hot path wants it: one allocation with everything a response needs, in the order in which it is
//! read, so that an answer is a few copies of memory and few cache lines.
//!
//! ```text
//! name length │ name │ number of sets │ directory: a row a set │ bodies and glue
//!                                        type count ttl body glue
//! ```
//! The highest bit of the number of sets says that the directory has a row more, for the instances of a service
//! ([`super::instances`]); it is of no set that anybody sees. A body is the records in wire form, each with its owner as a pointer to the question (RFC 1035 §4.1.4: 0xC00C). The
//! glue of an SRV set is, for each record in turn, the addresses of its target; the time to live is the set's own, as
//! both are of one answer. Numbers are big-endian. It is made by the writer, once, and never changes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::entry::{Entry, RrSet};
use super::instances::{self, Instance};
use super::name::Name;
use super::record::{Record, rtype};

/// A packed entry. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Arc<[u8]>);

/// Bytes of a directory row.
const ROW: usize = 16;

/// In the number of sets: there are instances, too.
const HAS_INSTANCES: u8 = 0x80;

/// Bytes of a record before its data: pointer, type, class, TTL, length.
pub const RR_HEAD: usize = 12;

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

/// The target of an SRV record's data.
pub fn srv_target(rdata: &[u8]) -> &[u8] {
    rdata.get(6..).unwrap_or_default()
}

impl Packed {
    /// Packs an entry; `addresses` gives those of its targets.
    pub fn new(entry: &Entry, addresses: &mut AddressesOf<'_>) -> Self {
        let name = entry.owner.wire();
        let bodies = entry
            .sets
            .iter()
            .map(|set| set.packed_size() + if set.rtype == rtype::SRV { 1 + set.len() * PLAIN_ROW } else { 0 });
        let mut bytes = Vec::with_capacity(2 + name.len() + entry.sets.len() * ROW + bodies.sum::<usize>());
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name);
        let of_instances = entry.sets.iter().find(|set| set.rtype == instances::TYPE);
        let shown = entry.sets.iter().filter(|set| set.rtype != instances::TYPE);
        let sets = u8::try_from(shown.clone().count()).unwrap_or(u8::MAX) & !HAS_INSTANCES;
        bytes.push(sets | of_instances.map_or(0, |_| HAS_INSTANCES));
        let directory = bytes.len();
        bytes.resize(directory + entry.sets.len() * ROW, 0);
        for (i, set) in shown.chain(of_instances).enumerate() {
            let body = bytes.len();
            let (mut count, mut ttl) = (set.len(), set.ttl);
            if set.rtype == instances::TYPE {
                (count, ttl) = instances::pack(&mut bytes, entry, set);
            } else {
                for rdata in set.iter() {
                    push_head(&mut bytes, set, rdata.len());
                    bytes.extend_from_slice(rdata);
                }
            }
            let glue = bytes.len();
            if set.rtype == rtype::SRV {
                push_glue(&mut bytes, set, addresses);
            }
            let row = &mut bytes[directory + i * ROW..][..ROW];
            row[..2].copy_from_slice(&set.rtype.to_be_bytes());
            row[2..4].copy_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
            row[4..8].copy_from_slice(&ttl.to_be_bytes());
            row[8..12].copy_from_slice(&u32::try_from(body).unwrap_or(u32::MAX).to_be_bytes());
            row[12..].copy_from_slice(&u32::try_from(glue).unwrap_or(u32::MAX).to_be_bytes());
        }
        Self(bytes.into())
    }

    /// The owner in wire form, in lower case.
    pub fn name(&self) -> &[u8] {
        &self.0[1..=usize::from(self.0[0])]
    }

    /// All of it, for whoever warms the cache with it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The rows, and how many of them are of sets.
    fn directory(&self) -> (&[u8], usize) {
        let at = 1 + usize::from(self.0[0]);
        let sets = usize::from(self.0[at] & !HAS_INSTANCES);
        let rows = sets + usize::from(self.0[at] & HAS_INSTANCES != 0);
        (&self.0[at + 1..at + 1 + rows * ROW], sets)
    }

    /// The instances that have names below this one, in the order of their labels; one may be there several times.
    pub fn instances(&self) -> Vec<Instance<'_>> {
        let (directory, sets) = self.directory();
        match directory.get(sets * ROW..).filter(|row| !row.is_empty()) {
            Some(row) => instances::unpack(self, row, &self.0[number(row, 8)..number(row, 12)]),
            None => Vec::new(),
        }
    }

    /// How many labels [`Self::instances`] have.
    pub fn instance_count(&self) -> usize {
        let (directory, sets) = self.directory();
        directory
            .get(sets * ROW + 2..sets * ROW + 4)
            .map_or(0, |count| usize::from(count[0]) << 8 | usize::from(count[1]))
    }

    /// The RRset of `rtype`.
    pub fn set(&self, rtype: u16) -> Option<PackedSet<'_>> {
        let (directory, sets) = self.directory();
        let wanted = rtype.to_be_bytes();
        (0..sets).find(|i| directory[i * ROW..i * ROW + 2] == wanted).map(|i| self.row(i))
    }

    /// All RRsets, in the order of their types.
    pub fn sets(&self) -> impl Iterator<Item = PackedSet<'_>> {
        (0..self.directory().1).map(|i| self.row(i))
    }

    /// Whether there is none: the name merely exists.
    pub fn is_empty(&self) -> bool {
        self.directory().1 == 0
    }

    fn row(&self, i: usize) -> PackedSet<'_> {
        let (directory, _) = self.directory();
        let row = &directory[i * ROW..][..ROW];
        let (body, glue) = (number(row, 8), number(row, 12));
        let end = directory.get((i + 1) * ROW..).filter(|rest| !rest.is_empty());
        let end = end.map_or(self.0.len(), |next| number(next, 8));
        PackedSet {
            rtype: u16::from_be_bytes([row[0], row[1]]),
            count: usize::from(u16::from_be_bytes([row[2], row[3]])),
            ttl: u32::from_be_bytes([row[4], row[5], row[6], row[7]]),
            body: &self.0[body..glue],
            glue: &self.0[glue..end],
        }
    }

    /// The RRsets that a zone file or a transfer has: all, but for a CNAME that stands in for addresses beside other data.
    /// It is answered for what is not there, and is no part of the zone (RFC 1034 §3.6.2, RFC 2181 §10.1).
    pub fn listed(&self) -> impl Iterator<Item = PackedSet<'_>> {
        let is_alone = self.directory().1 == 1;
        self.sets().filter(move |set| is_alone || set.rtype != rtype::CNAME)
    }

    /// All records of [`Self::listed`].
    pub fn records(&self) -> Vec<Record> {
        let owner = Name::from_wire(self.name()).map_or_else(Name::root, |(name, _)| name);
        let of_set = |set: PackedSet<'_>| {
            let record =
                |rdata: &[u8]| Record { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata: rdata.into() };
            set.iter().map(record).collect::<Vec<_>>()
        };
        self.listed().flat_map(of_set).collect()
    }

    /// The entry it was made of, without the instances.
    pub fn unpack(&self) -> Entry {
        let sets = self.sets().map(|set| RrSet::new(set.rtype, set.ttl, set.iter().map(<[u8]>::to_vec).collect()));
        let owner = Name::from_wire(self.name()).map_or_else(Name::root, |(name, _)| name);
        Entry { owner, sets: sets.collect() }
    }

    /// The RRsets it was made of, as they were offered: the instances first, in the order of the types.
    pub fn offered(&self) -> Box<[RrSet]> {
        let rdatas: Vec<Vec<u8>> = self.instances().iter().map(Instance::rdata).collect();
        let instances = (!rdatas.is_empty()).then(|| RrSet::new(instances::TYPE, 0, rdatas));
        instances.into_iter().chain(self.unpack().sets).collect()
    }
}

pub(super) fn number(row: &[u8], at: usize) -> usize {
    u32::from_be_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]) as usize
}

fn push_head(bytes: &mut Vec<u8>, set: &RrSet, length: usize) {
    bytes.extend_from_slice(&[0xc0, 0x0c]);
    bytes.extend_from_slice(&set.rtype.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes.extend_from_slice(&set.ttl.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
}

/// For each record: how many addresses of each family its target has, and they; none where an earlier record has the
/// same target, but for the note of which.
fn push_glue(bytes: &mut Vec<u8>, set: &RrSet, addresses: &mut AddressesOf<'_>) {
    // A service may have thousands of instances; names that differ in case only are one host.
    let mut groups: HashMap<Cow<'_, [u8]>, usize, FixedState> =
        HashMap::with_capacity_and_hasher(set.len(), FixedState::default());
    let mut found = Addresses::default();
    let start = bytes.len();
    let mut is_plain = true;
    bytes.push(0);
    for rdata in set.iter() {
        let target = srv_target(rdata);
        let next = groups.len();
        let is_folded = !target.iter().any(u8::is_ascii_uppercase);
        let folded = if is_folded { Cow::Borrowed(target) } else { Cow::Owned(target.to_ascii_lowercase()) };
        let group = *groups.entry(folded).or_insert(next);
        bytes.extend_from_slice(&u16::try_from(group).unwrap_or(u16::MAX).to_be_bytes());
        found.v4.clear();
        found.v6.clear();
        addresses(target, &mut found);
        let Addresses { v4, v6 } = &mut found;
        v4.truncate(255);
        v6.truncate(255);
        bytes.extend([v4.len(), v6.len()].map(|count| u8::try_from(count).unwrap_or(u8::MAX)));
        bytes.extend(v4.iter().flat_map(Ipv4Addr::octets));
        bytes.extend(v6.iter().flat_map(Ipv6Addr::octets));
        is_plain &= v4.len() == 1 && v6.is_empty();
        bytes[start] |= u8::from(!v6.is_empty()) * GLUE_HAS_V6;
    }
    bytes[start] |= u8::from(groups.len() < set.len()) * GLUE_HAS_SHARED;
    bytes[start] |= u8::from(is_plain && groups.len() == set.len()) * GLUE_IS_PLAIN;
}

/// Some target has an IPv6 address.
const GLUE_HAS_V6: u8 = 1;
/// Some records have the same target.
const GLUE_HAS_SHARED: u8 = 2;
/// Every record has a target of its own, with one IPv4 address and nothing else.
const GLUE_IS_PLAIN: u8 = 4;

/// Bytes of a record's glue when it is plain: the number of its target, two counts, an IPv4 address.
pub const PLAIN_ROW: usize = 8;

/// An RRset of a packed entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedSet<'t> {
    /// The type, by number.
    pub rtype: u16,
    /// How many records it has.
    pub count: usize,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// The records in wire form, their owners pointing at the question.
    pub body: &'t [u8],
    glue: &'t [u8],
}

/// The addresses of one SRV record's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glue<'t> {
    /// Records of one set with the same number here have the same target.
    pub group: u16,
    /// IPv4 addresses, four bytes each.
    pub v4: &'t [u8],
    /// IPv6 addresses, sixteen bytes each.
    pub v6: &'t [u8],
}

impl<'t> PackedSet<'t> {
    /// The records' data.
    pub fn iter(&self) -> impl Iterator<Item = &'t [u8]> + Clone + use<'t> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let length = usize::from(u16::from_be_bytes([*rest.get(10)?, *rest.get(11)?]));
            let (record, after) = rest.split_at_checked(RR_HEAD + length)?;
            rest = after;
            Some(&record[RR_HEAD..])
        })
    }

    /// The records' data, beginning with the `turn`-th (modulo their number) and going round.
    pub fn rotated(&self, turn: usize) -> impl Iterator<Item = &'t [u8]> + Clone + use<'t> {
        let start = self.start(turn);
        self.iter().skip(start).chain(self.iter().take(start))
    }

    /// The record that `turn` begins with.
    pub fn start(&self, turn: usize) -> usize {
        // In 32 bits, where a division takes a third of the time.
        #[allow(clippy::cast_possible_truncation)]
        let (turn, count) = (turn as u32, self.count as u32);
        turn.checked_rem(count).unwrap_or(0) as usize
    }

    /// Where in the body the `index`-th record begins.
    pub fn offset(&self, index: usize) -> usize {
        let mut at = 0;
        for _ in 0..index {
            at += RR_HEAD + usize::from(u16::from_be_bytes([self.body[at + 10], self.body[at + 11]]));
        }
        at
    }

    /// The addresses of the records' targets, in the records' order; empty for a set that is not SRV.
    pub fn glue(&self) -> impl Iterator<Item = Glue<'t>> + Clone + use<'t> {
        let mut rest = self.glue.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            let &[high, low, v4, v6] = rest.first_chunk::<4>()?;
            let (v4, after) = rest[4..].split_at_checked(usize::from(v4) * 4)?;
            let (v6, after) = after.split_at_checked(usize::from(v6) * 16)?;
            rest = after;
            Some(Glue { group: u16::from_be_bytes([high, low]), v4, v6 })
        })
    }

    /// For each record a row with the one IPv4 address of its target at the end, when no target has more than that, and
    /// none is shared: so it is for services whose instances are registered by address, which are nearly all.
    pub fn plain_glue(&self) -> Option<&'t [[u8; PLAIN_ROW]]> {
        let (flags, rows) = self.glue.split_first()?;
        (flags & GLUE_IS_PLAIN != 0).then_some(rows.as_chunks().0)
    }

    /// Whether some target has an IPv6 address.
    pub fn has_v6(&self) -> bool {
        self.glue.first().is_some_and(|flags| flags & GLUE_HAS_V6 != 0)
    }

    /// Whether some records have the same target.
    pub fn has_shared_targets(&self) -> bool {
        self.glue.first().is_some_and(|flags| flags & GLUE_HAS_SHARED != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(port: u8, target: &str) -> Vec<u8> {
        [&[0, 0, 0, 10, 0, port], Name::parse(target).unwrap().wire()].concat()
    }

    fn entry() -> Entry {
        let sets = [
            RrSet::new(rtype::A, 5, vec![vec![10, 0, 0, 1], vec![10, 0, 0, 2]]),
            RrSet::new(rtype::SRV, 7, vec![srv(1, "a.x"), srv(2, "b.x"), srv(3, "a.x")]),
        ];
        Entry { owner: Name::parse("api.x").unwrap(), sets: sets.into() }
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let packed = Packed::new(&entry(), &mut |_, _| ());
        assert_eq!(packed.unpack(), entry());
        assert_eq!(packed.name(), entry().owner.wire());
        let empty = Entry { owner: Name::root(), sets: Box::default() };
        let packed = Packed::new(&empty, &mut |_, _| ());
        assert_eq!(packed.unpack(), empty);
        assert!(packed.is_empty() && packed.set(1).is_none());
    }

    #[test]
    fn records_are_whole_and_can_begin_anywhere() {
        let packed = Packed::new(&entry(), &mut |_, _| ());
        let set = packed.set(rtype::A).unwrap();
        assert_eq!((set.count, set.ttl, set.body.len()), (2, 5, 32));
        assert_eq!(set.body[..16], [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1]);
        assert_eq!(set.rotated(3).collect::<Vec<_>>(), [[10, 0, 0, 2], [10, 0, 0, 1]]);
        let srv = packed.set(rtype::SRV).unwrap();
        assert_eq!(srv.offset(2), srv.body.len() - (RR_HEAD + 6 + 5));
    }

    #[test]
    fn glue_follows_the_records_and_tells_shared_targets() {
        let mut addresses = |target: &[u8], addresses: &mut Addresses| {
            addresses.push([10, 0, 0, target[1]].into());
            if target[1] == b'b' {
                addresses.push(Ipv6Addr::LOCALHOST.into());
            }
        };
        let packed = Packed::new(&entry(), &mut addresses);
        let set = packed.set(rtype::SRV).unwrap();
        assert!(set.has_v6() && set.has_shared_targets());
        let glue: Vec<_> = set.glue().map(|glue| (glue.group, glue.v4[3], glue.v6.len())).collect();
        assert_eq!(glue, [(0, b'a', 0), (1, b'b', 16), (0, b'a', 0)]);
        assert_eq!(set.plain_glue(), None);
        assert_eq!(packed.set(rtype::A).unwrap().glue().count(), 0);
    }

    #[test]
    fn glue_of_one_address_for_each_record_is_plain() {
        let set = RrSet::new(rtype::SRV, 7, vec![srv(1, "a.x"), srv(2, "b.x")]);
        let entry = Entry { owner: Name::parse("api.x").unwrap(), sets: [set].into() };
        let of = |target: &[u8], addresses: &mut Addresses| addresses.push([10, 0, 0, target[1]].into());
        let plain = Packed::new(&entry, &mut |target, addresses| of(target, addresses));
        let rows = plain.set(rtype::SRV).unwrap().plain_glue().unwrap();
        assert_eq!(rows, [[0, 0, 1, 0, 10, 0, 0, b'a'], [0, 1, 1, 0, 10, 0, 0, b'b']]);
        let partly = Packed::new(&entry, &mut |target, addresses| {
            if target[1] == b'a' {
                of(target, addresses);
            }
        });
        assert_eq!(partly.set(rtype::SRV).unwrap().plain_glue(), None);
    }
}
