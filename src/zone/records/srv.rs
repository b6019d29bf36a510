//! Places of a service's instances: SRV records, the addresses of their hosts, and the names of RFC 2782.

use std::net::IpAddr;

use super::config::UnknownHost;
use super::{address, label};
use crate::model::{Endpoint, Host, Instance, Protocol, Service};
use crate::zone::context::Context;
use crate::zone::name::{Name, NameError};
use crate::zone::names::Names;
use crate::zone::offer::Rank;
use crate::zone::order::{DEFAULT_WEIGHT, Preference};
use crate::zone::record::rtype;
use crate::zone::unknown::{self, Scope, Unknown};

/// An endpoint as a zone shows it.
#[derive(Debug)]
pub(in crate::zone) struct SrvTarget {
    target: Target,
    /// Data of its SRV record.
    pub(in crate::zone) srv: Vec<u8>,
    /// True if it has a port; without one it has addresses alone.
    pub(in crate::zone) has_port: bool,
    /// Time to live of all of it, in seconds.
    pub(in crate::zone) ttl: u32,
    /// Preference that its addresses are chosen by.
    preference: Preference,
}

/// Target of an instance.
#[derive(Debug)]
enum Target {
    /// Registered by its address, whose name is the target of SRV records.
    Address(IpAddr),
    /// Registered by the host's name.
    Host {
        /// That name, in SRV records.
        target: Name,
        /// Its addresses; none while it is not known whether it has any.
        addresses: Option<Vec<IpAddr>>,
        /// True if the target is a name of this zone, made for this host.
        is_ours: bool,
    },
}

impl SrvTarget {
    /// An endpoint of an instance.
    ///
    /// # Errors
    /// When its host makes no domain name.
    pub(in crate::zone) fn new(
        context: &Context<'_>,
        service: &Service,
        instance: &Instance,
        endpoint: &Endpoint,
    ) -> Result<Self, NameError> {
        let defaults = &service.defaults;
        let mut ttl = instance.ttl.or(defaults.ttl).unwrap_or(context.ttl);
        let priority = instance.priority.or(defaults.priority).unwrap_or(0);
        let weight = instance.weight.or(defaults.weight).unwrap_or(DEFAULT_WEIGHT);
        let mut srv = Vec::with_capacity(32 + context.origin.wire().len());
        for field in [priority, weight, endpoint.port] {
            srv.extend_from_slice(&field.to_be_bytes());
        }
        let mut by_address = |address: IpAddr| {
            address::append_name(&mut srv, context.origin, address)?;
            Ok(Target::Address(address))
        };
        let target_host = match &endpoint.host {
            Host::V4(address) => by_address((*address).into())?,
            Host::V6(address) => by_address((*address).into())?,
            Host::Name(host) => {
                let wanted = wanted(context.names.host_domain.as_deref(), host);
                let mut addresses = None;
                let registered = instance.known_addresses(endpoint);
                if !registered.is_empty() {
                    addresses = Some(registered.to_vec());
                } else if let Some(known) = context.hosts.get(&wanted) {
                    addresses = Some(known.addresses.clone());
                    ttl = ttl.min(known.ttl);
                }
                let is_ours = !wanted.contains('.');
                let target =
                    if is_ours { address::below_addr(context.origin, &wanted)? } else { Name::parse(&wanted)? };
                srv.extend_from_slice(target.wire());
                Target::Host { target, addresses, is_ours }
            }
        };
        Ok(Self {
            target: target_host,
            srv,
            has_port: endpoint.port != 0,
            ttl,
            preference: Preference::new(priority, weight),
        })
    }

    fn addresses(&self) -> &[IpAddr] {
        match &self.target {
            Target::Address(address) => std::slice::from_ref(address),
            Target::Host { addresses, .. } => addresses.as_deref().unwrap_or_default(),
        }
    }

    /// Has the address have its name, where there is one.
    pub(in crate::zone) fn add_address(&self, names: &mut Names) {
        if let Target::Address(address) = self.target {
            names.name_address(address, self.ttl);
        }
    }

