//! The configuration: TOML into a tree of located values, the parts' own readers over it, and what only the whole can
//! check (that names refer to something). All problems of all files are reported at once.
//!
//! A part is on when its table is there. What a table may say, its defaults and its checks belong to the part; here is
//! only which parts there are.

mod include;
mod pending;
mod places;
mod readers;
mod references;
mod secrets;
mod serials;
mod whole;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Problem, Problems, Report, Severity};
use crate::dns::message::key::TsigKey;
use crate::dns::transfer::secondaries::Secondaries;
use crate::instance_files::config::FileConfig;
use crate::publish::{guard, past};
use crate::registry::Path as Znode;
use crate::settings::{Kind, Section, Table, Value, live, tree};
use crate::zone::name::Name;
use crate::{admin, announce, dns, format, settings, zone, zookeeper};
pub use places::Places;
pub use readers::ReaderConfig;
use references::Registries;
use secrets::source;
pub use whole::{Config, Registry, RegistryReader};

/// The largest configuration that is read, in bytes: some ten thousand services.
const MAX_TEXT: u64 = 4 << 20;

/// Reads the configuration file at `path`. Relative paths in it are relative to its own directory.
///
/// # Errors
/// All its problems, ready to be printed.
pub fn load(path: &Path) -> Result<Config, Report> {
    parse(path, &text(path)?)
}

/// Reads the configuration file at `path` as [`load`] does, and where its keys are.
///
/// # Errors
/// All its problems, ready to be printed.
pub fn load_with_places(path: &Path) -> Result<(Config, Places), Report> {
    let parsed = parse_with(path, &text(path)?, &Snippets::default());
    parsed.map(|(config, _, places)| (config, places)).map_err(|(report, _)| report)
}

/// Reads the configuration file at `path` as [`load`] does, but for the included files that are wrong: such a one
/// counts as what `snippets` has it hold when it was last right, or as empty, and its problems come back beside the
/// configuration.
///
/// # Errors
/// All problems, where what is wrong is not in included files alone.
pub fn load_without_broken(path: &Path, snippets: &mut Snippets) -> Result<(Config, Option<Report>), Report> {
    let text = text(path)?;
    let (mut replaced, mut all): (Snippets, Option<Report>) = (Snippets::default(), None);
    loop {
        match parse_with(path, &text, &replaced) {
            Ok((config, files, _)) => {
                *snippets = Snippets(files.into_iter().collect());
                return Ok((config, all));
            }
            Err((report, broken)) => {
                let mut has_more = false;
                for file in broken {
                    // Where what it held before is wrong, too, by now, it is left out.
                    let before = (!replaced.0.contains_key(&file)).then(|| snippets.0.get(&file).cloned()).flatten();
                    let text = before.unwrap_or_default();
                    has_more |= replaced.0.insert(file, text.clone()) != Some(text);
                }
                match &mut all {
                    None => all = Some(report),
                    Some(all) if has_more => all.extend(report),
                    Some(_) => {}
                }
                if !has_more {
                    return Err(all.unwrap_or_default());
                }
            }
        }
    }
}

/// The texts of included files.
#[derive(Debug, Clone, Default)]
pub struct Snippets(BTreeMap<PathBuf, String>);

