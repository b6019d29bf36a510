//! Tests of what a whole configuration may say and leave out, and of how its mistakes are told.

mod formats;
mod kept_files;

use std::time::Duration;

use super::*;
use crate::zookeeper::config::Backing as Znodes;

const TEMPLATE: &str = include_str!("../../deploy/zonekeeper.toml");

/// The least that makes sense.
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

/// The first lines of all problems, without the file's name.
fn told(text: &str) -> Vec<String> {
    let report = problems(text);
    let first_lines = report.lines().filter_map(|line| line.strip_prefix("z.toml:"));
    first_lines.map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn the_template_says_the_defaults() {
    let template = read(TEMPLATE);
    let minimal = read(&format!("{MINIMAL}[admin]\n"));
    assert_eq!(template.registries, minimal.registries);
    assert_eq!(template.zones, minimal.zones);
    assert_eq!(template.dns, minimal.dns);
    assert_eq!(template.dns, Some(dns::config::Config::default()));
    assert_eq!(template.admin, minimal.admin);
    assert_eq!(template.admin, Some(admin::config::Config::default()));
    assert_eq!(template.announce, announce::Config::default());
}

/// Returns whether a line, freed of its comment sign, sets a key or begins a table.
fn is_setting(said: &str) -> bool {
    let is_key = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b"_.".contains(&b));
    said.starts_with('[') || said.split_once(" = ").is_some_and(|(key, _)| is_key(key))
}

