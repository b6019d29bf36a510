//! `zonekeeper registry`: looks at a registry and changes it by hand, each subcommand in a file of its own.
//!
//! None of them needs a running server: they speak to ZooKeeper themselves. `place` opens the registry that is meant
//! and reads what PATH means; `resolve` follows zc.zk's links.

mod acl;
mod changing;
mod diff;
mod export;
mod get;
mod graph;
mod import;
mod json;
mod ln;
mod ls;
mod place;
mod resolve;
mod rm;
mod set;
mod tree;
mod validate;
mod walk;

use std::process::ExitCode;

use clap::{Args, Subcommand};

pub(super) use json::{moment, session as session_name};
pub(super) use place::{Opened, Place, block_on};

/// Look at a registry and change it by hand
///
/// Works on ZooKeeper itself; no server has to run. PATH is the whole path of a znode where it begins with a slash,
/// else below the registry's root; without one it is the root. Where a PATH leads through zc.zk's links, they are
/// followed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RegistryCommand {
    #[command(subcommand)]
    action: RegistryAction,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry tree
  zonekeeper registry ls --zookeeper zk1:2181,zk2:2181/prod /services
  zonekeeper registry get api_x --property owner

Exit codes: 0 fine, 1 failed or different, 64 bad usage or configuration.";

#[derive(Debug, Subcommand)]
enum RegistryAction {
    Ls(ls::Ls),
    Get(get::Get),
    Walk(walk::WalkCommand),
    Tree(tree::TreeCommand),
    Graph(graph::Graph),
    Set(set::SetCommand),
    Ln(ln::Ln),
    Rm(rm::Rm),
    Acl(acl::Acl),
    Export(export::Export),
    Import(import::Import),
    Validate(validate::Validate),
    Diff(diff::Diff),
}

impl RegistryCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { action, place } = self;
        block_on(async move {
            match action {
                RegistryAction::Ls(ls) => ls.run(&place.open().await?).await,
                RegistryAction::Get(get) => get.run(&place.open().await?).await,
                RegistryAction::Walk(walk) => walk.run(&place.open().await?).await,
                RegistryAction::Tree(tree) => tree.run(&place.open().await?).await,
                RegistryAction::Graph(graph) => graph.run(&place.open().await?).await,
                RegistryAction::Set(set) => set.run(&place.open().await?).await,
                RegistryAction::Ln(ln) => ln.run(&place.open().await?).await,
                RegistryAction::Rm(rm) => rm.run(&place.open().await?).await,
                RegistryAction::Acl(acl) => acl.run(&place.open().await?).await,
                RegistryAction::Export(export) => export.run(&place.open().await?).await,
                RegistryAction::Import(import) => import.run(&place.open().await?).await,
                RegistryAction::Validate(validate) => validate.run(),
                RegistryAction::Diff(diff) => diff.run(&place.open().await?, &place).await,
            }
        })
    }
}
