//! `zonekeeper registry import`: makes a tree what a text says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path as FilePath, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::changing::carry_out;
use super::place::Opened;
use super::{acl, json};
use crate::cli::output;
use crate::registry::plan::{FoundNode, TreeChange, TreePlan, differences, plan};
use crate::registry::text::{self, TreeNode};
use crate::registry::{Error, Path};
use crate::zookeeper::acl::AclEntry;
use crate::zookeeper::session::{Access, Mode, Write};

/// Create and change znodes as a text says
///
/// The text is zc.zk's tree text or JSON, as `export` writes them. What is there as it should be is not touched; where
/// the import is interrupted, the same command again does the rest. Znodes below those of the text that it does not
/// have are told, and deleted with --trim; ephemeral ones and what is above them always stay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Import {
    /// The text; `-` is standard input
    file: PathBuf,
    /// The znode below which it is put [default: the one above the registry's root]
    path: Option<String>,
    /// Delete znodes that the text does not have, below those that it has
    #[arg(long)]
    trim: bool,
    /// Rights to the znodes, SCHEME:ID:RIGHTS,…: of those that are created and of those that are there [default: those
    /// that the text says; of new ones world:anyone:cdrwa]
    #[arg(long, value_name = "ACL", value_parser = rights)]
    acl: Option<Rights>,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry import registry.tree --dry-run
  zonekeeper registry import registry.tree --trim
  zonekeeper registry import registry.tree /copy --acl world:anyone:cdrwa";

/// Rights that are given to znodes.
#[derive(Debug, Clone)]
struct Rights(Vec<AclEntry>);

fn rights(text: &str) -> Result<Rights, String> {
    AclEntry::parse_list(text).map(Rights)
}

/// A tree as a file has it, and the znode below which it is.
pub(super) struct Wanted {
    pub(super) base: Path,
    pub(super) nodes: BTreeMap<Path, TreeNode>,
}

