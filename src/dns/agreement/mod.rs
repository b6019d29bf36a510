//! The hot path and the rest must give the same answers: random zones, random queries, every EDNS setting and cookie,
//! compared record by record and option by option.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record as ProtoRecord;

use crate::dns::fast::{self, MAX_TCP, MAX_UDP, MIN_UDP, Parsed, PendingQuery, Query, ROOM, Written, ZoneStates};
use crate::dns::listen::tls::Certificates;
use crate::dns::message::options::{self, Presented, Tail};
use crate::dns::message::parse::Message as Read;
use crate::dns::serve::access::Networks;
use crate::dns::serve::cookie::{Mode, Secret, Secrets};
use crate::dns::serve::gate::Gate;
use crate::dns::serve::metrics::Metrics;
use crate::dns::serve::policy::Policy;
use crate::dns::serve::{self, Reply};
use crate::dns::transport::Transport;
use crate::model::{Endpoint, Host, Instance, Protocol, Service};
use crate::zone::build::build;
use crate::zone::context::Context;
use crate::zone::name::Name;
use crate::zone::offer::{Offer, Rank};
use crate::zone::record::{Record, rtype};
use crate::zone::records::unread;
use crate::zone::source::SourceId;
use crate::zone::unknown::{self, Scope, Unknown};
use crate::zone::{Freshness, ZoneBuilder, Zones};

