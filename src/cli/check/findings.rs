//! Findings of `zonekeeper check`, as they come.

use crate::diagnostic::Report;

/// Findings of a look at what the configuration is about.
#[derive(Debug, Default)]
pub(super) struct CheckFindings {
    /// Problems.
    pub(super) report: Report,
    /// Things that are well, a line each.
    pub(super) lines: Vec<String>,
}
