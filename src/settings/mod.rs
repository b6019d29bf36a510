//! A configuration file before anybody has judged it: a tree of values that remember where they stood, and a
//! reader that collects every problem instead of stopping at the first.
//!
//! Each part of the program reads its own table through a [`Section`] and owns its defaults and checks; [`tree`] makes
//! the values from TOML, and `config/` reads the files and prints the problems. Nothing here knows files or any part's
//! keys.

pub mod tree;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::{Problems, Span};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its span.
    pub span: Span,
    /// Its kind, with the value.
    pub kind: Kind,
}

impl Value {
    /// The value of `key` in this table; none where it is no table.
    pub fn setting(&self, key: &str) -> Option<&Self> {
        if let Kind::Table(table) = &self.kind { table.get(key) } else { None }
    }
}

/// Kind of a value.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A list.
    Array(Vec<Value>),
    /// A table.
    Table(Table),
    /// Something that no setting takes, by its name (`"a date"`).
    Other(&'static str),
}

impl Kind {
    /// The kind's name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a fraction",
            Self::Boolean(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

/// A table: keys in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Span of its header, or its braces.
    pub span: Span,
    /// The keys, each with where it stands, and their values.
    pub entries: Vec<(String, Span, Value)>,
}

impl Table {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(.., value)| value)
    }
}

/// A setting that was read, with where it stands, so that a later check can point at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The setting.
    pub value: T,
    /// Its span.
    pub span: Span,
}

/// Name of a key, with the moment from which a changed value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Name, as the user writes it.
    pub name: &'static str,
    /// True if a reload takes it; false for the next start.
    pub is_live: bool,
}

/// A key that a reload takes.
pub const fn live(name: &'static str) -> Key {
    Key { name, is_live: true }
}

/// A key that only a start takes.
pub const fn fixed(name: &'static str) -> Key {
    Key { name, is_live: false }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Reads one table key by key. Every key that is asked for counts as known; [`Section::finish`] reports the others.
#[derive(Debug)]
pub struct Section<'a> {
    table: &'a Table,
    /// Name of the table as the user writes it: `registry.main`.
    name: String,
    problems: &'a Problems,
    asked: Vec<Key>,
    removed: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A reader of `table`, called `name` in messages.
    pub fn new(table: &'a Table, name: impl Into<String>, problems: &'a Problems) -> Self {
        Self { table, name: name.into(), problems, asked: Vec::new(), removed: Vec::new() }
    }

    /// A reader of a file's own keys, those above and outside all its tables.
    pub fn top(table: &'a Table, problems: &'a Problems) -> Self {
        Self::new(table, "", problems)
    }

    /// Span of the table.
    pub fn span(&self) -> Span {
        self.table.span
    }

    /// Name of the table; empty for the file's own keys.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Place in which a key is or is not, as the end of a sentence.
    fn place(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) }
    }

    /// Problems found so far.
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// The value of `key` as it stands, if it is there.
    pub fn value(&mut self, key: Key) -> Option<&'a Value> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table.get(key.name)
    }

    /// The setting `key`, if it is there and of the right kind; a value of another kind is a problem.
    pub fn located<T: Setting>(&mut self, key: Key) -> Option<Located<T>> {
        let value = self.value(key)?;
        match T::read(value) {
            Ok(read) => Some(Located { value: read, span: value.span }),
            Err((span, message)) => {
                self.problems.add(span, format!("`{key}` {message}"));
                None
            }
        }
    }

    /// The setting `key`, if it is there and of the right kind.
    pub fn optional<T: Setting>(&mut self, key: Key) -> Option<T> {
        self.located(key).map(|located| located.value)
    }

    /// The setting `key`, or `default`.
    pub fn or<T: Setting>(&mut self, key: Key, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The setting `key`; its absence is a problem at the table.
    pub fn required<T: Setting>(&mut self, key: Key) -> Option<Located<T>> {
        if self.value(key).is_none() {
            self.problems.add(self.table.span, format!("`{key}` is missing{}", self.place()));
            return None;
        }
        self.located(key)
    }

    /// The sub-table `key`, if it is there; a value that is no table is a problem.
    pub fn section(&mut self, key: Key) -> Option<Section<'a>> {
        let value = self.value(key)?;
        if let Kind::Table(table) = &value.kind {
            let name = if self.name.is_empty() { key.name.to_owned() } else { format!("{}.{key}", self.name) };
            return Some(Section::new(table, name, self.problems));
        }
        self.problems.add(value.span, format!("`{key}` must be a table, not {}", value.kind.name()));
        None
    }

    /// Takes note of `key`, which earlier releases had: its value is not read, and its presence a warning that gives
    /// the reason. Such a key is kept for two releases.
    pub fn removed(&mut self, key: &'static str, reason: &str) {
        self.removed.push(key);
        if let Some((_, span, _)) = self.table.entries.iter().find(|(name, ..)| name == key) {
            self.problems.warn(*span, format!("`{key}` is ignored: {reason}"), "remove the line");
        }
    }

    /// Ends the reading: every key that nobody asked for is a problem, with the nearest known key as advice.
    pub fn finish(self) {
        #[cfg(test)]
        tests::ROWS.with_borrow_mut(|rows| rows.extend(self.asked.iter().map(|key| (self.name.clone(), *key))));
        let known: Vec<_> = self.asked.iter().map(|key| key.name).collect();
        for (key, span, _) in &self.table.entries {
            if known.contains(&key.as_str()) || self.removed.contains(&key.as_str()) {
                continue;
            }
            let message = format!("unknown key `{key}`{}", self.place());
            match nearest(key, &known) {
                Some(known) => self.problems.add_with_help(*span, message, format!("did you mean `{known}`?")),
                None => self.problems.add_with_help(*span, message, format!("known keys: {}", known.join(", "))),
            }
        }
    }
}