fn random_zone(rng: &mut fastrand::Rng) -> Zones {
    let origin = Name::parse("service").unwrap();
    let mut writer = ZoneBuilder::new(origin.clone(), 30, 5).addresses(vec![[127, 0, 0, 1].into()]).build();
    for i in 0..rng.usize(1..8) {
        let path = ["a", "a/b", "a/b/c", "API_x", "d", "e", "x/y", "long-name-of-a-service"][i];
        let many = [6, 6, 6, 6, 90, if rng.u8(..9) == 0 { 250 } else { 20 }][rng.usize(..6)];
        // Many services have nothing but instances of IPv4 on hosts of their own.
        let hosts = rng.bool().then(|| [0xff, 0x3ff, 0xff_ffff][rng.usize(..3)]);
        let mut seen = std::collections::HashSet::new();
        let mut instance = || match hosts {
            Some(mask) => instance_at(Host::V4((0x0a00_0000 | rng.u32(..) & mask).into()), 1),
            None => random_instance(rng),
        };
        let instances = std::iter::repeat_with(&mut instance).take(many);
        let instances: Vec<Instance> =
            instances.filter(|one| hosts.is_none() || seen.insert(one.endpoint.to_string())).collect();
        let mut service = Service { path: path.into(), instances, ..Service::default() };
        service.defaults.ttl = rng.bool().then(|| rng.u32(..100));
        writer.put(path, build(&Context::new(&origin, 5), path, &service).unwrap().offers);
    }
    if rng.bool() {
        let record = |owner: &str, rtype, rdata: &[u8]| Record {
            owner: Name::parse(owner).unwrap(),
            rtype,
            ttl: 300,
            rdata: rdata.into(),
        };
        let mut records = vec![record("txt.service", rtype::TXT, b"\x03abc"), record("d.service", rtype::A, &[9; 4])];
        match rng.u8(..6) {
            5 => {
                records.push(record("*.w.service", rtype::A, &[8; 4]));
                records.push(record("y.service", rtype::DNAME, b"\x01a\x07service\0"));
                records.push(record("sub.service", rtype::NS, b"\x02ns\x03sub\x07service\0"));
                records.push(record("ns.sub.service", rtype::A, &[6; 4]));
            }
            0 => records.push(record("*.w.service", rtype::A, &[8; 4])),
            3 => records.push(record("y.service", rtype::DNAME, b"\x01a\x07service\0")),
            1 => records.push(record("sub.service", rtype::NS, b"\x02ns\x03sub\x07service\0")),
            2 => records.push(record("www.service", rtype::CNAME, b"\x01a\x07service\0")),
            _ => records.push(record("10-0-0-1.addr.service", rtype::A, &[7; 4])),
        }
        // Names at which there is a bit of everything.
        for owner in ["m.service", "n.service", "o.service"] {
            for _ in 0..rng.usize(..8) {
                let (rtype, rdata): (u16, &[u8]) = [
                    (rtype::A, &[10, 0, 0, 3][..]),
                    (rtype::A, &[10, 0, 0, 4]),
                    (rtype::AAAA, &[3; 16]),
                    (rtype::TXT, b"\x01\x00\x04abcd"),
                    (rtype::TXT, b"\x00"),
                    (rtype::PTR, b"\x01a\x07service\0"),
                    (rtype::PTR, b"\x0810-0-0-1\x04addr\x07service\0"),
                    (rtype::MX, b"\0\x0a\x01m\x07service\0"),
                    (rtype::SRV, b"\0\0\0\x01\0\x01\x01m\x07service\0"),
                    (rtype::SRV, b"\0\0\0\x01\0\x02\x0810-0-0-1\x04addr\x07service\0"),
                    (rtype::SRV, b"\0\0\0\x01\0\x02\0"),
                    (rtype::CNAME, b"\x01a\x07service\0"),
                    (rtype::HINFO, b"\x01a\x01b"),
                    (rtype::HTTPS, b"\0\x01\0"),
                ][rng.usize(..14)];
                let one = record(owner, rtype, rdata);
                // An alias is alone at its name.
                let has_alias = |other: &Record| [one.rtype, other.rtype].contains(&rtype::CNAME);
                let excludes = |other: &Record| *other == one || other.owner == one.owner && has_alias(other);
                if !records.iter().any(excludes) {
                    records.push(one);
                }
            }
        }
        writer.put_static(records);
    }
    // Names of which something is not known.
    if rng.u8(..3) == 0 {
        let text = "not known".repeat(rng.usize(..28)).into();
        let all = Unknown { scope: Scope::Everything, below: true, code: 0, text };
        let path = ["a", "nobody", "x", "y", ""][rng.usize(..5)];
        writer.put("/unread", unread::subtree(&origin, path, false, &all));
        let addresses = Unknown { scope: Scope::Addresses, below: false, code: Unknown::NO_ADDRESS, ..all };
        let owner = Name::parse(["m.service", "api_x.service"][rng.usize(..2)]).unwrap();
        writer.put("/hosts", vec![Offer { owner, rank: Rank::Real, sets: [addresses.set()].into() }]);
    }
    writer.commit(1);
    let states = [Freshness::Fresh, Freshness::Fresh, Freshness::Stale, Freshness::Loading, Freshness::Expired];
    writer.set_freshness(states[rng.usize(..states.len())]);
    if rng.u8(..4) == 0 {
        let stale = ["a.service", "b.a.service", "_a._tcp.service", "d.service", "sub.service"];
        writer.source(SourceId::OWN).set_stale([Name::parse(stale[rng.usize(..stale.len())]).unwrap()]);
    }
    Zones::new(vec![Arc::clone(writer.zone())])
}

fn instance_at(host: Host, port: u16) -> Instance {
    let endpoint = Endpoint { host, port };
    Instance::new(&endpoint.to_string(), endpoint)
}

fn random_instance(rng: &mut fastrand::Rng) -> Instance {
    let host = match rng.u8(..6) {
        0 => Host::V6(std::net::Ipv6Addr::from(u128::from(rng.u8(..9)))),
        1 => Host::Name(["host.example.com", "a.service", "B.a.service"][rng.usize(..3)].into()),
        _ => Host::V4([10, 0, rng.u8(..2), rng.u8(..100)].into()),
    };
    let mut instance = instance_at(host, rng.u16(1..4));
    instance.ttl = (rng.u8(..9) == 0).then(|| rng.u32(..50));
    instance.weight = rng.bool().then(|| rng.u16(..));
    instance.protocol = if rng.u8(..5) == 0 { Protocol::Udp } else { Protocol::Tcp };
    instance
}

