//! Reads src/ and fails on an import that the house does not allow (the tables in src/lib.rs), naming file, line and
//! rule.
//!
//! It sees `use` trees, `super` and `self`, and paths in code and in attributes; comments and texts cannot confuse it.
//! It does not follow re-exports: a module that re-exports what its own row may not hand on is for the reviewer to see.
//! Test code (`#[cfg(test)]` items and the files behind `#[cfg(test)] mod x;`) is exempt from every rule: a test may
//! set up whatever it needs.

#[path = "layers/circles.rs"]
mod circles;
#[path = "layers/imports.rs"]
mod imports;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use imports::{Import, Scan};

/// The modules of ours that one may import.
enum Allowed {
    /// These.
    Of(&'static [&'static str]),
    /// All that are above it in the table.
    Above,
    Everything,
}
use Allowed::{Above, Everything, Of};

/// Each module of ours, and which others it may import. Row by row: nothing imports its own row.
const LAYERS: &[(&str, Allowed)] = &[
    ("model", Of(&[])),
    ("backoff", Of(&[])),
    ("log", Of(&[])),
    ("diagnostic", Of(&["log"])),
    ("settings", Of(&["diagnostic"])),
    ("disk", Of(&[])),
    ("patience", Of(&[])),
    ("format", Of(&["model", "diagnostic", "settings", "disk"])),
    ("zone", Of(&["model", "diagnostic", "settings", "disk"])),
    ("registry", Of(&["diagnostic", "settings", "disk"])),
    ("zookeeper", Of(&["backoff", "diagnostic", "settings", "disk", "registry"])),
    ("publish", Of(&["model", "backoff", "diagnostic", "settings", "disk", "format", "zone", "registry"])),
    ("dns", Of(&["model", "backoff", "diagnostic", "settings", "disk", "patience", "zone"])),
    ("announce", Of(&["model", "backoff", "diagnostic", "settings", "disk", "format", "registry", "zookeeper"])),
    ("export", Of(&["model", "backoff", "diagnostic", "settings", "zone"])),
    ("inspect", Of(&["model", "format", "zone", "registry", "publish"])),
    (
        "instance_files",
        Of(&["model", "backoff", "diagnostic", "settings", "disk", "format", "registry", "zookeeper", "announce"]),
    ),
    ("admin", Above),
    ("config", Above),
    ("cli", Everything),
    ("app", Everything),
];

/// Foreign crates that stay where they belong: `a/b` is the file a/b.rs and everything in a/b/.
const PLACES: &[(&str, &[&str])] = &[
    ("zookeeper_client", &["zookeeper/client"]),
    ("hickory_server", &["dns/listen/quic"]),
    ("hickory_proto", &["dns", "zone", "export"]),
    ("hickory_resolver", &["dns/forward", "zookeeper/client/srv"]),
    ("rustls", &["announce/check/tls", "cli/connect", "dns/forward", "dns/listen/tls", "zookeeper/client"]),
    ("toml", &["settings/tree"]),
    ("clap", &["cli", "main"]),
    ("axum", &["admin"]),
    (
        "serde_json",
        &[
            "cli/ask",
            "cli/check",
            "cli/events",
            "cli/follow",
            "cli/formats",
            "cli/lock",
            "cli/register",
            "cli/registry",
            "cli/restart",
            "cli/services",
            "cli/survey",
            "format",
            "registry/text",
            "admin",
            "announce",
            "export",
            "instance_files",
        ],
    ),
    ("dns_lookup", &["announce/check/lookup"]),
    ("if_addrs", &["announce/address"]),
    ("regex_automata", &["announce/check"]),
    (
        "rustix",
        &[
            "announce/check",
            "app",
            "cli/check",
            "cli/child",
            "cli/drain",
            "cli/lock",
            "cli/register",
            "cli/serve",
            "cli/signals",
            "dns/forward/plain",
            "dns/listen/passed",
            "dns/server",
        ],
    ),
    ("getrandom", &["dns/mod", "dns/serve/rotation"]),
    ("siphasher", &["dns/serve/cookie", "dns/serve/rate"]),
    ("tokio_rustls", &["announce/check/tls", "dns/listen/https", "dns/listen/tls", "zookeeper/client"]),
    ("socket2", &["admin", "dns"]),
    ("hmac", &["dns/message/key"]),
    ("sha2", &["dns/message/key"]),
    ("anyhow", &["cli", "app", "main"]),
];

