//! A number for this program, by which a later one can tell that it is another: it may make other records of the same
//! zone file.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

/// The number: of the version, and of the size and the time of the program's file. One that was only copied counts as
/// another, which costs its secondaries a transfer and nothing else.
pub(super) fn build() -> u64 {
    static BUILD: OnceLock<u64> = OnceLock::new();
    *BUILD.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        if let Ok(file) = std::fs::metadata("/proc/self/exe") {
            (file.len(), file.mtime(), file.mtime_nsec()).hash(&mut hasher);
        }
        hasher.finish()
    })
}