const PEER: [u8; 4] = [192, 0, 2, 1];
const NOW: Duration = Duration::from_secs(1_700_000_000);
const SECRET: Secret = Secret::new([5; 16]);

fn random_policy(rng: &mut fastrand::Rng) -> Policy {
    Policy {
        cookies: [Mode::Off, Mode::On, Mode::On, Mode::Required][rng.usize(..4)],
        allow_recursion: rng.bool().then(Networks::everybody),
        max_answers: [None, None, NonZeroUsize::new(1), NonZeroUsize::new(3)][rng.usize(..4)],
        nsid: [&b""[..], b"ns1.example", &[b'x'; options::MAX_NSID]][rng.usize(..3)].into(),
        ..Policy::new(Secrets::new(SECRET))
    }
}

/// Options as clients send them, and as they should not.
fn random_options(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut tail = Tail::default();
    if rng.bool() {
        let client = [rng.u8(..3); 8];
        let made = NOW.as_secs() - rng.u64(..4000);
        let presented = Presented { client, server: None, has_server: false };
        let (_, server) = Secrets::new(SECRET).judge(presented, PEER.into(), made);
        match rng.u8(..8) {
            0 => tail.push(options::COOKIE, &[&client[..rng.usize(..8)]]),
            1 | 2 => tail.push(options::COOKIE, &[&client]),
            3 => tail.push(options::COOKIE, &[&client, &[9; 16]]),
            4 => tail.push(options::COOKIE, &[&client, &[9; 32]]),
            _ => tail.push(options::COOKIE, &[&client, &server]),
        }
    }
    match rng.u8(..9) {
        0 => tail.push(options::NSID, &[]),
        1 => tail.push(options::KEEPALIVE, &[]),
        2 => tail.push(12, &[&[0; 20]]),
        3 => tail.push(8, &[&[0, 1, 24, 0, 192, 0, 2]]),
        _ => {}
    }
    tail.as_bytes().to_vec()
}

