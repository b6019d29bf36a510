//! TOML text to the tree of values that the parts read. The only place that knows TOML.
//!
//! Text that is not quite TOML is read as far as it goes, so that one slip of the pen does not hide the other mistakes;
//! complaints about the meaning that may be no more than the shadow of such a slip are dropped.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Kind, Table, Value};
use crate::diagnostic::{Problem, Severity, Span};

/// A file as far as it could be read.
pub struct Tree {
    /// Its table.
    pub table: Table,
    /// Faults of what is no TOML, in no order.
    faults: Vec<TomlFault>,
}

struct TomlFault {
    problem: Problem,
    reach: Reach,
}

/// Reach of a fault: how much of what a file says is in doubt for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Its line, and what its table says as a whole, which may miss just that line.
    Line,
    /// Everything: a header, or a value that goes on over several lines, decides what all the following lines mean.
    File,
}

/// Parses `text`, file number `file`.
pub fn parse(text: &str, file: u32) -> Tree {
    let (table, errors) = DeTable::parse_recoverable(text);
    let span = Span { file, start: 0, end: 0 };
    let table = Table { span, entries: entries(table.into_inner(), file) };
    let mut faults: Vec<TomlFault> = errors.iter().map(|error| fault(text, file, error)).collect();
    // What stands in a list, table or text that is not closed only seems to be wrong.
    let missed =
        |error: &&toml::de::Error| ["unclosed", "multi-line"].iter().any(|word| error.message().contains(word));
    let missed = errors.iter().filter(missed).filter_map(toml::de::Error::span);
    if let Some(open) = missed.into_iter().find_map(|at| ends_at(&table, text, at.start)) {
        faults.retain(|fault| fault.problem.at.start < open.start);
        let span = Span { end: open.start + 1, ..open };
        let message = "what is opened here is never closed".to_owned();
        faults.push(TomlFault { problem: Problem::error(span, message), reach: Reach::File });
    }
    Tree { table, faults }
}

impl Tree {
    /// All problems of the file, in its order: its faults, and those `complaints` about its meaning that hold in spite
    /// of them.
    pub fn problems(self, text: &str, mut complaints: Vec<Problem>) -> Vec<Problem> {
        if self.faults.iter().any(|fault| fault.reach == Reach::File) {
            complaints.clear();
        } else if !self.faults.is_empty() {
            let damaged: HashSet<usize> =
                self.faults.iter().map(|fault| line_start(text, fault.problem.at.start)).collect();
            complaints.retain(|complaint| {
                let line = line_start(text, complaint.at.start);
                complaint.at.start < complaint.at.end && !damaged.contains(&line) && !is_header(text, line)
            });
        }
        complaints.extend(self.faults.into_iter().map(|fault| fault.problem));
        complaints.sort_by_key(|problem| (problem.at.file, problem.at.start));
        complaints
    }
}

/// The parser's words for a fault, in the manner of the other messages where they leave something to be asked.
fn fault(text: &str, file: u32, error: &toml::de::Error) -> TomlFault {
    let range = error.span().unwrap_or_default();
    let covered = text.get(range.clone()).unwrap_or_default();
    let severity = Severity::Error;
    let problem = |message: String, help| Problem { at: span(range.clone(), file), message, help, severity };
    match error.message() {
        // The parser goes on as if that were allowed.
        "duplicate key" => {
            TomlFault { problem: problem(format!("`{covered}` is here for the second time"), None), reach: Reach::Line }
        }
        message if message.starts_with("string values must be quoted") && !covered.contains('"') => {
            let help = Some(format!("write \"{covered}\""));
            TomlFault { problem: problem("text must stand in quotes".to_owned(), help), reach: Reach::Line }
        }
        message => {
            let far = goes_on(message) || is_header(text, line_start(text, range.start));
            let reach = if far { Reach::File } else { Reach::Line };
            TomlFault { problem: problem(format!("this is not TOML: {message}"), None), reach }
        }
    }
}

/// Returns whether the parser's words are about something that may go on over several lines, and has no end.
fn goes_on(message: &str) -> bool {
    message.contains("unclosed") || message.contains("multi-line")
}

/// Span of the outermost list, inline table or text of several lines begins that ends at the byte `end`, which is where
/// the parser misses its end.
fn ends_at(table: &Table, text: &str, end: usize) -> Option<Span> {
    table.entries.iter().find_map(|(.., value)| {
        let opening = text.get(value.span.start..).unwrap_or_default();
        let is_open = ["[", "{", "\"\"\"", "'''"].iter().any(|sign| opening.starts_with(sign));
        match &value.kind {
            _ if is_open && value.span.end == end => Some(value.span),
            Kind::Table(table) => ends_at(table, text, end),
            Kind::Array(items) => items.iter().find_map(|item| match &item.kind {
                Kind::Table(table) => ends_at(table, text, end),
                _ => None,
            }),
            _ => None,
        }
    })
}

/// Offset at which the line of a byte begins.
fn line_start(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or(text).rfind('\n').map_or(0, |end| end + 1)
}

/// Returns whether a table's header stands in the line that begins at `line`.
fn is_header(text: &str, line: usize) -> bool {
    text.get(line..).unwrap_or_default().trim_start().starts_with('[')
}

fn entries(table: DeTable<'_>, file: u32) -> Vec<(String, Span, Value)> {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let span = span(key.span(), file);
            (key.into_inner().into_owned(), span, self::value(value, file))
        })
        .collect();
    // The order of the file, not that of the keys.
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

fn value(value: Spanned<DeValue<'_>>, file: u32) -> Value {
    let span = span(value.span(), file);
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::String(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Integer(number),
            Err(_) => Kind::Other("a number beyond 64 bits"),
        },
        DeValue::Float(number) => number.as_str().parse().map_or(Kind::Other("a strange number"), Kind::Float),
        DeValue::Boolean(truth) => Kind::Boolean(truth),
        DeValue::Datetime(_) => Kind::Other("a date"),
        DeValue::Array(values) => Kind::Array(values.into_iter().map(|value| self::value(value, file)).collect()),
        DeValue::Table(table) => Kind::Table(Table { span, entries: entries(table, file) }),
    };
    Value { span, kind }
}

fn span(range: std::ops::Range<usize>, file: u32) -> Span {
    Span { file, start: range.start, end: range.end }
}
