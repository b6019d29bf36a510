//! Names at which services meet that should have names of their own: two paths may make one name (`a_b` and `a.b` are both
//! `a-b` to those who can ask for host names only). What shows there is decided in [`super::super::slot`]; people are to
//! know of it. A registry has few of them or none, so they are kept beside the slots.

use std::sync::Arc;

use super::super::build::Rank;
use super::super::name::Name;
use super::ZoneWriter;

/// A name, and the services that meet there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The name.
    pub owner: Name,
    /// The paths of the services, the one that shows first; none when they meet there no more.
    pub services: Vec<Arc<str>>,
    /// Whether all of them show there, as one.
    pub are_united: bool,
}

impl ZoneWriter {
    /// Services do, or do not, meet at `owner` from now on.
    pub(super) fn note_meeting(&mut self, owner: &Name, is_shared: bool) {
        if is_shared {
            self.meetings.insert(owner.clone());
        } else if self.meetings.is_empty() || !self.meetings.remove(owner) {
            return;
        }
        self.untold.insert(owner.clone());
    }

    /// The names at which services have come to meet, or ceased to, since this was last asked, in order.
    pub fn take_meetings(&mut self) -> Vec<Meeting> {
        let untold = std::mem::take(&mut self.untold).into_iter();
        let mut meetings: Vec<Meeting> = untold
            .map(|owner| match self.slots.get(&owner).and_then(|slot| Some((slot.met_at()?, slot))) {
                Some((rank, slot)) => Meeting { services: slot.meeting(rank), are_united: rank == Rank::Real, owner },
                None => Meeting { owner, services: Vec::new(), are_united: false },
            })
            .collect();
        meetings.sort_by(|a, b| a.owner.cmp(&b.owner));
        meetings
    }
}
