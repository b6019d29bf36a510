//! Tables as TOML, for people who want to begin with one.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::settings::{Kind, Table, Value};

/// A table with its header; tables in lists follow it with headers of their own.
pub(super) fn table(name: &str, table: &Table) -> String {
    let mut text = format!("[{name}]\n");
    let tables = |value: &Value| match &value.kind {
        Kind::Array(items) => items.iter().any(|item| matches!(item.kind, Kind::Table(_))),
        _ => false,
    };
    let (lists, plain): (Vec<_>, Vec<_>) = table.entries.iter().partition(|(.., value)| tables(value));
    let width = plain.iter().map(|(key, ..)| self::key(key).len()).max().unwrap_or_default();
    for (key, _, value) in plain {
        let _ = writeln!(text, "{:<width$} = {}", self::key(key), self::value(value));
    }
    for (key, _, value) in lists {
        let Kind::Array(items) = &value.kind else { continue };
        for item in items {
            if let Kind::Table(table) = &item.kind {
                let _ = writeln!(text, "\n[[{name}.{}]]", self::key(key));
                for (key, _, value) in &table.entries {
                    let _ = writeln!(text, "{} = {}", self::key(key), self::value(value));
                }
            }
        }
    }
    text
}

fn key(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { string(key) }
}

/// A text as it is where that is possible, else with JSON's escapes, which TOML has, too.
fn string(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && c != '\'';
    if text.contains(['"', '\\']) && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn value(value: &Value) -> String {
    match &value.kind {
        Kind::String(text) => string(text),
        Kind::Integer(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::Boolean(truth) => truth.to_string(),
        Kind::Array(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        Kind::Table(table) => {
            let entries =
                table.entries.iter().map(|(key, _, value)| format!("{} = {}", self::key(key), self::value(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Kind::Other(what) => format!("\"{what}\""),
    }
}
