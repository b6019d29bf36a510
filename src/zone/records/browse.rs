//! DNS-SD (RFC 6763): `_api_x._tcp.service.` lists the instances by PTR, each has SRV and TXT under
//! `192\.168\.0\.42:8080._api_x._tcp.service.`, and `_services._dns-sd._udp.service.` lists the services of its domain.

use super::super::build::{Names, Rank};
use super::super::instances::{self, Instance};
use super::super::name::Name;
use super::super::record::rtype;
use super::label;
use super::srv::Reach;

/// Adds an instance called `name` to the service at `service` (`_api_x._tcp.service.`) of `domain`.
pub(in super::super) fn add(
    names: &mut Names,
    (service, domain): (&Name, &Name),
    name: &str,
    reach: &Reach,
    txt: Option<Vec<u8>>,
) {
    let Some(instance) = label::exact(name).ok().and_then(|label| service.child(&label).ok()) else { return };
    names.add(service, Rank::Derived, rtype::PTR, reach.ttl, instance.wire().to_vec());
    let (label, txt) = (instance.labels().next().unwrap_or_default(), txt.unwrap_or_default());
    let rdata = Instance { label, ttl: reach.ttl, srv: &reach.srv, txt: &txt }.rdata();
    names.add(service, Rank::Derived, instances::TYPE, 0, rdata);
    if let Some(all) = services_name(domain) {
        names.add(&all, Rank::Derived, rtype::PTR, reach.ttl, service.wire().to_vec());
    }
}

/// RFC 6763 §9.
fn services_name(domain: &Name) -> Option<Name> {
    domain.child(b"_udp").ok()?.child(b"_dns-sd").ok()?.child(b"_services").ok()
}
