//! The life of a connection: how an epoch begins and ends, and when a session is given up.

use std::time::{Duration, Instant};

#[cfg(test)]
use super::Mutation;
use super::{Action, Mirror};
use crate::registry::Error;
use crate::registry::status::Phase;
use crate::registry::tree::Tree;
use crate::zookeeper::session::Event;

/// Time after which a tree that was too large is looked at again.
const TOO_MANY: Duration = Duration::from_secs(60);
/// Time that the scan of one znode takes, about; measured at a million.
const SCAN_OF_ONE: Duration = Duration::from_micros(5);
/// Limit of the time over which scans are spread.
const MAX_STAGGER: Duration = Duration::from_secs(10);
/// Scans that take less are not spread.
const MIN_STAGGER: Duration = Duration::from_millis(250);

impl Mirror {
    pub(super) fn begin_epoch(&mut self, now: Instant) {
        self.end_epoch();
        self.epoch = self.epoch.wrapping_add(1);
        self.counters.epochs += 1;
        self.enter(now, Phase::Arming);
        self.actions.push(Action::Arm(self.epoch, self.roots()));
    }

    /// Draws the wait before the scan. All who lost an ensemble come back at the same moment, and each scan of a large
    /// tree is seconds of the servers' work: who has something to serve meanwhile lets chance spread them, over as long
    /// as such a scan takes itself.
    pub(super) fn stagger(&mut self, tree: &Tree) -> Duration {
        let most = SCAN_OF_ONE.saturating_mul(u32::try_from(tree.len()).unwrap_or(u32::MAX)).min(MAX_STAGGER);
        // Below the tick's length nothing is won.
        if most < MIN_STAGGER { Duration::ZERO } else { most.mul_f64(self.rng.f64()) }
    }

    /// Begins the scan, when it is time.
    pub(super) fn scan(&mut self, now: Instant) {
        if self.phase == Phase::Syncing && self.scan_at.is_some_and(|at| at <= now) {
            self.scan_at = None;
            self.enter(now, Phase::Scanning);
            for root in self.roots() {
                self.visit(root);
            }
        }
    }

    /// Forgets what is outstanding: its answers, should they come, are told by their epoch. What is in the tree
    /// of a live mirror is still good to publish.
    pub(super) fn end_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.weights.end_epoch();
        self.largest_request = 0;
        self.busy.clear();
        self.queue.clear();
        self.groups.clear();
        self.ready.clear();
        self.pieces.clear();
        self.staged.clear();
        self.scan_at = None;
        self.adding.clear();
        self.rescans.clear();
        self.untold.clear();
        self.lists.end_epoch();
        self.doubt.begin();
        self.in_flight = 0;
        self.probing = false;
        self.actions.retain(|action| matches!(action, Action::Publish(_) | Action::Untold(_)));
        if self.phase == Phase::Live {
            self.publish_now();
        }
    }

    pub(super) fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Changed(path) => {
                if !self.is_mirrored(&path) || matches!(self.phase, Phase::Offline | Phase::Suspended | Phase::Holding)
                {
                    return;
                }
                self.counters.events += 1;
                self.told(&path);
                self.mark(now, path);
            }
            Event::Disconnected if self.phase != Phase::Offline => self.suspend(now),
            #[cfg(test)]
            Event::Connected if self.mutation == Some(Mutation::NoResync) && self.counters.syncs > 0 => {
                self.enter(now, Phase::Live);
            }
            Event::Connected if self.phase != Phase::Offline => self.begin_epoch(now),
            Event::Disconnected | Event::Connected => {}
            Event::Over(error) => self.reconnect(now, error),
        }
    }

    /// The connection broke, perhaps of what was asked for.
    fn broke(&mut self) {
        if self.in_flight > 0 {
            self.weights.broke(self.largest_request);
        }
    }

    /// The connection is gone, the session may come back.
    fn suspend(&mut self, now: Instant) {
        self.broke();
        self.end_epoch();
        self.trouble.get_or_insert(Error::ConnectionLoss("the server closed the connection or went silent".into()));
        self.enter(now, Phase::Suspended);
    }

    /// A request of this epoch failed. A broken connection comes back by itself within the session; anything else needs
    /// a new session.
    pub(super) fn failed(&mut self, now: Instant, error: Error) {
        match error {
            // Without an armed watch nobody would tell that the connection is back.
            Error::ConnectionLoss(_) if self.phase != Phase::Arming => {
                self.trouble = Some(error);
                self.suspend(now);
            }
            _ => self.reconnect(now, error),
        }
    }

    /// The session is of no use.
    pub(super) fn reconnect(&mut self, now: Instant, error: Error) {
        self.broke();
        self.end_epoch();
        self.trouble = Some(error);
        self.enter(now, Phase::Offline);
        let after = self.backoff.failed(now, self.rng.f64());
        self.actions.push(Action::Connect { after });
    }

    /// There is more to mirror than may be. Servers are spared further scans for a while.
    pub(super) fn too_many(&mut self, now: Instant) {
        self.end_epoch();
        self.trouble = Some(Error::TooManyZnodes(self.limits.znodes));
        self.enter(now, Phase::Offline);
        self.actions.push(Action::Connect { after: TOO_MANY });
    }

    pub(super) fn tick(&mut self, now: Instant, tree: &Tree) {
        self.scan(now);
        if self.phase == Phase::Live {
            self.recheck(now, tree);
        }
        let idle = now.saturating_duration_since(self.progress);
        match self.phase {
            // Nothing is asked for until the next look.
            Phase::Holding if self.doubt.is_due(now) => self.begin_epoch(now),
            // The connect that was asked for is bounded in time by itself.
            Phase::Offline | Phase::Holding => {}
            Phase::Suspended if idle >= self.limits.suspension => {
                let error = self.trouble.clone().unwrap_or(Error::Timeout);
                self.reconnect(now, error);
            }
            _ if idle >= self.limits.patience => self.reconnect(now, Error::Timeout),
            Phase::Live if idle >= self.limits.probe && !self.probing => {
                self.probing = true;
                self.actions.push(Action::Sync(self.epoch));
            }
            _ => {}
        }
    }

    /// The server has just answered: the connection is alive.
    pub(super) fn proven(&mut self, now: Instant) {
        self.progress = now;
        self.probing = false;
        if self.phase == Phase::Live {
            self.fresh_at = Some(now);
        }
    }
}
