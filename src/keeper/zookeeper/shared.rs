//! State that all sessions with one ensemble share.

use std::sync::Arc;
use std::time::Duration;

use super::abilities::Known;
use super::names::Names;
use crate::keeper::security;

/// An ensemble, our credentials, and what is known of its servers.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// The connect string, `host:port,…/chroot`.
    pub(super) servers: Arc<str>,
    pub(super) session_timeout: Duration,
    pub(super) security: Arc<security::Config>,
    /// True if sessions do without writes, so that a server without quorum will do.
    pub(super) reads_only: bool,
    pub(super) names: Names,
    pub(super) known: Known,
}
