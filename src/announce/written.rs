//! The conventions that registrations can be written in.

use crate::format;

/// Their names, for messages.
pub(super) fn written() -> String {
    let names = format::CONVENTIONS.iter().filter(|row| (row.build)("").is_written() && row.name != "auto");
    names.map(|row| format!("\"{}\"", row.name)).collect::<Vec<_>>().join(", ")
}
