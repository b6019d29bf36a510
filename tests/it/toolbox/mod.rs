//! `zonekeeper registry`, `lock` and `register` over real ensembles of `ZooKeeper`, old and new: the binary as people
//! run it.

mod changing;
mod examples;
mod locks;
mod looking;
mod registered;
mod trees;

use std::process::{Command, Output};

use crate::harness::release::Release;
use crate::harness::zk;

/// The releases of ZooKeeper that everything here is seen on.
const RELEASES: [Release; 2] = [Release::System, Release::V3_4];

/// An ensemble with an empty root of its own, by its connect string.
async fn ensemble(release: Release) -> String {
    zk::shared_of(release).namespace().await
}

/// Runs `zonekeeper registry` with these arguments on these servers.
fn run(servers: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    command.arg("registry").args(["--zookeeper", servers]).args(arguments).output().expect("the binary")
}

/// What it prints where all goes well.
fn printed(servers: &str, arguments: &[&str]) -> String {
    let output = run(servers, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it complains of where something is wrong.
fn complaint(servers: &str, arguments: &[&str]) -> String {
    let output = run(servers, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}
