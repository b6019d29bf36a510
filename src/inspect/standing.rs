//! Standing of a service's instances: what each is answered with, or why it is not, and what its znode tells.

use std::net::IpAddr;

use super::explain;
use super::reader::Reader;
use crate::model::{Endpoint, Host, Instance};
use crate::publish::reading::Reading;
use crate::registry::Path;
use crate::zone::Zone;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::name::Name;
use crate::zone::order::DEFAULT_WEIGHT;
use crate::zone::record::rtype;
use crate::zone::records::address;

/// Standing of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStanding {
    /// Reason for which it is out of the answers; none for one that is in.
    pub out: Option<String>,
    /// Weight that it is answered with.
    pub weight: u16,
    /// Priority that it is answered with.
    pub priority: u16,
    /// Time to live that it asks for, or gets from the service or the zone, in seconds; `None` in no zone.
    pub ttl: Option<u32>,
    /// Path of its znode.
    pub path: Path,
    /// The session that owns the znode; 0 for none.
    pub owner: i64,
    /// Time at which the znode was created, in milliseconds since 1970; 0 where that is not known.
    pub ctime: i64,
    /// Transaction that created it.
    pub czxid: i64,
    /// Transaction that last changed its data.
    pub mzxid: i64,
}

/// An endpoint that DNS gives for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InDns {
    /// Time to live of the records, in seconds.
    pub ttl: u32,
    /// Priority of the SRV record.
    pub priority: u16,
    /// Weight of the SRV record.
    pub weight: u16,
}

impl Reader {
    /// Standing of the instances of a service that was read, in their order.
    pub fn standing(&self, reading: &Reading) -> Vec<InstanceStanding> {
        let service = &reading.service;
        let defaults = &service.defaults;
        let hidden = self
            .is_preceded(&service.path)
            .then(|| "another reader, which goes first, has a service of this name".to_owned());
        let zone_ttl = self.ttl(&service.path);
        let tree = self.tree();
        let of = |(instance, path): (&Instance, &Path)| {
            let known = tree.tree().known(path.as_str());
            let double = || reading.double(path).map(str::to_owned);
            InstanceStanding {
                out: explain::refusal(service, instance).or_else(|| hidden.clone()).or_else(double),
                weight: instance.weight.or(defaults.weight).unwrap_or(DEFAULT_WEIGHT),
                priority: instance.priority.or(defaults.priority).unwrap_or_default(),
                ttl: instance.ttl.or(defaults.ttl).or(zone_ttl),
                path: path.clone(),
                owner: known.map_or(0, |known| known.ephemeral_owner),
                ctime: known.map_or(0, |known| known.ctime),
                czxid: known.map_or(0, |known| known.czxid),
                mzxid: known.map_or(0, |known| known.mzxid),
            }
        };
        reading.instances().map(of).collect()
    }
}

/// Numbers of instances of a service that are in the answers, and that are not: drained, down, hidden, or `lost` as
/// many.
pub fn numbers(lost: usize, standing: &[InstanceStanding]) -> (usize, usize) {
    let serving = standing.iter().filter(|one| one.out.is_none()).count();
    (serving, standing.len() - serving + lost)
}

/// The answer of the zone at `owner`, the name of a service, for `endpoint`; none where it does not.
pub fn in_dns(zone: &Zone, owner: &Name, endpoint: &Endpoint) -> Option<InDns> {
    let table = zone.load();
    let set = |rtype| match lookup::find(zone, &table, owner.wire(), rtype) {
        LookupResult::Answer(set) => Some(set),
        _ => None,
    };
    if endpoint.port == 0 {
        let ip = endpoint.host.ip()?;
        let set = set(if ip.is_ipv4() { rtype::A } else { rtype::AAAA })?;
        let is_it = |rdata: &[u8]| match ip {
            IpAddr::V4(ip) => rdata == ip.octets(),
            IpAddr::V6(ip) => rdata == ip.octets(),
        };
        return set.iter().any(|rdata| is_it(&rdata)).then_some(InDns { ttl: set.ttl, priority: 0, weight: 0 });
    }
    let set = set(rtype::SRV)?;
    let number = |rdata: &[u8], at: usize| Some(u16::from_be_bytes(rdata.get(at..at + 2)?.try_into().ok()?));
    set.iter().find_map(|rdata| {
        let (target, _) = Name::from_wire(rdata.get(6..)?)?;
        let is_it = number(&rdata, 4)? == endpoint.port && is_target(zone, &target, &endpoint.host);
        let (priority, weight) = (number(&rdata, 0)?, number(&rdata, 2)?);
        is_it.then_some(InDns { ttl: set.ttl, priority, weight })
    })
}

/// Returns whether `target` is a name for `host`.
fn is_target(zone: &Zone, target: &Name, host: &Host) -> bool {
    if let Some(ip) = host.ip() {
        return address::name(zone.origin(), ip).is_ok_and(|name| name.folded() == target.folded());
    }
    // One of a single label is completed by the zone's `host_domain`.
    let (target, host) = (target.folded().to_string(), host.to_string().to_ascii_lowercase());
    let host = host.trim_end_matches('.');
    target.strip_prefix(host).is_some_and(|rest| rest.starts_with('.'))
}
