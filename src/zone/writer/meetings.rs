//! Names at which services meet that should have names of their own: two paths may make one name (`a_b` and `a.b` are
//! both `a-b` to those who can ask for host names only), or the zone file or the zone itself has that name. What shows
//! there is decided in [`super::super::slot`]; people are to know of it. A registry has few of them or none, so they
//! are kept beside the slots.

use std::sync::Arc;

use super::super::name::Name;
use super::super::owner_offers::MOST_TOLD;
pub use super::super::owner_offers::Met;
use super::super::source::{Key, SourceId};
use super::ZoneWriter;

/// A name, and the services that meet there: with each other, or with what the zone file or the zone itself has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The name.
    pub owner: Name,
    /// The services, the one that shows first.
    pub services: Vec<Party>,
    /// Kind of the meeting; `None` when it is over.
    pub met: Option<Met>,
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
    pub(super) fn note_meeting(&mut self, owner: &Name) {
        if self.met(owner).is_some() {
            self.meetings.insert(owner.clone());
        } else if self.meetings.is_empty() || !self.meetings.remove(owner) {
            return;
        }
        // Without any, the zone's own is the only one.
        let told = usize::from(self.sources.len() > 1);
        for source in &mut self.sources[told..] {
            source.untold.insert(owner.clone());
        }
    }

    fn met(&self, owner: &Name) -> Option<Met> {
        if self.contenders(owner).is_some() {
            return Some(Met::Preceded);
        }
        let slot = self.slots.get(owner)?;
        // Nearly all names are one service's alone.
        if slot.is_alone() && !self.sites.has_cuts() {
            return None;
        }
        let met = slot.met(self.site(owner))?;
        let is_lost = met != Met::Cut || self.cut_above(owner).is_none_or(|cut| !self.is_alike(cut));
        is_lost.then_some(met)
    }

    /// The names at which services have come to meet, or ceased to, since this was last asked, in order.
    pub fn take_meetings(&mut self) -> Vec<Meeting> {
        self.meetings_for(SourceId::OWN)
    }

    /// The meetings that a source does not know of yet.
    pub(super) fn meetings_for(&mut self, id: SourceId) -> Vec<Meeting> {
        let Some(source) = self.sources.get_mut(id.place()) else { return Vec::new() };
        let untold = std::mem::take(&mut source.untold).into_iter();
        let mut meetings: Vec<Meeting> = untold
            .map(|owner| {
                let met = self.met(&owner);
                let services = match met {
                    Some(Met::Preceded) => self.contenders(&owner),
                    _ => self.slots.get(&owner).zip(met).map(|(slot, met)| slot.meeting(met)),
                };
                let parties = services.unwrap_or_default().into_iter().take(MOST_TOLD).map(|key| self.party(id, key));
                let cut = self.cut_above(&owner).cloned().filter(|_| met == Some(Met::Cut));
                Meeting { services: parties.collect(), met, cut, owner }
            })
            .collect();
        meetings.sort_by(|a, b| a.owner.cmp(&b.owner));
        meetings
    }

    fn party(&self, told: SourceId, Key { source, path }: Key) -> Party {
        let other = self.sources.get(source.place()).filter(|_| source != told);
        Party { source: other.map(|other| Arc::clone(&other.role.name)), path }
    }
}
