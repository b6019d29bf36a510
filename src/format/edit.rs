//! Changes of single properties in a znode's data: what is not changed stays byte for byte as its writer has it, spaces
//! and order included.

use serde_json::value::RawValue;

use super::json;

/// Property that holds data which is no JSON object, as zc.zk calls it.
const STRING_VALUE: &str = "string_value";

/// Change of one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyEdit {
    /// Set it to this value, in JSON.
    Set(String, String),
    /// Take it out.
    Remove(String),
}

/// Reason why a property cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// An argument is not a change.
    #[error("`{0}` must be NAME=TEXT, NAME:=JSON or NAME-")]
    Form(String),
    /// A value is not JSON.
    #[error("the value of `{0}` is not JSON: {1}")]
    Json(String, String),
    /// The data have no properties.
    #[error("its data is a text and has no properties: only string_value=TEXT, which replaces it, can be set")]
    Text,
    /// The data are not text.
    #[error("its data is binary and has no properties")]
    Binary,
    /// The data begin as JSON and are none.
    #[error("its data is not valid JSON: {0}")]
    Malformed(String),
}

impl PropertyEdit {
    /// Reads `name=text`, `name:=json` or `name-`.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, EditError> {
        let wrong = || EditError::Form(text.to_owned());
        let named = |name: &str| if name.is_empty() { Err(wrong()) } else { Ok(name.to_owned()) };
        match text.split_once('=') {
            None => named(text.strip_suffix('-').ok_or_else(wrong)?).map(Self::Remove),
            Some((name, value)) => match name.strip_suffix(':') {
                None => Ok(Self::Set(named(name)?, serde_json::Value::from(value).to_string())),
                Some(name) => {
                    let read: Result<&RawValue, _> = serde_json::from_str(value);
                    let read = read.map_err(|error| EditError::Json(name.to_owned(), error.to_string()))?;
                    Ok(Self::Set(named(name)?, read.get().to_owned()))
                }
            },
        }
    }

    /// The property's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Remove(name) => name,
        }
    }
}

/// A property as it stands in the text, with what is around it.
#[derive(Debug, Clone, Copy)]
struct EditedProperty<'t> {
    lead: &'t str,
    key: &'t str,
    colon: &'t str,
    value: &'t str,
    trail: &'t str,
}

/// `data` with the changes made, one after the other. The only property of data without others is written as zc.zk
/// does: `string_value` is the data itself.
///
/// # Errors
/// When the data have no properties.
pub fn edit(data: &[u8], edits: &[PropertyEdit]) -> Result<Vec<u8>, EditError> {
    let text = std::str::from_utf8(data).map_err(|_| EditError::Binary)?;
    if let [PropertyEdit::Set(name, value)] = edits
        && name == STRING_VALUE
        && !text.trim_start().starts_with('{')
        && let Ok(plain) = serde_json::from_str::<String>(value)
        && !plain.trim_start().starts_with('{')
        && !plain.trim().is_empty()
    {
        return Ok(plain.into_bytes());
    }
    let (before, body, after) = match text.trim() {
        "" => ("", "", ""),
        object if object.starts_with('{') => {
            json::object(data).map_err(|error| EditError::Malformed(error.to_string()))?;
            let start = text.find('{').unwrap_or(0);
            let end = text.rfind('}').unwrap_or(text.len());
            (&text[..start], &text[start + 1..end], &text[end + 1..])
        }
        _ => return Err(EditError::Text),
    };
    let names: Vec<String> = edits.iter().map(|edit| serde_json::Value::from(edit.name()).to_string()).collect();
    let mut entries = entries(body);
    for (edit, quoted) in edits.iter().zip(&names) {
        let is_meant = |entry: &EditedProperty<'_>| {
            serde_json::from_str::<String>(entry.key).map_or(entry.key == quoted, |key| key == edit.name())
        };
        match edit {
            PropertyEdit::Set(_, value) => {
                if let Some(entry) = entries.iter_mut().rev().find(|entry| is_meant(entry)) {
                    entry.value = value;
                    continue;
                }
                let is_only = entries.len() == 1;
                let new = match entries.last_mut() {
                    None => EditedProperty { lead: "", key: quoted, colon: ":", value, trail: "" },
                    Some(last) => {
                        // Behind the brace a space is not one between properties, but the end of a line is.
                        let lead = if is_only && !last.lead.contains('\n') { "" } else { last.lead };
                        let trail = std::mem::take(&mut last.trail);
                        EditedProperty { lead, key: quoted, colon: last.colon, value, trail }
                    }
                };
                entries.push(new);
            }
            PropertyEdit::Remove(_) => {
                let trail = entries.last().map(|entry| entry.trail);
                entries.retain(|entry| !is_meant(entry));
                if let (Some(last), Some(trail)) = (entries.last_mut(), trail) {
                    last.trail = trail;
                }
            }
        }
    }
    let written: Vec<String> = entries
        .iter()
        .map(|EditedProperty { lead, key, colon, value, trail }| format!("{lead}{key}{colon}{value}{trail}"))
        .collect();
    Ok(format!("{before}{{{}}}{after}", written.join(",")).into_bytes())
}

