//! Tells those that follow the zone of its commits, and of changes in how far it can be trusted.

use super::ZoneWriter;
use crate::zone::commit::Commit;
use crate::zone::events::{ChangedService, Event, MAX_LISTED};
use crate::zone::freshness::Freshness;
use crate::zone::source::{SourceKey, is_service};

impl ZoneWriter {
    /// Notes that a service offers something else than before.
    pub(super) fn note_changed(&mut self, key: &SourceKey) {
        // One more than is listed says that there are more.
        if self.changed.len() <= MAX_LISTED && is_service(&key.path) && self.zone.events().are_followed() {
            self.changed.insert(key.clone());
        }
    }

    /// Tells of a commit.
    pub(super) fn tell_commit(&mut self, commit: &Commit) {
        let changed = std::mem::take(&mut self.changed);
        if !self.zone.events().are_followed() {
            return;
        }
        let is_partial = changed.len() > MAX_LISTED || commit.changes.len() > MAX_LISTED + 1;
        let origin = self.zone.origin();
        let names = commit.changes.iter().map(|change| &change.owner).filter(|owner| *owner != origin);
        let names = names.take(MAX_LISTED).cloned().collect();
        let services = changed.into_iter().take(MAX_LISTED).map(|SourceKey { source, path }| {
            let source = self.sources.get(source.place());
            ChangedService { source: source.map_or_else(|| "".into(), |source| source.role.name.clone()), path }
        });
        let services = services.collect();
        let event = self.event();
        self.zone.events().tell(Event { names, services, is_partial, ..event });
    }

    /// Says how far the zone can be trusted from now on, to its readers and to those that follow it.
    pub(super) fn show_freshness(&mut self, freshness: Freshness) {
        if self.zone.freshness() != freshness {
            self.zone.set_freshness(freshness);
            self.zone.events().tell(self.event());
        }
    }

    /// Says whether transfers wait from now on.
    pub(super) fn show_held(&mut self, holds: bool) {
        let before = self.zone.is_transferable();
        self.zone.hold_transfers(holds);
        if self.zone.is_transferable() != before {
            self.zone.events().tell(self.event());
        }
    }

    /// Tells that something other than the records is different: warnings, or whether a journal is kept.
    pub(super) fn tell_anew(&self) {
        self.zone.events().tell(self.event());
    }

    /// An event of the zone as it is now.
    fn event(&self) -> Event {
        let zone = &self.zone;
        Event {
            number: 0,
            zone: zone.origin().clone(),
            unix: self.committed_at,
            serial: zone.serial(),
            freshness: zone.freshness(),
            names: Vec::new(),
            services: Vec::new(),
            is_partial: false,
        }
    }
}
