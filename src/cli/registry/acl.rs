//! `zonekeeper registry acl`: the rights to znodes.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use futures_util::stream::{StreamExt as _, iter};

use super::place::Opened;
use crate::cli::output;
use crate::registry::{Error, Path};
use crate::zookeeper::acl::{AclEntry, refused};

/// Show or set the rights to a znode
///
/// An entry is SCHEME:ID:RIGHTS, rights being c (create), d (delete), r (read), w (write) and a (admin), as in zkCli.
/// Without entries those that hold are printed, one a line; with some they replace all others.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Acl {
    /// The znode
    path: String,
    /// The new entries
    #[arg(value_name = "ENTRY")]
    entries: Vec<String>,
    /// All below it, too
    #[arg(short, long, requires = "entries")]
    recursive: bool,
    /// Print what would be changed, and change nothing
    #[arg(long, requires = "entries")]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry acl api_x
  zonekeeper registry acl api_x world:anyone:r ip:10.0.0.0/8:cdrwa
  zonekeeper registry acl -r --dry-run staging world:anyone:cdrwa";

/// Requests on their way at once.
const AT_ONCE: usize = 64;

impl Acl {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let wanted: Result<Vec<_>, String> = self
            .entries
            .iter()
            .map(|entry| AclEntry::parse_list(entry))
            .collect::<Result<Vec<_>, _>>()
            .map(|lists| lists.into_iter().flatten().collect());
        let wanted = wanted.map_err(anyhow::Error::msg)?;
        let path = at.find(Some(&self.path)).await?;
        if wanted.is_empty() {
            let (entries, _) = at.session()?.acl(&path).await.map_err(|error| at.trouble(&path, &error))?;
            output::print(&entries.iter().fold(String::new(), |text, entry| format!("{text}{entry}\n")))?;
            return Ok(ExitCode::SUCCESS);
        }
        let paths: Vec<Path> = if self.recursive {
            let scan = at.scan(&path).await?;
            let refused = scan.refused.into_iter().map(|(path, _)| path);
            scan.znodes.into_iter().map(|(path, _)| path).chain(refused).collect()
        } else {
            vec![path]
        };
        let changed = set(at, &paths, &wanted, self.dry_run).await?;
        let mut text = String::new();
        if self.dry_run {
            for path in &changed {
                let _ = writeln!(text, "would set the rights of {path}");
            }
        } else {
            let _ = writeln!(text, "{} of {} znodes changed", changed.len(), paths.len());
        }
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Gives znodes these rights, where they have others. Returns those that had.
///
/// # Errors
/// The first that failed, and how many were done.
pub(super) async fn set(at: &Opened, paths: &[Path], wanted: &[AclEntry], is_dry: bool) -> anyhow::Result<Vec<Path>> {
    let session = at.session()?;
    let one = async |path: Path| -> Result<Option<Path>, (Path, Error)> {
        let failed = |error| (path.clone(), error);
        let (mut entries, version) = match session.acl(&path).await {
            Err(Error::NoNode) => return Ok(None),
            read => read.map_err(failed)?,
        };
        let mut sorted = wanted.to_vec();
        sorted.sort();
        entries.sort();
        if entries == sorted {
            return Ok(None);
        }
        if !is_dry {
            session.set_acl(&path, wanted, Some(version)).await.map_err(failed)?;
        }
        Ok(Some(path))
    };
    let mut outcomes = iter(paths.iter().cloned().map(one)).buffered(AT_ONCE);
    let (mut changed, mut failed) = (Vec::new(), None);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(path) => changed.extend(path),
            Err((path, error)) => {
                failed.get_or_insert((path, error));
            }
        }
    }
    if let Some((path, error)) = failed {
        let so_far = changed.len();
        bail!("{}: {}; the rights of {so_far} other znodes were changed", at.full(&path), refused(&error));
    }
    Ok(changed)
}
