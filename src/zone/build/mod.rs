//! From a service to DNS names: what one service puts into a zone, and under what precedence. Pure.
//!
//! For `/services/staging/api_x` in zone `service.`:
//!
//! | owner | RRsets | rank |
//! | --- | --- | --- |
//! | `api_x.staging.service.` | SRV, A, AAAA of its instances (none: the name exists, NODATA), TXT of its own properties | real |
//! | `_api_x._tcp.staging.service.` | SRV (RFC 2782) and PTR (RFC 6763) of the instances that speak TCP; `_udp` likewise (none at all: `_tcp` exists, NODATA) | derived |
//! | `<host:port>._api_x._tcp.staging.service.` | SRV, TXT of the one instance; made on demand ([`super::instances`]) | derived |
//! | `_services._dns-sd._udp.staging.service.` | PTR to `_api_x._tcp.staging.service.` | derived, shared |
//! | `192-168-0-42.addr.service.` | A: the stable SRV target of an instance registered by address; made on demand ([`super::addresses`]) | derived, shared |
//! | `20010db8…0001.addr.service.` | AAAA, likewise; 32 hexadecimal digits | derived, shared |
//! | `server1.addr.service.` | A, AAAA of a host registered by a single label, where the zone has no `host_domain` | derived, shared |
//! | `_http._tcp.api_x.staging.service.` | SRV of the instances' port named `http` | subset |
//! | `canary.api_x.staging.service.` | SRV, A, AAAA of the instances with that tag ([`subset`]) | subset |
//! | `api-x.staging.service.` | as the first: the same service by a host name ([`label`]) | alias |
//! | `com.acme.foo.service.`, `foo.acme.com.service.` | of `com.acme.Foo` in a registry where dots are borders, as the one above and with tags and ports below | alias |
//! | `42.0.168.192.in-addr.arpa.` | PTR to the `addr` name, in a zone for it | alias |
//!
//! An instance whose state, or whose service's state, is not `up` is left out. One without a port has addresses, and
//! nothing that would tell its port: no SRV records.

use super::context::Context;
use super::name::{Name, NameError};
use super::names::Names;
use super::offer::{Built, Rank};
use super::record::rtype;
use super::records::label::owner;
use super::records::srv::{self, SrvTarget};
use super::records::{address, browse, label, subset, txt};
use crate::model::{self, Endpoint, Protocol, Service};

/// Everything `service` offers in a zone. `path` is its path below the zone's part of the registry.
///
/// # Errors
/// When the service's path makes no domain name.
pub fn build(context: &Context<'_>, path: &str, service: &Service) -> Result<Built, NameError> {
    if let Some(forward) = context.reverse_of {
        return Ok(reverse(context, forward, service));
    }
    let owner = owner(context.origin, path)?;
    let mut names = Names::default();
    let members = Member::all(context, service, &mut names);
    for member in &members {
        member.reach.add_address(&mut names);
    }
    add_service(&mut names, context, service, &owner, Rank::Real, &members);
    for alias in label::aliases(context.origin, path, service.is_dotted) {
        add_service(&mut names, context, service, &alias, Rank::Alias, &members);
        // Nobody can ask for the name itself, so that all that it has is here, too.
        if service.is_dotted {
            add_subsets(&mut names, context, &alias, Rank::Alias, &members);
            add_ports(&mut names, context, service, &alias, Rank::Alias, &members);
        }
    }
    add_subsets(&mut names, context, &owner, Rank::Subset, &members);
    add_ports(&mut names, context, service, &owner, Rank::Subset, &members);
    if owner != *context.origin
        && let Some((domain, first)) = owner.parent().zip(owner.labels().next())
    {
        add_service_name(&mut names, context, (&domain, first), &members);
    }
    Ok(names.into_built())
}

/// An instance that is in the answers.
struct Member<'s> {
    instance: &'s model::Instance,
    reach: SrvTarget,
}

impl<'s> Member<'s> {
    fn all(context: &Context<'_>, service: &'s Service, names: &mut Names) -> Vec<Self> {
        service
            .up()
            .filter_map(|instance| {
                let reach = SrvTarget::new(context, service, instance, &instance.endpoint);
                let told = reach.map_err(|error| names.remark(unnamed(instance, &instance.endpoint, error)));
                Some(Self { instance, reach: told.ok()? })
            })
            .collect()
    }
}

fn unnamed(instance: &model::Instance, endpoint: &Endpoint, error: NameError) -> String {
    format!("instance {}: no name can be made of its host in {endpoint}: {error}", instance.name)
}

