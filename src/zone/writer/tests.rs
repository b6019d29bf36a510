//! Tests of what names show and commits change.

use super::*;
use crate::zone::entry::RrSet;
use crate::zone::{Freshness, ZoneBuilder};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn offer(owner: &str, rank: Rank, last: u8) -> Offer {
    Offer { owner: name(owner), rank, sets: [RrSet::new(rtype::A, 5, vec![vec![10, 0, 0, last]])].into() }
}

fn writer() -> ZoneWriter {
    let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
    assert_eq!(writer.zone().freshness(), Freshness::Loading);
    writer.commit(100).unwrap();
    writer
}

fn shows(writer: &ZoneWriter, owner: &str) -> Option<Vec<u8>> {
    let live = writer.live();
    let entry = live.get(name(owner).wire())?;
    Some(entry.sets().flat_map(|set| set.iter()).map(|rdata| rdata[3]).collect())
}

#[test]
fn names_come_with_their_empty_non_terminals_and_go_with_them() {
    let mut writer = writer();
    writer.put("x/a", vec![offer("a.b.c.service", Rank::Real, 1)]);
    writer.put("x/d", vec![offer("d.c.service", Rank::Real, 2)]);
    writer.commit(101).unwrap();
    assert_eq!(shows(&writer, "c.service"), Some(vec![]));
    assert_eq!(shows(&writer, "b.c.service"), Some(vec![]));
    writer.put("x/a", vec![]);
    writer.commit(102).unwrap();
    assert_eq!(shows(&writer, "a.b.c.service"), None);
    assert_eq!(shows(&writer, "b.c.service"), None);
    assert_eq!(shows(&writer, "c.service"), Some(vec![]));
    writer.put("x/d", vec![]);
    writer.commit(103).unwrap();
    assert_eq!(shows(&writer, "c.service"), None);
    assert_eq!(writer.live().len(), 2, "the apex and its name server stay");
    assert_eq!(writer.slots.values().map(|slot| slot.below).sum::<u32>(), 1, "{:?}", writer.slots);
}

#[test]
fn a_name_under_a_service_keeps_its_own_records_when_that_goes() {
    let mut writer = writer();
    writer.put("a", vec![offer("a.service", Rank::Real, 1)]);
    writer.put("a/b", vec![offer("b.a.service", Rank::Real, 2)]);
    writer.commit(101);
    writer.put("a/b", vec![]);
    writer.commit(102);
    assert_eq!(shows(&writer, "a.service"), Some(vec![1]));
    assert_eq!(shows(&writer, "b.a.service"), None);
}

#[test]
fn a_commit_that_changes_nothing_moves_no_serial() {
    let mut writer = writer();
    writer.put("a", vec![offer("a.service", Rank::Real, 1)]);
    let first = writer.commit(200).unwrap();
    assert_eq!(first.serial, 200);
    assert_eq!(first.changes.len(), 2, "the name and the apex");
    writer.put("a", vec![offer("a.service", Rank::Real, 1)]);
    assert!(writer.commit(300).is_none());
    writer.put("a", vec![offer("a.service", Rank::Real, 2)]);
    assert_eq!(writer.commit(200).unwrap().serial, 201);
}

#[test]
fn a_shared_name_stays_until_the_last_who_offers_it_goes() {
    let mut writer = writer();
    for source in ["a", "b"] {
        writer.put(source, vec![offer("10-0-0-1.addr.service", Rank::Derived, 1)]);
    }
    writer.commit(101);
    writer.put("a", vec![]);
    assert!(writer.commit(102).is_none(), "the other still offers the same");
    writer.put("b", vec![]);
    writer.commit(103).unwrap();
    assert_eq!(shows(&writer, "10-0-0-1.addr.service"), None);
}

