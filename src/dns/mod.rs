//! The wire: zones in, packets out. It knows nothing of ZooKeeper or services; whatever is in a zone is answered alike.
//!
//! - [`message`]: DNS messages as bytes: requests, EDNS options, signatures and their keys.
//! - [`listen`]: sockets, UDP threads, TCP connections, TLS and its certificate.
//! - [`fast`]: the hot path, bytes to bytes from packed entries, pure.
//! - [`serve`]: everything else: the gate with its rights, cookies and rates, the same decisions as the hot path's, the
//!   answers about the server itself, and the counters of both paths.
//! - [`transfer`]: zone transfers, and the secondaries that are notified of changes.
//! - [`forward`]: questions outside the zones, handed on to other name servers.
//! - [`transport`]: how queries come; [`config`]: the table `[dns]`; [`server`]: all of it, made and changed as one.

#[cfg(test)]
mod agreement;
pub mod config;
pub mod fast;
pub mod forward;
pub mod listen;
mod lists;
pub mod message;
pub mod serve;
pub mod server;
pub mod transfer;
pub mod transport;

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
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a secret")]
    Random(#[source] getrandom::Error),
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
