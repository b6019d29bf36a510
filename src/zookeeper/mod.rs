//! ZooKeeper: znodes in, znodes out, sessions, watches, and a mirror of a subtree that is exact after every fault. It
//! knows nothing of services, formats or DNS.
//!
//! - [`session`]: what the program needs of an ensemble, as traits; [`client`] and [`memory`] implement them.
//! - [`mirror`]: the decisions of mirroring, pure; [`driver`] does its I/O; the tree is [`crate::registry`]'s.
//! - [`verify`]: proof that the mirror has missed nothing, on a session of its own.
//! - [`lock`]: locks in kazoo's layout.
//! - [`bulk`]: reads and writes of whole trees, for tools; [`acl`]: rights as people write them.
//! - [`security`]: credentials and certificates; [`outage`]: the lines of an outage in the log.
//! - [`trouble`]: words for what is wrong with a registry.

pub mod acl;
pub mod bulk;
pub mod client;
pub mod config;
mod dns_srv;
pub mod driver;
pub mod lock;
pub mod memory;
pub mod mirror;
pub mod outage;
pub mod security;
pub mod session;
#[cfg(test)]
mod simulation;
mod size;
pub mod trouble;
pub mod verify;
mod znode;

pub use znode::{Stat, Znode};
