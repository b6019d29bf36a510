//! `read` of a `[registry.NAME]` table: several readers of a registry, each with a convention, a root and a place of
//! its own in the zones.

use crate::diagnostic::{Problems, Span};
use crate::format::{self, NodeKind};
use crate::registry::Path;
use crate::settings::{Kind, Located, Section, Table, Value, fixed};

/// A reader of a registry, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderConfig {
    /// Its name among the registry's: `kafka`.
    pub name: String,
    /// The znode that it reads, with all below it.
    pub root: Path,
    /// The convention of its znodes.
    pub format: format::Config,
    /// The path that its services are put under, in lower case; empty for none.
    pub place: String,
}

/// A reader, and where it stands.
struct ReadItem {
    reader: ReaderConfig,
    span: Span,
    is_named: bool,
}

/// A form of `read` that is right.
const EXAMPLE: &str = "write read = [\"zc\", { format = \"nd\", root = \"/nd\", as = \"nd\" }]";

/// Reads `read`, whose formats are of `formats`; empty where the registry has one reader, which the table itself
/// describes. `table` is that of the registry.
pub(super) fn read(section: &mut Section<'_>, table: &Table, formats: &format::Formats) -> Vec<ReaderConfig> {
    let problems = section.problems();
    let Some(value) = section.value(fixed("read")) else { return Vec::new() };
    for (key, span, _) in &table.entries {
        if ["root", "format", "providers"].contains(&key.as_str()) {
            let help = format!("`{key}` is each reader's own there: {EXAMPLE}");
            problems.add_with_help(*span, format!("`{key}` cannot stand beside `read`"), help);
        }
    }
    let Kind::Array(items) = &value.kind else {
        problems.add_with_help(value.span, format!("`read` must be a list, not {}", value.kind.name()), EXAMPLE);
        return Vec::new();
    };
    if items.is_empty() {
        let message = "`read` is empty: nothing would be read";
        problems.add_with_help(value.span, message, format!("{EXAMPLE}, or leave it out"));
    }
    let mut readers: Vec<ReadItem> = Vec::new();
    for item in items {
        let Some(mut new) = read_one(item, section.name(), formats, problems) else { continue };
        let is_taken = |name: &str| readers.iter().any(|other| other.reader.name == name);
        if !new.is_named && is_taken(&new.reader.name) {
            let root = new.reader.root.as_str().trim_matches('/');
            let word = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
            new.reader.name = format!("{}-{}", new.reader.name, root.chars().map(word).collect::<String>());
        }
        if is_taken(&new.reader.name) {
            let message = format!("there is another reader \"{}\" in this registry", new.reader.name);
            problems.add_with_help(new.span, message, "give one of them a `name`");
        }
        for other in &readers {
            check_apart(&other.reader, &new.reader, new.span, problems);
        }
        readers.push(new);
    }
    readers.into_iter().map(|placed| placed.reader).collect()
}

fn read_one(item: &Value, section: &str, formats: &format::Formats, problems: &Problems) -> Option<ReadItem> {
    let name = format!("{section}.read");
    let string;
    let table = match &item.kind {
        Kind::Table(table) => table,
        Kind::String(_) => {
            string = Table { span: item.span, entries: vec![("format".to_owned(), item.span, item.clone())] };
            &string
        }
        kind => {
            let message = format!("`read` must hold names of formats and tables, not {}", kind.name());
            problems.add_with_help(item.span, message, EXAMPLE);
            return None;
        }
    };
    let mut section = Section::new(table, name, problems);
    let providers = format::Config::read_providers(&mut section);
    let format = section.required::<String>(fixed("format"));
    let root = section.located::<String>(fixed("root"));
    let place = section.located::<String>(fixed("as")).map(|place| read_place(&place, problems));
    let own_name = section.located::<String>(fixed("name"));
    section.finish();
    let format = format::Config::named(&format?, &providers, formats, problems)?;
    let root = match root {
        Some(Located { value, span }) => Path::new(&value)
            .map_err(|error| {
                let message = format!("`root` must be the path of a znode: {error}");
                problems.add_with_help(span, message, "for example \"/services\"");
            })
            .ok()?,
        None => Path::new(&format.usual_root).ok().or_else(|| {
            let message = format!("the format \"{}\" has no usual root", format.name());
            problems.add_with_help(table.span, message, "say it: root = \"/PATH\"");
            None
        })?,
    };
    let is_word =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let (name, span) = own_name.as_ref().map_or((format.name(), item.span), |own| (&*own.value, own.span));
    // The files of the serials and of the drains have these ends.
    if !is_word(name) || ["serials", "drains"].contains(&name) {
        let message = format!("a reader cannot be called \"{name}\"");
        let help = "its `name` is made of letters, digits, `-` and `_`, and is neither \"serials\" nor \"drains\"";
        problems.add_with_help(span, message, help);
    }
    let (is_named, name) = (own_name.is_some(), name.to_owned());
    let place = place.unwrap_or_default();
    Some(ReadItem { reader: ReaderConfig { name, root, format, place }, span: item.span, is_named })
}

