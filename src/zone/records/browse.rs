//! DNS-SD (RFC 6763): `_api_x._tcp.service.` lists the instances by PTR, each has SRV and TXT under
//! `192\.168\.0\.42:8080._api_x._tcp.service.`, and `_services._dns-sd._udp.service.` lists the services of its domain.

use super::label;
use super::srv::SrvTarget;
use crate::zone::instances::{self, Instance};
use crate::zone::name::Name;
use crate::zone::names::Names;
use crate::zone::offer::Rank;
use crate::zone::record::rtype;

/// Adds an instance called `name` to the service at `service` (`_api_x._tcp.service.`). Says whether it makes a name.
pub(in crate::zone) fn add(
    names: &mut Names,
    service: &Name,
    name: &str,
    reach: &SrvTarget,
    txt: Option<Vec<u8>>,
) -> bool {
    let Ok(label) = label::exact(name) else { return false };
    if !service.has_room_for(&label) {
        return false;
    }
    let sets = names.at(service, Rank::Derived);
    sets.write(rtype::PTR, reach.ttl, |rdata| {
        rdata.push(u8::try_from(label.len()).unwrap_or_default());
        rdata.extend_from_slice(&label);
        rdata.extend_from_slice(service.wire());
    });
    let txt = txt.unwrap_or_default();
    let instance = Instance { label: &label, ttl: reach.ttl, srv: (&*reach.srv).into(), txt: &txt };
    sets.write(instances::TYPE, 0, |rdata| instance.write(rdata));
    true
}

/// Lists the service at `service` among those of `domain`.
pub(in crate::zone) fn list(names: &mut Names, service: &Name, domain: &Name, ttl: u32) {
    if let Some(all) = services_name(domain) {
        names.at(&all, Rank::Derived).add(rtype::PTR, ttl, service.wire());
    }
}

/// RFC 6763 §9.
fn services_name(domain: &Name) -> Option<Name> {
    domain.child(b"_udp").ok()?.child(b"_dns-sd").ok()?.child(b"_services").ok()
}
