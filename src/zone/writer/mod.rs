//! The one writer of a zone: collects what services and the master file offer, decides what each name shows, and makes
//! the difference visible in one step, under a new serial.
//!
//! One changed service costs what that service costs, whatever the size of the zone: its former offers are withdrawn,
//! the new ones made, and only the owners they touch are looked at again ([`changes`]).
//!
//! The rule for one owner: what the master file says of a type replaces what the registry says of it; a CNAME there
//! replaces everything. A real znode hides everything derived, that every part of a service, and that every alias
//! ([`Rank`]). What the zone itself has (its name server) fills the types that nobody else has. A name exists as long
//! as something is offered at it or below.
//!
//! What is offered is kept only as far as it is not, word for word, in the packed entry that readers see; and the names
//! of addresses and of single instances are not kept as names at all ([`super::synthesized`]): there may be millions of
//! them.

mod changes;
pub mod collisions;
mod contest;
pub mod delegations;
mod events;
mod large;
mod nodata;
mod sites;
pub mod sources;

use std::collections::{BTreeSet, HashMap as StdMap, HashSet as StdSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::addresses::Counts;
use super::commit::Commit;
use super::contest::Contest;
use super::delegation::Child;
use super::file_serial::FileSerial;
use super::freshness::Freshness;
use super::index::{self, IndexWriter};
use super::instances;
use super::journal::Bounds;
use super::name::Name;
use super::offer::{Offer, Offers, Rank};
use super::owner_offers::OwnerOffers;
use super::packed::Packed;
use super::record::{Record, rtype};
use super::records::address::address_of;
use super::rrset_builder::RrSetBuilder;
use super::served::Zone;
use super::site::Sites;
use super::soa::Soa;
use super::source::{Contributions, Extent, Merge, Role, SourceId, SourceKey};
use super::synthesized::{self, SyntheticName};
use super::transferred::Transferred;
use super::unknown;
use super::view::View;
use super::{config, serial};

/// Keys come from the registry, as in [`super::index`]: a fixed seed harms nobody.
type HashMap<K, V> = StdMap<K, V, FixedState>;
type HashSet<K> = StdSet<K, FixedState>;

/// The writer of one zone.
#[derive(Debug)]
pub struct ZoneWriter {
    zone: Arc<Zone>,
    index: IndexWriter,
    slots: HashMap<Name, OwnerOffers>,
    /// The sources: the zone itself, and those that were added.
    sources: Vec<Contributions>,
    contest: Contest,
    /// Fate of services that several sources have.
    merge: Merge,
    /// Services that offer something else than at the last commit, as far as events list them.
    changed: BTreeSet<SourceKey>,
    /// Seconds since 1970 at the last commit.
    committed_at: u64,
    /// Names to be looked at in the next commit.
    touched: HashSet<Name>,
    /// Services at each address.
    addresses: Counts,
    /// Addresses to be looked at in the next commit.
    moved: HashSet<IpAddr>,
    /// Names that have a slot and, by their shape, may be made as well: of addresses, and of instances by the name
    /// above.
    slots_of_addresses: HashSet<Name>,
    slots_of_instances: HashMap<Name, BTreeSet<Name>>,
    /// Those of them that are made as well.
    shadowed: HashSet<Name>,
    /// Something was made ready that no serial stands for yet.
    is_prepared: bool,
    /// Names at which several services meet.
    collisions: HashSet<Name>,
    soa: Soa,
    /// The serials of a zone that is its master file and nothing else.
    file_serial: Option<FileSerial>,
    /// Part of the zone that secondaries get from the next commit on.
    transferred: Transferred,
    /// True if the master file says anything of an `addr` name.
    static_addresses: bool,
    /// Hosts in the zone whose addresses are packed with SRV records, and with whose; `targets` is the same the other
    /// way round. The `addr` names are not among them: their addresses never change.
    dependents: HashMap<Name, BTreeSet<Name>>,
    targets: HashMap<Name, Vec<Name>>,
    /// Names below which all is unknown ([`unknown`]), by who says so.
    covers: HashMap<SourceKey, Vec<Name>>,
    /// Names that are to exist although nothing is offered at them, as far as no wildcard is there for them; and those
    /// that do for that, and the names above them.
    known: BTreeSet<Name>,
    ghosts: HashSet<Name>,
    /// Names that are known and have no data ([`nodata`]).
    bare: HashSet<Name>,
    /// Names with large RRsets, and whether there is news of them ([`large`]).
    large: BTreeSet<Name>,
    is_large_anew: bool,
    is_known_anew: bool,
    /// Slots whose first label is `*`.
    wildcards: usize,
    /// Names at which services do not show as they would elsewhere.
    sites: Sites,
    /// Those of them that the zone file makes.
    of_file: Sites,
    /// Zones of this server that this one delegates to.
    children: Vec<Child>,
    /// The zone's own name server, and its SOA, as they are when no file says another.
    base: (Vec<Offer>, Soa),
    /// The writer of [`Zone::fixed`].
    fixed: Option<Box<Self>>,
}

/// The paths under which the master file's records and the zone's own are offered.
const STATIC: &str = "/static";
const BASE: &str = "/base";

impl ZoneWriter {
    /// The writer of a new zone that is empty, not even its apex there, until the first [`Self::commit`].
    pub(super) fn new(
        zone: Arc<Zone>,
        (index, fixed): (IndexWriter, Option<Box<Self>>),
        soa: Soa,
        base: Vec<Offer>,
        file_serial: Option<FileSerial>,
    ) -> Self {
        let mut touched = HashSet::default();
        touched.insert(zone.origin().clone());
        let own = Role { name: "".into(), precedence: 0, below: zone.origin().clone() };
        let mut writer = Self {
            zone,
            index,
            slots: HashMap::default(),
            sources: vec![Contributions::new(own, None)],
            contest: Contest::default(),
            merge: Merge::default(),
            changed: BTreeSet::new(),
            committed_at: 0,
            touched,
            addresses: Counts::default(),
            moved: HashSet::default(),
            slots_of_addresses: HashSet::default(),
            slots_of_instances: HashMap::default(),
            shadowed: HashSet::default(),
            is_prepared: false,
            collisions: HashSet::default(),
            base: (base, soa.clone()),
            soa,
            transferred: Transferred::default(),
            file_serial,
            static_addresses: false,
            dependents: HashMap::default(),
            targets: HashMap::default(),
            covers: HashMap::default(),
            known: BTreeSet::new(),
            ghosts: HashSet::default(),
            bare: HashSet::default(),
            large: BTreeSet::new(),
            is_large_anew: false,
            is_known_anew: false,
            wildcards: 0,
            sites: Sites::default(),
            fixed,
            of_file: Sites::default(),
            children: Vec::new(),
        };
        writer.put_static(Vec::new());
        writer.set_live(config::Live::default());
        writer
    }

    /// The zone it writes.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// Takes the settings that may change while the zone is served. What they change of the zone is seen from the next
    /// commit on.
    pub fn set_live(&mut self, live: config::Live) {
        self.zone.set_live(live);
        // A zone that is its file and nothing else is transferred as its file has it.
        self.transferred.browse = live.transfer_browse || self.file_serial.is_some();
        self.set_merge(live.merge);
    }

    /// Replaces what the master file says. The SOA among the records, if any, replaces the zone's, but for a serial
    /// that would go back; name servers at the apex replace the zone's own.
    pub fn put_static(&mut self, records: Vec<Record>) {
        if let Some(fixed) = &mut self.fixed {
            fixed.put_static(records.clone());
        }
        let origin = self.zone.origin().clone();
        let is_soa = |record: &&Record| record.rtype == rtype::SOA && record.owner == origin;
        let soa = records.iter().find(is_soa).and_then(Soa::from_record);
        if let Some(file) = &mut self.file_serial {
            file.read(soa.as_ref().map(|soa| soa.serial), &records);
        }
        let soa = soa.unwrap_or_else(|| self.base.1.clone());
        let serial = if serial::is_after(soa.serial, self.soa.serial) { soa.serial } else { self.soa.serial };
        self.soa = Soa { serial, ..soa };
        self.transferred.keep(&origin, &records);
        self.static_addresses = records.iter().any(|record| address_of(&origin, &record.owner).is_some());
        self.touched.insert(origin);
        // A host at an `addr` name that the file speaks of, or no longer speaks of, may be packed with anybody's
        // records.
        let is_addr = |owner: &Name| address_of(self.zone.origin(), owner).is_some();
        let before = self.sources[0].extents.get(STATIC).into_iter().flat_map(|extent| &extent.owners);
        if before.chain(records.iter().map(|record| &record.owner)).any(is_addr) {
            self.touched.extend(self.slots.keys().cloned());
        }
        let base = self.base_beside(&records);
        let sites = self.sites_of(&records, &base);
        let mut owners: HashMap<Name, RrSetBuilder> = HashMap::default();
        for record in
            records.into_iter().filter(|record| !matches!(record.rtype, rtype::SOA | instances::TYPE | unknown::TYPE))
        {
            owners.entry(record.owner).or_default().add(record.rtype, record.ttl, &record.rdata);
        }
        let offers: Vec<Offer> = owners
            .into_iter()
            .map(|(owner, sets)| Offer { owner, rank: Rank::Static, sets: sets.into_sets() })
            .collect();
        self.put(STATIC, offers);
        self.put(BASE, base);
        self.place(sites);
    }

    /// Replaces everything that the zone itself offers under `path`; see [`sources::Source::put`].
    pub fn put(&mut self, path: &str, offers: impl Into<Offers>) {
        let path = self.path_of(SourceId::OWN, path);
        self.contribute(&SourceKey { source: SourceId::OWN, path }, offers.into());
    }

    /// The path as it is held, if anything is offered under it.
    fn path_of(&self, source: SourceId, path: &str) -> Arc<str> {
        let held = self.sources.get(source.place()).and_then(|source| source.extents.get_key_value(path));
        held.map_or_else(|| path.into(), |(path, _)| Arc::clone(path))
    }

    /// Has this, and nothing else, be offered under `key`.
    fn apply(&mut self, key: &SourceKey, offers: Offers) {
        let Some(source) = self.sources.get_mut(key.source.place()) else { return };
        let before = source.extents.remove(&key.path).unwrap_or_default();
        let now = Extent::new(&offers);
        let mut is_different = before != now;
        if !before.owners.is_empty() {
            let kept: StdSet<&Name> = now.owners.iter().collect();
            before.owners.iter().filter(|owner| !kept.contains(owner)).for_each(|owner| self.withdraw(key, owner));
        }
        self.cover(key, &offers);
        for offer in offers.names {
            is_different |= self.offer(key, offer);
        }
        self.move_addresses(&before, &now);
        if is_different {
            self.note_changed(key);
        }
        if now != Extent::default()
            && let Some(source) = self.sources.get_mut(key.source.place())
        {
            source.extents.insert(Arc::clone(&key.path), now);
        }
    }

    /// Notes below which names all is unknown. Names there that merely exist are looked at again where that is
    /// different.
    fn cover(&mut self, key: &SourceKey, offers: &Offers) {
        let covers = offers.names.iter().filter(|offer| unknown::covers(&offer.sets)).map(|offer| offer.owner.clone());
        let now: Vec<Name> = covers.collect();
        if now.is_empty() && self.covers.is_empty() {
            return;
        }
        let before = self.covers.remove(key).unwrap_or_default();
        if before != now {
            let is_below = |name: &Name| before.iter().chain(&now).any(|above| name.is_at_or_below(above));
            let bare = self.slots.iter().filter(|(_, slot)| slot.is_empty()).map(|(name, _)| name);
            let touched: Vec<Name> = bare.chain(&self.ghosts).filter(|name| is_below(name)).cloned().collect();
            self.touched.extend(touched);
        }
        if !now.is_empty() {
            self.covers.insert(key.clone(), now);
        }
    }

    /// Has those names exist that any source knows.
    fn unite_known(&mut self) {
        let known: BTreeSet<Name> = self.sources.iter().flat_map(|source| source.known.iter().cloned()).collect();
        if known != self.known {
            self.touched.extend(known.symmetric_difference(&self.known).cloned());
            (self.is_known_anew, self.known) = (true, known);
        }
    }

    /// Decides which known names show, where that may be different.
    fn settle_known(&mut self) {
        let is_wild = self.wildcards > 0;
        if !self.is_known_anew && (self.known.is_empty() || !is_wild) {
            return;
        }
        // Once more when the last wildcard has gone.
        self.is_known_anew = is_wild;
        let mut ghosts: HashSet<Name> = HashSet::default();
        for name in self.known.iter().filter(|name| !self.is_wild(name)) {
            let mut name = name.clone();
            while name != *self.zone.origin() && ghosts.insert(name.clone()) {
                let Some(parent) = name.parent() else { break };
                name = parent;
            }
        }
        self.touched.extend(ghosts.symmetric_difference(&self.ghosts).cloned());
        self.ghosts = ghosts;
    }

    /// Returns whether a wildcard is there for a name that is offered nothing (RFC 4592 §3.3.1).
    fn is_wild(&self, name: &Name) -> bool {
        let mut above = name.parent();
        while let Some(encloser) = above.filter(|_| self.wildcards > 0) {
            if encloser == *self.zone.origin() || self.slots.contains_key(&encloser) {
                return encloser.child(b"*").is_ok_and(|wildcard| self.slots.contains_key(&wildcard));
            }
            above = encloser.parent();
        }
        false
    }

    /// Has an RRset be offered at a name; returns whether that is news.
    fn offer(&mut self, key: &SourceKey, Offer { owner, rank, sets }: Offer) -> bool {
        self.make_slot(&owner);
        let Some(slot) = self.slots.get_mut(&owner) else { return false };
        let first = slot.is_empty();
        let is_news = slot.put(key, rank, sets, || held(&self.index, owner.wire()));
        if is_news {
            if first {
                self.count_ancestors(&owner, |below| below + 1);
            }
            self.note_collision(&owner);
            self.touched.insert(owner);
        }
        is_news
    }

    fn withdraw(&mut self, key: &SourceKey, owner: &Name) {
        let Some(slot) = self.slots.get_mut(owner) else { return };
        slot.remove(key);
        if slot.is_empty() {
            if slot.below == 0 {
                self.drop_slot(owner);
            }
            self.count_ancestors(owner, |below| below - 1);
        }
        self.note_collision(owner);
        self.touched.insert(owner.clone());
    }

    /// Something begins or ceases to be offered at `owner`: every name between it and the apex has one more, or one
    /// less, below it.
    fn count_ancestors(&mut self, owner: &Name, count: impl Fn(u32) -> u32) {
        let mut name = owner.clone();
        while name != *self.zone.origin() {
            let Some(parent) = name.parent() else { return };
            self.make_slot(&parent);
            let Some(slot) = self.slots.get_mut(&parent) else { return };
            let before = slot.below;
            slot.below = count(before);
            let (is_bare, is_gone) = (slot.is_empty(), slot.is_empty() && slot.below == 0);
            // It comes into being, or ceases to be, with what is below it.
            if is_bare && (before == 0 || is_gone) {
                self.touched.insert(parent.clone());
            }
            if is_gone {
                self.drop_slot(&parent);
            }
            name = parent;
        }
    }

    fn make_slot(&mut self, owner: &Name) {
        if self.slots.contains_key(owner) {
            return;
        }
        match synthesized::shape(self.zone.origin().wire(), owner.wire()) {
            Some(SyntheticName::Address(_)) => drop(self.slots_of_addresses.insert(owner.clone())),
            Some(SyntheticName::Instance(_)) => {
                if let Some(parent) = owner.parent() {
                    self.slots_of_instances.entry(parent).or_default().insert(owner.clone());
                }
            }
            None => {}
        }
        self.wildcards += usize::from(is_wildcard(owner));
        self.slots.insert(owner.clone(), OwnerOffers::default());
    }

    fn drop_slot(&mut self, owner: &Name) {
        self.wildcards -= usize::from(self.slots.remove(owner).is_some() && is_wildcard(owner));
        self.shadowed.remove(owner);
        self.slots_of_addresses.remove(owner);
        if self.slots_of_instances.is_empty() {
            return;
        }
        if let Some(parent) = owner.parent()
            && let Some(beside) = self.slots_of_instances.get_mut(&parent)
        {
            beside.remove(owner);
            if beside.is_empty() {
                self.slots_of_instances.remove(&parent);
            }
        }
    }

    /// A service was at some addresses, and is at others now.
    fn move_addresses(&mut self, before: &Extent, now: &Extent) {
        if (&before.v4, &before.v6) == (&now.v4, &now.v6) {
            return;
        }
        let were_none = self.addresses.is_empty();
        for told in now.addresses() {
            if self.addresses.add(told) {
                self.moved.insert(told.0);
            }
        }
        for told in before.addresses() {
            if self.addresses.remove(told) {
                self.moved.insert(told.0);
            }
        }
        // The domain of their names exists as long as any does.
        let origin = self.zone.origin();
        if were_none != self.addresses.is_empty()
            && let Ok(one) = origin.child(b"addr").and_then(|domain| domain.child(b"x"))
        {
            self.count_ancestors(&one, |below| if were_none { below + 1 } else { below - 1 });
        }
    }

    /// Makes what was put so far ready in a zone that nobody is served from yet: nothing of it need be held twice until
    /// the commit, and the commit is short. Elsewhere it does nothing.
    pub fn prepare(&mut self) {
        if self.zone.freshness() != Freshness::Loading {
            return;
        }
        // What very many offer something at changes every time.
        let is_shared = |name: &Name| self.slots.get(name).is_some_and(OwnerOffers::is_shared);
        let shared: HashSet<Name> = self.touched.iter().filter(|name| is_shared(name)).cloned().collect();
        self.touched.retain(|name| !shared.contains(name));
        let gathered = self.gather(false);
        self.touched.extend(shared);
        self.is_prepared |= !gathered.is_empty();
        let apex = self.index.live().apex().cloned();
        self.show(gathered, apex);
    }

    /// Makes everything put since the last commit visible in one step. Nothing happens, and the serial stays, when no
    /// record is different. `unix` is the time in seconds.
    pub fn commit(&mut self, unix: u64) -> Option<Commit> {
        self.committed_at = unix;
        if let Some(fixed) = &mut self.fixed {
            fixed.commit(unix);
        }
        let is_other = self.zone.set_transferred(&self.transferred);
        self.is_prepared |= is_other;
        self.is_large_anew |= is_other;
        let is_kept = self.zone.keeps_journal() && !self.is_prepared;
        let mut gathered = self.gather(is_kept);
        if gathered.is_empty() && !self.is_prepared {
            self.show(gathered, None);
            if self.tell_large() {
                self.tell_anew();
            }
            self.changed.clear();
            return None;
        }
        self.soa.serial = self.next_serial(unix);
        // The apex goes along in every commit: it holds the serial.
        let origin = self.zone.origin().clone();
        gathered.forget(&origin);
        gathered.take(self.seen(origin));
        let apex = gathered.changes.last().and_then(|change| change.new.clone());
        let commit = Commit { serial: self.soa.serial, changes: std::mem::take(&mut gathered.changes) };
        // First the journal: whoever has seen the new serial finds the way to it there.
        if self.is_prepared {
            self.zone.forget_journal();
        } else {
            self.zone.record(&commit);
        }
        self.is_prepared = false;
        self.show(gathered, apex);
        self.tell_large();
        self.zone.set_serial(self.soa.serial, self.file_serial.as_ref().map_or(0, FileSerial::content));
        self.tell_commit(&commit);
        Some(commit)
    }

    fn next_serial(&mut self, unix: u64) -> u32 {
        let of_file = match &mut self.file_serial {
            Some(file) => file.next(),
            None => None,
        };
        of_file.unwrap_or_else(|| serial::next(self.soa.serial, unix))
    }

    /// Sets how much of its past the zone keeps for incremental transfers from now on.
    pub fn keep_journal(&mut self, bounds: Bounds) {
        let before = self.zone.keeps_journal();
        self.zone.keep_journal(bounds);
        self.is_large_anew = true;
        if self.zone.keeps_journal() != before {
            self.tell_anew();
        }
    }

    /// The live state, for those who compare.
    pub fn live(&self) -> View {
        View::new(self.index.live())
    }
}

fn is_wildcard(name: &Name) -> bool {
    name.labels().next() == Some(b"*")
}

/// The entry that readers see at a name, where one is held.
fn held(index: &IndexWriter, name: &[u8]) -> Option<Packed> {
    index.live().held(index::hash(name), name).cloned()
}

#[cfg(test)]
mod tests;
