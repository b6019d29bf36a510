//! Roots of registries: their states, the meaning of one that is missing, and refusals to show one or what is below.

use std::time::Instant;

use super::Error;
use crate::diagnostic::Span;
use crate::settings::{Setting, Value};

/// A server's refusal to show a znode, children included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRefusal {
    /// The server's reason.
    pub error: Error,
    /// Time at which the znode was last read; none for one that never was. What was read then is still in the tree.
    pub read_at: Option<Instant>,
}

/// State of a mirrored root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// It exists and can be read.
    Present,
    /// It does not exist and was never seen.
    Missing,
    /// It does not exist any more.
    Gone,
    /// It exists and cannot be read.
    Refused(RootRefusal),
}

/// Meaning of a root that does not exist and was never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingRoot {
    /// Unknown: the path may be mistyped.
    #[default]
    Wait,
    /// Absent: the registry is empty.
    Empty,
}

impl Setting for MissingRoot {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        match String::read(value)?.as_str() {
            "wait" => Ok(Self::Wait),
            "empty" => Ok(Self::Empty),
            other => Err((value.span, format!("must be \"wait\" or \"empty\", not \"{other}\""))),
        }
    }
}
