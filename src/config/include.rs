//! Files that the main file includes: `include = ["conf.d/*.toml"]`, so that each package of a host can bring its own
//! services.
//!
//! An included file may hold what comes in any number: services, zones, registries and formats. Everything else stands
//! in the main file. Included files include nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::secrets::source;
use crate::diagnostic::SourceText;
use crate::diagnostic::{Problems, Span};
use crate::disk;
use crate::settings::tree::{self, Tree};
use crate::settings::{Kind, Setting, Table, Value};

/// Included files.
#[derive(Default)]
pub(super) struct Included {
    /// The files, without their tables, in the order in which they were read. The first is file number 1.
    pub(super) files: Vec<(SourceText, Tree)>,
    /// The files and directories that were looked at.
    pub(super) looked_at: Vec<PathBuf>,
    /// The files that cannot be read.
    pub(super) unreadable: Vec<PathBuf>,
}

/// Takes the key `include` out of `main`, the file at `path`, and puts in the tables of the files that it names. Those
/// in `replaced` are taken from there.
pub(super) fn take(
    path: &Path,
    main: &mut Table,
    problems: &Problems,
    replaced: &BTreeMap<PathBuf, String>,
) -> Included {
    let mut included = Included::default();
    let Some(index) = main.entries.iter().position(|(key, ..)| key == "include") else { return included };
    let (_, _, value) = main.entries.remove(index);
    let patterns = match Vec::<String>::read(&value) {
        Ok(patterns) => patterns,
        Err((span, message)) => {
            problems.add(span, format!("`include` {message}"));
            return included;
        }
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    for pattern in patterns {
        let files = match files(&directory.join(&pattern), &mut included.looked_at) {
            Ok(files) => files,
            Err(why) => {
                problems.add_with_help(value.span, why, "name a file, or all of a directory: \"conf.d/*.toml\"");
                continue;
            }
        };
        if let Some(why) = empty(&directory.join(&pattern), &files) {
            let help = "nothing is included by it, which is right only if files come later";
            problems.warn(value.span, why, help);
        }
        for file in files {
            match replaced.get(&file).map_or_else(|| disk::read_text(&file), |text| Ok(text.clone())) {
                Ok(text) => {
                    let number = u32::try_from(included.files.len() + 1).unwrap_or(u32::MAX);
                    let mut tree = tree::parse(&text, number);
                    merge(main, std::mem::take(&mut tree.table), problems);
                    included.files.push((source(&file, text), tree));
                }
                Err(error) => {
                    problems.add(value.span, format!("{} cannot be read: {error}", file.display()));
                    included.unreadable.push(file);
                }
            }
        }
    }
    included
}

/// Reason why a pattern that names no file may be a mistake. An empty directory is none.
fn empty(pattern: &Path, files: &[PathBuf]) -> Option<String> {
    let directory = pattern.parent().filter(|_| files.is_empty())?;
    match std::fs::read_dir(directory) {
        Err(error) => Some(format!("`include`: {} cannot be listed: {error}", directory.display())),
        Ok(entries) => {
            let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
            let others = entries.flatten().filter(|entry| !is_hidden(&entry.file_name())).count();
            (others > 0).then(|| format!("`include`: no file is called {}, of {others} there", pattern.display()))
        }
    }
}

/// The files that a pattern names, in the order of their names. A directory that is not there has none.
fn files(pattern: &Path, looked_at: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, String> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let directory = pattern.parent().unwrap_or(Path::new(""));
    if directory.to_string_lossy().contains('*') {
        return Err(format!("`include` cannot look for directories, as in {}", pattern.display()));
    }
    let Some(ending) = name.strip_prefix('*') else {
        if name.contains('*') {
            return Err(format!("`include` takes a star only in front of an ending, not as in {name}"));
        }
        looked_at.push(pattern.to_owned());
        return Ok(vec![pattern.to_owned()]);
    };
    looked_at.push(directory.to_owned());
    let mut files: Vec<PathBuf> = match std::fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(format!("{} cannot be listed: {error}", directory.display())),
    };
    // Hidden files are what editors and package managers leave about.
    let is_meant = |name: &str| name.ends_with(ending) && !name.starts_with('.');
    files.retain(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(is_meant));
    files.sort();
    looked_at.extend(files.iter().cloned());
    Ok(files)
}

