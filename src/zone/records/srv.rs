//! Where the instances of a service are: SRV records, the addresses of their hosts, and the names of RFC 2782.

use std::net::IpAddr;

use super::super::build::{Context, Names, Rank};
use super::super::name::{Name, NameError};
use super::super::record::rtype;
use super::{address, label};
use crate::model::{Endpoint, Host, Instance, Protocol, Service};

/// Weight of an instance that says none: above 0, so that it can be given less.
pub const DEFAULT_WEIGHT: u16 = 10;

/// An endpoint as a zone shows it.
#[derive(Debug)]
pub(in super::super) struct Reach {
    /// The host's name in SRV records.
    pub(in super::super) target: Name,
    /// Its addresses, as far as they are known.
    pub(in super::super) addresses: Vec<IpAddr>,
    /// Whether the target is a name of this zone, made for this host.
    is_ours: bool,
    /// Whether it was registered by its address.
    is_address: bool,
    /// Data of its SRV record.
    pub(in super::super) srv: Vec<u8>,
    /// Time to live of all of it, in seconds.
    pub(in super::super) ttl: u32,
}

impl Reach {
    /// An endpoint of an instance.
    ///
    /// # Errors
    /// When its host makes no domain name.
    pub(in super::super) fn new(
        context: &Context<'_>,
        service: &Service,
        instance: &Instance,
        endpoint: &Endpoint,
    ) -> Result<Self, NameError> {
        let defaults = &service.defaults;
        let mut ttl = instance.ttl.or(defaults.ttl).unwrap_or(context.ttl);
        let (mut addresses, mut is_ours) = (Vec::new(), true);
        let target = match &endpoint.host {
            Host::V4(_) | Host::V6(_) => {
                addresses.extend(endpoint.host.ip());
                let address = addresses.first().copied().ok_or(NameError::BadElement)?;
                address::name(context.origin, address)?
            }
            Host::Name(host) => {
                let wanted = wanted(context.host_domain, host);
                if let Some(known) = context.hosts.get(&wanted) {
                    addresses.extend_from_slice(&known.addresses);
                    ttl = ttl.min(known.ttl);
                }
                is_ours = !wanted.contains('.');
                if is_ours { address::below_addr(context.origin, &wanted)? } else { Name::parse(&wanted)? }
            }
        };
        let priority = instance.priority.or(defaults.priority).unwrap_or(0);
        let weight = instance.weight.or(defaults.weight).unwrap_or(DEFAULT_WEIGHT);
        let mut srv = Vec::with_capacity(6 + target.wire().len());
        for field in [priority, weight, endpoint.port] {
            srv.extend_from_slice(&field.to_be_bytes());
        }
        srv.extend_from_slice(target.wire());
        let is_address = endpoint.host.ip().is_some();
        Ok(Self { target, addresses, is_ours, is_address, srv, ttl })
    }

    /// Has the address have its name, where there is one.
    pub(in super::super) fn add_address(&self, names: &mut Names) {
        if self.is_address {
            self.addresses.iter().for_each(|address| names.name_address(*address, self.ttl));
        }
    }

    /// Adds the SRV record at `owner`, and what makes its target known.
    pub(in super::super) fn add_srv(&self, names: &mut Names, owner: &Name, rank: Rank) {
        names.add(owner, rank, rtype::SRV, self.ttl, self.srv.clone());
        // The name of an address is made of it; that of a host known by one label is held.
        if self.is_ours && !self.is_address {
            names.exist(&self.target, Rank::Derived);
            self.add_addresses(names, &self.target, Rank::Derived);
        }
    }

    fn add_addresses(&self, names: &mut Names, owner: &Name, rank: Rank) {
        for (rtype, rdata) in self.addresses.iter().copied().map(address::rdata) {
            names.add(owner, rank, rtype, self.ttl, rdata);
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

/// Adds what is asked for at a service's name: SRV, A and AAAA of these endpoints. A host that nobody knows an address
/// of, and that is alone, is pointed to by a CNAME: whoever asks may know better (RFC 1034 §3.6.2 wants nothing beside
/// it, so it is answered for what is not there, and left out of transfers).
pub(in super::super) fn add_all<'r>(
    names: &mut Names,
    owner: &Name,
    rank: Rank,
    reaches: impl IntoIterator<Item = &'r Reach>,
    origin: &Name,
) {
    names.exist(owner, rank);
    let (mut alone, mut count) = (None, 0);
    for reach in reaches {
        reach.add_srv(names, owner, rank);
        reach.add_addresses(names, owner, rank);
        count += 1;
        alone = Some(reach);
    }
    if let Some(reach) = alone.filter(|reach| count == 1 && reach.addresses.is_empty() && !reach.is_ours)
        && owner != origin
        && reach.target.folded() != *owner
    {
        names.add(owner, rank, rtype::CNAME, reach.ttl, reach.target.wire().to_vec());
    }
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
pub(in super::super) fn service_name(domain: &Name, service: &[u8], protocol: Protocol) -> Option<Name> {
    protocol_name(domain, protocol)?.child(&label::underscored(service)).ok()
}
