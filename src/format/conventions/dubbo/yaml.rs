//! YAML of administrators, as a tree of texts: bounded in size and depth, and without aliases, which could make much of
//! little.

use saphyr_parser::{Event, Parser};

use crate::format::error::DATA_LIMIT;

/// Deepest nesting that is read.
const DEEPEST: usize = 16;

/// A value of YAML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A scalar, as it is written; `~` and `null` are empty.
    Text(String),
    /// A sequence.
    List(Vec<Yaml>),
    /// A mapping, of which only keys that are texts are kept.
    Table(Vec<(String, Yaml)>),
}

impl Yaml {
    /// Reads the first document of `data`.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(data: &[u8]) -> Result<Self, String> {
        if data.len() > DATA_LIMIT {
            return Err(format!("it has {} bytes; more than {DATA_LIMIT} are not read", data.len()));
        }
        let text = str::from_utf8(data).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, _) = event.map_err(|error| format!("it is not YAML: {error}"))?;
            let done = match event {
                Event::MappingStart(..) => {
                    open.push(Open::Table { entries: Vec::new(), key: None });
                    None
                }
                Event::SequenceStart(..) => {
                    open.push(Open::List(Vec::new()));
                    None
                }
                Event::Scalar(text, ..) => {
                    let is_null = matches!(&*text, "~" | "null");
                    Some(Self::Text(if is_null { String::new() } else { text.into_owned() }))
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(Open::close),
                Event::Alias(_) => return Err("it has aliases, which are not read".to_owned()),
                Event::DocumentEnd => return Ok(Self::Text(String::new())),
                _ => None,
            };
            if open.len() > DEEPEST {
                return Err(format!("it is nested more than {DEEPEST} deep"));
            }
            match (done, open.last_mut()) {
                (Some(done), Some(outer)) => outer.add(done),
                (Some(done), None) => return Ok(done),
                (None, _) => {}
            }
        }
        Ok(Self::Text(String::new()))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Table(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a key; none where it is absent, empty or something else.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The elements of the list of a key; none where there is no list.
    pub(super) fn list(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The texts in the list of a key.
    pub(super) fn texts(&self, key: &str) -> Vec<&str> {
        let mut texts = Vec::new();
        for item in self.list(key) {
            if let Self::Text(text) = item {
                texts.push(text.as_str());
            }
        }
        texts
    }
}

/// A list or a table that has not ended yet.
enum Open {
    List(Vec<Yaml>),
    Table { entries: Vec<(String, Yaml)>, key: Option<Yaml> },
}

impl Open {
    fn add(&mut self, value: Yaml) {
        match self {
            Self::List(items) => items.push(value),
            Self::Table { entries, key } => match key.take() {
                None => *key = Some(value),
                Some(Yaml::Text(name)) => entries.push((name, value)),
                Some(_) => {}
            },
        }
    }

    fn close(self) -> Yaml {
        match self {
            Self::List(items) => Yaml::List(items),
            Self::Table { entries, .. } => Yaml::Table(entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_tree_of_texts_and_what_is_large_or_winding_is_none() {
        let read = Yaml::read(b"a: 1\nb: [\"x\", y]\n? [c]\n: d\ne: {f: ~}\n---\nsecond: 2\n").unwrap();
        assert_eq!((read.text("a"), read.texts("b")), (Some("1"), vec!["x", "y"]));
        assert_eq!((read.get("e").unwrap().get("f"), read.text("c")), (Some(&Yaml::Text(String::new())), None));
        assert_eq!(Yaml::read(b"").unwrap(), Yaml::Text(String::new()));
        for (bad, why) in [
            (&b"a: &x [1]\nb: *x\n"[..], "aliases"),
            (b"\xff", "UTF-8"),
            (b"a: [1", "not YAML"),
            (&b"[".repeat(40), "nested"),
            (&b" ".repeat(DATA_LIMIT + 1), "bytes"),
        ] {
            let error = Yaml::read(bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
