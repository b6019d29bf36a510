//! Problems as a person reads them: file, line and column, the line itself, and a caret under what is wrong.
//!
//! Files hold what anybody has written into them, and it is shown on a terminal: control characters are replaced, long
//! lines and long messages are cut. Columns count characters, a tab as one.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::problem::{HIDDEN, Location, Problem, Severity, Span};
use crate::log::is_hidden;

/// A file that problems point into.
#[derive(Debug, Clone)]
pub struct SourceText {
    path: PathBuf,
    text: String,
    /// Offset of each line, in bytes.
    lines: Vec<usize>,
    /// What is not shown of it, in bytes.
    hidden: Vec<Range<usize>>,
}

impl SourceText {
    /// The file at `path`, which holds `text`.
    pub fn new(path: &Path, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), text, lines, hidden: Vec::new() }
    }

    /// Hides pieces of its text, in bytes, wherever problems are shown.
    pub fn hiding(self, hidden: Vec<Range<usize>>) -> Self {
        Self { hidden, ..self }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line, from 1, without its end; empty where there is none.
    fn line(&self, line: usize) -> &str {
        let Some(&start) = self.lines.get(line.wrapping_sub(1)) else { return "" };
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        self.text[start..end].trim_end_matches('\r')
    }

    /// A line as it may be shown, and where in it so many characters from a column on stand: the first one, from 0, and
    /// how many they are.
    fn shown(&self, line: usize, column: usize, width: usize) -> (String, usize, usize) {
        let text = self.line(line);
        let start = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let is_here = |piece: &&Range<usize>| piece.start < start + text.len() && start < piece.end;
        let hidden: Vec<_> = self.hidden.iter().filter(is_here).collect();
        let (mut shown, mut first, mut count) = (String::with_capacity(text.len()), None, 0);
        let mut last = None;
        let mut length = 0;
        for (index, (at, c)) in text.char_indices().enumerate() {
            let piece = hidden.iter().position(|piece| piece.contains(&(start + at)));
            let new = match piece {
                Some(_) if piece == last => 0,
                Some(_) => HIDDEN.len(),
                None => 1,
            };
            if index + 1 == column {
                // Within a hidden piece: all of it.
                first = Some(if new == 0 { length - HIDDEN.len() } else { length });
                count = if new == 0 { HIDDEN.len() } else { 0 };
            }
            if index + 1 >= column && index + 1 < column + width {
                count += new;
            }
            match piece {
                Some(_) if new > 0 => shown.push_str(HIDDEN),
                Some(_) => {}
                None => shown.push(c),
            }
            (last, length) = (piece, length + new);
        }
        (shown, first.unwrap_or(if column == 0 { 0 } else { length }), count)
    }

    /// A message about a span, without what is hidden there.
    fn redacted(&self, text: &str, span: Span) -> String {
        // Shorter ones are in every message.
        const TELLING: usize = 4;
        let mut redacted = text.to_owned();
        for piece in self.hidden.iter().filter(|piece| piece.start < span.end && span.start < piece.end) {
            if piece.len() < TELLING && piece.start > span.start {
                continue;
            }
            // The span may be a part of it.
            for part in [piece.clone(), piece.start.max(span.start)..piece.end.min(span.end)] {
                redacted = redacted.replace(self.text.get(part).unwrap_or(HIDDEN), HIDDEN);
            }
        }
        redacted
    }

    /// Line, column and width of a span, the width in its first line; the empty span at the beginning is the file as a
    /// whole, for nobody can point at what is not there.
    fn location(&self, span: Span) -> Location {
        let path = self.path.clone();
        if span.end == 0 {
            return Location { path, ..Location::default() };
        }
        let (line, column) = self.locate(span.start);
        let covered = self.text.get(span.start..span.end).unwrap_or_default();
        Location { path, line, column, width: covered.lines().next().unwrap_or_default().chars().count() }
    }

    /// Line and column of a byte, both from 1, the column in characters. The end of the file is the end of its last
    /// line, even if nothing follows that line's end.
    fn locate(&self, byte: usize) -> (usize, usize) {
        let last = self.text.trim_end_matches(['\r', '\n']).len();
        let mut byte = byte.min(if byte >= self.text.len() { last } else { self.text.len() });
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = self.lines[line - 1];
        (line, self.text[start..byte].chars().count() + 1)
    }
}

