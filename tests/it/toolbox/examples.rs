//! The examples of each command's `--help` work as they stand.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::ensemble;
use crate::harness::app::scratch;
use crate::harness::kazoo::Kazoo;
use crate::harness::release::Release;

/// The commands, and those of their examples' exit codes that are fine besides 0.
const COMMANDS: &[(&str, i32)] = &[
    ("registry", 0),
    ("registry ls", 0),
    ("registry get", 0),
    ("registry walk", 0),
    ("registry tree", 0),
    ("registry graph", 0),
    ("registry set", 0),
    ("registry ln", 0),
    ("registry rm", 0),
    ("registry acl", 0),
    ("registry export", 0),
    ("registry import", 0),
    ("registry validate", 0),
    ("registry diff", 1),
    ("lock", 0),
    ("register", 0),
];

/// The example lines that a command's help ends with.
fn examples(command: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(command.split(' ')).arg("--help").output();
    let help = String::from_utf8(output.expect("the binary").stdout).expect("text");
    let (_, list) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command} has no examples:\n{help}"));
    let list = list.split("\n\n").next().unwrap_or_default();
    list.lines().map(|line| line.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_help_runs() {
    for (command, fine) in COMMANDS {
        // Each begins with the same registry.
        let servers = ensemble(Release::System).await;
        let mut kazoo = Kazoo::connect(&servers);
        for (path, data) in [
            ("/services/api_x", &br#"{"owner":"team"}"#[..]),
            ("/services/api_x/providers", b""),
            ("/services/api_x/providers/192.168.0.42:8080", b"{}"),
            ("/services/api_y", b"{}"),
            ("/services/api_old", b"{}"),
            ("/services/staging/uswest2", b"{}"),
            ("/prod/services", b"{}"),
        ] {
            kazoo.create(path, data, false);
        }
        let config = scratch("zonekeeper.toml");
        let directory = config.parent().expect("a directory");
        let text = format!("[registry.main]\nzookeeper = \"{servers}\"\n[admin]\nlisten = \"127.0.0.1:1\"\n");
        std::fs::write(&config, text).expect("a configuration");
        std::fs::write(directory.join("registry.tree"), "/services\n  /api_x\n    owner = 'team'\n").expect("a file");
        // What need not be there: a pager, Graphviz.
        for (tool, script) in
            [("less", "#!/bin/sh\ncat\n"), ("dot", "#!/bin/sh\ngrep -q '^digraph' && echo '<svg/>'\n")]
        {
            let tool = directory.join(tool);
            std::fs::write(&tool, script).expect("a script");
            std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("a script");
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_zonekeeper")).parent().expect("a directory");
        let path = format!("{}:{}:/usr/bin:/bin", directory.display(), binary.display());
        for example in examples(command) {
            let line = example.replace("zk1:2181,zk2:2181", &servers).replace("zk9:2181", &servers);
            let mut shell = Command::new("bash");
            shell.args(["-o", "pipefail", "-c", &line]).env("PATH", &path).current_dir(directory);
            let output = shell.output().expect("bash");
            let code = output.status.code();
            assert!(code == Some(0) || code == Some(*fine), "{line}\n{output:?}");
        }
    }
}
