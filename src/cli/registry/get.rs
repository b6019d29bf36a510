//! `zonekeeper registry get`: a znode with its properties, its links and where they lead, and its stat.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::json;
use super::place::Opened;
use super::resolve::{absolute, resolve, resolve_text};
use crate::cli::output;
use crate::format;
use crate::registry::Path;
use crate::registry::text::{Literal, properties, property};
use crate::zookeeper::Znode;

/// Show a znode: data, properties, links and stat
///
/// Properties are read as zc.zk reads them: a JSON object, or `string_value`, which is all of the data as a text. Of
/// each link it is said where it leads.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Get {
    /// The znode [default: the registry's root]
    path: Option<String>,
    /// Print only the value of this property, or the property that its link leads to: a text as it is, else JSON
    #[arg(long, value_name = "NAME", conflicts_with_all = ["json", "raw"])]
    property: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print the data, byte for byte
    #[arg(long)]
    raw: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry get api_x
  zonekeeper registry get api_x --property owner
  zonekeeper registry get /services/api_x/providers/192.168.0.42:8080 --json";

/// Property links that are followed one after the other, at most.
const DEPTH: usize = 40;

/// A link of a znode, and where it leads.
struct Led {
    /// Its key in the data: `name ->`.
    key: String,
    /// Its text.
    target: String,
    /// The real path and, of a property link, the value.
    end: Result<(Path, Option<Literal>), String>,
}

