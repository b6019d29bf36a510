//! Conventions as values: the language of `[format.NAME]`, and the descriptions in it that are built in.
//!
//! ```text
//! [format.patroni]
//! root     = "/service"
//! path     = "{scope}/members/{id}"               pattern.rs      which znodes are instances
//! service  = "{scope}"                            template.rs     values made of the path and the data
//! endpoint = "{/conn_url}"                        endpoint.rs     host:port, URLs, lists of them
//! data     = "json"                               data/           kinds of data, a file each
//! up       = { "{/state}" = ["running"] }         description.rs  an instance of all that
//! leader   = "{scope}/leader"                                     other znodes that decide about it
//! ```
//! compile.rs makes a [`Description`] of a table and tells every mistake in it; builtin.toml has the tables of about 40
//! systems. All of it is pure, reads one znode at a time, and bounds what a znode can cost.

mod builtin;
mod compile;
mod data;
mod description;
mod endpoint;
mod example;
mod pattern;
mod render;
mod template;

pub use builtin::builtin;
pub(in crate::format) use compile::compile;
pub use description::{Description, Example};
