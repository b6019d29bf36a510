//! The one writer of a zone: collects what services and the master file offer, decides what each name shows, and makes
//! the difference visible in one step, under a new serial.
//!
//! One changed service costs what that service costs, whatever the size of the zone: its former offers are withdrawn,
//! the new ones made, and only the owners they touch are looked at again.
//!
//! The rule for one owner: what the master file says of a type replaces what the registry says of it; a CNAME there
//! replaces everything. A real znode hides everything derived, that every part of a service, and that every alias
//! ([`Rank`]). What the zone itself has (its name server) fills the types that nobody else has. A name exists as long as
//! something is offered at it or below.

use std::collections::{BTreeSet, HashMap as StdMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::build::{Offer, Rank, Sets};
use super::entry::{Entry, RrSet};
use super::index::{Cuts, Edit, IndexWriter, Table};
use super::name::Name;
use super::packed::{Addresses, Packed, srv_target};
use super::record::{Record, rtype};
use super::records::address::address_of;
use super::slot::Slot;
use super::{Zone, serial};

/// Keys come from the registry, as in [`super::index`]: a fixed seed harms nobody.
type HashMap<K, V> = StdMap<K, V, FixedState>;

/// The writer of one zone.
#[derive(Debug)]
pub struct ZoneWriter {
    zone: Arc<Zone>,
    index: IndexWriter,
    slots: HashMap<Name, Slot>,
    /// The owners each source offers something at.
    sources: HashMap<Arc<str>, Box<[Name]>>,
    touched: HashSet<Name, FixedState>,
    soa: Soa,
    /// Whether the master file says anything of an `addr` name.
    static_addresses: bool,
    /// Hosts in the zone whose addresses are packed with SRV records, and with whose; `targets` is the same the other
    /// way round. The `addr` names are not among them: their addresses never change.
    dependents: HashMap<Name, BTreeSet<Name>>,
    targets: HashMap<Name, Vec<Name>>,
    /// The zone's own name server, and its SOA, as they are when no file says another.
    base: (Vec<Offer>, Soa),
}

/// The start of authority, but for its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// Time to live of the record itself, in seconds.
    pub ttl: u32,
    /// The primary name server.
    pub mname: Name,
    /// The mailbox of the one responsible, as a name.
    pub rname: Name,
    /// The last serial, and the least the next one may follow.
    pub serial: u32,
    /// Seconds between a secondary's checks.
    pub refresh: u32,
    /// Seconds until a secondary tries a failed check again.
    pub retry: u32,
    /// Seconds after which a secondary without contact gives the zone up.
    pub expire: u32,
    /// Time to live of negative answers (RFC 2308 §4), in seconds.
    pub minimum: u32,
}

impl Soa {
    fn rdata(&self) -> Vec<u8> {
        let mut rdata = [self.mname.wire(), self.rname.wire()].concat();
        for field in [self.serial, self.refresh, self.retry, self.expire, self.minimum] {
            rdata.extend_from_slice(&field.to_be_bytes());
        }
        rdata
    }

    /// Reads the data of an SOA record.
    pub fn from_record(record: &Record) -> Option<Self> {
        let (mname, length) = Name::from_wire(&record.rdata)?;
        let (rname, more) = Name::from_wire(&record.rdata[length..])?;
        let numbers: [u8; 20] = record.rdata[length + more..].try_into().ok()?;
        let field = |i: usize| u32::from_be_bytes([numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]]);
        let [serial, refresh, retry, expire, minimum] = [0, 4, 8, 12, 16].map(field);
        Some(Self { ttl: record.ttl, mname, rname, serial, refresh, retry, expire, minimum })
    }
}

/// What a commit changed.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The zone's serial from now on.
    pub serial: u32,
    /// Each name whose records are different, with its entry before and after.
    pub changes: Vec<Change>,
}

