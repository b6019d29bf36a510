//! The query of a URL: `group=test&weight=7`, percent-encoded, as rpcx writes it.

use serde_json::{Map, Value as Json};

use super::text;
use crate::format::error::Error;

/// Reads a query into a table of texts. Bytes that are no UTF-8 once decoded are replaced.
pub(super) fn read(data: &[u8]) -> Result<Json, Error> {
    let text = text::read(data)?;
    let pairs = form_urlencoded::parse(text.strip_prefix('?').unwrap_or(text).as_bytes());
    Ok(Json::Object(pairs.map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect::<Map<_, _>>()))
}
