//! Part of a zone that its secondaries get: all but the names that are only browsed, unless `transfer_browse` is set.
//!
//! Lists of all services and of all instances (RFC 6763) outgrow what secondaries take (BIND: 100 records of a type at
//! a name) long before anything that clients look up does. Left out are
//! - `_services._dns-sd._udp.<domain>`,
//! - the PTR records at `_api_x._tcp.<domain>` (the SRV records there stay),
//! - the names of single instances below it, which are made on demand ([`super::synthesized`]).
//!
//! What the master file says at such a name is in transfers, whatever the setting.
//!
//! A change of this is no difference between two serials that a journal could tell: the writer forgets the journal and
//! commits, so that secondaries transfer the whole zone.

use std::collections::HashSet;

use super::name::Name;
use super::packed::{Packed, PackedSet};
use super::record::{Record, rtype};
use super::synthesized::{self, SyntheticName};
use super::view::{Entries, View};

/// The part of a zone that is transferred.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transferred {
    /// Names that are only browsed, too.
    pub(super) browse: bool,
    /// Names of their kind at which the master file has PTR records.
    listed: HashSet<Name>,
}

impl Transferred {
    /// Takes what the master file says. The next commit compares it with what was.
    pub(super) fn keep(&mut self, origin: &Name, records: &[Record]) {
        let of_file = records.iter().filter(|record| record.rtype == rtype::PTR).map(|record| &record.owner);
        self.listed = of_file.filter(|owner| is_browsed(origin.wire(), owner.wire())).cloned().collect();
    }

    /// The RRsets of a name that are transferred.
    pub fn sets<'t>(&self, origin: &Name, entry: &'t Packed) -> impl Iterator<Item = PackedSet<'t>> + use<'t> {
        let (is_out, has_pointers) = self.sight(origin, entry);
        entry.listed().filter(move |set| !is_out && (has_pointers || set.rtype != rtype::PTR))
    }

    /// The entries that may have something that is transferred.
    pub fn entries(&self, table: &View) -> Entries {
        if self.browse { table.entries() } else { table.entries().without_instances() }
    }

    /// All records of a name that are transferred.
    pub fn records(&self, origin: &Name, entry: &Packed) -> Vec<Record> {
        self.sets(origin, entry).flat_map(|set| entry.records_of(&set)).collect()
    }

    /// Returns whether a name is left out, and whether its PTR records are not.
    fn sight(&self, origin: &Name, entry: &Packed) -> (bool, bool) {
        if self.browse {
            return (false, true);
        }
        let name = entry.name();
        if entry.is_synthesized() && matches!(synthesized::shape(origin.wire(), name), Some(SyntheticName::Instance(_)))
        {
            return (true, false);
        }
        (false, !is_browsed(origin.wire(), name) || self.listed.contains(name))
    }
}

