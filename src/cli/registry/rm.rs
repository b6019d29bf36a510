//! `zonekeeper registry rm`: znodes, whole trees of them, and links.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::changing::carry_out;
use super::place::Opened;
use super::set::change;
use crate::cli::output;
use crate::format::{self, PropertyEdit};
use crate::registry::Path;
use crate::zookeeper::bulk::Scan;
use crate::zookeeper::session::Write;

/// Delete a znode, with --recursive all below it, or a link
///
/// Ephemeral znodes are others' registrations and locks: they and what is above them stay unless --force is given. A
/// link of zc.zk is deleted itself, not what it leads to. On a terminal, --recursive asks first.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rm {
    /// The znode or link
    path: String,
    /// All below it, too
    #[arg(short, long)]
    recursive: bool,
    /// Ephemeral znodes, too
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print what would be deleted, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry rm api_old
  zonekeeper registry rm --recursive --dry-run staging
  zonekeeper registry rm -r --yes /services/staging";

/// Lines about single znodes that are printed, at most.
const SHOWN: usize = 20;

/// Znodes to be deleted, children before their parents, and those that stay.
#[derive(Default)]
struct Doomed {
    writes: Vec<Write>,
    ephemeral: usize,
    kept: Vec<Path>,
}

impl Rm {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let given = at.path(Some(&self.path))?;
        let Some(parent) = given.parent() else { bail!("/ cannot be deleted") };
        let holder = at.find(Some(parent)).await?;
        let path = holder.child(given.name());
        if path.as_str() == "/zookeeper" && at.full(&path) == "/zookeeper" {
            bail!("/zookeeper is ZooKeeper's own: nothing is deleted");
        }
        let Some(znode) = at.get(&path).await.map_err(|error| at.trouble(&path, &error))? else {
            return self.link(at, &holder, given.name()).await;
        };
        if !self.recursive && znode.stat.num_children > 0 {
            bail!("{} has {} children: see --recursive", at.full(&path), znode.stat.num_children);
        }
        let scan = at.scan(&path).await?;
        if let Some((path, error)) = scan.refused.first() {
            bail!("{:#}, so nothing is deleted", at.trouble(path, error));
        }
        let doomed = self.doomed(&scan);
        let mut text = String::new();
        if self.dry_run {
            for write in doomed.writes.iter().rev() {
                let _ = writeln!(text, "would delete {}", write.path());
            }
        } else if !doomed.writes.is_empty() {
            if self.recursive && !self.yes && !asked(at, &path, &doomed)? {
                output::print("nothing is deleted\n")?;
                return Ok(ExitCode::FAILURE);
            }
            at.session()?;
            let again = async || match at.get(&path).await {
                Ok(None) => Ok(Vec::new()),
                _ => Ok(self.doomed(&at.scan(&path).await?).writes),
            };
            let count = doomed.writes.len();
            carry_out(at, doomed.writes, None, again).await?;
            let _ = match count {
                1 => writeln!(text, "deleted {path}"),
                count => writeln!(text, "deleted {count} znodes at and below {path}"),
            };
        }
        output::print(&text)?;
        for path in doomed.kept.iter().take(SHOWN) {
            output::complain(&format_args!("zonekeeper: {} is ephemeral and stays: see --force\n", at.full(path)));
        }
        if doomed.kept.len() > SHOWN {
            let more = doomed.kept.len() - SHOWN;
            output::complain(&format_args!("zonekeeper: {more} more ephemeral znodes stay\n"));
        }
        Ok(if doomed.kept.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Deletes a link.
    async fn link(&self, at: &Opened, holder: &Path, name: &str) -> anyhow::Result<ExitCode> {
        let path = holder.child(name);
        let edits = [PropertyEdit::Remove(format!("{name} ->"))];
        change(at, holder, None, false, self.dry_run, |data| {
            if format::links(data).0.iter().all(|link| link.name != name) {
                return Err(format!("has neither a child nor a link `{name}`"));
            }
            format::edit(data, &edits).map_err(|why| why.to_string())
        })
        .await?;
        let words = if self.dry_run { "would delete" } else { "deleted" };
        output::print(&format!("{words} the link {path}\n"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn doomed(&self, scan: &Scan) -> Doomed {
        doomed(scan, self.force)
    }
}

/// The deletions of all that was read. Ephemeral znodes stay, unless `forced`, and so does what is above them.
fn doomed(scan: &Scan, forced: bool) -> Doomed {
    let (mut doomed, mut above): (Doomed, HashSet<&str>) = (Doomed::default(), HashSet::new());
    for (path, znode) in scan.znodes.iter().rev() {
        let is_ephemeral = znode.stat.ephemeral_owner != 0;
        let stays = is_ephemeral && !forced;
        if stays {
            doomed.kept.push(path.clone());
        }
        if stays || above.contains(path.as_str()) {
            above.extend(path.parent());
            continue;
        }
        doomed.ephemeral += usize::from(is_ephemeral);
        doomed.writes.push(Write::Delete { path: path.clone(), version: Some(znode.stat.version) });
    }
    doomed.kept.reverse();
    doomed
}

/// Asks whether to go on, where somebody is there to answer.
fn asked(at: &Opened, path: &Path, doomed: &Doomed) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    let ephemeral = match doomed.ephemeral {
        0 => String::new(),
        count => format!(", {count} of them ephemeral,"),
    };
    let count = doomed.writes.len();
    output::complain(&format_args!("Delete {count} znodes{ephemeral} at and below {}? [y/N] ", at.full(path)));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
