//! What a registry's announcer shows to others: its session and each registration, as plain data.
//!
//! The driver writes it, admin and the tests read it; reading copies under a short lock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::check::Verdict;
use super::check::health::{self, Progress};
use super::check::outcome::Shortage;
use super::check::ttl::Heartbeats;
use crate::model::Endpoint;
use crate::registry::Path;

/// A handle on the status; clones show the same.
#[derive(Debug, Clone, Default)]
pub struct AnnouncerStatus {
    shown: Arc<Mutex<StatusRow>>,
    heartbeats: Arc<Heartbeats>,
}

#[derive(Debug, Default)]
struct StatusRow {
    session: Option<SessionStatus>,
    registrations: BTreeMap<Path, Registration>,
    checks: BTreeMap<u64, CheckStatus>,
    /// The services configured here, and whether each has a check that waits for heartbeats.
    services: BTreeMap<String, bool>,
    /// Addresses of this host at which services are not registered.
    refused: Vec<RefusedAddress>,
    /// Reason for having had no session last.
    last_error: Option<LastError>,
}

/// An address of this host at which a service without an address of its own is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAddress {
    /// Path of the service below the registry's root.
    pub service: String,
    /// The address.
    pub address: IpAddr,
    /// The interface it is on.
    pub interface: String,
    /// The reason, in a sentence.
    pub reason: String,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Time of it.
    pub at: Instant,
    /// The error, in a sentence.
    pub reason: String,
}

/// State of a check of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStatus {
    /// Path of the service below the registry's root.
    pub service: String,
    /// Kind and target of the check.
    pub check: String,
    /// State that its results add up to.
    pub state: health::CheckState,
    /// True if it goes up and down so often that rising takes longer.
    pub is_flapping: bool,
    /// Since when the state is what it is.
    pub since: Instant,
    /// The last result.
    pub last: Option<LastResult>,
    /// Good results.
    pub passed: u64,
    /// Bad ones.
    pub failed: u64,
    /// Number of times it has become well or ill.
    pub transitions: u64,
    /// By how much a probe has begun later than it was due, at most.
    pub latest: Duration,
    /// Time of the next probe, past or to come; none while one is on its way.
    pub due: Option<Instant>,
    /// Results in a row that speak for another state, if the last one does.
    pub progress: Option<Progress>,
    /// Reason for having no result since the last one.
    pub missed: Option<NoResult>,
    /// Probes without a result, by reason.
    pub no_results: BTreeMap<Shortage, u64>,
}

/// A probe without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoResult {
    /// Time of it.
    pub at: SystemTime,
    /// The kind of reason.
    pub shortage: Shortage,
    /// The reason, in a sentence.
    pub reason: String,
}

impl CheckStatus {
    /// By how much probes have begun late at most, or the next one is late already at `now`.
    pub fn latest(&self, now: Instant) -> Duration {
        let waiting = self.due.map(|due| now.saturating_duration_since(due)).unwrap_or_default();
        self.latest.max(waiting)
    }

    /// The last result in a line, with what the state alone does not tell: that there is none now, or that results
    /// begin to speak for another state.
    pub fn words(&self) -> String {
        let last = self.last.as_ref().map(|last| &last.found);
        let said = match (&self.progress, last) {
            (_, None) => "no result yet".to_owned(),
            (None, Some(Ok(said) | Err(said))) => said.clone(),
            (Some(progress), Some(Ok(said) | Err(said))) => format!("{progress}: {said}"),
        };
        match &self.missed {
            Some(NoResult { shortage, reason, .. }) => format!("no result now, {shortage} ({reason}); before: {said}"),
            None => said,
        }
    }
}

/// A result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastResult {
    /// Time of it.
    pub at: SystemTime,
    /// The result.
    pub found: Verdict,
}

/// Reason for not registering a service that is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// Its checks have not passed yet. What is registered already stays.
    #[error("its checks have not passed yet")]
    Unchecked,
    /// A check says that it is ill, and which, and why. What an earlier process has registered goes as well.
    #[error("{0}")]
    Unhealthy(String),
    /// This process writes nothing.
    #[error("this process is configured to write nothing")]
    ReadOnly,
}

/// The session that the registrations live by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its id, as `ephemeral_owner` shows it.
    pub id: i64,
    /// Time for which registrations outlive its connection.
    pub timeout: Duration,
    /// True if it is connected; if not, the registrations are there until the timeout.
    pub connected: bool,
}

/// One registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Path of the service below the registry's root.
    pub service: String,
    /// Endpoint that it registers.
    pub endpoint: Endpoint,
    /// Path of the znode.
    pub path: Path,
    /// Its state.
    pub state: RegistrationState,
    /// Since when.
    pub since: Instant,
    /// The session that owns the znode, where it is there.
    pub owner: Option<i64>,
    /// Events so far.
    pub counts: Counts,
    /// Last error, over or not.
    pub last_error: Option<LastError>,
}

impl Registration {
    /// The endpoint, where the name of the znode does not give it.
    pub fn unnamed_endpoint(&self) -> Option<String> {
        let (endpoint, name) = (self.endpoint.to_string(), self.path.as_str().rsplit('/').next());
        (name != Some(&endpoint)).then_some(endpoint)
    }

    /// Its place, for people: the path and, where that does not give it, the endpoint.
    pub fn place(&self) -> String {
        let endpoint = self.unnamed_endpoint().map(|endpoint| format!(" ({endpoint})")).unwrap_or_default();
        format!("{}{endpoint}", self.path)
    }
}

/// Numbers of events of a registration since this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Registered where there was nothing.
    pub registrations: u64,
    /// Taken over from an earlier session of ours.
    pub takeovers: u64,
    /// Put back after somebody had deleted or changed it.
    pub restorations: u64,
}

