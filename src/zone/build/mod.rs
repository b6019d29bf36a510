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
//! | `canary.api_x.staging.service.` | SRV, A, AAAA of the instances with that tag ([`super::records::subset`]) | subset |
//! | `_canary._tcp.api_x.staging.service.` | SRV of those, unless a port is called so | subset |
//! | `_http._tcp.canary.api_x.staging.service.` | SRV of the port named `http` of those | subset |
//! | `api-x.staging.service.` | as the first: the same service by a host name ([`label`]) | alias |
//! | `com.acme.foo.service.`, `foo.acme.com.service.` | of `com.acme.Foo` in a registry where dots are borders, as the one above and with tags and ports below | alias |
//! | `42.0.168.192.in-addr.arpa.` | PTR to the `addr` name, in a zone for it | alias |
//!
//! An instance whose state, or whose service's state, is not `up` is left out. One without a port has addresses, and
//! nothing that would tell its port: no SRV records.

use super::context::Context;
use super::members::{Member, Members};
use super::name::{Name, NameError};
use super::names::Names;
use super::offer::{Built, Rank};
use super::record::rtype;
use super::records::label::owner;
use super::records::{FORMS, address, label, srv, txt};
use crate::model::Service;

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
        // Most cannot ask for the name itself, so that all that it has is here, too.
        if service.is_dotted || !label::is_plain(path) {
            let of = Members { context, service, owner: &alias, rank: Rank::Alias, all: &members };
            for form in FORMS {
                form(&mut names, &of);
            }
        }
    }
    let of = Members { context, service, owner: &owner, rank: Rank::Real, all: &members };
    for form in FORMS {
        form(&mut names, &of);
    }
    Ok(names.into_built())
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
    if let Some(rdata) = txt::rdata(&context.names.txt, &service.defaults.metadata, |key| too_long.push(key.to_owned()))
    {
        names.at(owner, rank).add(rtype::TXT, service.defaults.ttl.unwrap_or(context.ttl), &rdata);
    }
    if rank == Rank::Real {
        for key in too_long {
            names.remark(txt::too_long("the service", &key));
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
