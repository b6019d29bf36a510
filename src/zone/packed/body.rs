//! The records of a packed set, in as few bytes as the hot path can write them from at once: half of what they are on
//! the wire, as the hot path waits for memory more than for anything else.
//!
//! ```text
//! V4, V6  the addresses, side by side
//! NAMES   rows: 4 │ shared length │ a length each │ rows: head and own labels each │ shared │ additionals
//! HOSTS   SRV records with the addresses of the hosts: [`super::hosts`]
//! PLAIN   the data of each, behind its length: 2
//! ```
//! Data that end with a name (SRV, PTR, NS, …) are kept without the labels at its end that all names of the set share,
//! which are there once; `head` is what comes before the name, such as SRV's priority, weight and port. Additionals,
//! for SRV, are [`super::additionals`]'s.

use std::borrow::Cow;

use super::additionals::{self, Additionals, TargetAddresses};
use super::hosts::{self, PackedHosts};
use super::layout::{RR_HEAD, SRV_HEAD};
use crate::zone::record::rtype;

const PLAIN: u8 = 0;
const V4: u8 = 1;
const V6: u8 = 2;
const NAMES: u8 = 3;
const HOSTS: u8 = 4;

/// The records of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'t> {
    /// IPv4 addresses.
    V4(&'t [[u8; 4]]),
    /// IPv6 addresses.
    V6(&'t [[u8; 16]]),
    /// Data that end with a name.
    Names(SuffixedNames<'t>),
    /// SRV records, with the address of each target.
    Hosts(PackedHosts<'t>),
    /// The data of each record behind its length, two bytes.
    Plain(&'t [u8]),
}

/// Form of the records of a set, for those who write several at once.
#[derive(Debug, Clone, Copy)]
pub enum BodyForm<'t> {
    /// IPv4 addresses.
    V4(&'t [[u8; 4]]),
    /// IPv6 addresses.
    V6(&'t [[u8; 16]]),
    /// Data that end with a name.
    Names,
    /// SRV records, with the address of each target.
    Hosts,
    /// Whatever else.
    Other,
}

/// Records that end with a name, and the labels that all these names end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuffixedNames<'t> {
    /// The labels that all names end with, the root's among them.
    pub shared: &'t [u8],
    /// For each record the length of the name's own labels.
    pub lengths: &'t [u8],
    /// For each record what comes before the name, [`head_of`] its type, then the name's own labels. What is behind the
    /// last of them is there so that rows can be read in pieces of one size.
    pub rows: &'t [u8],
    /// Bytes of the rows without that.
    size: usize,
}

/// Bytes before the name in the data of a type that ends with one; none for other types.
pub fn head_of(rtype: u16) -> Option<usize> {
    match rtype {
        rtype::SRV => Some(SRV_HEAD),
        rtype::MX => Some(2),
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::DNAME => Some(0),
        _ => None,
    }
}

/// Appends records in this order, and what was found of their targets.
pub(super) fn pack(bytes: &mut Vec<u8>, rtype: u16, rdatas: &[&[u8]], found: &TargetAddresses) {
    let all = |length: usize| rdatas.iter().all(|rdata| rdata.len() == length);
    match rtype {
        rtype::A if all(4) => push_all(bytes, V4, rdatas),
        rtype::AAAA if all(16) => push_all(bytes, V6, rdatas),
        _ if pack_names(bytes, rtype, rdatas, found).is_some() => {}
        _ => {
            bytes.push(PLAIN);
            for rdata in rdatas {
                bytes.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
                bytes.extend_from_slice(rdata);
            }
        }
    }
}

fn push_all(bytes: &mut Vec<u8>, form: u8, rdatas: &[&[u8]]) {
    bytes.push(form);
    for rdata in rdatas {
        bytes.extend_from_slice(rdata);
    }
}

/// None, and nothing appended, where the data are not such.
fn pack_names(bytes: &mut Vec<u8>, rtype: u16, rdatas: &[&[u8]], found: &TargetAddresses) -> Option<()> {
    let head = head_of(rtype)?;
    let shared = shared(rdatas, head)?;
    if let (TargetAddresses::Each(addresses), rtype::SRV) = (found, rtype) {
        bytes.push(HOSTS);
        if hosts::pack(bytes, rdatas, shared, addresses).is_some() {
            return Some(());
        }
        bytes.pop();
    }
    bytes.push(NAMES);
    let own = |rdata: &[u8]| rdata.len() - head - shared.len();
    let rows: usize = rdatas.iter().map(|rdata| head + own(rdata)).sum();
    bytes.extend_from_slice(&u32::try_from(rows).unwrap_or(u32::MAX).to_be_bytes());
    bytes.push(u8::try_from(shared.len()).unwrap_or(u8::MAX));
    bytes.extend(rdatas.iter().map(|rdata| u8::try_from(own(rdata)).unwrap_or(u8::MAX)));
    for rdata in rdatas {
        bytes.extend_from_slice(&rdata[..head + own(rdata)]);
    }
    bytes.extend_from_slice(shared);
    match found {
        _ if rtype != rtype::SRV => {}
        TargetAddresses::Each(addresses) => bytes.extend(additionals::pack_each(addresses)),
        TargetAddresses::Any(additionals) => bytes.extend_from_slice(additionals),
    }
    Some(())
}

/// The labels that all names end with, but for their first one; none where something is no name.
fn shared<'s>(rdatas: &[&'s [u8]], head: usize) -> Option<&'s [u8]> {
    let mut shared: Option<&[u8]> = None;
    for rdata in rdatas {
        let name = rdata.get(head..)?;
        is_name(name).then_some(())?;
        // A root's first label is all of it.
        let mut rest = name.get(1 + usize::from(name[0])..).filter(|rest| !rest.is_empty()).unwrap_or(name);
        if let Some(shared) = shared {
            let mut common = shared;
            // Label by label, whichever is longer.
            while rest != common {
                let longer = if rest.len() >= common.len() { &mut rest } else { &mut common };
                *longer = longer.get(1 + usize::from(*longer.first()?)..)?;
            }
        }
        shared = Some(rest);
    }
    shared
}

/// Returns whether these bytes are one uncompressed name.
fn is_name(mut bytes: &[u8]) -> bool {
    if bytes.len() > 255 {
        return false;
    }
    while let Some((&length, rest)) = bytes.split_first() {
        match (usize::from(length), rest) {
            (0, rest) => return rest.is_empty(),
            (1..=63, rest) => bytes = rest.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
    false
}

/// The records that were packed here, `count` of them, and the additionals behind them.
pub(super) fn unpack(bytes: &[u8], count: usize) -> (Body<'_>, Additionals<'_>) {
    let none = Additionals::Any(&[]);
    match bytes.split_first() {
        Some((&V4, rest)) => (Body::V4(rest.as_chunks().0), none),
        Some((&V6, rest)) => (Body::V6(rest.as_chunks().0), none),
        Some((&NAMES, rest)) => match unpack_names(rest, count) {
            Some((names, additionals)) => (Body::Names(names), Additionals::Any(additionals)),
            None => (Body::Plain(&[]), none),
        },
        Some((&HOSTS, rest)) => match hosts::unpack(rest, count) {
            Some(hosts) => (Body::Hosts(hosts), Additionals::Each(hosts)),
            None => (Body::Plain(&[]), none),
        },
        Some((_, rest)) => (Body::Plain(rest), none),
        None => (Body::Plain(&[]), none),
    }
}

/// Form of the records in a body that may have more behind it.
#[inline(always)]
pub(super) fn form(bytes: &[u8], count: usize) -> BodyForm<'_> {
    let Some((form, rest)) = bytes.split_first() else { return BodyForm::Other };
    match (*form, rest.get(..count * 4), rest.get(..count * 16)) {
        (V4, Some(addresses), _) => BodyForm::V4(addresses.as_chunks().0),
        (V6, _, Some(addresses)) => BodyForm::V6(addresses.as_chunks().0),
        (HOSTS, _, _) => BodyForm::Hosts,
        (NAMES, _, _) => BodyForm::Names,
        _ => BodyForm::Other,
    }
}

/// The data of the first record in such a body, where they are kept as they are.
#[inline(always)]
pub(super) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (form, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    if *form == PLAIN { rest.get(..usize::from(u16::from_be_bytes(*length))) } else { None }
}

/// The hosts in such a body.
#[inline(always)]
pub(super) fn hosts(bytes: &[u8], count: usize) -> Option<PackedHosts<'_>> {
    let (form, rest) = bytes.split_first()?;
    if *form == HOSTS { hosts::unpack(rest, count) } else { None }
}

/// The names in such a body, and what is behind them: the additionals and maybe more.
#[inline(always)]
pub(super) fn names(bytes: &[u8], count: usize) -> Option<(SuffixedNames<'_>, &[u8])> {
    let (form, rest) = bytes.split_first()?;
    if *form == NAMES { unpack_names(rest, count) } else { None }
}

#[inline(always)]
fn unpack_names(bytes: &[u8], count: usize) -> Option<(SuffixedNames<'_>, &[u8])> {
    let (&[a, b, c, d, shared], rest) = bytes.split_first_chunk::<5>()?;
    let (lengths, rows) = rest.split_at_checked(count)?;
    let size = u32::from_be_bytes([a, b, c, d]) as usize;
    let (shared, additionals) = rows.get(size..)?.split_at_checked(usize::from(shared))?;
    Some((SuffixedNames { shared, lengths, rows, size }, additionals))
}

impl Body<'_> {
    /// Bytes of `count` such records in a message, with an owner of two bytes each: a pointer.
    pub fn wire_size(&self, count: usize) -> usize {
        let data = match self {
            Self::V4(addresses) => addresses.len() * 4,
            Self::V6(addresses) => addresses.len() * 16,
            Self::Names(names) => return names.wire_size(count),
            Self::Hosts(hosts) => return hosts.wire_size(),
            Self::Plain(bytes) => bytes.len() - count * 2,
        };
        data + count * RR_HEAD
    }
}

