//! What the guard holds back, for a person who sees an instance in DNS that is not in ZooKeeper.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::seen::RegistryView;
use crate::format;
use crate::publish::target::TargetState;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::record::rtype;
use crate::zone::records::label;

/// More addresses than these nobody reads.
const MAX_LISTED: usize = 16;

/// Tells what the guard does to the service at `path`; nothing where it does nothing.
pub(super) fn lines(seen: &RegistryView<'_>, state: &TargetState, path: &str) -> String {
    let Some(lost) = seen.held.get(&path.to_ascii_lowercase()) else { return String::new() };
    let until = format::moment(seen.until);
    let mut text = format!(
        "  the guard holds back the loss of {lost} instances until {until}: until then DNS shows the service as it was\n"
    );
    let gone: Vec<String> = shown(state, path).difference(&registered(seen, path)).map(ToString::to_string).collect();
    if !gone.is_empty() {
        let more = if gone.len() > MAX_LISTED { ", …" } else { "" };
        let first = gone.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  in DNS and not in ZooKeeper any more: {first}{more}");
    }
    text
}

/// The addresses that DNS has of a service.
pub(super) fn shown(state: &TargetState, path: &str) -> BTreeSet<IpAddr> {
    let folded = path.to_ascii_lowercase();
    let owner = state.target.shown(&folded).and_then(|path| label::owner(state.zone.origin(), &path).ok());
    let table = state.zone.load();
    let mut addresses = BTreeSet::new();
    for (owner, rtype) in owner.iter().flat_map(|owner| [(owner, rtype::A), (owner, rtype::AAAA)]) {
        if let LookupResult::Answer(set) = lookup::find(&state.zone, &table, owner.wire(), rtype) {
            addresses.extend(set.iter().filter_map(|rdata| address(&rdata)));
        }
    }
    addresses
}

fn address(rdata: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(rdata).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(rdata).map(IpAddr::from)).ok()
}

/// The addresses that ZooKeeper has of a service.
fn registered(seen: &RegistryView<'_>, path: &str) -> BTreeSet<IpAddr> {
    let instances = seen.read(path).map(|reading| reading.service.instances).unwrap_or_default();
    instances.iter().filter_map(|instance| instance.endpoint.host.ip()).collect()
}