impl Import {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let wanted = Wanted::read(at, &self.file, self.path.as_deref())?;
        let data = wanted.data();
        let planned = wanted.plan(at, &data, false).await?;
        let extra = planned.changes.iter().filter(|change| change.is_delete()).count();
        let is_meant = |change: &TreeChange| self.trim || !change.is_delete();
        let changes: Vec<TreeChange> = planned.changes.into_iter().filter(is_meant).collect();
        let entries = self.acl.as_ref().map(|Rights(entries)| entries.as_slice());
        let mut text = String::new();
        if self.dry_run {
            print_changes(&changes, &mut text);
            for (paths, entries) in wanted.rights(entries)? {
                let paths: Vec<Path> = paths.into_iter().filter(|path| !is_created(&changes, path)).collect();
                for path in acl::set(at, &paths, &entries, true).await? {
                    let _ = writeln!(text, "= {path}: rights");
                }
            }
        } else {
            let count = |kind: fn(&TreeChange) -> bool| changes.iter().filter(|change| kind(change)).count();
            let created = count(|change| matches!(change, TreeChange::Create { .. }));
            let (set, deleted) =
                (count(|change| matches!(change, TreeChange::Set { .. })), count(TreeChange::is_delete));
            if !changes.is_empty() {
                let again = async || {
                    let planned = wanted.plan(at, &data, false).await?;
                    Ok(planned.changes.into_iter().filter(is_meant).map(write).collect())
                };
                carry_out(at, changes.into_iter().map(write).collect(), entries, again).await?;
            }
            let mut granted = 0;
            for (paths, entries) in wanted.rights(entries)? {
                granted += acl::set(at, &paths, &entries, false).await?.len();
            }
            let _ = write!(text, "created {created}, changed {set}, deleted {deleted}");
            let _ = if granted > 0 { writeln!(text, ", rights of {granted} changed") } else { writeln!(text) };
        }
        output::print(&text)?;
        for path in &planned.kept {
            output::complain(&format_args!("zonekeeper: {} is ephemeral and stays as it is\n", at.full(path)));
        }
        if extra > 0 && !self.trim {
            let name = json::shown(&self.file).display();
            output::complain(&format_args!("zonekeeper: {extra} znodes are not in {name}: --trim deletes them\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Wanted {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn read(at: &Opened, file: &FilePath, path: Option<&str>) -> anyhow::Result<Self> {
        let written = json::read_file(file)?;
        let nodes = text::read_tree(&written).map_err(|problems| json::report(file, &written, problems))?;
        let base = match path {
            Some(path) => at.path(Some(path))?,
            None => at.root.parent().map_or_else(|| Ok(Path::root()), Path::new)?,
        };
        let nodes = nodes.into_iter().map(|(path, node)| (base.child(path.as_str().trim_start_matches('/')), node));
        Ok(Self { nodes: nodes.filter(|(path, _)| *path != base).collect(), base })
    }

    /// The data of all znodes, parents that are not said among them.
    pub(super) fn data(&self) -> BTreeMap<Path, Vec<u8>> {
        let mut all: BTreeMap<Path, Vec<u8>> =
            self.nodes.iter().map(|(path, node)| (path.clone(), node.data.clone())).collect();
        for path in self.nodes.keys() {
            let mut above = path.parent().map(Path::trusted);
            while let Some(parent) = above.filter(|parent| *parent != self.base && !parent.is_root()) {
                above = parent.parent().map(Path::trusted);
                all.entry(parent).or_default();
            }
        }
        all
    }

    /// Rights and the znodes that are to have them: `given`, or those that the file says.
    fn rights(&self, given: Option<&[AclEntry]>) -> anyhow::Result<Vec<(Vec<Path>, Vec<AclEntry>)>> {
        if let Some(given) = given {
            return Ok(vec![(self.nodes.keys().cloned().collect(), given.to_vec())]);
        }
        let mut by_rights: BTreeMap<Vec<AclEntry>, Vec<Path>> = BTreeMap::new();
        for (path, node) in self.nodes.iter().filter(|(_, node)| !node.acl.is_empty()) {
            let entries: Result<Vec<_>, _> = node.acl.iter().map(|entry| AclEntry::parse(entry)).collect();
            match entries {
                Ok(entries) => by_rights.entry(entries).or_default().push(path.clone()),
                Err(why) => bail!("{path}: `acl` {why}"),
            }
        }
        Ok(by_rights.into_iter().map(|(entries, paths)| (paths, entries)).collect())
    }

    /// The changes that make the registry what the file says.
    ///
    /// # Errors
    /// When a part of the registry cannot be read.
    pub(super) async fn plan(
        &self,
        at: &Opened,
        data: &BTreeMap<Path, Vec<u8>>,
        ephemeral: bool,
    ) -> anyhow::Result<TreePlan> {
        let tops: BTreeSet<Path> = data
            .keys()
            .filter_map(|path| path.below(&self.base)?.split('/').next().map(|name| self.base.child(name)))
            .collect();
        let mut found = BTreeMap::new();
        for top in &tops {
            if at.get(top).await.map_err(|error| at.trouble(top, &error))?.is_none() {
                continue;
            }
            let scan = at.scan(top).await?;
            if let Some((path, error)) = scan.refused.first() {
                return Err(at.trouble(path, error));
            }
            let nodes = scan.znodes.into_iter().map(|(path, znode)| {
                let (version, is_ephemeral) = (znode.stat.version, znode.stat.ephemeral_owner != 0);
                (path, FoundNode { data: znode.data, version, is_ephemeral })
            });
            found.extend(nodes);
        }
        let mut planned = plan(data, &found, ephemeral);
        let mut above = Some(self.base.clone());
        while let Some(path) = above.filter(|path| !path.is_root()) {
            match at.get(&path).await {
                Ok(None) => {}
                Ok(Some(_)) | Err(Error::NoAuth) => break,
                Err(error) => return Err(at.trouble(&path, &error)),
            }
            above = path.parent().map(Path::new).transpose()?;
            planned.changes.insert(0, TreeChange::Create { path, data: Vec::new() });
        }
        Ok(planned)
    }
}

/// A change as ZooKeeper is told it.
fn write(change: TreeChange) -> Write {
    match change {
        TreeChange::Create { path, data } => Write::Create { path, data, mode: Mode::Persistent, access: Access::Open },
        TreeChange::Set { path, data, version, .. } => Write::Set { path, data, version: Some(version) },
        TreeChange::Delete { path, version } => Write::Delete { path, version: Some(version) },
    }
}

fn is_created(changes: &[TreeChange], path: &Path) -> bool {
    changes.iter().any(|change| matches!(change, TreeChange::Create { path: created, .. } if created == path))
}

/// Writes changes, a line each: `+` created, `~` changed, `-` deleted.
pub(super) fn print_changes(changes: &[TreeChange], text: &mut String) {
    for change in changes {
        let _ = match change {
            TreeChange::Create { path, .. } => writeln!(text, "+ {path}"),
            TreeChange::Delete { path, .. } => writeln!(text, "- {path}"),
            TreeChange::Set { path, old, data, .. } => {
                writeln!(text, "~ {path}: {}", differences(old, data).join("; "))
            }
        };
    }
}
