//! Names of a part of a registry that cannot be read: all that is at or below them is unknown.

use super::{label, srv};
use crate::model::Protocol;
use crate::zone::name::Name;
use crate::zone::offer::{Offer, Rank};
use crate::zone::unknown::{Scope, Unknown};

/// Offers of the part of a registry at `path` while nothing of it can be read: its service's name in every spelling and
/// its names of RFC 2782, all with what is below. `is_dotted` as of a [`Service`](crate::model::Service).
pub fn subtree(origin: &Name, path: &str, is_dotted: bool, unknown: &Unknown<'_>) -> Vec<Offer> {
    let unknown = Unknown { scope: Scope::Everything, below: true, ..unknown.clone() };
    let offer = |(owner, rank)| Offer { owner, rank, sets: [unknown.set()].into() };
    names(origin, path, is_dotted).into_iter().map(offer).collect()
}

/// The names that all names of the services in the part of a registry at `path` are at or below, with their ranks.
pub fn names(origin: &Name, path: &str, is_dotted: bool) -> Vec<(Name, Rank)> {
    let Ok(owner) = label::owner(origin, path) else { return Vec::new() };
    let mut names = Vec::new();
    if owner != *origin
        && let Some((domain, first)) = owner.parent().zip(owner.labels().next())
    {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let name = srv::service_name(&domain, first, protocol);
            names.extend(name.map(|name| (name, Rank::Derived)));
        }
    }
    names.extend(label::aliases(origin, path, is_dotted).into_iter().map(|alias| (alias, Rank::Alias)));
    names.push((owner, Rank::Real));
    names
}
