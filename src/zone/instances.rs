//! The instances of a service for DNS-SD, packed with `_api_x._tcp.service.`: what is needed to make the records of
//! `<host:port>._api_x._tcp.service.` when somebody asks ([`super::made`]). There are as many such names as instances,
//! a million and more, and hardly anybody asks: held as entries they took more memory than all the rest.
//!
//! Offered they are an RRset of the type [`TYPE`], a record an instance:
//! ```text
//! label, behind its length │ time to live: 4 │ SRV data, behind their length: 2 │ TXT data; none says nothing
//! ```
//! Packed they are no RRset that anybody sees, and shorter wherever the PTR and SRV records beside them say the same.

use std::borrow::Cow;

use super::entry::{Entry, RrSet};
use super::packed::{Packed, Pieces, number, whole};
use super::record::rtype;

/// Type that instances are offered under: no type that a record can have (RFC 6895 §3.1).
pub const TYPE: u16 = 0;

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance<'i> {
    /// Its label.
    pub label: &'i [u8],
    /// Time to live of its records, in seconds.
    pub ttl: u32,
    /// The data of its SRV record.
    pub srv: Cow<'i, [u8]>,
    /// The data of its TXT record; empty for an instance that says nothing.
    pub txt: &'i [u8],
}

impl<'i> Instance<'i> {
    /// As a record of [`TYPE`].
    pub fn rdata(&self) -> Vec<u8> {
        let mut rdata = Vec::with_capacity(7 + self.label.len() + self.srv.len() + self.txt.len());
        self.write(&mut rdata);
        rdata
    }

    /// Appends it as a record of [`TYPE`].
    pub(super) fn write(&self, rdata: &mut Vec<u8>) {
        rdata.push(u8::try_from(self.label.len()).unwrap_or_default());
        rdata.extend_from_slice(self.label);
        rdata.extend_from_slice(&self.ttl.to_be_bytes());
        rdata.extend_from_slice(&u16::try_from(self.srv.len()).unwrap_or_default().to_be_bytes());
        rdata.extend_from_slice(&self.srv);
        rdata.extend_from_slice(self.txt);
    }

    /// Reads a record of [`TYPE`].
    pub fn read(rdata: &'i [u8]) -> Option<Self> {
        let (&length, rest) = rdata.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        let (ttl, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (srv, txt) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        Some(Self { label, ttl: u32::from_be_bytes(*ttl), srv: srv.into(), txt })
    }
}

/// Each record in whole, behind its length.
const PLAIN: u8 = 0;
/// Each record as the place of its SRV among those beside it, and its TXT behind its length; the label is that of the
/// PTR at the same place, the time to live is that of all.
const SHORT: u8 = 1;

/// Appends the instances in `set` to the bodies of a packed `entry`. Gives how many labels they have, and the time to
/// live of all, where that is one. `places` are those at which the SRV records beside them are kept, where they are in
/// another order than the entry has them.
pub(super) fn pack(bytes: &mut Vec<u8>, entry: &Entry, (set, places): (&RrSet, &Option<Vec<u16>>)) -> (usize, u32) {
    let begin = bytes.len();
    bytes.push(SHORT);
    if let Some(ttl) = pack_short(bytes, entry, set, places.as_deref()) {
        return (set.len(), ttl);
    }
    bytes.truncate(begin);
    bytes.push(PLAIN);
    let (mut labels, mut last) = (0, None);
    for rdata in set.iter() {
        bytes.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or_default().to_be_bytes());
        bytes.extend_from_slice(rdata);
        let label = Instance::read(rdata).map(|one| one.label);
        labels += usize::from(label != last);
        last = label;
    }
    (labels, 0)
}