/// Adds the records at a service's name, or at another spelling of it.
fn add_service(
    names: &mut Names,
    context: &Context<'_>,
    service: &Service,
    owner: &Name,
    rank: Rank,
    members: &[Member<'_>],
) {
    srv::add_all(names, context, owner, rank, members.iter().map(|member| &member.reach));
    let mut too_long = Vec::new();
    if let Some(rdata) = txt::rdata(context.txt, &service.defaults.metadata, |key| too_long.push(key.to_owned())) {
        names.at(owner, rank).add(rtype::TXT, service.defaults.ttl.unwrap_or(context.ttl), &rdata);
    }
    if rank == Rank::Real {
        for key in too_long {
            names.remark(too_long_for_txt("the service", &key));
        }
    }
}

fn too_long_for_txt(who: &str, key: &str) -> String {
    format!("`{key}` of {who} is longer than a TXT string of 255 bytes and is left out of it")
}

/// Names of tags.
fn add_subsets(names: &mut Names, context: &Context<'_>, owner: &Name, rank: Rank, members: &[Member<'_>]) {
    if members.iter().all(|member| member.instance.tags.is_empty()) {
        return;
    }
    let tagged: Vec<subset::Tags> = members
        .iter()
        .map(|member| {
            let bad = |tag: &str| names.remark(format!("the tag `{tag}` of {} makes no name", member.instance.name));
            subset::labels(&member.instance.tags, bad)
        })
        .collect();
    let (combinations, is_cut) = subset::combinations(&tagged);
    for (labels, chosen) in combinations {
        let Some(name) = subset::name(owner, &labels) else { continue };
        srv::add_all(names, context, &name, rank, chosen.iter().map(|&i| &members[i].reach));
    }
    if is_cut {
        names.remark("it has too many tags for all their combinations: not every one has a name".to_owned());
    }
}

/// Names of named ports: `_http._tcp.<owner>`.
fn add_ports(
    names: &mut Names,
    context: &Context<'_>,
    service: &Service,
    owner: &Name,
    rank: Rank,
    members: &[Member<'_>],
) {
    for Member { instance, .. } in members {
        for (port, endpoint) in &instance.ports {
            let label = label::exact(port).ok();
            let name = label.and_then(|label| srv::service_name(owner, &label, instance.protocol));
            match (name, SrvTarget::new(context, service, instance, endpoint)) {
                (Some(name), Ok(reach)) => {
                    reach.add_address(names);
                    reach.add_srv(names, &name, rank);
                }
                (None, _) => names.remark(format!("the port `{port}` of {} makes no name", instance.name)),
                (_, Err(error)) => names.remark(unnamed(instance, endpoint, error)),
            }
        }
    }
}

/// `_<service>._tcp.<domain>` and what DNS-SD has around it.
fn add_service_name(
    names: &mut Names,
    context: &Context<'_>,
    (domain, service): (&Name, &[u8]),
    members: &[Member<'_>],
) {
    if !members.iter().any(|member| member.reach.has_port) {
        // Nobody can say which protocol it would have; most have this one.
        if let Some(name) = srv::service_name(domain, service, Protocol::Tcp) {
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
        let Some(name) = srv::service_name(domain, service, protocol) else { continue };
        let mut listed: Option<u32> = None;
        for Member { instance, reach } in members {
            reach.add_srv(names, &name, Rank::Derived);
            let mut too_long = Vec::new();
            let txt = txt::rdata(context.txt, &instance.metadata, |key| too_long.push(key.to_owned()));
            for key in too_long {
                names.remark(too_long_for_txt(&instance.name, &key));
            }
            if browse::add(names, &name, &instance.name, reach, txt) {
                listed = Some(listed.map_or(reach.ttl, |ttl| ttl.min(reach.ttl)));
            }
        }
        if let Some(ttl) = listed {
            browse::list(names, &name, domain, ttl);
        }
    }
}

/// The PTR records of a service's addresses, as far as they are in this zone, to their names in `forward`.
fn reverse(context: &Context<'_>, forward: &Name, service: &Service) -> Built {
    let mut names = Names::default();
    for instance in service.up() {
        let ttl = instance.ttl.or(service.defaults.ttl).unwrap_or(context.ttl);
        let endpoints = std::iter::once(&instance.endpoint).chain(instance.ports.iter().map(|(_, endpoint)| endpoint));
        for address in endpoints.filter_map(|endpoint| endpoint.host.ip()) {
            let owner = address::reverse_name(address);
            if let Ok(target) = address::name(forward, address)
                && owner.is_at_or_below(context.origin)
            {
                // Under this rank one of several shows: an address has one name, also where services of two zones share
                // it.
                names.at(&owner, Rank::Alias).add(rtype::PTR, ttl, target.wire());
            }
        }
    }
    names.into_built()
}

#[cfg(test)]
mod tests;