#[test]
fn every_commented_setting_of_the_template_is_right() {
    let mut count = 0;
    let lines = TEMPLATE.lines().map(|line| match line.strip_prefix("# ") {
        // The two sources of a registry exclude each other, as do those of its credentials and of a key; the others are
        // read below. Files with secrets are read with the configuration, and are not there.
        Some(said)
            if is_setting(said)
                && !["memory = ", "read = ", "auth = ", "secret_file = ", "cookie_secret_file = ", "template = "]
                    .iter()
                    .any(|key| said.starts_with(key)) =>
        {
            count += 1;
            said
        }
        _ => line,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let config = read(&text);
    assert_eq!(config.announce.services.len(), 1);
    assert!(config.zones[0].file.is_some());
    assert_eq!(config.keys.len(), 1);
    assert_eq!(config.files.len(), 1);
    assert!(count >= 7, "only {count} commented settings were found");

    let memory = TEMPLATE.replace("\nzookeeper = ", "\n# zookeeper = ").replace("\n# memory = ", "\nmemory = ");
    assert!(matches!(read(&memory).registries[0].zookeeper.source, Znodes::Memory(_)));
    let said = read(&TEMPLATE.replace("\n# auth = ", "\nauth = "));
    assert!(said.registries[0].zookeeper.security.auth.is_some());
}

#[test]
fn a_problem_with_a_password_does_not_show_it() {
    for line in ["auth = \"reader:swordfish\"", "auth = \"digest:swordfish\""] {
        let told = problems(&MINIMAL.replace("[[zone]]", &format!("{line}\n[[zone]]")));
        assert!(told.contains("`auth` of [registry.main]") && !told.contains("swordfish"), "{told}");
    }
}

#[test]
fn certificates_and_servers_with_tls_come_together() {
    let with = |zookeeper: &str, more: &str| {
        MINIMAL.replace("zookeeper = \"127.0.0.1:2181\"", &format!("zookeeper = \"{zookeeper}\"\n{more}"))
    };
    assert!(problems(&with("tcp+tls://zk1:2281", "")).contains("`tcp+tls://` needs `tls`"));
    assert!(problems(&with("zk_1:2281", "tls = { ca = \"ca.pem\" }")).contains("no certificate can hold"));
    assert!(
        problems(&with("zk1", "tls = { ca = \"ca.pem\", cert = \"c.pem\" }")).contains("`cert` and `key` go together")
    );
    assert!(problems(&with("zk1", "tls = {}")).contains("`ca` is missing"));
    assert!(problems(&with("zk1", "auth = \"digest:a:b\"\nauth_file = \"f\"")).contains("exclude each other"));
    let config = read(&with("tcp+tls://zk1:2281,tcp://zk_2:2181/a", "tls = { ca = \"ca.pem\" }"));
    assert!(config.registries[0].zookeeper.security.tls.is_some());
}

/// An unknown key brings out the list of the known ones.
#[test]
fn every_key_that_can_be_set_is_in_the_template() {
    let text = "[registry.main]\nqqqqqqqqqqqq = 1\nzookeeper = \"a\"\n[[zone]]\norigin = \"a\"\nqqqqqqqqqqqq = 1\n\
                [dns]\nqqqqqqqqqqqq = 1\n[dns.tcp]\nqqqqqqqqqqqq = 1\n[dns.rate]\nqqqqqqqqqqqq = 1\n[admin]\nqqqqqqqqqqqq = 1\n\
                [announce]\nqqqqqqqqqqqq = 1\n[[service]]\nname = \"a\"\nport = 1\nqqqqqqqqqqqq = 1\n\
                 [[key]]\nname = \"a\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\nqqqqqqqqqqqq = 1\n";
    let report = problems(text);
    let known: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("  help: known keys: ")).collect();
    assert_eq!(known.len(), text.matches("qqqqqqqqqqqq").count(), "{report}");
    for key in known.iter().flat_map(|keys| keys.split(", ")) {
        let set = |line: &str| {
            let line = line.trim_start_matches("# ");
            // A key that is a table has a heading.
            line.starts_with(&format!("{key} = ")) || line.starts_with('[') && line.ends_with(&format!(".{key}]"))
        };
        assert!(TEMPLATE.lines().any(set), "`{key}` is not in the template");
    }
}

#[test]
fn the_time_between_two_verifications_has_bounds_and_can_be_reloaded() {
    let with = |verify: &str| format!("[registry.main]\nmemory = \"a\"\n{verify}\n[admin]\n");
    assert_eq!(read(&with("")).registries[0].zookeeper.verify, Duration::from_secs(600));
    let off = read(&with("verify = \"0s\""));
    assert_eq!(off.registries[0].zookeeper.verify, Duration::ZERO);
    assert_eq!(off.fixed_differences(&read(&with("verify = \"1h\""))), Vec::<String>::new());
    for bad in ["10ms", "30d"] {
        let report = problems(&with(&format!("verify = \"{bad}\"")));
        assert!(report.contains("`verify` must be from 1s to 7d"), "{report}");
    }
}

#[test]
fn a_guard_is_there_only_where_its_table_is() {
    let with = |guard: &str| format!("[registry.main]\nmemory = \"a\"\n{guard}\n[admin]\n");
    assert_eq!(read(&with("")).registries[0].guard, None);
    assert_eq!(read(&with("guard = {}")).registries[0].guard, Some(guard::Config::default()));
    let set = read(&with("guard = { percent = 20, window = \"1m\", hold = \"1h\" }")).registries[0].guard.unwrap();
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    assert_eq!(set, guard::Config { percent: 20, window: minute, hold: hour });
    let report = problems(&with("guard = { percent = 100, wait = \"1s\" }"));
    assert!(report.contains("`percent` must be from 1 to 99") && report.contains("`wait`"), "{report}");
}

#[test]
fn every_setting_arrives_where_it_belongs() {
    let config = read(
        "[registry.a]\nmemory = \"/a.tree\"\nroot = \"/\"\nsession_timeout = \"4s\"\nmax_stale = \"1h\"\n\
         providers = \"\"\nformat = \"nd\"\n[registry.b-2]\nzookeeper = \"zk1:2181,[::1]:2182/chroot\"\n\
         [[zone]]\norigin = \"Svc.Example\"\nregistry = \"b-2\"\nunder = \"/staging/\"\nttl = \"1m\"\nnegative_ttl = \"0s\"\n\
         [[zone]]\norigin = \".\"\nregistry = \"a\"\n[dns]\nlisten = [\"[::]:53\", \"0.0.0.0:53\"]\n\
         [admin]\nlisten = \"[::1]:80\"\n",
    );
    let [a, b] = &*config.registries else { panic!("{config:?}") };
    assert_eq!((&*a.name, &a.zookeeper.source), ("a", &Znodes::Memory("/a.tree".into())));
    assert_eq!((a.zookeeper.root.as_str(), &*a.format.providers), ("/", ""));
    assert_eq!(
        (a.zookeeper.session_timeout, a.zookeeper.max_stale),
        (Duration::from_secs(4), Duration::from_secs(3600))
    );
    assert_eq!(a.format.convention.name(), "nd");
    assert_eq!((&*b.name, &b.zookeeper.source), ("b-2", &Znodes::ZooKeeper("zk1:2181,[::1]:2182/chroot".into())));
    let [zone, root] = &*config.zones else { panic!("{config:?}") };
    assert_eq!((zone.origin.to_string(), &*zone.under), ("svc.example.".to_owned(), "staging"));
    assert_eq!((zone.registry.as_deref(), zone.ttl, zone.negative_ttl), (Some("b-2"), 60, 0));
    assert!(root.origin.is_root());
    assert_eq!(config.dns.unwrap().listen, ["[::]:53".parse().unwrap(), "0.0.0.0:53".parse().unwrap()]);
    assert_eq!(config.admin.unwrap().listen, "[::1]:80".parse().unwrap());
}

#[test]
fn five_mistakes_are_five_problems_with_line_column_and_caret() {
    let text = "\
[registry.main]
zookeeper = \"127.0.0.1:2181\"
session_timeout = 10
rooot = \"/services\"

[[zone]]
origin = \"ser..vice\"
ttl = \"soon\"

[dns]
listen = [\"127.0.0.1:5300\", \"localhost\"]
";
    let expected = "\
z.toml:3:19: error: `session_timeout` must be a duration such as \"5s\", \"250ms\" or \"1d\", not a whole number
    3 | session_timeout = 10
      |                   ^^

z.toml:4:1: error: unknown key `rooot` in [registry.main]
    4 | rooot = \"/services\"
      | ^^^^^
  help: did you mean `root`?

z.toml:7:10: error: `origin` must be a domain name: a label is empty
    7 | origin = \"ser..vice\"
      |          ^^^^^^^^^^^
  help: for example \"service.\", or \"sd.example.com.\"

z.toml:8:7: error: `ttl` must be a duration such as \"5s\", \"250ms\" or \"1d\": expected number at 0
    8 | ttl = \"soon\"
      |       ^^^^^^

z.toml:11:29: error: `listen` has an element that must be an address with a port such as \"127.0.0.1:5300\" or \"[::1]:5300\", not \"localhost\"
   11 | listen = [\"127.0.0.1:5300\", \"localhost\"]
      |                             ^^^^^^^^^^^
";
    assert_eq!(problems(text), expected);
}

#[test]
fn a_service_is_checked_by_the_convention_of_its_registry() {
    let service = "[[service]]\nname = \"a/providers\"\nport = 80\nproperties = { weight = 70000 }\n";
    let registry = "[registry.main]\nzookeeper = \"127.0.0.1:2181\"\n";
    let found = problems(&format!("{registry}{service}"));
    assert!(found.contains("z.toml:4:8: error: `a/providers` is not the path of a service"), "{found}");
    assert!(found.contains("z.toml:6:14: error: `weight` is 70000"), "{found}");
    let found = problems(&format!("{registry}format = \"nd\"\n{service}"));
    assert_eq!(found.matches(": error: ").count(), 1, "{found}");
}

#[test]
fn who_keeps_znodes_to_himself_must_be_somebody() {
    let text = |auth: &str| {
        format!(
            "[registry.main]\nzookeeper = \"127.0.0.1:2181\"\n{auth}[announce]\nacl = \"creator\"\n\
             [[service]]\nname = \"a\"\nport = 80\n"
        )
    };
    let found = problems(&text(""));
    assert!(found.starts_with("z.toml:4:7: error: `acl = \"creator\"` needs somebody to be"), "{found}");
    assert_eq!(
        read(&text("auth = \"digest:a:b\"\n")).announce.settings.acl,
        crate::zookeeper::session::Access::Creator
    );
}

#[test]
fn a_slip_in_one_line_does_not_hide_the_mistakes_in_others() {
    let text = "\
[registry.main]
zookeeper = zk1:2181
session_timeout = 10
root = \"/services
[[zone]]
origin = \"service.\"
origin = \"again.\"
ttl = 5s
negative_ttl = true
[dns]
listen =
[dns]
listne = 1
";
    let told = told(text);
    let places: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["2:13", "3:19", "4:18", "7:1", "8:7", "9:16", "11:9", "12:2", "13:1"], "{told:#?}");
    assert!(
        told[4].ends_with("text must stand in quotes") && told[3].ends_with("`origin` is here for the second time")
    );
    assert!(problems(text).contains("  help: write \"5s\"\n"));
}

#[test]
fn a_slip_that_shifts_all_that_follows_is_told_alone() {
    let rest = "\nzookeeper = 1\n[dns]\nlisten = 1\n";
    for slip in ["[registry.main", "[registry main]", "a = { b = 1,", "a = { b = 1"] {
        let told = told(&format!("{slip}{rest}"));
        assert!(told.iter().all(|line| line.contains("this is not TOML")), "{slip}: {told:#?}");
    }
    for slip in ["a = [1,", "[x]\na = [1,", "[[x]]\na = [", "a.b = [[1], [2", "a = \"\"\"x"] {
        let told = told(&format!("{slip}{rest}"));
        assert!(told.len() == 1 && told[0].ends_with("what is opened here is never closed"), "{slip}: {told:#?}");
        let line = slip.lines().count();
        let column = slip.lines().last().unwrap().find(['[', '{', '"']).unwrap() + 1;
        assert!(told[0].starts_with(&format!("{line}:{column}: ")), "{slip}: {told:#?}");
    }
}

#[test]
fn what_is_named_must_be_there() {
    let one = |text: &str, place: &str, message: &str| {
        let told = told(text);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].starts_with(place) && told[0].contains(message), "{told:#?}");
    };
    one("[dns]\n[[zone]]\norigin = \"service.\"\n", "2:1: ", "zone service. has nothing to show");
    let beside = format!("{MINIMAL}[[zone]]\norigin = \"a\"\nregistry = \"\"\n");
    one(&beside, "6:1: ", "zone a. has nothing to show");
    let with_part = format!("{beside}file = \"f\"\nunder = \"b\"\n");
    one(&with_part, "10:9: ", "there is none");
    let config = read(&format!("{beside}file = \"f\"\n"));
    assert_eq!(config.zones.iter().map(|zone| zone.registry.as_deref()).collect::<Vec<_>>(), [Some("main"), None]);
    one("[dns]\n[[zone]]\norigin = \"a\"\nfile = \"f\"\nunder = \"b\"\n", "5:9: ", "there is none");
    one("[dns]\n[[zone]]\norigin = \"a\"\nregistry = \"x\"\n", "4:12: ", "there is no [registry.x]");
    one(&format!("{MINIMAL}registry = \"mian\"\n"), "6:12: ", "there is no [registry.mian]");
    one(&format!("[registry.b]\nzookeeper = \"b\"\n{MINIMAL}"), "6:1: ", "a zone must say its `registry`");
    one(&format!("{MINIMAL}[[zone]]\norigin = \"SERVICE\"\n"), "7:10: ", "there is another zone service.");
    let service = "[[service]]\nname = \"a\"\nport = 1\n";
    one(service, "2:8: ", "there is no registry to register it in");
    one(&format!("{MINIMAL}{service}registry = \"x\"\n"), "9:12: ", "there is no [registry.x]");
    one(&format!("{MINIMAL}[admin]\nlisten = \"127.0.0.1:5300\"\n"), "7:10: ", "[dns] listens on 127.0.0.1:5300");
    let memory = "memory = \"x\"\n";
    let zone = MINIMAL.replace("\"service.\"", "\"service.\"\nregistry = \"main\"");
    one(&format!("{zone}[registry.\"a b\"]\n{memory}"), "7:11: ", "letters");
}

