//! What `[admin]` says.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::dns::listen::tls::Files;
use crate::settings::{Section, fixed, live};

/// The admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A socket to listen on as well, for this host's commands; [`super::socket`] finds a place where there is none.
    pub socket: Option<PathBuf>,
    /// Files of the certificate, where the address speaks HTTPS.
    pub tls: Option<Files>,
    /// The file with the token that changes need.
    pub token_file: Option<PathBuf>,
    /// Most services of a registry for which each has metrics of its own.
    pub metrics_per_service: usize,
}

impl Default for Config {
    /// For this host alone: it tells everything to whoever asks.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 5380).into(),
            socket: None,
            tls: None,
            token_file: None,
            metrics_per_service: 1_000,
        }
    }
}

impl Config {
    /// Reads the `[admin]` table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            listen: section.or(fixed("listen"), default.listen),
            socket: section.optional(fixed("socket")),
            tls: section.section(fixed("tls")).map(|mut tls| {
                let files = Files::read(&mut tls);
                tls.finish();
                files
            }),
            token_file: section.optional(live("token_file")),
            metrics_per_service: section.or(fixed("metrics_per_service"), default.metrics_per_service),
        }
    }

    /// The paths in it.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let certificate = self.tls.iter_mut().flat_map(|files| [&mut files.cert, &mut files.key]);
        self.socket.iter_mut().chain(&mut self.token_file).chain(certificate)
    }
}
