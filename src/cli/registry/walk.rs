//! `zonekeeper registry walk`: the paths at and below a znode.

use std::collections::HashSet;
use std::process::ExitCode;

use clap::Args;

use super::place::Opened;
use crate::cli::output;
use crate::registry::Path;

/// List the paths at and below a znode
///
/// Whole paths, one a line, each before those below it. Ephemeral znodes, as registrations are, are left out unless
/// --ephemeral is given.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WalkCommand {
    /// The znode [default: the registry's root]
    path: Option<String>,
    /// Only znodes with a child of this name
    #[arg(long, value_name = "NAME")]
    child: Option<String>,
    /// Ephemeral znodes, too
    #[arg(long)]
    ephemeral: bool,
    /// Behind each path and a tab the names of its children, with spaces between them
    #[arg(long)]
    children: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry walk
  zonekeeper registry walk --child providers
  zonekeeper registry walk --ephemeral --children /services/api_x";

impl WalkCommand {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let path = at.find(self.path.as_deref()).await?;
        let scan = at.scan(&path).await?;
        let is_meant = |owner: i64| self.ephemeral || owner == 0;
        let shown = scan.znodes.iter().filter(|(_, znode)| is_meant(znode.stat.ephemeral_owner));
        let paths: Vec<&Path> = shown.map(|(path, _)| path).collect();
        let having: HashSet<&str> = match &self.child {
            None => HashSet::new(),
            Some(name) => {
                let named = scan.znodes.iter().filter(|(path, _)| path.name() == name);
                named.filter_map(|(path, _)| path.parent()).collect()
            }
        };
        let mut text = String::new();
        for (index, path) in paths.iter().enumerate() {
            if self.child.is_some() && !having.contains(path.as_str()) {
                continue;
            }
            text.push_str(path.as_str());
            if self.children {
                // In the order of a walk all that is below a znode comes right behind it.
                let below = paths[index + 1..].iter().take_while(|other| other.below(path).is_some());
                let names = below.filter(|other| other.parent() == Some(path.as_str())).map(|child| child.name());
                text.push('\t');
                text.push_str(&names.collect::<Vec<_>>().join(" "));
            }
            text.push('\n');
        }
        output::print(&text)?;
        Ok(at.unread(&scan))
    }
}
