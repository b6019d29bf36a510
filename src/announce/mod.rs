//! Registers the services of this host: configured services in, ephemeral znodes out, kept there as long as this
//! process lives and taken out when it stops.
//!
//! A registration is believed only when it has been read back: every write is followed by an inspection of its znode,
//! and only one that shows our session as the owner and our data as the content counts. That one rule covers lost
//! replies, `NodeExists`, operators and expired sessions alike.
//!
//! - [`Config`]: what the configuration says; `wanted` makes znodes of it, with [`address`] and [`identity`].
//! - [`check`]: whether a service is well enough to be registered.
//! - [`plan`]: the decisions, pure: all registrations and their session; `node`: those about one znode; `owner` and
//!   [`origin`]: whose a znode is.
//! - [`drain`]: takes a service, or one instance, out of the answers of every server for a while, by hand.
//! - [`Announcer`]: its I/O, with `operations` and `watches`. [`Status`]: what it shows to others.
//!
//! It knows nothing of DNS and of how znodes are mirrored; it has a session of its own, so that a mirror in trouble
//! never costs a registration.

pub mod address;
pub mod check;
mod config;
pub mod drain;
mod driver;
pub mod identity;
pub mod moves;
mod node;
mod operations;
pub mod origin;
mod owner;
pub mod plan;
mod settings;
#[cfg(test)]
mod simulation;
mod status;
mod values;
mod wanted;
mod watches;

pub use config::{Config, ServiceConfig};
pub use driver::{Announcer, Services};
pub use settings::Settings;
pub use status::{
    AnnouncerStatus, Blocker, CheckStatus, Counts, Hold, LastError, LastResult, NoResult, RefusedAddress, Registration,
    RegistrationState, SessionStatus,
};
pub use wanted::{InstanceWriter, Wanted};

/// Errors that keep announcing from going on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's network interfaces.
    #[error("cannot list the addresses of this host: {0}")]
    ListAddresses(#[source] std::io::Error),
    /// The file that keeps the host's identity.
    #[error("cannot keep this host's identity in {}", path.display())]
    KeepIdentity {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// A service's own node, to be drained or not any more.
    #[error("cannot read or change {path}: {error}")]
    ChangeNode {
        /// The service's node, with the chroot.
        path: String,
        /// The cause.
        error: crate::registry::Error,
    },
    /// Its present content.
    #[error("{path} is left as it is: {error}")]
    KeepNode {
        /// The service's node, with the chroot.
        path: String,
        /// The cause.
        error: crate::format::Error,
    },
    /// The registry, for its drains.
    #[error("cannot read the services below {root}: {error}")]
    ListServices {
        /// The registry's root, with the chroot.
        root: String,
        /// The cause.
        error: crate::registry::Error,
    },
    /// A registration, in a format that is only read.
    #[error("the service `{service}` cannot be registered into a registry of the format \"{format}\"")]
    Format {
        /// Name of the service.
        service: String,
        /// The format.
        format: &'static str,
    },
    /// A service's path in the registry.
    #[error("the service `{service}` cannot have a znode: {error}")]
    MakePath {
        /// Name of the service.
        service: String,
        /// The cause.
        error: crate::registry::Error,
    },
}
