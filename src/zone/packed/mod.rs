//! An entry as the hot path wants it: one piece of memory with everything a response needs, in the order in which it is
//! read, so that an answer is a few copies of memory and few cache lines.
//!
//! ```text
//! name length │ name │ number of sets │ directory: a row a set │ bodies
//!                                        type count ttl body
//! ```
//! The highest bit of the number of sets says that the directory has a row more, for the instances of a service
//! ([`super::instances`]); it is of no set that anybody sees. A body has the records ([`body`]), and that of an SRV set
//! the addresses of their targets ([`additionals`], [`hosts`]); the time to live is the set's own, as both are of one
//! answer. Addresses and SRV records are in the order of [`super::order::Order::Fixed`]: by priority, address and port.
//! The highest bit of a body's place says that what they are drawn by is before it ([`weights`]); where it is not set,
//! all are alike. Numbers are big-endian. It is made by the writer, once, and never changes.

#![allow(clippy::inline_always)] // what the hot path finds goes through registers

mod additionals;
mod body;
mod hosts;
mod instances;
mod layout;
mod order;
pub mod weights;

use std::borrow::Cow;
use std::ops::Range;

pub use additionals::{Additionals, Addresses, AddressesOf, HostAddresses};
pub use body::{Body, BodyForm, Datas, Pieces, SuffixedNames, head_of, whole};
pub use hosts::{HostRow, PackedHosts, SHORT};
pub use layout::{RR_HEAD, SRV_HEAD, srv_target};
pub use weights::Weights;

use super::arena::{Bytes, Region};
use super::entry::{Entry, RrSet};
use super::instances::{Instance, TYPE};
use super::name::Name;
use super::order::Rotation;
use super::record::{Record, rtype};
use super::unknown::{self, Unknown};

/// A packed entry. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Bytes);

/// Bytes of a directory row.
const ROW: usize = 12;

/// In the place of a body: weights are before it.
const HAS_WEIGHTS: u32 = 1 << 31;

/// In the number of sets: there are instances, too.
const HAS_INSTANCES: u8 = 0x80;

impl Packed {
    /// Packs an entry that is held; `addresses` gives those of its targets.
    pub fn new(entry: &Entry, addresses: &mut AddressesOf<'_>) -> Self {
        Self(Bytes::new(&pack(entry, addresses), Region::Names))
    }

    /// The same of another spelling of a name.
    pub fn alias(entry: &Entry, addresses: &mut AddressesOf<'_>) -> Self {
        Self(Bytes::new(&pack(entry, addresses), Region::Aliases))
    }

    /// Packs an entry that is made for an answer, likewise.
    pub fn passing(entry: &Entry, addresses: &mut AddressesOf<'_>) -> Self {
        Self(Bytes::new(&pack(entry, addresses), Region::Heap))
    }

    /// The owner in wire form, in lower case.
    #[inline]
    pub fn name(&self) -> &[u8] {
        &self.0[1..=usize::from(self.0[0])]
    }

    /// Returns whether it was made for an answer, and is not held in a table.
    pub fn is_synthesized(&self) -> bool {
        self.0.place() == Region::Heap
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The memory of its first `length` bytes, for whoever warms the cache with it: nothing of it is read for this, so
    /// that the caller says what it knows ([`Self::size`]).
    pub fn memory(&self, length: usize) -> Range<*const u8> {
        self.0.memory(length)
    }

    /// The rows: of the sets that are seen, and of the instances.
    fn directory(&self) -> (&[[u8; ROW]], Option<&[u8; ROW]>) {
        let behind = &self.0[1 + usize::from(self.0[0])..];
        let Some((&sets, rest)) = behind.split_first() else { return (&[], None) };
        let rows = rest.as_chunks().0;
        let (shown, rest) = rows.split_at(usize::from(sets & !HAS_INSTANCES));
        (shown, rest.first().filter(|_| sets & HAS_INSTANCES != 0))
    }

    /// The instances that have names below this one, in the order of their labels; one may be there several times.
    pub fn instances(&self) -> Vec<Instance<'_>> {
        self.instances_with(|_| true)
    }

