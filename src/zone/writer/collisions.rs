//! Names at which services meet that should have names of their own: two paths may make one name (`a_b` and `a.b` are
//! both `a-b` to those who can ask for host names only), or the zone file or the zone itself has that name. What shows
//! there is decided in [`crate::zone::owner_offers`]; people are to know of it. A registry has few of them or none, so
//! they are kept beside the slots.

use std::sync::Arc;

use super::ZoneWriter;
use crate::zone::name::Name;
pub use crate::zone::owner_offers::CollisionKind;
use crate::zone::owner_offers::MAX_LISTED;
use crate::zone::source::{SourceId, SourceKey};

/// A name, and the services that meet there: with each other, or with what the zone file or the zone itself has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The name.
    pub owner: Name,
    /// The services, the one that shows first.
    pub services: Vec<Party>,
    /// Kind of the collision; `None` when it is over.
    pub kind: Option<CollisionKind>,
    /// The cut below which the name lies, where that is how they meet.
    pub cut: Option<Name>,
}

/// A service that meets others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The name of the source that has it; `None` if it is the source that is told.
    pub source: Option<Arc<str>>,
    /// Its path.
    pub path: Arc<str>,
}

impl ZoneWriter {
    /// Looks at how what is offered at `owner` meets.
    pub(super) fn note_collision(&mut self, owner: &Name) {
        if self.collision_kind(owner).is_some() {
            self.collisions.insert(owner.clone());
        } else if self.collisions.is_empty() || !self.collisions.remove(owner) {
            return;
        }
        // Without any, the zone's own is the only one.
        let told = usize::from(self.sources.len() > 1);
        for source in &mut self.sources[told..] {
            source.untold.insert(owner.clone());
        }
    }

    fn collision_kind(&self, owner: &Name) -> Option<CollisionKind> {
        if self.contenders(owner).is_some() {
            return Some(CollisionKind::Preceded);
        }
        let slot = self.slots.get(owner)?;
        // Nearly all names are one service's alone.
        if slot.is_alone() && !self.sites.has_cuts() {
            return None;
        }
        let kind = slot.collision_kind(self.site(owner))?;
        let is_lost = kind != CollisionKind::Cut || self.cut_above(owner).is_none_or(|cut| !self.is_alike(cut));
        is_lost.then_some(kind)
    }

    /// The names at which services have come to meet, or ceased to, since this was last asked, in order.
    pub fn take_collisions(&mut self) -> Vec<Collision> {
        self.collisions_for(SourceId::OWN)
    }

    /// The collisions that a source does not know of yet.
    pub(super) fn collisions_for(&mut self, id: SourceId) -> Vec<Collision> {
        let Some(source) = self.sources.get_mut(id.place()) else { return Vec::new() };
        let untold = std::mem::take(&mut source.untold).into_iter();
        let mut collisions: Vec<Collision> = untold
            .map(|owner| {
                let kind = self.collision_kind(&owner);
                let services = match kind {
                    Some(CollisionKind::Preceded) => self.contenders(&owner),
                    _ => self.slots.get(&owner).zip(kind).map(|(slot, kind)| slot.collision(kind)),
                };
                let parties = services.unwrap_or_default().into_iter().take(MAX_LISTED).map(|key| self.party(id, key));
                let cut = self.cut_above(&owner).cloned().filter(|_| kind == Some(CollisionKind::Cut));
                Collision { services: parties.collect(), kind, cut, owner }
            })
            .collect();
        collisions.sort_by(|a, b| a.owner.cmp(&b.owner));
        collisions
    }

    fn party(&self, told: SourceId, SourceKey { source, path }: SourceKey) -> Party {
        let other = self.sources.get(source.place()).filter(|_| source != told);
        Party { source: other.map(|other| Arc::clone(&other.role.name)), path }
    }
}