fn random_query(rng: &mut fastrand::Rng) -> Vec<u8> {
    const NAMES: [&str; 29] = [
        "sub.service",
        "ns.sub.service",
        "y.service",
        "m.service",
        "n.service",
        "o.service",
        "service",
        "a.service",
        "b.a.service",
        "b.y.service",
        "c.b.a.service",
        "api_x.service",
        "API_X.Service",
        "_a._tcp.service",
        "_tcp.service",
        "d.service",
        "y.x.service",
        "10-0-0-1.addr.service",
        "10-0-1-77.addr.service",
        "addr.service",
        "[::3]:1._a._tcp.service",
        "[::3]:2._a._udp.service",
        "nobody.service",
        "x.nobody.service",
        "example.com",
        "service.com",
        "www.service",
        "h.w.service",
        "n.sub.service",
    ];
    const TYPES: [u16; 15] = [1, 28, 33, 33, 33, 16, 6, 2, 255, 65, 12, 15, 13, 5, unknown::TYPE];
    let mut query = vec![rng.u8(..), rng.u8(..), rng.u8(..2), 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query[3] = rng.u8(..2) << 4 | rng.u8(..2) << 5;
    query.extend_from_slice(Name::parse(NAMES[rng.usize(..NAMES.len())]).unwrap().wire());
    query.extend_from_slice(&TYPES[rng.usize(..TYPES.len())].to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    if rng.u8(..4) > 0 {
        query[11] = 1;
        let size = [0, 512, 513, 700, 1232, 4096, 65_535][rng.usize(..7)];
        let options = random_options(rng);
        query.extend_from_slice(&[0, 0, 41]);
        query.extend_from_slice(&u16::to_be_bytes(size));
        query.extend_from_slice(&[0, 0, rng.u8(..2) << 7, 0, 0]);
        query.push(u8::try_from(options.len()).unwrap());
        query.extend_from_slice(&options);
    }
    query
}

/// A section without the order of its records.
fn set(records: &[ProtoRecord]) -> Vec<String> {
    let mut set: Vec<String> = records.iter().map(|record| record.to_string().to_lowercase()).collect();
    set.sort();
    set
}

/// Returns whether every record of one section is in another.
fn is_part(part: &[ProtoRecord], whole: &[ProtoRecord]) -> bool {
    let whole = set(whole);
    set(part).iter().all(|record| whole.contains(record))
}

/// Both ways to an answer.
struct Server {
    zones: Zones,
    front: Arc<Gate>,
    service: serve::Service,
}

impl Server {
    fn random(rng: &mut fastrand::Rng) -> Self {
        let zones = random_zone(rng);
        let front = Arc::new(Gate::new(zones.clone(), random_policy(rng)));
        let counters = Metrics::default().counters(Transport::Udp);
        let service = serve::Service::new(zones.clone(), Arc::clone(&front), counters, None);
        Self { zones, front, service }
    }

    /// Replies of the slow path.
    fn replies(&self, packet: &[u8], transport: Transport) -> Vec<Vec<u8>> {
        match self.service.reply_at(packet.to_vec().into(), (PEER, 53).into(), transport, NOW) {
            Reply::Message(message) => message.into_iter().collect(),
            Reply::Transfer(_) => panic!("nobody may"),
            Reply::Later(_) => panic!("there is nobody to ask"),
        }
    }

    fn ask(&self, packet: &[u8], transport: Transport) -> (Message, usize) {
        let replies = self.replies(packet, transport);
        (Message::from_vec(&replies[0]).unwrap(), replies[0].len())
    }
}

/// Bytes that the client has room for.
fn query_limit(packet: &[u8], transport: Transport) -> usize {
    let edns = Read::parse(packet).unwrap().request.edns;
    match edns {
        _ if !transport.is_datagram() => MAX_TCP,
        Some(edns) => usize::from(edns.size).clamp(MIN_UDP, MAX_UDP),
        None => MIN_UDP,
    }
}

/// Bytes that the handler's encoder may need more: an owner, and what its pointers save elsewhere.
const OWNER_IN_FULL: usize = 64;

fn compare(server: &Server, packet: &[u8], transport: Transport) -> Option<bool> {
    let mut query = Query::default();
    if fast::parse(packet, &mut query) != Parsed::Plain {
        return None;
    }
    let (policy, mut tail) = (server.front.policy(), Tail::default());
    let loaded = ZoneStates::new(&server.zones, &policy, Vec::new());
    let candidate = loaded.find(&query);
    let of_udp = if packet[0].is_multiple_of(2) { MAX_UDP } else { ROOM };
    let mut out = vec![0; if transport.is_datagram() { of_udp } else { MAX_TCP }];
    let asked = PendingQuery { packet, query: &query, peer: &|| PEER.into(), now: &|| NOW, transport, random: 3 << 20 };
    let Written::Response { length, truncated, .. } = fast::respond(&loaded, &asked, candidate, &mut tail, &mut out)
    else {
        return None;
    };
    let length = usize::from(length);
    out.truncate(length);
    let ours = Message::from_vec(&out).unwrap_or_else(|error| panic!("{error}: {out:?} to {packet:?}"));
    let (theirs, _) = server.ask(packet, transport);
    assert_eq!(ours.metadata.response_code, theirs.metadata.response_code, "{packet:?}");
    // The handler's records are a little longer: where the last few bytes decide, it alone gives up, and says so with
    // TC.
    let is_close = length + OWNER_IN_FULL > query_limit(packet, transport);
    assert!(truncated == theirs.metadata.truncation || (!truncated && is_close), "TC: {ours} {theirs}");
    let flags = |message: &[u8]| [message[2] & !0x02, message[3]];
    assert_eq!(flags(&out), flags(&theirs.to_vec().unwrap()), "flags: {ours} {theirs}");
    assert_eq!(ours.queries, theirs.queries);
    assert_eq!(set(&ours.authorities), set(&theirs.authorities));
    assert_eq!(ours.edns, theirs.edns, "{packet:?}");
    if theirs.metadata.truncation == truncated {
        if truncated {
            // Chance says which of them, and they are of all lengths.
            assert_eq!(ours.answers.is_empty(), theirs.answers.is_empty());
        } else if policy.most(u16::from(ours.queries[0].query_type())) == usize::MAX {
            assert_eq!(set(&ours.answers), set(&theirs.answers));
        } else {
            // Which of them is left to chance.
            assert_eq!(ours.answers.len(), theirs.answers.len());
        }
    }
    // Which additionals fit depends on where the rotation begins: each must be among all there are, and none may be
    // missing where there is room for all.
    let (whole, whole_length) = server.ask(packet, Transport::Tcp);
    if !truncated && ours.metadata.response_code != ResponseCode::BADCOOKIE {
        assert!(is_part(&ours.additionals, &whole.additionals), "{ours} {whole}");
        // Hosts beyond what a pointer reaches are left out.
        let room = query_limit(packet, transport).min(0x4000);
        if whole_length + OWNER_IN_FULL <= room {
            assert_eq!(set(&ours.additionals), set(&whole.additionals));
            assert_eq!(set(&theirs.additionals), set(&whole.additionals));
        }
    }
    assert!(!transport.is_datagram() || length <= MAX_UDP);
    Some(ours.metadata.response_code == ResponseCode::NoError)
}

#[test]
fn both_ways_give_the_same_answers() {
    let (mut compared, mut positive) = (0, 0);
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let server = Server::random(&mut rng);
        for _ in 0..60 {
            let packet = random_query(&mut rng);
            if let Some(is_positive) = compare(&server, &packet, [Transport::Udp, Transport::Tcp][rng.usize(..2)]) {
                compared += 1;
                positive += i32::from(is_positive);
            }
        }
    }
    assert!(compared > 10_000 && positive > 3_000, "{compared} compared, {positive} of them positive");
}

/// Targets of SRV records, and the names before them, are of all lengths; the addresses behind them are told by where
/// in the message the names are.
#[test]
fn each_host_has_its_address_whatever_the_lengths_of_names() {
    let mut rng = fastrand::Rng::with_seed(11);
    let policy = Policy::new(Secrets::new(SECRET));
    for origin in ["x", "zk", "service", "dc1.example", "a-domain-of-some-length.example", &"longer.".repeat(20)] {
        // Over UDP, and more over TCP, at last more than a pointer reaches.
        for count in (1..40_u32).chain([60, 200, if origin.len() < 16 { 1200 } else { 300 }]) {
            let transport = if count < 40 { Transport::Udp } else { Transport::Tcp };
            let origin = Name::parse(origin).unwrap();
            let mut writer = ZoneBuilder::new(origin.clone(), 30, 5).build();
            // All of one length, or of any.
            let mask = [0x0001_0101, 0x00ff_ffff][rng.usize(..2)];
            let host = |rng: &mut fastrand::Rng| Host::V4((0x0a00_0000 | rng.u32(..) & mask).into());
            let endpoints: Vec<Endpoint> =
                (1..).take(count as usize).map(|port| Endpoint { host: host(&mut rng), port }).collect();
            let instances = endpoints.iter().map(|one| Instance::new(&one.to_string(), one.clone())).collect();
            let service = Service { path: "a".into(), instances, ..Service::default() };
            writer.put("a", build(&Context::new(&origin, 5), "a", &service).unwrap().offers);
            writer.commit(1);
            writer.set_freshness(Freshness::Fresh);
            let zones = Zones::new(vec![Arc::clone(writer.zone())]);
            let question = [&b"\x01a"[..], origin.wire(), &[0, 33, 0, 1]].concat();
            let size = rng.u16(512..1500).to_be_bytes();
            let opt = [&[0, 0, 41][..], &size, &[0; 6]].concat();
            let packet = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1][..], &question, &opt].concat();
            let mut query = Query::default();
            assert_eq!(fast::parse(&packet, &mut query), Parsed::Plain);
            let loaded = ZoneStates::new(&zones, &policy, Vec::new());
            let room = if transport.is_datagram() { [MAX_UDP, ROOM][rng.usize(..2)] } else { MAX_TCP };
            let (mut out, mut tail, random) = (vec![0xaa; room], Tail::default(), rng.u32(..));
            let (peer, now) = (&|| PEER.into(), &|| NOW);
            let asked = PendingQuery { packet: &packet, query: &query, peer, now, transport, random };
            let built = fast::respond(&loaded, &asked, loaded.find(&query), &mut tail, &mut out);
            let Written::Response { length, truncated, .. } = built else { panic!("{built:?}") };
            let message = Message::from_vec(&out[..length.into()]).unwrap();
            let room = query_limit(&packet, transport) - usize::from(length);
            assert_eq!(message.answers.len(), if truncated { 0 } else { endpoints.len() });
            let text = |message: &[ProtoRecord]| message.iter().map(ToString::to_string).collect::<Vec<_>>();
            // As they are kept: by address, then by port.
            let mut endpoints = endpoints;
            endpoints.sort_by_key(|one| (one.host.ip(), one.port));
            let first = (u64::from(random) * endpoints.len() as u64) >> 32;
            let turned = endpoints.iter().cycle().skip(usize::try_from(first).unwrap());
            for (answer, endpoint) in message.answers.iter().zip(turned) {
                let Host::V4(address) = endpoint.host else { unreachable!() };
                let target = address.to_string().replace('.', "-");
                let end = format!(" {} {target}.addr.{origin}", endpoint.port);
                let answer = answer.to_string();
                assert!(answer.trim_end_matches('.').ends_with(end.trim_end_matches('.')), "{answer} is not{end}");
            }
            let glue = text(&message.additionals);
            for line in &glue {
                let (owner, address) = (line.split('.').next().unwrap(), line.rsplit(' ').next().unwrap());
                assert_eq!(owner.replace('-', "."), address, "{line}");
            }
            let hosts: std::collections::HashSet<_> = endpoints.iter().map(|one| one.host.clone()).collect();
            let is_all = glue.len() == hosts.len();
            assert!(truncated || is_all || room < 16 || length > 0x4000 || hosts.len() < endpoints.len(), "{glue:?}");
        }
    }
}

