//! Files of trees and values in JSON: what several of the commands read and print.

use std::fs::File;
use std::io::Read as _;
use std::path::Path as FilePath;

use anyhow::{Context as _, bail};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::diagnostic::{Report, SourceText};
use crate::format;
use crate::registry::text::{Literal, TextProblem};
use crate::zookeeper::Stat;

/// Largest file that is read, in bytes.
const MOST: u64 = 1 << 30;

/// Name of standard input in messages.
const STDIN: &str = "standard input";

/// Reads a file of text; `-` is standard input.
///
/// # Errors
/// When it cannot be read, is too large or is not UTF-8.
pub(super) fn read_file(file: &FilePath) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let name = shown(file);
    if file == FilePath::new("-") {
        std::io::stdin()
            .lock()
            .take(MOST + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {STDIN}"))?;
    } else {
        let reading = File::open(file).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
        reading.with_context(|| format!("cannot read {}", name.display()))?;
    }
    if bytes.len() as u64 > MOST {
        bail!("{} is larger than {} GiB", name.display(), MOST >> 30);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let source = SourceText::new(name, String::from_utf8_lossy(error.as_bytes()));
        Report::of_byte(&source, at, &format!("the byte 0x{:02x} is not UTF-8 text", error.as_bytes()[at])).into()
    })
}

/// A file as messages name it.
pub(super) fn shown(file: &FilePath) -> &FilePath {
    if file == FilePath::new("-") { FilePath::new(STDIN) } else { file }
}

/// The problems of a text, with their lines.
pub(super) fn report(file: &FilePath, text: &str, problems: Vec<TextProblem>) -> Report {
    let source = SourceText::new(shown(file), text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut report = Report::default();
    for problem in problems {
        report.add(&source, problem);
    }
    report
}

/// A value of a tree text in JSON.
pub(super) fn value(literal: &Literal) -> Value {
    serde_json::from_slice(&literal.to_json()).unwrap_or_default()
}

/// A znode's data: as text where they are that, else in Base64.
pub(super) fn data(data: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(data) {
        Ok(text) => ("data", text.into()),
        Err(_) => ("data_base64", BASE64.encode(data).into()),
    }
}

/// A stat.
pub(super) fn stat(stat: &Stat, bytes: usize) -> Value {
    let mut object = Map::new();
    for (key, value) in [
        ("czxid", stat.czxid),
        ("mzxid", stat.mzxid),
        ("pzxid", stat.pzxid),
        ("ctime", stat.ctime),
        ("mtime", stat.mtime),
        ("version", stat.version.into()),
        ("cversion", stat.cversion.into()),
        ("aversion", stat.aversion.into()),
        ("data_length", i64::try_from(bytes).unwrap_or(i64::MAX)),
        ("num_children", stat.num_children.into()),
    ] {
        object.insert(key.to_owned(), value.into());
    }
    let owner = (stat.ephemeral_owner != 0).then(|| session(stat.ephemeral_owner));
    object.insert("ephemeral_owner".to_owned(), json!(owner));
    object.into()
}

/// A session's number as ZooKeeper writes it.
pub(in crate::cli) fn session(id: i64) -> String {
    format!("0x{id:x}")
}

/// A moment in milliseconds since 1970, for people; `-` where it is not known.
pub(in crate::cli) fn moment(milliseconds: i64) -> String {
    match u64::try_from(milliseconds) {
        Ok(0) | Err(_) => "-".to_owned(),
        Ok(milliseconds) => format::moment(milliseconds / 1000),
    }
}
