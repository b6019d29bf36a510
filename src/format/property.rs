//! Properties of a configured instance: values that have a place in JSON, in the order of the config file.

use serde_json::Value as Json;

use crate::diagnostic::Span;
use crate::settings::{Kind, Setting, Value};

/// A value of a property.
#[derive(Debug, Clone, PartialEq)]
pub enum Property {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number; finite.
    Fraction(f64),
    /// A truth value.
    Flag(bool),
    /// Several values.
    List(Vec<Property>),
    /// Values by name.
    Table(Vec<(String, Property)>),
    /// JSON's `null`, which no configuration holds.
    Null,
}

impl Property {
    /// The value as one text: that of a list is its items, separated by commas, that of a table is JSON.
    pub(super) fn to_text(&self) -> String {
        let is_scalar = |item: &Self| !matches!(item, Self::List(_) | Self::Table(_));
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) if items.iter().all(is_scalar) => {
                items.iter().map(Self::to_text).collect::<Vec<_>>().join(",")
            }
            other => {
                let mut json = String::new();
                write(other, &mut json);
                json
            }
        }
    }
}

impl Setting for Property {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        Ok(match &value.kind {
            Kind::String(text) => Self::Text(text.clone()),
            Kind::Integer(number) => Self::Integer(*number),
            Kind::Float(number) if number.is_finite() => Self::Fraction(*number),
            Kind::Float(number) => {
                return Err((value.span, format!("must not hold {number}: JSON has no such number")));
            }
            Kind::Boolean(flag) => Self::Flag(*flag),
            Kind::Array(items) => Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?),
            Kind::Table(table) => {
                let entry = |(key, _, value): &(String, Span, Value)| Ok((key.clone(), Self::read(value)?));
                Self::Table(table.entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            Kind::Other(name) => return Err((value.span, format!("must not hold {name}: JSON has no such value"))),
        })
    }
}

/// One JSON object without spaces: `properties` in their order, then `own`, which win over properties of the same name.
pub(super) fn object(properties: &[(String, Property)], own: &[(&str, Property)]) -> Vec<u8> {
    let is_own = |name: &str| own.iter().any(|(key, _)| *key == name);
    let theirs = properties.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !is_own(key));
    let ours = own.iter().map(|(key, value)| (*key, value));
    let mut json = String::new();
    write_object(theirs.chain(ours), &mut json);
    json.into_bytes()
}

// Written out here and not by way of `serde_json::Map`, which sorts the keys.
fn write_object<'p>(entries: impl Iterator<Item = (&'p str, &'p Property)>, json: &mut String) {
    json.push('{');
    for (i, (key, value)) in entries.enumerate() {
        if i > 0 {
            json.push(',');
        }
        json.push_str(&Json::from(key).to_string());
        json.push(':');
        write(value, json);
    }
    json.push('}');
}

fn write(property: &Property, json: &mut String) {
    let scalar = match property {
        Property::Text(text) => Json::from(text.as_str()),
        Property::Integer(number) => Json::from(*number),
        Property::Fraction(number) => Json::from(*number),
        Property::Flag(flag) => Json::from(*flag),
        Property::Null => Json::Null,
        Property::Table(entries) => {
            return write_object(entries.iter().map(|(key, value)| (key.as_str(), value)), json);
        }
        Property::List(items) => {
            json.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    json.push(',');
                }
                write(item, json);
            }
            json.push(']');
            return;
        }
    };
    json.push_str(&scalar.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Table;

    fn value(kind: Kind) -> Value {
        Value { span: Span::default(), kind }
    }

    #[test]
    fn a_table_of_the_config_becomes_json_in_the_order_of_the_file() {
        let entry = |key: &str, kind| (key.to_owned(), Span::default(), value(kind));
        let list = Kind::Array(vec![value(Kind::String("a \"b\"\n".into())), value(Kind::Boolean(true))]);
        let inner = Table { span: Span::default(), entries: vec![entry("http", Kind::Integer(8080))] };
        let entries = vec![
            entry("weight", Kind::Integer(10)),
            entry("load", Kind::Float(0.5)),
            entry("tags", list),
            entry("ports", Kind::Table(inner)),
            entry("pid", Kind::Integer(1)),
        ];
        let Property::Table(read) =
            Property::read(&value(Kind::Table(Table { span: Span::default(), entries }))).unwrap()
        else {
            panic!("a table is read as a table");
        };
        let json = object(&read, &[("pid", Property::Integer(42))]);
        let expected = r#"{"weight":10,"load":0.5,"tags":["a \"b\"\n",true],"ports":{"http":8080},"pid":42}"#;
        assert_eq!(String::from_utf8(json).unwrap(), expected);
        assert_eq!(object(&[], &[]), b"{}");
    }

    #[test]
    fn a_value_has_a_text_as_well() {
        let text = |text: &str| Property::Text(text.into());
        let list = Property::List(vec![text("a"), Property::Integer(2), Property::Flag(true)]);
        let nested = Property::List(vec![Property::List(vec![text("a")])]);
        let table = Property::Table(vec![("a".into(), Property::Fraction(0.5)), ("b".into(), Property::Null)]);
        for (value, expected) in [
            (text("a \"b\""), "a \"b\""),
            (Property::Integer(-3), "-3"),
            (list, "a,2,true"),
            (nested, r#"[["a"]]"#),
            (table, r#"{"a":0.5,"b":null}"#),
        ] {
            assert_eq!(value.to_text(), expected);
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused_where_it_stands() {
        let span = Span { file: 0, start: 3, end: 6 };
        let list = |kind| value(Kind::Array(vec![Value { span, kind }]));
        assert_eq!(Property::read(&list(Kind::Float(f64::NAN))).unwrap_err().0, span);
        let (at, message) = Property::read(&list(Kind::Other("a date"))).unwrap_err();
        assert_eq!((at, message.as_str()), (span, "must not hold a date: JSON has no such value"));
    }
}
