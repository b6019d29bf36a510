//! The documents: their links lead somewhere, their configurations are right, their commands print what they say, every
//! key of the template is explained, and the runbook has a line for every warning, error and alert.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agent::until;
use crate::harness::app::{Binary, free_port, scratch};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_zonekeeper");

/// All documents for users, by their path in the repository.
fn documents() -> Vec<(PathBuf, String)> {
    let of = |directory: &str| {
        let entries = std::fs::read_dir(Path::new(ROOT).join(directory)).expect("a directory");
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|it| it == "md"))
    };
    let mut paths: Vec<PathBuf> = of("deploy/docs").collect();
    paths.push(Path::new(ROOT).join("README.md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("a document"))).collect()
}

/// A document's code blocks of this language, each with its line, and the text without any block.
fn blocks(text: &str, language: &str) -> (Vec<(usize, String)>, String) {
    let (mut found, mut prose, mut open) = (Vec::new(), String::new(), None::<(bool, usize, String)>);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(said)) => open = Some((said.trim() == language, number + 2, String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, line, block)) = open.take() {
                    found.push((line, block));
                }
                open = None;
            }
            (Some((_, _, block)), None) => block.extend([line, "\n"]),
            (None, None) => prose.extend([line, "\n"]),
        }
    }
    (found, prose)
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        let (_, prose) = blocks(&text, "");
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            let is_there = target.exists();
            let has_section = section.is_empty() || {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                text.lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches(['#', ' '])) == section)
            };
            if !is_there || !has_section {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The smallest file that a block can be a part of, with the files that it names.
fn whole(block: &str, directory: &Path) -> String {
    let mut text = block.to_owned();
    let has = |table: &str| block.lines().any(|line| line.starts_with(table));
    for (table, lines) in [
        ("[registry.", "[registry.main]\nzookeeper = \"zk1:2181\"\n"),
        ("[[zone]]", "[[zone]]\norigin = \"example.\"\n"),
        ("[dns]", "[dns]\nlisten = [\"127.0.0.1:5300\"]\n"),
        ("[admin]", "[admin]\nlisten = \"127.0.0.1:5380\"\n"),
    ] {
        if !has(table) {
            text += lines;
        }
    }
    if text.contains(" key xfr\"") && !has("[[key]]") {
        text += "[[key]]\nname = \"xfr\"\nalgorithm = \"hmac-sha256\"\nsecret = \"bm90IGEgc2VjcmV0IGJ1dCBhbiBleGFtcGxlIG9mIG9uZQ==\"\n";
    }
    for (name, content) in [
        ("service.zone", "@ SOA ns hostmaster 1 60 60 60 5\n@ NS ns\nns A 192.0.2.1\n"),
        ("xfr.key", "bm90IGEgc2VjcmV0IGJ1dCBhbiBleGFtcGxlIG9mIG9uZQ==\n"),
        ("cookie.secret", "e5e973e5a6b2a43f48e7dc849e37bfcf\n"),
        ("zookeeper.secret", "digest:user:password\n"),
        ("token", "0123456789abcdef0123456789abcdef\n"),
    ] {
        std::fs::write(directory.join(name), content).expect("a file");
        for usual in ["/etc/zonekeeper", "/run/credentials/zonekeeper.service"] {
            text = text.replace(&format!("\"{usual}/{name}\""), &format!("\"{}\"", directory.join(name).display()));
        }
    }
    // Certificates, and directories of the unit, are this host's.
    let directory = directory.display();
    for usual in ["/etc/zonekeeper", "/var/lib/zonekeeper", "/var/cache/zonekeeper", "/run/zonekeeper", "/run/haproxy"]
    {
        text = text.replace(&format!("\"{usual}/"), &format!("\"{directory}/"));
    }
    for (kind, file) in [("pem", "cert.pem"), ("key", "key.pem")] {
        text = text.replace(&format!("{directory}/dns.{kind}"), &format!("{directory}/{file}"));
        text = text.replace(&format!("{directory}/admin.{kind}"), &format!("{directory}/{file}"));
    }
    text
}

#[test]
fn every_configuration_passes_check() {
    let directory = scratch("");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=dns.example", "-keyout", "key.pem", "-out", "cert.pem"]).current_dir(&directory);
    assert!(openssl.output().expect("openssl").status.success());
    std::fs::copy(directory.join("cert.pem"), directory.join("ca.pem")).expect("a copy");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (path, text) in documents() {
        for (line, block) in blocks(&text, "toml").0 {
            count += 1;
            let file = directory.join("zonekeeper.toml");
            std::fs::write(&file, whole(&block, &directory)).expect("a configuration");
            let output = Command::new(PROGRAM).arg("check").arg("--config").arg(&file).output().expect("the binary");
            if !output.status.success() {
                wrong.push(format!("{}:{line}: {}", path.display(), String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    assert!(count > 20 && wrong.is_empty(), "of {count}: {}", wrong.join("\n"));
}

/// Returns whether a line is as it is written, with `…` for anything.
fn is_like(written: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (written, line) = (words(written), words(line));
    let mut pieces = written.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_the_documents_say() {
    tokio::task::spawn_blocking(|| {
        let (dns, admin) = (free_port(), free_port());
        let addresses = [format!("127.0.0.1:{dns}"), format!("127.0.0.1:{admin}")];
        let _dev = Binary::run(&["dev", "--dns", &addresses[0], "--admin", &addresses[1]]);
        let bin = scratch("bin");
        std::fs::create_dir_all(&bin).expect("a directory");
        let script =
            format!("#!/bin/sh\ncommand=$1; shift\nexec {PROGRAM} \"$command\" --admin {} \"$@\"\n", addresses[1]);
        std::fs::write(bin.join("zonekeeper"), script).expect("a script");
        let done = Command::new("chmod").arg("755").arg(bin.join("zonekeeper")).status();
        assert!(done.expect("chmod").success());
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
        let run = |command: &str| {
            let command = command.replace("-p 5300", &format!("-p {dns}")).replace("127.0.0.1:5380", &addresses[1]);
            let output = Command::new("sh").args(["-c", &command]).env("PATH", &path).output().expect("sh");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        until("it is up", || run("zonekeeper wait api_x --up --timeout 1s && echo yes").contains("yes").then_some(()));
        let mut count = 0;
        for (path, text) in documents() {
            for (line, block) in blocks(&text, "console").0 {
                for step in block.split("$ ").skip(1) {
                    let (command, written) = step.split_once('\n').expect("a command");
                    let said = run(command);
                    let mut lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
                    let is_whole = !written.lines().any(|line| line.trim() == "…");
                    // Answers of several records come in any order.
                    for wanted in written.lines().filter(|line| !["", "…"].contains(&line.trim())) {
                        let at = lines.iter().position(|line| is_like(wanted, line));
                        let at =
                            at.unwrap_or_else(|| panic!("{}:{line}: {command}: no {wanted}\n{said}", path.display()));
                        lines.remove(at);
                    }
                    assert!(!is_whole || lines.is_empty(), "{}:{line}: {command}: also {lines:#?}", path.display());
                    count += 1;
                }
            }
        }
        assert!(count >= 8, "{count}");
    })
    .await
    .expect("no panic");
}

#[test]
fn every_command_and_option_that_is_named_exists() {
    let help = |words: &[&str]| {
        let output = Command::new(PROGRAM).args(words).arg("--help").output().expect("the binary");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for (path, text) in documents() {
        // Inline code and blocks.
        let code = text.split('`').skip(1).step_by(2).flat_map(str::lines);
        for said in code.filter_map(|line| line.trim_start_matches("$ ").strip_prefix("zonekeeper ")) {
            let mut words = said.split_whitespace();
            let Some(command) = words.next().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) else {
                continue;
            };
            let help = known.entry(command.to_owned()).or_insert_with(|| help(&[command]));
            let Some(help) = help else {
                wrong.insert(format!("{}: zonekeeper {command}", path.display()));
                continue;
            };
            // Options of commands below, and of a command that is run, are others'.
            if ["registry", "lock", "register", "dev"].contains(&command) {
                continue;
            }
            for option in words.filter(|word| word.starts_with("--") && word.len() > 2) {
                let option = option.trim_end_matches([',', '.', ')', ']', ';']).split('=').next().unwrap_or_default();
                if !help.contains(option) {
                    wrong.insert(format!("{}: zonekeeper {command} {option}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_key_of_the_template_is_in_the_page_on_the_configuration() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("deploy/docs/configuration.md")).expect("the page");
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = page.split(|c| !is_of_key(c)).collect();
    let template = include_str!("../../deploy/zonekeeper.toml");
    let key = |line: &'static str| {
        let (key, _) = line.trim_start_matches("# ").split_once(" = ")?;
        (!key.is_empty() && key.chars().all(is_of_key)).then_some(key)
    };
    let missing: Vec<&str> = template.lines().filter_map(key).filter(|key| !words.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The files of the source.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "simulation", "testdata"].contains(&&*name) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|it| it == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// Messages of the warnings and errors of a file, with `…` for what is put in.
fn messages(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, length) in
        ["warn!(", "error!("].iter().flat_map(|name| code.match_indices(name).map(|(at, _)| (at, name.len())))
    {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        found.push(message(&code[at + length..]));
    }
    found
}

/// The message among the arguments of a macro: the first that is a string.
fn message(arguments: &str) -> String {
    let (mut depth, mut is_begin, mut all) = (1, true, arguments.chars());
    while depth > 0 {
        let Some(c) = all.next() else { break };
        match c {
            '"' => {
                let mut text = String::new();
                while let Some(c) = all.next().filter(|c| *c != '"') {
                    match (c, (c == '\\').then(|| all.next()).flatten()) {
                        ('\\', Some('\n')) => all = all.as_str().trim_start().chars(),
                        ('\\', Some('n')) => text.push('\n'),
                        ('\\', Some(c)) => text.push(c),
                        _ => text.push(c),
                    }
                }
                if depth == 1 && is_begin {
                    return with_ellipses(&text);
                }
                is_begin = false;
            }
            '(' | '[' | '{' => (depth, is_begin) = (depth + 1, false),
            ')' | ']' | '}' => (depth, is_begin) = (depth - 1, false),
            ',' if depth == 1 => is_begin = true,
            c if c.is_whitespace() => {}
            _ => is_begin = false,
        }
    }
    String::new()
}

fn with_ellipses(text: &str) -> String {
    let mut shown = String::new();
    let mut pieces = text.lines().next().unwrap_or_default().split('{');
    shown += pieces.next().unwrap_or_default();
    for piece in pieces {
        shown.push('…');
        shown += piece.split_once('}').map_or("", |(_, behind)| behind);
    }
    shown.trim_end_matches(':').trim().to_owned()
}

#[test]
fn every_warning_error_and_alert_has_its_own_line_in_the_runbook() {
    assert_eq!(
        message("%path, error = format!(\"{x:#}\"), \"the {kind} is \\\n    not \\\"taken\\\":\\n{report}\")"),
        "the … is not \"taken\""
    );
    let mut files = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut files);
    let texts = files.iter().map(|path| std::fs::read_to_string(path).expect("a file"));
    let in_source: BTreeSet<String> = texts.flat_map(|text| messages(&text)).collect();
    let alerts = include_str!("../../deploy/prometheus/alerts.yml").lines();
    let alerts: BTreeSet<String> =
        alerts.filter_map(|line| Some(line.split_once("- alert: ")?.1.trim().to_owned())).collect();
    let runbook = std::fs::read_to_string(Path::new(ROOT).join("deploy/docs/operating.md")).expect("the runbook");
    let (_, listed) = runbook.split_once("## Alerts").expect("the alerts");
    let (mut in_runbook, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for row in listed.lines().filter(|line| line.starts_with("| `")) {
        let quote = &row[2..].chars().take_while(|c| *c == '`').collect::<String>();
        let (message, rest) = row[2 + quote.len()..].split_once(&format!("{quote} |")).expect("a message");
        assert!(in_runbook.insert(message.trim().to_owned()), "twice: {message}");
        let cells: Vec<&str> = rest.trim().trim_end_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 2 && cells.iter().all(|cell| !cell.is_empty()), "meaning and action: {row}");
        assert!(seen.insert(rest), "no two alike: {row}");
    }
    let wanted: BTreeSet<String> = in_source.union(&alerts).cloned().collect();
    let missing: Vec<_> = wanted.difference(&in_runbook).collect();
    let gone: Vec<_> = in_runbook.difference(&wanted).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the runbook: {missing:#?}\nonly there: {gone:#?}");
    assert!(in_source.len() > 90 && alerts.len() > 5);
}
