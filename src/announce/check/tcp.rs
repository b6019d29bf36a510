//! The check `tcp`: whether a port takes connections. Nothing is said on the connection.

use tokio::net::TcpStream;

use super::check_target;
use super::outcome::{Failure, Probed};
use crate::settings::Section;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `HOST:PORT`.
    pub target: String,
}

impl Config {
    /// Reads the key `address`; the service's `port` on this host is the default.
    pub(super) fn read(section: &mut Section<'_>, port: u16) -> Option<Self> {
        Some(Self { target: check_target(section, port)? })
    }

    pub(super) async fn probe(&self) -> Probed {
        match TcpStream::connect(&self.target).await {
            Ok(_) => Ok("connected".to_owned()),
            Err(error) => Err(Failure::of("no connection", &error)),
        }
    }
}