/// The known word that `word` was probably meant to be: the one with the fewest edits, at most a quarter of its length
/// and one.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    near(word, known).first().copied()
}

/// The known words that `word` may have been meant to be, the one with the fewest edits first.
pub fn near<'k>(word: &str, known: &[&'k str]) -> Vec<&'k str> {
    let edits = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate));
    let mut near: Vec<_> = edits.filter(|(edits, candidate)| *edits <= 1 + candidate.len() / 4).collect();
    near.sort_unstable();
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// Reads it from a value.
    ///
    /// # Errors
    /// Where the value is wrong, and how, as the end of a sentence that begins with the key: `must be …, not …`.
    fn read(value: &Value) -> Result<Self, (Span, String)>;
}

fn mismatch<T>(value: &Value, expected: &str) -> Result<T, (Span, String)> {
    Err((value.span, format!("must be {expected}, not {}", value.kind.name())))
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        match &value.kind {
            Kind::String(text) => Ok(text.clone()),
            _ => mismatch(value, "a string"),
        }
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        match value.kind {
            Kind::Boolean(truth) => Ok(truth),
            _ => mismatch(value, "true or false"),
        }
    }
}

macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn read(value: &Value) -> Result<Self, (Span, String)> {
                let expected = || format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX);
                match value.kind {
                    Kind::Integer(number) => <$number>::try_from(number)
                        .map_err(|_| (value.span, format!("must be {}, not {number}", expected()))),
                    _ => mismatch(value, &expected()),
                }
            }
        }
    )*};
}
whole_number!(u16, u32, usize);

/// Durations are strings with a unit: `"5s"`, `"1m 30s"`, `"250ms"`.
impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        const EXPECTED: &str = "a duration such as \"5s\", \"250ms\" or \"1d\"";
        match &value.kind {
            Kind::String(text) => {
                humantime::parse_duration(text).map_err(|error| (value.span, format!("must be {EXPECTED}: {error}")))
            }
            _ => mismatch(value, EXPECTED),
        }
    }
}

/// A number of bytes: `65536`, `"64KiB"`, `"1MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl Setting for Size {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        const EXPECTED: &str = "a number of bytes such as 65536, \"64KiB\" or \"1MiB\"";
        let bytes = match &value.kind {
            Kind::Integer(number) => usize::try_from(*number).ok(),
            Kind::String(text) => {
                let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
                let unit = match text[digits.len()..].trim() {
                    "" | "B" => Some(1),
                    "KiB" => Some(1 << 10),
                    "MiB" => Some(1 << 20),
                    "kB" => Some(1_000),
                    "MB" => Some(1_000_000),
                    _ => None,
                };
                digits.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit))
            }
            _ => return mismatch(value, EXPECTED),
        };
        bytes.map(Self).ok_or_else(|| (value.span, format!("must be {EXPECTED}")))
    }
}

