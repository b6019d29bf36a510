//! A zone as a hosts file: a line an address, with all its names. Names that a hosts file cannot say, as they have a
//! space or another odd character in them, are left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::snapshot::Snapshot;
use crate::zone::name::Name;
use crate::zone::packed::Packed;
use crate::zone::record::rtype;

pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut hosts: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
    for entry in &snapshot.entries {
        let Some((name, _)) = Name::from_wire(entry.name()) else { continue };
        let name = name.to_string();
        let name = name.trim_end_matches('.');
        if !name.contains(['\\', '*', '#']) {
            addresses(entry).for_each(|address| hosts.entry(address).or_default().push(name.to_owned()));
        }
    }
    let mut text = format!("# zone {} as zonekeeper holds it: {}\n", snapshot.origin, snapshot.freshness);
    text.extend(hosts.iter().map(|(address, names)| format!("{address}\t{}\n", names.join(" "))));
    text
}

fn addresses(entry: &Packed) -> impl Iterator<Item = IpAddr> + '_ {
    entry.sets().flat_map(|set| {
        set.iter().filter_map(move |rdata| match set.rtype {
            rtype::A => <[u8; 4]>::try_from(&*rdata).ok().map(IpAddr::from),
            rtype::AAAA => <[u8; 16]>::try_from(&*rdata).ok().map(IpAddr::from),
            _ => None,
        })
    })
}