#[test]
fn a_bad_registry_is_told_once_and_not_by_those_who_name_it() {
    let zone = "[dns]\n[[zone]]\norigin = \"service.\"\nregistry = \"main\"\n";
    assert_eq!(told(&format!("{zone}[registry.main]\nzookeeper = \"a:b\"\n")).len(), 1);
    assert_eq!(told(&format!("{zone}[registry.main]\n")).len(), 1);
    let flat = told("[dns]\n[[zone]]\norigin = \"service.\"\n[registry]\nzookeeper = \"a\"\n");
    assert_eq!(flat, ["5:1: error: `registry.zookeeper` must be a table, not a string"]);
}

#[test]
fn a_zone_with_two_mistakes_has_two_problems() {
    let told =
        told(&format!("{MINIMAL}[[zone]]\norigin = \"böse.\"\nregistry = \"x\"\nunder = \"a//b\"\nttl = \"1.5s\"\n"));
    let places: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["7:10", "8:12", "9:9", "10:7"], "{told:#?}");
}

#[test]
fn a_registry_has_one_source_and_bounds() {
    let with = |text: &str| told(&format!("[dns]\n[registry.main]\n{text}"));
    assert_eq!(with("root = \"/x\"\n"), ["2:1: error: [registry.main] does not say where its znodes are"]);
    assert!(
        with("zookeeper = \"a\"\nmemory = \"b\"\n")[0].starts_with("4:10: error: `memory` and `zookeeper` exclude")
    );
    let bounds = with("memory = \"b\"\nsession_timeout = \"10ms\"\nmax_stale = \"99999y\"\nroot = \"services\"\n");
    assert_eq!(bounds.len(), 3, "{bounds:#?}");
    assert!(bounds[2].ends_with("must be the path of a znode: it must begin with a slash"), "{bounds:#?}");
    for servers in ["", "a,,b", "a:b", "a/b/", "a, b", "http://a"] {
        assert_eq!(with(&format!("zookeeper = \"{servers}\"\n")).len(), 1);
    }
}

