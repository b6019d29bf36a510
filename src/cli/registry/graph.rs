//! `zonekeeper registry graph`: services, what they link to, and their instances, for Graphviz.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::place::Opened;
use super::resolve::{absolute, normal};
use crate::cli::output;
use crate::format;

/// Draw services, their links and their instances, for Graphviz
///
/// Prints a digraph in DOT. A box is a service: a znode with instances, or one whose links lead to some; an edge is a
/// link of zc.zk, solid for a symbolic and dashed for a property link; what is named host:port or is ephemeral is an
/// instance, an ellipse in its service.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Graph {
    /// The znode [default: the registry's root]
    path: Option<String>,
    /// Leave the instances out, and say how many they are
    #[arg(long)]
    brief: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry graph > registry.dot
  zonekeeper registry graph --brief | dot -Tsvg > registry.svg";

/// Element of a path that holds a service's instances in zc.zk's layout.
const PROVIDERS: &str = "providers";

/// Service as it is drawn.
#[derive(Debug, Default)]
struct Drawn {
    instances: Vec<String>,
    /// The targets of its links, with their names, and whether it is a property that comes from there.
    links: Vec<(String, String, bool)>,
}

impl Graph {
    pub(super) async fn run(self, at: &Opened) -> anyhow::Result<ExitCode> {
        let path = at.find(self.path.as_deref()).await?;
        let scan = at.scan(&path).await?;
        let mut services: BTreeMap<String, Drawn> = BTreeMap::new();
        for (place, znode) in &scan.znodes {
            let is_instance = znode.stat.num_children == 0
                && (znode.stat.ephemeral_owner != 0 || format::endpoint(place.name()).is_ok());
            if is_instance && let Some(service) = place.parent() {
                services.entry(service_of(service)).or_default().instances.push(place.name().to_owned());
            }
            let links = format::links(&znode.data).0.into_iter().map(|link| (link.name, link.target, false));
            let properties = format::property_links(&znode.data).0;
            let properties = properties.into_iter().map(|link| (link.name, link.path, true));
            for (name, target, is_property) in links.chain(properties) {
                let target = service_of(&normal(&absolute(place, &target)));
                services.entry(service_of(place.as_str())).or_default().links.push((name, target, is_property));
            }
        }
        for target in services.values().flat_map(|drawn| &drawn.links).map(|link| link.1.clone()).collect::<Vec<_>>() {
            services.entry(target).or_default();
        }
        output::print(&self.digraph(&services))?;
        Ok(at.unread(&scan))
    }

    fn digraph(&self, services: &BTreeMap<String, Drawn>) -> String {
        let mut text = String::from("digraph registry {\n  rankdir=LR;\n  node [shape=box];\n");
        let mut line = |words: String| {
            let _ = writeln!(text, "  {words}");
        };
        for (service, drawn) in services {
            let count = drawn.instances.len();
            let label = match count {
                _ if !self.brief => service.clone(),
                1 => format!("{service}\n1 instance"),
                count => format!("{service}\n{count} instances"),
            };
            line(format!("{} [label={}];", quoted(service), quoted(&label)));
            for instance in drawn.instances.iter().filter(|_| !self.brief) {
                let id = quoted(&format!("{service}\u{1f}{instance}"));
                line(format!("{id} [shape=ellipse, label={}];", quoted(instance)));
                line(format!("{} -> {id} [arrowhead=none];", quoted(service)));
            }
        }
        for (service, drawn) in services {
            for (name, target, is_property) in &drawn.links {
                let style = if *is_property { ", style=dashed" } else { "" };
                line(format!("{} -> {} [label={}{style}];", quoted(service), quoted(target), quoted(name)));
            }
        }
        text.push_str("}\n");
        text
    }
}

/// The service that a path is of: without the element that holds its instances.
fn service_of(path: &str) -> String {
    match path.strip_suffix(PROVIDERS).and_then(|path| path.strip_suffix('/')) {
        Some(service) if !service.is_empty() => service.to_owned(),
        _ => path.to_owned(),
    }
}

/// A text as an identifier of DOT: in quotes, which alone are escaped; a backslash would begin an escape of labels.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\u{1f}' => quoted.push('|'),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
