//! Cuts a master file (RFC 1035 §5.1) into entries and words: comments, parentheses, quotes and line ends are settled
//! here.
//!
//! It knows where every word stands and leaves its escapes in place, for only the reader of a word knows whether `\.`
//! is part of a label or of a text. It knows no directives, types or names.

use crate::zone::rdata::word::{Fault, Spot, Word};

/// An entry: a line, or several joined by parentheses. It has at least one word.
#[derive(Debug)]
pub(super) struct FileEntry<'t> {
    /// True if it begins with white space, which stands for the owner of the entry before.
    pub indented: bool,
    pub words: Vec<Word<'t>>,
}

/// Cuts a text into entries.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, line: 1, line_start: at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spot_from(&self, start: usize) -> Spot {
        Spot { line: self.line, line_start: self.line_start, start, end: self.at }
    }

    fn end_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
    }

    /// The next entry, or the first fault of it; the one after it begins on a line of its own in both cases.
    pub(super) fn next_entry(&mut self) -> Option<Result<FileEntry<'t>, Fault>> {
        loop {
            let mut entry = FileEntry { indented: false, words: Vec::new() };
            self.peek()?;
            let fault = self.entry(&mut entry);
            if let Some(fault) = fault {
                return Some(Err(fault));
            }
            if !entry.words.is_empty() {
                return Some(Ok(entry));
            }
        }
    }

    fn entry(&mut self, entry: &mut FileEntry<'t>) -> Option<Fault> {
        entry.indented = matches!(self.peek(), Some(b' ' | b'\t'));
        let mut open: Vec<Spot> = Vec::new();
        let mut fault = None;
        let mut after_space = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.end_line();
                    if open.is_empty() {
                        return fault;
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => self.skip_comment(),
                b'(' => {
                    self.at += 1;
                    open.push(self.spot_from(self.at - 1));
                }
                b')' => {
                    self.at += 1;
                    if open.pop().is_none() {
                        let spot = self.spot_from(self.at - 1);
                        fault.get_or_insert(Fault::error(spot, "`)` without a `(` before it"));
                    }
                }
                b'"' => match self.quoted(!after_space) {
                    Ok(word) => entry.words.push(word),
                    Err(unclosed) => drop(fault.get_or_insert(unclosed)),
                },
                _ => entry.words.push(self.bare(!after_space)),
            }
            after_space = matches!(byte, b'\n' | b' ' | b'\t' | b'\r' | b';' | b'(' | b')');
        }
        let unclosed = open.first().map(|&spot| Fault::error(spot, "`(` is never closed"));
        fault.or(unclosed)
    }

    fn skip_comment(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    /// A word in quotes, which must close on its line.
    fn quoted(&mut self, glued: bool) -> Result<Word<'t>, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None | Some(b'\n') => {
                    let message = "the quoted text is not closed on its line";
                    return Err(Fault::error(self.spot_from(start), message));
                }
                Some(b'"') => {
                    self.at += 1;
                    let raw = &self.text[start + 1..self.at - 1];
                    return Ok(Word { raw, quoted: true, glued, spot: self.spot_from(start) });
                }
                Some(b'\\') => self.skip_escape(),
                Some(_) => self.at += 1,
            }
        }
    }

    fn bare(&mut self, glued: bool) -> Word<'t> {
        let start = self.at;
        loop {
            match self.peek() {
                None | Some(b'\n' | b' ' | b'\t' | b'\r' | b';' | b'(' | b')' | b'"') => break,
                Some(b'\\') => self.skip_escape(),
                Some(_) => self.at += 1,
            }
        }
        Word { raw: &self.text[start..self.at], quoted: false, glued, spot: self.spot_from(start) }
    }

    /// A backslash and the byte that it protects; never a line end, which no backslash can hide.
    fn skip_escape(&mut self) {
        self.at += 1;
        if self.peek().is_some_and(|byte| byte.is_ascii() && !matches!(byte, b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::rdata::word::unescape;

    /// The entries of `text` in a form to compare: `^` for an indented one, quotes kept, `~` in front of what is glued.
    fn entries(text: &str) -> Vec<Result<String, (usize, usize, usize)>> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        while let Some(entry) = lexer.next_entry() {
            found.push(match entry {
                Ok(entry) => {
                    let words: Vec<_> = entry
                        .words
                        .iter()
                        .map(|word| {
                            let quote = if word.quoted { "\"" } else { "" };
                            format!("{}{quote}{}{quote}", if word.glued { "~" } else { "" }, word.raw)
                        })
                        .collect();
                    Ok(format!("{}{}", if entry.indented { "^" } else { "" }, words.join("|")))
                }
                Err(fault) => {
                    let (column, width) = fault.at.place(text);
                    Err((fault.at.line, column, width))
                }
            });
        }
        found
    }

    #[test]
    fn entries_are_lines_and_parentheses_join_lines() {
        let text = "a b ; comment ( \" \n\n  c\n; only a comment\n\t; indented comment\nd ( e ; x )\n  f\n) g\r\nh";
        assert_eq!(
            entries(text),
            [Ok("a|b".to_owned()), Ok("^c".to_owned()), Ok("d|e|f|g".to_owned()), Ok("h".to_owned())]
        );
        assert_eq!(entries("\u{feff}a (b) c"), [Ok("a|b|c".to_owned())]);
        assert_eq!(entries("a ((b\n) c\n) d\ne"), [Ok("a|b|c|d".to_owned()), Ok("e".to_owned())]);
    }

    #[test]
    fn quotes_and_escapes_protect_everything_but_the_line_end() {
        assert_eq!(entries(r#"a "b ; ( \" c" d\;e\ f"#), [Ok(r#"a|"b ; ( \" c"|d\;e\ f"#.to_owned())]);
        assert_eq!(entries(r#"alpn="h2,h3" x" "#), [Err((1, 15, 2))]);
        assert_eq!(entries(r#"alpn="h2,h3" x"#), [Ok(r#"alpn=|~"h2,h3"|x"#.to_owned())]);
        assert_eq!(entries("a \\\nb"), [Ok("a|\\".to_owned()), Ok("b".to_owned())]);
        assert_eq!(entries("a \\é"), [Ok("a|\\é".to_owned())]);
    }

    #[test]
    fn a_broken_entry_is_reported_at_its_place_and_the_next_is_read() {
        assert_eq!(entries("é \"b\nc"), [Err((1, 3, 2)), Ok("c".to_owned())]);
        assert_eq!(entries("a ) b\nc"), [Err((1, 3, 1)), Ok("c".to_owned())]);
        assert_eq!(entries("x\na ( b\nc"), [Ok("x".to_owned()), Err((2, 3, 1))]);
    }

    #[test]
    fn escapes_are_resolved_to_bytes() {
        assert_eq!(unescape(r"a\.b\\\032\255"), Some(b"a.b\\ \xff".to_vec()));
        for bad in [r"\", r"\25", r"\256", r"\2x3"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}
