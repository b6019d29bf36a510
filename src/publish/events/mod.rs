//! Events: each instance that came, changed or went, each service's first and last, each registry's state
//! and each configuration, in one ring of the last [`KEPT`](ring::KEPT) for people and programs.
//!
//! - [`event`]: one of them, and the sentence for it.
//! - [`ring`]: the last ones, by index, for readers that wait; nobody waits for a reader.
//! - `tell`: makes them of what a publisher has committed, after the commit, with its `feed`; `changes` compares one
//!   instance.
//! - `lines`: the lines of the log.
//!
//! An instance is compared with what its znode was when the tree was shown last, which the tree has noted: nothing is
//! kept of instances that do not change.

mod changes;
pub mod event;
pub(super) mod feed;
mod lines;
pub mod ring;
mod tell;
#[cfg(test)]
mod tests;

pub use ring::Events;
