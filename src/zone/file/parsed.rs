//! Content of a master file, and what is wrong with one.

use std::path::PathBuf;

use crate::diagnostic::{self, Location};
use crate::zone::record::Record;

/// Limit of the text of a file and all that it includes, in bytes: several million records.
pub(super) const MAX_TEXT: usize = 256 << 20;

/// The message about a file that is larger.
pub(super) const TOO_LARGE: &str = "is larger than 256 MiB with all that it includes";

/// Content of a master file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// Its records, in the order of the file, owners in lower case; the records of an RRset have one TTL.
    pub records: Vec<Record>,
    /// Remarks about what is right, and was perhaps not meant.
    pub remarks: Vec<Problem>,
    /// The files that it includes, in the order of their first mention.
    pub includes: Vec<PathBuf>,
}

/// One thing that is wrong with a master file. From [`super::parse`] its path is empty for the text itself, else as
/// `$INCLUDE` names it.
pub type Problem = diagnostic::Problem<Location>;