/// A set of names was answered with what the set behind it would be as addresses.
#[test]
fn names_that_are_no_hosts_have_no_addresses_behind_them() {
    let policy = Policy::new(Secrets::new(SECRET));
    let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 30, 5).build();
    let record = |rtype, rdata: &[u8]| {
        let owner = Name::parse("p.service").unwrap();
        Record { owner, rtype, ttl: 300, rdata: rdata.into() }
    };
    let target = Name::parse("h.service").unwrap();
    // Taken for addresses, it is one of IPv4.
    writer.put_static(vec![record(rtype::PTR, target.wire()), record(rtype::TXT, b"\x01\x00\x04abcd")]);
    writer.commit(1);
    writer.set_freshness(Freshness::Fresh);
    let zones = Zones::new(vec![Arc::clone(writer.zone())]);
    let packet = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01p\x07service\0\0\x0c\0\x01";
    let mut query = Query::default();
    assert_eq!(fast::parse(packet, &mut query), Parsed::Plain);
    let loaded = ZoneStates::new(&zones, &policy, Vec::new());
    let (mut out, mut tail) = ([0; MAX_UDP], Tail::default());
    let asked = PendingQuery {
        packet,
        query: &query,
        peer: &|| PEER.into(),
        now: &|| NOW,
        transport: Transport::Udp,
        random: 0,
    };
    let built = fast::respond(&loaded, &asked, loaded.find(&query), &mut tail, &mut out);
    let Written::Response { length, .. } = built else { panic!("{built:?}") };
    let message = Message::from_vec(&out[..length.into()]).unwrap();
    assert_eq!((message.answers.len(), message.additionals.len()), (1, 0), "{message}");
}

