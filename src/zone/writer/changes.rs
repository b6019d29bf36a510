//! Changes of the names that were touched since the last commit: each is looked at anew, packed, and compared
//! with what readers see.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{HashSet, ZoneWriter, held, is_wildcard};
use crate::zone::commit::Change;
use crate::zone::entry::{Entry, RrSet};
use crate::zone::exceptions::Exceptions;
use crate::zone::index::{Edit, Edits};
use crate::zone::instances::{self, Instance};
use crate::zone::name::Name;
use crate::zone::offer::Rank;
use crate::zone::owner_offers::OwnerOffers;
use crate::zone::packed::{Addresses, Packed};
use crate::zone::record::rtype;
use crate::zone::records::address;
use crate::zone::site::Site;
use crate::zone::synthesized::{self, SyntheticName};
use crate::zone::unknown::{self, Scope, Unknown};
use crate::zone::watch::{Effect, Watch};

/// From how many names on it is worth while to start threads.
const WORTH_THREADS: usize = 10_000;

/// Findings about all touched names.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Names whose records are different.
    pub(super) changes: Vec<Change>,
    /// Edits of the entries that are held.
    edits: Vec<Edit>,
    addresses: Vec<(IpAddr, Option<u32>)>,
    exceptions: Exceptions,
    watch: Option<Arc<Watch>>,
    /// The names that were looked at.
    names: Vec<Name>,
}

/// Findings about one name.
pub(super) struct NameFindings {
    pub(super) change: Change,
    /// See [`Gathered::edits`]; the name need not be there.
    edit: Option<Edit>,
    /// The names whose addresses are packed with its SRV records and may change.
    targets: Vec<Name>,
    /// True if the name would be made as well.
    is_synthesized: bool,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.edits.is_empty() && self.addresses.is_empty()
    }

    /// Takes in what was found at a name, as far as it is different.
    pub(super) fn take(&mut self, NameFindings { change, edit, .. }: NameFindings) {
        if change.old != change.new {
            self.changes.push(change);
        }
        self.edits.extend(edit);
    }

    /// Takes out what was found at `name`.
    pub(super) fn forget(&mut self, name: &Name) {
        self.changes.retain(|change| change.owner != *name);
        self.edits.retain(|(owner, _)| owner != name);
    }
}

impl ZoneWriter {
    /// Looks at everything that was touched. Names that are made on demand are among the changes where `all` are
    /// wanted.
    pub(super) fn gather(&mut self, all: bool) -> Gathered {
        self.settle_known();
        let mut touched = std::mem::take(&mut self.touched);
        let addresses = self.gather_addresses(&mut touched);
        let dependents: Vec<Name> =
            touched.iter().filter_map(|name| self.dependents.get(name)).flatten().cloned().collect();
        touched.extend(dependents);
        if !self.slots_of_instances.is_empty() {
            let beside = touched.iter().filter_map(|name| self.slots_of_instances.get(name)).flatten();
            let beside: Vec<Name> = beside.cloned().collect();
            touched.extend(beside);
        }
        let mut gathered = Gathered { addresses, ..Gathered::default() };
        let mut below_bare = Vec::new();
        for seen in self.see(touched.iter().cloned().collect()) {
            self.depend(&seen.change.owner, &seen.targets);
            self.note_synthesized(&seen);
            below_bare.extend(self.note_bare(&seen));
            self.note_large(&seen);
            gathered.names.push(seen.change.owner.clone());
            gathered.take(seen);
        }
        self.gather_bare(below_bare, &touched, &mut gathered);
        self.watch_after(&mut gathered);
        if all {
            self.gather_synthesized(&touched, &mut gathered);
        }
        gathered
    }

    /// The addresses that are there now and were not, or the other way round; a name of theirs that also has a slot is
    /// touched.
    fn gather_addresses(&mut self, touched: &mut HashSet<Name>) -> Vec<(IpAddr, Option<u32>)> {
        let live = self.index.live();
        let moved = std::mem::take(&mut self.moved).into_iter().map(|address| (address, self.addresses.ttl(address)));
        let moved: Vec<_> = moved.filter(|(address, ttl)| live.address(*address) != *ttl).collect();
        if !self.slots_of_addresses.is_empty() {
            let names = moved.iter().filter_map(|(ip, _)| address::name(self.zone.origin(), *ip).ok());
            touched.extend(names.filter(|name| self.slots_of_addresses.contains(name)));
        }
        moved
    }