#[test]
fn each_address_is_judged_by_itself() {
    let told = told(&MINIMAL.replace("[dns]", "[dns]\nlisten = [\"x\", \"[::1]:1\", \"y\", \"[::1]:1\", 5]"));
    let places: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["2:11", "2:27", "2:32", "2:43"], "{told:#?}");
    assert!(problems(&MINIMAL.replace("[dns]", "dns = 5")).contains("`dns` must be a table, not a whole number"));
    assert!(problems(&MINIMAL.replace("[dns]", "[dns]\nlisten = []")).contains("must name an address"));
    assert!(problems(&MINIMAL.replace("[[zone]]", "[zone]")).contains("help: write [[zone]], with two brackets"));
}

#[test]
fn a_configuration_that_turns_nothing_on_is_a_mistake() {
    assert!(problems("").starts_with("z.toml: error: there is nothing to do\n  help: "));
    assert!(problems(&MINIMAL.replace("[dns]", "")).contains("nothing to do"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "[dns]\n[registry.main]\nmemory = \"seed.tree\"\n[[zone]]\norigin = \"a\"\nfile = \"/abs.zone\"\n";
    let config = parse(Path::new("/etc/zonekeeper/z.toml"), text).unwrap();
    assert_eq!(config.registries[0].zookeeper.source, Znodes::Memory("/etc/zonekeeper/seed.tree".into()));
    assert_eq!(config.zones[0].file.as_deref(), Some(Path::new("/abs.zone")));
    assert_eq!(read(text).registries[0].zookeeper.source, Znodes::Memory("seed.tree".into()));
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = std::env::temp_dir().join(format!("zonekeeper-config-{:016x}", fastrand::u64(..)));
    std::fs::create_dir(&directory).unwrap();
    let said = |name: &str, bytes: Option<&[u8]>| {
        let path = directory.join(name);
        bytes.inspect(|bytes| std::fs::write(&path, bytes).unwrap());
        load(&path).unwrap_err().to_string().replace(&format!("{}/", directory.display()), "")
    };
    let results = [
        said("absent.toml", None),
        said("", None),
        said("latin.toml", Some(b"[dns]\n# caf\xe9\n")),
        said("large.toml", Some(&vec![b'#'; 5 << 20])),
    ];
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(results[0].starts_with("absent.toml: error: cannot be read: No such file"), "{results:?}");
    assert!(results[1].contains("error: cannot be read: Is a directory"), "{results:?}");
    assert!(
        results[2].starts_with("latin.toml:2:6: error: the byte 0xe9 is no UTF-8 text\n    2 | # caf"),
        "{results:?}"
    );
    assert_eq!(results[3], "large.toml: error: is larger than 4 MiB\n");
}

/// Deep nesting, odd bytes and a great many mistakes are problems, not crashes.
#[test]
fn strange_files_are_refused_in_bounded_depth_and_time() {
    problems(&"[".repeat(100_000));
    problems(&format!("a = {}", "[".repeat(100_000)));
    problems(&format!("a = {}", "{ b = ".repeat(20_000)));
    problems(&format!("{} = 1", vec!["a"; 20_000].join(".")));
    problems("\u{0}");
    let many: Vec<String> = (0..5_000).map(|i| format!("key_{i} = 1")).collect();
    let many = problems(&many.join("\n"));
    assert_eq!(many.matches(": error: unknown key").count(), 5_000);
}

/// The template with some of its characters lost, doubled or replaced: whatever comes out is said where it stands.
#[test]
fn a_mangled_file_is_never_more_than_a_list_of_problems() {
    const STRANGE: [&str; 12] = ["\"", "[", "]", "{", "=", "\n", "\r", ".", "\u{fffd}", "\u{7f}", "'''", "9"];
    let (mut good, mut bad) = (0, 0);
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let template = if random.bool() { TEMPLATE.to_owned() } else { TEMPLATE.replace("\n# ", "\n") };
        let mut chars: Vec<String> = template.chars().map(String::from).collect();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..chars.len());
            match random.u8(..3) {
                0 => drop(chars.remove(at)),
                1 => chars.insert(at, chars[at].clone()),
                _ => STRANGE[random.usize(..STRANGE.len())].clone_into(&mut chars[at]),
            }
        }
        let text = chars.concat();
        let Err(report) = parse(Path::new("z.toml"), &text) else {
            good += 1;
            continue;
        };
        bad += 1;
        let report = report.to_string();
        let lines = report.lines().filter_map(|line| line.strip_prefix("z.toml:")?.split(':').next()?.parse().ok());
        let lines: Vec<usize> = lines.collect();
        let last = text.split('\n').count();
        assert!(!lines.is_empty() && lines.iter().all(|line| (1..=last).contains(line)), "seed {seed}: {report}");
    }
    assert!(good > 50 && bad > 50, "{good} good, {bad} bad: too weak or too strong");
}

