//! A reader's view of a zone: one state of all its names, those included whose records are made when somebody asks
//! ([`super::synthesized`]). A made entry lives as long as the view, so that answers can refer to it like to any other.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::Guard;

use super::addresses::AddressTtl;
use super::exceptions::Exceptions;
use super::hash_table::{Bucket, length_of};
use super::index::{self, Table};
use super::name::Name;
use super::packed::{Addresses, Packed};
use super::records::address;
use super::synthesized::{self, SyntheticName};

/// One state of a zone's names. To be held for a query, or for a batch of them, not longer.
#[derive(Debug)]
pub struct View {
    table: Guard<Arc<Table>>,
    synthesized: FrozenVec,
}

impl View {
    pub(super) fn new(table: Guard<Arc<Table>>) -> Self {
        Self { table, synthesized: FrozenVec::default() }
    }

    /// The entry of a name, given in wire form and lower case.
    pub fn get(&self, name: &[u8]) -> Option<&Packed> {
        self.table.held(index::hash(name), name).or_else(|| Some(self.synthesized.put(self.table.synthesized(name)?)))
    }

    /// The entry of a name whose [`index::hash`] is known, where it is the answer to a question about the name: not for
    /// one at or below a cut.
    pub fn get_hashed(&self, hash: u64, name: &[u8]) -> Option<&Packed> {
        self.table.held_in_light(hash, name).or_else(|| Some(self.synthesized.put(self.made_in_light(name)?)))
    }

    /// Makes the entry of a name, unless it lies at or below a cut.
    fn made_in_light(&self, name: &[u8]) -> Option<Packed> {
        let made = self.table.synthesized(name)?;
        (!self.table.watch().shades(name)).then_some(made)
    }

    /// Returns whether a name that is not there may be answered with something else than that.
    pub fn concerns(&self, name: &[u8]) -> bool {
        self.table.watch().concerns(name)
    }

    /// The likely entry of a name whose [`index::hash`] is known: an entry that is held is not read, and may
    /// be of another name ([`Packed::name`] says whose it is). Where there is none, [`Self::get_hashed`] has none
    /// either. With its length.
    #[inline]
    pub fn candidate(&self, hash: u64, name: &[u8]) -> Option<(&Packed, u32)> {
        self.table.candidate(hash).or_else(|| {
            let made = self.synthesized.put(self.made_in_light(name)?);
            Some((made, length_of(made)))
        })
    }

    /// The memory that [`Self::candidate`] will read, for whoever warms the cache with it.
    #[inline]
    pub fn near(&self, hash: u64) -> Option<&Bucket> {
        self.table.near(hash)
    }

    /// The apex' entry, which every negative answer needs.
    pub fn apex(&self) -> Option<&Packed> {
        self.table.apex()
    }

    /// Exceptions that a look-up has to watch for.
    pub fn exceptions(&self) -> Exceptions {
        self.table.exceptions()
    }

    /// Number of names that exist.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether none exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, in no order. The view may go before they do.
    pub fn entries(&self) -> Entries {
        Entries::of(&self.table)
    }
}

impl Table {
    /// Makes the entry of a name, whether or not one is held there.
    pub(super) fn synthesized(&self, name: &[u8]) -> Option<Packed> {
        match synthesized::shape(self.apex()?.name(), name)? {
            SyntheticName::Address(address) => {
                let (owner, _) = Name::from_wire(name)?;
                Some(synthesized::address(owner, address, self.address(address)?))
            }
            SyntheticName::Instance(label) => {
                let parent = synthesized::parent(name);
                let parent = self.held(index::hash(parent), parent)?;
                synthesized::instance(parent, label, &mut |target, found| self.addresses_of(target, found))
            }
        }
    }

    /// The address of a host, where it is an `addr` name; others are packed with the service.
    fn addresses_of(&self, target: &[u8], found: &mut Addresses) {
        let target = target.to_ascii_lowercase();
        if let Some(SyntheticName::Address(address)) =
            self.apex().and_then(|apex| synthesized::shape(apex.name(), &target))
        {
            found.push(address);
        }
    }
}

/// All entries of a zone. Those that are made are made on the way.
#[derive(Debug)]
pub struct Entries {
    held: Vec<Packed>,
    addresses: Vec<AddressTtl>,
    /// The domain of the addresses' names.
    origin: Option<Name>,
    /// Names held that would be made as well.
    shadowed: HashSet<Vec<u8>>,
    /// True if names of single instances are among them.
    instances: bool,
}

impl Entries {
    fn of(table: &Table) -> Self {
        let origin = table.apex().and_then(|apex| Name::from_wire(apex.name())).map(|(origin, _)| origin);
        let held: Vec<Packed> = table.iter().cloned().collect();
        let names =
            held.iter().map(Packed::name).filter(|name| table.shadowed() > 0 && table.synthesized(name).is_some());
        let shadowed = names.map(<[u8]>::to_vec).collect();
        Self { held, addresses: table.addresses().collect(), origin, shadowed, instances: true }
    }

    /// The same without the names of single instances: looking for each of very many takes its time.
    pub(super) fn without_instances(self) -> Self {
        Self { instances: false, ..self }
    }
}

impl IntoIterator for Entries {
    type Item = Packed;
    type IntoIter = Box<dyn Iterator<Item = Packed> + Send>;

    fn into_iter(self) -> Self::IntoIter {
        let Self { held, addresses, origin, shadowed, instances } = self;
        let by_address = addresses.into_iter().filter_map(move |(ip, ttl)| {
            let owner = address::name(origin.as_ref()?, ip).ok()?;
            Some(synthesized::address(owner, ip, ttl))
        });
        let with_instances = held.into_iter().flat_map(move |entry| {
            let all = if instances { entry.instances() } else { Vec::new() };
            let mut labels: Vec<Vec<u8>> = all.iter().map(|one| one.label.to_vec()).collect();
            labels.dedup();
            let parent = entry.clone();
            let instance = move |label: Vec<u8>| synthesized::instance(&parent, &label, &mut |_, _| ());
            // Held entries are marked, so that only the others are asked whether they are held as well.
            std::iter::once((true, entry)).chain(labels.into_iter().filter_map(instance).map(|made| (false, made)))
        });
        let all = with_instances.chain(by_address.map(|made| (false, made)));
        Box::new(all.filter(move |(held, entry)| *held || !shadowed.contains(entry.name())).map(|(_, entry)| entry))
    }
}

/// Synthesized entries: the vector only grows, so references to what is in it stay valid.
#[derive(Debug, Default)]
struct FrozenVec(OnceCell<Box<Chunk>>);

/// Room for some entries, and for more chunks. A batch of queries asks for a few of them at most.
#[derive(Debug, Default)]
struct Chunk {
    entries: [OnceCell<Packed>; 16],
    next: FrozenVec,
}

impl FrozenVec {
    fn put(&self, entry: Packed) -> &Packed {
        let mut at = self;
        loop {
            let chunk = at.0.get_or_init(Box::default);
            if let Some(room) = chunk.entries.iter().find(|room| room.get().is_none()) {
                return room.get_or_init(|| entry);
            }
            at = &chunk.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_shelf_stays_where_it_is() {
        let synthesized = FrozenVec::default();
        let entry = |last: u8| synthesized::address(Name::root(), [10, 0, 0, last].into(), 5);
        let put: Vec<&Packed> = (0..100).map(|last| synthesized.put(entry(last))).collect();
        assert!(put.iter().zip(0..100).all(|(put, last)| **put == entry(last)));
    }
}
