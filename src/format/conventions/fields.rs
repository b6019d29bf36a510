//! Fields that several conventions have in their JSON: a host, a port, an endpoint, tags.

use serde_json::{Map, Value};

use crate::format::error::Error;
use crate::format::{json, name};
use crate::model::{Endpoint, Host};

/// Remarks about one znode that are told one by one.
const MAX_REMARKS: usize = 8;

/// Returns whether a value says nothing: absent, `null`, empty and -1 are the same to many writers.
pub(super) fn is_absent(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(other) => other.as_i64() == Some(-1),
    }
}

/// Reads the host in the field `key`.
///
/// # Errors
/// When it is none.
pub(super) fn host(key: &str, value: Option<&Value>) -> Result<Host, Error> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    name::any_host(text).map_err(|error| {
        Error::NoEndpoint(match error {
            Error::NoHost => format!("it has no `{key}`"),
            Error::Unusable(what) => format!("`{key}` is {what}"),
            _ => format!("`{key}` is {}, neither an address nor a host name", json::quote(&Value::from(text))),
        })
    })
}

/// Reads a port; none where it is no usable one.
pub(super) fn port(value: Option<&Value>) -> Option<u16> {
    json::short(value?).filter(|port| *port != 0)
}

/// Reads the endpoint in the fields `host` and `port` of `said`.
///
/// # Errors
/// When there is none.
pub(super) fn endpoint(said: &Map<String, Value>) -> Result<Endpoint, Error> {
    let host = host("host", said.get("host"))?;
    let port = port(said.get("port")).ok_or_else(|| match said.get("port").filter(|port| !port.is_null()) {
        None => Error::NoEndpoint("it has no `port`".to_owned()),
        Some(port) => Error::NoEndpoint(format!("`port` is {}, no port", json::quote(port))),
    })?;
    Ok(Endpoint { host, port })
}

/// A text as a tag: letters and digits, and one hyphen for each run of anything else: `1.0.0` is `1-0-0`. None where
/// nothing is left.
pub(super) fn tag(text: &str) -> Option<Box<str>> {
    let parts: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("-").into())
}

/// A scalar as text; none for one that says nothing, and for lists and objects.
pub(super) fn scalar(value: &Value) -> Option<Box<str>> {
    let is_scalar = !is_absent(Some(value)) && !value.is_array() && !value.is_object();
    is_scalar.then(|| json::text(value.clone()))
}

/// The first of these remarks, and how many more there are.
pub(super) fn few(mut remarks: Vec<String>) -> Vec<String> {
    let more = remarks.len().saturating_sub(MAX_REMARKS);
    if more > 0 {
        remarks.truncate(MAX_REMARKS);
        remarks.push(format!("and {more} more of this kind"));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_label_that_anybody_can_ask() {
        for (text, expected) in [("1.0.0", "1-0-0"), ("blue", "blue"), (" a_b::c/ ", "a-b-c"), ("käse", "käse")] {
            assert_eq!(tag(text).as_deref(), Some(expected));
        }
        assert_eq!((tag(""), tag("*")), (None, None));
    }

    #[test]
    fn absent_null_empty_and_minus_one_are_the_same() {
        for said in [None, Some(&Value::Null), Some(&Value::from(" ")), Some(&Value::from(-1))] {
            assert!(is_absent(said), "{said:?}");
        }
        assert!(!is_absent(Some(&Value::from(0))));
    }
}
