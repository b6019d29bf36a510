//! The check `ttl`: the service says itself that it is well, again and again, and is ill when it has been silent too
//! long.
//!
//! It says so by touching a file, or to the admin server (`POST /v1/heartbeat/NAME`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::looks::{self, IN_TIME};
use super::outcome::{ProbeFailure, Probed, Shortage};
use crate::settings::{Section, live};

/// The check `ttl`: a way to report, and the time that a report lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that it touches; without one the admin server is told.
    pub file: Option<PathBuf>,
    /// Time for which it counts as well after a report.
    pub ttl: Duration,
}

/// Times at which services have reported to this process that they are well.
#[derive(Debug, Default)]
pub struct Heartbeats {
    beats: Mutex<HashMap<String, Instant>>,
    hearing: Mutex<Reception>,
    /// Times at which the disk of a file did not answer last, until the file is touched again.
    away: Mutex<HashMap<PathBuf, Instant>>,
}

/// Reception of connections by the admin server.
#[derive(Debug, Default)]
struct Reception {
    is_deaf: bool,
    /// The end of the last time that it could not.
    again_since: Option<Instant>,
}

impl Heartbeats {
    /// The admin server can take connections, or has no descriptors to take any: what services say meanwhile is not
    /// heard.
    pub fn set_hearing(&self, can_hear: bool, now: Instant) {
        let mut hearing = self.hearing();
        if hearing.is_deaf && can_hear {
            hearing.again_since = Some(now);
        }
        hearing.is_deaf = !can_hear;
    }

    fn hearing(&self) -> std::sync::MutexGuard<'_, Reception> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service at this path below its registry's root says it is well.
    pub fn heard(&self, service: &str, now: Instant) {
        self.beats().insert(service.to_owned(), now);
    }

    /// Returns whether the service at this path has ever reported to this process.
    pub(super) fn has_heard(&self, service: &str) -> bool {
        self.last(service).is_some()
    }

    fn last(&self, service: &str) -> Option<Instant> {
        self.beats().get(service).copied()
    }

    fn beats(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since a file was touched, without the time before its disk answered again: nobody could touch
    /// it then.
    ///
    /// # Errors
    /// No result where the disk does not answer `within` a time, or is away.
    async fn touched(&self, file: &Path, within: Duration) -> Result<Duration, ProbeFailure> {
        let path = file.to_owned();
        let looked = looks::look(file, within, move || touched(&path)).await.and_then(|touched| touched);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(age) => {
                let since = away.get(file).map(Instant::elapsed);
                if since.is_some_and(|since| age <= since) {
                    away.remove(file);
                }
                Ok(since.map_or(age, |since| age.min(since)))
            }
            Err(failure) => {
                if matches!(failure, ProbeFailure::NoResult(Shortage::Disk, _)) {
                    away.insert(file.to_owned(), Instant::now());
                }
                Err(failure)
            }
        }
    }
}

impl Config {
    /// Reads the keys `ttl` and `file`.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let ttl = section.required::<Duration>(live("ttl"));
        let file = section.located::<PathBuf>(live("file"));
        if let Some(file) = file.as_ref().filter(|file| !file.value.is_absolute()) {
            section.problems().add(file.span, "`file` must be an absolute path");
        }
        if let Some(ttl) = ttl.as_ref().filter(|ttl| ttl.value < Duration::from_millis(100)) {
            section.problems().add(ttl.span, "`ttl` must be at least 100ms");
        }
        Some(Self { file: file.map(|file| file.value), ttl: ttl?.value })
    }

    /// Looks when the service has said last that it is well; a file answers within `limit`.
    pub(super) async fn probe(&self, service: &str, heartbeats: &Heartbeats, limit: Duration) -> Probed {
        let age = match &self.file {
            // Before the limit of the probe itself, which would be a bad result.
            Some(file) => heartbeats.touched(file, limit.mul_f32(IN_TIME)).await?,
            None => self.silence(service, heartbeats)?,
        };
        let age = Duration::from_millis(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let text = format!("it said so {age:?} ago");
        if age <= self.ttl { Ok(text) } else { Err(format!("{text}, and {:?} is the limit", self.ttl).into()) }
    }

    /// Time since the service was heard, without that in which it could not be.
    ///
    /// # Errors
    /// No result while it cannot be heard; a bad one where it was never heard.
    fn silence(&self, service: &str, heartbeats: &Heartbeats) -> Result<Duration, ProbeFailure> {
        let Reception { is_deaf, again_since } = *heartbeats.hearing();
        if is_deaf {
            let why = "[admin] can take no connection: heartbeats are not heard".to_owned();
            return Err(ProbeFailure::NoResult(Shortage::Descriptors, why));
        }
        let Some(last) = heartbeats.last(service) else {
            return Err(format!("no heartbeat in the {:?} since this process listens", self.ttl).into());
        };
        let now = tokio::time::Instant::now().into_std();
        Ok(now.saturating_duration_since(again_since.map_or(last, |since| since.max(last))))
    }
}

/// Returns the time since a file was touched. A time to come, which a clock that was set back leaves behind, is now.
fn touched(file: &Path) -> Result<Duration, ProbeFailure> {
    let touched = std::fs::metadata(file).and_then(|file| file.modified());
    let touched = touched.map_err(|error| {
        let why = format!("{} cannot be read: {error}", file.display());
        match Shortage::of_reading(&error) {
            Some(shortage) => ProbeFailure::NoResult(shortage, why),
            None => ProbeFailure::Bad(why),
        }
    })?;
    Ok(SystemTime::now().duration_since(touched).unwrap_or_default())
}
