//! Output of commands, without what steers a terminal.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;

use crate::log;

/// Exit code of bad usage, or a bad configuration (`EX_USAGE` of sysexits).
pub(super) const USAGE: u8 = 64;

/// Prints to standard output. A reader that has gone is nothing to complain about.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_as_is(&harmless(text))
}

/// Prints to standard output what has nothing in it that steers a terminal but what we have put there.
pub(super) fn print_as_is(text: &str) -> anyhow::Result<()> {
    print_to_reader(text).map(drop)
}

/// The same. Returns whether the reader is still there.
pub(super) fn print_to_reader(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        done => done.map(|()| true).context("cannot write the output"),
    }
}

/// Prints bytes to standard output as they are. A terminal gets them as [`print()`] shows them.
pub(super) fn print_exactly(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        return print(&String::from_utf8_lossy(bytes));
    }
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write the output"),
        _ => Ok(()),
    }
}

/// Prints lines whose pieces are harmless already, and coloured.
pub(super) fn print_coloured(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write the output"),
        _ => Ok(()),
    }
}

/// A text without characters that steer a terminal or cannot be seen: anybody may have written parts of it into a
/// registry. JSON stays JSON.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.starts_with(['{', '[']) {
        return log::visible(text);
    }
    let is_odd = |c: char| log::is_hidden(c) && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(is_odd) {
        return text.into();
    }
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A string can be written to always.
                let _ = write!(written, "\\u{unit:04x}");
            }
        } else {
            written.push(c);
        }
    }
    written.into()
}

/// Prints to standard error, where there is one.
pub(super) fn complain(text: &dyn fmt::Display) {
    let _ = log::stderr().write_all(text.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_holds_does_not_steer_the_terminal() {
        assert_eq!(harmless("a\tb\nü"), "a\tb\nü");
        assert_eq!(harmless("red\u{1b}[31m\u{9b}1m\r"), "red\\u{1b}[31m\\u{9b}1m\\r");
        let json = "{\"a\":\"b\u{200b}\u{e0041}\"}";
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(harmless(json), "{\"a\":\"b\\u200b\\udb40\\udc41\"}");
        assert_eq!(value(&harmless(json)), value(json));
    }
}
