//! Access: tables of networks in which the longest one that has an address decides, and with it every exception is
//! written as what it is: `["10.0.0.0/8", "!10.1.0.0/16"]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::joint::JointPrefixMap;

use crate::zone::name::Name;

/// Both of these have every address.
const EVERYTHING: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// Reads `10.0.0.0/8`, `2001:db8::/32` or a plain address. A v4 network mapped into v6 is the v4 network.
///
/// # Errors
/// The problem, as the end of a sentence that begins with the setting.
fn network(text: &str) -> Result<IpNet, String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let expected = || format!("must be a network such as \"10.0.0.0/8\" or an address, not \"{text}\"");
    let address: IpAddr = address.parse().map_err(|_| expected())?;
    let all = IpNet::from(address).max_prefix_len();
    let length = length.map_or(Ok(all), str::parse).map_err(|_| expected())?;
    let network = IpNet::new(address, length)
        .map_err(|_| format!("has a prefix longer than the {all} bits of an address, in \"{text}\""))?;
    if network.trunc() != network {
        return Err(format!("has bits set behind its prefix, in \"{text}\""));
    }
    let mapped = length.checked_sub(96).and_then(|length| IpNet::new(address.to_canonical(), length).ok());
    Ok(mapped.filter(|_| address.is_ipv6() && address.to_canonical().is_ipv4()).unwrap_or(network))
}

/// A table of networks, each with what holds in it.
#[derive(Debug, Clone)]
struct NetworkTable<T>(JointPrefixMap<IpNet, T>);

impl<T> NetworkTable<T> {
    /// Finds the row of the longest network that has all of `network`.
    fn around(&self, network: IpNet) -> Option<&T> {
        self.0.get_lpm(&network).map(|(_, held)| held)
    }

    /// Finds the row of the longest network that has an address.
    fn find(&self, address: IpAddr) -> Option<&T> {
        self.around(address.to_canonical().into())
    }
}

impl<T> Default for NetworkTable<T> {
    fn default() -> Self {
        Self(JointPrefixMap::new())
    }
}

// That of the map takes one for equal to another that only begins like it.
impl<T: PartialEq> PartialEq for NetworkTable<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().eq(other.0.iter())
    }
}

impl<T: Eq> Eq for NetworkTable<T> {}

const NEAR: [&str; 8] =
    ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1", "fc00::/7", "fe80::/10"];

/// Addresses that may do something, and others that may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    table: NetworkTable<bool>,
    /// True if every address may: known beforehand, since each query asks.
    is_everybody: bool,
}

impl Networks {
    /// Of two equal networks the first counts.
    fn new(rows: impl IntoIterator<Item = (IpNet, bool)>) -> Self {
        let (mut table, mut is_everybody) = (NetworkTable::default(), true);
        for (network, allowed) in rows {
            table.0.entry(network).or_insert(allowed);
            is_everybody &= allowed;
        }
        is_everybody &= EVERYTHING.iter().all(|all| table.0.contains_key(all));
        Self { table, is_everybody }
    }

    /// Returns whether every address may.
    pub fn is_everybody(&self) -> bool {
        self.is_everybody
    }

    /// Every address.
    pub fn everybody() -> Self {
        Self::new(EVERYTHING.map(|network| (network, true)))
    }

    /// This host and private networks (RFC 1918, RFC 3927, RFC 4193, RFC 4291 §2.5.6).
    pub fn near() -> Self {
        Self::new(NEAR.iter().filter_map(|text| network(text).ok()).map(|near| (near, true)))
    }

    /// No address.
    pub fn nobody() -> Self {
        Self::new([])
    }

