//! The first record of an answer is drawn by weight whatever else is asked, on both ways to an answer.

use super::*;
use crate::zone::config::Live;
use crate::zone::order::Order;

/// Instances by address, port, priority and weight.
type Instances<'i> = &'i [(&'i str, u16, u16, u16)];

fn server(services: &[(&str, Instances<'_>)], order: Order, max_answers: usize) -> Server {
    let origin = Name::parse("service").unwrap();
    let mut writer = ZoneBuilder::new(origin.clone(), 30, 5).build();
    for (path, instances) in services {
        let instance = |(host, port, priority, weight): &(&str, u16, u16, u16)| {
            let mut instance = instance_at(Host::V4(host.parse().unwrap()), *port);
            (instance.priority, instance.weight) = (Some(*priority), Some(*weight));
            instance
        };
        let instances = instances.iter().map(instance).collect();
        let service = Service { path: (*path).into(), instances, ..Service::default() };
        writer.put(path, build(&Context::new(&origin, 5), path, &service).unwrap().offers);
    }
    writer.commit(1);
    writer.set_freshness(Freshness::Fresh);
    writer.set_live(Live { order, ..Live::default() });
    let zones = Zones::new(vec![Arc::clone(writer.zone())]);
    let policy = Policy { max_answers: NonZeroUsize::new(max_answers), ..Policy::new(Secrets::new(SECRET)) };
    let front = Arc::new(Gate::new(zones.clone(), policy));
    let counters = Metrics::default().counters(Transport::Udp);
    let service = serve::Service::new(zones.clone(), Arc::clone(&front), counters, None);
    Server { zones, front, service }
}

/// A question with or without an OPT.
fn question(name: &str, rtype: u16, has_opt: bool) -> Vec<u8> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(has_opt)];
    query.extend_from_slice(Name::parse(name).unwrap().wire());
    query.extend_from_slice(&rtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    if has_opt {
        query.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    query
}

impl Server {
    fn fast(&self, packet: &[u8], transport: Transport, random: &mut fastrand::Rng) -> Message {
        let mut query = Query::default();
        assert_eq!(fast::parse(packet, &mut query), Parsed::Plain);
        let (policy, mut tail, mut out) = (self.front.policy(), Tail::default(), vec![0; MAX_TCP]);
        let loaded = ZoneStates::new(&self.zones, &policy, Vec::new());
        let random = random.u32(..);
        let asked = PendingQuery { packet, query: &query, peer: &|| PEER.into(), now: &|| NOW, transport, random };
        let built = fast::respond(&loaded, &asked, loaded.find(&query), &mut tail, &mut out);
        let Written::Response { length, .. } = built else { panic!("{built:?}") };
        Message::from_vec(&out[..length.into()]).unwrap()
    }
}

/// The address or port of each answer, in order.
fn keys(message: &Message) -> Vec<String> {
    let key = |record: &ProtoRecord| {
        let text = record.data.to_string();
        let words: Vec<&str> = text.split(' ').collect();
        if words.len() == 4 { words[3].split('.').next().unwrap().replace('-', ".") } else { text }
    };
    message.answers.iter().map(key).collect()
}

/// Pearson's test: whether these counts may well be draws with these weights (1 of 10,000 sets of counts is further
/// off).
fn is_drawn(counts: &std::collections::BTreeMap<String, u32>, weights: &[(&str, f64)]) {
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let all = f64::from(counts.values().sum::<u32>());
    let off = |(key, weight): &(&str, f64)| {
        let (count, expected) = (f64::from(counts.get(*key).copied().unwrap_or(0)), all * weight / total);
        (count - expected).powi(2) / expected.max(1e-9)
    };
    let chi_square: f64 = weights.iter().filter(|(_, weight)| *weight > 0.0).map(off).sum();
    let critical = [0.0, 15.2, 18.5, 21.2, 23.6, 25.8, 27.9, 29.9, 31.9, 33.8][weights.len() - 1];
    assert!(chi_square < critical, "{chi_square} for {counts:?}, drawn by {weights:?}");
    let wanted: f64 = weights.iter().map(|(key, _)| f64::from(counts.get(*key).copied().unwrap_or(0))).sum();
    assert!((wanted - all).abs() < 0.5, "{counts:?} has others than {weights:?}");
    for (key, _) in weights.iter().filter(|(_, weight)| *weight <= 0.0) {
        assert_eq!(counts.get(*key), None, "{key} has no weight");
    }
}

/// Counts what comes first in `rounds` answers to each question of a pattern that is asked over and over.
fn firsts(
    server: &Server,
    pattern: &[(&str, u16)],
    (is_fast, transport): (bool, Transport),
) -> Vec<std::collections::BTreeMap<String, u32>> {
    let mut random = fastrand::Rng::with_seed(4083);
    let packets: Vec<_> = pattern.iter().map(|(name, rtype)| question(name, *rtype, true)).collect();
    let mut counts = vec![std::collections::BTreeMap::new(); pattern.len()];
    for _ in 0..2_000 {
        for (packet, counts) in packets.iter().zip(&mut counts) {
            let answer =
                if is_fast { server.fast(packet, transport, &mut random) } else { server.ask(packet, transport).0 };
            if let Some(first) = keys(&answer).into_iter().next() {
                *counts.entry(first).or_insert(0) += 1;
            }
        }
    }
    counts
}

const WAYS: [(bool, Transport); 4] =
    [(true, Transport::Udp), (true, Transport::Tcp), (false, Transport::Udp), (false, Transport::Tcp)];

const HTTPS: u16 = rtype::HTTPS;

/// coredns/coredns #4083: a client that asks for A and then AAAA always got the same address first.
#[test]
fn the_first_record_does_not_depend_on_what_else_is_asked() {
    let two: Instances<'_> = &[("10.0.0.1", 80, 0, 10), ("10.0.0.2", 80, 0, 10)];
    let four: Instances<'_> =
        &[("10.1.0.1", 80, 0, 10), ("10.1.0.2", 80, 0, 10), ("10.1.0.3", 80, 0, 10), ("10.1.0.4", 80, 0, 10)];
    let server = server(&[("two", two), ("four", four)], Order::Weighted, 0);
    let (two, four) = ("two.service", "four.service");
    for pattern in [
        vec![(two, rtype::A)],
        vec![(two, rtype::A), (two, rtype::AAAA)],
        vec![(four, rtype::A), (four, rtype::AAAA), (four, HTTPS)],
        vec![(two, rtype::A), (four, rtype::A), (two, rtype::SRV), (four, rtype::SRV)],
        vec![
            (two, rtype::SRV),
            (two, rtype::A),
            (two, rtype::AAAA),
            (four, rtype::SRV),
            (four, HTTPS),
            (four, rtype::A),
        ],
    ] {
        for way in WAYS {
            for ((name, rtype), counts) in pattern.iter().zip(firsts(&server, &pattern, way)) {
                if matches!(*rtype, rtype::A | rtype::SRV) {
                    let two = [("10.0.0.1", 1.0), ("10.0.0.2", 1.0)];
                    let four = [("10.1.0.1", 1.0), ("10.1.0.2", 1.0), ("10.1.0.3", 1.0), ("10.1.0.4", 1.0)];
                    is_drawn(&counts, if name.starts_with("two") { &two } else { &four });
                }
            }
        }
    }
}

#[test]
fn the_first_record_is_drawn_by_weight_among_the_lowest_priority() {
    // Two ports at one address: it has the sum. One has no weight, one another priority.
    let some: Instances<'_> = &[
        ("10.0.0.9", 80, 1, 5),
        ("10.0.0.9", 81, 1, 15),
        ("10.0.0.10", 80, 1, 40),
        ("10.0.0.11", 80, 1, 0),
        ("10.0.0.1", 80, 2, 1000),
    ];
    let none: Instances<'_> = &[("10.1.0.1", 80, 0, 0), ("10.1.0.2", 80, 0, 0), ("10.1.0.3", 80, 0, 0)];
    let services = [("some", some), ("none", none)];
    let pattern = [
        ("some.service", rtype::A),
        ("some.service", rtype::SRV),
        ("none.service", rtype::A),
        ("_some._tcp.service", rtype::SRV),
        ("none.service", rtype::SRV),
    ];
    let by_weight = [("10.0.0.9", 20.0), ("10.0.0.10", 40.0), ("10.0.0.11", 0.0), ("10.0.0.1", 0.0)];
    let evenly = [("10.1.0.1", 1.0), ("10.1.0.2", 1.0), ("10.1.0.3", 1.0)];
    for max_answers in [0, 1, 2] {
        for way in WAYS {
            let counts = firsts(&server(&services, Order::Weighted, max_answers), &pattern, way);
            for (i, weights) in [&by_weight[..], &by_weight, &evenly, &by_weight, &evenly].into_iter().enumerate() {
                is_drawn(&counts[i], weights);
            }
            let counts = firsts(&server(&services, Order::Uniform, max_answers), &pattern, way);
            is_drawn(&counts[0], &[("10.0.0.9", 1.0), ("10.0.0.10", 1.0), ("10.0.0.11", 1.0)]);
            is_drawn(&counts[1], &[("10.0.0.9", 2.0), ("10.0.0.10", 1.0), ("10.0.0.11", 1.0)]);
            is_drawn(&counts[2], &evenly);
        }
    }
}

#[test]
fn max_answers_draws_on_without_replacement() {
    let instances: Instances<'_> =
        &[("10.0.0.1", 80, 0, 10), ("10.0.0.2", 80, 0, 20), ("10.0.0.3", 80, 0, 30), ("10.0.0.4", 80, 1, 99)];
    let server = server(&[("some", instances)], Order::Weighted, 2);
    let packet = question("some.service", rtype::A, true);
    for (is_fast, transport) in WAYS {
        let (mut random, mut second) = (fastrand::Rng::with_seed(3), std::collections::BTreeMap::new());
        for _ in 0..6_000 {
            let answer =
                if is_fast { server.fast(&packet, transport, &mut random) } else { server.ask(&packet, transport).0 };
            let keys = keys(&answer);
            assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
            *second.entry(keys[1].clone()).or_insert(0) += 1;
        }
        // 1: 2/6 * 10/40 + 3/6 * 10/30; 2: 1/6 * 20/50 + 3/6 * 20/30; 3: 1/6 * 30/50 + 2/6 * 30/40.
        is_drawn(&second, &[("10.0.0.1", 0.25), ("10.0.0.2", 0.4), ("10.0.0.3", 0.35)]);
    }
}

#[test]
fn a_fixed_order_is_by_address_and_port() {
    let instances: Instances<'_> = &[
        ("10.0.0.10", 80, 0, 1),
        ("10.0.0.9", 81, 0, 30),
        ("10.0.0.9", 80, 0, 40),
        ("10.0.0.100", 80, 0, 20),
        ("10.0.0.1", 80, 1, 1),
    ];
    let all = ["10.0.0.9", "10.0.0.10", "10.0.0.100", "10.0.0.1"];
    for max_answers in [0, 3] {
        let server = server(&[("some", instances)], Order::Fixed, max_answers);
        for (is_fast, transport) in WAYS {
            let mut random = fastrand::Rng::with_seed(9);
            for _ in 0..50 {
                let mut ask = |rtype| {
                    let packet = question("some.service", rtype, true);
                    keys(&if is_fast {
                        server.fast(&packet, transport, &mut random)
                    } else {
                        server.ask(&packet, transport).0
                    })
                };
                assert_eq!(ask(rtype::A), all[..if max_answers > 0 { max_answers } else { 4 }]);
                assert_eq!(ask(rtype::SRV), ["10.0.0.9", "10.0.0.9", "10.0.0.10", "10.0.0.100", "10.0.0.1"]);
            }
        }
    }
}

/// gliderlabs/docker-alpine and its like: musl does not ask again over TCP, and takes what is there.
#[test]
fn a_truncated_answer_has_what_fits_for_clients_without_edns_and_nothing_for_others() {
    let hosts: Vec<String> = (1..=200).map(|i| format!("10.0.0.{i}")).collect();
    let instances: Vec<_> = hosts.iter().map(|host| (host.as_str(), 80, 0, 10)).collect();
    let server = server(&[("crowd", &instances)], Order::Weighted, 0);
    for rtype in [rtype::A, rtype::SRV] {
        for is_fast in [true, false] {
            let mut random = fastrand::Rng::with_seed(5);
            let mut ask = |has_opt| {
                let packet = question("crowd.service", rtype, has_opt);
                let answer = if is_fast {
                    server.fast(&packet, Transport::Udp, &mut random)
                } else {
                    server.ask(&packet, Transport::Udp).0
                };
                assert!(answer.metadata.truncation);
                keys(&answer)
            };
            assert_eq!(ask(true), [""; 0]);
            let (one, other) = (ask(false), ask(false));
            assert!(one.len() >= if rtype == rtype::A { 29 } else { 9 }, "{one:?}");
            assert_ne!(one, other);
        }
    }
}
