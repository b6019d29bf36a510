//! `zonekeeper registry ln`: zc.zk's symbolic links.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::place::Opened;
use super::resolve::{absolute, resolve_text};
use super::set::change;
use crate::cli::output;
use crate::format::{self, PropertyEdit};
use crate::registry::Path;

/// Make a link: a child that is another znode
///
/// The znode above LINK gets a property `name -> TARGET`, as zc.zk's `ln` writes it. TARGET is an absolute path, or one
/// relative to that znode; with a slash at its end LINK's name is added.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ln {
    /// The znode that the link is to lead to
    target: String,
    /// The path of the link
    link: String,
    /// Replace a link of that name that leads elsewhere
    #[arg(long)]
    force: bool,
    /// Print the link, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry ln /services/api_x api_latest
  zonekeeper registry ln --force /services/api_x/providers /services/api_y/providers
  zonekeeper registry ln ../api_x api_y/backup --dry-run";

impl Ln {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let link = at.path(Some(&self.link))?;
        let (Some(parent), name) = (link.parent(), link.name().to_owned()) else {
            bail!("/ cannot be a link");
        };
        let holder = at.find(Some(parent)).await?;
        let child = holder.child(&name);
        if at.get(&child).await.map_err(|error| at.trouble(&child, &error))?.is_some() {
            bail!("{} is a znode, which goes before a link of its name: nothing is changed", at.full(&child));
        }
        let target = if self.target.ends_with('/') { format!("{}{name}", self.target) } else { self.target.clone() };
        if target.is_empty() {
            bail!("the path of TARGET is missing");
        }
        if let Err(why) = resolve_text(at, &absolute(&holder, &target)).await {
            output::complain(&format_args!("zonekeeper: {target} {why}: the link leads nowhere yet\n"));
        }
        let value = serde_json::Value::from(target.as_str()).to_string();
        let edits = [PropertyEdit::Set(format!("{name} ->"), value)];
        change(at, &holder, None, false, self.dry_run, |data| {
            let held = format::links(data).0.into_iter().find(|held| held.name == name);
            match held {
                Some(held) if held.target != target && !self.force => {
                    Err(format!("`{name}` leads to {} already: --force replaces it", held.target))
                }
                _ => format::edit(data, &edits).map_err(|why| why.to_string()),
            }
        })
        .await?;
        output::print(&format!("{} -> {target}\n", Path::child(&holder, &name)))?;
        Ok(ExitCode::SUCCESS)
    }
}