#[test]
fn a_reverse_zone_needs_names_to_point_to() {
    let alone = "[dns]\n[registry.main]\nzookeeper = \"a\"\n[[zone]]\norigin = \"10.in-addr.arpa\"\n";
    assert!(problems(alone).contains("z.toml:5:10: error: the addresses in 10.in-addr.arpa. have no names"));
    parse(Path::new("z.toml"), &format!("{alone}[[zone]]\norigin = \"service\"\n")).unwrap();
}

#[test]
fn the_forms_of_names_are_checked() {
    assert!(problems(&format!("{MINIMAL}txt = [\"a=b\"]\n")).contains("no key of a TXT record"));
    assert!(problems(&format!("{MINIMAL}host_domain = \"a..b\"\n")).contains("`host_domain` must be a domain name"));
    let good =
        parse(Path::new("z.toml"), &format!("{MINIMAL}txt = [\"a\"]\nhost_domain = \"Example.com.\"\n")).unwrap();
    assert_eq!(good.zones[0].names.host_domain.as_deref(), Some("example.com"));
}

#[test]
fn two_registries_cannot_share_a_cache_file_and_memory_needs_none() {
    let text = "\
[registry.a]
zookeeper = \"zk1\"
cache_file = \"x\"
[registry.b]
zookeeper = \"zk2\"
cache_file = \"x\"
[registry.c]
memory = \"m.tree\"
cache_file = \"y\"
";
    let problems = problems(text);
    assert!(problems.contains("z.toml:6:14"), "{problems}");
    assert!(problems.contains("another registry's too"), "{problems}");
    assert!(problems.contains("no use beside `memory`"), "{problems}");
}

