//! RRsets under construction. There is one for nearly every name of a registry, and as many records as instances: the
//! data of a set stand in one buffer while they come in, and none has a heap block of its own.

use std::net::IpAddr;

use super::entry::RrSet;
use super::order::Preference;
use super::record::rtype;

/// RRsets under construction, by type. Records of one set share the smallest of their times to live (RFC 2181 §5.2).
#[derive(Debug, Default)]
pub(super) struct RrSetBuilder(Vec<OpenSet>);

#[derive(Debug)]
struct OpenSet {
    rtype: u16,
    ttl: u32,
    /// The records' data, one behind the other, and where each ends.
    data: Vec<u8>,
    ends: Vec<usize>,
    /// Preference of each, as far as something was said of it.
    preferences: Vec<Option<Preference>>,
}

impl RrSetBuilder {
    /// Adds a record.
    pub(super) fn add(&mut self, rtype: u16, ttl: u32, rdata: &[u8]) {
        self.write(rtype, ttl, |data| data.extend_from_slice(rdata));
    }

    /// Adds an address record of a host.
    pub(super) fn add_address(&mut self, ttl: u32, address: IpAddr) {
        self.add_preferred(ttl, address, None);
    }

    /// Adds an address record, and what it is chosen by.
    pub(super) fn add_preferred(&mut self, ttl: u32, address: IpAddr, preference: Option<Preference>) {
        match address {
            IpAddr::V4(address) => self.grow(rtype::A, ttl, preference, |data| data.extend(address.octets())),
            IpAddr::V6(address) => self.grow(rtype::AAAA, ttl, preference, |data| data.extend(address.octets())),
        }
    }

    /// Adds all records of a set; `preference` is that of addresses of which the set says nothing.
    pub(super) fn add_all(&mut self, set: &RrSet, preference: Option<Preference>) {
        for (place, rdata) in set.iter().enumerate() {
            let own = set.preferences().and_then(|all| all.get(place)).copied();
            self.add_one(set, rdata, own.or(preference));
        }
    }

    /// Adds one record of a set, and what it is chosen by.
    pub(super) fn add_one(&mut self, set: &RrSet, rdata: &[u8], preference: Option<Preference>) {
        self.grow(set.rtype, set.ttl, preference, |data| data.extend_from_slice(rdata));
    }

    /// Adds a record whose data `write` appends.
    pub(super) fn write(&mut self, rtype: u16, ttl: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.grow(rtype, ttl, None, write);
    }

    fn grow(&mut self, rtype: u16, ttl: u32, preference: Option<Preference>, write: impl FnOnce(&mut Vec<u8>)) {
        // A name has a handful of types at most.
        let place = self.0.iter().position(|set| set.rtype == rtype).unwrap_or_else(|| {
            self.0.push(OpenSet { rtype, ttl, data: Vec::new(), ends: Vec::new(), preferences: Vec::new() });
            self.0.len() - 1
        });
        let set = &mut self.0[place];
        set.ttl = set.ttl.min(ttl);
        write(&mut set.data);
        set.ends.push(set.data.len());
        if matches!(rtype, rtype::A | rtype::AAAA) {
            set.preferences.push(preference);
        }
    }

    /// The sets, in the order of their types.
    pub(super) fn into_sets(mut self) -> Box<[RrSet]> {
        self.0.sort_unstable_by_key(|set| set.rtype);
        self.0.iter().map(OpenSet::finish).collect()
    }
}

impl OpenSet {
    fn finish(&self) -> RrSet {
        let mut begin = 0;
        let rdatas = self.ends.iter().map(|&end| &self.data[std::mem::replace(&mut begin, end)..end]);
        if self.preferences.is_empty() {
            return RrSet::new(self.rtype, self.ttl, rdatas.collect());
        }
        RrSet::of_addresses(self.rtype, self.ttl, rdatas.zip(self.preferences.iter().copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_type_share_the_least_time_to_live_and_types_are_in_order() {
        let mut sets = RrSetBuilder::default();
        sets.add(rtype::TXT, 9, b"\x01x");
        for (ttl, last) in [(5, 2), (3, 1), (7, 2)] {
            sets.add_address(ttl, [10, 0, 0, last].into());
        }
        sets.add(rtype::TXT, 9, b"");
        let of = |rtype, ttl, rdatas: &[&[u8]]| RrSet::new(rtype, ttl, rdatas.to_vec());
        let a = of(rtype::A, 3, &[&[10, 0, 0, 1], &[10, 0, 0, 2]]);
        assert_eq!(*sets.into_sets(), [a, of(rtype::TXT, 9, &[b"", b"\x01x"])]);
        assert!(RrSetBuilder::default().into_sets().is_empty());
    }
}
