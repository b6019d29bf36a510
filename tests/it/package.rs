//! The Debian package, in a clean root: installed, served from, upgraded and gone back under load, purged.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::app::scratch;
use crate::harness::release::Release;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zonekeeper");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A package of the program as it is here, with this version.
fn package(version: &str) -> PathBuf {
    let directory = scratch("packages");
    let mut command = Command::new(Path::new(ROOT).join("deploy/package"));
    command.args(["--fast", "--deb-version", version, "--output"]).arg(&directory).env("ZONEKEEPER_PROGRAM", PROGRAM);
    let output = command.output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found = std::fs::read_dir(&directory).expect("the packages");
    found.next().expect("a package").expect("its name").path()
}

fn driver(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/it/harness").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_package_alone_to_dns_on_port_53_over_an_upgrade_without_a_gap_to_a_purge_that_leaves_nothing() {
    tokio::task::spawn_blocking(|| {
        let (old, new) = (package("0.1.0-1"), package("0.1.0-2"));
        let lintian = Command::new("lintian").args(["--fail-on", "error", "--allow-root"]).arg(&old).output();
        let lintian = lintian.expect("lintian");
        assert!(lintian.status.success(), "{}", String::from_utf8_lossy(&lintian.stdout));
        let tar = Path::new(ROOT).join("target/debian-root.tar");
        assert!(tar.is_file(), "tests/fetch-debian makes {}", tar.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "/usr/bin/python3"]);
        command.arg(driver("package_driver.py")).arg(tar).arg(scratch("").as_path());
        let output = command.arg(Release::System.classpath()).args([old, new]).output().expect("unshare");
        let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{wrong}");
        for line in ["answers on port 53: 0 10 8080", "upgraded to 0.1.0-2", "downgraded to 0.1.0-1", "purged"] {
            assert!(said.contains(line), "{said}");
        }
    })
    .await
    .expect("no panic");
}

#[test]
fn every_command_has_its_manual_page_and_the_configuration_one_with_every_line_of_the_template() {
    let directory = scratch("man");
    let output = Command::new(PROGRAM).arg("man").arg(&directory).output().expect("the binary");
    assert!(output.status.success(), "{output:?}");
    let help = Command::new(PROGRAM).arg("--help").output().expect("the binary");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, commands) = help.split_once("Commands:\n").expect("the commands");
    let (commands, _) = commands.split_once("\n\n").expect("an end");
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(names.len() > 20 && names.contains(&"serve"), "{names:?}");
    for name in names {
        let page = directory.join(format!("zonekeeper-{name}.1"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}");
    }
    // As a reader sees it.
    let mut shown = shown(&directory.join("zonekeeper.toml.5"));
    shown.retain(|character| !character.is_whitespace());
    let template = Command::new(PROGRAM).arg("template").output().expect("the binary");
    for line in String::from_utf8_lossy(&template.stdout).lines() {
        let bare: String = line.chars().filter(|character| !character.is_whitespace()).collect();
        assert!(shown.contains(&bare), "{line}");
    }
}

fn shown(page: &Path) -> String {
    let mut man = Command::new("man");
    let output = man.env("MANWIDTH", "200").env("LC_ALL", "C.UTF-8").arg("--local-file").arg(page).output();
    let output = output.expect("man (package man-db)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn completions_complete_commands_and_options() {
    let output = Command::new(PROGRAM).args(["completions", "bash"]).output().expect("the binary");
    let script = scratch("completion.bash");
    std::fs::write(&script, output.stdout).expect("a script");
    let completed = |words: &str| {
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _zonekeeper zonekeeper \
             \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["-c", &line]).output().expect("bash");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(completed("zonekeeper servi"), "services service");
    assert_eq!(completed("zonekeeper check --conn"), "--connect");
    for shell in ["zsh", "fish"] {
        let output = Command::new(PROGRAM).args(["completions", shell]).output().expect("the binary");
        assert!(String::from_utf8_lossy(&output.stdout).contains("undrain"), "{shell}");
    }
}

#[test]
fn the_version_names_the_build() {
    let output = Command::new(PROGRAM).arg("--version").output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let build = said.trim().strip_prefix(concat!("zonekeeper ", env!("CARGO_PKG_VERSION"))).expect("the version");
    // The commit and its day, but for builds of the developers.
    let is_commit = |inside: &str| {
        let (commit, day) = inside.split_once(", ").unwrap_or((inside, "2026-01-01"));
        commit.len() >= 7 && commit.chars().all(|one| one.is_ascii_hexdigit()) && day.len() == 10
    };
    let inside = build.trim().trim_matches(['(', ')']);
    assert!(build.is_empty() || inside == "debug" || is_commit(inside), "{said}");
}
