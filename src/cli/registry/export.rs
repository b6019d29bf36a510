//! `zonekeeper registry export`: a tree as a text that `import` takes.

use std::process::ExitCode;

use clap::Args;
use futures_util::stream::{StreamExt as _, iter};

use super::place::Opened;
use crate::cli::output;
use crate::registry::text::{self, TreeNode};
use crate::registry::{Error, Path};

/// Write a tree as text that `import` takes
///
/// zc.zk's tree text, which its `zookeeper_import` reads as well, or JSON. Ephemeral znodes, as registrations are, are
/// left out unless --ephemeral is given. What a tree text cannot say (binary data, names with spaces) is told on
/// standard error; JSON says everything. The tree is read znode by znode: what changes meanwhile is seen before or
/// after.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Export {
    /// The topmost znode [default: the registry's root]
    path: Option<String>,
    /// Ephemeral znodes, too
    #[arg(long)]
    ephemeral: bool,
    /// Write JSON: an object with a line for each znode
    #[arg(long)]
    json: bool,
    /// With --json: the rights to each znode, too
    #[arg(long, requires = "json")]
    acl: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry export > registry.tree
  zonekeeper registry export /services/api_x --ephemeral
  zonekeeper registry export --json --acl > registry.json";

/// Requests for rights on their way at once.
const AT_ONCE: usize = 256;

impl Export {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let path = at.find(self.path.as_deref()).await?;
        let mut scan = at.scan(&path).await?;
        scan.znodes.retain(|(_, znode)| self.ephemeral || znode.stat.ephemeral_owner == 0);
        let code = at.unread(&scan);
        // Its own name is the first element, as in zc.zk's exports.
        let above = path.parent().map_or_else(|| Ok(Path::root()), Path::new)?;
        let place = |path: &Path| path.below(&above).map_or_else(Path::root, |below| Path::root().child(below));
        if !self.json {
            let nodes: Vec<_> = scan.znodes.iter().map(|(path, znode)| (place(path), &*znode.data)).collect();
            let exported = text::export(nodes.iter().map(|(path, data)| (path, *data)));
            output::print_exactly(exported.text.as_bytes())?;
            for (left_out, why) in &exported.left_out {
                let left_out = at.full(&above.child(left_out.as_str().trim_start_matches('/')));
                let words =
                    format_args!("zonekeeper: {left_out} and what is below it is left out: {why}; see --json\n");
                output::complain(&words);
            }
            return Ok(if exported.left_out.is_empty() { code } else { ExitCode::FAILURE });
        }
        let mut rights = Vec::new();
        if self.acl {
            let session = at.session()?;
            let reading = scan.znodes.iter().map(async |(path, _)| (path, session.acl(path).await));
            let mut read = iter(reading).buffered(AT_ONCE);
            while let Some((path, acl)) = read.next().await {
                rights.push(match acl {
                    Ok((acl, _)) => acl.iter().map(ToString::to_string).collect(),
                    Err(Error::NoNode) => Vec::new(),
                    Err(error) => return Err(at.trouble(path, &error)),
                });
            }
        }
        rights.resize(scan.znodes.len(), Vec::new());
        let nodes: Vec<_> = scan
            .znodes
            .into_iter()
            .zip(rights)
            .map(|((path, znode), acl)| {
                let is_ephemeral = znode.stat.ephemeral_owner != 0;
                (place(&path), TreeNode { data: znode.data, acl, is_ephemeral })
            })
            .filter(|(path, _)| !path.is_root())
            .collect();
        output::print_exactly(text::write_tree(nodes.iter().map(|(path, node)| (path.as_str(), node))).as_bytes())?;
        Ok(code)
    }
}
