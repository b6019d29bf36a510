//! Lines of the log about registrations.

use tracing::{info, warn};

use super::Driver;
use crate::announce::config::ServiceConfig;
use crate::announce::moves;
use crate::announce::plan::Notice;
use crate::announce::status::{Hold, Registration};
use crate::zookeeper::session::Ensemble;

impl<E: Ensemble> Driver<E> {
    /// Writes the line about a registration: what is put in is `registered`, what is taken out `withdrawn`.
    pub(super) fn log(&self, registration: &Registration, news: &Notice) {
        let (path, endpoint) = (&registration.path, registration.unnamed_endpoint());
        match news {
            Notice::Registered(reason) => info!(%path, endpoint, reason, "registered"),
            Notice::TakenOver(session) => {
                info!(%path, endpoint, reason = "taken over from an earlier session", from = format!("{session:#x}"), "registered");
            }
            Notice::Restored => {
                info!(%path, endpoint, reason = "it had been deleted or changed by somebody else", "registered");
            }
            Notice::Updated => info!(%path, endpoint, reason = "its data changed", "updated"),
            Notice::WithdrawnFor(hold @ Hold::Unhealthy(_)) => warn!(%path, endpoint, reason = %hold, "withdrawn"),
            Notice::WithdrawnFor(hold) => info!(%path, endpoint, reason = %hold, "withdrawn"),
            Notice::Withdrawn => self.log_withdrawal(registration),
            Notice::Held(hold @ Hold::Unhealthy(_)) => warn!(%path, endpoint, reason = %hold, "not registered"),
            Notice::Held(hold) => info!(%path, endpoint, reason = %hold, "not registered"),
            Notice::Lost(reason) => warn!(%path, endpoint, reason, "lost"),
            Notice::Blocked(by) => warn!(%path, endpoint, reason = %by, "not registered"),
            Notice::Failed(reason) => warn!(%path, endpoint, reason, "not registered"),
        }
    }

    fn log_withdrawal(&self, registration: &Registration) {
        let (path, endpoint, at) = (&registration.path, registration.unnamed_endpoint(), &registration.endpoint);
        if self.is_stopping {
            return info!(%path, endpoint, reason = "this process stops", "withdrawn");
        }
        let was_here = |service: &ServiceConfig| {
            service.port == at.port && service.address.as_ref().is_none_or(|host| *host == at.host)
        };
        let all = moves::find(&self.before, &self.given);
        let moved = all.iter().find(|moved| moved.from.name.value == registration.service && was_here(moved.from));
        let is_given = self.given.iter().any(|service| service.name.value == registration.service && was_here(service));
        match moved {
            Some(moved) if moved.to.is_some() => warn!(%path, endpoint, reason = %moved, "withdrawn"),
            Some(moved) => info!(%path, endpoint, reason = %moved, "withdrawn"),
            None if is_given => {
                info!(%path, endpoint, reason = "its address is not one of this host's to register", "withdrawn");
            }
            None => info!(%path, endpoint, reason = "it has left the configuration", "withdrawn"),
        }
    }
}