/// Everything that is wrong with a configuration and the files it names.
#[derive(Debug, Clone, Default)]
pub struct Report {
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    problem: Problem<Location>,
    /// None for the file as a whole.
    excerpt: Option<Excerpt>,
}

/// The line that a problem is in.
#[derive(Debug, Clone)]
struct Excerpt {
    /// From 1.
    line: usize,
    /// The line, without secrets.
    text: String,
    /// The characters of it that are wrong: the first one, from 0, and how many.
    wrong: (usize, usize),
}

/// Characters of a line that are shown around the caret.
const SHOWN: usize = 100;

/// Characters of a message that are shown.
const MESSAGE: usize = 400;

impl Report {
    /// Adds the problems of `other`.
    pub fn extend(&mut self, other: Self) {
        self.items.extend(other.items);
    }

    /// A report of `problems`, whose spans are in `sources`.
    pub fn new(sources: &[SourceText], problems: &[Problem]) -> Self {
        let mut report = Self::default();
        for problem in problems {
            let Some(source) = sources.get(problem.at.file as usize) else { continue };
            let redacted = |text: &String| source.redacted(text, problem.at);
            let (message, help) = (redacted(&problem.message), problem.help.as_ref().map(redacted));
            report.add(source, Problem { at: source.location(problem.at), message, help, severity: problem.severity });
        }
        report
    }

    /// A report that says one thing about a file as a whole.
    pub fn of_file(path: &Path, message: &str) -> Self {
        let mut report = Self::default();
        report.file(path, Severity::Error, message);
        report
    }

    /// A report that says one thing about a byte of a file.
    pub fn of_byte(source: &SourceText, byte: usize, message: &str) -> Self {
        let (line, column) = source.locate(byte);
        let mut report = Self::default();
        report.add(source, Problem::error(Location { path: source.path.clone(), line, column, width: 1 }, message));
        report
    }

    /// Adds something about a file as a whole.
    pub fn file(&mut self, path: &Path, severity: Severity, message: &str) {
        let at = Location { path: path.to_owned(), ..Location::default() };
        self.items.push(Item { problem: Problem { severity, ..Problem::error(at, message) }, excerpt: None });
    }

    /// Adds a problem in `source`; its path is not looked at.
    pub fn add(&mut self, source: &SourceText, problem: Problem<Location>) {
        let problem = problem.map(|at| Location { path: source.path.clone(), ..at });
        let Location { line, column, width, .. } = problem.at;
        let excerpt = (line > 0).then(|| {
            let (text, first, count) = source.shown(line, column, width);
            Excerpt { line, text, wrong: (first, count) }
        });
        self.items.push(Item { problem, excerpt });
    }

    /// What it says.
    pub fn problems(&self) -> impl Iterator<Item = &Problem<Location>> {
        self.items.iter().map(|item| &item.problem)
    }

    /// Returns whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.items.len() - self.errors()
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.items.iter().filter(|item| item.problem.severity == Severity::Error).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.items.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { at: Location { path, line, column, .. }, message, help, severity } = &self.problem;
        let (path, message) = (path.display(), printable(message));
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match &self.excerpt {
            None => writeln!(f, "{path}: {severity}: {message}")?,
            Some(excerpt) => {
                writeln!(f, "{path}:{line}:{column}: {severity}: {message}")?;
                excerpt.fmt(f)?;
            }
        }
        help.iter().try_for_each(|help| writeln!(f, "  help: {}", printable(help)))
    }
}

/// The line with its number, and the caret under it.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars: Vec<char> = self.text.chars().collect();
        let at = self.wrong.0.min(chars.len());
        // A long line is shown around the caret.
        let from = if chars.len() > SHOWN { at.saturating_sub(SHOWN / 2).min(chars.len() - SHOWN) } else { 0 };
        let to = chars.len().min(from + SHOWN);
        let mut line: String = chars[from..to].iter().copied().map(visible).collect();
        let mut indent = at - from;
        if from > 0 {
            line.insert(0, '…');
            indent += 1;
        }
        if to < chars.len() {
            line.push('…');
        }
        let carets = self.wrong.1.min(to.saturating_sub(at)).max(1);
        writeln!(f, "{}", format_args!("{:>5} | {line}", self.line).to_string().trim_end())?;
        writeln!(f, "{:>5} | {}{}", "", " ".repeat(indent), "^".repeat(carets))
    }
}

