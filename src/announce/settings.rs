//! The `[announce]` table: what holds for all services of this host.

use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::Span;
use crate::settings::{Section, Setting, Value, fixed};
use crate::zookeeper::session::Access;

/// Settings that hold for all services of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file that keeps this host's identity; none to derive it from the machine's.
    pub state: Option<PathBuf>,
    /// Rights to the instances' znodes.
    pub acl: Access,
    /// The same of the znodes above them that are missing.
    pub parent_acl: Access,
    /// True if nothing is written at all.
    pub readonly: bool,
    /// Time for which DNS goes on at the end, after everything was taken out.
    pub drain: Duration,
    /// A command to run after that; empty for none.
    pub on_stop: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: None,
            acl: Access::Read,
            parent_acl: Access::Open,
            readonly: false,
            drain: Duration::ZERO,
            on_stop: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads the table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            state: section.optional(fixed("state")),
            acl: section.or(fixed("acl"), default.acl),
            parent_acl: section.or(fixed("parent_acl"), default.parent_acl),
            readonly: section.or(fixed("readonly"), default.readonly),
            drain: section.or(fixed("drain"), default.drain),
            on_stop: section.or(fixed("on_stop"), default.on_stop),
        }
    }
}

impl Setting for Access {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        match &*String::read(value)? {
            "read" => Ok(Self::Read),
            "open" => Ok(Self::Open),
            "creator" => Ok(Self::Creator),
            other => Err((value.span, format!("must be \"read\", \"open\" or \"creator\", not \"{other}\""))),
        }
    }
}