#[test]
fn who_may_do_what_is_checked_where_it_is_said() {
    let key = "[[key]]\nname = \"xfr\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\n";
    let with = |dns: &str| format!("{}{key}", MINIMAL.replacen("[dns]", &format!("[dns]\n{dns}"), 1));
    let good = with("allow_query = [\"10.0.0.0/8\", \"!10.1.0.0/16\"]\nallow_transfer = [\"127.0.0.1 key xfr\"]");
    let config = parse(Path::new("z.toml"), &good).unwrap();
    let dns = config.dns.unwrap();
    assert!(dns.allow_query.decide(&[10, 2, 0, 1].into()) && !dns.allow_query.decide(&[10, 1, 0, 1].into()));
    assert!(dns.allow_transfer.decide([127, 0, 0, 1].into(), Some(&config.keys[0].name)));
    assert!(!dns.allow_transfer.decide([127, 0, 0, 1].into(), None));

    let found = problems(&with("allow_query = [\"any\", \"10.0.0.0/33\"]\nallow_transfer = [\"key other\"]"));
    assert!(found.contains("z.toml:2:23: error: `allow_query` has an element that has a prefix longer"), "{found}");
    assert!(found.contains("z.toml:3:19: error: `allow_transfer` has an element that names the key"), "{found}");
}

