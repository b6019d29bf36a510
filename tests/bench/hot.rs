//! The hot loop and nothing else, so that a tool can count its instructions: `tests/bench/instructions` runs it under
//! callgrind. Counts do not depend on what else the machine does, which times do.

mod workload;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use workload::{Workload, query};
use zonekeeper::dns::fast::{self, Parsed, PendingQuery, Query, ROOM, Written, ZoneStates};
use zonekeeper::dns::message::options::Tail;
use zonekeeper::dns::serve::cookie::{Secret, Secrets};
use zonekeeper::dns::serve::policy::Policy;
use zonekeeper::dns::transport::Transport;
use zonekeeper::zone::Zones;
use zonekeeper::zone::record::rtype;

/// Queries taken at a time, as a UDP thread does.
const BATCH: usize = 32;
/// Services of the zone.
const SERVICES: u32 = 1_000;
/// When it is asked, since 1970.
const NOW: Duration = Duration::from_secs(1_700_000_000);

fn main() {
    // `cargo bench` adds a flag of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let kind = arguments.next().unwrap_or_else(|| "srv".into());
    let batches: usize = arguments.next().map_or(100, |text| text.parse().expect("a number of batches"));
    // Its writer stays, as in a server.
    let Workload { writer: _writer, zones } = Workload::new(SERVICES);
    let packets: Vec<Vec<u8>> =
        (0..SERVICES).step_by(311).cycle().take(BATCH).map(|service| packet(&kind, service)).collect();
    let policy = Policy::new(Secrets::new(Secret::new([7; 16])));
    println!("{} responses", answer(&zones, &policy, &packets, batches));
}

/// A query as clients send it.
fn packet(kind: &str, service: u32) -> Vec<u8> {
    let owner = format!("api_{service}.service");
    match kind {
        "srv" => query(&owner, rtype::SRV, Some((0, b""))),
        "a" => query(&owner, rtype::A, Some((0, b""))),
        "aaaa" => query(&owner, rtype::AAAA, Some((0, b""))),
        "nx" => query(&format!("nope_{service}.service"), rtype::A, Some((0, b""))),
        "cookie" => query(&owner, rtype::A, Some((0, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]))),
        _ => panic!("{kind} is none of srv, a, aaaa, nx, cookie"),
    }
}

/// Answers all packets so many times. Has a name of its own in the binary, which callgrind is told.
#[inline(never)]
fn answer(zones: &Zones, policy: &Policy, packets: &[Vec<u8>], batches: usize) -> usize {
    let mut queries = vec![Query::default(); BATCH];
    let (mut spare, mut tail, mut out) = (Vec::new(), Tail::default(), [0; ROOM]);
    let (mut random, mut responses) = (fastrand::Rng::with_seed(1), 0);
    for _ in 0..batches {
        for (packet, query) in packets.iter().zip(&mut queries) {
            assert_eq!(fast::parse(packet, query), Parsed::Plain);
        }
        let loaded = ZoneStates::new(zones, policy, std::mem::take(&mut spare));
        let mut candidates = [None; BATCH];
        for (query, candidate) in queries.iter().zip(&mut candidates) {
            *candidate = loaded.find(query);
        }
        for ((packet, query), candidate) in packets.iter().zip(&queries).zip(candidates) {
            let (peer, random) = (&|| IpAddr::V4(Ipv4Addr::LOCALHOST), random.u32(..));
            let asked = PendingQuery { packet, query, peer, now: &|| NOW, transport: Transport::Udp, random };
            let built = fast::respond(&loaded, &asked, candidate, &mut tail, &mut out);
            responses += usize::from(matches!(built, Written::Response { .. }));
        }
        spare = loaded.into_spare();
    }
    responses
}