/// A name's entry before and after a commit; none where the name did, or does, not exist.
#[derive(Debug, Clone)]
pub struct Change {
    /// The name.
    pub owner: Name,
    /// Before.
    pub old: Option<Packed>,
    /// After.
    pub new: Option<Packed>,
}

/// The sources under which the master file's records and the zone's own are offered. No path begins with a slash.
const STATIC: &str = "/static";
const BASE: &str = "/base";

impl ZoneWriter {
    /// The writer of a new zone that is empty, not even its apex there, until the first [`Self::commit`].
    pub(super) fn new(zone: Arc<Zone>, index: IndexWriter, soa: Soa, base: Vec<Offer>) -> Self {
        let touched = HashSet::from_iter([zone.origin().clone()]);
        let (slots, sources, base) = (HashMap::default(), HashMap::default(), (base, soa.clone()));
        let (dependents, targets) = (HashMap::default(), HashMap::default());
        let static_addresses = false;
        let mut writer =
            Self { zone, index, slots, sources, touched, soa, static_addresses, dependents, targets, base };
        writer.put_static(Vec::new());
        writer
    }

    /// The zone it writes.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// Replaces what the master file says. The SOA among the records, if any, replaces the zone's, but for a serial that
    /// would go back; name servers at the apex replace the zone's own.
    pub fn put_static(&mut self, records: Vec<Record>) {
        let origin = self.zone.origin().clone();
        let is_apex = |record: &Record, rtype| record.rtype == rtype && record.owner == origin;
        let own_servers = !records.iter().any(|record| is_apex(record, rtype::NS));
        let soa = records.iter().find(|record| is_apex(record, rtype::SOA)).and_then(Soa::from_record);
        let soa = soa.unwrap_or_else(|| self.base.1.clone());
        let serial = if serial::is_after(soa.serial, self.soa.serial) { soa.serial } else { self.soa.serial };
        self.soa = Soa { serial, ..soa };
        self.static_addresses = records.iter().any(|record| address_of(&origin, &record.owner).is_some());
        self.touched.insert(origin);
        // A host at an `addr` name that the file speaks of, or no longer speaks of, may be packed with anybody's records.
        let is_addr = |owner: &Name| address_of(self.zone.origin(), owner).is_some();
        let before = self.sources.get(STATIC).into_iter().flatten();
        if before.chain(records.iter().map(|record| &record.owner)).any(is_addr) {
            self.touched.extend(self.slots.keys().cloned());
        }
        let mut owners: HashMap<Name, Sets> = HashMap::default();
        for record in records.into_iter().filter(|record| record.rtype != rtype::SOA) {
            owners.entry(record.owner).or_default().add(record.rtype, record.ttl, record.rdata.into_vec());
        }
        let offers = owners
            .into_iter()
            .map(|(owner, sets)| Offer { owner, rank: Rank::Static, sets: sets.into_sets() })
            .collect();
        self.put(STATIC, offers);
        self.put(BASE, if own_servers { self.base.0.clone() } else { Vec::new() });
    }

    /// Replaces everything that `source` (a service's path) offers, each owner once; nothing is visible before
    /// [`Self::commit`]. A name at which it offers what it did is not looked at again.
    pub fn put(&mut self, source: &str, offers: Vec<Offer>) {
        let (source, before) = self.sources.remove_entry(source).unwrap_or_else(|| (source.into(), Box::default()));
        let owners: Box<[Name]> = offers.iter().map(|offer| offer.owner.clone()).collect();
        if !before.is_empty() {
            let kept: HashSet<&Name> = owners.iter().collect();
            before.iter().filter(|owner| !kept.contains(owner)).for_each(|owner| self.withdraw(&source, owner));
        }
        for offer in offers {
            self.offer(&source, offer);
        }
        if !owners.is_empty() {
            self.sources.insert(source, owners);
        }
    }

