//! Tests of the names that a service puts into a zone.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Endpoint, Host, Instance, Protocol, State};
use crate::zone::context::{KnownHosts, Resolved};
use crate::zone::entry::RrSet;
use crate::zone::instances;
use crate::zone::offer::Offer;
use crate::zone::records::config::{Config, UnknownHost};
use crate::zone::synthesized;
use crate::zone::unknown;

fn instance(host: Host, port: u16) -> Instance {
    let endpoint = Endpoint { host, port };
    Instance::new(&endpoint.to_string(), endpoint)
}

fn v4(last: u8, port: u16) -> Instance {
    instance(Host::V4([192, 168, 0, last].into()), port)
}

fn host(name: &str) -> Instance {
    instance(Host::Name(name.into()), 80)
}

fn service(instances: Vec<Instance>) -> Service {
    Service { instances, ..Service::default() }
}

fn origin() -> Name {
    Name::parse("service").unwrap()
}

type Shown = BTreeMap<String, Vec<(u16, u32, usize)>>;

/// All offers, those included that would be made on demand.
fn offers(built: &Built) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut derived = |owner, sets| offers.push(Offer { owner, rank: Rank::Derived, sets });
    for &(address, ttl) in &built.offers.addresses {
        derived(address::name(&origin(), address).unwrap(), [synthesized::address_set(address, ttl)].into());
    }
    for offer in &built.offers.names {
        for one in offer.sets.iter().filter(|set| set.rtype == instances::TYPE).flat_map(RrSet::iter) {
            let one = instances::Instance::read(one).unwrap();
            derived(offer.owner.child(one.label).unwrap(), synthesized::instance_sets([one].into_iter()).unwrap());
        }
        let sets = offer.sets.iter().filter(|set| set.rtype != instances::TYPE).cloned().collect();
        derived(offer.owner.clone(), sets);
    }
    for (offer, own) in offers.iter_mut().filter_map(|offer| {
        let own = built.offers.names.iter().find(|own| own.owner == offer.owner)?;
        Some((offer, own))
    }) {
        offer.rank = own.rank;
    }
    offers
}

/// Owners, each with type, TTL and number of records of its sets.
fn shown(built: &Built) -> Shown {
    let sets = |offer: &Offer| offer.sets.iter().map(|set| (set.rtype, set.ttl, set.len())).collect();
    offers(built).iter().map(|offer| (offer.owner.to_string(), sets(offer))).collect()
}

fn built(path: &str, service: &Service) -> Shown {
    shown(&build(&Context::new(&origin(), 5), path, service).unwrap())
}

fn rdata(built: &Built, owner: &str, rtype: u16) -> Vec<Vec<u8>> {
    let offers = offers(built);
    let offer = offers.iter().find(|offer| offer.owner.to_string() == owner);
    let set = offer.and_then(|offer| offer.sets.iter().find(|set| set.rtype == rtype));
    set.into_iter().flat_map(RrSet::iter).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_service_has_all_its_names() {
    let names = built("staging/API_x", &service(vec![v4(42, 8080), v4(43, 8080)]));
    let of = |names: &Shown| names.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names["api_x.staging.service."], [(rtype::A, 5, 2), (rtype::SRV, 5, 2)]);
    assert_eq!(names["api-x.staging.service."], names["api_x.staging.service."]);
    assert_eq!(names["_api_x._tcp.staging.service."], [(rtype::PTR, 5, 2), (rtype::SRV, 5, 2)]);
    assert_eq!(names["192\\.168\\.0\\.42:8080._api_x._tcp.staging.service."], [(rtype::TXT, 5, 1), (rtype::SRV, 5, 1)]);
    assert_eq!(names["_services._dns-sd._udp.staging.service."], [(rtype::PTR, 5, 1)]);
    assert_eq!(names["192-168-0-42.addr.service."], [(rtype::A, 5, 1)]);
    assert_eq!(names.len(), 8, "{:?}", of(&names));
}

