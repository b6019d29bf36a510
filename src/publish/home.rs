//! Hosts that were registered by a name of this server's own zones: their addresses are those that the zones have, and
//! nobody else is asked.
//!
//! What is found so must not come from what was found so, or two services that name each other would keep an address
//! alive that has long gone. So names of services that have such hosts themselves are not followed: they stay unknown.

use std::net::IpAddr;
use std::sync::Arc;

use super::core::Core;
use crate::zone::context::Resolved;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::name::Name;
use crate::zone::record::rtype;
use crate::zone::records::label;
use crate::zone::{Freshness, Zone};

/// Aliases that are followed, as in answers.
const MAX_ALIASES: usize = 8;

impl Core {
    /// Looks up the hosts that are names of our own, and gives the services that are different by it.
    pub(super) fn look_at_home(&mut self) -> Vec<String> {
        let hosts = self.hosts.ours();
        if hosts.is_empty() {
            return Vec::new();
        }
        let zones: Vec<Arc<Zone>> = self
            .targets
            .iter()
            .map(|target| Arc::clone(target.lock().zone()))
            .chain(self.files.iter().cloned())
            .collect();
        let dependent = self.dependent();
        let mut changed = Vec::new();
        for host in hosts {
            let found = Name::parse(&host).ok().and_then(|name| find(&zones, &dependent, name.folded()));
            changed.extend(self.hosts.learn(&host, found));
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The names of services that have such hosts themselves.
    fn dependent(&self) -> Vec<Name> {
        let mut names = Vec::new();
        for path in self.hosts.of_ours() {
            for target in &self.targets {
                let Some(path) = target.shown(&path) else { continue };
                let origin = target.origin();
                names.extend(label::owner(&origin, &path).ok());
                names.extend(label::aliases(&origin, &path, self.layout.format.are_dots_borders()));
            }
        }
        names
    }
}

/// Returns what the zones have of a name; `None` where they do not know it.
fn find(zones: &[Arc<Zone>], dependent: &[Name], mut name: Name) -> Option<Resolved> {
    for _ in 0..=MAX_ALIASES {
        if dependent.iter().any(|other| name.is_at_or_below(other)) {
            return None;
        }
        let of = |zone: &&Arc<Zone>| name.is_at_or_below(zone.origin());
        let zone = zones.iter().filter(of).max_by_key(|zone| zone.origin().wire().len())?;
        if matches!(zone.freshness(), Freshness::Loading | Freshness::Expired) {
            return None;
        }
        let table = zone.load();
        let mut resolved = Resolved { addresses: Vec::new(), ttl: u32::MAX };
        let mut next = None;
        for family in [rtype::A, rtype::AAAA] {
            match lookup::find(zone, &table, name.wire(), family) {
                LookupResult::Answer(set) => {
                    resolved.ttl = resolved.ttl.min(set.ttl);
                    for rdata in set.iter() {
                        let v4 = <[u8; 4]>::try_from(&*rdata).map(IpAddr::from);
                        resolved.addresses.extend(v4.or_else(|_| <[u8; 16]>::try_from(&*rdata).map(IpAddr::from)).ok());
                    }
                }
                LookupResult::Alias(set) => next = set.iter().next().and_then(|rdata| lookup::target(&rdata)),
                LookupResult::Redirection(entry) => next = lookup::redirected(name.wire(), entry),
                LookupResult::Unknown(_) | LookupResult::Delegation(_) => return None,
                LookupResult::All(_) | LookupResult::NoData | LookupResult::NxDomain => {}
            }
        }
        let Some(target) = next else {
            resolved.addresses.sort_unstable();
            return Some(resolved);
        };
        name = target.folded();
    }
    None
}