#[test]
fn a_real_znode_hides_what_is_derived_and_the_file_goes_before_both() {
    let mut writer = writer();
    writer.put("alias", vec![offer("api-x.service", Rank::Derived, 1)]);
    writer.commit(101);
    assert_eq!(shows(&writer, "api-x.service"), Some(vec![1]));
    writer.put("real", vec![offer("api-x.service", Rank::Real, 2)]);
    writer.commit(102);
    assert_eq!(shows(&writer, "api-x.service"), Some(vec![2]));
    let fixed = |last| Record { owner: name("api-x.service"), rtype: rtype::A, ttl: 5, rdata: [10, 0, 0, last].into() };
    writer.put_static(vec![fixed(3)]);
    writer.commit(103);
    assert_eq!(shows(&writer, "api-x.service"), Some(vec![3]));
    writer.put_static(vec![]);
    writer.put("real", vec![]);
    writer.commit(104);
    assert_eq!(shows(&writer, "api-x.service"), Some(vec![1]));
}

fn srv(owner: &str, target: &str) -> Offer {
    let rdata = [&[0; 6], name(target).wire()].concat();
    Offer { owner: name(owner), rank: Rank::Real, sets: [RrSet::new(rtype::SRV, 5, vec![rdata])].into() }
}

/// The last octets of the addresses packed with the SRV records of `owner`.
fn glue(writer: &ZoneWriter, owner: &str) -> Vec<u8> {
    let live = writer.live();
    let set = live.get(name(owner).wire()).and_then(|entry| entry.set(rtype::SRV));
    set.into_iter().flat_map(|set| set.additionals.iter()).flat_map(|glue| glue.v4.iter().map(|v4| v4[3])).collect()
}

#[test]
fn addresses_packed_with_srv_records_follow_their_host() {
    let mut writer = writer();
    writer.put("a", vec![srv("a.service", "host.service")]);
    writer.put("b", vec![srv("b.service", "10-0-0-9.addr.service")]);
    writer.put("c", vec![srv("c.service", "10-0-0-8.Addr.SERVICE")]);
    writer.commit(101);
    assert_eq!((glue(&writer, "a.service"), glue(&writer, "b.service")), (vec![], vec![9]));
    assert_eq!(glue(&writer, "c.service"), [8], "in whatever case the host is written");
    writer.put("host", vec![offer("host.service", Rank::Real, 1)]);
    writer.commit(102);
    assert_eq!(glue(&writer, "a.service"), [1]);
    writer.put("host", vec![offer("host.service", Rank::Real, 2)]);
    writer.commit(103);
    assert_eq!(glue(&writer, "a.service"), [2]);
    writer.put("a", vec![]);
    writer.commit(104);
    assert!(writer.dependents.is_empty() && writer.targets.is_empty());

    let fixed = Record { owner: name("10-0-0-9.addr.service"), rtype: rtype::A, ttl: 5, rdata: [10, 0, 0, 7].into() };
    writer.put_static(vec![fixed]);
    writer.commit(105);
    assert_eq!(glue(&writer, "b.service"), [7], "the master file goes before the name");
    writer.put_static(vec![]);
    writer.commit(106);
    assert_eq!(glue(&writer, "b.service"), [9]);
}

#[test]
fn the_files_serial_never_takes_the_zone_back() {
    let mut writer = writer();
    let rdata = [b"\x02ns\x07service\0\x01h\x07service\0".as_slice(), &[0, 0, 0, 7], &[0; 16]].concat();
    writer.put_static(vec![Record { owner: name("service"), rtype: rtype::SOA, ttl: 60, rdata: rdata.into() }]);
    assert_eq!(writer.commit(50).unwrap().serial, 101);
    assert_eq!(writer.zone().serial(), 101);
}

/// A service with these instances (last octet, time to live) and the addresses that they name.
fn service(path: &str, instances: &[(u8, u32)]) -> crate::zone::offer::Offers {
    use crate::model::{Endpoint, Instance, Service};
    use crate::zone::build::build;
    use crate::zone::context::Context;
    let instances = instances.iter().map(|&(last, ttl)| {
        let endpoint = Endpoint { host: std::net::IpAddr::from([10, 0, 0, last]).into(), port: 80 };
        Instance { ttl: Some(ttl), ..Instance::new(&endpoint.to_string(), endpoint) }
    });
    let service = Service { instances: instances.collect(), ..Service::default() };
    build(&Context::new(&name("service"), 5), path, &service).unwrap().offers
}

