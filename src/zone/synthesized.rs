//! Names whose records are made when somebody asks: that of an address (`192-168-0-42.addr.service.`) and that of an
//! instance in DNS-SD (`<host:port>._api_x._tcp.service.`). There are as many as instances, and each says only what is
//! held elsewhere. An entry held under such a name goes before what would be made: the writer has united both in it.

use std::net::IpAddr;

use super::entry::{Entry, RrSet};
use super::instances::Instance;
use super::name::Name;
use super::packed::{Addresses, AddressesOf, Packed, PackedSet, srv_target};
use super::record::rtype;
use super::records::address;
use super::rrset_builder::RrSetBuilder;

/// TXT of an instance that says nothing: there must be one, and it must not be empty (RFC 6763 §6.1).
const NOTHING: [u8; 1] = [0];

/// Kind of made name that a name is, by its shape alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyntheticName<'n> {
    /// The name of this address.
    Address(IpAddr),
    /// That of the instance with this label, of the service name that begins at the second label.
    Instance(&'n [u8]),
}

/// The shape of a name in wire form and lower case, in a zone at `origin`.
pub(super) fn shape<'n>(origin: &[u8], name: &'n [u8]) -> Option<SyntheticName<'n>> {
    let (label, parent) = name.split_at_checked(1 + usize::from(*name.first()?))?;
    if parent.strip_prefix(b"\x04addr") == Some(origin) {
        return address::of_label(&label[1..]).map(SyntheticName::Address);
    }
    // `_api_x`, then `_tcp` or `_udp`.
    let &[length, b'_', ..] = parent else { return None };
    let protocol = parent.get(1 + usize::from(length)..)?;
    let is_service = protocol.starts_with(b"\x04_tcp") || protocol.starts_with(b"\x04_udp");
    is_service.then_some(SyntheticName::Instance(&label[1..]))
}

/// The name without its first label.
pub(super) fn parent(name: &[u8]) -> &[u8] {
    name.first().and_then(|&length| name.get(1 + usize::from(length)..)).unwrap_or_default()
}

/// The RRset of an address' name.
pub(super) fn address_set(address: IpAddr, ttl: u32) -> RrSet {
    match address {
        IpAddr::V4(address) => RrSet::new(rtype::A, ttl, vec![address.octets()]),
        IpAddr::V6(address) => RrSet::new(rtype::AAAA, ttl, vec![address.octets()]),
    }
}

/// The entry that `sets` are made to.
pub(super) fn passing(owner: &Name, sets: Box<[RrSet]>, addresses: &mut AddressesOf<'_>) -> Packed {
    Packed::passing(&Entry { owner: owner.clone(), sets }, addresses)
}

/// The entry of an address' name.
pub(super) fn address(owner: Name, address: IpAddr, ttl: u32) -> Packed {
    Packed::passing(&Entry { owner, sets: [address_set(address, ttl)].into() }, &mut |_, _| ())
}

/// The RRsets of what is known of one label; none when nothing is.
pub(super) fn instance_sets<'i>(of_label: impl Iterator<Item = Instance<'i>>) -> Option<Box<[RrSet]>> {
    let mut sets = RrSetBuilder::default();
    let mut some = false;
    for Instance { ttl, srv, txt, .. } in of_label {
        sets.add(rtype::SRV, ttl, &srv);
        sets.add(rtype::TXT, ttl, if txt.is_empty() { &NOTHING } else { txt });
        some = true;
    }
    some.then(|| sets.into_sets())
}

/// The entry of an instance's name, below the entry that it is packed with. The addresses of its host are those that
/// are packed there, or as `addresses` says.
pub(super) fn instance(parent: &Packed, label: &[u8], addresses: &mut AddressesOf<'_>) -> Option<Packed> {
    let instances = parent.instances_with(|other| other == label);
    let sets = instance_sets(instances.into_iter())?;
    let (above, _) = Name::from_wire(parent.name())?;
    let entry = Entry { owner: above.child(label).ok()?, sets };
    let services = parent.set(rtype::SRV);
    let packed_there = |target: &[u8]| services.and_then(|set| additionals(set, target));
    Some(Packed::passing(&entry, &mut |target, found| match packed_there(target) {
        Some(there) => *found = there,
        None => addresses(target, found),
    }))
}

/// The addresses packed with the SRV record of a target.
fn additionals(set: PackedSet<'_>, target: &[u8]) -> Option<Addresses> {
    let is_target = |(own, shared)| srv_target(own).iter().chain(shared).eq(target);
    let place = set.pieces().position(is_target)?;
    let additionals = set.additionals.iter().nth(place)?;
    let v4 = additionals.v4.iter().map(|octets| (*octets).into()).collect();
    let v6 = additionals.v6.iter().map(|octets| (*octets).into()).collect();
    Some(Addresses { v4, v6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_by_their_shape() {
        let origin = Name::parse("service").unwrap();
        let name = |text: &str| Name::parse(text).unwrap();
        let shape = |name: &Name| match shape(origin.wire(), name.wire()) {
            Some(SyntheticName::Address(address)) => address.to_string(),
            Some(SyntheticName::Instance(label)) => String::from_utf8_lossy(label).into_owned(),
            None => String::new(),
        };
        assert_eq!(shape(&name("10-0-0-1.addr.service")), "10.0.0.1");
        assert_eq!(shape(&name("10\\.0\\.0\\.1:80._a._tcp.service")), "10.0.0.1:80");
        assert_eq!(shape(&name("x._a._udp.staging.service")), "x");
        for other in
            ["service", ".", "addr.service", "10-0-0-1.addr.x.service", "_a._tcp.service", "_http._tcp.a.service"]
        {
            assert_eq!(shape(&name(other)), "", "{other}");
        }
    }
}