impl SuffixedNames<'_> {
    /// Bytes of `count` records, which are all, in a message, with owners that are pointers.
    pub fn wire_size(&self, count: usize) -> usize {
        self.size + count * (self.shared.len() + RR_HEAD)
    }
}

/// The data of one record in two pieces: its own, and what all records of the set end with.
pub type Pieces<'t> = (&'t [u8], &'t [u8]);

/// The data of records, one after the other.
#[derive(Debug, Clone)]
pub struct Datas<'t> {
    body: Body<'t>,
    head: usize,
}

impl<'t> Datas<'t> {
    pub(super) fn new(body: Body<'t>, rtype: u16) -> Self {
        Self { body, head: head_of(rtype).unwrap_or_default() }
    }
}

impl<'t> Iterator for Datas<'t> {
    type Item = Pieces<'t>;

    fn next(&mut self) -> Option<Pieces<'t>> {
        match &mut self.body {
            Body::V4(rest) => rest.split_off_first().map(|address| (&address[..], &[][..])),
            Body::V6(rest) => rest.split_off_first().map(|address| (&address[..], &[][..])),
            Body::Names(SuffixedNames { shared, lengths, rows, .. }) => {
                let own = lengths.split_off_first()?;
                Some((rows.split_off(..self.head + usize::from(*own))?, shared))
            }
            Body::Hosts(hosts) => Some((hosts.take()?.own(), hosts.shared)),
            Body::Plain(rest) => {
                let (length, after) = rest.split_first_chunk::<2>()?;
                let (rdata, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                *rest = after;
                Some((rdata, &[]))
            }
        }
    }
}