#[test]
fn where_to_forward_is_checked_and_this_server_itself_is_nowhere() {
    let with = |dns: &str| MINIMAL.replacen("[dns]", &format!("[dns]\n{dns}"), 1);
    let config = parse(Path::new("etc/z.toml"), &with("forward = [\"192.0.2.1\", \"./resolv.conf\"]")).unwrap();
    let sources: Vec<String> = config.dns.unwrap().forward.iter().map(|source| format!("{source:?}")).collect();
    assert!(sources[0].contains("192.0.2.1:53") && sources[1].contains("etc/./resolv.conf"), "{sources:?}");
    for (dns, expected) in [
        (
            "forward = [\"192.0.2.1\", \"dns.example\"]",
            "z.toml:2:25: error: `forward` has an element that must be an address",
        ),
        ("forward = [\"127.0.0.1:5300\"]", "z.toml:2:12: error: `forward` has an element that is this server itself"),
        (
            "listen = [\"0.0.0.0:53\"]\nforward = [\"127.0.0.53\"]",
            "z.toml:3:12: error: `forward` has an element that is this server itself",
        ),
        ("allow_recursion = [\"x\"]", "z.toml:2:20: error: `allow_recursion` has an element that"),
    ] {
        let found = problems(&with(dns));
        assert!(found.contains(expected), "{dns}: {found}");
    }
}

