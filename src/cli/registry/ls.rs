//! `zonekeeper registry ls`: the children of a znode, and zc.zk's links beside them.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::json;
use super::place::Opened;
use crate::cli::output;
use crate::format;
use crate::registry::Path;

/// List the children of a znode
///
/// Names, sorted, one a line. With --long also what each is: persistent, ephemeral or a link, its children, the bytes
/// of its data and the time of their last change.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ls {
    /// The znode [default: the registry's root]
    path: Option<String>,
    /// Say what each child is, and show the links of zc.zk as well
    #[arg(short, long)]
    long: bool,
    /// Print JSON, links among it
    #[arg(long, conflicts_with = "long")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry ls
  zonekeeper registry ls --long api_x/providers
  zonekeeper registry ls --json /services/api_x";

impl Ls {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let path = at.find(self.path.as_deref()).await?;
        let names = at.children(&path).await?;
        if !self.long && !self.json {
            output::print(&names.iter().fold(String::new(), |text, name| text + name + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let children: Vec<Path> = names.iter().map(|name| path.child(name)).collect();
        let mut list = Vec::new();
        for (child, znode) in at.nodes(&children).await? {
            match znode {
                Ok(znode) => list.push((child.name().to_owned(), Some(znode))),
                Err(crate::registry::Error::NoNode) => {}
                Err(error) => {
                    output::complain(&format_args!("zonekeeper: {:#}\n", at.trouble(&child, &error)));
                    list.push((child.name().to_owned(), None));
                }
            }
        }
        let held = at.get(&path).await.ok().flatten().map(|znode| format::links(&znode.data).0).unwrap_or_default();
        let links: Vec<_> = held.into_iter().filter(|link| !names.contains(&link.name)).collect();
        if self.json {
            let mut object = serde_json::Map::new();
            for (name, znode) in list {
                let shown = znode.map(|znode| json::stat(&znode.stat, znode.data.len()));
                object.insert(name, json!({ "stat": shown }));
            }
            for link in links {
                object.insert(link.name, json!({ "link": link.target }));
            }
            output::print(&format!("{}\n", serde_json::Value::from(object)))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = String::new();
        for (name, znode) in &list {
            let _ = match znode {
                Some(znode) => {
                    let kind = if znode.stat.ephemeral_owner == 0 { "persistent" } else { "ephemeral" };
                    let (children, bytes) = (znode.stat.num_children, znode.data.len());
                    writeln!(text, "{kind:<10} {children:>8} {bytes:>8} {:<20} {name}", json::moment(znode.stat.mtime))
                }
                None => writeln!(text, "{:<10} {:>8} {:>8} {:<20} {name}", "?", "?", "?", "?"),
            };
        }
        for link in &links {
            let _ = writeln!(text, "{:<10} {:>8} {:>8} {:<20} {} -> {}", "link", "-", "-", "-", link.name, link.target);
        }
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