    /// Adds the SRV record at `owner`, and what makes its target known; nothing where there is no port.
    pub(in crate::zone) fn add_srv(&self, names: &mut Names, owner: &Name, rank: Rank) {
        if !self.has_port {
            return;
        }
        names.at(owner, rank).add(rtype::SRV, self.ttl, &self.srv);
        // The name of an address is made of it; that of a host known by one label is held.
        if let Target::Host { target, is_ours: true, .. } = &self.target {
            self.add_addresses(names, target, Rank::Derived, None);
            add_unknown(names, target, Rank::Derived, &[self]);
        }
    }

    fn add_addresses(&self, names: &mut Names, owner: &Name, rank: Rank, preference: Option<Preference>) {
        let sets = names.at(owner, rank);
        for address in self.addresses() {
            sets.add_preferred(self.ttl, *address, preference);
        }
    }

    /// The host's name, where it is not known which addresses it has.
    fn unknown(&self) -> Option<&Name> {
        match &self.target {
            Target::Host { target, addresses: None, .. } => Some(target),
            _ => None,
        }
    }

    /// The host's name outside of what is made for it, where no address of it is known.
    fn elsewhere(&self) -> Option<&Name> {
        match &self.target {
            Target::Host { target, is_ours: false, .. } if self.addresses().is_empty() => Some(target),
            _ => None,
        }
    }
}

/// The host name that is looked up for a host: one of a single label is completed by the zone's `host_domain`.
pub fn wanted(host_domain: Option<&str>, host: &str) -> String {
    let mut wanted = host.to_ascii_lowercase();
    if let Some(domain) = host_domain.filter(|_| !host.contains('.')) {
        wanted.push('.');
        wanted.push_str(domain);
    }
    wanted
}

/// Adds what is asked for at a service's name: SRV, A and AAAA of these endpoints. Where no address is known, that is
/// offered beside them ([`unknown`]), and, where the zone wants that and there is one host alone, a CNAME, too: which
/// of them shows, what else is offered at the name decides.
pub(in crate::zone) fn add_all<'r>(
    names: &mut Names,
    context: &Context<'_>,
    owner: &Name,
    rank: Rank,
    reaches: impl IntoIterator<Item = &'r SrvTarget>,
) {
    names.at(owner, rank);
    let reaches: Vec<&SrvTarget> = reaches.into_iter().collect();
    for reach in &reaches {
        reach.add_srv(names, owner, rank);
        reach.add_addresses(names, owner, rank, Some(reach.preference));
    }
    add_unknown(names, owner, rank, &reaches);
    if let [reach] = reaches[..]
        && context.names.unknown_host == UnknownHost::Alias
        && let Some(target) = reach.elsewhere()
        && owner != context.origin
        && target.folded() != *owner
    {
        names.at(owner, rank).add(rtype::CNAME, reach.ttl, target.wire());
    }
}

/// Says at `owner` that the addresses are not known, where there are hosts of which they are not, and no other host has
/// one.
fn add_unknown(names: &mut Names, owner: &Name, rank: Rank, reaches: &[&SrvTarget]) {
    let mut hosts = reaches.iter().filter_map(|reach| reach.unknown());
    let Some(first) = hosts.next() else { return };
    if reaches.iter().any(|reach| !reach.addresses().is_empty()) {
        return;
    }
    let more = match hosts.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let host = first.to_string();
    let text = format!("the addresses of {}{more} are not known yet", host.trim_end_matches('.')).into();
    let unknown = Unknown { scope: Scope::Addresses, below: false, code: Unknown::NO_ADDRESS, text };
    names.at(owner, rank).add(unknown::TYPE, 0, &unknown.rdata());
}

/// `_tcp.staging.service.` for `staging.service.`.
fn protocol_name(domain: &Name, protocol: Protocol) -> Option<Name> {
    let label: &[u8] = match protocol {
        Protocol::Tcp => b"_tcp",
        Protocol::Udp => b"_udp",
    };
    domain.child(label).ok()
}

/// `_<service>._tcp.<domain>` (RFC 2782); none where it gets too long.
pub fn service_name(domain: &Name, service: &[u8], protocol: Protocol) -> Option<Name> {
    protocol_name(domain, protocol)?.child(&label::underscored(service)).ok()
}