/// A character of a line, as one character that leaves the terminal and the order of the others alone.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    }
}

/// Text of a message: what cannot be seen is escaped, what is too long is cut.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MESSAGE));
    for (i, c) in text.chars().enumerate() {
        if i == MESSAGE {
            shown.push('…');
            break;
        }
        if is_hidden(c) {
            // A string can be written to always.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, start: usize, end: usize) -> String {
        let source = SourceText::new(Path::new("z.toml"), text);
        let span = Span { file: 0, start, end };
        let problem = Problem { help: Some("mend it".into()), ..Problem::error(span, "is wrong") };
        Report::new(&[source], &[problem]).to_string()
    }

    #[test]
    fn the_caret_stands_under_what_is_wrong() {
        let expected = "\
z.toml:2:7: error: is wrong
    2 | ttl = 5
      |       ^
  help: mend it
";
        assert_eq!(report("[a]\nttl = 5\n", 10, 11), expected);
        assert_eq!(report("[a]\r\nttl = 5\r\n", 11, 12), expected);
    }

    #[test]
    fn columns_count_characters_and_a_tab_is_one() {
        let expected = "\
z.toml:1:6: error: is wrong
    1 |  ü = \"ö\"
      |      ^^^
  help: mend it
";
        assert_eq!(report("\tü = \"ö\"\r\n", 6, 10), expected);
    }

    #[test]
    fn a_span_over_several_lines_is_marked_in_its_first() {
        assert!(report("a = [\n 1,\n]\n", 4, 11).contains("    1 | a = [\n      |     ^\n"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("x = \"{}!{}\"", "y".repeat(2500), "z".repeat(2500));
        let shown = report(&text, 2505, 2506);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("z.toml:1:2506: "), "{shown}");
        let (line, caret) = (&lines[1][8..], &lines[2][8..]);
        assert!(line.starts_with("…y") && line.ends_with("z…") && line.chars().count() == SHOWN + 2, "{shown}");
        let under: Vec<char> = line.chars().zip(caret.chars()).filter(|(_, c)| *c == '^').map(|(c, _)| c).collect();
        assert_eq!(under, ['!'], "{shown}");
        let wide = report(&text, 5, 5000);
        assert!(wide.lines().all(|line| line.chars().count() <= SHOWN + 10), "{wide}");
    }

    #[test]
    fn every_span_points_somewhere() {
        assert_eq!(report("a = 1\n", 0, 0), "z.toml: error: is wrong\n  help: mend it\n");
        assert!(report("", 0, 1).contains("z.toml:1:1: "));
        assert!(report("abc", 900, 901).contains("z.toml:1:4: "));
        assert!(report("ü", 1, 2).contains("z.toml:1:1: "), "inside a character");
        let end = report("a = [1\n\n", 8, 8);
        assert!(end.contains("z.toml:1:7: ") && end.contains("    1 | a = [1\n      |       ^\n"), "{end}");
    }

    #[test]
    fn what_a_file_holds_cannot_steer_the_terminal() {
        let source = SourceText::new(Path::new("z"), "a = \"\u{1b}[31m\u{202e}\"");
        let mut shown = Report::default();
        let at = Location { path: "z".into(), line: 1, column: 5, width: 3 };
        shown.add(&source, Problem::error(at, "not \"\u{1b}[31m\n\""));
        shown.file(Path::new("z"), Severity::Warning, &"x".repeat(10_000));
        let text = shown.to_string();
        assert!(
            text.starts_with("z:1:5: error: not \"\\u{1b}[31m\\n\"\n    1 | a = \"\u{fffd}[31m\u{fffd}\"\n"),
            "{text}"
        );
        assert!(text.contains("\n\nz: warning: xxx") && text.len() < 1000, "{text}");
        assert_eq!(shown.errors(), 1);
    }

    #[test]
    fn a_place_that_is_not_in_the_file_is_no_fault() {
        let mut report = Report::default();
        let at = Location { path: "z".into(), line: 7, ..Location::default() };
        report.add(&SourceText::new(Path::new("z"), "a\n"), Problem::error(at, "is gone"));
        assert_eq!(report.to_string(), "z:7:0: error: is gone\n    7 |\n      | ^\n");
    }
}
