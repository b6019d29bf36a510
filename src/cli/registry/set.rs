//! `zonekeeper registry set`: single properties of a znode.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::place::Opened;
use crate::cli::output;
use crate::format::{self, PropertyEdit};
use crate::registry::{Error, Path};
use crate::zookeeper::session::{Access, Mode, Session as _};

/// Set or remove properties of a znode
///
/// NAME=TEXT sets a text, NAME:=JSON any other value, NAME- removes the property. The rest of the data stays byte for
/// byte as it is; where somebody else changes it meanwhile, it is read again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SetCommand {
    /// The znode
    path: String,
    /// NAME=TEXT, NAME:=JSON or NAME-
    #[arg(required = true, value_name = "CHANGE")]
    changes: Vec<String>,
    /// Create the znode, and those above it, if it does not exist
    #[arg(long)]
    create: bool,
    /// Only if the data has this version
    #[arg(long, value_name = "NUMBER")]
    version: Option<i32>,
    /// Print the data as it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry set api_x owner='team web' ttl:=5
  zonekeeper registry set api_x owner- --dry-run
  zonekeeper registry set /services/new --create 'tags:=[\"canary\"]'";

/// Attempts to change data that others change as well.
const ATTEMPTS: usize = 20;

impl SetCommand {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let edits: Result<Vec<_>, _> = self.changes.iter().map(|change| PropertyEdit::parse(change)).collect();
        let edits = edits?;
        let path = match at.find(Some(&self.path)).await {
            Err(_) if self.create => at.path(Some(&self.path))?,
            found => found?,
        };
        let changed = change(at, &path, self.version, self.create, self.dry_run, |data| {
            format::edit(data, &edits).map_err(|why| format!("{why}"))
        });
        let (data, version) = changed.await?;
        let mut text = String::new();
        if self.dry_run {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(&data));
        } else {
            let _ = writeln!(text, "{path}: version {version}");
        }
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Changes a znode's data as `edit` says, which is asked anew where others change it meanwhile. Returns the data and
/// their version.
///
/// # Errors
/// When `edit` refuses, or the znode cannot be read or written.
pub(super) async fn change(
    at: &Opened,
    path: &Path,
    version: Option<i32>,
    creates: bool,
    is_dry: bool,
    edit: impl Fn(&[u8]) -> Result<Vec<u8>, String>,
) -> anyhow::Result<(Vec<u8>, i32)> {
    let full = at.full(path);
    for _ in 0..ATTEMPTS {
        let found = at.get(path).await.map_err(|error| at.trouble(path, &error))?;
        let (old, known) = match &found {
            Some(znode) => (&*znode.data, Some(znode.stat.version)),
            None if creates => (&b""[..], None),
            None => bail!("{full} does not exist"),
        };
        if let (Some(wanted), Some(known)) = (version, known)
            && wanted != known
        {
            bail!("{full} has version {known}, not {wanted}: nothing is changed");
        }
        let data = edit(old).map_err(|why| anyhow::anyhow!("{full}: {why}"))?;
        if is_dry || (known.is_some() && data == old) {
            return Ok((data, known.unwrap_or(0)));
        }
        let session = at.session()?;
        let written = if known.is_some() {
            session.set(path, &data, known).await
        } else {
            create_parents(at, path).await?;
            session.create(path, &data, Mode::Persistent, &Access::Open).await
        };
        match written {
            Ok(stat) => return Ok((data, stat.version)),
            Err(Error::BadVersion | Error::NodeExists | Error::NoNode) => {}
            Err(error @ (Error::ConnectionLoss(_) | Error::Timeout)) => {
                bail!("{full}: {error}; it is not known whether it was changed: look at it and run this again")
            }
            Err(error) => return Err(at.trouble(path, &error)),
        }
    }
    bail!("{full} was changed by others {ATTEMPTS} times meanwhile: nothing is changed")
}

/// Creates what is missing above a znode.
///
/// # Errors
/// When it cannot be.
pub(super) async fn create_parents(at: &Opened, path: &Path) -> anyhow::Result<()> {
    let session = at.session()?;
    let mut missing = Vec::new();
    let mut above = path.parent().map(Path::new).transpose()?;
    while let Some(parent) = above.filter(|parent| !parent.is_root()) {
        if at.get(&parent).await.map_err(|error| at.trouble(&parent, &error))?.is_some() {
            break;
        }
        above = parent.parent().map(Path::new).transpose()?;
        missing.push(parent);
    }
    for parent in missing.iter().rev() {
        match session.create(parent, b"", Mode::Persistent, &Access::Open).await {
            Ok(_) | Err(Error::NodeExists) => {}
            Err(error) => return Err(at.trouble(parent, &error)),
        }
    }
    Ok(())
}