/// State of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not there yet, or not any more, and why.
    Waiting(&'static str),
    /// There, ours, and with our data.
    Registered,
    /// Something else has its place.
    Blocked(Blocker),
    /// ZooKeeper refuses it, and why.
    Failed(String),
    /// Not to be there now, and why.
    Held(Hold),
    /// Taken out again.
    Removed,
}

impl RegistrationState {
    /// One word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Registered => "registered",
            Self::Blocked(_) => "blocked",
            Self::Failed(_) => "failed",
            Self::Held(Hold::Unhealthy(_)) => "unhealthy",
            Self::Held(Hold::Unchecked) => "unchecked",
            Self::Held(Hold::ReadOnly) => "readonly",
            Self::Removed => "withdrawn",
        }
    }

    /// Reason for the state, where that is not plain.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Waiting(why) => Some((*why).to_owned()),
            Self::Blocked(by) => Some(by.to_string()),
            Self::Failed(why) => Some(why.clone()),
            Self::Held(why) => Some(why.to_string()),
            Self::Registered | Self::Removed => None,
        }
    }
}

/// Znode in a registration's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Blocker {
    /// Another owner's registration.
    #[error("session {session:#x} of somebody else has registered the same")]
    Stranger {
        /// Its session.
        session: i64,
    },
    /// Another process of this host.
    #[error("session {session:#x} of another process on this host has taken it over")]
    Twin {
        /// Its session.
        session: i64,
    },
    /// Another host, which has the same identity.
    #[error(
        "session {session:#x} of another host with the same machine-id has registered the same; give each host a \
         machine-id of its own, or set `state` in [announce]"
    )]
    Double {
        /// Its session.
        session: i64,
    },
    /// A persistent znode, which does not go by itself.
    #[error("a persistent znode is in its place; delete it if nobody needs it")]
    Persistent,
}

impl AnnouncerStatus {
    /// The session, while there is one.
    pub fn session(&self) -> Option<SessionStatus> {
        self.shown().session
    }

    /// All registrations, in the order of their paths.
    pub fn registrations(&self) -> Vec<Registration> {
        self.shown().registrations.values().cloned().collect()
    }

    /// The paths of all services that are configured here, below the registry's root.
    pub fn services(&self) -> Vec<String> {
        self.shown().services.keys().cloned().collect()
    }

    /// The addresses of this host at which services are not registered, loopback ones apart.
    pub fn refused(&self) -> Vec<RefusedAddress> {
        self.shown().refused.clone()
    }

    /// Reason for having had no session last, whether there is one now or not.
    pub fn last_error(&self) -> Option<LastError> {
        self.shown().last_error.clone()
    }

    /// All checks.
    pub fn checks(&self) -> Vec<CheckStatus> {
        let mut checks: Vec<_> = self.shown().checks.values().cloned().collect();
        checks.sort_by(|one, other| (&one.service, &one.check).cmp(&(&other.service, &other.check)));
        checks
    }

    /// Takes a service's word that it is well, for its check `ttl`. Returns whether there is such a check; none where
    /// no such service is configured here.
    pub fn heartbeat(&self, service: &str, now: Instant) -> Option<bool> {
        let waits = self.shown().services.get(service).copied();
        if waits == Some(true) {
            self.heartbeats.heard(service, now);
        }
        waits
    }

    /// Notes that heartbeats can be heard, or not.
    pub fn set_hearing(&self, can_hear: bool, now: Instant) {
        self.heartbeats.set_hearing(can_hear, now);
    }

    /// Record of heartbeats.
    pub(super) fn heartbeats(&self) -> Arc<Heartbeats> {
        Arc::clone(&self.heartbeats)
    }

    /// Says which services there are, and all their checks.
    pub(super) fn set_services<'c>(
        &self,
        services: impl Iterator<Item = (String, bool)>,
        checks: impl Iterator<Item = (u64, &'c CheckStatus)>,
    ) {
        let mut shown = self.shown();
        shown.services.clear();
        for (service, waits) in services {
            *shown.services.entry(service).or_default() |= waits;
        }
        shown.checks = checks.map(|(id, check)| (id, check.clone())).collect();
    }

    /// A probe of a check has begun.
    pub(super) fn started(&self, id: u64, latest: Duration) {
        if let Some(check) = self.shown().checks.get_mut(&id) {
            (check.due, check.latest) = (None, latest);
        }
    }

    /// Says how one check stands.
    pub(super) fn set_check(&self, id: u64, check: CheckStatus) {
        self.shown().checks.insert(id, check);
    }

    /// Says how the session stands. Gives what was said before.
    pub(super) fn set_session(&self, session: Option<SessionStatus>) -> Option<SessionStatus> {
        std::mem::replace(&mut self.shown().session, session)
    }

    /// Says how a registration stands.
    pub(super) fn set(&self, registration: Registration) {
        self.shown().registrations.insert(registration.path.clone(), registration);
    }

    /// Says at which addresses services are not registered.
    pub(super) fn set_refused(&self, refused: Vec<RefusedAddress>) {
        self.shown().refused = refused;
    }

    /// Says why there is no session.
    pub(super) fn failed(&self, at: Instant, reason: String) {
        self.shown().last_error = Some(LastError { at, reason });
    }

    /// Drops the registrations that were taken out.
    pub(super) fn forget_removed(&self) {
        self.shown().registrations.retain(|_, registration| registration.state != RegistrationState::Removed);
    }

    fn shown(&self) -> MutexGuard<'_, StatusRow> {
        // Every change under the lock is one assignment: a writer that panicked has left nothing half done.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
