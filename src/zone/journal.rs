//! The last commits of a zone, bounded, from which the difference between two serials is made (RFC 1995).
//!
//! A commit has the entry of each changed name before and after, both shared with the tables: keeping it costs what it
//! replaced. A difference over several commits is condensed into one step (RFC 1995 §4 allows that): what came and went
//! in between is not in it. A serial that is not in the journal has no difference; its owner needs the whole zone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::commit::{Change, Commit};
use super::name::Name;
use super::packed::{Packed, PackedSet};
use super::record::{Record, rtype};
use super::transferred::Transferred;

/// Limits of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Records, before and after each change together; 0 keeps nothing.
    pub records: usize,
    /// Bytes of their packed entries, likewise.
    pub bytes: usize,
}

impl Bounds {
    /// For a zone that nobody transfers.
    pub const NONE: Self = Self { records: 0, bytes: 0 };

    /// Hours of ordinary change, and not a large part of what a large zone takes.
    pub const SECONDARIES: Self = Self { records: 200_000, bytes: 32 << 20 };
}

/// The last commits of one zone, oldest first; each begins at the serial where the one before it ended.
#[derive(Debug)]
pub struct Journal {
    bounds: Bounds,
    steps: VecDeque<Step>,
    held: Size,
    /// Part of these commits that secondaries get.
    transferred: Arc<Transferred>,
}

#[derive(Debug)]
struct Step {
    from: u32,
    to: u32,
    changes: Arc<[Change]>,
    size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Size {
    records: usize,
    bytes: usize,
}

/// Changes from one serial to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The SOA to start from.
    pub old: Record,
    /// The SOA to arrive at.
    pub new: Record,
    /// Records that go, without the SOA.
    pub removed: Vec<Record>,
    /// Records that come, without the SOA.
    pub added: Vec<Record>,
}

impl Journal {
    /// An empty journal.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, steps: VecDeque::new(), held: Size::default(), transferred: Arc::default() }
    }

    /// Takes a commit in, and drops the oldest ones beyond the bounds.
    pub fn push(&mut self, origin: &Name, commit: &Commit) {
        if !self.is_kept() {
            return;
        }
        let apex = commit.changes.iter().find(|change| change.owner == *origin);
        let serial = |entry: Option<&Packed>| entry.and_then(soa).and_then(|record| record.soa_serial());
        let ends = apex.map(|apex| (serial(apex.old.as_ref()), serial(apex.new.as_ref())));
        let size = commit.changes.iter().map(Size::of).fold(Size::default(), Size::plus);
        let (Some((Some(from), Some(to))), true) = (ends, size.is_within(self.bounds)) else {
            // The beginning of the zone, or too much for differences: the whole zone is as good.
            self.clear();
            return;
        };
        if self.steps.back().is_some_and(|last| last.to != from) {
            self.clear();
        }
        self.held = self.held.plus(size);
        self.steps.push_back(Step { from, to, changes: commit.changes.as_slice().into(), size });
        while !self.held.is_within(self.bounds) {
            let Some(oldest) = self.steps.pop_front() else { return };
            self.held = self.held.minus(oldest.size);
        }
    }

    /// The changes from `serial` to the last commit; none when the journal does not reach back to it.
    pub fn since(&self, serial: u32) -> Option<Past> {
        let first = self.steps.iter().position(|step| step.from == serial)?;
        let steps = self.steps.iter().skip(first).map(|step| Arc::clone(&step.changes)).collect();
        Some(Past { steps, transferred: Arc::clone(&self.transferred) })
    }

    /// Part of the zone that secondaries get.
    pub(super) fn transferred(&self) -> &Arc<Transferred> {
        &self.transferred
    }

    /// From now on secondaries get this of the zone. Where that is something else, nothing leads there from earlier
    /// serials. Returns whether it is.
    pub(super) fn set_transferred(&mut self, transferred: &Transferred) -> bool {
        let is_new = *self.transferred != *transferred;
        if is_new {
            self.transferred = Arc::new(transferred.clone());
            self.clear();
        }
        is_new
    }

    /// Keeps so much from now on. What it had is forgotten where that changes: a zone that is transferred again begins
    /// anew.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        if self.bounds != bounds {
            self.bounds = bounds;
            self.clear();
        }
    }

    /// Returns whether it keeps anything.
    pub(super) fn is_kept(&self) -> bool {
        self.bounds != Bounds::NONE
    }

    /// Forgets everything: nothing leads from earlier serials to the next.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.held = Size::default();
    }
}

/// The changes of several commits, taken out of the journal: whoever condenses them keeps nobody from writing.
#[derive(Debug)]
pub struct Past {
    steps: Vec<Arc<[Change]>>,
    transferred: Arc<Transferred>,
}

