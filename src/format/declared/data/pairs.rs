//! Pairs: `key=value;key=value` as `HiveServer2` writes them, or a `key: value` a line as `ClickHouse` does.

use serde_json::{Map, Value as Json};

use super::text;
use crate::format::error::Error;

/// Reads pairs into a table of texts. What has neither `=` nor `:` is none, and is left out.
pub(super) fn read(data: &[u8]) -> Result<Json, Error> {
    let mut pairs = Map::new();
    for pair in text::read(data)?.split([';', '\n']) {
        if let Some((key, value)) = pair.split_once(['=', ':']) {
            pairs.insert(key.trim().to_owned(), value.trim().into());
        }
    }
    Ok(Json::Object(pairs))
}
