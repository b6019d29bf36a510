//! Shapes that several answers have in their JSON.

use serde::Serialize;
use std::time::{Duration, UNIX_EPOCH};

use crate::format;
use crate::model;
use crate::registry::ReaderName;

/// A node that could not be understood, or a property of one.
#[derive(Debug, Serialize)]
pub(super) struct MalformedJson<'a> {
    path: &'a str,
    reason: &'a str,
}

impl<'a> MalformedJson<'a> {
    /// Shape of what was found wrong.
    pub(super) fn new(model::Malformed { path, reason, .. }: &'a model::Malformed) -> Self {
        Self { path, reason }
    }
}

/// Instances that an operator has taken out of the answers.
#[derive(Debug, Serialize)]
pub(super) struct Drain<'a> {
    /// `null` for the whole service.
    instance: Option<String>,
    /// `null` where it does not end by itself.
    until: Option<String>,
    reason: &'a str,
    /// The user and host that set it; empty where that is not known.
    by: &'a str,
    /// Time at which it was set, by that host's clock.
    at: Option<String>,
}

impl<'a> Drain<'a> {
    /// As it stands in the registry.
    pub(super) fn new(drain: &'a model::Drain) -> Self {
        Self {
            instance: drain.instance.as_ref().map(ToString::to_string),
            until: drain.until.map(format::moment),
            reason: &drain.reason,
            by: &drain.by,
            at: drain.at.map(format::moment),
        }
    }
}

/// A registry's name, and that of one of several readers of it.
#[derive(Debug, Serialize)]
pub(super) struct ReaderJson<'a> {
    registry: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reader: Option<&'a str>,
}

impl<'a> ReaderJson<'a> {
    pub(super) fn new(ReaderName { registry, reader }: &'a ReaderName) -> Self {
        Self { registry, reader: reader.as_deref() }
    }
}

/// A session's id as ZooKeeper's own tools write it; none for 0.
pub(super) fn session(id: i64) -> Option<String> {
    (id != 0).then(|| format!("{id:#x}"))
}

/// A time in milliseconds since 1970, as RFC 3339 writes it; none for 0 and what is no time.
pub(super) fn time_of(unix_ms: i64) -> Option<String> {
    let since = u64::try_from(unix_ms).ok().filter(|since| *since > 0)?;
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(since))?;
    // Later years have more digits than the form.
    (since < 253_402_300_800_000).then(|| humantime::format_rfc3339_millis(at).to_string())
}

/// Seconds, to the millisecond.
pub(super) fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
