//! A registry, whatever keeps it: a tree of named nodes with data, as its observers see it. It knows nothing of
//! sessions, services, formats or DNS.
//!
//! - [`tree`]: the znodes that are known, by [`Path`]; [`root`]: what is known of its root.
//! - [`view`]: the observer of a tree, and how fresh what it sees is; [`status`]: the report of whoever reads it.
//! - [`withdrawn`]: the nodes that this process takes out itself.
//! - [`selection`]: which znodes are mirrored; [`grouping`]: those that change in one step.
//! - [`links`]: zc.zk's symbolic links; [`placed`]: znodes that are shown as children of services; [`shown`]: the tree
//!   as it is seen so.
//! - [`plan`]: the way from a tree to another one, for tools.
//! - [`cache`]: the last known tree in a file, for a start while the ensemble is away.
//! - [`text`]: zc.zk's tree text, the seed format of the in-memory registry.

pub mod cache;
mod cause;
mod error;
mod former;
pub mod grouping;
mod kept;
pub mod links;
mod path;
pub mod placed;
pub mod plan;
mod reader_name;
pub mod root;
pub mod selection;
pub mod shown;
pub mod status;
pub mod text;
pub mod tree;
pub mod view;
pub mod withdrawn;

pub use cause::Cause;
pub use error::{DATA_LIMIT, Error};
pub use path::Path;
pub use reader_name::ReaderName;
