//! The wire: zones in, packets out. It knows nothing of ZooKeeper or services; whatever is in a zone is answered alike.
//!
//! - [`fast`]: the hot path, bytes to bytes from packed entries, pure.
//! - [`answer`]: the same decisions for everything else, pure; [`handler`]: refusals, EDNS and encoding around it.
//! - [`listen`]: sockets, UDP threads, TCP connections.
//! - [`front`]: what stands before the handler: [`access`], [`tsig`] with its [`key`]s, and [`transfer`], all on the bytes
//!   of a [`request`]; [`service`] is both together. - [`notify`]: tells the secondaries.
//! - [`policy`]: what both paths go by: who may, and the EDNS [`options`] of an answer, [`cookie`]s among them.

pub mod access;
#[cfg(test)]
mod agreement;
pub mod answer;
pub mod config;
pub mod cookie;
pub mod fast;
pub mod front;
pub mod handler;
pub mod key;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod options;
pub mod policy;
pub mod request;
pub mod service;
pub mod transfer;
pub mod tsig;

use std::net::SocketAddr;

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