#[test]
fn two_ports_of_one_host_are_two_srv_and_one_address() {
    let names = built("a", &service(vec![v4(42, 1), v4(42, 2)]));
    assert_eq!(names["a.service."], [(rtype::A, 5, 1), (rtype::SRV, 5, 2)]);
}

#[test]
fn instances_that_are_not_up_leave_and_the_name_stays() {
    let mut drained = v4(42, 1);
    drained.state = State::Drain;
    drained.tags = vec!["canary".into()];
    assert_eq!(
        built("a", &service(vec![drained])).into_iter().collect::<Vec<_>>(),
        [("_a._tcp.service.".to_owned(), vec![]), ("a.service.".to_owned(), vec![])]
    );
}

#[test]
fn ipv6_targets_are_32_digits_and_names_are_their_own_target() {
    let v6 = instance(Host::V6("2001:db8::1".parse().unwrap()), 1);
    let names = built("a", &service(vec![v6, host("ec2-1.compute.amazonaws.com")]));
    assert_eq!(names["a.service."], [(rtype::AAAA, 5, 1), (rtype::SRV, 5, 2)]);
    assert_eq!(names["20010db8000000000000000000000001.addr.service."], [(rtype::AAAA, 5, 1)]);
    assert!(!names.keys().any(|name| name.starts_with("ec2-1.")));
}

#[test]
fn what_an_instance_says_goes_before_what_its_service_says() {
    let mut own = v4(42, 1);
    (own.weight, own.ttl) = (Some(7), Some(3));
    let mut service = service(vec![own, v4(43, 1)]);
    (service.defaults.weight, service.defaults.ttl, service.defaults.priority) = (Some(1), Some(60), Some(2));
    let offers = build(&Context::new(&origin(), 5), "a", &service).unwrap().offers;
    let offer = offers.names.iter().find(|offer| offer.rank == Rank::Real).unwrap();
    let srv = offer.sets.iter().find(|set| set.rtype == rtype::SRV).unwrap();
    assert_eq!(srv.ttl, 3, "one set, one time to live: the least");
    let heads: Vec<_> = srv.iter().map(|rdata| rdata[..6].to_vec()).collect();
    assert_eq!(heads, [[0, 2, 0, 1, 0, 1], [0, 2, 0, 7, 0, 1]]);
}

#[test]
fn dots_that_are_borders_make_more_names_with_tags_and_ports_and_a_path_goes_before_them() {
    let mut one = v4(42, 80);
    one.tags = vec!["1-0-0".into()];
    one.ports = vec![("tri".into(), one.endpoint.clone())];
    let dotted = Service { is_dotted: true, ..service(vec![one]) };
    let origin = origin();
    let context = Context::new(&origin, 5);
    let built = build(&context, "com.acme.Foo", &dotted).unwrap();
    let rank = |built: &Built, name: &str| built.rank_at(&origin, &Name::parse(name).unwrap());
    for name in ["com.acme.foo", "foo.acme.com", "com-acme-foo"] {
        for front in ["", "1-0-0.", "_tri._tcp.", "_1-0-0._tcp."] {
            let name = format!("{front}{name}.service");
            assert_eq!(rank(&built, &name), Some(Rank::Alias), "{name}");
        }
    }
    assert_eq!(rank(&built, "foo.service"), None, "there is no bare name of a class");
    assert_eq!(rank(&built, "_tri._tcp.1-0-0.com.acme.foo.service"), None, "of few tags each");
    let nested = build(&context, "com/acme/Foo", &service(vec![v4(43, 80)])).unwrap();
    assert!(rank(&nested, "foo.acme.com.service") > rank(&built, "foo.acme.com.service"));
    let plain = build(&context, "com.acme.Foo", &service(vec![v4(43, 80)])).unwrap();
    assert_eq!(rank(&plain, "foo.acme.com.service"), None);
}

