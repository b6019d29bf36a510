//! Master files (RFC 1035 §5, RFC 2308 §4, RFC 3597): text to records, with every problem of the file and where it
//! stands.
//!
//! [`parse`] is pure and is handed what `$INCLUDE` names; [`read`] adds the file system. Nothing here merges the
//! records with others, makes up what the file leaves out, or decides what an error means for a zone that is being
//! served.
//!
//! Stricter than other readers on purpose: records out of the zone, other classes, `$GENERATE` and the records of
//! signed zones are errors, for an author who is told at once is better off than a client who finds out. Wider in one
//! respect: labels take any bytes, underscores first of all.

mod lexer;
mod parsed;
mod reader;
mod rules;
pub mod status;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::diagnostic::Location;
use crate::disk::stall::asking;
use crate::zone::name::Name;
use parsed::{MAX_TEXT, TOO_LARGE};
pub use parsed::{Parsed, Problem};

/// Reads the master file at `path` for the zone `origin`, and the files it includes, which must lie in its directory or
/// below; their names are relative to that directory wherever they are mentioned.
///
/// # Errors
/// Every problem of the files, in the order in which they were met.
pub fn read(path: &Path, origin: &Name) -> Result<Parsed, Vec<Problem>> {
    read_noting(path, origin, &mut Vec::new())
}

/// As [`read`]; notes in `files` every file that was looked for, found or not: a change of any of them changes the
/// outcome.
///
/// # Errors
/// As [`read`].
pub fn read_noting(path: &Path, origin: &Name, files: &mut Vec<PathBuf>) -> Result<Parsed, Vec<Problem>> {
    files.push(path.to_owned());
    let text = load(path).map_err(|problem| vec![problem])?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let full = |name: PathBuf| if name == Path::new("") { path.to_owned() } else { directory.join(name) };
    let place = |problem: Problem| problem.map(|at| Location { path: full(at.path), ..at });
    let mut include = |name: &str| {
        files.push(directory.join(name));
        load_inside(directory, name)
    };
    match parse(&text, origin, &mut include) {
        Ok(parsed) => Ok(Parsed {
            records: parsed.records,
            remarks: parsed.remarks.into_iter().map(place).collect(),
            includes: parsed.includes.into_iter().map(full).collect(),
        }),
        Err(problems) => Err(problems.into_iter().map(place).collect()),
    }
}

/// A record in a master file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its owner, in lower case.
    pub owner: Name,
    /// Its type.
    pub rtype: u16,
    /// Its place: `service.zone:12`.
    pub place: String,
}

/// The places of the records whose owners `is_wanted` chooses, in the master file at `path` for the zone `origin` and
/// in what it includes; none of a file that cannot be read. What is wrong in the file is passed over.
pub fn places(path: &Path, origin: &Name, is_wanted: &dyn Fn(&Name) -> bool) -> Vec<Placed> {
    let Ok(text) = load(path) else { return Vec::new() };
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let found = reader::places(&text, origin, &mut |name| load_inside(directory, name), is_wanted);
    let placed = found.into_iter().map(|(owner, rtype, file, line)| {
        let file = if file == Path::new("") { path.to_owned() } else { directory.join(file) };
        Placed { owner, rtype, place: format!("{}:{line}", file.display()) }
    });
    placed.collect()
}

/// The text of the file `name` in `directory`, which no `..` and no symbolic link can leave.
fn load_inside(directory: &Path, name: &str) -> Result<String, String> {
    let directory = asking(|| directory.canonicalize()).map_err(|error| error.to_string())?;
    let path = directory.join(name);
    let file = asking(|| path.canonicalize()).map_err(|error| format!("{}: {error}", path.display()))?;
    if !file.starts_with(&directory) {
        return Err(format!("{} lies outside the zone file's directory", file.display()));
    }
    load(&file).map_err(|problem| problem.to_string())
}

/// The text of a file.
fn load(path: &Path) -> Result<String, Problem> {
    let problem = |line, column, message| {
        Problem::error(Location { path: path.to_owned(), line, column, width: line.min(1) }, message)
    };
    let whole = |message: String| problem(0, 0, message);
    // Asked first, for the opening of a pipe would wait for its other end.
    let metadata = asking(|| std::fs::metadata(path)).map_err(|error| whole(error.to_string()))?;
    if !metadata.is_file() {
        return Err(whole("is not a regular file".into()));
    }
    if metadata.len() > MAX_TEXT as u64 {
        return Err(whole(TOO_LARGE.into()));
    }
    let bytes = crate::disk::read(path).map_err(|error| whole(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        let (sound, bad) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let sound = String::from_utf8_lossy(sound);
        let line_start = sound.rfind('\n').map_or(0, |end| end + 1);
        let byte = bad.first().copied().unwrap_or_default();
        let message = format!("the byte 0x{byte:02x} is no UTF-8: write it as `\\{byte:03}`");
        problem(sound.matches('\n').count() + 1, sound[line_start..].chars().count() + 1, message)
    })
}

/// Reads the text of a master file for the zone `origin`. `include` gives the text of a file that `$INCLUDE` names, by
/// its name without `.` elements, or says why there is none.
///
/// # Errors
/// Every problem of the text and of what it includes, in the order in which they were met.
pub fn parse(
    text: &str,
    origin: &Name,
    include: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Parsed, Vec<Problem>> {
    reader::read(text, origin, include)
}
