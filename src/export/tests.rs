//! Every form against a golden file; the zone form also through the program's own reader.

use super::*;
use crate::model::{Endpoint, Host, Instance, Service};
use crate::zone::build::build;
use crate::zone::context::Context;
use crate::zone::name::Name;
use crate::zone::record::{Record, rtype};
use crate::zone::writer::ZoneWriter;
use crate::zone::{Freshness, ZoneBuilder, file};

fn zone() -> ZoneWriter {
    let origin = Name::parse("service").unwrap();
    let mut writer = ZoneBuilder::new(origin.clone(), 5, 5).addresses(vec![[192, 0, 2, 53].into()]).build();
    writer.set_freshness(Freshness::Fresh);
    let record = |owner: &str, rtype, rdata: &[u8]| {
        let owner = Name::parse(owner).unwrap();
        Record { owner, rtype, ttl: 60, rdata: rdata.into() }
    };
    writer.put_static(vec![
        record("note.service", rtype::TXT, b"\x0ba \"b\" \\ \xc3\xa4;\0"),
        record("odd.service", 65_280, &[1, 2, 255]),
        record("mail.service", rtype::MX, b"\0\x0a\x04mail\x07example\0"),
    ]);
    let endpoint = |host| Endpoint { host, port: 80 };
    let mut one = Instance::new("10.0.0.1:80", endpoint(Host::V4([10, 0, 0, 1].into())));
    one.tags = vec!["canary".into()];
    let two = Instance::new("[2001:db8::1]:80", endpoint(Host::V6("2001:db8::1".parse().unwrap())));
    let alone = Instance::new("a.example:80", endpoint(Host::Name("a.example".into())));
    for (path, instances) in [("api_x", vec![one, two]), ("staging/alone", vec![alone])] {
        let service = Service { instances, ..Service::default() };
        writer.put(path, build(&Context::new(&origin, 5), path, &service).unwrap().offers);
    }
    writer.commit(100);
    writer
}

fn check(form: Form, golden: &str) {
    let rendered = render(&Snapshot::take(zone().zone()), form).unwrap();
    assert!(rendered == golden, "{form:?} is now:\n{rendered}");
}

#[test]
fn the_zone_form_is_the_golden_one() {
    check(Form::Zone, include_str!("../../tests/golden/service.zone"));
}

#[test]
fn the_json_form_is_the_golden_one() {
    check(Form::Json, include_str!("../../tests/golden/service.json"));
}

#[test]
fn the_hosts_form_is_the_golden_one() {
    check(Form::Hosts, include_str!("../../tests/golden/service.hosts"));
}

#[test]
fn what_is_written_is_read_back_record_by_record() {
    let writer = zone();
    let path = std::env::temp_dir().join(format!("zonekeeper-export-{}.zone", std::process::id()));
    std::fs::write(&path, render(&Snapshot::take(writer.zone()), Form::Zone).unwrap()).unwrap();
    let parsed = file::read(&path, writer.zone().origin());
    std::fs::remove_file(&path).unwrap();
    let mut read = parsed.unwrap().records;
    let mut held: Vec<Record> = writer.live().entries().into_iter().flat_map(|entry| entry.records()).collect();
    read.sort();
    held.sort();
    assert_eq!(read, held);
    assert!(held.iter().all(|record| record.rtype != rtype::CNAME), "a CNAME cannot stand beside SRV");
}
