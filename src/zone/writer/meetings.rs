//! Names at which services meet that should have names of their own: two paths may make one name (`a_b` and `a.b` are
//! both `a-b` to those who can ask for host names only), or the zone file or the zone itself has that name. What shows
//! there is decided in [`super::super::slot`]; people are to know of it. A registry has few of them or none, so they
//! are kept beside the slots.

use std::sync::Arc;

use super::super::name::Name;
pub use super::super::slot::Met;
use super::ZoneWriter;

/// A name, and the services that meet there: with each other, or with what the zone file or the zone itself has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The name.
    pub owner: Name,
    /// The paths of the services, the one that shows first.
    pub services: Vec<Arc<str>>,
    /// Kind of the meeting; `None` when it is over.
    pub met: Option<Met>,
    /// The cut below which the name lies, where that is how they meet.
    pub cut: Option<Name>,
}

impl ZoneWriter {
    /// Looks at how what is offered at `owner` meets.
    pub(super) fn note_meeting(&mut self, owner: &Name) {
        if self.met(owner).is_some() {
            self.meetings.insert(owner.clone());
        } else if self.meetings.is_empty() || !self.meetings.remove(owner) {
            return;
        }
        self.untold.insert(owner.clone());
    }

    fn met(&self, owner: &Name) -> Option<Met> {
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
        let untold = std::mem::take(&mut self.untold).into_iter();
        let mut meetings: Vec<Meeting> = untold
            .map(|owner| {
                let met = self.met(&owner);
                let services = self.slots.get(&owner).zip(met).map(|(slot, met)| slot.meeting(met));
                let cut = self.cut_above(&owner).cloned().filter(|_| met == Some(Met::Cut));
                Meeting { services: services.unwrap_or_default(), met, cut, owner }
            })
            .collect();
        meetings.sort_by(|a, b| a.owner.cmp(&b.owner));
        meetings
    }
}
