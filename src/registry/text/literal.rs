//! A property's value: what zc.zk's tree text says in Python and its znodes say in JSON.
//!
//! This is the value, its JSON both ways and its Python text; `python` reads the latter.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `None`.
    Null,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number, of 64 bits.
    Integer(i128),
    /// Any other number; finite.
    Float(f64),
    /// Text.
    Text(String),
    /// A list or a tuple.
    List(Vec<Literal>),
    /// A dict: keys as JSON has them, in the order of the text, each once.
    Dict(Vec<(String, Literal)>),
}

impl Literal {
    /// Returns whether it is the same value, whatever the order of keys is.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dict(one), Self::Dict(other)) if one.len() == other.len() => {
                let other: HashMap<&str, &Self> = other.iter().map(|(key, value)| (key.as_str(), value)).collect();
                one.iter().all(|(key, value)| other.get(key.as_str()).is_some_and(|other| value.is_like(other)))
            }
            (Self::List(one), Self::List(other)) if one.len() == other.len() => {
                one.iter().zip(other).all(|(one, other)| one.is_like(other))
            }
            _ => self == other,
        }
    }

    /// The value in compact JSON, keys in their order.
    pub fn to_json(&self) -> Vec<u8> {
        // Writing to memory does not fail, and no value here is one that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A dict in the making. Of two values at one key the later one counts, as in Python and in JSON.
#[derive(Default)]
pub(super) struct LiteralEntries {
    pub(super) entries: Vec<(String, Literal)>,
    index: HashMap<String, usize>,
}

impl LiteralEntries {
    pub(super) fn put(&mut self, key: String, value: Literal) {
        if let Some(&at) = self.index.get(&key) {
            self.entries[at].1 = value;
        } else {
            self.index.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }
}

/// As JSON, keys in their order.
impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Integer(number) => serializer.serialize_i128(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Dict(dict) => serializer.collect_map(dict.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// From JSON, keys in their order.
impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FromJson)
    }
}

struct FromJson;

impl<'de> Visitor<'de> for FromJson {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Literal, E> {
        Ok(Literal::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Literal, E> {
        Ok(Literal::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Literal, E> {
        Ok(Literal::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Literal, E> {
        Ok(Literal::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Literal, E> {
        Ok(Literal::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Literal, E> {
        Ok(Literal::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Literal, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Literal::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Literal, A::Error> {
        let mut dict = LiteralEntries::default();
        while let Some((key, value)) = entries.next_entry()? {
            dict.put(key, value);
        }
        Ok(Literal::Dict(dict.entries))
    }
}

/// As Python text that `python` reads again.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(truth) => f.write_str(if *truth { "True" } else { "False" }),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => quote(text, f),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Dict(dict) => {
                f.write_str("{")?;
                for (index, (key, value)) in dict.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    quote(key, f)?;
                    write!(f, ": {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("'")?;
    for character in text.chars() {
        match character {
            '\\' | '\'' => write!(f, "\\{character}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            // Others as they are: Python 2 takes `\x85` for a byte.
            control if control.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(control))?,
            plain => write!(f, "{plain}")?,
        }
    }
    f.write_str("'")
}