/// The properties between the braces of an object that is known to be valid.
fn entries(body: &str) -> Vec<EditedProperty<'_>> {
    if body.trim().is_empty() {
        return Vec::new();
    }
    pieces(body).into_iter().map(entry).collect()
}

/// A property as it stands between two commas.
fn entry(piece: &str) -> EditedProperty<'_> {
    let lead = piece.len() - piece.trim_start().len();
    let key = lead + string(&piece[lead..]);
    let colon = piece[key..].find(':').map_or(piece.len(), |at| key + at + 1);
    let value = piece.len() - piece[colon..].trim_start().len();
    let end = piece.trim_end().len().max(value);
    EditedProperty {
        lead: &piece[..lead],
        key: &piece[lead..key],
        colon: &piece[key..value],
        value: &piece[value..end],
        trail: &piece[end..],
    }
}

/// The body in pieces, at the commas that are in nothing.
fn pieces(body: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut depth, mut at) = (Vec::new(), 0, 0_usize, 0);
    let bytes = body.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += string(&body[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                pieces.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(&body[start..]);
    pieces
}

/// Length of the string in quotes at the start of a text.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(data: &str, edits: &[&str]) -> String {
        let edits: Vec<_> = edits.iter().map(|edit| PropertyEdit::parse(edit).unwrap()).collect();
        edit(data.as_bytes(), &edits).map_or_else(|error| error.to_string(), |data| String::from_utf8(data).unwrap())
    }

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let data = r#" {"a" : 1.50,"b":"x,\"}\u00fc", "c":[1, {"d":2}] } "#;
        assert_eq!(edited(data, &["b=y"]), r#" {"a" : 1.50,"b":"y", "c":[1, {"d":2}] } "#);
        assert_eq!(edited(data, &["a-"]), r#" {"b":"x,\"}\u00fc", "c":[1, {"d":2}] } "#);
        assert_eq!(edited(data, &["c-"]), r#" {"a" : 1.50,"b":"x,\"}\u00fc" } "#);
        assert_eq!(
            edited(data, &["e:=[1, 2]", "c:=null"]),
            r#" {"a" : 1.50,"b":"x,\"}\u00fc", "c":null, "e":[1, 2] } "#
        );
        assert_eq!(edited("{\n  \"a\": 1\n}\n", &["b:=2"]), "{\n  \"a\": 1,\n  \"b\": 2\n}\n");
        assert_eq!(edited(data, &["nothing-"]), data);
    }

    #[test]
    fn python_s_numbers_stay_and_names_are_compared_as_they_are_meant() {
        assert_eq!(edited(r#"{"a":NaN,"\u0062":1}"#, &["b:=2"]), r#"{"a":NaN,"\u0062":2}"#);
        assert_eq!(edited(r#"{"a":1,"a":2}"#, &["a:=3"]), r#"{"a":1,"a":3}"#);
        assert_eq!(edited(r#"{"a":1,"a":2}"#, &["a-"]), "{}");
    }

    #[test]
    fn data_without_properties_get_some_or_say_why_not() {
        assert_eq!(edited("", &["a=b", "c:=5"]), r#"{"a":"b","c":5}"#);
        assert_eq!(edited("{}", &["a ->=/b"]), r#"{"a ->":"/b"}"#);
        assert_eq!(edited("old", &["string_value=new"]), "new");
        assert_eq!(edited("", &["string_value=new"]), "new");
        assert_eq!(edited("", &["string_value={"]), r#"{"string_value":"{"}"#);
        assert!(edited("old", &["a=b"]).starts_with("its data is a text"));
        assert!(edited("{\"a\":", &["a=b"]).starts_with("its data is not valid JSON"));
        assert_eq!(edit(b"\xff", &[]), Err(EditError::Binary));
    }

    #[test]
    fn arguments_that_are_no_changes_are_told() {
        for (text, words) in [("a", "`a` must be"), ("=b", "`=b` must be"), ("-", "`-` must be"), ("a:=b", "not JSON")]
        {
            assert!(PropertyEdit::parse(text).unwrap_err().to_string().contains(words), "{text}");
        }
        assert_eq!(PropertyEdit::parse("a=b=c").unwrap().name(), "a");
    }
}
