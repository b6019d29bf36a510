//! The DNS-data half: services in, immutable zone data out. Pure, but for the reader of master files; no tokio, no
//! sockets, and nothing of ZooKeeper.
//!
//! - [`name`], [`record`], [`entry`]: names, records and RRsets in wire form.
//! - [`rdata`]: the types of records, and their data as text.
//! - [`offer`], [`context`], [`build`]: what one service puts into a zone, made with [`records`].
//! - `builder`, `served`, `zones`: a zone, and those of a server.
//! - [`writer`]: the one writer: offers in, a [`commit`] out; [`serial`] numbers them.
//! - [`source`]: who contributes to a zone, under which precedence; the zone's freshness follows from theirs.
//! - [`events`]: the broadcast of commits, and of what is known of a zone.
//! - [`journal`]: the last commits, for differences between two serials.
//! - [`index`]: the names, for many readers at once, in tables of `hashed`, their entries in an `arena`; [`view`]: what
//!   a reader has of them; [`lookup`] answers from that (RFC 1034 §4.3.2); `watch`: the names that it must watch for.
//! - [`instances`] and `synthesized`: the names that are as many as instances, made when somebody asks.
//! - [`unknown`]: names of which the zone does not know what it should; [`stale`]: those that it no longer reads.
//! - [`transferred`]: what of all that secondaries get.
//! - [`warnings`]: what those who run it are to know.
//! - [`mod@file`]: master files (RFC 1035 §5).

pub mod addresses;
mod arena;
pub mod build;
mod builder;
pub mod commit;
pub mod config;
mod contest;
pub mod context;
pub mod delegation;
pub mod entry;
pub mod events;
pub mod exceptions;
pub mod file;
mod file_serial;
mod freshness;
pub mod hash_table;
pub mod index;
pub mod instances;
pub mod journal;
pub mod lookup;
mod members;
pub mod name;
mod names;
pub mod offer;
pub mod order;
mod owner_offers;
pub mod packed;
pub mod rdata;
pub mod record;
pub mod records;
mod rrset_builder;
pub mod serial;
mod served;
mod site;
pub mod soa;
pub mod source;
pub mod stale;
mod synthesized;
pub mod transferred;
mod united;
pub mod unknown;
pub mod view;
pub mod warnings;
mod watch;
pub mod writer;
mod zones;

pub use builder::ZoneBuilder;
pub use freshness::Freshness;
pub use served::Zone;
pub use zones::Zones;