/// Whatever comes, nothing panics, and what is answered is DNS.
#[test]
fn mutated_packets_get_valid_answers_or_none() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut server = Server::random(&mut rng);
    for round in 0..30_000 {
        if round % 1000 == 0 {
            server = Server::random(&mut rng);
        }
        let mut packet = random_query(&mut rng);
        for _ in 0..rng.usize(..4) {
            match rng.u8(..3) {
                0 => packet.truncate(rng.usize(..=packet.len())),
                1 => packet.push(rng.u8(..)),
                _ if packet.is_empty() => {}
                _ => {
                    let at = rng.usize(..packet.len());
                    packet[at] = rng.u8(..);
                }
            }
        }
        let transport = [Transport::Udp, Transport::Tcp][rng.usize(..2)];
        compare(&server, &packet, transport);
        for answer in server.replies(&packet, transport) {
            Message::from_vec(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?} to {packet:?}"));
            assert_eq!(answer[..2], packet[..2]);
        }
    }
}

/// Parts that two answers to one question must have alike: the code, the flags, the sections without the order of their
/// records, and whether EDNS is spoken. What depends on room is left out where one of them had none.
fn alike(message: &Message, has_room: bool) -> (ResponseCode, [bool; 4], [Vec<String>; 3], Option<bool>) {
    let flags = &message.metadata;
    let sections = [&message.answers, &message.authorities, &message.additionals];
    let sections = if has_room { sections.map(|section| set(section)) } else { Default::default() };
    let flags = [flags.authoritative, flags.recursion_desired, flags.checking_disabled, flags.authentic_data];
    (message.metadata.response_code, flags, sections, message.edns.as_ref().map(|edns| edns.flags().dnssec_ok))
}

