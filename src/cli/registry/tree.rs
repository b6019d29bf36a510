//! `zonekeeper registry tree`: a registry for the eye, as zc.zk's `print_tree` shows it.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::json;
use super::place::Opened;
use crate::cli::output;
use crate::log::visible;
use crate::publish::unix_now;
use crate::registry::text;
use crate::zookeeper::Znode;

/// Show a registry as a tree
///
/// Znodes with their properties and links, as in zc.zk's tree text; behind an ephemeral one the session that holds it
/// and how long it has been there. For a text to be imported use `zonekeeper registry export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TreeCommand {
    /// The znode [default: the registry's root]
    path: Option<String>,
    /// Only so many levels below it
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// Only znodes, without their properties
    #[arg(long)]
    brief: bool,
    /// Use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: Colours,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry tree
  zonekeeper registry tree --brief --depth 2
  zonekeeper registry tree /services/api_x --color always | less -R";

/// Choice of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colours {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

/// Pens: escape sequences (ECMA-48 SGR) around a text.
const NODE: &str = "\u{1b}[1m";
const INSTANCE: &str = "\u{1b}[32m";
const LINK: &str = "\u{1b}[36m";
const FAINT: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

impl TreeCommand {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let path = at.find(self.path.as_deref()).await?;
        let scan = at.scan(&path).await?;
        let colours = match self.color {
            Colours::Always => true,
            Colours::Never => false,
            Colours::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        let now = i64::try_from(unix_now()).unwrap_or(i64::MAX).saturating_mul(1000);
        let mut text = String::new();
        for (place, znode) in &scan.znodes {
            let below = place.below(&path).unwrap_or_default();
            let depth = below.split('/').filter(|element| !element.is_empty()).count();
            if self.depth.is_none_or(|most| depth <= most) {
                let name = if depth == 0 { place.as_str().trim_start_matches('/') } else { place.name() };
                self.node(name, znode, depth, now, colours, &mut text);
            }
        }
        output::print_coloured(&text)?;
        Ok(at.unread(&scan))
    }

    fn node(&self, name: &str, znode: &Znode, depth: usize, now: i64, colours: bool, text: &mut String) {
        let paint = |pen: &str, words: &str| {
            let words = visible(words);
            if colours { format!("{pen}{words}{PLAIN}") } else { words.into_owned() }
        };
        let indent = "  ".repeat(depth);
        let is_ephemeral = znode.stat.ephemeral_owner != 0;
        let pen = if is_ephemeral { INSTANCE } else { NODE };
        let _ = write!(text, "{indent}{}", paint(pen, &format!("/{name}")));
        let properties = text::properties(&znode.data);
        let kind = properties.iter().flatten().find(|(key, _)| key == "type");
        if let Some((_, text::Literal::Text(kind))) = kind {
            let _ = write!(text, " : {}", visible(kind));
        }
        if is_ephemeral {
            let age = match now.saturating_sub(znode.stat.ctime) / 1000 {
                _ if znode.stat.ctime == 0 => String::new(),
                seconds => format!(", {}", age(seconds)),
            };
            let owner = json::session(znode.stat.ephemeral_owner);
            let _ = write!(text, "  {}", paint(FAINT, &format!("({owner}{age})")));
        }
        text.push('\n');
        if self.brief {
            return;
        }
        match properties {
            Ok(mut properties) => {
                properties.sort_by(|(one, _), (other, _)| {
                    let is_link = |key: &str| key.ends_with(" ->") || key.ends_with(" =>");
                    is_link(one).cmp(&is_link(other)).then_with(|| one.cmp(other))
                });
                for (key, value) in properties {
                    if key == "type" && matches!(value, text::Literal::Text(_)) {
                        continue;
                    }
                    let line = text::property(&key, &value);
                    let is_link = key.ends_with(" ->") || key.ends_with(" =>");
                    let line = if is_link { paint(LINK, &line) } else { visible(&line).into_owned() };
                    let _ = writeln!(text, "{indent}  {line}");
                }
            }
            Err(why) => {
                let words = format!("({} bytes: {why})", znode.data.len());
                let _ = writeln!(text, "{indent}  {}", paint(FAINT, &words));
            }
        }
    }
}

/// A time in its largest unit, or its two largest ones: `3d 4h`.
pub(super) fn age(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