/// Reads `as`. It is in names that clients write, so it has no more characters than a host's name has.
fn read_place(Located { value, span }: &Located<String>, problems: &Problems) -> String {
    let is_label = |element: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&element.len())
            && element.bytes().all(is_inner)
            && !element.starts_with('-')
            && !element.ends_with('-')
    };
    let place = value.to_ascii_lowercase();
    if value.is_empty() {
        return place;
    }
    if !place.split('/').all(is_label) || place.len() > 200 {
        let message = format!("`as` must be labels of host names, separated by single slashes, not \"{value}\"");
        problems.add_with_help(*span, message, "as = \"pg\" puts the services of this reader at NAME.pg in the zone");
    } else if place == "addr" || place.starts_with("addr/") {
        let message = "`as` cannot begin with \"addr\": the addresses of instances have their names there";
        problems.add_with_help(*span, message, "choose another");
    }
    place
}

/// Checks that of two readers none takes what is the other's for services of its own.
fn check_apart(one: &ReaderConfig, other: &ReaderConfig, span: Span, problems: &Problems) {
    let takes = |reader: &ReaderConfig, below: &str| {
        let kind = reader.format.place(if below.is_empty() { "any" } else { below });
        matches!(kind, NodeKind::Service { .. } | NodeKind::Leaf { .. })
    };
    let is_same = one.root == other.root && one.format == other.format;
    let is_within = |outer: &ReaderConfig, inner: &ReaderConfig| match inner.root.below(&outer.root) {
        Some("") => takes(outer, "") && takes(inner, ""),
        Some(below) => takes(outer, below),
        None => false,
    };
    let message = if one.root == other.root && (is_same || is_within(one, other)) {
        format!("two readers of this registry have the root {}", other.root)
    } else if is_within(one, other) {
        format!("the root {} lies within {}, which reader \"{}\" reads", other.root, one.root, one.name)
    } else if is_within(other, one) {
        format!("the root {} of reader \"{}\" lies within {}", one.root, one.name, other.root)
    } else {
        return;
    };
    let help = "each znode is read by one of them: give them roots apart from each other";
    problems.add_with_help(span, message, help);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, parse};

    const MINIMAL: &str = "[dns]\n[registry.main]\nzookeeper = \"127.0.0.1:2181\"\n[[zone]]\norigin = \"service.\"\n";

    fn read(text: &str) -> Config {
        parse(Path::new("z.toml"), text).unwrap_or_else(|report| panic!("{report}\n{text}"))
    }

    fn problems(text: &str) -> String {
        match parse(Path::new("z.toml"), text) {
            Ok(config) => panic!("no problem was found in\n{text}\n{config:?}"),
            Err(report) => report.to_string(),
        }
    }

    #[test]
    fn a_registry_has_several_readers_each_with_its_root_and_place() {
        let with = |read: &str, more: &str| {
            format!("[registry.main]\nzookeeper = \"a:1\"\ncache_file = \"/c/main\"\nread = {read}\n[dns]\n{more}")
        };
        let list = "[\"curator\", { format = \"nd\", root = \"/nd\", as = \"PG/eu\" }, { format = \"nd\", root = \"/a/b\" }, \
                    { format = \"zc\", root = \"/x\", name = \"old\", providers = \"p\" }]";
        let config = read(&with(list, "[[service]]\nname = \"db\"\nport = 1\nroot = \"/x\""));
        let readers: Vec<_> = config.readers().collect();
        let shown: Vec<_> = readers
            .iter()
            .map(|one| {
                let file = one.registry.zookeeper.cache_file.as_ref().unwrap().display().to_string();
                let root = one.registry.zookeeper.root.to_string();
                (one.name.to_string(), root, one.registry.format.name().to_owned(), one.place.clone(), file)
            })
            .collect();
        let row = |name: &str, root: &str, format: &str, place: &str, file: &str| {
            (name.to_owned(), root.to_owned(), format.to_owned(), place.to_owned(), file.to_owned())
        };
        assert_eq!(
            shown,
            [
                row("main/curator", "/services", "curator", "", "/c/main.curator"),
                row("main/nd", "/nd", "nd", "pg/eu", "/c/main.nd"),
                row("main/nd-a-b", "/a/b", "nd", "", "/c/main.nd-a-b"),
                row("main/old", "/x", "zc", "", "/c/main.old"),
            ]
        );
        let services: Vec<usize> = readers.iter().map(|one| config.services_of_reader(one).len()).collect();
        assert_eq!(services, [0, 0, 0, 1]);
        let alone = read(&MINIMAL.replace("[[zone]]", "cache_file = \"/c\"\n[[zone]]"));
        let [only] = &*alone.readers().collect::<Vec<_>>() else { panic!("{alone:?}") };
        assert_eq!((only.name.to_string(), &only.registry), ("main".to_owned(), &alone.registries[0]));
    }

    #[test]
    fn what_is_wrong_with_readers_is_told_where_it_stands() {
        let told = |read: &str| problems(&format!("[registry.main]\nmemory = \"a\"\nread = {read}\n[dns]\n"));
        for (read, expected) in [
            ("[]", "z.toml:3:8: error: `read` is empty"),
            ("\"zc\"", "z.toml:3:8: error: `read` must be a list, not a string"),
            ("[1]", "z.toml:3:9: error: `read` must hold names of formats and tables, not a whole number"),
            ("[\"zk\"]", "z.toml:3:9: error: there is no znode format \"zk\""),
            ("[{ root = \"/a\" }]", "`format` is missing in [registry.main.read]"),
            ("[{ format = \"nd\", rot = \"/a\" }]", "did you mean `root`?"),
            ("[{ format = \"nd\", root = \"a\" }]", "`root` must be the path of a znode"),
            ("[{ format = \"nd\", as = \"my_pg\" }]", "`as` must be labels of host names"),
            ("[{ format = \"nd\", as = \"/pg\" }]", "`as` must be labels of host names"),
            ("[{ format = \"nd\", as = \"addr\" }]", "`as` cannot begin with \"addr\""),
            ("[{ format = \"nd\", name = \"a b\" }]", "a reader cannot be called \"a b\""),
            ("[{ format = \"nd\", name = \"serials\" }]", "a reader cannot be called \"serials\""),
            ("[\"nd\", { format = \"zc\", root = \"/z\", name = \"nd\" }]", "there is another reader \"nd\""),
            ("[\"nd\", \"nd\"]", "two readers of this registry have the root /services"),
            ("[\"nd\", \"curator\"]", "two readers of this registry have the root /services"),
            (
                "[\"nd\", { format = \"zc\", root = \"/services/zc\" }]",
                "the root /services/zc lies within /services, which reader \"nd\" reads",
            ),
            ("[\"nd\", { format = \"zc\", root = \"/\" }]", "the root /services of reader \"nd\" lies within /"),
        ] {
            let told = told(read);
            assert!(told.contains(expected) && told.contains('^'), "{read}: {told}");
        }
        let beside =
            problems("[registry.main]\nmemory = \"a\"\nroot = \"/x\"\nformat = \"nd\"\nread = [\"zc\"]\n[dns]\n");
        for key in ["root", "format"] {
            assert!(beside.contains(&format!("`{key}` cannot stand beside `read`")), "{beside}");
        }
        let merge = problems(&MINIMAL.replace("origin = ", "merge = \"all\"\norigin = "));
        assert!(merge.contains("`merge` must be \"first\" or \"union\", not \"all\""), "{merge}");
    }

    #[test]
    fn a_reader_that_no_zone_shows_and_an_ensemble_behind_a_chroot_are_told() {
        let with = |servers: &str, read: &str, under: &str| {
            let zone = format!("[[zone]]\norigin = \"service.\"\nunder = \"{under}\"\n");
            read_all(&format!("[dns]\n[registry.main]\nzookeeper = \"{servers}\"\nread = {read}\n{zone}"))
        };
        let apart = "[\"zc\", { format = \"patroni\", as = \"pg\" }]";
        assert_eq!(with("a:1", apart, ""), "");
        assert_eq!(with("a:1", apart, "pg"), "");
        assert_eq!(with("a:1", apart, "pg/orders-db"), "");
        let told = with("a:1", apart, "staging");
        let message = "warning: no zone shows the services of reader \"patroni\", which are below \"pg\"";
        assert!(
            told.contains(&format!("z.toml:4:42: {message}")) && told.contains("show \"staging\" in service."),
            "{told}"
        );
        assert_eq!(with("a:1", "[\"ensemble\"]", ""), "");
        let told = with("a:1/app", "[\"zc\", \"ensemble\"]", "");
        let message = "warning: \"ensemble\" reads /zookeeper/config, which nobody sees through the chroot /app";
        assert!(told.contains(&format!("z.toml:3:13: {message}")), "{told}");
    }

    fn read_all(text: &str) -> String {
        read(text).warnings.to_string()
    }

    #[test]
    fn a_service_says_which_of_several_roots_it_is_registered_below() {
        let with = |read: &str, root: &str| {
            problems(&format!(
                "[registry.main]\nmemory = \"a\"\n{read}\n[dns]\n[[service]]\nname = \"db\"\nport = 1\n{root}"
            ))
        };
        let read = "read = [{ format = \"zc\", root = \"/a\" }, \"nerve\"]";
        assert!(with(read, "").contains("`db` must say the `root` that it is registered below"));
        let unknown = with(read, "root = \"/b\"");
        assert!(
            unknown.contains("no reader of [registry.main] has the root /b") && unknown.contains("\"/a\""),
            "{unknown}"
        );
        assert!(with(read, "root = \"/nerve/services\"").contains("cannot be registered in the format \"nerve\""));
        assert!(with("", "root = \"/x\"").contains("[registry.main] does not read /x"));
        assert!(with("", "root = \"x\"").contains("`root` must be the path of a znode"));
    }

    #[test]
    fn drains_are_apart_from_all_that_readers_take_for_services() {
        let with = |read: &str, drains: &str| {
            format!("[registry.main]\nzookeeper = \"a:1\"\n{read}\ndrains = \"{drains}\"\n[dns]\n")
        };
        let apart = "read = [\"curator\", { format = \"kafka\", root = \"/kafka/brokers/ids\" }]";
        let config = read(&with(apart, "/zonekeeper/drains"));
        assert_eq!(config.registries[0].zookeeper.drains.as_ref().unwrap().as_str(), "/zonekeeper/drains");
        for (read, drains, expected) in [
            ("", "/services/drains", "`drains` is /services/drains, which is within the root /services of reader main"),
            (apart, "/services", "`drains` is /services, and the root /services of reader main/curator is in it"),
            ("root = \"/a/b\"", "/a", "`drains` is /a, and the root /a/b of reader main is in it"),
            ("root = \"/\"", "/zonekeeper/drains", "which is within the root / of reader main"),
            ("", "/", "`drains` must be a znode of its own, not /"),
            ("", "/zookeeper/drains", "`drains` must be a znode of its own, not /zookeeper/drains"),
            ("", "drains", "`drains` must be the path of a znode"),
        ] {
            let told = problems(&with(read, drains));
            assert!(told.contains(expected) && told.contains('^'), "{read} {drains}: {told}");
        }
        let memory = problems("[registry.main]\nmemory = \"a\"\ndrains = \"/d\"\n[dns]\n");
        assert!(memory.contains("`drains` has no use beside `memory`"), "{memory}");
    }

    #[test]
    fn no_two_files_of_caches_and_serials_are_the_same() {
        let of = |first: &str, second: &str| {
            problems(&format!(
                "[registry.a]\nzookeeper = \"a:1\"\n{first}\n[registry.b]\nzookeeper = \"b:1\"\n{second}\n[dns]\n"
            ))
        };
        let read = "read = [\"nd\", { format = \"zc\", root = \"/z\" }]";
        for (first, second) in [
            ("cache_file = \"c\"".to_owned(), "cache_file = \"c\"".to_owned()),
            (format!("cache_file = \"c\"\n{read}"), "cache_file = \"c.zc\"".to_owned()),
            ("cache_file = \"c\"".to_owned(), "cache_file = \"c.serials\"".to_owned()),
        ] {
            assert!(of(&first, &second).contains("`cache_file` is another registry's too"), "{first} {second}");
        }
    }
}