impl Past {
    /// One step out of all of them.
    pub fn condense(&self, origin: &Name) -> Option<Difference> {
        // Each name as it was before the first and after the last of the steps that touch it.
        let mut order: Vec<(&Name, Option<&Packed>, Option<&Packed>)> = Vec::new();
        let mut places: HashMap<&Name, usize> = HashMap::new();
        for change in self.steps.iter().flat_map(|changes| changes.iter()) {
            let (old, new) = (change.old.as_ref(), change.new.as_ref());
            let place = *places.entry(&change.owner).or_insert_with(|| {
                order.push((&change.owner, old, new));
                order.len() - 1
            });
            order[place].2 = new;
        }
        let (_, old, new) = *order.get(*places.get(origin)?)?;
        let (old, new) = (soa(old?)?, soa(new?)?);
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (_, old, new) in order {
            let sets = |entry| self.transferred.sets(origin, entry);
            missing((old, new), sets, &mut removed);
            missing((new, old), sets, &mut added);
        }
        Some(Difference { old, new, removed, added })
    }
}

impl Size {
    fn of(change: &Change) -> Self {
        [&change.old, &change.new].into_iter().flatten().fold(Self::default(), |sum, entry| {
            let records = entry.sets().map(|set| set.count).sum();
            sum.plus(Self { records, bytes: entry.size() })
        })
    }

    fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self { records: self.records - other.records, bytes: self.bytes - other.bytes }
    }

    fn is_within(self, bounds: Bounds) -> bool {
        self.records <= bounds.records && self.bytes <= bounds.bytes
    }
}

