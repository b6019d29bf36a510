//! State that all sessions with one ensemble share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::abilities::KnownAbilities;
use super::names::ServerNames;
use super::srv::SrvServers;
use crate::disk;
use crate::registry::Error;
use crate::zookeeper::security;
use crate::zookeeper::security::Credentials;

/// Time for which the disk with the credentials may not answer.
const DISK: Duration = Duration::from_secs(2);

/// An ensemble, our credentials, and what is known of its servers.
#[derive(Debug, Clone)]
pub(super) struct SharedClient {
    /// The connect string, `host:port,…/chroot`.
    pub(super) servers: Arc<str>,
    pub(super) session_timeout: Duration,
    pub(super) security: Arc<security::Config>,
    /// The credentials as they were last read.
    pub(super) last: Arc<Mutex<Option<Credentials>>>,
    /// True if sessions do without writes, so that a server without quorum will do.
    pub(super) reads_only: bool,
    pub(super) names: ServerNames,
    pub(super) srv: SrvServers,
    pub(super) known: KnownAbilities,
}

impl SharedClient {
    /// Reads the credentials. Those that were read before serve on where their disk does not answer.
    ///
    /// # Errors
    /// [`Error::Credentials`].
    pub(super) async fn credentials(&self) -> Result<Credentials, Error> {
        if !self.security.has_files() {
            return self.security.load();
        }
        let security = Arc::clone(&self.security);
        if let Ok(Ok(read)) = timeout(DISK, disk::aside(move || security.load())).await {
            let credentials = read?;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.clone());
            return Ok(credentials);
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.ok_or_else(|| Error::Credentials("their disk does not answer".to_owned()))
    }

    /// The scheme and the user, for messages; of a file, as it was last read.
    pub(super) fn identity(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map_or_else(|| self.security.identity(), |last| last.auth.as_ref().map(security::Auth::identity))
    }
}
