//! What `[admin]` says.

use std::net::{Ipv4Addr, SocketAddr};

use crate::settings::{Section, fixed};

/// The admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
}

impl Default for Config {
    /// For this host alone: it tells everything to whoever asks.
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 5380).into() }
    }
}

impl Config {
    /// Reads the `[admin]` table.
    pub fn read(section: &mut Section<'_>) -> Self {
        Self { listen: section.or(fixed("listen"), Self::default().listen) }
    }
}