    /// Looks at these names. The first sight of a large registry is shared out among the processors.
    fn see(&self, names: Vec<Name>) -> Vec<NameFindings> {
        if names.len() < WORTH_THREADS {
            return names.into_iter().map(|owner| self.seen(owner)).collect();
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut seen = Vec::with_capacity(names.len());
        std::thread::scope(|scope| {
            let share = |names: &[Name]| names.iter().cloned().map(|owner| self.seen(owner)).collect::<Vec<_>>();
            let shares = names.chunks(names.len().div_ceil(threads));
            let working: Vec<_> = shares.map(|names| scope.spawn(move || share(names))).collect();
            for thread in working {
                // A panic there is a panic here, as if the work had not been shared out.
                seen.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        seen
    }

    /// Returns what is and what was to be seen at `owner`.
    pub(super) fn seen(&self, owner: Name) -> NameFindings {
        let old = held(&self.index, owner.wire());
        let is_apex = owner == *self.zone.origin();
        let slot = self.slots.get(&owner);
        let site = self.site(&owner);
        // A name that is offered nothing is made, or is none.
        let (shape, made) = match synthesized::shape(self.zone.origin().wire(), owner.wire()) {
            Some(shape) if site != Site::Cut => (true, self.synthesized_sets(&owner, shape)),
            Some(_) => (true, None),
            None => (false, None),
        };
        let pack = |sets: Vec<RrSet>| {
            let entry = self.entry(&owner, sets);
            let mut targets = Vec::new();
            let addresses =
                &mut |target: &[u8], found: &mut Addresses| targets.extend(self.addresses_of(target, found));
            let is_alias = slot.is_some_and(OwnerOffers::is_alias);
            let packed = if is_alias { Packed::alias(&entry, addresses) } else { Packed::new(&entry, addresses) };
            (packed, targets)
        };
        // Below a cut there is what the file has, and nothing merely exists.
        let shown = slot.filter(|_| site == Site::Cut).map(|slot| self.slot_sets(slot, &owner, None));
        let is_hidden = site == Site::Cut && shown.as_ref().is_none_or(Vec::is_empty);
        let (new, targets) = match slot {
            _ if is_hidden => {
                let edit = old.is_some().then(|| (owner.clone(), None));
                return NameFindings {
                    change: Change { owner, old, new: None },
                    edit,
                    targets: Vec::new(),
                    is_synthesized: false,
                };
            }
            // Nothing is different but names below.
            Some(slot) if slot.is_packed() && made.is_none() => match &old {
                Some(old) => pack(old.offered().into_vec()),
                None => pack(Vec::new()),
            },
            Some(slot) if slot.is_empty() && made.is_none() => pack(self.covering(&owner).into_iter().collect()),
            Some(slot) => pack(shown.unwrap_or_else(|| self.slot_sets(slot, &owner, made.as_deref()))),
            None if is_apex => pack(Vec::new()),
            None if made.is_none() && self.bare_set(&owner).is_some() => {
                pack(self.bare_set(&owner).into_iter().collect())
            }
            None if made.is_none() && self.ghosts.contains(&owner) => pack(self.covering(&owner).into_iter().collect()),
            None => {
                let new = made.map(|sets| {
                    synthesized::passing(&owner, sets, &mut |target, found| drop(self.addresses_of(target, found)))
                });
                let was = if shape {
                    old.clone().or_else(|| self.index.live().synthesized(owner.wire()))
                } else {
                    old.clone()
                };
                let edit = old.is_some().then(|| (owner.clone(), None));
                return NameFindings {
                    change: Change { owner, old: was, new },
                    edit,
                    targets: Vec::new(),
                    is_synthesized: false,
                };
            }
        };
        let edit = (old.as_ref() != Some(&new)).then(|| (owner.clone(), Some(new.clone())));
        let was = if shape { old.or_else(|| self.index.live().synthesized(owner.wire())) } else { old };
        NameFindings {
            change: Change { owner, old: was, new: Some(new) },
            edit,
            targets,
            is_synthesized: made.is_some(),
        }
    }

    /// Record that a name shows which merely exists: that it is unknown, where it lies below what is.
    fn covering(&self, owner: &Name) -> Option<RrSet> {
        let above = self.covers.values().flatten().filter(|above| *above != owner && owner.is_at_or_below(above));
        let mut sets = above.filter_map(|above| self.visible(above)).flatten().filter(|set| set.rtype == unknown::TYPE);
        let set = sets.next()?;
        let rdatas = set.iter().filter_map(Unknown::read).map(|one| {
            let scope = if one.scope == Scope::Below { Scope::Everything } else { one.scope };
            Unknown { scope, below: false, ..one }.rdata()
        });
        Some(RrSet::new(unknown::TYPE, 0, rdatas.collect()))
    }

    /// RRsets that a slot shows beside what is made for its name.
    fn slot_sets(&self, slot: &OwnerOffers, owner: &Name, made: Option<&[RrSet]>) -> Vec<RrSet> {
        let made: Option<Arc<[RrSet]>> = made.map(Into::into);
        let site = self.site(owner);
        if slot.is_packed() {
            let mut slot = slot.clone();
            slot.unpack(|| held(&self.index, owner.wire()));
            return slot.sets(made.as_ref(), site);
        }
        let mut sets = slot.sets(made.as_ref(), site);
        for (key, _) in self.covers.iter().filter(|(_, names)| names.contains(owner)) {
            if let Some((_, offered)) = slot.get(key) {
                unknown::keep_below(&mut sets, offered);
            }
        }
        sets
    }

    /// The RRsets that are made for a name of this shape; none where none are.
    fn synthesized_sets(&self, owner: &Name, shape: SyntheticName<'_>) -> Option<Box<[RrSet]>> {
        match shape {
            SyntheticName::Address(address) => {
                Some([synthesized::address_set(address, self.addresses.ttl(address)?)].into())
            }
            SyntheticName::Instance(label) => {
                let parent = owner.parent()?;
                let slot = self.slots.get(&parent)?;
                let set = if slot.is_packed() {
                    held(&self.index, parent.wire())?.offered().iter().find(|set| set.rtype == instances::TYPE).cloned()
                } else {
                    slot.instances()
                }?;
                synthesized::instance_sets(set.iter().filter_map(Instance::read).filter(|one| one.label == label))
            }
        }
    }

    /// Keeps in mind whether a name that has a slot would be made as well. If so, its entry is more than what is
    /// offered.
    fn note_synthesized(&mut self, NameFindings { change: Change { owner, .. }, is_synthesized, .. }: &NameFindings) {
        if !is_synthesized {
            self.shadowed.remove(owner);
        } else if let Some(slot) = self.slots.get_mut(owner) {
            slot.unpack(|| held(&self.index, owner.wire()));
            self.shadowed.insert(owner.clone());
        }
    }

    /// Makes what was gathered visible. What is offered is in what readers see from now on, and need not be held twice.
    pub(super) fn show(&mut self, gathered: Gathered, apex: Option<Packed>) {
        let Gathered { edits: names, addresses, exceptions, watch, names: settled, .. } = gathered;
        if !names.is_empty() || !addresses.is_empty() {
            self.index.commit(Edits { names, addresses, exceptions, watch, apex, shadowed: self.shadowed.len() });
        }
        for name in settled.iter().filter(|name| *name != self.zone.origin() && !self.shadowed.contains(*name)) {
            // What a cut hides is in no entry.
            if self.sites.has_cuts() && self.cut_above(name).is_some() {
                continue;
            }
            if let Some(slot) = self.slots.get_mut(name) {
                slot.pack();
            }
        }
    }

    /// The entry of a name that shows `sets`.
    fn entry(&self, owner: &Name, mut sets: Vec<RrSet>) -> Entry {
        if owner == self.zone.origin() {
            sets.retain(|set| set.rtype != rtype::SOA);
            sets.push(RrSet::new(rtype::SOA, self.soa.ttl, vec![self.soa.rdata()]));
        }
        sets.sort_by_key(|set| set.rtype);
        Entry { owner: owner.clone(), sets: sets.into() }
    }

    /// Adds the addresses of a host that an SRV record names. That of an `addr` name is in the name, unless the master
    /// file says something of it; any other host in the zone is looked up, and given back: its addresses may change,
    /// which is remembered by [`Self::depend`].
    fn addresses_of(&self, target: &[u8], addresses: &mut Addresses) -> Option<Name> {
        if let Some(address) = self.plain_address(target) {
            addresses.push(address);
            return None;
        }
        let (name, _) = Name::from_wire(&target.to_ascii_lowercase())?;
        if let Some(address) = self.plain_address(name.wire()) {
            addresses.push(address);
            return None;
        }
        if !name.is_at_or_below(self.zone.origin()) {
            return None;
        }
        let sets = self.visible(&name).unwrap_or_default();
        let data = |rtype| sets.iter().filter(move |set| set.rtype == rtype).flat_map(RrSet::iter);
        let v4 = data(rtype::A).filter_map(|rdata| <[u8; 4]>::try_from(rdata).ok());
        addresses.v4.extend(v4.map(Ipv4Addr::from));
        let v6 = data(rtype::AAAA).filter_map(|rdata| <[u8; 16]>::try_from(rdata).ok());
        addresses.v6.extend(v6.map(Ipv6Addr::from));
        Some(name)
    }

    /// The RRsets that `owner` shows, in no order; none where there is no such name.
    fn visible(&self, owner: &Name) -> Option<Vec<RrSet>> {
        let shape = synthesized::shape(self.zone.origin().wire(), owner.wire());
        let shape = shape.filter(|_| self.site(owner) != Site::Cut);
        let made = shape.and_then(|shape| self.synthesized_sets(owner, shape));
        match self.slots.get(owner) {
            Some(slot) => Some(self.slot_sets(slot, owner, made.as_deref())),
            None => made.map(<[RrSet]>::into_vec),
        }
    }

    /// The address that an `addr` name stands for, where nobody says anything else of it.
    fn plain_address(&self, name: &[u8]) -> Option<IpAddr> {
        let Some(SyntheticName::Address(address)) = synthesized::shape(self.zone.origin().wire(), name) else {
            return None;
        };
        if !self.static_addresses {
            return Some(address);
        }
        (!self.slots.get(name).is_some_and(|slot| slot.has(Rank::Static))).then_some(address)
    }

    /// Remembers that the addresses of `targets` are packed with the SRV records of `owner`, so that it is packed anew
    /// with them.
    fn depend(&mut self, owner: &Name, targets: &[Name]) {
        for target in self.targets.remove(owner).unwrap_or_default() {
            if let Some(dependents) = self.dependents.get_mut(&target) {
                dependents.remove(owner);
                if dependents.is_empty() {
                    self.dependents.remove(&target);
                }
            }
        }
        for target in targets {
            self.dependents.entry(target.clone()).or_default().insert(owner.clone());
        }
        if !targets.is_empty() {
            self.targets.insert(owner.clone(), targets.to_vec());
        }
    }

    /// Finds what look-ups have to watch for after these changes. Entries that come to lie at or below a cut, or no
    /// longer do so, are put in once more.
    fn watch_after(&self, gathered: &mut Gathered) {
        let live = self.index.live();
        gathered.exceptions = live.exceptions();
        let mut watch: Option<Watch> = None;
        let mut moved: Vec<&Name> = Vec::new();
        for change in &gathered.changes {
            let effect = |entry: &Option<Packed>| {
                entry.as_ref().map_or(Effect::default(), |entry| self.effect(&change.owner, entry))
            };
            let (before, now) = (effect(&change.old), effect(&change.new));
            if before == now {
                continue;
            }
            watch.get_or_insert_with(|| live.watch().clone()).note(&change.owner, now);
            if (before.delegates, before.redirects) != (now.delegates, now.redirects) {
                moved.push(&change.owner);
            }
        }
        let Some(watch) = watch else { return };
        gathered.exceptions = watch.counts();
        if !moved.is_empty() {
            let known: HashSet<&Name> = gathered.edits.iter().map(|(name, _)| name).collect();
            let is_moved =
                |(name, _): &(Name, &Packed)| moved.iter().any(|cut| name.is_at_or_below(cut)) && !known.contains(name);
            let held = live.iter().filter_map(|entry| Some((Name::from_wire(entry.name())?.0, entry)));
            let edits: Vec<Edit> = held.filter(is_moved).map(|(name, entry)| (name, Some(entry.clone()))).collect();
            gathered.edits.extend(edits);
        }
        gathered.watch = Some(Arc::new(watch));
    }

    /// Effect of an entry on other names.
    fn effect(&self, owner: &Name, entry: &Packed) -> Effect {
        Effect {
            delegates: owner != self.zone.origin() && entry.set(rtype::NS).is_some(),
            redirects: entry.set(rtype::DNAME).is_some(),
            is_wildcard: is_wildcard(owner),
            covers: entry.unknown().is_some_and(|unknown| unknown.below),
        }
    }

    /// Adds the changes of names that are made on demand, but for those that were `touched` and looked at already.
    fn gather_synthesized(&self, touched: &HashSet<Name>, gathered: &mut Gathered) {
        let live = self.index.live();
        let mut changes = Vec::new();
        for (address, ttl) in &gathered.addresses {
            let Ok(owner) = address::name(self.zone.origin(), *address) else { continue };
            if !touched.contains(&owner) {
                let entry = |ttl: Option<u32>| ttl.map(|ttl| synthesized::address(owner.clone(), *address, ttl));
                let (old, new) = (entry(live.address(*address)), entry(*ttl));
                changes.push(Change { owner, old, new });
            }
        }
        // Names of instances are in the journal only where secondaries get them.
        for Change { owner, old, new } in gathered.changes.iter().filter(|_| self.transferred.browse) {
            let all = [old, new].into_iter().flatten().flat_map(Packed::instances);
            let labels: HashSet<Vec<u8>> = all.map(|one| one.label.to_vec()).collect();
            let entry = |parent: &Option<Packed>, label: &[u8]| {
                synthesized::instance(parent.as_ref()?, label, &mut |target, found| {
                    drop(self.addresses_of(target, found));
                })
            };
            for label in labels {
                let Ok(owner) = owner.child(&label) else { continue };
                let (old, new) = (entry(old, &label), entry(new, &label));
                if old != new && !touched.contains(&owner) {
                    changes.push(Change { owner, old, new });
                }
            }
        }
        gathered.changes.extend(changes);
    }
}
