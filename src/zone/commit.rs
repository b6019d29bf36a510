//! One commit of a zone: the names whose records it changed.

use super::name::Name;
use super::packed::Packed;

/// Outcome of a commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The zone's serial from now on.
    pub serial: u32,
    /// Each name whose records are different, with its entry before and after. Names that are made on demand are among
    /// them only where a journal is kept.
    pub changes: Vec<Change>,
}

/// A name's entry before and after a commit; none where the name did, or does, not exist.
#[derive(Debug, Clone)]
pub struct Change {
    /// The name.
    pub owner: Name,
    /// Before.
    pub old: Option<Packed>,
    /// After.
    pub new: Option<Packed>,
}
