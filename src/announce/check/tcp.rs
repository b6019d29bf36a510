//! The check `tcp`: whether a port, or a Unix socket, takes connections. Nothing is sent on the connection.

use super::probe::check_target;
use crate::settings::Section;

/// The check `tcp`: a target to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `HOST:PORT` or `unix:/path`.
    pub target: String,
}

impl Config {
    /// Reads the key `address`; the service itself is the default.
    pub(super) fn read(section: &mut Section<'_>, default: &str) -> Option<Self> {
        Some(Self { target: check_target(section, default)? })
    }
}