/// Reads what has a `FromStr` and a name.
fn parse<T: std::str::FromStr>(value: &Value, expected: &str) -> Result<T, (Span, String)> {
    match &value.kind {
        Kind::String(text) => text.parse().map_err(|_| (value.span, format!("must be {expected}, not \"{text}\""))),
        _ => mismatch(value, expected),
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        parse(value, "an address with a port such as \"127.0.0.1:5300\" or \"[::1]:5300\"")
    }
}

impl Setting for IpAddr {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        parse(value, "an IP address")
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        match &value.kind {
            Kind::String(text) if !text.is_empty() => Ok(text.into()),
            Kind::String(_) => Err((value.span, "must not be empty".into())),
            _ => mismatch(value, "a path"),
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        match &value.kind {
            Kind::Array(items) => items
                .iter()
                .map(|item| T::read(item).map_err(|(span, message)| (span, format!("has an element that {message}"))))
                .collect(),
            _ => mismatch(value, "a list"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// Rows of all tables that this thread has read: the table's name, and a key of it.
        pub(crate) static ROWS: RefCell<Vec<(String, Key)>> = const { RefCell::new(Vec::new()) };
    }

    fn table(entries: &[(&str, Kind)]) -> Table {
        let entries = entries
            .iter()
            .enumerate()
            .map(|(i, (key, kind))| {
                let span = Span { file: 0, start: i * 10, end: i * 10 + 1 };
                ((*key).to_owned(), span, Value { span, kind: kind.clone() })
            })
            .collect();
        Table { span: Span::default(), entries }
    }

    #[test]
    fn every_problem_is_collected_and_the_good_settings_are_read() {
        let problems = Problems::default();
        let table = table(&[
            ("ttl", Kind::String("5s".into())),
            ("port", Kind::Integer(70_000)),
            ("naem", Kind::String("api_x".into())),
        ]);
        let mut section = Section::new(&table, "service", &problems);
        assert_eq!(section.optional::<Duration>(live("ttl")), Some(Duration::from_secs(5)));
        assert_eq!(section.optional::<u16>(live("port")), None);
        assert!(section.required::<String>(live("name")).is_none());
        section.finish();
        let problems = problems.into_vec();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(problems[0].message, "`name` is missing in [service]");
        assert!(problems[1].message.contains("from 0 to 65535, not 70000"));
        assert_eq!(problems[2].help.as_deref(), Some("did you mean `name`?"));
    }

    #[test]
    fn the_files_own_keys_are_in_no_table() {
        let problems = Problems::default();
        let inner = table(&[("listne", Kind::Boolean(true))]);
        let table = table(&[("dns", Kind::Table(inner)), ("amdin", Kind::Boolean(true))]);
        let mut top = Section::top(&table, &problems);
        let mut dns = top.section(live("dns")).unwrap();
        assert_eq!(dns.name(), "dns");
        assert!(dns.value(live("listen")).is_none() && dns.value(live("listen")).is_none());
        dns.finish();
        assert!(top.section(live("admin")).is_none());
        top.finish();
        let problems: Vec<_> = problems.into_vec().into_iter().map(|p| (p.message, p.help.unwrap())).collect();
        let expected = [
            ("unknown key `listne` in [dns]", "did you mean `listen`?"),
            ("unknown key `amdin`", "did you mean `admin`?"),
        ];
        assert_eq!(problems, expected.map(|(message, help)| (message.to_owned(), help.to_owned())));
    }

    #[test]
    fn a_list_points_at_its_bad_element() {
        let bad = Span { file: 0, start: 7, end: 9 };
        let list = Kind::Array(vec![
            Value { span: Span::default(), kind: Kind::String("127.0.0.1:53".into()) },
            Value { span: bad, kind: Kind::String("localhost".into()) },
        ]);
        let (span, message) = Vec::<SocketAddr>::read(&Value { span: Span::default(), kind: list }).unwrap_err();
        assert_eq!(span, bad);
        assert!(message.contains("not \"localhost\""), "{message}");
    }
}
