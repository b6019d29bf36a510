//! The files of `[[file]]`, as status and metrics show them.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::shapes::rounded;
use crate::instance_files::FileReport;
use crate::instance_files::config::FileConfig;

/// A file that is kept equal to a service's instances.
#[derive(Debug, Serialize)]
pub(super) struct FileJson<'a> {
    path: String,
    service: &'a str,
    /// Instances in it; `null` before it was found or made right.
    instances: Option<usize>,
    /// Unix time; `null` where it was right already.
    written_at: Option<f64>,
    writes: u64,
    failures: u64,
    /// Reason for which it stays as it was, as its service is not known.
    waits: Option<String>,
    /// The last failure; `null` where it is as it should be.
    trouble: Option<&'a str>,
}

impl<'a> FileJson<'a> {
    pub(super) fn new((config, report): &'a (FileConfig, FileReport)) -> Self {
        Self {
            path: config.path.display().to_string(),
            service: &config.service,
            instances: report.instances,
            written_at: report.written_at.map(|at| rounded(at.duration_since(UNIX_EPOCH).unwrap_or_default())),
            writes: report.writes,
            failures: report.failures,
            waits: report.waits.as_ref().map(ToString::to_string),
            trouble: report.trouble.as_deref(),
        }
    }
}

/// A line a file, for people.
pub(super) fn lines(files: &[(FileConfig, FileReport)], text: &mut String) {
    for (config, report) in files {
        let _ = write!(text, "file {} of {}: ", config.path.display(), config.service);
        match (&report.trouble, &report.waits, report.instances) {
            (Some(_), ..) => text.push_str("NOT as it should be"),
            (None, Some(waits), Some(count)) => drop(write!(text, "{count} instances, stays so: {waits}")),
            (None, Some(waits), None) => drop(write!(text, "stays as it is: {waits}")),
            (None, None, Some(count)) => drop(write!(text, "{count} instances")),
            (None, None, None) => text.push_str("not written yet"),
        }
        text.push('\n');
    }
}

/// Their failures, a sentence each.
pub(super) fn wrong(files: &[(FileConfig, FileReport)]) -> impl Iterator<Item = String> {
    files.iter().filter_map(|(config, report)| {
        let trouble = report.trouble.as_ref()?;
        Some(format!("file {} is not as it should be: {trouble}", config.path.display()))
    })
}
