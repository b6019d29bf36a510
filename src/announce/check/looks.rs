//! Work of checks that waits for a disk: one that does not answer gives no result, and delays no other check.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::outcome::{ProbeFailure, Shortage};
use crate::disk::looks;

/// The part of a probe's time limit that a look may take: a probe that ends at its limit is a bad result.
pub(super) const IN_TIME: f32 = 0.9;

/// Does `work`, which waits for the disk of `path`, and gives it up after `patience`.
///
/// # Errors
/// No result: the disk does not answer, or no thread can be had.
pub(super) async fn look<T: Send + 'static>(
    path: &Path,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ProbeFailure> {
    looks::look(path, patience, work).await.map_err(|error| {
        let path = path.display();
        match (error.kind(), Shortage::of_spawning(&error)) {
            (ErrorKind::TimedOut, _) => ProbeFailure::NoResult(Shortage::Disk, format!("{path}: {error}")),
            (_, Some(shortage)) => ProbeFailure::NoResult(shortage, format!("{path}: not looked at: {error}")),
            (_, None) => ProbeFailure::Bad(format!("{path}: not looked at: {error}")),
        }
    })
}
