//! Znodes that are mirrored: of a tree in which other programs keep more than services, only what a reader wants.

use std::fmt::Debug;

/// Parts of a znode that are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Its data are kept.
    pub data: bool,
    /// Those of its children that are selected are mirrored as well.
    pub children: bool,
}

impl Selected {
    /// All of it.
    pub const WHOLE: Self = Self { data: true, children: true };
}

/// Selection of the znodes to mirror.
pub trait Selection: Debug + Send + Sync {
    /// The parts that are mirrored of the znode at `below`, its path under the root; none where it is left out with
    /// everything below it. Of a znode that is selected, all those above it are.
    fn selected(&self, below: &str) -> Option<Selected>;

    /// Returns whether what is left out may be many times what is selected, and busy: then no watch covers it.
    fn is_sparse(&self) -> bool {
        false
    }
}

/// Everything.
#[derive(Debug)]
pub struct Everything;

impl Selection for Everything {
    fn selected(&self, _: &str) -> Option<Selected> {
        Some(Selected::WHOLE)
    }
}