    /// Reads a list: networks and addresses, `!` before those that may not, `any` for all.
    ///
    /// # Errors
    /// The index of the first bad element, and what is wrong with it.
    pub fn parse(list: &[String]) -> Result<Self, (usize, String)> {
        let mut rows = Vec::new();
        for (i, element) in list.iter().enumerate() {
            let (text, allowed) = element.strip_prefix('!').map_or((&**element, true), |rest| (rest, false));
            let networks = networks(text.trim()).map_err(|problem| (i, problem))?;
            rows.extend(networks.into_iter().map(|network| (network, allowed)));
        }
        Ok(Self::new(rows))
    }

    /// Returns whether the longest network that has `address` is one that may. In none: no.
    #[inline]
    pub fn decide(&self, address: &IpAddr) -> bool {
        self.is_everybody || self.look_up(address)
    }

    #[inline(never)]
    fn look_up(&self, address: &IpAddr) -> bool {
        self.table.find(*address).copied().unwrap_or(false)
    }
}

/// Condition on which a source address is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Demand {
    Nothing,
    /// A request signed with one of these keys.
    Key(Vec<Name>),
    Impossible,
}

/// Clients that may transfer zones: by network, by key, or by both.
/// Nobody by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfers(NetworkTable<Demand>);

impl Transfers {
    /// Reads a list of `"192.0.2.0/24"`, `"key NAME"` (from anywhere), `"192.0.2.0/24 key NAME"` (both needed) and
    /// `"!192.0.2.9"`. A network that is there twice with different keys takes either.
    ///
    /// # Errors
    /// The index of the first bad element, and what is wrong with it.
    pub fn parse(list: &[String], keys: &[Name]) -> Result<Self, (usize, String)> {
        let mut table = NetworkTable::default();
        for (i, element) in list.iter().enumerate() {
            let (found, demand) = rule(element, keys).map_err(|problem| (i, problem))?;
            for network in found {
                match (table.0.get_mut(&network), &demand) {
                    (None, _) => drop(table.0.insert(network, demand.clone())),
                    (Some(Demand::Key(known)), Demand::Key(more)) => known.extend_from_slice(more),
                    (Some(_), _) => return Err((i, format!("contradicts an earlier element, at \"{element}\""))),
                }
            }
        }
        Ok(Self(table))
    }

    /// Returns whether anybody may at all.
    pub fn is_nobody(&self) -> bool {
        self.0.0.values().all(|demand| *demand == Demand::Impossible)
    }

    /// Returns whether everybody whom `other` allows is allowed here, too, with what is asked for there.
    pub fn covers(&self, other: &Self) -> bool {
        let mut networks = self.0.0.keys().chain(other.0.0.keys());
        networks.all(|network| match (other.0.around(network), self.0.around(network)) {
            (None | Some(Demand::Impossible), _) | (_, Some(Demand::Nothing)) => true,
            (Some(Demand::Key(there)), Some(Demand::Key(here))) => there.iter().all(|key| here.contains(key)),
            _ => false,
        })
    }

    /// Returns whether a request from `address`, signed with `key` (and found good) or unsigned, may.
    pub fn decide(&self, address: IpAddr, key: Option<&Name>) -> bool {
        match self.0.find(address) {
            Some(Demand::Nothing) => true,
            Some(Demand::Key(keys)) => key.is_some_and(|key| keys.contains(key)),
            Some(Demand::Impossible) | None => false,
        }
    }
}

