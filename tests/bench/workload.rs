//! A zone as a registry makes it, and what clients ask it: the same for the micro-benchmarks and for the test that
//! counts allocations.

use std::sync::Arc;

use zonekeeper::zone::entry::RrSet;
use zonekeeper::zone::name::Name;
use zonekeeper::zone::offer::{Offer, Rank};
use zonekeeper::zone::record::rtype;
use zonekeeper::zone::writer::ZoneWriter;
use zonekeeper::zone::{Freshness, ZoneBuilder, Zones};

/// Instances of a service.
pub(crate) const PROVIDERS: u32 = 10;

/// A zone and its only writer.
pub(crate) struct Workload {
    pub(crate) writer: ZoneWriter,
    pub(crate) zones: Zones,
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// What a service of ten instances by address puts into the zone; another `generation` has other ports.
pub(crate) fn offers(service: u32, generation: u32) -> Vec<Offer> {
    let addresses: Vec<[u8; 4]> =
        (0..PROVIDERS).map(|one| ((10 << 24) + (service * 16 + one) % (1 << 24)).to_be_bytes()).collect();
    let host = |[a, b, c, d]: [u8; 4]| name(&format!("{a}-{b}-{c}-{d}.addr.service"));
    let port = (1024 + (service + generation) % 60_000).to_be_bytes();
    let srv = addresses.iter().map(|&address| [&[0, 0, 0, 10], &port[2..], host(address).wire()].concat()).collect();
    let a = addresses.iter().map(|address| address.to_vec()).collect();
    let sets = [RrSet::new(rtype::A, 5, a), RrSet::new(rtype::SRV, 5, srv)].into();
    let mut offers = vec![Offer { owner: name(&format!("api_{service}.service")), rank: Rank::Real, sets }];
    offers.extend(addresses.into_iter().map(|address| {
        let sets = [RrSet::new(rtype::A, 5, vec![address.to_vec()])].into();
        Offer { owner: host(address), rank: Rank::Derived, sets }
    }));
    offers
}

impl Workload {
    /// So many services `api_0.service` and on, all fresh.
    pub(crate) fn new(services: u32) -> Self {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        writer.set_freshness(Freshness::Fresh);
        for service in 0..services {
            writer.put(&format!("api_{service}"), offers(service, 0));
        }
        writer.commit(1);
        let zones = Zones::new(vec![Arc::clone(writer.zone())]);
        Self { writer, zones }
    }
}

/// A query as it goes on the wire; `edns` are flags and options behind an OPT record's size, none for no EDNS.
pub(crate) fn query(owner: &str, rtype: u16, edns: Option<(u8, &[u8])>) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    packet.extend_from_slice(name(owner).wire());
    packet.extend_from_slice(&rtype.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if let Some((flags, options)) = edns {
        let length = u16::try_from(options.len()).expect("few options");
        packet.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, flags, 0]);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(options);
    }
    packet
}
