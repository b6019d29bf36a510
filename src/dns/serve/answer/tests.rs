//! Answers of small zones, section by section.

use std::sync::Arc;

use super::*;
use crate::dns::message::writer::{Section, Writer};
use crate::model::{Endpoint, Host, Instance, Service};
use crate::zone::build::build;
use crate::zone::context::Context;
use crate::zone::writer::ZoneWriter;
use crate::zone::{Freshness, ZoneBuilder, Zones};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn name_of(wire: &[u8]) -> Name {
    Name::from_wire(wire).unwrap().0
}

fn zone(instances: u8) -> ZoneWriter {
    let origin = name("service");
    let mut writer = ZoneBuilder::new(origin.clone(), 30, 5).build();
    let instances = (0..instances)
        .map(|i| Endpoint { host: Host::V4([10, 0, 0, i].into()), port: 80 })
        .map(|endpoint| Instance::new(&endpoint.to_string(), endpoint))
        .collect();
    let service = Service { instances, ..Service::default() };
    writer.put("x/api", build(&Context::new(&origin, 5), "x/api", &service).unwrap().offers);
    writer.commit(1);
    writer.set_freshness(Freshness::Fresh);
    writer
}

fn ask(writer: &ZoneWriter, owner: &str, rtype: u16, check: impl FnOnce(Answer<'_>)) {
    let zones = Zones::new(vec![Arc::clone(writer.zone())]);
    let (tables, name) = (Tables::new(&zones), name(owner));
    let mut draws = Draws { random: fastrand::Rng::with_seed(1), most: &|_| usize::MAX };
    check(answer(&tables, Question { name: name.wire(), rtype }, &|_| true, &mut draws));
}

#[test]
fn a_positive_answer_has_addresses_and_no_authority() {
    ask(&zone(3), "api.x.service", rtype::SRV, |answer| {
        assert_eq!((answer.rcode, answer.authoritative, answer.answers.len()), (Rcode::NoError, true, 3));
        assert_eq!(answer.additionals.len(), 3);
        assert!(answer.authority.is_empty());
        // The address of the first record's target comes first.
        let target = name_of(srv_target(&answer.answers[0].rdata));
        assert_eq!(answer.additionals[0].owner, Owner::Name(target));
    });
}

#[test]
fn negative_answers_carry_the_apex_soa_with_the_lesser_ttl() {
    let zone = zone(1);
    for (owner, rtype, rcode) in [
        ("api.x.service", rtype::AAAA, Rcode::NoError),
        ("x.service", rtype::A, Rcode::NoError),
        ("nobody.service", rtype::A, Rcode::NxDomain),
        ("y.api.x.service", rtype::A, Rcode::NxDomain),
    ] {
        ask(&zone, owner, rtype, |answer| {
            assert_eq!((answer.rcode, answer.answers.len()), (rcode, 0), "{owner}");
            assert_eq!(answer.authority.len(), 1);
            assert_eq!(answer.authority[0].owner, Owner::Name(name("service")));
            assert_eq!(answer.authority[0].ttl, 5);
        });
    }
}

#[test]
fn rfc6672_2_2_a_name_that_a_dname_makes_too_long_is_yxdomain() {
    let mut zone = zone(1);
    let long = [b"\x3f".as_slice(), &[b'l'; 63]].concat();
    let record = |rdata: Vec<u8>| crate::zone::record::Record {
        owner: name("dn.service"),
        rtype: rtype::DNAME,
        ttl: 7,
        rdata: rdata.into(),
    };
    zone.put_static(vec![record([long.repeat(3).as_slice(), b"\x07service\0"].concat())]);
    zone.commit(2);
    ask(&zone, &format!("{}.dn.service", "x".repeat(60)), rtype::A, |answer| {
        assert_eq!((answer.rcode, answer.answers.len(), answer.authority.len()), (Rcode::YxDomain, 1, 0));
    });
    ask(&zone, "x.dn.service", rtype::A, |answer| {
        assert_eq!((answer.rcode, answer.answers.len()), (Rcode::NxDomain, 2));
        assert_eq!((answer.answers[1].rtype, answer.answers[1].ttl), (rtype::CNAME, 7));
    });
    // Its CNAME is the answer to who asks for one (NSD and Knot do the same).
    ask(&zone, "x.dn.service", rtype::CNAME, |answer| {
        assert_eq!((answer.rcode, answer.answers.len(), answer.authority.len()), (Rcode::NoError, 2, 0));
    });
}

#[test]
fn a_zone_that_was_never_read_is_servfail_and_never_nxdomain() {
    let mut zone = zone(1);
    zone.set_freshness(Freshness::Loading);
    ask(&zone, "nobody.service", rtype::A, |answer| {
        assert_eq!((answer.rcode, answer.extended), (Rcode::ServFail, Some(Ede::NotReady)));
        assert!(!answer.authoritative);
    });
    zone.set_freshness(Freshness::Stale);
    ask(&zone, "api.x.service", rtype::A, |answer| {
        assert_eq!((answer.rcode, answer.extended), (Rcode::NoError, Some(Ede::StaleAnswer)));
    });
}

#[test]
fn additionals_go_before_answers_do() {
    let zone = zone(10);
    let fit = |size, can_retry, cuts, check: &dyn Fn(usize, usize, bool)| {
        let owner = name("api.x.service");
        ask(&zone, "api.x.service", rtype::SRV, |answer| {
            let head = [&[0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], owner.wire(), &[0, 33, 0, 1]].concat();
            let mut writer = Writer::new(head, size);
            let truncated = answer.write(owner.wire(), &mut writer, Overflow { can_retry, cuts });
            check(writer.count(Section::Answer), writer.count(Section::Additional), truncated);
        });
    };
    fit(1232, true, true, &|answers, additionals, _| assert_eq!((answers, additionals), (10, 10)));
    fit(512, true, true, &|answers, additionals, truncated| {
        assert_eq!((answers, truncated), (10, false));
        assert!(additionals != 0 && additionals < 10, "{additionals}");
    });
    fit(300, true, true, &|answers, _, truncated| assert_eq!((answers, truncated), (0, true)));
    fit(300, true, false, &|answers, _, truncated| {
        assert!(truncated && (1..10).contains(&answers), "without OPT, what fits");
    });
    fit(300, false, true, &|answers, _, truncated| assert!(!truncated && (1..10).contains(&answers)));
}