/// Returns whether the PTR records at a name, in wire form and lower case, are for those who browse: `_api_x._tcp` and
/// `_services._dns-sd._udp` of any domain.
fn is_browsed(origin: &[u8], name: &[u8]) -> bool {
    if !name.ends_with(origin) || name.get(1) != Some(&b'_') {
        return false;
    }
    let above = synthesized::parent(name);
    let above = if name.starts_with(b"\x09_services\x07_dns-sd") { synthesized::parent(above) } else { above };
    above.starts_with(b"\x04_tcp") || above.starts_with(b"\x04_udp")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use crate::model::{Endpoint, Host, Instance, Service};
    use crate::zone::ZoneBuilder;
    use crate::zone::build::build;
    use crate::zone::config::Live;
    use crate::zone::context::Context;
    use crate::zone::journal::Bounds;
    use crate::zone::writer::ZoneWriter;

    fn put(writer: &mut ZoneWriter, path: &str, hosts: &[u8]) {
        let origin = writer.zone().origin().clone();
        let endpoint = |host: &u8| Endpoint { host: Host::V4([10, 0, 0, *host].into()), port: 80 };
        let instances = hosts.iter().map(endpoint).map(|at| Instance::new(&at.to_string(), at)).collect();
        let service = Service { instances, ..Service::default() };
        writer.put(path, build(&Context::new(&origin, 5), path, &service).unwrap().offers);
    }

    /// Records of a full transfer.
    fn present(writer: &ZoneWriter) -> BTreeSet<Record> {
        let (table, zone) = (writer.live(), writer.zone());
        let transferred = zone.transferred();
        table.entries().into_iter().flat_map(|entry| transferred.records(zone.origin(), &entry)).collect()
    }

    fn record(owner: &str, rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: Name::parse(owner).unwrap(), rtype, ttl: 5, rdata: rdata.into() }
    }

    #[test]
    fn secondaries_get_nothing_that_is_only_browsed_but_what_the_file_has() {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        put(&mut writer, "a", &[1, 2]);
        put(&mut writer, "b", &[3]);
        let pointer = b"\x01x\0";
        let of_file = [
            record("_b._tcp.service", rtype::PTR, pointer),
            record("_ipp._tcp.service", rtype::PTR, pointer),
            record("10\\.0\\.0\\.1:80._a._tcp.service", rtype::TXT, b"\x01y"),
        ];
        writer.put_static(of_file.to_vec());
        writer.commit(1);
        let records = present(&writer);
        let owners = |rtype| -> Vec<String> {
            records.iter().filter(|record| record.rtype == rtype).map(|record| record.owner.to_string()).collect()
        };
        assert!(of_file.iter().all(|record| records.contains(record)), "{records:?}");
        assert_eq!(owners(rtype::PTR).len(), 2, "{:?}", owners(rtype::PTR));
        assert_eq!(owners(rtype::TXT).len(), 1, "{:?}", owners(rtype::TXT));
        let services = owners(rtype::SRV);
        assert_eq!(services.iter().filter(|owner| *owner == "_a._tcp.service.").count(), 2, "{services:?}");
        writer.set_live(Live { transfer_browse: true, ..Live::default() });
        assert!(writer.commit(1).is_some(), "another serial");
        let all: BTreeSet<_> = writer.live().entries().into_iter().flat_map(|entry| entry.records()).collect();
        assert_eq!(present(&writer), all);
        assert!(all.iter().any(|record| record.owner.to_string() == "_services._dns-sd._udp.service."));
    }

    /// Services that come and go, names of the file that would be browsed, names that are both, and the setting itself.
    #[test]
    fn what_is_left_out_of_transfers_is_left_out_of_differences() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).journal(Bounds::SECONDARIES).build();
        let (mut history, mut browse, mut differences) = (Vec::new(), false, 0);
        for round in 0..400 {
            for _ in 0..random.usize(1..4) {
                let hosts: Vec<u8> = (0..random.usize(0..4)).map(|_| random.u8(0..4)).collect();
                put(&mut writer, &format!("s{}", random.u8(0..4)), &hosts);
            }
            if random.u8(0..4) == 0 {
                // The second is the name of an instance, too.
                let of_file = [
                    record("_s1._tcp.service", rtype::PTR, b"\x01x\0"),
                    record("10\\.0\\.0\\.1:80._s2._tcp.service", rtype::TXT, b"\x01y"),
                    record("_s3._tcp.service", rtype::TXT, &[1, random.u8(b'a'..b'd')]),
                ];
                let pointers = random.u8(0..6) == 0;
                let of_file =
                    of_file.into_iter().filter(|record| (record.rtype != rtype::PTR || pointers) && random.bool());
                writer.put_static(of_file.collect());
            }
            if random.u8(0..40) == 0 {
                browse = !browse;
                writer.set_live(Live { transfer_browse: browse, ..Live::default() });
            }
            if writer.commit(100).is_none() {
                continue;
            }
            let present = present(&writer);
            for (serial, records) in &history {
                let Some(difference) = writer.zone().difference(*serial) else { continue };
                let mut records: BTreeSet<Record> = Clone::clone(records);
                for record in difference.removed.iter().chain([&difference.old]) {
                    assert!(records.remove(record), "{round}: {record:?} was not there");
                }
                for record in difference.added.iter().chain([&difference.new]) {
                    assert!(records.insert(record.clone()), "{round}: {record:?} was there");
                }
                assert_eq!(records, present, "{round}, from {serial}");
                differences += 1;
            }
            history.push((writer.zone().serial(), present));
            if history.len() > 30 {
                history.remove(0);
            }
        }
        assert!(differences > 1000, "{differences}");
    }

    #[test]
    fn names_that_are_only_browsed_are_known_by_their_shape() {
        let origin = Name::parse("service").unwrap();
        let is = |text: &str| is_browsed(origin.wire(), Name::parse(text).unwrap().wire());
        for browsed in ["_a._tcp.service", "_a._udp.x.service", "_services._dns-sd._udp.service"] {
            assert!(is(browsed), "{browsed}");
        }
        for other in
            ["service", ".", "a.service", "_tcp.service", "a._tcp.service", "_a._tcp.else", "x._a._tcp.service"]
        {
            assert!(!is(other), "{other}");
        }
    }
}