    /// Those of them whose label `is_wanted`.
    pub(super) fn instances_with(&self, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<Instance<'_>> {
        match self.directory().1 {
            Some(row) => {
                let pieces = |rtype| self.set(rtype).into_iter().flat_map(|set| set.pieces()).collect();
                instances::unpack(row, &self.0[place(row).0..], pieces, is_wanted)
            }
            None => Vec::new(),
        }
    }

    /// Number of labels that [`Self::instances`] have.
    pub fn instance_count(&self) -> usize {
        self.directory().1.map_or(0, count)
    }

    /// The row of `rtype`, for the hot path: what its records are is not looked into.
    #[inline(always)]
    pub fn row(&self, rtype: u16) -> Option<Row<'_>> {
        let bytes: &[u8] = &self.0;
        let (&sets, mut rest) = bytes.get(1 + usize::from(*bytes.first()?)..)?.split_first()?;
        let wanted = rtype.to_be_bytes();
        for _ in 0..sets & !HAS_INSTANCES {
            let (row, after) = rest.split_first_chunk::<ROW>()?;
            if row[..2] == wanted {
                let ttl = u32::from_be_bytes([row[4], row[5], row[6], row[7]]);
                let (place, has_weights) = place(row);
                let row = Row { count: count(row), ttl, weights: None, behind: bytes.get(place..)? };
                return if has_weights { row.weighted() } else { Some(row) };
            }
            rest = after;
        }
        None
    }

    /// Returns whether a missing type may be more than NODATA: it is an alias, or unknown.
    #[inline(always)]
    pub fn is_alias_or_unknown(&self) -> bool {
        let is_such = |row: &[u8; ROW]| matches!(u16::from_be_bytes([row[0], row[1]]), rtype::CNAME | unknown::TYPE);
        self.directory().0.iter().any(is_such)
    }

    /// Part of the name that is not known.
    pub fn unknown(&self) -> Option<Unknown<'_>> {
        let set = self.all_sets().find(|set| set.rtype == unknown::TYPE)?;
        match set.body {
            // The first of several, behind its length.
            Body::Plain(bytes) => {
                let (length, rest) = bytes.split_first_chunk::<2>()?;
                Unknown::read(rest.get(..usize::from(u16::from_be_bytes(*length)))?)
            }
            _ => None,
        }
    }

    /// The RRset of `rtype`.
    pub fn set(&self, rtype: u16) -> Option<PackedSet<'_>> {
        if rtype == unknown::TYPE {
            return None;
        }
        let (rows, after) = self.directory();
        let wanted = rtype.to_be_bytes();
        let i = rows.iter().position(|row| row[..2] == wanted)?;
        Some(self.set_of(&rows[i], rows.get(i + 1).or(after)))
    }

    /// All RRsets, in the order of their types.
    pub fn sets(&self) -> impl Iterator<Item = PackedSet<'_>> {
        self.all_sets().filter(|set| set.rtype != unknown::TYPE)
    }

    /// The same, with what is said of what is unknown.
    fn all_sets(&self) -> impl Iterator<Item = PackedSet<'_>> {
        let (rows, after) = self.directory();
        let next = rows.iter().skip(1).map(Some).chain([after]);
        rows.iter().zip(next).map(|(row, next)| self.set_of(row, next))
    }

    /// Returns whether there is none: the name merely exists.
    pub fn is_empty(&self) -> bool {
        self.sets().next().is_none()
    }

    /// The set of a row; its body ends where that of the `next` begins.
    fn set_of(&self, row: &[u8; ROW], next: Option<&[u8; ROW]>) -> PackedSet<'_> {
        let end = next.map_or(self.0.len(), |next| place(next).0);
        let (count, (place, has_weights)) = (count(row), place(row));
        let mut bytes = &self.0[place..end];
        let weights = if has_weights { weights::unpack(bytes, count) } else { None };
        let weights = weights.map(|(weights, rest)| {
            bytes = rest;
            weights
        });
        let (body, additionals) = body::unpack(bytes, count);
        PackedSet {
            rtype: u16::from_be_bytes([row[0], row[1]]),
            count,
            ttl: u32::from_be_bytes([row[4], row[5], row[6], row[7]]),
            weights,
            body,
            additionals,
        }
    }

    /// The RRsets that a zone file or a transfer has: all, but for a CNAME that stands in for addresses beside other
    /// data. It is answered for what is not there, and is no part of the zone (RFC 1034 §3.6.2, RFC 2181 §10.1).
    pub fn listed(&self) -> impl Iterator<Item = PackedSet<'_>> {
        let is_alone = self.sets().count() == 1;
        self.sets().filter(move |set| is_alone || set.rtype != rtype::CNAME)
    }

    /// All records of [`Self::listed`].
    pub fn records(&self) -> Vec<Record> {
        self.listed().flat_map(|set| self.records_of(&set)).collect()
    }

    /// The records of one of its RRsets.
    pub fn records_of(&self, set: &PackedSet<'_>) -> Vec<Record> {
        let owner = Name::from_wire(self.name()).map_or_else(Name::root, |(name, _)| name);
        let record =
            |rdata: Cow<'_, [u8]>| Record { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata: rdata.into() };
        set.iter().map(record).collect()
    }

    /// The entry it was made of, without the instances.
    pub fn unpack(&self) -> Entry {
        let sets = self.all_sets().map(|set| match set.weights.filter(|_| set.rtype != rtype::SRV) {
            Some(weights) => {
                let preferred = set.iter().zip(weights.preferences().map(Some)).collect();
                RrSet::of_addresses(set.rtype, set.ttl, preferred)
            }
            None => RrSet::new(set.rtype, set.ttl, set.iter().collect()),
        });
        let owner = Name::from_wire(self.name()).map_or_else(Name::root, |(name, _)| name);
        Entry { owner, sets: sets.collect() }
    }

    /// The RRsets it was made of, as they were offered: the instances first, in the order of the types.
    pub fn offered(&self) -> Box<[RrSet]> {
        let rdatas: Vec<Vec<u8>> = self.instances().iter().map(Instance::rdata).collect();
        let instances = (!rdatas.is_empty()).then(|| RrSet::new(TYPE, 0, rdatas));
        instances.into_iter().chain(self.unpack().sets).collect()
    }
}

