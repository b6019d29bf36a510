//! `zonekeeper events`: what came, changed and went, and why.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::ask::AdminServer;
use super::output;
use super::table::{self, Colour, plain};

/// Pause before a server that has gone is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Show what came, changed and went: instances, services, registries, configurations
///
/// The running server keeps the last 10,000 events. Each is a line: its time, its kind, and a sentence with the reason
/// for which an instance is gone: its session is over, its znode was deleted, or the agent has withdrawn it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EventsCommand {
    /// Only those of a service, an instance or a part of the registry: a path, or a DNS name with or without its zone
    name: Option<String>,
    /// Only those since then: 1h (ago), 2026-11-30T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Go on with what happens from now on, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Print JSON, a line an event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper events api_x.service --since 1h      which instance left, when, whose session it was
  zonekeeper events --follow
  zonekeeper events /services/staging --json";

impl EventsCommand {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
    pub(super) fn run(self) -> anyhow::Result<()> {
        let name: Vec<(&str, &str)> = self.name.as_deref().map(|name| ("name", name)).into_iter().collect();
        let since = self.since.as_deref().map(|since| ("since", since));
        let first = [&*name, &[since.unwrap_or(("limit", "10000"))]].concat();
        let list: Value = serde_json::from_str(&self.server.get("/v1/events", &first)?)?;
        let events = list["events"].as_array().cloned().unwrap_or_default();
        // Whoever follows and does not say since when wants what comes.
        let is_read = (self.follow && since.is_none()) || self.show(&events)?;
        if !self.follow || !is_read {
            return Ok(());
        }
        let mut index = list["index"].as_u64().unwrap_or_default();
        let mut was_lost = false;
        loop {
            let id = index.to_string();
            let parameters = [&*name, &[("index", id.as_str()), ("wait", "30s")]].concat();
            let answer = self.server.get_within("/v1/events", &parameters, Duration::from_secs(60));
            let list: Value = match answer.and_then(|text| Ok(serde_json::from_str(&text)?)) {
                Ok(list) => list,
                Err(error) => {
                    if !std::mem::replace(&mut was_lost, true) {
                        output::complain(&format_args!("zonekeeper: {error:#}; trying on\n"));
                    }
                    sleep(PAUSE);
                    continue;
                }
            };
            was_lost = false;
            if list["reset"] == true {
                output::complain(&"zonekeeper: the server has begun anew, or more happened than it keeps\n");
            }
            index = list["index"].as_u64().unwrap_or_default();
            if !self.show(&list["events"].as_array().cloned().unwrap_or_default())? {
                return Ok(());
            }
        }
    }

    /// Returns whether anybody still reads them.
    fn show(&self, events: &[Value]) -> anyhow::Result<bool> {
        if self.json {
            let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
            return output::print_to_reader(&output::harmless(&lines.concat()));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |event: &Value| {
            let kind = text(&event["kind"]);
            let colour = colour(&kind);
            vec![plain(text(&event["time"])), (kind, colour), plain(text(&event["text"]))]
        };
        let rows: Vec<_> = events.iter().map(row).collect();
        output::print_to_reader(&table::render(&rows, table::is_for_people()))
    }
}

fn colour(kind: &str) -> Colour {
    match kind {
        "added" | "undrained" | "first" | "live" | "read" | "taken" => Colour::Green,
        "gone" | "last" | "lost" | "expired" | "rejected" => Colour::Red,
        "changed" | "drained" | "stale" | "many" => Colour::Yellow,
        _ => Colour::Plain,
    }
}