#[test]
fn a_name_that_needs_escapes_has_its_tags_roles_and_ports_at_the_host_name_as_well() {
    let mut one = v4(42, 80);
    one.tags = vec!["leader".into()];
    one.ports = vec![("api".into(), one.endpoint.clone())];
    let of = Service { roles: vec!["leader".into(), "replica".into()], ..service(vec![one]) };
    let names = built("nifi/Cluster Coordinator", &of);
    for owner in ["cluster\\032coordinator.nifi.service.", "cluster-coordinator.nifi.service."] {
        assert_eq!(names[&format!("leader.{owner}")], [(rtype::A, 5, 1), (rtype::SRV, 5, 1)], "{owner}");
        assert_eq!(names[&format!("replica.{owner}")], [], "{owner}");
        assert_eq!(names[&format!("_api._tcp.{owner}")], [(rtype::SRV, 5, 1)], "{owner}");
    }
    // Where everybody can ask for the name itself, another spelling has its addresses and ports alone.
    let names = built("api_x", &of);
    assert!(names.contains_key("leader.api_x.service.") && names.contains_key("api-x.service."));
    assert!(!names.contains_key("leader.api-x.service."));
}

#[test]
fn tags_and_named_ports_are_names_below_the_services_own() {
    let mut tagged = v4(42, 8080);
    tagged.tags = vec!["canary".into(), "V2".into(), "*".into()];
    tagged.ports = vec![
        ("http".into(), Endpoint { host: tagged.endpoint.host.clone(), port: 80 }),
        ("admin".into(), Endpoint { host: Host::V4([10, 0, 0, 9].into()), port: 81 }),
    ];
    let mut udp = v4(43, 8080);
    udp.protocol = Protocol::Udp;
    udp.ports = vec![("http".into(), Endpoint { host: udp.endpoint.host.clone(), port: 80 })];
    let service = service(vec![tagged, udp]);
    let names = built("a", &service);
    for owner in ["canary.a.service.", "v2.a.service.", "v2.canary.a.service.", "canary.v2.a.service."] {
        assert_eq!(names[owner], [(rtype::A, 5, 1), (rtype::SRV, 5, 1)], "{owner}");
    }
    assert_eq!(names["_http._tcp.a.service."], [(rtype::SRV, 5, 1)]);
    assert_eq!(names["_http._udp.a.service."], [(rtype::SRV, 5, 1)]);
    assert_eq!(names["10-0-0-9.addr.service."], [(rtype::A, 5, 1)], "a port elsewhere has its target, too");
    let remarks = build(&Context::new(&origin(), 5), "a", &service).unwrap().remarks;
    assert_eq!(remarks, ["the tag `*` of 192.168.0.42:8080 makes no name"]);
}

#[test]
fn names_of_roles_exist_while_no_instance_has_one() {
    let roles = || vec!["leader".into(), "replica".into()];
    let mut replica = v4(42, 8080);
    replica.tags = vec!["replica".into(), "az-a".into()];
    let names = built("pg/a", &Service { roles: roles(), ..service(vec![replica]) });
    assert_eq!(names["leader.a.pg.service."], [], "known, and nothing is there");
    assert_eq!(names["replica.a.pg.service."], [(rtype::A, 5, 1), (rtype::SRV, 5, 1)]);
    assert!(!names.contains_key("leader.replica.a.pg.service."), "combinations are of instances");
    assert_eq!(names["_leader._tcp.a.pg.service."], []);
    assert_eq!(names["_replica._tcp.a.pg.service."], [(rtype::SRV, 5, 1)]);
    let names = built("a", &Service { roles: roles(), ..service(Vec::new()) });
    assert_eq!((&names["leader.a.service."], &names["replica.a.service."]), (&vec![], &vec![]));
    let dotted = Service { roles: roles(), is_dotted: true, ..service(Vec::new()) };
    assert_eq!(built("com.acme.Foo", &dotted)["leader.com.acme.foo.service."], [], "in each spelling");
}

