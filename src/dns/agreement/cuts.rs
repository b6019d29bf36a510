//! A delegation, a DNAME and a wildcard make only the names that they concern slow, and both ways still agree on all.

use super::*;
use crate::zone::writer::ZoneWriter;

/// Names that none of them concerns: the hot path answers for them, whatever else is in the zone.
const ORDINARY: [&str; 12] = [
    "service",
    "a.service",
    "b.a.service",
    "API_x.service",
    "_a._tcp.service",
    "_tcp.service",
    "10.0.0.1:80._a._tcp.service",
    "10-0-0-1.addr.service",
    "nobody.service",
    "x.nobody.service",
    "y.service",
    "q.w.service",
];

/// Names that each concerns: those of the delegation, of the DNAME, and of the wildcard.
const CONCERNED: [&[&str]; 3] = [
    &["sub.service", "x.sub.service", "ns.sub.service", "nope.sub.service", "_x._tcp.sub.service"],
    &["b.y.service", "z.y.service", "_b._tcp.y.service"],
    &["nope.w.service", "a.nope.w.service"],
];

fn records(has: [bool; 3]) -> Vec<Record> {
    let record = |owner: &str, rtype, rdata: &[u8]| Record {
        owner: Name::parse(owner).unwrap(),
        rtype,
        ttl: 300,
        rdata: rdata.into(),
    };
    let all = [
        vec![
            record("sub.service", rtype::NS, b"\x02ns\x03sub\x07service\0"),
            record("ns.sub.service", rtype::A, &[192, 0, 2, 1]),
        ],
        vec![record("y.service", rtype::DNAME, b"\x01a\x07service\0")],
        vec![record("*.w.service", rtype::A, &[192, 0, 2, 2])],
    ];
    all.into_iter().zip(has).filter(|(_, has)| *has).flat_map(|(records, _)| records).collect()
}

fn put(writer: &mut ZoneWriter, path: &str, last: u8) {
    let instances = vec![instance_at(Host::V4([10, 0, 0, last].into()), 80)];
    let service = Service { path: path.into(), instances, ..Service::default() };
    let origin = writer.zone().origin().clone();
    writer.put(path, build(&Context::new(&origin, 5), path, &service).unwrap().offers);
}

fn query(name: &str, rtype: u16) -> Vec<u8> {
    let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(Name::parse(name).unwrap().wire());
    query.extend_from_slice(&rtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    query
}

#[test]
fn a_delegation_a_dname_and_a_wildcard_make_only_the_names_they_concern_slow() {
    let mut rng = fastrand::Rng::with_seed(25);
    let (mut fast, mut slow) = (0, 0);
    let mut writer =
        ZoneBuilder::new(Name::parse("service").unwrap(), 30, 5).addresses(vec![[127, 0, 0, 1].into()]).build();
    writer.set_freshness(Freshness::Fresh);
    for round in 0..40 {
        for path in ["a", "a/b", "API_x", "sub/x", "sub", "y/b", "y", "w/q"] {
            // As they were, or moved, whether or not they lie below a cut.
            if round == 0 || rng.u8(..4) == 0 {
                put(&mut writer, path, if path == "a" { 1 } else { rng.u8(2..9) });
            }
        }
        let has = [rng.bool(), rng.bool(), rng.bool()];
        writer.put_static(records(has));
        writer.commit(round + 1);
        let zones = Zones::new(vec![Arc::clone(writer.zone())]);
        let front = Arc::new(Gate::new(zones.clone(), Policy::new(Secrets::new(SECRET))));
        let counters = Metrics::default().counters(Transport::Udp);
        let service = serve::Service::new(zones.clone(), Arc::clone(&front), counters, None);
        let server = Server { zones, front, service };
        let is_fast = |name: &str, rtype, transport| compare(&server, &query(name, rtype), transport).is_some();
        for rtype in [rtype::A, rtype::AAAA, rtype::SRV, rtype::TXT] {
            for transport in [Transport::Udp, Transport::Tcp] {
                for name in ORDINARY {
                    assert!(is_fast(name, rtype, transport), "{name} {rtype} beside {has:?}");
                    fast += 1;
                }
                for (names, has) in CONCERNED.iter().zip(has) {
                    for name in *names {
                        assert_eq!(is_fast(name, rtype, transport), !has, "{name} {rtype} in round {round}");
                        slow += usize::from(has);
                    }
                }
            }
        }
        // What is below a cut is in transfers still, as far as the file has it.
        let names = writer.live().entries().into_iter().filter(|entry| entry.name().ends_with(b"\x03sub\x07service\0"));
        assert!(!has[0] || names.count() == 2, "the delegation and its glue");
    }
    assert!(fast > 3000 && slow > 500, "{fast} fast, {slow} slow");
}