    /// The paths of all services that offer something.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(|source| &**source).filter(|source| !source.starts_with('/'))
    }

    fn offer(&mut self, source: &Arc<str>, Offer { owner, rank, sets }: Offer) {
        let slot = self.slots.entry(owner.clone()).or_default();
        let first = slot.is_empty();
        if slot.put(source, rank, sets) {
            if first {
                self.count_ancestors(&owner, |below| below + 1);
            }
            self.touched.insert(owner);
        }
    }

    fn withdraw(&mut self, source: &Arc<str>, owner: &Name) {
        let Some(slot) = self.slots.get_mut(owner) else { return };
        slot.remove(source);
        if slot.is_empty() {
            if slot.below == 0 {
                self.slots.remove(owner);
            }
            self.count_ancestors(owner, |below| below - 1);
        }
        self.touched.insert(owner.clone());
    }

    /// Something begins or ceases to be offered at `owner`: every name between it and the apex has one more, or one
    /// less, below it.
    fn count_ancestors(&mut self, owner: &Name, count: impl Fn(u32) -> u32) {
        let mut name = owner.clone();
        while name != *self.zone.origin() {
            let Some(parent) = name.parent() else { return };
            let slot = self.slots.entry(parent.clone()).or_default();
            slot.below = count(slot.below);
            if slot.below == 0 && slot.is_empty() {
                self.slots.remove(&parent);
            }
            // It came into being, or ceased to be, with what is below it.
            self.touched.insert(parent.clone());
            name = parent;
        }
    }

    /// Makes everything put since the last commit visible in one step. Nothing happens, and the serial stays, when no
    /// record is different. `unix` is the time in seconds.
    pub fn commit(&mut self, unix: u64) -> Option<Commit> {
        let mut touched = std::mem::take(&mut self.touched);
        let dependents: Vec<Name> =
            touched.iter().filter_map(|name| self.dependents.get(name)).flatten().cloned().collect();
        touched.extend(dependents);
        let mut changes = self.changes(touched.into_iter().collect());
        if changes.is_empty() {
            return None;
        }
        self.soa.serial = serial::next(self.soa.serial, unix);
        // The apex goes along in every commit: it holds the serial.
        let origin = self.zone.origin().clone();
        changes.retain(|change| change.owner != origin);
        changes.extend(self.changes(vec![origin]));
        let edits: Vec<Edit> = changes.iter().map(|change| (change.owner.clone(), change.new.clone())).collect();
        let cuts = self.cuts_after(&changes);
        let apex = changes.last().and_then(|change| change.new.clone());
        let commit = Commit { serial: self.soa.serial, changes };
        // First the journal: whoever has seen the new serial finds the way to it there.
        self.zone.record(&commit);
        self.index.commit(edits, cuts, apex);
        self.zone.set_serial(self.soa.serial);
        Some(commit)
    }

    /// What has become of these names, as far as anything has. The first sight of a large registry is shared out among
    /// the processors.
    fn changes(&mut self, touched: Vec<Name>) -> Vec<Change> {
        let mut seen: Vec<Seen> = Vec::with_capacity(touched.len());
        if touched.len() < WORTH_THREADS {
            seen.extend(touched.into_iter().map(|owner| self.seen(owner)));
        } else {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let writer = &*self;
            std::thread::scope(|scope| {
                let share = |names: &[Name]| names.iter().cloned().map(|owner| writer.seen(owner)).collect::<Vec<_>>();
                let shares = touched.chunks(touched.len().div_ceil(threads));
                let working: Vec<_> = shares.map(|names| scope.spawn(move || share(names))).collect();
                for thread in working {
                    // A panic there is a panic here, as if the work had not been shared out.
                    seen.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                }
            });
        }
        let mut changes = Vec::with_capacity(seen.len());
        for Seen { change, targets } in seen {
            self.depend(&change.owner, targets);
            if change.old != change.new {
                changes.push(change);
            }
        }
        changes
    }

    /// What is and what was to be seen at `owner`.
    fn seen(&self, owner: Name) -> Seen {
        let old = self.index.live().get(owner.wire()).cloned();
        let entry = self.visible(&owner);
        let targets = self.targets_of(entry.as_ref());
        let new = entry.map(|entry| Packed::new(&entry, &mut |target| self.addresses(target)));
        Seen { change: Change { owner, old, new }, targets }
    }

    /// The addresses of a host that an SRV record names. That of an `addr` name is in the name, unless the master file
    /// says something of it; any other host in the zone is looked up, and remembered by [`Self::depend`].
    fn addresses(&self, target: &[u8]) -> Addresses {
        let Some((name, _)) = Name::from_wire(&target.to_ascii_lowercase()) else { return Addresses::default() };
        let mut addresses = Addresses::default();
        if let Some(address) = self.plain_address(&name) {
            match address {
                IpAddr::V4(address) => addresses.v4.push(address),
                IpAddr::V6(address) => addresses.v6.push(address),
            }
        } else if name.is_at_or_below(self.zone.origin())
            && let Some(entry) = self.visible(&name)
        {
            let data = |rtype| entry.set(rtype).into_iter().flat_map(RrSet::iter);
            addresses.v4 = data(rtype::A).filter_map(|rdata| <[u8; 4]>::try_from(rdata).ok()).map(Into::into).collect();
            addresses.v6 =
                data(rtype::AAAA).filter_map(|rdata| <[u8; 16]>::try_from(rdata).ok()).map(Into::into).collect();
        }
        addresses
    }

    /// The address that an `addr` name stands for, where nobody says anything else of it.
    fn plain_address(&self, name: &Name) -> Option<IpAddr> {
        let address = address_of(self.zone.origin(), name)?;
        if !self.static_addresses {
            return Some(address);
        }
        (!self.slots.get(name).is_some_and(|slot| slot.has(Rank::Static))).then_some(address)
    }

    /// The names whose addresses are packed with an entry's SRV records and may change.
    fn targets_of(&self, entry: Option<&Entry>) -> Vec<Name> {
        entry
            .and_then(|entry| entry.set(rtype::SRV))
            .into_iter()
            .flat_map(RrSet::iter)
            .filter_map(|rdata| Name::from_wire(&srv_target(rdata).to_ascii_lowercase()))
            .map(|(target, _)| target)
            .filter(|target| target.is_at_or_below(self.zone.origin()) && self.plain_address(target).is_none())
            .collect()
    }

    /// Remembers that the addresses of `targets` are packed with the SRV records of `owner`, so that it is packed anew
    /// with them.
    fn depend(&mut self, owner: &Name, targets: Vec<Name>) {
        for target in self.targets.remove(owner).unwrap_or_default() {
            if let Some(dependents) = self.dependents.get_mut(&target) {
                dependents.remove(owner);
                if dependents.is_empty() {
                    self.dependents.remove(&target);
                }
            }
        }
        for target in &targets {
            self.dependents.entry(target.clone()).or_default().insert(owner.clone());
        }
        if !targets.is_empty() {
            self.targets.insert(owner.clone(), targets);
        }
    }

    /// What `owner` shows: the rule of the module's text.
    fn visible(&self, owner: &Name) -> Option<Entry> {
        let apex = owner == self.zone.origin();
        let slot = self.slots.get(owner);
        if slot.is_none() && !apex {
            return None;
        }
        let mut sets = slot.map(Slot::sets).unwrap_or_default();
        if apex {
            sets.retain(|set| set.rtype != rtype::SOA);
            sets.push(RrSet::new(rtype::SOA, self.soa.ttl, vec![self.soa.rdata()]));
        }
        sets.sort_by_key(|set| set.rtype);
        Some(Entry { owner: owner.clone(), sets: sets.into() })
    }

    /// How many delegations and wildcards the zone has after `changes`.
    fn cuts_after(&self, changes: &[Change]) -> Cuts {
        let mut cuts = self.index.live().cuts();
        for change in changes {
            let is_wildcard = change.owner.labels().next() == Some(b"*");
            let is_cut = |entry: &Packed| change.owner != *self.zone.origin() && entry.set(rtype::NS).is_some();
            if let Some(old) = &change.old {
                cuts.delegations -= u32::from(is_cut(old));
                cuts.wildcards -= u32::from(is_wildcard);
            }
            if let Some(new) = &change.new {
                cuts.delegations += u32::from(is_cut(new));
                cuts.wildcards += u32::from(is_wildcard);
            }
        }
        cuts
    }

    /// The live state, for those who compare.
    pub fn live(&self) -> arc_swap::Guard<Arc<Table>> {
        self.index.live()
    }
}