#[test]
fn tags_have_names_that_begin_with_an_underscore_for_those_who_look_srv_up_at_nothing_else() {
    let mut one = v4(42, 8080);
    one.tags = vec!["canary".into(), "http".into()];
    one.ports = vec![("http".into(), Endpoint { host: one.endpoint.host.clone(), port: 80 })];
    let mut two = v4(43, 8080);
    (two.tags, two.protocol) = (vec!["canary".into()], Protocol::Udp);
    let mut three = v4(44, 0);
    three.tags = vec!["canary".into(), "bare".into()];
    let members = vec![one, two, three];
    let names = built("a", &service(members.clone()));
    assert_eq!(names["canary.a.service."], [(rtype::A, 5, 3), (rtype::SRV, 5, 2)]);
    for owner in ["_canary._tcp.a.service.", "_canary._udp.a.service.", "_http._tcp.canary.a.service."] {
        assert_eq!(names[owner], [(rtype::SRV, 5, 1)], "{owner}");
    }
    let ports = build(&Context::new(&origin(), 5), "a", &service(members)).unwrap();
    let of_port = rdata(&ports, "_http._tcp.a.service.", rtype::SRV);
    assert_eq!((of_port.len(), &of_port[0][4..6]), (1, &[0, 80][..]), "a port goes before a tag of its name");
    assert!(!names.contains_key("_bare._tcp.a.service."), "without a port there is nothing to look up");
    assert!(!names.contains_key("_http._tcp.http.canary.a.service."), "combinations have none");
}

#[test]
fn txt_shows_what_the_zone_lists() {
    let mut one = v4(42, 1);
    one.metadata = vec![("pid".into(), "42".into()), ("version".into(), "7".into())];
    let mut service = service(vec![one]);
    service.defaults.metadata = vec![("owner".into(), "web".into()), ("secret".into(), "x".into())];
    let (origin, txt) = (origin(), vec!["owner".to_owned(), "version".to_owned()]);
    let built =
        build(&Context { names: &Config { txt, ..Config::default() }, ..Context::new(&origin, 5) }, "a", &service)
            .unwrap();
    assert_eq!(rdata(&built, "a.service.", rtype::TXT), [b"\x09owner=web"]);
    assert_eq!(rdata(&built, "192\\.168\\.0\\.42:1._a._tcp.service.", rtype::TXT), [b"\x09version=7"]);
    assert!(built.remarks.is_empty());
}

#[test]
fn hosts_of_one_label_are_completed_or_stand_below_addr() {
    let (origin, service) = (origin(), service(vec![host("Server1")]));
    let mut hosts = KnownHosts::new();
    hosts.insert("server1".into(), Resolved { addresses: vec![[10, 0, 0, 1].into()], ttl: 3 });
    let alone = build(&Context { hosts: &hosts, ..Context::new(&origin, 5) }, "a", &service).unwrap();
    assert_eq!(shown(&alone)["server1.addr.service."], [(rtype::A, 3, 1)]);
    let unknown = shown(&build(&Context::new(&origin, 5), "a", &service).unwrap());
    assert_eq!(unknown["server1.addr.service."], [(unknown::TYPE, 0, 1)]);
    assert_eq!(unknown["a.service."], [(rtype::SRV, 5, 1), (unknown::TYPE, 0, 1)]);
    hosts.insert("server1".into(), Resolved { addresses: vec![], ttl: 3 });
    let none = shown(&build(&Context { hosts: &hosts, ..Context::new(&origin, 5) }, "a", &service).unwrap());
    assert_eq!((&none["server1.addr.service."], &none["a.service."]), (&vec![], &vec![(rtype::SRV, 3, 1)]));
    let domain = Config { host_domain: Some("example.com".to_owned()), ..Config::default() };
    let completed = Context { names: &domain, ..Context::new(&origin, 5) };
    let built = build(&completed, "a", &service).unwrap();
    assert_eq!(rdata(&built, "a.service.", rtype::SRV)[0][6..], *Name::parse("server1.example.com").unwrap().wire());
}

