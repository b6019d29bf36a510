//! Problems of a tree as text.

use crate::diagnostic::{Location, Problem};

/// Something wrong with a tree text, at a place without a path.
pub type TextProblem = Problem<Location>;
