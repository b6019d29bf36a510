//! Claims of services on names that several sources may have, and what is held of those that do not show.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::name::Name;
use super::offer::{Offer, Offers, Rank};
use super::source::{SourceId, SourceKey};
use super::unknown;

/// Claims of services on names, and the services that do not show.
#[derive(Debug, Default)]
pub(super) struct Contest {
    pub(super) claimants: HashMap<Name, BTreeSet<SourceKey>, FixedState>,
    pub(super) claims: HashMap<SourceKey, Name, FixedState>,
    /// Offers of the services that do not show.
    pub(super) held: HashMap<SourceKey, Offers, FixedState>,
}

impl Contest {
    /// Offers of a service that does not show.
    pub(super) fn held(&self, key: &SourceKey) -> Option<&Offers> {
        self.held.get(key)
    }

    /// Paths of the services of `source` that do not show.
    pub(super) fn paths(&self, source: SourceId) -> impl Iterator<Item = &Arc<str>> {
        self.held.keys().filter(move |key| key.source == source).map(|key| &key.path)
    }

    pub(super) fn claim(&mut self, key: &SourceKey, name: Option<Name>) {
        if let Some(before) = self.claims.remove(key)
            && let Some(claimants) = self.claimants.get_mut(&before)
        {
            claimants.remove(key);
            if claimants.is_empty() {
                self.claimants.remove(&before);
            }
        }
        if let Some(name) = name {
            self.claimants.entry(name.clone()).or_default().insert(key.clone());
            self.claims.insert(key.clone(), name);
        }
    }
}

/// The name that a service with these offers claims.
pub(super) fn claim(offers: &Offers) -> Option<Name> {
    let has_data = |offer: &&Offer| offer.sets.iter().any(|set| set.rtype != unknown::TYPE);
    offers.names.iter().find(|offer| offer.rank == Rank::Real && has_data(offer)).map(|offer| offer.owner.clone())
}
