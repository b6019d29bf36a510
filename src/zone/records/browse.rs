//! DNS-SD (RFC 6763): `_api_x._tcp.service.` lists the instances by PTR, each has SRV and TXT under
//! `192\.168\.0\.42:8080._api_x._tcp.service.`, and `_services._dns-sd._udp.service.` lists the services of its domain.

use super::srv::{self, SrvTarget};
use super::{label, txt};
use crate::model::Protocol;
use crate::zone::instances::{self, Instance};
use crate::zone::members::{Member, Members};
use crate::zone::name::Name;
use crate::zone::names::Names;
use crate::zone::offer::Rank;
use crate::zone::record::rtype;

/// Adds `_<service>._tcp.<domain>`, and `_udp` likewise, with what DNS-SD has around it.
pub(in crate::zone) fn add(names: &mut Names, Members { context, owner, rank, all: members, .. }: &Members<'_>) {
    let parts = owner.parent().zip(owner.labels().next()).filter(|_| *rank == Rank::Real && *owner != context.origin);
    let Some((domain, service)) = parts else { return };
    if !members.iter().any(|member| member.reach.has_port) {
        // Nobody can say which protocol it would have; most have this one.
        if let Some(name) = srv::service_name(&domain, service, Protocol::Tcp) {
            names.at(&name, Rank::Derived);
        }
        return;
    }
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut members =
            members.iter().filter(|member| member.instance.protocol == protocol && member.reach.has_port).peekable();
        if members.peek().is_none() {
            continue;
        }
        let Some(name) = srv::service_name(&domain, service, protocol) else { continue };
        let mut listed: Option<u32> = None;
        for Member { instance, reach } in members {
            reach.add_srv(names, &name, Rank::Derived);
            let mut too_long = Vec::new();
            let txt = txt::rdata(&context.names.txt, &instance.metadata, |key| too_long.push(key.to_owned()));
            for key in too_long {
                names.remark(txt::too_long(&instance.name, &key));
            }
            if add_instance(names, &name, &instance.name, reach, txt) {
                listed = Some(listed.map_or(reach.ttl, |ttl| ttl.min(reach.ttl)));
            }
        }
        if let Some(ttl) = listed {
            list(names, &name, &domain, ttl);
        }
    }
}

/// Adds an instance called `name` to the service at `service` (`_api_x._tcp.service.`). Says whether it makes a name.
fn add_instance(names: &mut Names, service: &Name, name: &str, reach: &SrvTarget, txt: Option<Vec<u8>>) -> bool {
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
fn list(names: &mut Names, service: &Name, domain: &Name, ttl: u32) {
    if let Some(all) = services_name(domain) {
        names.at(&all, Rank::Derived).add(rtype::PTR, ttl, service.wire());
    }
}

/// RFC 6763 §9.
fn services_name(domain: &Name) -> Option<Name> {
    domain.child(b"_udp").ok()?.child(b"_dns-sd").ok()?.child(b"_services").ok()
}