/// What was found at one name.
struct Seen {
    change: Change,
    /// See [`ZoneWriter::targets_of`].
    targets: Vec<Name>,
}

/// From how many names on it is worth while to start threads.
const WORTH_THREADS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{Freshness, ZoneBuilder};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn offer(owner: &str, rank: Rank, last: u8) -> Offer {
        Offer { owner: name(owner), rank, sets: [RrSet::new(rtype::A, 5, vec![vec![10, 0, 0, last]])].into() }
    }

    fn writer() -> ZoneWriter {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        assert_eq!(writer.zone().freshness(), Freshness::Loading);
        writer.commit(100).unwrap();
        writer
    }

    fn shows(writer: &ZoneWriter, owner: &str) -> Option<Vec<u8>> {
        let live = writer.live();
        let entry = live.get(name(owner).wire())?;
        Some(entry.sets().flat_map(|set| set.iter()).map(|rdata| rdata[3]).collect())
    }

    #[test]
    fn names_come_with_their_empty_non_terminals_and_go_with_them() {
        let mut writer = writer();
        writer.put("x/a", vec![offer("a.b.c.service", Rank::Real, 1)]);
        writer.put("x/d", vec![offer("d.c.service", Rank::Real, 2)]);
        writer.commit(101).unwrap();
        assert_eq!(shows(&writer, "c.service"), Some(vec![]));
        assert_eq!(shows(&writer, "b.c.service"), Some(vec![]));
        writer.put("x/a", vec![]);
        writer.commit(102).unwrap();
        assert_eq!(shows(&writer, "a.b.c.service"), None);
        assert_eq!(shows(&writer, "b.c.service"), None);
        assert_eq!(shows(&writer, "c.service"), Some(vec![]));
        writer.put("x/d", vec![]);
        writer.commit(103).unwrap();
        assert_eq!(shows(&writer, "c.service"), None);
        assert_eq!(writer.live().len(), 2, "the apex and its name server stay");
        assert_eq!(writer.slots.values().map(|slot| slot.below).sum::<u32>(), 1, "{:?}", writer.slots);
    }

    #[test]
    fn a_name_under_a_service_keeps_its_own_records_when_that_goes() {
        let mut writer = writer();
        writer.put("a", vec![offer("a.service", Rank::Real, 1)]);
        writer.put("a/b", vec![offer("b.a.service", Rank::Real, 2)]);
        writer.commit(101);
        writer.put("a/b", vec![]);
        writer.commit(102);
        assert_eq!(shows(&writer, "a.service"), Some(vec![1]));
        assert_eq!(shows(&writer, "b.a.service"), None);
    }

    #[test]
    fn a_commit_that_changes_nothing_moves_no_serial() {
        let mut writer = writer();
        writer.put("a", vec![offer("a.service", Rank::Real, 1)]);
        let first = writer.commit(200).unwrap();
        assert_eq!(first.serial, 200);
        assert_eq!(first.changes.len(), 2, "the name and the apex");
        writer.put("a", vec![offer("a.service", Rank::Real, 1)]);
        assert!(writer.commit(300).is_none());
        writer.put("a", vec![offer("a.service", Rank::Real, 2)]);
        assert_eq!(writer.commit(200).unwrap().serial, 201);
    }

    #[test]
    fn a_shared_name_stays_until_the_last_who_offers_it_goes() {
        let mut writer = writer();
        for source in ["a", "b"] {
            writer.put(source, vec![offer("10-0-0-1.addr.service", Rank::Derived, 1)]);
        }
        writer.commit(101);
        writer.put("a", vec![]);
        assert!(writer.commit(102).is_none(), "the other still offers the same");
        writer.put("b", vec![]);
        writer.commit(103).unwrap();
        assert_eq!(shows(&writer, "10-0-0-1.addr.service"), None);
    }

    #[test]
    fn a_real_znode_hides_what_is_derived_and_the_file_goes_before_both() {
        let mut writer = writer();
        writer.put("alias", vec![offer("api-x.service", Rank::Derived, 1)]);
        writer.commit(101);
        assert_eq!(shows(&writer, "api-x.service"), Some(vec![1]));
        writer.put("real", vec![offer("api-x.service", Rank::Real, 2)]);
        writer.commit(102);
        assert_eq!(shows(&writer, "api-x.service"), Some(vec![2]));
        let fixed =
            |last| Record { owner: name("api-x.service"), rtype: rtype::A, ttl: 5, rdata: [10, 0, 0, last].into() };
        writer.put_static(vec![fixed(3)]);
        writer.commit(103);
        assert_eq!(shows(&writer, "api-x.service"), Some(vec![3]));
        writer.put_static(vec![]);
        writer.put("real", vec![]);
        writer.commit(104);
        assert_eq!(shows(&writer, "api-x.service"), Some(vec![1]));
    }

    fn srv(owner: &str, target: &str) -> Offer {
        let rdata = [&[0; 6], name(target).wire()].concat();
        Offer { owner: name(owner), rank: Rank::Real, sets: [RrSet::new(rtype::SRV, 5, vec![rdata])].into() }
    }

    /// The last octets of the addresses packed with the SRV records of `owner`.
    fn glue(writer: &ZoneWriter, owner: &str) -> Vec<u8> {
        let live = writer.live();
        let set = live.get(name(owner).wire()).and_then(|entry| entry.set(rtype::SRV));
        set.into_iter().flat_map(|set| set.glue()).flat_map(|glue| glue.v4.chunks(4).map(|v4| v4[3])).collect()
    }

    #[test]
    fn addresses_packed_with_srv_records_follow_their_host() {
        let mut writer = writer();
        writer.put("a", vec![srv("a.service", "host.service")]);
        writer.put("b", vec![srv("b.service", "10-0-0-9.addr.service")]);
        writer.commit(101);
        assert_eq!((glue(&writer, "a.service"), glue(&writer, "b.service")), (vec![], vec![9]));
        writer.put("host", vec![offer("host.service", Rank::Real, 1)]);
        writer.commit(102);
        assert_eq!(glue(&writer, "a.service"), [1]);
        writer.put("host", vec![offer("host.service", Rank::Real, 2)]);
        writer.commit(103);
        assert_eq!(glue(&writer, "a.service"), [2]);
        writer.put("a", vec![]);
        writer.commit(104);
        assert!(writer.dependents.is_empty() && writer.targets.is_empty());

        let fixed =
            Record { owner: name("10-0-0-9.addr.service"), rtype: rtype::A, ttl: 5, rdata: [10, 0, 0, 7].into() };
        writer.put_static(vec![fixed]);
        writer.commit(105);
        assert_eq!(glue(&writer, "b.service"), [7], "the master file goes before the name");
        writer.put_static(vec![]);
        writer.commit(106);
        assert_eq!(glue(&writer, "b.service"), [9]);
    }

    #[test]
    fn the_files_serial_never_takes_the_zone_back() {
        let mut writer = writer();
        let rdata = [b"\x02ns\x07service\0\x01h\x07service\0".as_slice(), &[0, 0, 0, 7], &[0; 16]].concat();
        writer.put_static(vec![Record { owner: name("service"), rtype: rtype::SOA, ttl: 60, rdata: rdata.into() }]);
        assert_eq!(writer.commit(50).unwrap().serial, 101);
        assert_eq!(writer.zone().serial(), 101);
    }
}
