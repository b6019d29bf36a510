//! Paths and data of znodes, as they are printed.

use crate::format::Chosen;
use crate::format::declared::Description;

/// Path of the znodes; of code, the root.
pub(super) fn place(chosen: Chosen<'_>) -> String {
    match chosen {
        Chosen::Coded(row) => row.root.to_owned(),
        Chosen::BuiltIn(description) | Chosen::Own(description) => full_path(description, &description.path),
    }
}

/// A path below the usual root of a description, from the top.
pub(super) fn full_path(description: &Description, below: &str) -> String {
    format!("{}/{below}", description.root.trim_end_matches('/'))
}

/// Data as text; in hexadecimal digits where they are none.
pub(super) fn shown(data: &[u8]) -> String {
    let is_plain = |text: &&str| !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    let text = std::str::from_utf8(data).ok().filter(is_plain).map(|text| text.trim_end().to_owned());
    text.unwrap_or_else(|| format!("0x{}", data_encoding::HEXLOWER.encode(data)))
}