/// The data whole.
pub fn whole((own, shared): Pieces<'_>) -> Cow<'_, [u8]> {
    if shared.is_empty() { Cow::Borrowed(own) } else { Cow::Owned([own, shared].concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::entry::RrSet;
    use crate::zone::name::Name;

    /// Size in bytes of a set of these data, which must come out as they went in.
    fn packed(rtype: u16, rdatas: &[&[u8]]) -> usize {
        let set = RrSet::new(rtype, 5, rdatas.to_vec());
        let expected: Vec<&[u8]> = set.iter().collect();
        let mut bytes = Vec::new();
        pack(&mut bytes, rtype, &expected, &TargetAddresses::Any(Vec::new()));
        let (body, additionals) = unpack(&bytes, set.len());
        assert_eq!(additionals, Additionals::Any(&[]));
        assert_eq!(Datas::new(body, rtype).map(whole).collect::<Vec<_>>(), expected);
        let on_wire: usize = expected.iter().map(|rdata| RR_HEAD + rdata.len()).sum();
        assert_eq!(body.wire_size(set.len()), on_wire);
        bytes.len()
    }

    fn pointers(names: &[&str]) -> usize {
        let names: Vec<Name> = names.iter().map(|name| Name::parse(name).unwrap()).collect();
        packed(rtype::PTR, &names.iter().map(Name::wire).collect::<Vec<_>>())
    }

    #[test]
    fn addresses_are_side_by_side_and_others_by_length() {
        assert_eq!(packed(rtype::A, &[&[10, 0, 0, 1], &[10, 0, 0, 2]]), 1 + 8);
        assert_eq!(packed(rtype::AAAA, &[&[1; 16], &[2; 16]]), 1 + 32);
        assert_eq!(packed(rtype::TXT, &[b"\x01x", b"\x02yz"]), 1 + 4 + 5);
        assert_eq!(packed(rtype::A, &[&[10, 0, 0, 1], b"no address"]), 1 + 6 + 12);
        assert_eq!(packed(rtype::TXT, &[]), 1);
    }

    #[test]
    fn labels_that_all_names_end_with_are_kept_once() {
        // Behind the form, the size of the rows and those of the labels: what is shared, and each one's length and own.
        assert_eq!(pointers(&["a.b.example", "c.b.example"]), 6 + 11 + 2 * (1 + 2));
        assert_eq!(pointers(&["b.example", "a.b.example"]), 6 + 9 + (1 + 2) + (1 + 4));
        assert_eq!(pointers(&["a.b.example", "a.B.example"]), 6 + 9 + 2 * (1 + 4), "case is kept");
        assert_eq!(pointers(&["a.example"]), 6 + 9 + (1 + 2));
        assert_eq!(pointers(&["a", "."]), 6 + 1 + (1 + 2) + 1);
        assert_eq!(pointers(&["xb.example", "b.example"]), 6 + 9 + (1 + 3) + (1 + 2), "whole labels alone");
    }

    #[test]
    fn what_should_be_a_name_and_is_none_comes_out_as_it_went_in() {
        for bad in [&b""[..], b"\x01", b"\x01a", b"\0x", b"\xc0\x0c", b"\x40x\0"] {
            packed(rtype::PTR, &[bad]);
            packed(rtype::PTR, &[bad, b"\x01a\0"]);
            packed(rtype::SRV, &[bad]);
            packed(rtype::SRV, &[&[b"\0\0\0\0\0\0", bad].concat()]);
        }
        packed(rtype::PTR, &[&[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(5)]);
    }
}
