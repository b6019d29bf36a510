//! The only door between the two halves: changes of the mirrored tree in, commits of zones out.
//!
//! A batch of changed paths becomes a set of services, each is read whole from the tree, once, and built anew, and each
//! zone commits once. What is read and built is a function of the tree alone, so a batch may hold more than changed.
//!
//! The stages, each of which works on the one state in `core`:
//! 1. `touched`: from paths to services, with [`layout`]; `read` reads a service into a [`reading`].
//! 2. [`guard`]: which of them are shown as they are. `flow` leads from stage to stage.
//! 3. `assemble`, and `many` on threads: what a service offers in each zone, a [`target`].
//! 4. `commit`: each zone commits, and what is to be known of it is told.
//!
//! Beside them: `times` for what waits for a time alone; `hosts` with [`resolver`] and `home` for the addresses of
//! hosts; [`drains`], [`drain_tree`], [`shared_drains`] and `ends`; [`past`] and `known` for names without a znode;
//! [`unread`] and `freshness` for what cannot be read; `notes` for the cache file; [`problems`], [`census`], `looks`
//! and `telling` for people; [`events`] for what has changed and when.
//! [`publisher`](Publisher) is what others have of it.
//!
//! Services whose paths differ only in case are one service in DNS: their instances are united. [`collisions`] tells of
//! those that have a name in common otherwise.

mod assemble;
pub mod census;
mod clock;
pub mod collisions;
mod commit;
mod convention;
mod core;
pub mod drain_tree;
pub mod drains;
mod ends;
pub mod events;
mod flow;
mod freshness;
pub mod guard;
mod held_transfers;
mod home;
mod hosts;
mod known;
pub mod layout;
mod looks;
mod many;
mod notes;
pub mod past;
pub mod problems;
mod publisher;
mod read;
pub mod reading;
pub mod resolver;
pub mod shared_drains;
pub(crate) mod target;
mod telling;
mod times;
mod touched;
pub mod unread;

pub use clock::unix_now;
pub use known::names_of;
pub use publisher::Publisher;
pub use target::{SharedWriter, Target};
