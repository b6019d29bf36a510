//! Text: UTF-8, without the space around it.

use crate::format::error::Error;

/// Reads text.
pub(super) fn read(data: &[u8]) -> Result<&str, Error> {
    let text = std::str::from_utf8(data).map_err(|_| Error::NotText)?;
    // Editors and .NET begin a text with this.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).trim())
}