#[test]
fn host_names_are_flattened_with_the_lesser_ttl() {
    let mut hosts = KnownHosts::new();
    let addresses = vec![[10, 0, 0, 1].into(), "2001:db8::1".parse().unwrap()];
    hosts.insert("a.example".into(), Resolved { addresses, ttl: 3 });
    let origin = origin();
    let context = Context { hosts: &hosts, ..Context::new(&origin, 5) };
    let names = shown(&build(&context, "x", &service(vec![host("A.example"), v4(1, 1)])).unwrap());
    assert_eq!(names["x.service."], [(rtype::A, 3, 2), (rtype::AAAA, 3, 1), (rtype::SRV, 3, 2)]);
}

#[test]
fn only_a_host_alone_that_nothing_is_known_of_is_an_alias_and_only_where_that_is_wanted() {
    let with = |unknown_host, instances| {
        let origin = origin();
        let built = build(
            &Context { names: &Config { unknown_host, ..Config::default() }, ..Context::new(&origin, 5) },
            "x",
            &service(instances),
        )
        .unwrap();
        rdata(&built, "x.service.", rtype::CNAME)
    };
    let cname = |instances| with(UnknownHost::Alias, instances);
    assert!(with(UnknownHost::ServFail, vec![host("a.example")]).is_empty());
    assert_eq!(cname(vec![host("a.example")]), [Name::parse("a.example").unwrap().wire()]);
    assert!(cname(vec![host("a.example"), host("b.example")]).is_empty());
    assert!(cname(vec![host("x.service")]).is_empty(), "an alias of itself");
}

#[test]
fn reverse_names_point_to_addr_names() {
    let (forward, origin) = (origin(), Name::parse("0.168.192.in-addr.arpa").unwrap());
    let elsewhere = instance(Host::V4([10, 0, 0, 1].into()), 1);
    let service = service(vec![v4(42, 1), v4(42, 2), elsewhere, host("a.example")]);
    let built = build(&Context { reverse_of: Some(&forward), ..Context::new(&origin, 5) }, "a", &service).unwrap();
    let owner = "42.0.168.192.in-addr.arpa.";
    assert_eq!(rdata(&built, owner, rtype::PTR), [Name::parse("192-168-0-42.addr.service").unwrap().wire()]);
    assert_eq!(built.offers.names.len(), 1);
}

#[test]
fn a_path_that_makes_no_name_is_an_error() {
    assert_eq!(owner(&origin(), "a/*"), Err(NameError::BadElement));
    assert_eq!(owner(&origin(), &["x"; 130].join("/")), Err(NameError::LongName));
    assert_eq!(owner(&origin(), "").unwrap(), origin());
    assert_eq!(owner(&origin(), "a.b").unwrap().to_string(), "a\\.b.service.");
}

#[test]
fn an_instance_without_a_port_has_addresses_and_no_srv_record() {
    let (one, with_port) = (v4(1, 0), v4(2, 80));
    let types = |instances: Vec<Instance>, name: &str| {
        let built = build(&Context::new(&origin(), 5), "api", &service(instances)).unwrap();
        let offers = offers(&built);
        let sets =
            offers.iter().filter(|offer| offer.owner == Name::parse(name).unwrap()).flat_map(|offer| &offer.sets);
        sets.map(|set| (set.rtype, set.iter().count())).collect::<Vec<_>>()
    };
    assert_eq!(types(vec![one.clone()], "api.service"), [(rtype::A, 1)]);
    assert_eq!(types(vec![one.clone()], "_api._tcp.service"), []);
    assert_eq!(types(vec![one.clone()], "_services._dns-sd._udp.service"), []);
    let both = types(vec![one.clone(), with_port.clone()], "api.service");
    assert!(both.contains(&(rtype::A, 2)) && both.contains(&(rtype::SRV, 1)), "{both:?}");
    assert!(types(vec![one, with_port], "_api._tcp.service").contains(&(rtype::SRV, 1)));
}
