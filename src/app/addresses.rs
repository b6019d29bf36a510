//! The addresses of this host as DNS sees them: those of the name servers that zones get, and those that are this
//! server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::announce::address::{LocalAddress, UnfitReason, all};

/// Returns the addresses of a name server that listens on `listening`: those that are really listened on, each once. A
/// socket on `0.0.0.0` takes IPv4 alone, and one on `[::]` IPv6 alone (`IPV6_V6ONLY`). Loopback addresses are left out
/// where there are others, link-local ones always.
pub(super) fn of_name_server(listening: &[SocketAddr]) -> Vec<IpAddr> {
    chosen(listening, &all().unwrap_or_default())
}

/// Returns the addresses of this host, where one of `listening` takes all of them.
pub(super) fn if_everywhere(listening: &[SocketAddr]) -> Vec<IpAddr> {
    if listening.iter().all(|address| !address.ip().is_unspecified()) {
        return Vec::new();
    }
    all().unwrap_or_default().into_iter().map(|own| own.address).collect()
}

fn chosen(listening: &[SocketAddr], own: &[LocalAddress]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in listening.iter().map(|address| address.ip().to_canonical()) {
        if !ip.is_unspecified() {
            addresses.push(ip);
            continue;
        }
        let of_family = own.iter().filter(|own| own.address.is_ipv4() == ip.is_ipv4());
        let others_reach = |own: &&LocalAddress| matches!(own.unfit, None | Some(UnfitReason::Loopback));
        addresses.extend(of_family.filter(others_reach).map(|own| own.address));
        addresses.push(if ip.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    addresses.retain(|address| !is_link_local(address));
    if addresses.iter().any(|address| !address.is_loopback()) {
        addresses.retain(|address| !address.is_loopback());
    }
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(address: &str, unfit: Option<UnfitReason>) -> LocalAddress {
        LocalAddress { interface: "eth0".into(), address: address.parse().unwrap(), unfit }
    }

    fn of(listening: &[&str], own: &[LocalAddress]) -> Vec<String> {
        let listening: Vec<SocketAddr> = listening.iter().map(|address| address.parse().unwrap()).collect();
        chosen(&listening, own).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_server_has_the_addresses_that_are_listened_on_and_no_others() {
        let host = [
            own("10.0.0.2", None),
            own("127.0.0.1", Some(UnfitReason::Loopback)),
            own("169.254.1.1", Some(UnfitReason::LinkLocal)),
            own("172.17.0.1", Some(UnfitReason::Bridge)),
            own("192.0.2.9", Some(UnfitReason::Down)),
            own("::1", Some(UnfitReason::Loopback)),
            own("2001:db8::2", None),
            own("2001:db8::dead", Some(UnfitReason::Temporary)),
            own("fe80::1", Some(UnfitReason::LinkLocal)),
        ];
        for (listening, addresses) in [
            (&["0.0.0.0:53"][..], &["10.0.0.2"][..]),
            (&["[::]:53"], &["2001:db8::2"]),
            (&["0.0.0.0:53", "[::]:53"], &["10.0.0.2", "2001:db8::2"]),
            (&["127.0.0.1:53", "10.0.0.2:53"], &["10.0.0.2"]),
            (&["10.0.0.2:53", "10.0.0.2:5300", "0.0.0.0:54"], &["10.0.0.2"]),
            (&["127.0.0.1:53", "[::1]:53"], &["127.0.0.1", "::1"]),
            (&["127.0.0.1:53", "[::]:53"], &["2001:db8::2"]),
            (&["[fe80::1]:53", "127.0.0.5:53"], &["127.0.0.5"]),
            (&[], &[]),
        ] {
            assert_eq!(of(listening, &host), addresses, "{listening:?}");
        }
    }

    #[test]
    fn where_only_loopback_is_listened_on_that_is_the_address() {
        let host = [own("127.0.0.1", Some(UnfitReason::Loopback)), own("::1", Some(UnfitReason::Loopback))];
        assert_eq!(of(&["0.0.0.0:53", "[::]:53"], &host), ["127.0.0.1", "::1"]);
        assert_eq!(of(&["[::]:53"], &[]), ["::1"]);
    }
}