/// An entry's bytes.
fn pack(entry: &Entry, addresses: &mut AddressesOf<'_>) -> Vec<u8> {
    let name = entry.owner.wire();
    let mut bytes =
        Vec::with_capacity(2 + name.len() + entry.sets.iter().map(|set| ROW + set.data_size()).sum::<usize>());
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(name);
    let of_instances = entry.sets.iter().find(|set| set.rtype == TYPE);
    let shown = entry.sets.iter().filter(|set| set.rtype != TYPE);
    let sets = u8::try_from(shown.clone().count()).unwrap_or(u8::MAX) & !HAS_INSTANCES;
    bytes.push(sets | of_instances.map_or(0, |_| HAS_INSTANCES));
    let directory = bytes.len();
    bytes.resize(directory + entry.sets.len() * ROW, 0);
    // Where each SRV record is kept.
    let mut places = None;
    for (i, set) in shown.chain(of_instances).enumerate() {
        let mut place = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (mut count, mut ttl) = (set.len(), set.ttl);
        if set.rtype == TYPE {
            (count, ttl) = instances::pack(&mut bytes, entry, (set, &places));
        } else {
            let records = order::Records::of(set, addresses);
            if let Some(preferences) = &records.preferences {
                weights::pack(&mut bytes, preferences);
                place |= HAS_WEIGHTS;
            }
            let is_srv = set.rtype == rtype::SRV;
            let found = if is_srv {
                additionals::find(&records.rdatas, addresses)
            } else {
                additionals::TargetAddresses::Any(Vec::new())
            };
            body::pack(&mut bytes, set.rtype, &records.rdatas, &found);
            if is_srv {
                places = records.places;
            }
        }
        let row = &mut bytes[directory + i * ROW..][..ROW];
        row[..2].copy_from_slice(&set.rtype.to_be_bytes());
        row[2..4].copy_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        row[4..8].copy_from_slice(&ttl.to_be_bytes());
        row[8..].copy_from_slice(&place.to_be_bytes());
    }
    bytes
}