/// One element of `allow_transfer`.
fn rule(element: &str, keys: &[Name]) -> Result<(Vec<IpNet>, Demand), String> {
    if let Some(text) = element.strip_prefix('!') {
        return Ok((networks(text.trim())?, Demand::Impossible));
    }
    let words: Vec<&str> = element.split_whitespace().collect();
    let key = |name: &str| match Name::parse(name).map(|name| name.folded()) {
        Ok(name) if keys.contains(&name) => Ok(Demand::Key(vec![name])),
        _ => Err(format!("names the key \"{name}\", and there is no such [[key]]")),
    };
    match *words {
        ["key", name] => Ok((EVERYTHING.into(), key(name)?)),
        [network, "key", name] => Ok((networks(network)?, key(name)?)),
        [network] => Ok((networks(network)?, Demand::Nothing)),
        _ => Err(format!("must be a network, \"key NAME\" or \"NETWORK key NAME\", not \"{element}\"")),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    if text == "any" { Ok(EVERYTHING.into()) } else { Ok(vec![network(text)?]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn list(elements: &[&str]) -> Vec<String> {
        elements.iter().map(|element| (*element).to_owned()).collect()
    }

    #[test]
    fn the_longest_network_decides_whatever_the_order() {
        for elements in [["10.0.0.0/8", "!10.1.0.0/16", "10.1.2.3"], ["10.1.2.3", "!10.1.0.0/16", "10.0.0.0/8"]] {
            let networks = Networks::parse(&list(&elements)).unwrap();
            assert!(networks.decide(&ip("10.2.0.1")));
            assert!(!networks.decide(&ip("10.1.0.1")));
            assert!(networks.decide(&ip("10.1.2.3")));
            assert!(networks.decide(&ip("::ffff:10.1.2.3")), "mapped");
            assert!(!networks.decide(&ip("11.0.0.1")));
            assert!(!networks.decide(&ip("a00::")), "the same bits in the other family");
        }
    }

    #[test]
    fn everybody_and_nobody() {
        let everybody = Networks::everybody();
        assert!(everybody.decide(&ip("192.0.2.1")) && everybody.decide(&ip("2001:db8::1")) && everybody.is_everybody);
        assert!(
            ["any", "0.0.0.0/0"]
                .iter()
                .all(|most| !Networks::parse(&list(&[most, "!::/0"])).is_ok_and(|most| most.is_everybody))
        );
        assert!(!Networks::parse(&list(&["any", "!192.0.2.1"])).unwrap().is_everybody);
        assert_eq!(Networks::parse(&list(&["any"])), Ok(Networks::everybody()));
        assert!(!Networks::parse(&[]).unwrap().decide(&ip("127.0.0.1")));
        assert_eq!(Networks::parse(&list(&NEAR)), Ok(Networks::near()));
        assert!(["127.0.0.1", "10.1.2.3", "::1", "fd00::1"].iter().all(|near| Networks::near().decide(&ip(near))));
        assert!(["192.0.2.1", "2001:db8::1"].iter().all(|far| !Networks::near().decide(&ip(far))));
        assert!(Networks::parse(&list(&["any", "!2001:db8::/32"])).unwrap().decide(&ip("2001:db9::1")));
        assert!(!Networks::parse(&list(&["any", "!2001:db8::/32"])).unwrap().decide(&ip("2001:db8::1")));
    }

    #[test]
    fn lists_are_equal_only_if_all_of_them_is() {
        let parse = |elements: &[&str]| Networks::parse(&list(elements)).unwrap();
        assert_eq!(parse(&["10.0.0.0/8", "::1"]), parse(&["::1", "10.0.0.0/8"]));
        for other in [&[][..], &["10.0.0.0/8"], &["10.0.0.0/8", "::1", "::2"], &["10.0.0.0/8", "!::1"]] {
            assert_ne!(parse(&["10.0.0.0/8", "::1"]), parse(other), "{other:?}");
            assert_ne!(parse(other), parse(&["10.0.0.0/8", "::1"]), "{other:?}");
        }
    }

    #[test]
    fn a_mapped_network_is_the_v4_network() {
        let networks = Networks::parse(&list(&["::ffff:10.0.0.0/104"])).unwrap();
        assert_eq!(networks, Networks::parse(&list(&["10.0.0.0/8"])).unwrap());
        assert!(Networks::parse(&list(&["::ffff:10.0.0.0/95"])).is_err(), "bits behind its prefix");
    }

    #[test]
    fn ten_thousand_networks_are_searched_quickly() {
        let elements: Vec<String> = (0..10_000).map(|i| format!("10.{}.{}.0/24", i / 256, i % 256)).collect();
        let networks = Networks::parse(&elements).unwrap();
        let begun = std::time::Instant::now();
        for i in 0..100_000_u32 {
            let address = IpAddr::from((0x0a00_0001 + i * 64).to_be_bytes());
            assert_eq!(networks.decide(&address), i < 40_000);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_place() {
        for bad in ["10.0.0.0/33", "10.0.0.1/8", "10/8", "2001:db8::/129", "", "x", "10.0.0.0/-1"] {
            let (index, problem) = Networks::parse(&list(&["10.0.0.0/8", bad])).unwrap_err();
            assert_eq!(index, 1, "{problem}");
        }
    }

    #[test]
    fn a_network_can_demand_a_key() {
        let (a, b) = (Name::parse("a").unwrap(), Name::parse("b.example").unwrap());
        let keys = [a.clone(), b.clone()];
        let rules = ["key a", "10.0.0.0/8", "192.0.2.0/24 key b.Example.", "192.0.2.0/24 key a", "!192.0.2.9"];
        let transfers = Transfers::parse(&list(&rules), &keys).unwrap();
        assert!(transfers.decide(ip("10.1.1.1"), None));
        assert!(!transfers.decide(ip("11.1.1.1"), None));
        assert!(transfers.decide(ip("11.1.1.1"), Some(&a)));
        assert!(!transfers.decide(ip("11.1.1.1"), Some(&b)));
        assert!(transfers.decide(ip("192.0.2.1"), Some(&b)) && transfers.decide(ip("192.0.2.1"), Some(&a)));
        assert!(!transfers.decide(ip("192.0.2.1"), None));
        assert!(!transfers.decide(ip("192.0.2.9"), Some(&a)));
        assert!(!Transfers::default().decide(ip("127.0.0.1"), Some(&a)) && Transfers::default().is_nobody());
    }

    #[test]
    fn one_list_covers_another_where_it_allows_as_much() {
        let (a, b) = (Name::parse("a").unwrap(), Name::parse("b").unwrap());
        let covers = |this: &[&str], other: &[&str]| {
            let parse = |elements: &[&str]| Transfers::parse(&list(elements), &[a.clone(), b.clone()]).unwrap();
            parse(this).covers(&parse(other))
        };
        for (this, other) in [
            (&["any"][..], &["10.0.0.0/8", "!10.1.0.0/16"][..]),
            (&["10.0.0.0/8"], &["10.1.0.0/16"]),
            (&["10.0.0.0/8", "!10.1.0.0/16"], &["10.2.0.0/16"]),
            (&["10.0.0.0/8", "!10.1.0.0/16"], &["10.0.0.0/8", "!10.1.0.0/16"]),
            (&["key a", "key b"], &["10.0.0.0/8 key a"]),
            (&["10.0.0.0/8"], &["10.0.0.0/8 key a"]),
            (&[], &[]),
            (&["10.0.0.0/8"], &[]),
        ] {
            assert!(covers(this, other), "{this:?} {other:?}");
        }
        for (this, other) in [
            (&[][..], &["10.0.0.1"][..]),
            (&["10.1.0.0/16"], &["10.0.0.0/8"]),
            (&["10.0.0.0/8", "!10.1.0.0/16"], &["10.0.0.0/8"]),
            (&["10.0.0.0/8 key a"], &["10.0.0.0/8"]),
            (&["key a"], &["key a", "key b"]),
            (&["0.0.0.0/0"], &["any"]),
        ] {
            assert!(!covers(this, other), "{this:?} {other:?}");
        }
    }

    #[test]
    fn bad_rules_are_refused() {
        let keys = [Name::parse("a").unwrap()];
        for bad in [&["key b"][..], &["10.0.0.0/8 a"], &["any key a", "any"], &["key"], &["any key"]] {
            assert!(Transfers::parse(&list(bad), &keys).is_err(), "{bad:?}");
        }
    }
}
