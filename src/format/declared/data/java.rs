//! Serialized Java (Java Object Serialization Specification, §6.4): the first string of a stream, by itself (a
//! `String` object, as Motan writes it) or in a block of data (`writeUTF`, as Flink does). Objects are not read.

use serde_json::Value as Json;

use crate::format::error::Error;

const MAGIC: &[u8] = &[0xac, 0xed, 0x00, 0x05];
const NULL: u8 = 0x70;
const STRING: u8 = 0x74;
const BLOCK: u8 = 0x77;
const LONG_BLOCK: u8 = 0x7a;
const LONG_STRING: u8 = 0x7c;

/// Reads the first string; a null, or nothing at all, is null.
pub(super) fn read(data: &[u8]) -> Result<Json, Error> {
    if data.is_empty() {
        return Ok(Json::Null);
    }
    let bad = |why: &str| Error::BadData("serialized Java", why.to_owned());
    let stream = data.strip_prefix(MAGIC).ok_or_else(|| bad("they do not begin with AC ED 00 05"))?;
    let (tag, rest) = stream.split_first().ok_or_else(|| bad("nothing follows their first four bytes"))?;
    let text = match *tag {
        NULL => return Ok(Json::Null),
        STRING => prefixed::<2>(rest),
        LONG_STRING => prefixed::<8>(rest),
        BLOCK => prefixed::<1>(rest).and_then(prefixed::<2>),
        LONG_BLOCK => prefixed::<4>(rest).and_then(prefixed::<2>),
        _ => return Err(bad("they do not begin with a string")),
    };
    let text = text.ok_or_else(|| bad("their first string is cut off"))?;
    // Java's own UTF-8 differs in NUL and beyond the Basic Multilingual Plane, which no endpoint has.
    std::str::from_utf8(text).map(|text| text.trim().into()).map_err(|_| bad("their first string is not UTF-8 text"))
}

/// The bytes whose number stands in front of them in `N` bytes.
fn prefixed<const N: usize>(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_at_checked(N)?;
    let length = length.iter().try_fold(0usize, |length, byte| length.checked_mul(256)?.checked_add((*byte).into()))?;
    rest.get(..length)
}
