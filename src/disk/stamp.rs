//! Tells an edited file from one that is as it was, without reading it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file's state, which differs after every edit: also one that keeps the time of modification and the size (`cp -p`,
/// `rsync -t`, stores whose files are all of 1970), as the kernel alone sets the time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device and inode.
    file: (u64, u64),
    /// Of the last change of content, owner, mode or name, since 1970.
    changed: (i64, i64),
    /// Of the last write, since 1970.
    modified: (i64, i64),
    /// In bytes.
    size: u64,
}

impl Stamp {
    /// Returns whether the file may have changed after `moment`.
    pub fn is_after(&self, moment: SystemTime) -> bool {
        // The kernel's clock for files moves in steps of some milliseconds.
        const STEP: Duration = Duration::from_millis(20);
        let moment = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(STEP);
        let (seconds, nanoseconds) = self.changed;
        let changed = Duration::from_secs(seconds.try_into().unwrap_or(0));
        changed + Duration::from_nanos(nanoseconds.try_into().unwrap_or(0)) >= moment
    }
}

/// The file's state now, if it is there.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some(Stamp {
        file: (file.dev(), file.ino()),
        changed: (file.ctime(), file.ctime_nsec()),
        modified: (file.mtime(), file.mtime_nsec()),
        size: file.len(),
    })
}