#[test]
fn keys_are_checked_and_their_secrets_not_shown() {
    let key = |rest: &str| format!("{MINIMAL}[[key]]\nname = \"xfr\"\n{rest}\n");
    for (rest, expected) in [
        ("", "a key needs a `secret`"),
        ("secret = \"hush!\"", "`secret` must be in base64"),
        ("secret = \"aHVzaA==\"", "shorter than 14 bytes"),
        ("secret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\nalgorithm = \"hmac-md5\"", "`algorithm` must be one of"),
        ("secret_file = \"/nonexistent\"", "`secret_file` cannot be read"),
        ("secret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\nsecret_file = \"/x\"", "exclude each other"),
    ] {
        let found = problems(&key(rest));
        assert!(found.contains(expected), "{rest}");
        assert!(!found.contains("hush"), "{found}");
    }
    let good = key("secret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"");
    assert!(
        problems(&format!("{good}[[key]]\nname = \"XFR\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\n"))
            .contains("another key")
    );
}

#[test]
fn a_zone_says_who_its_secondaries_are_and_mistakes_are_told_where_they_stand() {
    let key = "[[key]]\nname = \"xfr\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\n";
    let with = |zone: &str| format!("{MINIMAL}{zone}\n{key}");
    let good = with("allow_transfer = [\"key xfr\"]\nnotify = [\"192.0.2.1:53\", \"[2001:db8::1]:53 key xfr\"]");
    let config = parse(Path::new("z.toml"), &good).unwrap();
    let (origin, secondaries) = &config.secondaries[0];
    assert_eq!(*origin, config.zones[0].origin);
    assert!(secondaries.allow_transfer.as_ref().is_some_and(|allowed| !allowed.is_nobody()));
    assert_eq!(secondaries.notify[1].key.as_ref(), Some(&config.keys[0]));
    for (zone, expected) in [
        ("notify = [\"192.0.2.1\"]", ":11: error: `notify` has an element that must begin with an address and a port"),
        (
            "notify = [\"192.0.2.1:53\", \"192.0.2.1:53 key x\"]",
            ":27: error: `notify` has an element that names the key",
        ),
        ("allow_transfer = [\"key x\"]", ":19: error: `allow_transfer` has an element that names the key"),
    ] {
        let found = problems(&with(zone));
        assert!(found.contains(expected), "{zone}: {found}");
    }
}

#[test]
fn what_only_a_start_can_take_is_known() {
    let parse = |text: &str| parse(Path::new("z.toml"), text).unwrap();
    let (before, dns) = (parse(MINIMAL), |lines: &str| MINIMAL.replacen("[dns]", &format!("[dns]\n{lines}"), 1));
    let differences = |text: &str| before.fixed_differences(&parse(text));
    assert!(
        differences(&dns("nsid = \"x\"\nallow_query = []\nforward = [\"192.0.2.1\"]\ncookies = \"off\"")).is_empty()
    );
    assert_eq!(differences(&dns("threads = 7\nfreebind = false")), ["[dns] freebind", "[dns] threads"]);
    assert_eq!(differences(&format!("{MINIMAL}ttl = \"9s\"\n")), ["[[zone]] service. ttl"]);
    assert!(differences(&format!("{MINIMAL}notify = [\"192.0.2.1:53\"]\n")).is_empty());
}

#[test]
fn a_key_of_an_earlier_release_is_ignored_and_told() {
    let with = |line: &str| MINIMAL.replacen("[dns]", &format!("[dns]\n{line}"), 1);
    for value in ["\"500us\"", "\"0s\"", "7"] {
        let config = parse(Path::new("z.toml"), &with(&format!("gather = {value}"))).unwrap();
        let told = config.warnings.to_string();
        assert!(told.starts_with("z.toml:") && told.contains(": warning: `gather` is ignored: "), "{told}");
        assert!(told.contains("| gather = ") && told.contains("help: remove the line"), "{told}");
        assert_eq!(config.warnings.errors(), 0);
        assert!(config.fixed_differences(&parse(Path::new("z.toml"), MINIMAL).unwrap()).is_empty());
    }
    assert!(parse(Path::new("z.toml"), MINIMAL).unwrap().warnings.is_empty());
    let near = problems(&with("gathr = \"1s\""));
    assert!(near.contains("unknown key `gathr`") && !near.contains("`gather`"), "{near}");
}
