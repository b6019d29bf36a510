//! Addresses that instances are registered at. Each has a name of its own, `192-168-0-42.addr.service.`, and a registry
//! may hold a million of them: all that is kept is the address and its time to live, and the name's records are made
//! when somebody asks ([`super::synthesized`]).

use std::collections::{BTreeMap, HashMap as StdMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;

type HashMap<K, V> = StdMap<K, V, FixedState>;

/// An address that somebody is registered at, and for how many seconds that may be taken for true.
pub type AddressTtl = (IpAddr, u32);

/// The addresses as readers see them, with their times to live.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressTable {
    v4: HashMap<Ipv4Addr, u32>,
    v6: HashMap<Ipv6Addr, u32>,
}

impl AddressTable {
    pub(super) fn get(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.v4.get(&address),
            IpAddr::V6(address) => self.v6.get(&address),
        }
        .copied()
    }

    /// Shows an address, or no longer.
    pub(super) fn set(&mut self, address: IpAddr, ttl: Option<u32>) {
        match (address, ttl) {
            (IpAddr::V4(address), Some(ttl)) => self.v4.insert(address, ttl),
            (IpAddr::V4(address), None) => self.v4.remove(&address),
            (IpAddr::V6(address), Some(ttl)) => self.v6.insert(address, ttl),
            (IpAddr::V6(address), None) => self.v6.remove(&address),
        };
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = AddressTtl> + '_ {
        let v4 = self.v4.iter().map(|(address, ttl)| ((*address).into(), *ttl));
        v4.chain(self.v6.iter().map(|(address, ttl)| ((*address).into(), *ttl)))
    }
}

/// Number of services at each address, for the writer. Services on one host may differ in their times to live: the
/// least shows (RFC 2181 §5.2).
#[derive(Debug, Default)]
pub(super) struct Counts {
    v4: HashMap<Ipv4Addr, Count>,
    v6: HashMap<Ipv6Addr, Count>,
    /// Number of them by time to live, where there are several.
    mixed: HashMap<IpAddr, BTreeMap<u32, u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    ttl: u32,
    count: u32,
}

impl Counts {
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The time to live of an address that somebody is at.
    pub(super) fn ttl(&self, address: IpAddr) -> Option<u32> {
        let count = match address {
            IpAddr::V4(address) => self.v4.get(&address),
            IpAddr::V6(address) => self.v6.get(&address),
        };
        count.map(|count| count.ttl)
    }

    /// Somebody is at an address. Whether that shows.
    pub(super) fn add(&mut self, (address, ttl): AddressTtl) -> bool {
        match address {
            IpAddr::V4(v4) => add(&mut self.v4, &mut self.mixed, v4, address, ttl),
            IpAddr::V6(v6) => add(&mut self.v6, &mut self.mixed, v6, address, ttl),
        }
    }

    /// Somebody is at an address no longer. Whether that shows.
    pub(super) fn remove(&mut self, (address, ttl): AddressTtl) -> bool {
        match address {
            IpAddr::V4(v4) => remove(&mut self.v4, &mut self.mixed, &v4, address, ttl),
            IpAddr::V6(v6) => remove(&mut self.v6, &mut self.mixed, &v6, address, ttl),
        }
    }
}

type Mixed = HashMap<IpAddr, BTreeMap<u32, u32>>;

fn add<K: Hash + Eq>(counts: &mut HashMap<K, Count>, mixed: &mut Mixed, key: K, address: IpAddr, ttl: u32) -> bool {
    let count = counts.entry(key).or_insert(Count { ttl, count: 0 });
    let shows = count.count == 0 || ttl < count.ttl;
    if count.ttl != ttl || (!mixed.is_empty() && mixed.contains_key(&address)) {
        let ttls = mixed.entry(address).or_insert_with(|| BTreeMap::from([(count.ttl, count.count)]));
        *ttls.entry(ttl).or_default() += 1;
        count.ttl = count.ttl.min(ttl);
    }
    count.count += 1;
    shows
}

fn remove<K: Hash + Eq>(counts: &mut HashMap<K, Count>, mixed: &mut Mixed, key: &K, address: IpAddr, ttl: u32) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    let before = count.ttl;
    count.count = count.count.saturating_sub(1);
    if let Some(ttls) = mixed.get_mut(&address) {
        if let Some(of_ttl) = ttls.get_mut(&ttl) {
            *of_ttl = of_ttl.saturating_sub(1);
        }
        ttls.retain(|_, count| *count > 0);
        count.ttl = ttls.keys().next().copied().unwrap_or(count.ttl);
        if ttls.len() < 2 {
            mixed.remove(&address);
        }
    }
    let (is_gone, shows) = (count.count == 0, count.count == 0 || count.ttl != before);
    if is_gone {
        counts.remove(key);
    }
    shows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_there_as_long_as_anybody_is_and_has_the_least_time_to_live() {
        for address in [IpAddr::from([10, 0, 0, 1]), IpAddr::from([1; 16])] {
            let mut counts = Counts::default();
            for (ttl, shows) in [(5, true), (5, false), (3, true), (9, false)] {
                assert_eq!(counts.add((address, ttl)), shows, "{ttl}");
            }
            let mut ttls = vec![counts.ttl(address)];
            for ttl in [5, 3, 9, 5] {
                let shows = counts.remove((address, ttl));
                ttls.push(counts.ttl(address));
                assert_eq!(shows, ttls[ttls.len() - 2] != ttls[ttls.len() - 1], "{ttls:?}");
            }
            assert_eq!(ttls, [Some(3), Some(3), Some(5), Some(5), None]);
            assert!(counts.is_empty() && counts.mixed.is_empty());
        }
    }
}