/// Every record of the zone, and how many names it says it has.
fn all(writer: &ZoneWriter) -> (BTreeSet<Record>, usize) {
    let live = writer.live();
    let entries: Vec<Packed> = live.entries().into_iter().collect();
    for entry in &entries {
        let unpacked = |entry: &Packed| entry.unpack();
        assert_eq!(live.get(entry.name()).map(unpacked), Some(entry.unpack()), "asked for, as listed");
    }
    assert_eq!(entries.len(), live.len());
    (entries.iter().flat_map(Packed::records).filter(|record| record.rtype != rtype::SOA).collect(), live.len())
}

/// Records that secondaries get, without the SOA.
fn transferred(writer: &ZoneWriter) -> BTreeSet<Record> {
    let (live, zone) = (writer.live(), writer.zone());
    let transferred = zone.transferred();
    let records = live.entries().into_iter().flat_map(|entry| transferred.records(zone.origin(), &entry));
    records.filter(|record| record.rtype != rtype::SOA).collect()
}

#[test]
fn names_of_addresses_and_instances_are_made_of_what_is_there() {
    let mut writer = writer();
    writer.put("a", service("a", &[(1, 9), (2, 9)]));
    writer.put("b", service("b", &[(1, 7)]));
    writer.commit(101).unwrap();
    let ttl = |writer: &ZoneWriter, owner: &str, rtype: u16| {
        let live = writer.live();
        Some(live.get(name(owner).wire())?.set(rtype)?.ttl)
    };
    assert_eq!(ttl(&writer, "10-0-0-1.addr.service", rtype::A), Some(7), "the least of two");
    assert_eq!(ttl(&writer, "10-0-0-2.addr.service", rtype::A), Some(9));
    assert_eq!(ttl(&writer, "10-0-0-3.addr.service", rtype::A), None);
    assert_eq!(shows(&writer, "addr.service"), Some(vec![]));
    assert_eq!(ttl(&writer, "10\\.0\\.0\\.2:80._a._tcp.service", rtype::TXT), Some(9));
    assert_eq!(glue(&writer, "10\\.0\\.0\\.2:80._a._tcp.service"), [2]);
    assert_eq!(ttl(&writer, "10\\.0\\.0\\.2:80._b._tcp.service", rtype::SRV), None);
    writer.put("b", vec![]);
    writer.commit(102).unwrap();
    assert_eq!(ttl(&writer, "10-0-0-1.addr.service", rtype::A), Some(9));
    writer.put("a", vec![]);
    writer.commit(103).unwrap();
    assert_eq!((shows(&writer, "addr.service"), writer.live().len()), (None, 2));
    assert!(writer.addresses.is_empty() && writer.slots_of_instances.is_empty());
}

#[test]
fn what_somebody_offers_at_a_name_that_is_made_is_united_with_it() {
    let mut writer = writer();
    let (address, instance) = ("10-0-0-1.addr.service", "10\\.0\\.0\\.1:80._a._tcp.service");
    writer.put("a", service("a", &[(1, 9)]));
    writer.put("x", vec![offer(address, Rank::Derived, 77), offer(instance, Rank::Derived, 78)]);
    writer.commit(101).unwrap();
    assert_eq!(shows(&writer, address), Some(vec![1, 77]));
    let types = |writer: &ZoneWriter| {
        let live = writer.live();
        live.get(name(instance).wire()).map(|entry| entry.sets().map(|set| set.rtype).collect::<Vec<_>>())
    };
    assert_eq!(types(&writer), Some(vec![rtype::A, rtype::TXT, rtype::SRV]));
    assert_eq!(writer.shadowed.len(), 2);
    all(&writer);
    // A real znode hides what is made, and what is made shows again when it goes.
    writer.put("x", vec![offer(address, Rank::Real, 79)]);
    writer.commit(102).unwrap();
    assert_eq!((shows(&writer, address), types(&writer)), (Some(vec![79]), Some(vec![rtype::TXT, rtype::SRV])));
    writer.put("a", vec![]);
    writer.commit(103).unwrap();
    assert_eq!((shows(&writer, address), types(&writer)), (Some(vec![79]), None));
    writer.put("a", service("a", &[(1, 9)]));
    writer.put("x", vec![]);
    writer.commit(104).unwrap();
    assert_eq!(shows(&writer, address), Some(vec![1]));
    assert!(writer.shadowed.is_empty() && writer.slots_of_addresses.is_empty());
    all(&writer);
}

