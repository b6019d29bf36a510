//! The wire: zones in, packets out. It knows nothing of ZooKeeper or services; whatever is in a zone is answered alike.
//!
//! - [`fast`]: the hot path, bytes to bytes from packed entries, pure.
//! - [`answer`]: the same decisions for everything else, pure; [`handler`]: refusals, EDNS and encoding around it.
//! - [`listen`]: sockets, UDP threads, TCP connections and their [`limits`].
//! - [`front`]: what stands before the handler: [`access`], [`tsig`] with its [`key`]s, and [`transfer`], all on the
//!   bytes of a [`request`]; [`service`] is both together. - [`identity`]: the answers of a server about itself. -
//!   [`notify`]: tells the [`secondaries`].
//! - [`transport`]: how queries come; [`tls`]: the certificate that is shown to those that come encrypted.
//! - [`policy`]: what both paths go by: who may, and the EDNS [`options`] of an answer, [`cookie`]s among them,
//!   and the [`rate`] of answers.
//! - [`forward`]: questions outside the zones, handed on to other name servers; [`chain`]: aliases that lead there and
//!   back.

pub mod access;
#[cfg(test)]
mod agreement;
pub mod answer;
mod chain;
pub mod config;
pub mod cookie;
pub mod fast;
pub mod forward;
pub mod front;
pub mod handler;
pub mod identity;
pub mod key;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod options;
pub mod policy;
pub mod rate;
pub mod request;
pub mod secondaries;
pub mod service;
pub mod tls;
pub mod transfer;
pub mod transport;
pub mod tsig;

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why DNS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({transport})")]
    Bind {
        /// `"UDP"` or `"TCP"`.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The certificates of authorities, for upstreams that are asked over TLS, cannot be read.
    #[error("cannot take authorities from {}: {why}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A listening socket failed.
    #[error("a DNS socket ({transport}) failed")]
    Serve {
        /// `"UDP"` or `"TCP"`.
        transport: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