/// Where decisions are made: no `async`, none of these crates, and no clock; the time comes as an argument.
const PURE: &[&str] = &[
    "model",
    "backoff",
    "diagnostic",
    "settings",
    "format",
    "zone",
    "zookeeper/mirror",
    "registry/tree",
    "announce/plan",
    "announce/node",
    "announce/check/health",
    "dns/serve/answer",
    "dns/fast",
    "dns/serve/access",
    "dns/serve/cookie",
    "dns/message",
    "dns/serve/policy",
    "dns/forward/upstream",
    "dns/forward/local",
    "dns/forward/reply",
    "dns/serve/rate",
    "registry/links",
];
const IMPURE_CRATES: &[&str] = &["tokio", "tokio_util", "futures", "futures_util", "async_trait"];

#[test]
fn every_import_of_the_sources_is_allowed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources(&root);
    assert!(sources.iter().any(|source| source.path == "lib.rs"), "no sources in {}", root.display());
    let violations = check(&sources);
    let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} imports are not allowed:\n{}", list.len(), list.join("\n"));
}

#[test]
fn no_two_files_import_each_other() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let list = circles(&sources);
    assert!(list.is_empty(), "{} pairs of files import each other:\n{}", list.len(), list.join("\n"));
}

/// The pairs of files that import each other, test code left out.
fn circles(sources: &[Source]) -> Vec<String> {
    let scans: Vec<Scan> = sources.iter().map(|source| Scan::of(source.module(), &source.text)).collect();
    let test_modules: BTreeSet<&Vec<String>> = scans.iter().flat_map(|scan| &scan.test_modules).collect();
    let is_test = |module: &[String]| (0..=module.len()).any(|depth| test_modules.contains(&module[..depth].to_vec()));
    let files = sources.iter().zip(&scans).map(|(source, scan)| (source, source.module(), scan));
    let files: Vec<_> = files.filter(|(_, module, _)| !is_test(module)).collect();
    let modules: Vec<_> = files.iter().map(|(_, module, scan)| (module.clone(), *scan)).collect();
    let place = |(file, line): (usize, usize)| format!("src/{}:{line}", files[file].0.path);
    circles::pairs(&modules).into_iter().map(|[one, other]| format!("{} and {}", place(one), place(other))).collect()
}

/// A file of src/: its path below it, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module the file is: `a::b` for a/b.rs and a/b/mod.rs; the root for lib.rs and main.rs.
    fn module(&self) -> Vec<String> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        if matches!(stem, "lib" | "main") {
            return Vec::new();
        }
        stem.split('/').map(str::to_owned).collect()
    }

    fn is_in(&self, place: &str) -> bool {
        self.path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }
}

fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let path = path.strip_prefix(root).expect("a file below the root").to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// An import that is not allowed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.path, self.line, self.rule)
    }
}

fn check(sources: &[Source]) -> Vec<Violation> {
    let scans: Vec<Scan> = sources.iter().map(|source| Scan::of(source.module(), &source.text)).collect();
    let test_modules: BTreeSet<&Vec<String>> = scans.iter().flat_map(|scan| &scan.test_modules).collect();
    let mut violations = BTreeSet::new();
    for (source, scan) in sources.iter().zip(&scans) {
        let module = source.module();
        if (0..=module.len()).any(|depth| test_modules.contains(&module[..depth].to_vec())) {
            continue;
        }
        for import in &scan.imports {
            let broken = [check_layer(&module, import), check_place(source, import), check_purity(source, import)];
            for rule in broken.into_iter().flatten() {
                violations.insert(Violation { path: source.path.clone(), line: import.line, rule });
            }
        }
        let pure = PURE.iter().any(|place| source.is_in(place));
        for &line in scan.async_lines.iter().filter(|_| pure) {
            let rule = "`async` in a part that only decides: I/O belongs in a driver".to_owned();
            violations.insert(Violation { path: source.path.clone(), line, rule });
        }
    }
    violations.into_iter().collect()
}

