//! The names of a zone, for many readers and one writer: every reader sees one state of the whole zone, an update costs
//! the same at any size, and neither waits for the other.
//!
//! Two tables take turns. Readers load the one that is live; the writer changes the spare, makes it live, and repeats
//! the same changes in the old one the next time. A reader that still holds the old table at that time (none does
//! between packets) costs the writer a copy of the table.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher as _};

use super::addresses::{AddressTable, AddressTtl};
use super::exceptions::Exceptions;
use super::hash_table::{Bucket, Hashed};
use super::name::Name;
use super::packed::Packed;
use super::watch::Watch;

/// A change to one name: its new entry, or none when it is gone.
pub type Edit = (Name, Option<Packed>);

/// Changes of one commit.
#[derive(Debug, Default)]
pub struct Edits {
    /// Entries that are held.
    pub names: Vec<Edit>,
    /// Addresses that have names, with their times to live; none for one that is gone.
    pub addresses: Vec<(IpAddr, Option<u32>)>,
    /// Exceptions that look-ups have to watch for from now on.
    pub exceptions: Exceptions,
    /// The names that make them do so, where those are others than before.
    pub watch: Option<Arc<Watch>>,
    /// The apex' entry.
    pub apex: Option<Packed>,
    /// Names that have an entry held and would be made as well.
    pub shadowed: usize,
}

/// One state of a zone's names: the entries that are held, and what others are made of.
#[derive(Debug, Clone, Default)]
pub struct Table {
    entries: Hashed,
    /// Entries that are not the answer to a question about their names, as those lie at or below a cut
    /// ([`Watch::shades`]): beside the others, so that these need not be asked for it.
    shaded: Hashed,
    watch: Arc<Watch>,
    addresses: AddressTable,
    /// Instances packed with entries.
    instances: usize,
    shadowed: usize,
    exceptions: Exceptions,
    apex: Option<Packed>,
}

impl Table {
    /// The entry held under a name, given in wire form and lower case, whose [`hash`] is known.
    pub(super) fn held(&self, hash: u64, name: &[u8]) -> Option<&Packed> {
        let shaded = || if self.shaded.len() == 0 { None } else { self.shaded.get(hash, name) };
        self.entries.get(hash, name).or_else(shaded)
    }

    /// The same, where the name lies at and below no cut.
    #[inline]
    pub(super) fn held_in_light(&self, hash: u64, name: &[u8]) -> Option<&Packed> {
        self.entries.get(hash, name)
    }

    /// The names that a look-up has to watch for.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The likely entry of the name with this [`hash`], and its length: nothing of it is read, so that its
    /// memory can be asked for first.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<(&Packed, u32)> {
        self.entries.candidate(hash)
    }

    /// The memory that [`Self::candidate`] will read.
    #[inline]
    pub(super) fn near(&self, hash: u64) -> Option<&Bucket> {
        self.entries.near(hash)
    }

    /// The time to live of an address that has a name.
    pub(super) fn address(&self, address: IpAddr) -> Option<u32> {
        self.addresses.get(address)
    }

    /// The addresses that have names.
    pub(super) fn addresses(&self) -> impl Iterator<Item = AddressTtl> + '_ {
        self.addresses.iter()
    }

    /// Number of names that have an entry held and would be made as well.
    pub(super) fn shadowed(&self) -> usize {
        self.shadowed
    }

    /// The apex' entry, which every negative answer needs.
    pub fn apex(&self) -> Option<&Packed> {
        self.apex.as_ref()
    }

    /// Exceptions that a look-up has to watch for.
    pub fn exceptions(&self) -> Exceptions {
        self.exceptions
    }

    /// All entries that are held, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.entries.iter().chain(self.shaded.iter())
    }

    /// Number of names that exist.
    pub(super) fn len(&self) -> usize {
        let held = self.entries.len() + self.shaded.len();
        (held + self.addresses.len() + self.instances).saturating_sub(self.shadowed)
    }

    fn apply(&mut self, edits: &Edits) {
        if let Some(watch) = &edits.watch {
            self.watch = Arc::clone(watch);
        }
        self.entries.expect(edits.names.len());
        for edit in &edits.names {
            self.apply_one(edit);
        }
        for (address, ttl) in &edits.addresses {
            self.addresses.set(*address, *ttl);
        }
    }

    fn apply_one(&mut self, (name, entry): &Edit) {
        let hash = hash(name.wire());
        let shaded = if self.shaded.len() == 0 { None } else { self.shaded.remove(hash, name.wire()) };
        let before = match entry {
            Some(entry) if self.watch.shades(name.wire()) => {
                self.shaded.insert(hash, entry.clone());
                self.entries.remove(hash, name.wire())
            }
            Some(entry) => self.entries.insert(hash, entry.clone()),
            None => self.entries.remove(hash, name.wire()),
        };
        let before = before.or(shaded);
        self.instances += entry.as_ref().map_or(0, Packed::instance_count);
        self.instances -= before.as_ref().map_or(0, Packed::instance_count);
    }
}

