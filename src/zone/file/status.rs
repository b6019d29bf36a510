//! Status of a zone's master file: when it was last taken, and why its present version was
//! not. The clock is the reader's: times are arguments.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The report of one master file, shared by its reader and by whoever shows it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ZoneFileStatus(Arc<Mutex<ZoneFileReport>>);

/// State of a master file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneFileReport {
    /// The file.
    pub path: PathBuf,
    /// Time at which the version in force was read; none before any was.
    pub taken_at: Option<Instant>,
    /// Problems of the present version, each with its place; none where that is the one in force.
    pub problems: Vec<String>,
}

impl ZoneFileStatus {
    /// Of a file that was not read yet.
    pub fn new(path: &Path) -> Self {
        Self(Arc::new(Mutex::new(ZoneFileReport { path: path.to_owned(), ..ZoneFileReport::default() })))
    }

    /// Its present state.
    pub fn report(&self) -> ZoneFileReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It was read at `now` and is in force.
    pub fn taken(&self, now: Instant) {
        let mut report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (report.taken_at, report.problems) = (Some(now), Vec::new());
    }

    /// It has these problems; what was in force before still is.
    pub fn refused(&self, problems: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).problems = problems;
    }
}