fn check_layer(module: &[String], import: &Import) -> Option<String> {
    let from = module.first()?.as_str();
    if import.segments.first()? != "crate" {
        return None;
    }
    let Some(to) = import.segments.get(1).map(String::as_str) else {
        return Some("imports the whole crate: name the module".into());
    };
    if to == from {
        return None;
    }
    if to == "*" {
        return Some("imports the whole crate: name the module".into());
    }
    let Some(at) = LAYERS.iter().position(|(name, _)| *name == from) else {
        return Some(format!("`{from}` is in no layer: give it a line in tests/layers.rs and in src/lib.rs"));
    };
    let names = |rows: &[(&'static str, Allowed)]| rows.iter().map(|(name, _)| *name).collect();
    let allowed: Vec<&str> = match &LAYERS[at].1 {
        Of(these) => these.to_vec(),
        Above => names(&LAYERS[..at]),
        Everything => names(LAYERS),
    };
    if allowed.contains(&to) {
        return None;
    }
    let allowed = if allowed.is_empty() { "nothing of ours".into() } else { allowed.join(", ") };
    Some(format!("`{from}` must not import `{to}`: it may import {allowed}"))
}

fn check_place(source: &Source, import: &Import) -> Option<String> {
    let (name, places) = PLACES.iter().find(|(name, _)| import.segments.first().is_some_and(|first| first == name))?;
    if places.iter().any(|place| source.is_in(place)) {
        return None;
    }
    Some(format!("`{name}` must not be used here: it belongs in {}", places.join(", ")))
}

fn check_purity(source: &Source, import: &Import) -> Option<String> {
    if !PURE.iter().any(|place| source.is_in(place)) {
        return None;
    }
    let first = import.segments.first()?.as_str();
    if IMPURE_CRATES.contains(&first) {
        return Some(format!("`{first}` in a part that only decides: I/O belongs in a driver"));
    }
    let clock =
        import.segments.windows(2).any(|pair| matches!(pair[0].as_str(), "Instant" | "SystemTime") && pair[1] == "now");
    clock.then(|| "a clock in a part that only decides: the time comes as an argument".into())
}

mod planted {
    use super::{Source, check, circles};

    /// The violations of one file, as `line: rule`.
    fn violations(path: &str, text: &str) -> Vec<String> {
        check(&[Source { path: path.into(), text: text.into() }])
            .iter()
            .map(|violation| format!("{}: {}", violation.line, violation.rule))
            .collect()
    }

    fn assert_found(path: &str, text: &str, line: usize, part: &str) {
        let found = violations(path, text);
        assert!(
            matches!(&found[..], [one] if one.starts_with(&format!("{line}: ")) && one.contains(part)),
            "{path}: {text}\n{found:?}"
        );
    }

    fn assert_clean(path: &str, text: &str) {
        assert_eq!(violations(path, text), Vec::<String>::new(), "{path}: {text}");
    }

    #[test]
    fn an_import_of_the_same_row_or_a_higher_one_is_found() {
        assert_found(
            "zone/build/mod.rs",
            "\nuse crate::registry::Path;",
            2,
            "`zone` must not import `registry`: it may import model, diagnostic, settings, disk",
        );
        assert_found(
            "model.rs",
            "use crate::backoff;",
            1,
            "`model` must not import `backoff`: it may import nothing of ours",
        );
        assert_found("dns/handler.rs", "fn f() {\n    crate::registry::x();\n}", 2, "`dns` must not import `registry`");
        assert_found("dns/handler.rs", "fn f(x: &Vec<crate::publish::X>) {}", 1, "must not import `publish`");
        assert_found(
            "zookeeper/tree.rs",
            "use crate::{backoff::Backoff,\n settings,\n model::{self, Service}};",
            3,
            "must not import `model`",
        );
        assert_found("admin/mod.rs", "pub(crate) use crate::config as c;", 1, "must not import `config`");
        assert_clean("publish/mod.rs", "use crate::{registry, format::x, zone::*, model, publish::registry};");
        assert_clean("cli/dev.rs", "use crate::{app, config, admin};");
        assert_clean("main.rs", "use zonekeeper::cli; use clap::Parser;");
    }

    #[test]
    fn two_files_that_import_each_other_are_found() {
        let found = |files: &[(&str, &str)]| {
            let source = |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
            circles(&files.iter().map(source).collect::<Vec<_>>())
        };
        let a = ("model/a.rs", "\nuse super::b::B;");
        assert_eq!(
            found(&[a, ("model/b.rs", "fn f() { crate::model::a::f() }")]),
            ["src/model/a.rs:2 and src/model/b.rs:1"]
        );
        assert_eq!(
            found(&[("model/mod.rs", "mod a;\npub use a::A;\nstruct B;"), ("model/a.rs", "use super::B;")]),
            ["src/model/mod.rs:2 and src/model/a.rs:1"],
            "a face that takes something from its file"
        );
        let clean: [&[(&str, &str)]; 4] = [
            &[a, ("model/b.rs", "use crate::model::c::C;"), ("model/c.rs", "struct C;")],
            &[("model/mod.rs", "mod a;\nstruct B;"), ("model/a.rs", "use super::B;")],
            &[a, ("model/b.rs", "#[cfg(test)]\nmod tests { use super::super::a::A; }")],
            &[a, ("model/b.rs", "use a::A; use other::model::a::B;")],
        ];
        for files in clean {
            assert_eq!(found(files), Vec::<String>::new(), "{files:?}");
        }
    }

    #[test]
    fn self_and_super_are_followed() {
        assert_found("dns/handler.rs", "use super::super::registry::Path;", 1, "must not import `registry`");
        assert_found("dns/mod.rs", "use super::registry::Path;", 1, "must not import `registry`");
        assert_found(
            "dns/mod.rs",
            "mod a { mod b { use super::super::super::registry; } }",
            1,
            "must not import `registry`",
        );
        assert_clean(
            "dns/mod.rs",
            "mod a { use super::registry; } use self::registry::x; fn f() { self::registry::y() }",
        );
        assert_clean("zone/file/reader.rs", "use super::super::name::Name; use super::{self, rules};");
    }

    #[test]
    fn a_module_without_a_layer_and_the_whole_crate_are_found() {
        assert_found("newcomer.rs", "use crate::model;", 1, "`newcomer` is in no layer");
        assert_found("dns/mod.rs", "use crate::*;", 1, "imports the whole crate");
        assert_found("dns/mod.rs", "use crate as all;", 1, "imports the whole crate");
    }

    #[test]
    fn a_foreign_crate_out_of_its_place_is_found() {
        assert_found("zookeeper/driver.rs", "use zookeeper_client as zk;", 1, "belongs in zookeeper/client");
        assert_found("zookeeper/driver.rs", "use ::zookeeper_client::Client;", 1, "belongs in zookeeper/client");
        assert_found("zookeeper/clients.rs", "fn f() { ::zookeeper_client::x() }", 1, "belongs in zookeeper/client");
        assert_found("zone/mod.rs", "#[derive(Debug, clap::Parser)]\nstruct X;", 1, "`clap` must not be used here");
        assert_found("zone/mod.rs", "type X = Result<toml::Value, ()>;", 1, "`toml` must not be used here");
        assert_clean("zookeeper/client.rs", "use zookeeper_client as zk;");
        assert_clean("zookeeper/client/mod.rs", "use zookeeper_client::Client;");
        assert_clean("zone/mod.rs", "fn f(toml: u8) { let clap = toml; x.toml::<u8>(); y::toml::z(); }");
    }

    #[test]
    fn async_tokio_and_clocks_are_found_where_decisions_are_made() {
        assert_found("zookeeper/mirror/mod.rs", "\nasync fn f() {}", 2, "`async` in a part that only decides");
        assert_found("zone/index.rs", "use tokio::sync::mpsc;", 1, "`tokio` in a part that only decides");
        assert_found("zone/index.rs", "fn f() { std::time::Instant::now(); }", 1, "a clock");
        assert_found("zone/index.rs", "use std::time::Instant;\nfn f() { Instant::now(); }", 2, "a clock");
        assert_clean("zookeeper/driver.rs", "use tokio::time::Instant; async fn f() { Instant::now(); }");
    }

    #[test]
    fn comments_and_texts_do_not_confuse_it() {
        let text = r##"
//! use crate::registry;
/* use crate::registry; /* nested */ use crate::registry; */
/// [`crate::registry`]
const A: &str = "use crate::registry; \" // ";
const B: &str = r#"crate::registry::x " "#;
const C: &[u8] = b"crate::registry::x";
const D: char = '"';
const E: char = '\'';
const F: u8 = b'"';
fn f<'a>(x: &'a str) -> impl Iterator + use<'a> { r#match::x() }
use crate::publish;
"##;
        assert_found("dns/mod.rs", text, 12, "must not import `publish`");
    }

    #[test]
    fn test_code_may_import_what_it_needs() {
        assert_clean("zone/mod.rs", "#[cfg(test)]\nmod tests { use crate::registry; #[tokio::test] async fn f() {} }");
        assert_clean(
            "zone/mod.rs",
            "#[cfg(test)]\nuse crate::{registry, dns};\n#[cfg(test)]\n#[allow(x)]\nfn f(x: [u8; 2]) { crate::dns::x() }",
        );
        let after = "#[cfg(test)]\nmod tests { use crate::registry; }\n#[cfg(test)]\nuse crate::{registry, dns};\nuse crate::cli;";
        assert_found("zone/mod.rs", after, 5, "must not import `cli`");
        let parent = Source { path: "zone/mod.rs".into(), text: "#[cfg(test)]\nmod tests;\nmod other;".into() };
        let import = "use crate::registry;";
        let tests = Source { path: "zone/tests.rs".into(), text: import.into() };
        let helper = Source { path: "zone/tests/helper.rs".into(), text: import.into() };
        let other = Source { path: "zone/other.rs".into(), text: import.into() };
        let found = check(&[parent, tests, helper, other]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].to_string(),
            "src/zone/other.rs:1: `zone` must not import `registry`: it may import model, diagnostic, settings, disk"
        );
    }
}
