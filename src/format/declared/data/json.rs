//! JSON. Of a key that is there twice, as in Druid's `dataNodeService`, the last one counts.

use serde_json::Value as Json;

use super::text;
use crate::format::error::Error;
use crate::format::python;

/// Reads JSON; nothing at all is null. Values that Python writes and JSON has not (`NaN`) are null, too.
pub(super) fn read(data: &[u8]) -> Result<Json, Error> {
    let text = text::read(data)?;
    if text.is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_str(text).or_else(|error| {
        let (mended, count) = python::mend(text, "null");
        let mended = if count > 0 { serde_json::from_str(&mended).ok() } else { None };
        mended.ok_or_else(|| Error::BadData("JSON", error.to_string()))
    })
}