/// Whatever came before, a zone is what it would be had it been made at once of what is offered now; and the
/// differences lead there, whatever of it secondaries get.
#[test]
fn a_zone_does_not_depend_on_how_it_came_to_be() {
    const PATHS: [&str; 7] = ["a", "b", "a/b", "x_y", "x-y", "addr/10-0-0-1", "_tcp/_a/10.0.0.1:80"];
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut writer =
            ZoneBuilder::new(name("service"), 5, 5).journal(crate::zone::journal::Bounds::SECONDARIES).build();
        let live = config::Live { transfer_browse: seed % 2 == 0, ..config::Live::default() };
        writer.set_live(live);
        writer.commit(1).unwrap();
        let (mut before, mut held) = (all(&writer).0, transferred(&writer));
        let mut offered = std::collections::BTreeMap::new();
        let mut fixed = Vec::new();
        let mut known: Vec<Name> = Vec::new();
        if rng.bool() {
            writer.set_freshness(Freshness::Fresh);
        }
        for round in 0..20 {
            for _ in 0..rng.usize(..4) {
                let path = PATHS[rng.usize(..PATHS.len())];
                let instances: Vec<(u8, u32)> = (0..rng.usize(..4)).map(|_| (rng.u8(..4), rng.u32(4..6))).collect();
                let offers = if rng.u8(..4) == 0 { Vec::new().into() } else { service(path, &instances) };
                writer.put(path, offers.clone());
                offered.insert(path, offers);
            }
            if rng.u8(..5) == 0 {
                let owners =
                    ["10-0-0-1.addr.service", "10\\.0\\.0\\.2:80._a._tcp.service", "_a._tcp.service", "a.service"];
                let record = |rng: &mut fastrand::Rng| Record {
                    owner: name(owners[rng.usize(..4)]),
                    rtype: [rtype::A, rtype::TXT, rtype::PTR][rng.usize(..3)],
                    ttl: 5,
                    rdata: [3, 1, 2, 3].into(),
                };
                fixed = (0..rng.usize(..3)).map(|_| record(&mut rng)).collect();
                writer.put_static(fixed.clone());
            }
            if rng.u8(..5) == 0 {
                let names =
                    ["a.service", "y.x.service", "x.service", "_a._tcp.service", "_nodata.a.service", "x-y.service"];
                known = names.into_iter().filter(|_| rng.bool()).map(name).collect();
                writer.source(SourceId::OWN).know(known.clone());
            }
            if rng.u8(..3) == 0 {
                writer.prepare();
                continue;
            }
            let serial = writer.zone().serial();
            let committed = writer.commit(2 + round).is_some();
            let (now, names) = all(&writer);
            let mut anew = ZoneBuilder::new(name("service"), 5, 5).build();
            for (path, offers) in &offered {
                anew.put(path, offers.clone());
            }
            anew.put_static(fixed.clone());
            anew.source(SourceId::OWN).know(known.clone());
            anew.commit(1).unwrap();
            assert_eq!((&now, names), (&all(&anew).0, anew.live().len()), "seed {seed}, round {round}");
            assert!(committed || now == before, "seed {seed}, round {round}: a change without a serial");
            if let Some(difference) = writer.zone().difference(serial).filter(|_| committed) {
                for record in &difference.removed {
                    assert!(held.remove(record), "seed {seed}, round {round}: {record:?} was not there");
                }
                for record in difference.added {
                    assert!(held.insert(record.clone()), "seed {seed}, round {round}: {record:?} was there");
                }
                assert_eq!(held, transferred(&writer), "seed {seed}, round {round}");
            }
            (before, held) = (now, transferred(&writer));
        }
    }
}
