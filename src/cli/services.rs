//! `zonekeeper services` and `zonekeeper service`: what is in DNS and what is not.

use clap::Args;
use serde_json::Value;

use super::ask::{AdminServer, encoded};
use super::output;
use super::table::{self, Cell, Colour, plain};

/// List the services: how many instances of each are in DNS and how many are not
///
/// A line a service: its path, instances in and out, what is wrong with it, and its first DNS name.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServicesCommand {
    /// Only services at or below this path
    prefix: Option<String>,
    /// Only those without an instance in DNS
    #[arg(long, group = "state")]
    empty: bool,
    /// Only those that are drained, or an instance of which is
    #[arg(long, group = "state")]
    drained: bool,
    /// Only those with znodes that are not served
    #[arg(long, group = "state")]
    lost: bool,
    /// Only those with znodes that are served with a default
    #[arg(long, group = "state")]
    doubtful: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper services
  zonekeeper services staging --empty
  zonekeeper services --lost --json";

/// Fields of a list.
const FIELDS: &str = "path,names,in,out,drains,lost,doubtful";

impl ServicesCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let states =
            [("empty", self.empty), ("drained", self.drained), ("lost", self.lost), ("doubtful", self.doubtful)];
        let state = states.iter().find(|(_, is_wanted)| *is_wanted).map(|(name, _)| ("state", *name));
        let mut parameters: Vec<(&str, &str)> = self.prefix.as_deref().map(|one| ("prefix", one)).into_iter().collect();
        parameters.extend(state);
        if self.json {
            return output::print(&self.server.get("/v1/services", &parameters)?);
        }
        parameters.push(("fields", FIELDS));
        let list: Value = serde_json::from_str(&self.server.get("/v1/services", &parameters)?)?;
        let mut rows = vec![["SERVICE", "IN", "OUT", "STATE", "NAME"].map(plain).to_vec()];
        rows.extend(list["services"].as_array().into_iter().flatten().map(row));
        output::print_as_is(&table::render(&rows, table::is_for_people()))
    }
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn row(service: &Value) -> Vec<Cell> {
    let (serving, out) = (&service["in"], &service["out"]);
    let mut state = Vec::new();
    if *serving == 0 {
        state.push("empty".to_owned());
    }
    for word in ["drains", "lost", "doubtful"] {
        if let count @ 1.. = count(&service[word]) {
            state.push(format!("{count} {word}"));
        }
    }
    let colour = match (count(&service["lost"]) > 0 || *serving == 0, state.is_empty()) {
        (true, _) => Colour::Red,
        (_, false) => Colour::Yellow,
        _ => Colour::Green,
    };
    let state = if state.is_empty() { "ok".to_owned() } else { state.join(", ") };
    let path = match service["path"].as_str() {
        Some("") | None => "/".to_owned(),
        Some(path) => path.to_owned(),
    };
    vec![plain(path), plain(text(serving)), plain(text(out)), (state, colour), plain(text(&service["names"][0]))]
}

/// Show one service: its DNS names, and each instance with what it is answered with, or why it is not
///
/// For each instance: in or out, weight, priority, time to live, the session that owns it, since when it is registered,
/// and the reason for which it is out.
#[derive(Debug, Args)]
#[command(after_help = ONE_EXAMPLES)]
pub(super) struct ServiceCommand {
    /// A path, with or without the root, or a DNS name, with or without its zone
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: AdminServer,
}

const ONE_EXAMPLES: &str = "\
Examples:
  zonekeeper service api_x.service
  zonekeeper service /services/staging/api_x --json";

impl ServiceCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = self.name.trim_matches('/').split('/').map(encoded).collect::<Vec<_>>().join("/");
        // A leading slash says that the root is part of it.
        let path = if self.name.starts_with('/') { format!("%2F{path}") } else { path };
        let answer = self.server.get(&format!("/v1/services/{path}"), &[])?;
        if self.json {
            return output::print(&answer);
        }
        let service: Value = serde_json::from_str(&answer)?;
        let mut head = vec![
            vec![plain("service"), plain(text(&service["full_path"]))],
            vec![plain("registry"), plain(text(&service["registry"]))],
        ];
        for name in service["names"].as_array().into_iter().flatten() {
            head.push(vec![plain("name"), plain(text(name))]);
        }
        let numbers = format!("{} in, {} out, ttl {}", service["in"], service["out"], text(&service["ttl"]));
        head.push(vec![plain("instances"), plain(numbers)]);
        for drain in service["drains"].as_array().into_iter().flatten() {
            let whose = drain["instance"].as_str().unwrap_or("the whole service");
            let said = format!(
                "{whose} by {} until {}: {}",
                text(&drain["by"]),
                drain["until"].as_str().unwrap_or("it is undrained"),
                text(&drain["reason"])
            );
            head.push(vec![plain("drain"), (said, Colour::Yellow)]);
        }
        let mut rows =
            vec![["INSTANCE", "DNS", "WEIGHT", "PRIO", "TTL", "SESSION", "SINCE", "REASON"].map(plain).to_vec()];
        rows.extend(service["instances"].as_array().into_iter().flatten().map(instance));
        for (word, colour) in [("lost", Colour::Red), ("doubtful", Colour::Yellow)] {
            for one in service[word].as_array().into_iter().flatten() {
                let path = text(&one["path"]);
                let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
                let mut row = vec![plain(name), (word.to_owned(), colour)];
                row.extend(std::iter::repeat_n(plain("-"), 5));
                row.push(plain(text(&one["reason"])));
                rows.push(row);
            }
        }
        let is_for_people = table::is_for_people();
        let gap = if is_for_people { "\n" } else { "" };
        let shown = table::render(&head, is_for_people) + gap + &table::render(&rows, is_for_people);
        output::print_as_is(&shown)
    }
}

fn instance(instance: &Value) -> Vec<Cell> {
    let state = if instance["in"] == true { ("in".to_owned(), Colour::Green) } else { ("out".to_owned(), Colour::Red) };
    let effective = &instance["effective"];
    vec![
        plain(text(&instance["name"])),
        state,
        plain(text(&effective["weight"])),
        plain(text(&effective["priority"])),
        plain(text(&effective["ttl"])),
        plain(text(&instance["owner"])),
        plain(text(&instance["ctime"])),
        plain(text(&instance["reason"])),
    ]
}
