//! Templates of values: `{/host}:{/port|/tlsPort}`.
//!
//! `{capture}` is a part of the path, `{/json/pointer}` (RFC 6901) a part of the data, `{}` the data as a whole,
//! `{a|b}` the first of these that is there. Absent, null, the empty text and -1 are one and the same, and a template
//! of which a part is absent is absent. A template that is one brace has the value as it is: a list, a table, a number.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value as Json;

use super::data::{DataKind, ReadData};
use super::pattern::{self, Mistake};

/// Elements of a pointer: nobody nests deeper, and a message is read once for each.
const DEEPEST: usize = 16;

/// A template of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    /// The first of them that is there.
    Choice(Vec<Part>),
}

/// Part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Capture(usize),
    Pointer(Vec<Box<str>>),
    Whole,
}

/// Values that templates are filled with: the captures of a path, and the data of its znode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'f> {
    pub(super) captured: &'f [Option<&'f str>],
    pub(super) data: &'f ReadData<'f>,
}

impl Template {
    /// Reads a template; captures are among `names`, and the data are of the kind `data`.
    pub(super) fn parse(text: &str, names: &[Box<str>], data: DataKind) -> Result<Self, Mistake> {
        let mut segments = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let Some(inner) = rest.strip_prefix('{') else {
                let length = rest.find(['{', '}']).unwrap_or(rest.len());
                if length == 0 {
                    return Err(Mistake::error(at..at + 1, "no `{` goes with this `}`"));
                }
                segments.push(Segment::Literal(rest[..length].into()));
                at += length;
                continue;
            };
            let Some(length) = inner.find('}') else {
                return Err(Mistake::error(at..at + 1, "this `{` is never closed"));
            };
            let mut start = at + 1;
            let mut choice = Vec::new();
            for one in inner[..length].split('|') {
                choice.push(Part::parse(one, start..start + one.len(), names, data)?);
                start += one.len() + 1;
            }
            segments.push(Segment::Choice(choice));
            at += length + 2;
        }
        Ok(Self { segments })
    }

    /// Returns whether it takes anything from the data.
    pub(super) fn reads_data(&self) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Literal(_) => false,
            Segment::Choice(choice) => choice.iter().any(|origin| !matches!(origin, Part::Capture(_))),
        })
    }

    /// The part in front of a last brace that stands behind a colon, and that brace: a host and a port.
    pub(super) fn split_port(&self) -> Option<(Self, Self)> {
        let [front @ .., Segment::Literal(colon), port @ Segment::Choice(_)] = &*self.segments else { return None };
        let host = colon.strip_suffix(':')?;
        let mut segments = front.to_vec();
        if !host.is_empty() {
            segments.push(Segment::Literal(host.into()));
        }
        // `{/scheme}://{/host}` has no port.
        (!segments.is_empty()).then(|| (Self { segments }, Self { segments: vec![port.clone()] }))
    }

    /// The value, if all of it is there.
    pub(super) fn value<'f>(&self, filling: Filling<'f>) -> Option<Cow<'f, Json>> {
        if let [Segment::Choice(choice)] = &*self.segments {
            return first(choice, filling);
        }
        self.text(filling).map(|text| Cow::Owned(text.into()))
    }

    /// The value as text; none where it is a list or a table.
    pub(super) fn text(&self, filling: Filling<'_>) -> Option<String> {
        let mut text = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Choice(choice) => text.push_str(&scalar(&*first(choice, filling)?)?),
            }
        }
        Some(text)
    }

    /// The text of a template of captures alone.
    pub(super) fn path(&self, captured: &[Option<&str>]) -> Option<String> {
        self.text(Filling { captured, data: &ReadData::Value(Json::Null) })
    }
}

impl Part {
    fn parse(text: &str, at: Range<usize>, names: &[Box<str>], data: DataKind) -> Result<Self, Mistake> {
        let with_help = |at, message: String, help: String| Mistake { help: Some(help), ..Mistake::error(at, message) };
        if !text.is_empty() && !text.starts_with('/') {
            let at = at.start - 1..at.end + 1;
            return pattern::capture(text, at, names).map(Self::Capture);
        }
        let span = at.start.saturating_sub(1)..at.end + 1;
        if data == DataKind::None {
            let message = format!("{{{text}}} is a part of the data, which are not read");
            return Err(with_help(span, message, "say their kind: data = \"json\"".to_owned()));
        }
        let Some(pointer) = text.strip_prefix('/') else {
            if data == DataKind::Protobuf {
                let help = "name a field by its number, such as {/1}".to_owned();
                return Err(with_help(span, "a protobuf message is no value as a whole".to_owned(), help));
            }
            return Ok(Self::Whole);
        };
        if !data.has_parts() {
            let message = format!("data of the kind \"{}\" have no parts", data.word());
            return Err(with_help(span, message, "write {} for all of them".to_owned()));
        }
        let tokens: Vec<Box<str>> =
            pointer.split('/').map(|token| token.replace("~1", "/").replace("~0", "~").into()).collect();
        if tokens.len() > DEEPEST {
            return Err(Mistake::error(span, format!("a pointer has {DEEPEST} elements at most")));
        }
        let is_field = |token: &str| token.parse::<u32>().is_ok_and(|number| (1..1 << 29).contains(&number));
        if data == DataKind::Protobuf && !tokens.iter().all(|token| is_field(token)) {
            let help = "name fields by their numbers, such as {/3/1}".to_owned();
            return Err(with_help(span, "fields of a protobuf message have numbers, no names".to_owned(), help));
        }
        Ok(Self::Pointer(tokens))
    }
}