impl Get {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let asked = at.path(self.path.as_deref())?;
        let real = at.find(self.path.as_deref()).await?;
        let znode = match at.get(&real).await {
            Ok(Some(znode)) => znode,
            Ok(None) => bail!("{} does not exist", at.full(&real)),
            Err(error) => return Err(at.trouble(&real, &error)),
        };
        if self.raw {
            output::print_exactly(&znode.data)?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(name) = &self.property {
            return match value(at, &asked, &znode, name).await {
                Ok(Literal::Text(text)) => output::print(&format!("{text}\n")),
                Ok(value) => output::print(&format!("{}\n", String::from_utf8_lossy(&value.to_json()))),
                Err(why) => bail!("{}: {why}", at.full(&asked)),
            }
            .map(|()| ExitCode::SUCCESS);
        }
        let led = leads(at, &asked, &real, &znode).await;
        let text = if self.json { in_json(&asked, &real, &znode, &led) } else { in_words(&asked, &real, &znode, &led) };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The links of a znode and where each leads.
async fn leads(at: &Opened, asked: &Path, real: &Path, znode: &Znode) -> Vec<Led> {
    let mut led = Vec::new();
    for link in format::links(&znode.data).0 {
        let child = real.child(&link.name);
        let shadowed = matches!(at.get(&child).await, Ok(Some(_)));
        let end = if shadowed {
            Err(format!("not followed: there is a znode {child}"))
        } else {
            resolve(at, &child).await.map(|end| (end, None)).map_err(|why| why.to_string())
        };
        led.push(Led { key: format!("{} ->", link.name), target: link.target, end });
    }
    for link in format::property_links(&znode.data).0 {
        let target =
            if link.property == link.name { link.path.clone() } else { format!("{} {}", link.path, link.property) };
        let end = linked(at, asked, &link).await;
        led.push(Led { key: format!("{} =>", link.name), target, end: end.map(|(path, value)| (path, Some(value))) });
    }
    led
}

/// The znode and the value that a property link leads to; `asked` is the path by which its holder was looked for.
async fn linked(at: &Opened, asked: &Path, link: &format::PropertyLink) -> Result<(Path, Literal), String> {
    let (mut asked, mut link) = (asked.clone(), link.clone());
    for _ in 0..DEPTH {
        let text = absolute(&asked, &link.path);
        let real = resolve_text(at, &text).await.map_err(|why| format!("{text} {why}"))?;
        let found = at.get(&real).await.map_err(|error| format!("{real}: {error}"))?;
        let found = found.ok_or_else(|| format!("{real} does not exist"))?;
        let all = properties(&found.data).map_err(|why| format!("{real}: {why}"))?;
        if let Some((_, value)) = all.into_iter().find(|(key, _)| *key == link.property) {
            return Ok((real, value));
        }
        let next = format::property_links(&found.data).0.into_iter().find(|next| next.name == link.property);
        let Some(next) = next else { return Err(format!("{real} has no property `{}`", link.property)) };
        (asked, link) = (real, next);
    }
    Err("is a loop of property links".to_owned())
}

/// The value of a property, the znode's own or one that a link leads to.
async fn value(at: &Opened, asked: &Path, znode: &Znode, name: &str) -> Result<Literal, String> {
    let own = properties(&znode.data)?;
    if let Some((_, value)) = own.iter().find(|(key, _)| key == name) {
        return Ok(value.clone());
    }
    let link = format::property_links(&znode.data).0.into_iter().find(|link| link.name == name);
    match link {
        Some(link) => linked(at, asked, &link).await.map(|(_, value)| value),
        None if own.is_empty() => Err(format!("has no property `{name}`, nor any other")),
        None => {
            let names: Vec<&str> = own.iter().map(|(key, _)| key.as_str()).collect();
            Err(format!("has no property `{name}`, but {}", names.join(", ")))
        }
    }
}

fn in_words(asked: &Path, real: &Path, znode: &Znode, led: &[Led]) -> String {
    let mut text = format!("{asked}\n");
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{words}");
    };
    if asked != real {
        line(format_args!("  real path  {real}"));
    }
    let stat = &znode.stat;
    line(format_args!("  data       {} bytes, version {}", znode.data.len(), stat.version));
    line(format_args!("  created    {} (zxid 0x{:x})", json::moment(stat.ctime), stat.czxid));
    line(format_args!("  changed    {} (zxid 0x{:x})", json::moment(stat.mtime), stat.mzxid));
    match stat.ephemeral_owner {
        0 => line(format_args!("  children   {}, changed {} times", stat.num_children, stat.cversion)),
        owner => line(format_args!("  ephemeral  of session {}", json::session(owner))),
    }
    match properties(&znode.data) {
        Err(why) => line(format_args!("  properties none: {why}")),
        Ok(all) => {
            let own: Vec<_> = all.iter().filter(|(key, _)| !led.iter().any(|led| led.key == *key)).collect();
            if !own.is_empty() {
                line(format_args!("properties"));
                for (key, value) in own {
                    line(format_args!("  {}", property(key, value)));
                }
            }
        }
    }
    if !led.is_empty() {
        line(format_args!("links"));
    }
    for Led { key, target, end } in led {
        match end {
            Ok((path, None)) => line(format_args!("  {key} {target}  (leads to {path})")),
            Ok((path, Some(value))) => line(format_args!("  {key} {target}  (is {value}, of {path})")),
            Err(why) => line(format_args!("  {key} {target}  (broken: {why})")),
        }
    }
    text
}

fn in_json(asked: &Path, real: &Path, znode: &Znode, led: &[Led]) -> String {
    let mut object = Map::new();
    object.insert("path".to_owned(), asked.as_str().into());
    object.insert("real".to_owned(), real.as_str().into());
    let (key, data) = json::data(&znode.data);
    object.insert(key.to_owned(), data);
    let all = properties(&znode.data).ok();
    let own: Option<Map<String, Value>> =
        all.map(|all| all.iter().map(|(key, value)| (key.clone(), json::value(value))).collect());
    object.insert("properties".to_owned(), json!(own));
    object.insert("stat".to_owned(), json::stat(&znode.stat, znode.data.len()));
    let mut links = Map::new();
    for Led { key, target, end } in led {
        let led = match end {
            Ok((path, None)) => json!({"target": target, "real": path.as_str()}),
            Ok((path, Some(value))) => {
                json!({"target": target, "real": path.as_str(), "value": json::value(value)})
            }
            Err(why) => json!({"target": target, "error": why}),
        };
        links.insert(key.clone(), led);
    }
    object.insert("links".to_owned(), links.into());
    format!("{}\n", Value::from(object))
}