/// Over real sockets, with all that lies between them and the answer.
#[tokio::test(flavor = "multi_thread")]
async fn udp_and_tcp_sockets_say_what_both_ways_say() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut compared, patience) = (0, std::time::Duration::from_secs(10));
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let zones = random_zone(&mut rng);
        let front = Arc::new(Gate::new(zones.clone(), Policy::new(Secrets::new(SECRET))));
        let counters = Metrics::default().counters(Transport::Udp);
        let service = serve::Service::new(zones.clone(), Arc::clone(&front), counters, None);
        let config =
            crate::dns::config::Config { listen: vec![([127, 0, 0, 1], 0).into()], threads: 1, ..Default::default() };
        let bound = crate::dns::listen::bind(&config, crate::dns::listen::Inherited::default()).unwrap();
        let (address, stop) = (bound.addresses()[0], tokio_util::sync::CancellationToken::new());
        let running = tokio::spawn(bound.run(
            zones.clone(),
            Arc::clone(&front),
            None,
            Arc::default(),
            Certificates::default(),
            stop.clone(),
        ));
        let server = Server { zones, front, service };
        let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.connect(address).await.unwrap();
        let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        for _ in 0..50 {
            let packet = random_query(&mut rng);
            let mut buffer = vec![0; MAX_TCP];
            udp.send(&packet).await.unwrap();
            let length = tokio::time::timeout(patience, udp.recv(&mut buffer)).await.expect("UDP").unwrap();
            let over_udp = Message::from_vec(&buffer[..length]).unwrap();
            let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
            framed.extend_from_slice(&packet);
            tcp.write_all(&framed).await.unwrap();
            let length = tokio::time::timeout(patience, tcp.read_u16()).await.expect("TCP").unwrap();
            tcp.read_exact(&mut buffer[..length.into()]).await.unwrap();
            let over_tcp = Message::from_vec(&buffer[..length.into()]).unwrap();
            let (whole, whole_length) = server.ask(&packet, Transport::Tcp);
            assert_eq!(alike(&over_tcp, true), alike(&whole, true), "{packet:?}");
            let has_room = whole_length + OWNER_IN_FULL <= query_limit(&packet, Transport::Udp);
            assert_eq!(alike(&over_udp, has_room), alike(&over_tcp, has_room), "{packet:?}");
            compared += i32::from(has_room);
        }
        stop.cancel();
        running.await.unwrap().unwrap();
    }
    assert!(compared > 1000, "{compared}");
}

mod cuts;
mod order;
mod reads;