fn text(path: &Path) -> Result<String, Report> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_TEXT + 1).read_to_end(&mut bytes))
        .map_err(|error| Report::of_file(path, &format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(Report::of_file(path, &format!("is larger than {} MiB", MAX_TEXT >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let source = source(path, String::from_utf8_lossy(error.as_bytes()));
        Report::of_byte(&source, at, &format!("the byte 0x{:02x} is no UTF-8 text", error.as_bytes()[at]))
    })
}

/// Reads a configuration from `text`; `path` is what it is called in messages and where relative paths start.
///
/// # Errors
/// All its problems, ready to be printed.
pub fn parse(path: &Path, text: &str) -> Result<Config, Report> {
    parse_with(path, text, &Snippets::default()).map(|(config, ..)| config).map_err(|(report, _)| report)
}

/// Included files: path and text.
type Texts = Vec<(PathBuf, String)>;

/// A configuration, the texts of all included files, and where its keys are.
type ParsedFiles = (Config, Texts, Places);

/// All problems, and the included files that have some; none where the main file alone has.
type BrokenFiles = (Report, Vec<PathBuf>);

/// Reads a configuration; `replaced` has the texts to be taken for included files, in place of what they hold.
fn parse_with(path: &Path, text: &str, replaced: &Snippets) -> Result<ParsedFiles, BrokenFiles> {
    let complaints = Problems::default();
    let mut main = tree::parse(text, 0);
    let included = include::take(path, &mut main.table, &complaints, &replaced.0);
    let mut config = read(&main.table, path.parent().unwrap_or(Path::new("")), &complaints);
    let mut complaints = complaints.into_vec();
    let table = main.table.clone();
    let files = std::iter::once((source(path, text), main)).chain(included.files);
    let (mut sources, mut problems, mut broken) = (Vec::new(), Vec::new(), included.unreadable);
    let warnings: Vec<Problem> =
        complaints.extract_if(.., |complaint| complaint.severity == Severity::Warning).collect();
    for (number, (source, tree)) in (0..).zip(files) {
        let of_file = complaints.extract_if(.., |complaint| complaint.at.file == number).collect();
        let found = tree.problems(source.text(), of_file);
        if number > 0 && !found.is_empty() {
            broken.push(source.path().to_owned());
        }
        problems.extend(found);
        sources.push(source);
    }
    if !problems.is_empty() {
        return Err((Report::new(&sources, &problems), broken));
    }
    config.warnings = Report::new(&sources, &warnings);
    for service in &mut config.announce.services {
        let source = sources.get(service.name.span.file as usize);
        service.file = source.map(|source| source.path().to_owned()).unwrap_or_default();
    }
    let secrets = std::mem::take(&mut config.read_from);
    let cookies = config.dns.as_ref().and_then(|dns| dns.cookie_secret_file.clone());
    let files = std::iter::once(path.to_owned()).chain(included.looked_at);
    config.read_from = files.chain(secrets).chain(cookies).collect();
    if let Some(directory) = path.parent() {
        config.rebase(directory);
    }
    let texts = sources.iter().skip(1).map(|source| (source.path().to_owned(), source.text().to_owned()));
    let texts = texts.collect();
    Ok((config, texts, Places { table, sources }))
}

fn read(table: &Table, directory: &Path, problems: &Problems) -> Config {
    let mut top = Section::top(table, problems);
    let formats = format::Formats::read(&mut top);
    let (names, registries) = read_registries(&mut top, &formats);
    let names = Registries::new(names, table, problems);
    let Keys { names: key_names, usable: keys, files: secrets } = read_keys(&mut top, directory);
    let (zones, secondaries) = read_zones(&mut top, &names, (&key_names, &keys));
    let dns = read_part(&mut top, live("dns"), |section| dns::config::Config::read(section, &key_names, directory));
    let admin = read_part(&mut top, live("admin"), admin::config::Config::read);
    let announce = announce::Config::read(&mut top);
    let (files, templates) = read_files(&mut top, directory);
    let config = Config {
        registries,
        formats,
        zones,
        secondaries,
        dns,
        admin,
        announce,
        keys,
        files,
        read_from: secrets.into_iter().chain(templates).collect(),
        warnings: Report::default(),
    };
    names.check_services(&config);
    references::check_addresses(table, &config, problems);
    references::check_creator(table, &config, problems);
    serials::check(table, &config, problems);
    references::check_children(table, &config, problems);
    references::check_places(table, &config, problems);
    references::check_drains(table, &config, problems);
    references::check_ensembles(table, &config, problems);
    top.finish();
    if ["dns", "admin", "service"].iter().all(|part| table.get(part).is_none()) {
        let help = "a part is on when its table is there: [dns], [admin], [[service]]; see `zonekeeper template`";
        problems.add_with_help(table.span, "there is nothing to do", help);
    }
    config
}

fn read_part<T>(top: &mut Section<'_>, key: settings::Key, read: impl Fn(&mut Section<'_>) -> T) -> Option<T> {
    let mut section = top.section(key)?;
    let config = read(&mut section);
    section.finish();
    Some(config)
}

/// The names of all registries, and those registries that can be used.
fn read_registries<'a>(top: &mut Section<'a>, formats: &format::Formats) -> (Vec<&'a str>, Vec<Registry>) {
    let problems = top.problems();
    let (mut names, mut registries): (_, Vec<Registry>) = (Vec::new(), Vec::new());
    let Some(value) = top.value(live("registry")) else { return (names, registries) };
    let Kind::Table(table) = &value.kind else {
        problems.add_with_help(value.span, "`registry` must be a table of registries", "write [registry.main]");
        return (names, registries);
    };
    for (name, span, value) in &table.entries {
        let Kind::Table(table) = &value.kind else {
            let message = format!("`registry.{name}` must be a table, not {}", value.kind.name());
            problems.add_with_help(*span, message, "a registry has a name of its own: write [registry.main]");
            continue;
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            problems.add(*span, "the name of a registry is made of letters, digits, `-` and `_`");
        }
        names.push(name.as_str());
        let mut section = Section::new(table, format!("registry.{name}"), problems);
        let mut zookeeper = zookeeper::config::Config::read(&mut section);
        let format = format::Config::read(&mut section, formats);
        if let (Some(zookeeper), None, Ok(root)) = (&mut zookeeper, table.get("root"), Znode::new(&format.usual_root)) {
            zookeeper.root = root;
        }
        let guard = guard::Config::read(&mut section);
        let linger = past::read_linger(&mut section);
        let read = readers::read(&mut section, table, formats);
        section.finish();
        let Some(zookeeper) = zookeeper else { continue };
        let registry = Registry { name: name.clone(), zookeeper, format, guard, linger, read };
        let mut files = registries.iter().flat_map(Registry::cache_files);
        if files.any(|file| registry.cache_files().contains(&file)) {
            let span = table.get("cache_file").map_or(*span, |value| value.span);
            problems.add(span, "`cache_file` is another registry's too: each needs a file of its own");
        }
        registries.push(registry);
    }
    (names, registries)
}

