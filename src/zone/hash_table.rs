//! Packed entries by the hashes of their names, made for batches of look-ups whose memory is nowhere near.
//!
//! Open addressing with linear probing, and the whole hash beside each entry: where a name would be is known from its
//! hash alone, so that it can be asked for ahead ([`Hashed::near`]); the entry is found without a look at it
//! ([`Hashed::candidate`]), so that it can be asked for as well; and the table grows without touching the entries,
//! which are all over the memory. What is removed leaves no mark behind: those after it move up.

use super::arena::Array;
use super::packed::Packed;

/// A place in the table.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// As much of it as tells homes apart, and nearly all names.
    hash: u32,
    /// Of the entry, so that its memory can be asked for without a look at it.
    length: u32,
    entry: Option<Packed>,
}

/// Entries by the hashes of their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Hashed {
    /// As many as a power of two, or none at all.
    places: Array<Bucket>,
    len: usize,
}

/// A table has so many places at least.
const LEAST: usize = 8;

impl Bucket {
    fn new(hash: u64, entry: Packed) -> Self {
        let length = length_of(&entry);
        Self { hash: short(hash), length, entry: Some(entry) }
    }
}

/// Length of an entry in bytes, as far as a place can tell.
pub(super) fn length_of(entry: &Packed) -> u32 {
    u32::try_from(entry.size()).unwrap_or(u32::MAX)
}

/// As much of a hash as a place has: more names than this tells apart would not fit a memory.
#[allow(clippy::cast_possible_truncation)]
fn short(hash: u64) -> u32 {
    hash as u32
}

impl Hashed {
    /// The entry of a name.
    pub(super) fn get(&self, hash: u64, name: &[u8]) -> Option<&Packed> {
        self.places.get(self.find(hash, |entry| entry.name() == name).ok()?)?.entry.as_ref()
    }

