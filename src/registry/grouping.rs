//! Znodes that are shown together.

use std::fmt::Debug;

use super::Path;

/// Says which znodes are shown together.
pub trait Grouping: Debug + Send + Sync {
    /// Name of a path's group, which must be a part of the path.
    fn group<'p>(&self, path: &'p Path) -> &'p str;

    /// Returns whether the readers can make anything of the znode's data. While they cannot, what it said before is
    /// kept.
    fn is_understood(&self, _path: &Path, _data: &[u8]) -> bool {
        true
    }
}

/// The children of one znode are shown together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Siblings;

impl Grouping for Siblings {
    fn group<'p>(&self, path: &'p Path) -> &'p str {
        path.parent().unwrap_or_default()
    }
}