/// The hash of a name in wire form. Names come from the registry, not from queries: a fixed seed harms nobody and keeps
/// runs alike.
pub fn hash(name: &[u8]) -> u64 {
    match ends_of(name) {
        Some(ends) if name.len() <= 32 => hash_of_ends(ends),
        _ => {
            // Without its length before it, as a slice has: a name tells where it ends.
            let mut hasher = FixedState::default().build_hasher();
            hasher.write(name);
            hasher.finish()
        }
    }
}

/// The same of a name of 16 to 32 bytes, as many have, by its [`ends_of`]. Who has just made them need not read them
/// from memory, where they are not yet.
#[inline]
pub fn hash_of_ends(ends: [u64; 4]) -> u64 {
    let [a, b, c, d] = ends.map(u128::from);
    let mut hasher = FixedState::default().build_hasher();
    hasher.write_u128(b << 64 | a);
    hasher.write_u128(d << 64 | c);
    hasher.finish()
}

/// The first and the last 16 bytes, as they are in memory.
#[inline]
pub fn ends_of(bytes: &[u8]) -> Option<[u64; 4]> {
    let (first, last) = (bytes.first_chunk::<16>()?.as_chunks().0, bytes.last_chunk::<16>()?.as_chunks().0);
    Some([first[0], first[1], last[0], last[1]].map(u64::from_ne_bytes))
}

/// The readers' side. Cheap to share.
#[derive(Debug, Default)]
pub struct Index {
    live: ArcSwap<Table>,
}

impl Index {
    /// The live state. Hold it for one query, not longer.
    pub fn load(&self) -> Guard<Arc<Table>> {
        self.live.load()
    }
}

/// Edits from this number on are not kept for the next commit where that can be avoided.
const LARGE: usize = 10_000;

/// Time that the writer waits at once for readers that still hold the old table: about as long as one needs for a
/// batch.
const READER_WAIT: Duration = Duration::from_micros(50);

/// Time that it waits in all, for each name: about as long as it takes to copy it. A reader that was interrupted comes
/// back sooner than a large table is copied; one that does not come back at all must not double the time.
const SPIN: Duration = Duration::from_nanos(200);

/// The one writer.
#[derive(Debug)]
pub struct IndexWriter {
    index: Arc<Index>,
    spare: Arc<Table>,
    /// Edits that the live table has and the spare has not.
    missing: Edits,
}

impl IndexWriter {
    /// An empty index, and its writer.
    pub fn new() -> (Self, Arc<Index>) {
        let index = Arc::new(Index::default());
        (Self { index: Arc::clone(&index), spare: Arc::default(), missing: Edits::default() }, index)
    }

    /// The live state as the writer sees it.
    pub fn live(&self) -> Guard<Arc<Table>> {
        self.index.load()
    }

    /// A reader holds a table for the time of a few packets: it is worth a wait before the table is copied.
    #[allow(clippy::disallowed_methods)] // no longer than the copy would take
    fn await_readers(&mut self) {
        let names = u32::try_from(self.spare.entries.len() + self.spare.addresses.len()).unwrap_or(u32::MAX);
        for _ in 0..=(SPIN * names).as_micros() / READER_WAIT.as_micros() {
            if Arc::get_mut(&mut self.spare).is_some() {
                return;
            }
            std::thread::sleep(READER_WAIT);
        }
    }

