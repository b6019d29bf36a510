use std::path::Path;

use super::*;
use crate::diagnostic::{Report, SourceText};
use crate::settings::tree;

/// The problems of a table `[format.x]`, as they are printed.
fn report(text: &str) -> String {
    let text = format!("[x]\n{text}\n");
    let tree = tree::parse(&text, 0);
    let problems = Problems::default();
    let (_, _, Value { kind: Kind::Table(table), .. }) = &tree.table.entries[0] else { panic!("{text}") };
    let compiled = compile("x", table, &problems);
    let problems = problems.into_vec();
    assert!(compiled.is_some() || !problems.is_empty(), "nothing is refused in silence");
    Report::new(&[SourceText::new(Path::new("c.toml"), text.as_str())], &problems).to_string()
}

/// The only problem: what its caret points at, the message and the help.
fn problem(text: &str) -> (String, String, String) {
    let report = report(text);
    let lines: Vec<&str> = report.lines().collect();
    let (line, caret) = (lines[1].split_once("| ").unwrap().1, lines[2].split_once("| ").unwrap().1);
    let (from, width) = (caret.find('^').unwrap(), caret.matches('^').count());
    let pointed = line.chars().skip(from).take(width).collect();
    let message = lines[0].split_once("error: ").unwrap().1.to_owned();
    let help = lines.get(3).map(|help| help.trim().trim_start_matches("help: ").to_owned()).unwrap_or_default();
    assert!(lines.len() <= 4, "{report}");
    (pointed, message, help)
}

const GOOD: &str = "root = \"/r\"\npath = \"{service}/{host}:{port}\"\n";

