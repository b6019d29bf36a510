//! A problem and its position.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// Text in place of a secret.
pub const HIDDEN: &str = "***";

/// A piece of one of several files, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Index of the file among those that were read.
    pub file: u32,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A piece of a line of a file, or a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// The file; empty for a text that is in none.
    pub path: PathBuf,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Column, from 1, in characters; 0 for the file as a whole.
    pub column: usize,
    /// Width, in characters.
    pub width: usize,
}

/// One thing that is wrong, and its position: a [`Span`], a [`Location`], or what a reader counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<At = Span> {
    /// Its position.
    pub at: At,
    /// The problem, as a sentence.
    pub message: String,
    /// Advice, where it is not plain what to do.
    pub help: Option<String>,
    /// Severity: is what was read taken all the same?
    pub severity: Severity,
}

impl<At> Problem<At> {
    /// An error without advice.
    pub fn error(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None, severity: Severity::Error }
    }

    /// The same problem at another kind of position.
    pub fn map<To>(self, to: impl FnOnce(At) -> To) -> Problem<To> {
        Problem { at: to(self.at), message: self.message, help: self.help, severity: self.severity }
    }
}

/// `file:line:column: message`.
impl fmt::Display for Problem<Location> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { path, line, column, width: _ } = &self.at;
        if !path.as_os_str().is_empty() {
            write!(f, "{}:", path.display())?;
        }
        if *line > 0 {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for Problem<Location> {}

/// Weight of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// What was read is not taken.
    Error,
    /// It is taken; the user is told.
    Warning,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds a problem.
    pub fn add(&self, at: Span, message: impl Into<String>) {
        self.0.borrow_mut().push(Problem::error(at, message));
    }

    /// Adds a problem with advice.
    pub fn add_with_help(&self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.0.borrow_mut().push(Problem { help: Some(help.into()), ..Problem::error(at, message) });
    }

    /// Adds a warning with advice.
    pub fn warn(&self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem { help: Some(help.into()), ..Problem::error(at, message) };
        self.0.borrow_mut().push(Problem { severity: Severity::Warning, ..problem });
    }

    /// All of them, in the order of the files.
    pub fn into_vec(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| (problem.at.file, problem.at.start));
        problems
    }
}