/// The zones, and their secondaries.
fn read_zones(
    top: &mut Section<'_>,
    registries: &Registries<'_>,
    (key_names, keys): (&[Name], &[Arc<TsigKey>]),
) -> (Vec<zone::config::Config>, Vec<(Name, Secondaries)>) {
    let problems = top.problems();
    let (mut zones, mut origins): (Vec<zone::config::Config>, _) = (Vec::new(), Vec::new());
    let mut all_secondaries = Vec::new();
    for table in tables(top.value(live("zone")), "zone", problems) {
        let mut section = Section::new(table, "zone", problems);
        let read = zone::config::Config::read(&mut section);
        let secondaries = Secondaries::read(&mut section, key_names, keys);
        section.finish();
        let registry = registries.of_zone(&read, table.span);
        let Some(zone) = read.config else { continue };
        if zones.iter().any(|other| other.origin == zone.origin) {
            problems.add(read.origin, format!("there is another zone {}", zone.origin));
        }
        origins.push(read.origin);
        all_secondaries.push((zone.origin.clone(), secondaries));
        zones.push(zone::config::Config { registry, ..zone });
    }
    references::check_reverse(&zones, &origins, problems);
    (zones, all_secondaries)
}

/// The `[[key]]` tables.
#[derive(Default)]
struct Keys {
    /// The names of all.
    names: Vec<Name>,
    /// Those that can be used.
    usable: Vec<Arc<TsigKey>>,
    /// The files with their secrets.
    files: Vec<PathBuf>,
}

fn read_keys(top: &mut Section<'_>, directory: &Path) -> Keys {
    let problems = top.problems();
    let Keys { mut names, mut usable, mut files } = Keys::default();
    for table in tables(top.value(live("key")), "key", problems) {
        let mut section = Section::new(table, "key", problems);
        let (name, key) = TsigKey::read(&mut section, directory);
        files.extend(TsigKey::file(table).map(|file| directory.join(file)));
        section.finish();
        if let Some(name) = name {
            if names.contains(&name) {
                problems.add(table.span, format!("there is another key {name}"));
            }
            names.push(name);
        }
        usable.extend(key.map(Arc::new));
    }
    Keys { names, usable, files }
}

/// The `[[file]]` tables, and the templates that they name.
fn read_files(top: &mut Section<'_>, directory: &Path) -> (Vec<FileConfig>, Vec<PathBuf>) {
    let problems = top.problems();
    let (mut files, mut templates): (Vec<FileConfig>, _) = (Vec::new(), Vec::new());
    for table in tables(top.value(live("file")), "file", problems) {
        let mut section = Section::new(table, "file", problems);
        let (file, template) = FileConfig::read(&mut section, directory);
        section.finish();
        templates.extend(template);
        if let Some(file) = file {
            if files.iter().any(|other| other.path == file.path) {
                let span = table.get("path").map_or(table.span, |value| value.span);
                problems.add(span, format!("another [[file]] is kept at {}", file.path.display()));
            }
            files.push(file);
        }
    }
    (files, templates)
}

/// The tables of an array of tables.
fn tables<'a>(value: Option<&'a Value>, name: &str, problems: &Problems) -> Vec<&'a Table> {
    let help = || format!("write [[{name}]], with two brackets");
    let values = match value {
        None => return Vec::new(),
        Some(Value { kind: Kind::Array(values), .. }) => values,
        Some(Value { kind, span }) => {
            problems.add_with_help(*span, format!("`{name}` must be a list of tables, not {}", kind.name()), help());
            return Vec::new();
        }
    };
    values
        .iter()
        .filter_map(|value| match &value.kind {
            Kind::Table(table) => Some(table),
            kind => {
                let message = format!("`{name}` must be a list of tables, not of {}", kind.name());
                problems.add_with_help(value.span, message, help());
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
