//! Services of one name in several sources: those of the source that goes first show, the others are held until it has
//! none of that name. A service with data claims the name of its own; one without hides nobody.
//!
//! The services of a source that is not served are held as well, until it is. A zone with one source that may have any
//! name has nothing of this: it is served, or not, as a whole.

use super::{ZoneWriter, held};
use crate::zone::contest::claim;
use crate::zone::name::Name;
use crate::zone::offer::{Offer, Offers};
use crate::zone::source::{Contributions, Merge, SourceId, SourceKey, is_service};

impl ZoneWriter {
    /// Replaces what a source contributes under a path.
    pub(super) fn contribute(&mut self, key: &SourceKey, offers: Offers) {
        if !self.is_contested() || !is_contender(key) {
            return self.apply(key, offers);
        }
        let before = self.contest.claims.get(key).cloned();
        let now = claim(&offers);
        self.contest.claim(key, now.clone());
        if self.is_shown(key) {
            self.contest.held.remove(key);
            self.apply(key, offers);
        } else {
            self.apply(key, Offers::default());
            if offers == Offers::default() {
                self.contest.held.remove(key);
            } else {
                self.contest.held.insert(key.clone(), offers);
            }
        }
        for name in before.iter().chain(now.as_ref().filter(|now| before.as_ref() != Some(now))) {
            self.settle_name(name);
        }
    }

    /// Has services of one name in several sources be united, or those of the first show alone.
    pub(super) fn set_merge(&mut self, merge: Merge) {
        if merge == self.merge {
            return;
        }
        let mut keys = Vec::new();
        for (id, one) in self.registered() {
            let paths = one.extents.keys().chain(self.contest.paths(id));
            keys.extend(paths.map(|path| SourceKey::new(id, path)));
        }
        let changed = self.changed.clone();
        let taken: Vec<(SourceKey, Offers)> = keys
            .into_iter()
            .map(|key| {
                let offers = self.take(&key);
                (key, offers)
            })
            .collect();
        self.merge = merge;
        for (key, offers) in taken {
            let key = SourceKey::new(self.id_at(key.source.place()), &key.path);
            self.contribute(&key, offers);
        }
        // What it offers is what it offered.
        self.changed =
            changed.into_iter().map(|key| SourceKey::new(self.id_at(key.source.place()), &key.path)).collect();
    }

    /// Takes all that a source contributes under a path out of the zone.
    fn take(&mut self, key: &SourceKey) -> Offers {
        self.contest.claim(key, None);
        self.contest.held.remove(key).unwrap_or_else(|| {
            let offers = self.offers_of(key);
            self.apply(key, Offers::default());
            offers
        })
    }

    /// Returns whether there are several sources, services of which may have one name, or one of a part of the zone,
    /// beside which the rest is served.
    fn is_contested(&self) -> bool {
        let is_part = |one: &Contributions| one.role.below != *self.zone.origin();
        self.sources.len() > 2 || self.sources.get(1).is_some_and(is_part)
    }

    /// Returns whether a service shows.
    fn is_shown(&self, key: &SourceKey) -> bool {
        if !self.is_served(key.source) {
            return false;
        }
        let Some(claimants) = self.contest.claims.get(key).and_then(|name| self.contest.claimants.get(name)) else {
            return true;
        };
        let first = claimants.iter().find(|other| self.is_served(other.source));
        first.is_none_or(|first| first.source.precedence() == key.source.precedence())
    }

    fn is_served(&self, source: SourceId) -> bool {
        self.sources.get(source.place()).is_none_or(Contributions::is_served)
    }

    /// Has a service show that should, and hides one that should not.
    fn settle(&mut self, key: &SourceKey) {
        let is_held = self.contest.held.contains_key(key);
        match self.is_shown(key) {
            true if is_held => {
                let offers = self.contest.held.remove(key).unwrap_or_default();
                self.apply(key, offers);
            }
            false if !is_held => {
                let offers = self.offers_of(key);
                self.apply(key, Offers::default());
                if offers != Offers::default() {
                    self.contest.held.insert(key.clone(), offers);
                }
            }
            _ => {}
        }
    }

    /// Settles the services that claim a name.
    fn settle_name(&mut self, name: &Name) {
        let claimants: Vec<SourceKey> = self.contest.claimants.get(name).into_iter().flatten().cloned().collect();
        for key in &claimants {
            self.settle(key);
        }
        self.note_collision(name);
    }

    /// Settles all services of a source, and those of others that claim their names.
    pub(super) fn settle_source(&mut self, source: SourceId) {
        if !self.is_contested() {
            return;
        }
        let Some(contributions) = self.sources.get(source.place()) else { return };
        let paths = contributions.extents.keys().chain(self.contest.paths(source));
        let keys: Vec<SourceKey> = paths.map(|path| SourceKey::new(source, path)).filter(is_contender).collect();
        for key in keys {
            // What came before there was anything to contend with has claimed nothing yet.
            let claimed = match self.contest.claims.get(&key) {
                Some(name) => Some(name.clone()),
                None if self.contest.held.contains_key(&key) => None,
                None => claim(&self.offers_of(&key)),
            };
            self.contest.claim(&key, claimed.clone());
            self.settle(&key);
            if let Some(name) = claimed {
                self.settle_name(&name);
            }
        }
    }

    /// The services that contend for a name, the one that shows first; `None` where all that claim it are united.
    pub(super) fn contenders(&self, name: &Name) -> Option<Vec<SourceKey>> {
        let claimants = self.contest.claimants.get(name)?.iter().filter(|key| self.is_served(key.source));
        let claimants: Vec<SourceKey> = claimants.cloned().collect();
        let precedence = |key: Option<&SourceKey>| key.map(|key| key.source.precedence());
        (precedence(claimants.first()) != precedence(claimants.last())).then_some(claimants)
    }

    /// Returns what is offered under a path now.
    fn offers_of(&mut self, key: &SourceKey) -> Offers {
        let contributions = self.sources.get(key.source.place());
        let Some(extent) = contributions.and_then(|source| source.extents.get(&key.path)) else {
            return Offers::default();
        };
        let mut offers =
            Offers { names: Vec::with_capacity(extent.owners.len()), addresses: extent.addresses().collect() };
        for owner in &extent.owners {
            let Some(slot) = self.slots.get_mut(owner) else { continue };
            slot.unpack(|| held(&self.index, owner.wire()));
            if let Some((rank, sets)) = slot.get(key) {
                offers.names.push(Offer { owner: owner.clone(), rank, sets: sets.iter().cloned().collect() });
            }
            // It is packed again with the next commit.
            self.touched.insert(owner.clone());
        }
        offers
    }
}

/// Returns whether it is a service of a registered source.
fn is_contender(key: &SourceKey) -> bool {
    key.source != SourceId::OWN && is_service(&key.path)
}
