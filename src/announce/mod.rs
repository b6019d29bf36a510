//! Registers the services of this host: configured services in, ephemeral znodes out, kept there as long as this
//! process lives and taken out when it stops.
//!
//! A registration is believed only when it has been read back: every write is followed by an inspection of its znode,
//! and only one that shows our session as the owner and our data as the content counts. That one rule covers lost
//! replies, `NodeExists`, operators and expired sessions alike.
//!
//! - [`Config`]: what the configuration says; `fit` checks it against the conventions, `wanted` makes znodes of it,
//!   with [`address`] and [`identity`].
//! - `flags`: drains that registrations show whose readers know of no flags.
//! - [`check`]: whether a service is well enough to be registered.
//! - [`plan`]: the decisions, pure: all registrations and their session; `node`: those about one znode; `owner` and
//!   [`origin`]: whose a znode is.
//! - [`drain`]: takes a service, or one instance, out of the answers of every server for a while, by hand.
//! - [`Announcer`]: its I/O, with `operations` and `watches`. [`AnnouncerStatus`]: what it shows to others.
//!
//! It knows nothing of DNS and of how znodes are mirrored; it has a session of its own, so that a mirror in trouble
//! never costs a registration.

pub mod address;
pub mod check;
mod config;
pub mod drain;
mod driver;
mod error;
mod fit;
mod flags;
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
mod written;

pub use config::{Config, ServiceConfig};
pub use driver::{Announcer, Services};
pub use error::Error;
pub use settings::Settings;
pub use status::{
    AnnouncerStatus, Blocker, CheckStatus, Counts, Hold, LastError, LastResult, NoResult, RefusedAddress, Registration,
    RegistrationState, SessionStatus,
};
pub use wanted::{InstanceWriter, Wanted};