    /// The first entry of whatever name with this hash, and its length; nothing of it is read.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<(&Packed, u32)> {
        let place = self.places.get(self.find(hash, |_| true).ok()?)?;
        Some((place.entry.as_ref()?, place.length))
    }

    /// First place of a search for this hash, for whoever warms the cache with it: most end in the same line of it.
    #[inline]
    pub(super) fn near(&self, hash: u64) -> Option<&Bucket> {
        self.places.get(self.home(short(hash)))
    }

    /// Puts an entry in. Gives the one that it replaces.
    pub(super) fn insert(&mut self, hash: u64, entry: Packed) -> Option<Packed> {
        let at = match self.find(hash, |other| other.name() == entry.name()) {
            Ok(at) => return std::mem::replace(&mut self.places[at], Bucket::new(hash, entry)).entry,
            Err(_) if self.is_full(self.len + 1) => {
                self.resize(self.places.len() * 2);
                self.vacancy(hash)
            }
            Err(at) => at,
        };
        self.places[at] = Bucket::new(hash, entry);
        self.len += 1;
        None
    }

    /// Takes the entry of a name out.
    pub(super) fn remove(&mut self, hash: u64, name: &[u8]) -> Option<Packed> {
        let mut hole = self.find(hash, |entry| entry.name() == name).ok()?;
        let removed = self.places[hole].entry.take();
        self.len -= 1;
        // Whatever was put past the hole for want of room, and may stand in it, moves up.
        let mask = self.places.len() - 1;
        let mut at = (hole + 1) & mask;
        while self.places[at].entry.is_some() {
            let from_home = at.wrapping_sub(self.home(self.places[at].hash)) & mask;
            if from_home >= at.wrapping_sub(hole) & mask {
                self.places.swap(hole, at);
                hole = at;
            }
            at = (at + 1) & mask;
        }
        removed
    }

    /// Makes room for `more` names in a table that is empty; one that is not grows as it needs.
    pub(super) fn expect(&mut self, more: usize) {
        if self.len == 0 && self.is_full(more) {
            self.resize((more + more / 3 + 1).next_power_of_two());
        }
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.places.iter().filter_map(|place| place.entry.as_ref())
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// First place of a search for `hash`.
    fn home(&self, hash: u32) -> usize {
        // The lower bits are as good as any.
        hash as usize & self.places.len().wrapping_sub(1)
    }

    /// The place of the entry with this hash that `is_it`, or the vacant one where it would be put.
    #[inline]
    fn find(&self, hash: u64, mut is_it: impl FnMut(&Packed) -> bool) -> Result<usize, usize> {
        let hash = short(hash);
        let mut at = self.home(hash);
        while let Some(Bucket { hash: other, entry: Some(entry), .. }) = self.places.get(at) {
            if *other == hash && is_it(entry) {
                return Ok(at);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        Err(at)
    }

    /// The first vacant place for `hash`.
    fn vacancy(&self, hash: u64) -> usize {
        self.find(hash, |_| false).unwrap_or_else(|at| at)
    }

    /// Returns whether so many names are more than three of four places, beyond which searches become long.
    fn is_full(&self, names: usize) -> bool {
        names > self.places.len() / 4 * 3
    }

    fn resize(&mut self, places: usize) {
        let mut before = std::mem::replace(&mut self.places, Array::new(places.max(LEAST)));
        for place in before.iter_mut().filter(|place| place.entry.is_some()) {
            let at = self.vacancy(place.hash.into());
            self.places[at] = std::mem::take(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::zone::entry::Entry;
    use crate::zone::name::Name;

    fn entry(name: u8) -> Packed {
        let owner = Name::parse(&format!("n{name}")).unwrap();
        Packed::new(&Entry { owner, sets: Box::default() }, &mut |_, _| ())
    }

    /// Few different ones, or as many as names, by how many there may be.
    fn hash(name: u8, hashes: u64) -> u64 {
        ((u64::from(name) << 56) | (u64::from(name) * 0x9e37_79b9)) % hashes
    }

    /// As a map does, through collisions, growth and removals.
    #[test]
    fn it_holds_what_a_map_holds() {
        let mut random = fastrand::Rng::with_seed(7);
        for hashes in [1, 3, 20, u64::MAX] {
            let (mut table, mut map) = (Hashed::default(), HashMap::new());
            for _ in 0..if cfg!(miri) { 100 } else { 5_000 } {
                let name = random.u8(..);
                let (hash, new) = (self::hash(name, hashes), entry(name));
                if random.u8(..) < 140 {
                    assert_eq!(table.insert(hash, new.clone()), map.insert(name, new));
                } else {
                    assert_eq!(table.remove(hash, new.name()), map.remove(&name));
                }
                assert_eq!(table.len(), map.len());
                let asked = random.u8(..);
                let hash = self::hash(asked, hashes);
                assert_eq!(table.get(hash, entry(asked).name()), map.get(&asked));
                assert!(table.near(hash).is_some() || map.is_empty());
                if map.contains_key(&asked) {
                    assert!(table.candidate(hash).is_some());
                }
            }
            assert_eq!(table.iter().count(), map.len());
            assert!(table.iter().all(|entry| map.values().any(|other| other == entry)));
        }
    }

    #[test]
    fn nothing_is_in_an_empty_one() {
        let mut table = Hashed::default();
        assert!(table.get(7, b"\0").is_none() && table.candidate(7).is_none() && table.near(7).is_none());
        assert!(table.remove(7, b"\0").is_none());
        table.expect(1000);
        let places = table.places.len();
        (0..250).for_each(|name| drop(table.insert(u64::from(name) * 0x9e37_79b9, entry(name))));
        assert_eq!((table.len(), table.places.len()), (250, places), "room for all of them was made at once");
    }

    #[test]
    fn a_place_is_no_larger_than_it_must_be() {
        assert_eq!(size_of::<Bucket>(), 16);
    }
}