fn merge(main: &mut Table, included: Table, problems: &Problems) {
    for (key, span, value) in included.entries {
        if !["service", "zone", "registry", "format"].contains(&key.as_str()) {
            let message = format!("`{key}` cannot stand in an included file");
            problems.add_with_help(span, message, "it can hold [[service]], [[zone]], [registry.…] and [format.…]");
            continue;
        }
        match main.entries.iter_mut().find(|(other, ..)| *other == key) {
            None => main.entries.push((key, span, value)),
            Some((_, _, into)) => merge_value(into, value, span, problems),
        }
    }
}

fn merge_value(into: &mut Value, from: Value, span: Span, problems: &Problems) {
    match (&mut into.kind, from.kind) {
        (Kind::Array(into), Kind::Array(from)) => into.extend(from),
        (Kind::Table(into), Kind::Table(from)) => {
            for (key, span, value) in from.entries {
                if into.get(&key).is_some() {
                    problems.add(span, format!("there is a `{key}` already"));
                } else {
                    into.entries.push((key, span, value));
                }
            }
        }
        _ => problems.add(span, "this is not of the same kind as in the files before"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Snippets, load, load_without_broken};

    #[test]
    fn included_files_bring_services_and_their_mistakes_are_shown_where_they_stand() {
        let directory = std::env::temp_dir().join(format!("zonekeeper-include-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("conf.d")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
        let service = |name: &str| format!("[[service]]\nname = \"{name}\"\nport = 80\n");
        let main = "include = [\"conf.d/*.toml\"]\n[registry.main]\nzookeeper = \"127.0.0.1\"\n";
        write("main.toml", &format!("{main}{}", service("a")));
        write("conf.d/2.toml", &service("c"));
        write("conf.d/1.toml", &service("b"));
        write("conf.d/.3.toml", "not TOML");
        write("conf.d/4.toml~", "not TOML");
        let config = load(&directory.join("main.toml")).unwrap_or_else(|report| panic!("{report}"));
        let names: Vec<_> = config.announce.services.iter().map(|service| &*service.name.value).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(config.read_from.len(), 4, "{:?}", config.read_from);
        write("conf.d/1.toml", "[dns]\n[[service]]\nname = \"b\"\nport = 0\n");
        let report = load(&directory.join("main.toml")).unwrap_err().to_string();
        assert!(report.contains("conf.d/1.toml:1:2: error: `dns` cannot stand in an included file"), "{report}");
        assert!(report.contains("conf.d/1.toml:4:8: error: `port` must be"), "{report}");
        // A start does without it; a reload goes on with what it held.
        let names = |config: &crate::config::Config| {
            let names = config.announce.services.iter().map(|service| service.name.value.clone());
            names.collect::<Vec<_>>().join(" ")
        };
        let mut snippets = Snippets::default();
        let (config, left_out) = load_without_broken(&directory.join("main.toml"), &mut snippets).unwrap();
        assert_eq!(names(&config), "a c");
        assert!(left_out.unwrap().to_string().contains("conf.d/1.toml:4:8: error"));
        write("conf.d/1.toml", &service("b"));
        let (config, left_out) = load_without_broken(&directory.join("main.toml"), &mut snippets).unwrap();
        assert!(left_out.is_none());
        assert_eq!(names(&config), "a b c");
        write("conf.d/1.toml", "[[service]]\nname = \"b");
        let (config, left_out) = load_without_broken(&directory.join("main.toml"), &mut snippets).unwrap();
        assert!(left_out.is_some());
        assert_eq!(names(&config), "a b c");
        write("main.toml", "[dns");
        assert!(load_without_broken(&directory.join("main.toml"), &mut snippets).is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
