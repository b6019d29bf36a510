//! What `[admin]` says.

use std::net::{Ipv4Addr, SocketAddr};

use crate::settings::{Section, fixed};

/// The admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Most services of a registry for which each has metrics of its own.
    pub metrics_per_service: usize,
}

impl Default for Config {
    /// For this host alone: it tells everything to whoever asks.
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 5380).into(), metrics_per_service: 1_000 }
    }
}

impl Config {
    /// Reads the `[admin]` table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            listen: section.or(fixed("listen"), default.listen),
            metrics_per_service: section.or(fixed("metrics_per_service"), default.metrics_per_service),
        }
    }
}
