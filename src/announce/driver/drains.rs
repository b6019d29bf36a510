//! Follows the drain flags of services whose registrations show them, and with them all events.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::{Driver, now};
use crate::announce::config::ServiceConfig;
use crate::announce::flags::Look;
use crate::announce::operations::{OperationOutcome, look_at_flags};
use crate::announce::plan::Input;
use crate::registry::{Error, Path};
use crate::zookeeper::Znode;
use crate::zookeeper::session::{Ensemble, Event};

impl<E: Ensemble> Driver<E> {
    /// Time at which something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let flags = self.flags.deadline(clocks()).filter(|_| self.session.is_some() && !self.is_stopping);
        self.plan.deadline().into_iter().chain(flags).min()
    }

    /// Takes in an event of a watch.
    pub(super) fn told(&mut self, event: Event, path: Path) -> Option<Input> {
        match event {
            Event::Changed(_) if self.flags.are_at(&path) => {
                self.flags.changed(&path, now());
                return None;
            }
            Event::Disconnected => self.flags.disconnected(now()),
            Event::Connected => self.flags.connected(now()),
            _ => {}
        }
        Some(match event {
            Event::Changed(_) => Input::Changed(path),
            Event::Disconnected => Input::Disconnected,
            Event::Connected => Input::Reconnected,
            Event::Over(why) => Input::Over(why),
        })
    }

    /// Follows the flags of these services, and no others.
    pub(super) fn follow_flags(&mut self, services: &[ServiceConfig]) {
        let before = self.flags.paths();
        let writer = &self.announcer.writer;
        self.flags.follow(services.iter().flat_map(|service| writer.flags_at(service)), now());
        for path in before.iter().filter(|path| !self.flags.are_at(path)) {
            self.watches.remove(path);
        }
    }

    /// Takes in a look at flags. Returns what is to be registered where that changes it.
    pub(super) fn flags_found(&mut self, path: &Path, found: Result<Znode, Error>) -> Option<Input> {
        let is_armed = self.watches.is_armed(path);
        let was_known = self.flags.are_known();
        let (is_new, told) = self.flags.found(path, is_armed, found, clocks());
        if let Some(error) = told {
            warn!(%path, %error, "its drain flags cannot be read: registrations do not show drains");
        }
        let is_wanted = is_new || (!was_known && self.flags.are_known());
        if is_wanted { self.want_again() } else { None }
    }

    /// Ends drains whose time is over. Returns what is to be registered then.
    pub(super) fn end_drains(&mut self) -> Option<Input> {
        if self.flags.end(clocks().1) { self.want_again() } else { None }
    }

    /// Looks at the flags that are due.
    pub(super) fn look_at_flags(&mut self) {
        if self.session.is_none() || self.is_stopping {
            return;
        }
        for Look { path, arm } in self.flags.due(now()) {
            let connection = self.watches.connection();
            self.spawn(move |session: Arc<E::Session>| async move {
                let (arming, found) = look_at_flags(&*session, &path, arm, connection).await;
                OperationOutcome::Flags { path, arming, found }
            });
        }
    }

    /// The registrations that are wanted, as far as it is known which of it is drained.
    fn want_again(&mut self) -> Option<Input> {
        if self.session.is_some() && !self.flags.are_known() {
            return None;
        }
        let own = self.own.clone().unwrap_or_default();
        let services = self.given.clone();
        self.want(&services, own).map(Input::Wanted)
    }
}

/// The time, by the clock of the process and by that of the host in seconds since 1970.
pub(super) fn clocks() -> (Instant, u64) {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now(), clock.as_secs())
}