/// The records, but for the SOA, that `here` has and `there` has not, each with the RRsets that `sets` gives. Times to
/// live belong to them.
fn missing<'t, S: Iterator<Item = PackedSet<'t>>>(
    (here, there): (Option<&'t Packed>, Option<&'t Packed>),
    sets: impl Fn(&'t Packed) -> S,
    out: &mut Vec<Record>,
) {
    let Some(here) = here else { return };
    for set in sets(here).filter(|set| set.rtype != rtype::SOA) {
        let same = there.and_then(|there| sets(there).find(|other| other.rtype == set.rtype));
        let same = same.filter(|other| other.ttl == set.ttl);
        if same.is_some_and(|same| same.body == set.body) {
            continue;
        }
        let mut others: Vec<_> = same.into_iter().flat_map(|set| set.iter()).collect();
        others.sort_unstable();
        let news = set.iter().filter(|rdata| others.binary_search(rdata).is_err());
        out.extend(news.map(|rdata| record(here, &set, &rdata)));
    }
}

fn record(entry: &Packed, set: &PackedSet<'_>, rdata: &[u8]) -> Record {
    let owner = Name::from_wire(entry.name()).map_or_else(Name::root, |(name, _)| name);
    Record { owner, rtype: set.rtype, ttl: set.ttl, rdata: rdata.into() }
}

/// The SOA record of an apex.
pub fn soa(apex: &Packed) -> Option<Record> {
    let set = apex.set(rtype::SOA)?;
    Some(record(apex, &set, &set.iter().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ZoneBuilder;
    use crate::zone::entry::RrSet;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::writer::ZoneWriter;
    use std::collections::BTreeSet;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn writer(bounds: Bounds) -> ZoneWriter {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).journal(bounds).build();
        writer.commit(100).unwrap();
        writer
    }

    fn put(writer: &mut ZoneWriter, owner: &str, hosts: &[u8], ttl: u32) {
        let rdatas = hosts.iter().map(|&host| vec![10, 0, 0, host]).collect();
        let sets = if hosts.is_empty() { Box::default() } else { [RrSet::new(rtype::A, ttl, rdatas)].into() };
        let owner = name(&format!("{owner}.service"));
        writer.put(&owner.to_string(), vec![Offer { owner: owner.clone(), rank: Rank::Real, sets }]);
    }

    fn hosts(records: &[Record]) -> Vec<(String, u8)> {
        // The order of names is nobody's promise.
        let addresses = records.iter().filter(|record| record.rtype == rtype::A);
        let mut hosts: Vec<_> = addresses.map(|record| (record.owner.to_string(), record.rdata[3])).collect();
        hosts.sort();
        hosts
    }

    #[test]
    fn several_steps_are_condensed_into_one() {
        let mut writer = writer(Bounds::SECONDARIES);
        put(&mut writer, "a", &[1, 2], 5);
        writer.commit(101);
        put(&mut writer, "b", &[9], 5);
        writer.commit(102);
        put(&mut writer, "a", &[2, 3], 5);
        put(&mut writer, "b", &[], 5);
        writer.commit(103);
        let since = |serial| writer.zone().difference(serial);
        let all = since(100).unwrap();
        assert!(all.removed.is_empty(), "{all:?}");
        assert_eq!(hosts(&all.added), [("a.service.".into(), 2), ("a.service.".into(), 3)]);
        let last = since(102).unwrap();
        assert_eq!(hosts(&last.removed), [("a.service.".into(), 1), ("b.service.".into(), 9)]);
        assert_eq!(hosts(&last.added), [("a.service.".into(), 3)]);
        assert_eq!((last.old.soa_serial(), last.new.soa_serial()), (Some(102), Some(103)));
        assert_eq!(since(103), None, "nothing leads from the present");
        assert_eq!(since(7), None);
    }

    #[test]
    fn a_new_time_to_live_replaces_the_whole_set() {
        let mut writer = writer(Bounds::SECONDARIES);
        put(&mut writer, "a", &[1, 2], 5);
        writer.commit(101);
        put(&mut writer, "a", &[1, 2], 6);
        writer.commit(102);
        let difference = writer.zone().difference(101).unwrap();
        assert_eq!((difference.removed.len(), difference.added.len()), (2, 2));
        assert!(difference.removed.iter().all(|record| record.ttl == 5));
    }

    #[test]
    fn the_oldest_commits_go_and_what_is_too_large_empties_it() {
        let mut writer = writer(Bounds { records: 12, bytes: 10_000 });
        for host in 0..20 {
            put(&mut writer, "a", &[host], 5);
            writer.commit(101 + u64::from(host));
        }
        assert_eq!(writer.zone().difference(101), None);
        assert!(writer.zone().difference(119).is_some());
        put(&mut writer, "b", &(0..50).collect::<Vec<_>>(), 5);
        writer.commit(200);
        assert_eq!(writer.zone().difference(119), None);
        assert_eq!(writer.zone().difference(120), None);
    }

    #[test]
    fn a_zone_that_nobody_transfers_keeps_nothing() {
        let mut writer = writer(Bounds::NONE);
        put(&mut writer, "a", &[1], 5);
        writer.commit(101);
        assert_eq!(writer.zone().difference(100), None);
    }

    /// A host: nowhere, at an address, pointed to because nobody knows one, or an alias and nothing else.
    fn put_host(writer: &mut ZoneWriter, owner: &str, state: u8) {
        let of = |rtype, rdata: &[u8]| RrSet::new(rtype, 5, vec![rdata.to_vec()]);
        let (cname, srv) = (of(rtype::CNAME, b"\x01h\0"), of(rtype::SRV, b"\0\0\0\x0a\0\x01\x01h\0"));
        let sets: Box<[RrSet]> = match state {
            0 => Box::default(),
            1 => [of(rtype::A, &[10, 0, 0, 1]), srv].into(),
            2 => [cname, srv].into(),
            _ => [cname].into(),
        };
        writer.put(owner, vec![Offer { owner: name(&format!("{owner}.service")), rank: Rank::Real, sets }]);
    }

    /// From every serial of a random history, the difference applied to the records of that serial gives today's: those
    /// of a transfer, without any CNAME beside other data (RFC 1034 §3.6.2, RFC 2181 §10.1).
    #[test]
    fn every_difference_applied_gives_the_present() {
        let mut random = fastrand::Rng::with_seed(1995);
        let mut writer = writer(Bounds::SECONDARIES);
        let records = |writer: &ZoneWriter| -> BTreeSet<Record> {
            writer.live().entries().into_iter().flat_map(|entry| entry.records()).collect()
        };
        let mut history = vec![(writer.zone().serial(), records(&writer))];
        for _ in 0..200 {
            for _ in 0..random.usize(1..4) {
                let hosts: Vec<u8> = (0..random.usize(0..4)).map(|_| random.u8(0..5)).collect();
                put(&mut writer, &format!("s{}", random.u8(0..8)), &hosts, random.u32(5..7));
                put_host(&mut writer, &format!("h{}", random.u8(0..4)), random.u8(0..4));
            }
            if writer.commit(100).is_some() {
                history.push((writer.zone().serial(), records(&writer)));
            }
        }
        let (_, present) = history.pop().unwrap();
        assert!(history.len() > 150);
        let is_lone =
            |records: &BTreeSet<Record>, owner: &Name| records.iter().filter(|one| one.owner == *owner).count() == 1;
        for (serial, mut records) in history {
            let mut aliases = records.iter().filter(|record| record.rtype == rtype::CNAME);
            assert!(aliases.all(|alias| is_lone(&records, &alias.owner)), "{serial}");
            let difference = writer.zone().difference(serial).unwrap();
            for record in difference.removed.iter().chain([&difference.old]) {
                assert!(records.remove(record), "{serial}: {record:?} was not there");
            }
            for record in difference.added.iter().chain([&difference.new]) {
                assert!(records.insert(record.clone()), "{serial}: {record:?} was there");
            }
            assert_eq!(records, present, "{serial}");
        }
    }
}