fn pack_short(bytes: &mut Vec<u8>, entry: &Entry, set: &RrSet, places: Option<&[u16]>) -> Option<u32> {
    let pointers = entry.set(rtype::PTR).filter(|pointers| pointers.len() == set.len())?;
    let services: Vec<&[u8]> = entry.set(rtype::SRV)?.iter().collect();
    let mut common = None;
    // Both are in canonical order, which is that of the labels.
    for (rdata, pointer) in set.iter().zip(pointers.iter()) {
        let Instance { label, ttl, srv, txt } = Instance::read(rdata)?;
        let named = pointer.get(1..=label.len()) == Some(label) && pointer[1 + label.len()..] == *entry.owner.wire();
        if !named || usize::from(pointer[0]) != label.len() || *common.get_or_insert(ttl) != ttl {
            return None;
        }
        let place = services.binary_search(&&*srv).ok()?;
        let place = places.map_or_else(|| u16::try_from(place).ok(), |places| places.get(place).copied())?;
        bytes.extend_from_slice(&place.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(txt.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(txt);
    }
    common
}

/// The instances packed with an entry whose label `is_wanted`: the directory's row of them and their bytes.
pub(super) fn unpack<'t>(
    entry: &'t Packed,
    row: &[u8],
    body: &'t [u8],
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Vec<Instance<'t>> {
    let Some((&form, mut rest)) = body.split_first() else { return Vec::new() };
    if form == PLAIN {
        let all = std::iter::from_fn(|| Instance::read(bytes(&mut rest)?));
        return all.filter(|one| is_wanted(one.label)).collect();
    }
    let ttl = u32::try_from(number(row, 4)).unwrap_or_default();
    let services: Vec<Pieces<'t>> = entry.set(rtype::SRV).into_iter().flat_map(|set| set.pieces()).collect();
    let pointers = entry.set(rtype::PTR).into_iter().flat_map(|set| set.pieces());
    // The first label is never among those that names share.
    let instance = |(pointer, _): Pieces<'t>| {
        let (service, txt) = (services.get(short(&mut rest)?)?, bytes(&mut rest)?);
        let label = pointer.get(1..=usize::from(*pointer.first()?))?;
        Some(is_wanted(label).then(|| Instance { label, ttl, srv: whole(*service), txt }))
    };
    pointers.map_while(instance).flatten().collect()
}

fn short(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<2>()?;
    *rest = after;
    Some(usize::from(u16::from_be_bytes(*number)))
}

/// Bytes behind their length.
fn bytes<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let length = short(rest)?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::name::Name;

    fn srv(port: u8) -> Vec<u8> {
        [&[0, 0, 0, 10, 0, port], Name::parse("x").unwrap().wire()].concat()
    }

    /// `_a._tcp.` with instances (label, time to live, port, text), and PTR records for `listed` of them.
    fn packed(instances: &[(&str, u32, u8, &[u8])], listed: usize) -> (RrSet, Packed) {
        let owner = Name::parse("_a._tcp").unwrap();
        let rdatas = instances.iter().map(|(label, ttl, port, txt)| {
            Instance { label: label.as_bytes(), ttl: *ttl, srv: srv(*port).into(), txt }.rdata()
        });
        let set = RrSet::new(TYPE, 0, rdatas.collect());
        let pointer = |label: &str| owner.child(label.as_bytes()).unwrap().wire().to_vec();
        let pointers = instances.iter().take(listed).map(|(label, ..)| pointer(label)).collect();
        let services = instances.iter().map(|(_, _, port, _)| srv(*port)).collect();
        let sets = [RrSet::new(rtype::PTR, 5, pointers), RrSet::new(rtype::SRV, 5, services), set.clone()];
        (set, Packed::new(&Entry { owner, sets: sets.into() }, &mut |_, _| ()))
    }

    #[test]
    fn instances_come_out_as_they_went_in_short_or_plain() {
        let instances: [(&str, u32, u8, &[u8]); 3] = [("b:2", 5, 2, b""), ("a:10", 5, 1, b"\x01x"), ("c", 5, 2, b"")];
        let (_, short) = packed(&instances, 3);
        let (_, plain) = packed(&instances, 2);
        assert!(short.size() < plain.size());
        let mut other_ttl = instances;
        other_ttl[1].1 = 6;
        for (instances, listed) in [(instances, 3), (instances, 2), (other_ttl, 3)] {
            let (set, packed) = packed(&instances, listed);
            let unpacked: Vec<Vec<u8>> = packed.instances().iter().map(Instance::rdata).collect();
            assert_eq!(unpacked, set.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
            assert_eq!(packed.sets().map(|set| set.rtype).collect::<Vec<_>>(), [rtype::PTR, rtype::SRV]);
            assert!(packed.set(TYPE).is_none() && packed.records().len() == listed + 2);
        }
    }
}