/// Number of records of a row.
fn count(row: &[u8; ROW]) -> usize {
    usize::from(u16::from_be_bytes([row[2], row[3]]))
}

/// Start of the body of a row, or its weights, if it has some.
#[inline(always)]
fn place(row: &[u8; ROW]) -> (usize, bool) {
    let place = u32::from_be_bytes([row[8], row[9], row[10], row[11]]);
    ((place & !HAS_WEIGHTS) as usize, place & HAS_WEIGHTS != 0)
}

/// The place of `count` that `turn` begins with, where all are alike.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // no set has more
fn start(turn: Rotation, count: usize) -> usize {
    turn.below(count as u32) as usize
}

/// An RRset of a packed entry as the hot path finds it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'t> {
    /// Number of records.
    pub count: usize,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Weights that the records are drawn by; none where all are alike.
    pub weights: Option<Weights<'t>>,
    /// The body, and what is behind it.
    behind: &'t [u8],
}

impl<'t> Row<'t> {
    /// The row whose weights are before its body.
    #[cold]
    fn weighted(self) -> Option<Self> {
        let (weights, behind) = weights::unpack(self.behind, self.count)?;
        Some(Self { weights: Some(weights), behind, ..self })
    }

    /// Form of the records.
    #[inline(always)]
    pub fn form(&self) -> BodyForm<'t> {
        body::form(self.behind, self.count)
    }

    /// The hosts that they name.
    #[inline(always)]
    pub fn hosts(&self) -> Option<PackedHosts<'t>> {
        body::hosts(self.behind, self.count)
    }

    /// The names that they end with and the addresses of the hosts with these names, behind which may be more.
    #[inline(always)]
    pub fn names(&self) -> Option<(SuffixedNames<'t>, Additionals<'t>)> {
        body::names(self.behind, self.count).map(|(names, additionals)| (names, Additionals::Any(additionals)))
    }

    /// The data of the first record, where they are kept as they are.
    #[inline(always)]
    pub fn first(&self) -> Option<&'t [u8]> {
        body::first(self.behind)
    }

    /// The record that `turn` begins with.
    #[inline(always)]
    pub fn start(&self, turn: Rotation) -> usize {
        self.weights.map_or_else(|| start(turn, self.count), |weights| weights.start(turn))
    }

    /// Number of records that go round: those of the lowest priority. The others are behind them.
    #[inline(always)]
    pub fn first_group(&self) -> usize {
        self.weights.map_or(self.count, |weights| weights.first_group())
    }
}

/// An RRset of a packed entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedSet<'t> {
    /// The type, by number.
    pub rtype: u16,
    /// Number of records.
    pub count: usize,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Weights that the records are drawn by; none where all are alike.
    pub weights: Option<Weights<'t>>,
    /// The records.
    pub body: Body<'t>,
    /// The addresses of their targets, if it is SRV.
    pub additionals: Additionals<'t>,
}

