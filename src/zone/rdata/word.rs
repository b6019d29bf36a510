//! The words of a master file's entries, their places and faults.
//!
//! Escapes are left in place, for only the reader of a word knows whether `\.` is part of a label or of a text.

use std::sync::LazyLock;

use data_encoding::{BASE64, Encoding};

use crate::diagnostic::Problem;
use crate::zone::name::Name;

/// Position of a word in its text. Bytes, so that making one is free; [`Spot::place`] counts characters when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::zone) struct Spot {
    /// The line, from 1.
    pub line: usize,
    /// First byte of that line.
    pub line_start: usize,
    /// First byte of the word, its quote included.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

impl Spot {
    /// Column, from 1, and width, both in characters of `text`, which must be the text the word was cut from.
    pub(in crate::zone) fn place(self, text: &str) -> (usize, usize) {
        let characters = |from, to| text.get(from..to).map_or(0, |piece| piece.chars().count());
        (characters(self.line_start, self.start) + 1, characters(self.start, self.end).max(1))
    }

    /// From the start of this word to the end of `last`, where that is on the same line.
    pub(in crate::zone) fn to(self, last: Self) -> Self {
        if last.line == self.line { Self { end: last.end, ..self } } else { self }
    }
}

/// A fault at a piece of a line.
pub(in crate::zone) type Fault = Problem<Spot>;

/// One word of an entry.
#[derive(Debug, Clone, Copy)]
pub(in crate::zone) struct Word<'t> {
    /// Its text, escapes as written, without the quotes.
    pub raw: &'t str,
    /// True if it stood in quotes.
    pub quoted: bool,
    /// True if it follows the word before it without a space, as the value in `alpn="h2"` does.
    pub glued: bool,
    pub spot: Spot,
}

impl Word<'_> {
    /// A fault at this word.
    pub(in crate::zone) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::error(self.spot, message.into())
    }

    /// The word as it can stand in a message: in backquotes, cut to a bearable length.
    pub(in crate::zone) fn shown(&self) -> String {
        const LIMIT: usize = 40;
        let printable = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
        let cut: String = self.raw.chars().take(LIMIT).map(printable).collect();
        if self.raw.chars().nth(LIMIT).is_some() { format!("`{cut}…`") } else { format!("`{cut}`") }
    }

    /// Its bytes with the escapes resolved (RFC 1035 §5.1: `\X` and `\DDD`).
    pub(in crate::zone) fn bytes(&self) -> Result<Vec<u8>, Fault> {
        unescape(self.raw).ok_or_else(|| self.fault(BAD_ESCAPE))
    }
}

pub(in crate::zone) const BAD_ESCAPE: &str = "a backslash is not followed by a character or by three digits up to 255";

/// Resolves `\X` and `\DDD`; none where a backslash has neither behind it.
pub(in crate::zone) fn unescape(raw: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let first = bytes.next()?;
        if !first.is_ascii_digit() {
            out.push(first);
            continue;
        }
        let mut code = u16::from(first - b'0');
        for _ in 0..2 {
            let digit = bytes.next().filter(u8::is_ascii_digit)?;
            code = code * 10 + u16::from(digit - b'0');
        }
        out.push(u8::try_from(code).ok()?);
    }
    Some(out)
}

/// A name as an entry writes it: `@` is the origin, and without a final dot the origin follows (RFC 1035 §5.1).
pub(in crate::zone) fn name_of(word: &Word<'_>, origin: &Name) -> Result<Name, Fault> {
    if word.quoted {
        return Err(word.fault("a name is written without quotes"));
    }
    if word.raw == "@" {
        return Ok(origin.clone());
    }
    let fault = |error| word.fault(format!("{} is no name: {error}", word.shown()));
    let name = Name::parse(word.raw).map_err(fault)?;
    let escapes = word.raw.strip_suffix('.').map(|front| front.bytes().rev().take_while(|&byte| byte == b'\\').count());
    if escapes.is_some_and(|count| count.is_multiple_of(2)) {
        return Ok(name);
    }
    Name::from_labels(name.labels().chain(origin.labels())).map_err(fault)
}

/// Decodes base64 (RFC 4648 §4) with its padding; bits that stand for no byte may be anything.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    static LENIENT: LazyLock<Encoding> = LazyLock::new(|| {
        let mut specification = BASE64.specification();
        specification.check_trailing_bits = false;
        specification.encoding().unwrap_or(BASE64)
    });
    // Several texts, each with its padding, are not one.
    let is_one = text.iter().position(|&byte| byte == b'=').is_none_or(|at| at + 2 >= text.len());
    LENIENT.decode(text).ok().filter(|_| is_one)
}