/// The first value that is there.
fn first<'f>(choice: &[Part], filling: Filling<'f>) -> Option<Cow<'f, Json>> {
    choice.iter().find_map(|origin| {
        let value = match origin {
            Part::Capture(index) => Cow::Owned(filling.captured.get(*index).copied().flatten()?.into()),
            Part::Pointer(pointer) => filling.data.at(pointer)?,
            Part::Whole => filling.data.whole()?,
        };
        is_there(&value).then_some(value)
    })
}

fn is_there(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !matches!(&**text, "" | "-1"),
        Json::Number(number) => number.as_i64() != Some(-1) && number.as_f64() != Some(-1.0),
        _ => true,
    }
}

/// A value as text, numbers without a fraction of zeros; none for a list or a table.
pub(super) fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Number(number) => Some(match number.as_f64() {
            // Lua, JavaScript and Java's doubles write 5.0 for 5.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NAMES: [&str; 2] = ["host", "id"];

    fn names() -> Vec<Box<str>> {
        NAMES.map(Into::into).to_vec()
    }

    fn value(text: &str, data: &Json) -> Option<Json> {
        let template = Template::parse(text, &names(), DataKind::Json).unwrap_or_else(|mistake| panic!("{mistake:?}"));
        let captured = [Some("h1"), None];
        let data = ReadData::Value(data.clone());
        template.value(Filling { captured: &captured, data: &data }).map(Cow::into_owned)
    }

    #[test]
    fn parts_come_from_path_and_data_and_the_first_that_is_there_counts() {
        let data = json!({"a": {"b": [1, {"c/d": "x", "e~f": "y"}]}, "": "empty", "n": null, "m": -1, "s": "", "p": 80.0,
                          "t": true, "w": "-1"});
        let all = [
            ("{host}", json!("h1")),
            ("{host}:{/p}", json!("h1:80")),
            ("{/a/b}", json!([1, {"c/d": "x", "e~f": "y"}])),
            ("{/a/b/0}", json!(1)),
            ("{/a/b/1/c~1d}-{/a/b/1/e~0f}", json!("x-y")),
            ("{/}", json!("empty")),
            ("{/n|/m|/s|/w|/x|id|/a/b/0}", json!(1)),
            ("is {/t}", json!("is true")),
            ("x", json!("x")),
        ];
        for (template, expected) in all {
            assert_eq!(value(template, &data), Some(expected), "{template}");
        }
        for absent in
            ["{/n}", "{/m}", "{/s}", "{/w}", "{id}", "{/x}", "{/a/b/2}", "{/a/b/00}", "{/a/b/-}", "x{/a}", "{host}{/n}"]
        {
            assert_eq!(value(absent, &data), None, "{absent}");
        }
        assert_eq!(value("{}", &json!("all")), Some(json!("all")));
    }

    #[test]
    fn mistakes_say_where_they_are_and_what_to_write() {
        let mistake = |text: &str, data| {
            let mistake = Template::parse(text, &names(), data).unwrap_err();
            (mistake.at.clone(), mistake.message, mistake.help.unwrap_or_default())
        };
        let text = |at, message: &str, help: &str| (at, message.to_owned(), help.to_owned());
        let json = DataKind::Json;
        assert_eq!(mistake("a{hots}", json), text(1..7, "{hots} is not in `path`", "did you mean {host}?"));
        assert_eq!(mistake("{/a|nobody}", json), text(3..11, "{nobody} is not in `path`", "`path` has {host}, {id}"));
        assert_eq!(mistake("a{", json), text(1..2, "this `{` is never closed", ""));
        assert_eq!(mistake("}", json), text(0..1, "no `{` goes with this `}`", ""));
        let help = "say their kind: data = \"json\"";
        assert_eq!(mistake("{/a}", DataKind::None), text(0..4, "{/a} is a part of the data, which are not read", help));
        let message = "data of the kind \"text\" have no parts";
        assert_eq!(mistake("{/a}", DataKind::Text), text(0..4, message, "write {} for all of them"));
        let message = "fields of a protobuf message have numbers, no names";
        let help = "name fields by their numbers, such as {/3/1}";
        assert_eq!(mistake("{/1/host}", DataKind::Protobuf), text(0..9, message, help));
        assert!(Template::parse(&format!("{{{}}}", "/a".repeat(17)), &names(), json).is_err());
    }

    #[test]
    fn a_host_and_a_port_are_told_apart() {
        let split = |text: &str| Template::parse(text, &names(), DataKind::Json).unwrap().split_port().is_some();
        for both in ["{host}:{/port}", "{/a|/b}:{/c}", "h:{/port}", "x-{host}.example.com:{/port}"] {
            assert!(split(both), "{both}");
        }
        for other in ["{/url}", "{}", ":{/port}", "{host}:80", "{/scheme}://{host}"] {
            assert!(!split(other), "{other}");
        }
    }
}
