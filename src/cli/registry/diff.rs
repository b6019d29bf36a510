//! `zonekeeper registry diff`: a tree beside a text, or beside that of another ensemble.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::import::{Wanted, print_changes};
use super::place::{Opened, Place};
use crate::cli::output;
use crate::registry::plan::{FoundNode, TreeChange, differences, plan};
use crate::registry::{Error, Path};

/// Compare a tree with a text, or with another ensemble
///
/// Prints what an import would do to the registry: + a znode that it lacks, - one that only it has (below those of the
/// text), ~ one whose properties differ. Ephemeral znodes are left out unless --ephemeral is given. Exit codes: 0 the
/// same, 1 different.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Diff {
    /// The text, as `import` takes it, and the znode below which it would be put; with --with only the topmost znode to
    /// compare [default: as of `import` and `export`]
    #[arg(value_name = "FILE [PATH]", num_args = 0..=2)]
    what: Vec<String>,
    /// Another ensemble in place of a file, host:port,… with a chroot or without
    #[arg(long = "with", value_name = "SERVERS")]
    other: Option<String>,
    /// Ephemeral znodes, too
    #[arg(long)]
    ephemeral: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry diff registry.tree
  zonekeeper registry export | zonekeeper registry diff -
  zonekeeper registry diff --with zk9:2181 /services/api_x";

impl Diff {
    pub(super) async fn run(self, at: &Opened, place: &Place) -> anyhow::Result<ExitCode> {
        let changes = match (&self.other, &*self.what) {
            (Some(other), [] | [_]) => {
                let theirs = place.of_servers(other).open().await?;
                let path = at.find(self.what.first().map(String::as_str)).await?;
                let (wanted, found) = (tree(&theirs, &path).await?, tree(at, &path).await?);
                let is_meant = |node: &FoundNode| self.ephemeral || !node.is_ephemeral;
                let wanted = wanted.into_iter().filter(|(_, node)| is_meant(node));
                plan(&wanted.map(|(path, node)| (path, node.data)).collect(), &found, self.ephemeral).changes
            }
            (Some(_), _) => bail!("with --with there is one PATH and no FILE"),
            (None, []) => bail!("say a FILE, or --with SERVERS"),
            (None, [file, path @ ..]) => {
                let wanted = Wanted::read(at, &PathBuf::from(file), path.first().map(String::as_str))?;
                wanted.plan(at, &wanted.data(), self.ephemeral).await?.changes
            }
        };
        let mut text = String::new();
        if self.json {
            let list = |kind: fn(&TreeChange) -> Option<Value>| changes.iter().filter_map(kind).collect::<Vec<_>>();
            let lacks = list(|change| match change {
                TreeChange::Create { path, .. } => Some(path.as_str().into()),
                _ => None,
            });
            let only = list(|change| change.is_delete().then(|| change.path().as_str().into()));
            let differs = list(|change| match change {
                TreeChange::Set { path, old, data, .. } => {
                    Some(json!({"path": path.as_str(), "differences": differences(old, data)}))
                }
                _ => None,
            });
            text = format!("{}\n", json!({"lacks": lacks, "only": only, "differs": differs}));
        } else {
            print_changes(&changes, &mut text);
        }
        output::print(&text)?;
        Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The znodes at and below a path; none where it does not exist.
async fn tree(at: &Opened, path: &Path) -> anyhow::Result<BTreeMap<Path, FoundNode>> {
    match at.get(path).await {
        Ok(None) => return Ok(BTreeMap::new()),
        Ok(Some(_)) => {}
        Err(error @ Error::NoAuth) => return Err(at.trouble(path, &error)),
        Err(error) => return Err(at.trouble(path, &error)).context("cannot be compared"),
    }
    let scan = at.scan(path).await?;
    if let Some((path, error)) = scan.refused.first() {
        return Err(at.trouble(path, error));
    }
    let node = |(path, znode): (Path, crate::zookeeper::Znode)| {
        let (version, is_ephemeral) = (znode.stat.version, znode.stat.ephemeral_owner != 0);
        (path, FoundNode { data: znode.data, version, is_ephemeral })
    };
    Ok(scan.znodes.into_iter().map(node).collect())
}