#[test]
#[allow(clippy::too_many_lines)] // a table
fn every_mistake_is_told_where_it_is() {
    let all = [
        ("", "[x]", "`path` is missing in [format.x]", ""),
        (
            "path = \"{service}/{host}:{port}\"",
            "\"{service}/{host}:{port}\"",
            "`root` is missing: `path` begins with a capture",
            "name the znode below which it is looked for: root = \"/services\"",
        ),
        (
            "path = \"/a/b/{service}/{host}:{port}\"",
            "\"/a/b/{service}/{host}:{port}\"",
            "`path` is relative to `root`",
            "write root = \"/a/b\" and path = \"{service}/{host}:{port}\"",
        ),
        (
            "root = \"/a\"\npath = \"/{service}/{host}:{port}\"",
            "\"/{service}/{host}:{port}\"",
            "`path` is relative to `root`",
            "write path = \"{service}/{host}:{port}\"",
        ),
        (
            "root = \"a\"\npath = \"{service}/{host}:{port}\"",
            "\"a\"",
            "`root` must be the path of a znode, such as \"/services\"",
            "",
        ),
        (
            "root = \"/{a}\"\npath = \"{service}/{host}:{port}\"",
            "\"/{a}\"",
            "`root` is one znode and has no captures",
            "captures begin in `path`",
        ),
        (
            "root = \"/r\"\npath = \"{service}{host}:{port}\"",
            "{host}",
            "`path`: nothing says where the capture before this one ends",
            "put what stands between them there, such as `:` or `-`",
        ),
        (
            "root = \"/r\"\npath = \"{host}:{port}\"",
            "\"{host}:{port}\"",
            "nothing names the service: `path` has no {service}",
            "add {service} to it, or say `service`",
        ),
        (
            "root = \"/r\"\npath = \"{service}/{id}\"",
            "\"{service}/{id}\"",
            "nothing gives the endpoint: `path` has no {host}",
            "add {host}:{port} to it, or say `endpoint`",
        ),
        (
            "root = \"/r\"\npath = \"{service}/{host}\"",
            "\"{service}/{host}\"",
            "nothing gives the port: `path` has no {port}",
            "add {port} to it, or say `port`; `port = 0` is for hosts without one",
        ),
    ];
    for (text, pointed, message, help) in all {
        assert_eq!(problem(text), (pointed.to_owned(), message.to_owned(), help.to_owned()), "{text}");
    }
    let all = [
        (
            "service = \"{/name}\"",
            "\"{/name}\"",
            "`service` is known by the path alone, not by the data",
            "use captures of `path`, such as {id}",
        ),
        ("service = \"a/\"", "\"a/\"", "`service` must be the path of a service, without slashes at its ends", ""),
        ("endpoint = \"{hots}:{port}\"", "{hots}", "`endpoint`: {hots} is not in `path`", "did you mean {host}?"),
        (
            "data = \"yaml\"",
            "\"yaml\"",
            "there are no data of the kind \"yaml\"",
            "known kinds: json, text, pairs, query, protobuf, java, none",
        ),
        ("data = \"jason\"", "\"jason\"", "there are no data of the kind \"jason\"", "did you mean \"json\"?"),
        (
            "data = \"none\"\ntags = [\"{/zone}\"]",
            "{/zone}",
            "`tags`: {/zone} is a part of the data, which are not read",
            "say their kind: data = \"json\"",
        ),
        ("weight_unit = 0", "0", "`weight_unit` must be a number above 0", ""),
        ("weight_unit = -1.5", "-1.5", "`weight_unit` must be a number above 0", ""),
        ("weight_unit = inf", "inf", "`weight_unit` must be a number above 0", ""),
        ("weigth = \"{/w}\"", "weigth", "unknown key `weigth` in [format.x]", "did you mean `weight`?"),
        (
            "ports = { \"a b\" = \"{/p}\" }",
            "\"a b\"",
            "a port cannot be called \"a b\": it becomes a DNS label",
            "lower-case letters, digits, `-` and `_`",
        ),
        ("ports = { a = 80 }", "80", "`ports.a` must be a string, not a whole number", ""),
        ("ports = [1]", "[1]", "`ports` must be a table, not a list", ""),
        ("tags = \"x\"", "\"x\"", "`tags` must be a list, not a string", ""),
        ("up = { \"{/s}\" = [1] }", "1", "`up` must be a string, not a whole number", ""),
        (
            "needs = \"/r/drain/{host}\"",
            "\"/r/drain/{host}\"",
            "`needs` is relative to `root`",
            "write needs = \"drain/{host}\"",
        ),
        (
            "unless = \"/q/{host}\"",
            "\"/q/{host}\"",
            "`unless` is relative to `root`",
            "make `root` a znode that both are below",
        ),
        (
            "needs = \"drain/{/host}\"",
            "\"drain/{/host}\"",
            "`needs` is a path, and known without the data",
            "use captures of `path`",
        ),
        ("unless = \"drain/{hst}\"", "{hst}", "`unless`: {hst} is not in `path`", "did you mean {host}?"),
        (
            "leader = \"{service}/leader\"",
            "\"{service}/leader\"",
            "`leader` names an instance by its {id}, and `path` has none",
            "call the capture that it is compared with {id}",
        ),
        (
            "roles = [\"Main\"]",
            "[\"Main\"]",
            "a role cannot be called \"Main\": it becomes a DNS label",
            "one to 63 lower-case letters, digits, `-` and `_`, as tags are written",
        ),
        ("port = 70000", "70000", "`port` must be a whole number from 0 to 65535, not 70000", ""),
        ("example = [{ path = \"a/h:1\", hex = \"0\" }]", "\"0\"", "`hex` must be pairs of hexadecimal digits", ""),
        (
            "example = \"x\"",
            "\"x\"",
            "`example` must be a list of tables, not a string",
            "write [[format.NAME.example]], or a list of { path = …, data = … }",
        ),
    ];
    for (text, pointed, message, help) in all {
        let found = problem(&format!("{GOOD}{text}"));
        assert_eq!(found, (pointed.to_owned(), message.to_owned(), help.to_owned()), "{text}");
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let report =
        report("root = \"r\"\npath = \"{service}/{id}\"\nendpoint = \"{/a}:{\"\ndata = \"x\"\nweight_unit = 0");
    assert_eq!(report.matches("error: ").count(), 4, "{report}");
}

#[test]
fn a_table_comes_back_as_it_can_be_written() {
    let text = format!(
        "{GOOD}up = {{ \"{{/a}}\" = [\"\", 'x\"y'] }}\nweight_unit = 10\n\n[[x.example]]\npath = \"a/h:1\"\ndata = '{{\"a\":\"\"}}'\n"
    );
    let read = |text: &str| {
        let tree = tree::parse(text, 0);
        let problems = Problems::default();
        let (_, _, Value { kind: Kind::Table(table), .. }) = &tree.table.entries[0] else { panic!("{text}") };
        let compiled = compile("x", table, &problems);
        compiled.unwrap_or_else(|| panic!("{:?}", problems.into_vec()))
    };
    let description = read(&format!("[x]\n{text}"));
    let again = read(&description.toml.replace("format.x", "x"));
    assert_eq!(description, again);
    assert_eq!(again.examples, [Example { path: "a/h:1".to_owned(), data: b"{\"a\":\"\"}".to_vec() }]);
}
