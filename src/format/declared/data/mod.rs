//! Data of a znode, of the kinds that a description can name: each read into values that templates point into.
//!
//! Nothing here knows what the values mean.

mod java;
mod json;
mod pairs;
mod protobuf;
mod query;
mod text;

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::format::error::{DATA_LIMIT, Error};

/// Kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataKind {
    /// JSON.
    Json,
    /// Text.
    Text,
    /// `key=value;…`, or a `key: value` a line.
    Pairs,
    /// The query of a URL.
    Query,
    /// A protobuf message.
    Protobuf,
    /// A stream of serialized Java, of which the first string is taken.
    Java,
    /// Nothing is read.
    None,
}

impl DataKind {
    /// All of them, by their words.
    pub(super) const ALL: [(&'static str, Self); 7] = [
        ("json", Self::Json),
        ("text", Self::Text),
        ("pairs", Self::Pairs),
        ("query", Self::Query),
        ("protobuf", Self::Protobuf),
        ("java", Self::Java),
        ("none", Self::None),
    ];

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// Returns whether pointers lead into such data.
    pub(super) fn has_parts(self) -> bool {
        !matches!(self, Self::Text | Self::Java | Self::None)
    }

    /// Reads data.
    ///
    /// # Errors
    /// When they are too large, or not of this kind.
    pub(super) fn read(self, data: &[u8]) -> Result<ReadData<'_>, Error> {
        if self == Self::None {
            return Ok(ReadData::Value(Json::Null));
        }
        if data.len() > DATA_LIMIT {
            return Err(Error::TooLarge(data.len()));
        }
        Ok(match self {
            Self::None => ReadData::Value(Json::Null),
            Self::Json => ReadData::Value(json::read(data)?),
            Self::Text => ReadData::Value(text::read(data)?.into()),
            Self::Pairs => ReadData::Value(pairs::read(data)?),
            Self::Query => ReadData::Value(query::read(data)?),
            Self::Java => ReadData::Value(java::read(data)?),
            Self::Protobuf => {
                let message = protobuf::message(data);
                protobuf::check(message)?;
                ReadData::Message(message)
            }
        })
    }
}

/// Data that could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReadData<'d> {
    /// A value; null where there are no data.
    Value(Json),
    /// A protobuf message, which has nothing but numbers for its fields' names.
    Message(&'d [u8]),
}

impl ReadData<'_> {
    /// The value as a whole.
    pub(super) fn whole(&self) -> Option<Cow<'_, Json>> {
        match self {
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Message(_) => None,
        }
    }

    /// The value at a pointer (RFC 6901 §4), given by its tokens.
    pub(super) fn at(&self, pointer: &[Box<str>]) -> Option<Cow<'_, Json>> {
        match self {
            Self::Message(message) => protobuf::at(message, pointer).map(Cow::Owned),
            Self::Value(value) => pointer
                .iter()
                .try_fold(value, |value, token| match value {
                    Json::Object(entries) => entries.get(&**token),
                    Json::Array(items) => index(token).and_then(|index| items.get(index)),
                    _ => None,
                })
                .map(Cow::Borrowed),
        }
    }
}

/// An index of an array: digits without a zero in front (RFC 6901 §4).
fn index(token: &str) -> Option<usize> {
    let is_plain = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    is_plain.then(|| token.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
