//! Znode names and bytes <-> the model: what a registry's znodes mean, and how ours are written.
//!
//! A registry follows one of several conventions. Each is a value of a file of its own ([`Convention`], in
//! `conventions`), with a row in [`CONVENTIONS`]: where instances are, what their data say, how ours are written, which
//! links there are. What they share is apart: `name` reads `host:port`, `json` reads the data, `shape` tells instances
//! by their names, [`Property`] is what can be written. Everything here is pure and reads one znode at a time, so a bad
//! one cannot reach its neighbours; some look at what is [`Beside`] it. It knows nothing of sessions, watches or DNS.
//!
//! An instance is its name: one that gives an endpoint is served, whatever its data. Data that is valid for zc.zk,
//! which is any text, is a `string_value`; of a JSON object that cannot be read, of data that is no UTF-8 and of data
//! over [`DATA_LIMIT`] nothing is taken, which is told: the instance is doubtful. One whose name gives no endpoint is
//! lost.

mod config;
mod convention;
mod conventions;
pub mod declared;
mod drain;
mod edit;
mod error;
mod formats;
mod json;
mod keys;
mod kind;
mod link;
mod name;
mod origin;
mod placement;
mod property;
mod python;
mod shape;

pub use config::Config;
pub use convention::{Convention, Registration, Row};
pub use conventions::CONVENTIONS;
pub use conventions::signature::{Signature, looks_like};
pub use drain::{drain, moment, undrain};
pub use edit::{EditError, PropertyEdit, edit};
pub use error::{DATA_LIMIT, Error};
pub use formats::{Chosen, Formats};
pub use json::flags;
pub use keys::{INSTANCE_ID, RESERVED};
pub use kind::NodeKind;
pub use link::{Link, LinkedProperty, PropertyLink, links, property_links, with_properties};
pub use name::{any_host as host, endpoint};
pub use origin::{Origin, author};
pub use placement::{Beside, Decoded, Node, Nothing, Placement};
pub use property::Property;

#[cfg(test)]
mod tests;
