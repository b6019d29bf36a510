//! The last stage: each zone commits once, and what is to be known of it is told.

use std::time::Instant;

use tracing::{debug, info, warn};

use super::clock::unix_now;
use super::collisions::{self, CollisionKind};
use super::core::Core;
use super::held_transfers::{LONGEST, TransferHold};

impl Core {
    pub(super) fn commit(&mut self) {
        self.hold_transfers(Instant::now());
        self.follow_past();
        for target in &self.targets {
            let mut writer = target.lock();
            if let Some(commit) = writer.commit(unix_now()) {
                self.census.changed(Instant::now());
                let (zone, names) = (writer.zone().origin(), commit.changes.len() - 1);
                debug!(%zone, serial = commit.serial, names, "published");
            }
        }
        self.tell_collisions();
        self.telling.tell(Instant::now());
        self.tell_noted();
        self.tell_due();
    }

    /// Tells of names that services have come to share, with each other or with a zone file, since this was last done.
    pub(super) fn tell_collisions(&self) {
        for target in &self.targets {
            let (zone, collisions) = {
                let mut writer = target.lock();
                (writer.zone().origin().clone(), writer.source(target.source).take_collisions())
            };
            for mut collision in collisions {
                for party in collision.services.iter_mut().filter(|party| party.source.is_none()) {
                    party.path = target.unplaced(&party.path).into();
                }
                let clash = collisions::clash(&self.layout, &zone, &collision);
                let (part, malformed) = collisions::problems(&self.layout, &zone, &collision);
                let is_news = self.clashes.replace(&zone, &collision.owner, clash.as_ref());
                // Where services alone are to blame, that is the warning. Of several readers, those say it that lose.
                let is_told = collision.kind != Some(CollisionKind::Preceded)
                    || collision.services.first().is_some_and(|first| first.source.is_some());
                if let Some(clash) = clash.filter(|_| is_news && is_told && malformed.is_empty()) {
                    warn!(%zone, reason = clash.reason, "a name is taken");
                }
                self.report(&part, malformed);
            }
        }
    }

    /// Holds the transfers of the zones back that have new hosts. To be called before a commit that shows these.
    pub(super) fn hold_transfers(&mut self, now: Instant) {
        self.follow_holding(now, |state| state == TransferHold::Free);
    }

    /// Lets the transfers go on of which the hosts were looked up, or have been waited for long enough. To be called
    /// after the commit that shows the addresses.
    pub(super) fn release_transfers(&mut self, now: Instant) {
        self.follow_holding(now, |state| state != TransferHold::Free);
        self.tell_due();
    }

    fn follow_holding(&mut self, now: Instant, is_meant: impl Fn(TransferHold) -> bool) {
        self.holding.0.resize(self.targets.len(), TransferHold::Free);
        for (target, state) in self.targets.iter().zip(&mut self.holding.0) {
            if !is_meant(*state) {
                continue;
            }
            let awaits = self.hosts.awaits(|service| target.shown(service).is_some());
            let next = state.next(awaits, now);
            if next == *state {
                continue;
            }
            let before = std::mem::replace(state, next);
            let mut writer = target.lock();
            writer.source(target.source).hold_transfers(matches!(next, TransferHold::Held(_)));
            let zone = writer.zone();
            if next == TransferHold::GaveUp {
                let waited = LONGEST.as_secs();
                warn!(
                    zone = %zone.origin(), seconds = waited,
                    "hosts were not looked up in time: transfers go on without their addresses; is the resolver of this host well?"
                );
            } else if before == TransferHold::GaveUp {
                info!(zone = %zone.origin(), "all hosts were looked up: transfers go on with what was found");
            }
        }
    }
}
