//! The command line as people and scripts meet it: the binary itself, its exit codes, and where it says what.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::app::{Binary, scratch};
use crate::harness::eventually;

/// Exit code of bad usage and of a bad configuration.
const USAGE: i32 = 64;

/// What a run of the binary came to.
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

/// The binary in `directory`, untouched by the settings of whoever runs the tests.
fn zonekeeper(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    command.current_dir(directory).env_remove("ZONEKEEPER_LOG").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Outcome {
    let output = command.output().expect("the binary runs");
    Outcome {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A directory of this test with these files.
fn directory(files: &[(&str, &str)]) -> PathBuf {
    let directory = scratch("any").parent().map(Path::to_owned).expect("a directory");
    for (name, text) in files {
        std::fs::write(directory.join(name), text).expect("a file");
    }
    directory
}

#[test]
fn five_mistakes_are_told_at_once_with_line_column_and_caret() {
    let config = "\
[registry.main]
zookeeper = \"zk1:2181,zk2:99999\"
root = \"services\"

[[zone]]
origin = \"service.\"
registry = \"mian\"
ttl = 5s

[dns]
lisen = [\"127.0.0.1:5300\"]
";
    let expected = "\
bad.toml:2:13: error: `zookeeper` must be servers, host:port, separated by commas; \"zk2:99999\" is none
    2 | zookeeper = \"zk1:2181,zk2:99999\"
      |             ^^^^^^^^^^^^^^^^^^^^

bad.toml:3:8: error: `root` must be the path of a znode: it must begin with a slash
    3 | root = \"services\"
      |        ^^^^^^^^^^
  help: for example \"/services\"

bad.toml:7:12: error: there is no [registry.mian]
    7 | registry = \"mian\"
      |            ^^^^^^
  help: did you mean \"main\"?

bad.toml:8:7: error: text must stand in quotes
    8 | ttl = 5s
      |       ^^
  help: write \"5s\"

bad.toml:11:1: error: unknown key `lisen` in [dns]
   11 | lisen = [\"127.0.0.1:5300\"]
      | ^^^^^
  help: did you mean `listen`?

5 problems
";
    let directory = directory(&[("bad.toml", config)]);
    for command in ["check", "serve"] {
        let outcome = run(zonekeeper(&directory).args([command, "--config", "bad.toml"]));
        assert_eq!((outcome.code, &*outcome.out, &*outcome.err), (USAGE, "", expected), "{command}");
    }
}

#[test]
fn the_files_that_a_configuration_names_are_checked_with_it() {
    let config = "[dns]\n[registry.main]\nmemory = \"seed.tree\"\n\
                  [[zone]]\norigin = \"service.\"\nfile = \"service.zone\"\n[[zone]]\norigin = \"b.\"\nfile = \"absent.zone\"\n";
    let files = [
        ("zonekeeper.toml", config),
        ("seed.tree", "/services\n  weight = oops\n"),
        ("service.zone", "@ SOA ns host 1 1h 15m 1w 5s\n@ NS ns\nns A 127.0.0.300\n"),
    ];
    let outcome = run(zonekeeper(&directory(&files)).arg("check"));
    assert_eq!((outcome.code, &*outcome.out), (USAGE, ""), "{}", outcome.err);
    let expected =
        ["seed.tree:2:12: error: ", "\n    2 |   weight = oops\n      |            ^", "absent.zone: error: "];
    for expected in
        expected.into_iter().chain(["service.zone:3:6: error: ", "\n    3 | ns A 127.0.0.300\n      |      ^"])
    {
        assert!(outcome.err.contains(expected), "no {expected:?} in\n{}", outcome.err);
    }
}

#[test]
fn what_was_perhaps_not_meant_is_a_warning_and_no_failure() {
    let config = "[dns]\n[[zone]]\norigin = \"service.\"\nfile = \"service.zone\"\n";
    let zone = "$TTL 1h\n@ SOA ns host 1 1h 15m 1w 5s\n@ NS ns\nns A 127.0.0.1\nns A 127.0.0.1\n";
    let outcome = run(zonekeeper(&directory(&[("zonekeeper.toml", config), ("service.zone", zone)])).arg("check"));
    assert_eq!((outcome.code, &*outcome.out), (0, "zonekeeper.toml: no errors, 1 warning\n"), "{}", outcome.err);
    assert!(outcome.err.starts_with("service.zone:5:") && outcome.err.contains(": warning: "), "{}", outcome.err);
}

#[test]
fn the_template_is_found_to_be_right_where_it_is_looked_for() {
    let directory = directory(&[]);
    let absent = run(zonekeeper(&directory).arg("check"));
    // A machine that has a configuration in /etc is a machine on which zonekeeper runs.
    if !Path::new("/etc/zonekeeper/zonekeeper.toml").exists() {
        assert_eq!(absent.code, USAGE);
        assert!(absent.err.contains("zonekeeper.toml: error: is not there"), "{}", absent.err);
        assert!(absent.err.contains("`zonekeeper template`"), "{}", absent.err);
    }
    let template = run(zonekeeper(&directory).arg("template"));
    assert_eq!((template.code, &*template.err), (0, ""));
    assert_eq!(template.out, include_str!("../../deploy/zonekeeper.toml"));
    std::fs::write(directory.join("zonekeeper.toml"), template.out).expect("a file");
    let outcome = run(zonekeeper(&directory).arg("check"));
    assert_eq!((outcome.code, &*outcome.out, &*outcome.err), (0, "zonekeeper.toml: no problems\n", ""));
}

#[test]
fn every_configuration_and_zone_of_the_repository_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for config in ["deploy/zonekeeper.toml", "deploy/compose.toml"] {
        let outcome = run(zonekeeper(root).args(["check", "--config", config]));
        assert_eq!((outcome.code, &*outcome.err), (0, ""), "{config}");
    }
    let sample = format!(
        "[dns]\n[registry.main]\nmemory = {:?}\n[[zone]]\norigin = \"service.\"\nfile = {:?}\n",
        root.join("zones/dev.tree"),
        root.join("zones/service.zone")
    );
    let outcome = run(zonekeeper(&directory(&[("zonekeeper.toml", &sample)])).arg("check"));
    assert_eq!((outcome.code, &*outcome.err), (0, ""));
}

#[test]
fn help_teaches_and_is_no_failure() {
    let directory = directory(&[]);
    let top = run(zonekeeper(&directory).arg("--help"));
    assert_eq!((top.code, &*top.err), (0, ""));
    assert!(top.out.contains("dig @127.0.0.1 -p 5300 SRV api_x.service"), "{}", top.out);
    for command in ["dev", "serve", "check", "template"] {
        assert!(top.out.contains(&format!("\n  {command} ")), "{}", top.out);
        let help = run(zonekeeper(&directory).args([command, "--help"]));
        assert_eq!((help.code, &*help.err), (0, ""), "{command}");
        assert!(help.out.contains(&format!("Examples:\n  zonekeeper {command}")), "{}", help.out);
        assert!(help.out.lines().all(|line| line.chars().count() <= 100), "{}", help.out);
    }
    let version = run(zonekeeper(&directory).arg("--version"));
    assert_eq!(version.code, 0);
    assert!(version.out.starts_with(concat!("zonekeeper ", env!("CARGO_PKG_VERSION"))), "{}", version.out);
}

#[test]
fn bad_usage_has_an_exit_code_of_its_own() {
    let directory = directory(&[]);
    for arguments in [
        &[][..],
        &["bogus"],
        &["dev", "--dns", "localhost"],
        &["check", "extra"],
        &["template", "--log-format", "xml"],
        &["template", "--log", "zonekeeper=loud"],
        &["template", "--log", "debgu"],
        &["check", "--config", "absent.toml"],
        &["dev", "--seed", "absent.tree"],
    ] {
        let outcome = run(zonekeeper(&directory).args(arguments));
        assert_eq!((outcome.code, &*outcome.out), (USAGE, ""), "{arguments:?}: {}", outcome.err);
        assert!(!outcome.err.is_empty(), "{arguments:?}");
    }
    let outcome = run(zonekeeper(&directory).arg("template").env("ZONEKEEPER_LOG", "zonekeeper=loud"));
    assert_eq!(outcome.code, USAGE);
    assert!(outcome.err.contains("ZONEKEEPER_LOG"), "{}", outcome.err);
}

#[test]
fn a_failure_is_told_once_with_its_cause() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let directory = directory(&[("seed.tree", "/services\n")]);
    let arguments = ["dev", "--seed", "seed.tree", "--dns", "127.0.0.1:0", "--admin", &address];
    let outcome = run(zonekeeper(&directory).args(arguments));
    assert_eq!((outcome.code, &*outcome.out), (1, ""), "{}", outcome.err);
    assert_eq!(outcome.err.matches(&address).count(), 1, "{}", outcome.err);
    assert_eq!(outcome.err.matches("in use").count(), 1, "{}", outcome.err);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let directory = directory(&[]);
    for arguments in [&["template"][..], &["--help"], &["check", "--config", "absent.toml"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let both = writer.try_clone().expect("a pipe");
        let status = zonekeeper(&directory).args(arguments).stdout(writer).stderr(both).status().expect("a status");
        let expected = if arguments[0] == "check" { USAGE } else { 0 };
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_log_can_be_json_line_by_line() {
    let directory = directory(&[("seed.tree", "/services\n")]);
    let seed = directory.join("seed.tree");
    let config =
        format!("[dns]\nlisten = [\"127.0.0.1:0\"]\n[registry.main]\nmemory = {seed:?}\n[[zone]]\norigin = \"a\"\n");
    std::fs::write(directory.join("z.toml"), config).expect("a configuration");
    let path = directory.join("z.toml");
    let mut server = Binary::run(&["serve", "--log-format", "json", "--config", &path.to_string_lossy()]);
    eventually("the address in the log", async || server.log().contains("\"address\"").then_some(())).await;
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    for line in server.log().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn dev_tells_what_to_try_at_the_addresses_it_has() {
    let mut dev = Binary::run(&["dev", "--dns", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    eventually("the banner", async || dev.log().contains("dig @127.0.0.1 -p ").then_some(())).await;
    let log = dev.log();
    assert!(!log.contains("-p 0 ") && !log.contains(":0/"), "{log}");
    dev.signal("INT");
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.log());
}
