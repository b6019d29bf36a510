//! Instances packed with the entry above their names ([`crate::zone::instances`]): no RRset that anybody sees, and
//! shorter wherever the PTR and SRV records beside them say the same.

use super::body::{Pieces, whole};
use super::layout::number;
use crate::zone::entry::{Entry, RrSet};
use crate::zone::instances::Instance;
use crate::zone::record::rtype;

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

/// The instances packed with an entry whose label `is_wanted`: the directory's row of them and their bytes. `pieces`
/// returns the records of a type beside them.
pub(super) fn unpack<'t>(
    row: &[u8],
    body: &'t [u8],
    pieces: impl Fn(u16) -> Vec<Pieces<'t>>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Vec<Instance<'t>> {
    let Some((&form, mut rest)) = body.split_first() else { return Vec::new() };
    if form == PLAIN {
        let all = std::iter::from_fn(|| Instance::read(bytes(&mut rest)?));
        return all.filter(|one| is_wanted(one.label)).collect();
    }
    let ttl = u32::try_from(number(row, 4)).unwrap_or_default();
    let services = pieces(rtype::SRV);
    let pointers = pieces(rtype::PTR);
    // The first label is never among those that names share.
    let instance = |(pointer, _): Pieces<'t>| {
        let (service, txt) = (services.get(short(&mut rest)?)?, bytes(&mut rest)?);
        let label = pointer.get(1..=usize::from(*pointer.first()?))?;
        Some(is_wanted(label).then(|| Instance { label, ttl, srv: whole(*service), txt }))
    };
    pointers.into_iter().map_while(instance).flatten().collect()
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
    use crate::zone::instances::TYPE;
    use crate::zone::name::Name;
    use crate::zone::packed::Packed;

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