impl<'t> PackedSet<'t> {
    /// The records' data.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'t, [u8]>> + Clone + use<'t> {
        self.pieces().map(whole)
    }

    /// The same, as they are packed.
    pub fn pieces(&self) -> Datas<'t> {
        Datas::new(self.body, self.rtype)
    }

    /// The records' data, beginning with the one that `turn` draws.
    pub fn turned(&self, turn: Rotation) -> impl Iterator<Item = Pieces<'t>> + Clone + use<'t> {
        self.round(turn, self.pieces())
    }

    /// `records`, of which there is one for each of this set's: from the one that `turn` draws on and round those of
    /// its priority, and then the others.
    pub fn round<T: Iterator + Clone>(
        &self,
        turn: Rotation,
        records: T,
    ) -> impl Iterator<Item = T::Item> + Clone + use<'t, T> {
        let (start, round) = match self.weights {
            Some(weights) => (weights.start(turn), weights.first_group()),
            None => (start(turn, self.count), self.count),
        };
        let first = records.clone().skip(start).take(round.saturating_sub(start));
        first.chain(records.clone().take(start)).chain(records.skip(round))
    }

    /// Draws as many of the records as `places` has room for, none twice, and writes where they are kept. Returns how
    /// many they are. `taken` is room for as many.
    pub fn draw(&self, turns: impl FnMut() -> Rotation, places: &mut [u16], taken: &mut [u16]) -> usize {
        weights::draw(self.weights, self.count, turns, places, taken)
    }

    /// Bytes of the records in a message, with owners that are pointers.
    pub fn wire_size(&self) -> usize {
        self.body.wire_size(self.count)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::zone::order::{Order, Preference};

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
    fn what_records_are_drawn_by_is_packed_with_them() {
        let of = |last: u8, priority, weight| (vec![10, 0, 0, last], Some(Preference::new(priority, weight)));
        let srv = |priority: u8, weight: u8, target: &str| {
            [&[0, priority, 0, weight, 0, 80], Name::parse(target).unwrap().wire()].concat()
        };
        let sets = [
            RrSet::of_addresses(rtype::A, 5, vec![of(1, 2, 7), of(2, 1, 7), of(3, 2, 0)]),
            RrSet::new(rtype::SRV, 7, vec![srv(0, 9, "10-0-0-10.addr.x"), srv(0, 10, "10-0-0-9.addr.x")]),
        ];
        let entry = Entry { owner: Name::parse("api.x").unwrap(), sets: sets.into() };
        let packed = Packed::new(&entry, &mut |_, _| ());
        assert_eq!(packed.unpack(), entry);
        let kept = |rtype| packed.set(rtype).unwrap().iter().map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(kept(rtype::A), [[10, 0, 0, 2], [10, 0, 0, 1], [10, 0, 0, 3]], "by priority");
        assert_eq!(kept(rtype::SRV), [srv(0, 10, "10-0-0-9.addr.x"), srv(0, 9, "10-0-0-10.addr.x")], "by address");
        let row = packed.row(rtype::A).unwrap();
        assert_eq!((row.first_group(), row.start(Rotation::new(Order::Weighted, u32::MAX))), (1, 0));
        let turned = packed.set(rtype::SRV).unwrap();
        let first = |order, random| turned.turned(Rotation::new(order, random)).next().map(|rdata| whole(rdata)[3]);
        assert_eq!(first(Order::Weighted, u32::MAX / 2), Some(10));
        assert_eq!(first(Order::Weighted, u32::MAX / 19 * 11), Some(9));
        assert_eq!(first(Order::Fixed, u32::MAX), Some(10));
    }

    #[test]
    fn records_are_whole_and_can_begin_anywhere() {
        let packed = Packed::new(&entry(), &mut |_, _| ());
        let set = packed.set(rtype::A).unwrap();
        assert_eq!((set.count, set.ttl, set.wire_size()), (2, 5, 32));
        let turned = |set: &PackedSet<'_>, random| {
            let turn = Rotation::new(Order::Uniform, random);
            set.turned(turn).map(|rdata| whole(rdata).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(turned(&set, u32::MAX), [vec![10, 0, 0, 2], vec![10, 0, 0, 1]]);
        let set = packed.set(rtype::SRV).unwrap();
        assert_eq!((set.count, set.ttl, set.wire_size()), (3, 7, 3 * (RR_HEAD + 6 + 5)));
        assert_eq!(turned(&set, u32::MAX / 2), [srv(2, "b.x"), srv(3, "a.x"), srv(1, "a.x")]);
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
        assert!(set.additionals.has_v6() && set.additionals.has_shared_targets());
        let additionals: Vec<_> = set
            .additionals
            .iter()
            .map(|additionals| (additionals.group, additionals.v4[0][3], additionals.v6.len()))
            .collect();
        // By address, then by port.
        assert_eq!(additionals, [(0, b'a', 0), (0, b'a', 0), (1, b'b', 1)]);
        assert!(matches!(set.additionals, Additionals::Any(_)));
        assert_eq!(packed.set(rtype::A).unwrap().additionals.iter().count(), 0);
    }

    #[test]
    fn hosts_with_one_address_each_are_kept_with_it() {
        let set = RrSet::new(rtype::SRV, 7, vec![srv(1, "a.x"), srv(2, "bcd.x")]);
        let entry = Entry { owner: Name::parse("api.x").unwrap(), sets: [set].into() };
        let of = |target: &[u8], addresses: &mut Addresses| addresses.push([10, 0, 0, target[1]].into());
        let packed = Packed::new(&entry, &mut |target, addresses| of(target, addresses));
        let set = packed.set(rtype::SRV).unwrap();
        assert!(matches!((set.body, set.additionals), (Body::Hosts(_), Additionals::Each(_))));
        assert_eq!(set.wire_size(), 2 * (RR_HEAD + 6 + 3) + 2 + 4);
        let turned = set.turned(Rotation::new(Order::Uniform, u32::MAX)).map(whole).collect::<Vec<_>>();
        assert_eq!(turned, [srv(2, "bcd.x"), srv(1, "a.x")]);
        assert_eq!(packed.unpack(), entry);
        let groups: Vec<_> = set
            .additionals
            .iter()
            .map(|additionals| (additionals.group, additionals.v4, additionals.v6.len()))
            .collect();
        assert_eq!(groups, [(0, &[[10, 0, 0, b'a']][..], 0), (1, &[[10, 0, 0, b'b']], 0)]);
        let partly = Packed::new(&entry, &mut |target, addresses| {
            if target[1] == b'a' {
                of(target, addresses);
            }
        });
        let set = partly.set(rtype::SRV).unwrap();
        assert!(matches!((set.body, set.additionals), (Body::Names(_), Additionals::Any(_))));
        assert_eq!(
            set.additionals.iter().map(|additionals| (additionals.group, additionals.v4.len())).collect::<Vec<_>>(),
            [(0, 1), (1, 0)]
        );
    }

    /// Whatever of the names is long, of more labels, or none, comes out as it went in, and with its address.
    #[test]
    fn hosts_of_all_kinds_have_their_addresses() {
        let long = |bytes: usize| "y".repeat(bytes);
        for (first, second, is_kept) in [
            ("a.x".to_owned(), "b.x".to_owned(), true),
            (format!("{}.x", long(25)), "b.x".into(), true),
            (format!("{}.x", long(26)), "b.x".into(), false),
            (format!("a.{}", long(30)), format!("b.{}", long(30)), true),
            (format!("a.{}", long(31)), format!("b.{}", long(31)), false),
            ("a.b.x".into(), "c.x".into(), false),
            (".".into(), "c.x".into(), false),
        ] {
            let set = RrSet::new(rtype::SRV, 7, vec![srv(1, &first), srv(2, &second)]);
            let entry = Entry { owner: Name::parse("api.x").unwrap(), sets: [set].into() };
            let packed = Packed::new(&entry, &mut |target, addresses| {
                addresses.push([10, 0, 0, u8::try_from(target.len()).unwrap()].into());
            });
            assert_eq!(packed.unpack(), entry, "{first} {second}");
            let set = packed.set(rtype::SRV).unwrap();
            assert_eq!(matches!(set.body, Body::Hosts(_)), is_kept, "{first} {second}");
            for (rdata, additionals) in set.iter().zip(set.additionals.iter()) {
                let length = u8::try_from(srv_target(&rdata).len()).unwrap();
                assert_eq!((additionals.v4, additionals.v6.len()), (&[[10, 0, 0, length]][..], 0), "{first} {second}");
            }
            assert_eq!(set.additionals.iter().count(), 2);
        }
    }
}