    /// Makes all the edits visible at once.
    pub fn commit(&mut self, edits: Edits) {
        self.await_readers();
        let spare = Arc::make_mut(&mut self.spare);
        spare.apply(&self.missing);
        spare.apply(&edits);
        spare.exceptions = edits.exceptions;
        spare.apex.clone_from(&edits.apex);
        spare.shadowed = edits.shadowed;
        self.spare = self.index.live.swap(Arc::clone(&self.spare));
        self.missing = edits;
        if self.missing.names.len() + self.missing.addresses.len() >= LARGE
            && let Some(spare) = Arc::get_mut(&mut self.spare)
        {
            // Kept until the next time, they would take as much memory as a table.
            spare.apply(&std::mem::take(&mut self.missing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::entry::{Entry, RrSet};

    fn entry(name: &str, ttl: u32) -> Edit {
        let owner = Name::parse(name).unwrap();
        let sets = [RrSet::new(1, ttl, vec![vec![127, 0, 0, 1]])].into();
        let packed = Packed::new(&Entry { owner: owner.clone(), sets }, &mut |_, _| ());
        (owner, Some(packed))
    }

    fn edits(names: Vec<Edit>) -> Edits {
        Edits { names, ..Edits::default() }
    }

    fn of_table(table: &Table, name: &str) -> Option<u32> {
        let name = Name::parse(name).unwrap();
        table.held(hash(name.wire()), name.wire()).map(|entry| entry.set(1).unwrap().ttl)
    }

    fn ttl(index: &Index, name: &str) -> Option<u32> {
        of_table(&index.load(), name)
    }

    #[test]
    fn both_tables_get_every_edit() {
        let (mut writer, index) = IndexWriter::new();
        for round in 0..6 {
            writer.commit(edits(vec![entry("a.service", round), entry(&format!("b{round}.service"), round)]));
            assert_eq!(ttl(&index, "a.service"), Some(round));
            assert_eq!(index.load().len(), 2 + round as usize);
        }
        writer.commit(edits(vec![(Name::parse("a.service").unwrap(), None)]));
        assert_eq!(ttl(&index, "a.service"), None);
        writer.commit(edits(vec![entry("c.service", 1)]));
        assert_eq!(ttl(&index, "a.service"), None);
        assert_eq!(index.load().len(), 7);
    }

    #[test]
    fn a_reader_that_holds_on_keeps_its_state() {
        let (mut writer, index) = IndexWriter::new();
        writer.commit(edits(vec![entry("a.service", 1)]));
        let held = index.load();
        for round in 2..6 {
            writer.commit(edits(vec![entry("a.service", round)]));
            assert_eq!(ttl(&index, "a.service"), Some(round));
        }
        assert_eq!(of_table(&held, "a.service"), Some(1));
    }

    /// A name that is there in one round alone.
    fn in_round(round: u32) -> String {
        format!("n{round}.service")
    }

    /// Edits of one commit: the same number everywhere.
    fn of_round(round: u32) -> Edits {
        Edits {
            names: vec![
                entry("a.service", round),
                entry("b.service", round),
                (entry(&in_round(round.wrapping_sub(1)), 0).0, None),
                entry(&in_round(round), round),
            ],
            addresses: vec![(IpAddr::from([10, 0, 0, 1]), Some(round)), (IpAddr::from([1; 16]), Some(round))],
            exceptions: Exceptions { wildcards: round, ..Exceptions::default() },
            watch: None,
            apex: entry("service", round).1,
            shadowed: 0,
        }
    }

    /// Under `ThreadSanitizer` and under Miri as well: tests/races/run.
    #[test]
    fn readers_never_see_half_of_a_commit() {
        let rounds = if cfg!(miri) { 20 } else { 5_000 };
        let (mut writer, index) = IndexWriter::new();
        writer.commit(of_round(0));
        std::thread::scope(|scope| {
            for patience in 0..3 {
                let index = &index;
                scope.spawn(move || {
                    let mut last = 0;
                    while last < rounds {
                        let table = index.load();
                        let round = table.exceptions().wildcards;
                        assert!(round >= last, "went back in time");
                        last = round;
                        for (other, ttl) in [(round.wrapping_sub(1), None), (round, Some(round)), (round + 1, None)] {
                            assert_eq!(of_table(&table, &in_round(other)), ttl);
                        }
                        assert_eq!(table.len(), 5);
                        // Some hold on to what they have, so that the writer must wait, and at last copy it.
                        (0..patience * (round % 64) * 10).for_each(|_| std::hint::spin_loop());
                        for name in ["a.service", "b.service"] {
                            assert_eq!(of_table(&table, name), Some(round));
                        }
                        assert_eq!(table.address(IpAddr::from([10, 0, 0, 1])), Some(round));
                        assert_eq!(table.address(IpAddr::from([1; 16])), Some(round));
                        assert_eq!(table.apex().and_then(|apex| apex.set(1)).map(|set| set.ttl), Some(round));
                    }
                });
            }
            (1..=rounds).for_each(|round| writer.commit(of_round(round)));
        });
    }
}
