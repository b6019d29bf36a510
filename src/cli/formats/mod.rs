//! `zonekeeper formats`: the conventions that registries can be read by, and one of them with its example.

mod names;
mod page;
mod words;

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value as Json, json};

use crate::cli::output;
use crate::config;
use crate::format::declared::{Description, Example};
use crate::format::{Chosen, Formats};
use crate::settings::nearest;
use words::{full_path, place, shown};

/// List the formats of registries: conventions of znodes that can be read
///
/// With a name: that format as TOML to begin an own one with, an example of its znodes, and the DNS names that they
/// get. Own formats are tables [format.NAME] of the configuration that --config names.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FormatsCommand {
    /// Name of a format
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Configuration file whose formats are listed as well
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the page of all formats, deploy/docs/conventions.md
    #[arg(long, conflicts_with_all = ["name", "config", "json"])]
    markdown: bool,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper formats                          the names, for `format = \"NAME\"` of a registry
  zonekeeper formats kafka                    one of them, with an example and its DNS names
  zonekeeper formats mine --config new.toml   an own one, and what it makes of its `example`";

impl FormatsCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.markdown {
            return output::print(&page::markdown());
        }
        let formats = match &self.config {
            Some(path) => config::load(path)?.formats,
            None => Formats::default(),
        };
        let Some(name) = &self.name else { return output::print(&list(&formats, self.json)) };
        let Some(chosen) = formats.find(name) else {
            let names: Vec<&str> = formats.all().into_iter().map(|(name, _)| name).collect();
            let help = match nearest(name, &names) {
                Some(near) => format!("did you mean {near}?"),
                None => "`zonekeeper formats` lists all".to_owned(),
            };
            return Err(anyhow!("there is no format {name}: {help}"));
        };
        output::print(&if self.json { one_json(name, chosen).to_string() + "\n" } else { one(name, chosen) })
    }
}

fn list(formats: &Formats, as_json: bool) -> String {
    let all = formats.all();
    if as_json {
        return all.into_iter().map(|(name, chosen)| summary(name, chosen)).collect::<Json>().to_string() + "\n";
    }
    let rows: Vec<_> = all.into_iter().map(|(name, chosen)| (name, place(chosen), chosen)).collect();
    let width = |of: fn(&(&str, String, Chosen<'_>)) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let (names, places) = (width(|row| row.0.chars().count()), width(|row| row.1.chars().count()).min(56));
    let mut text = String::new();
    for (name, place, chosen) in &rows {
        let (rights, doc) = (rights(*chosen), chosen.doc());
        let _ = writeln!(text, "{name:<names$}  {place:<places$}  {rights:<13}  {doc}");
    }
    text
}

/// Purposes that a format serves: registries are read in all, and `[[service]]` is written in some.
fn rights(chosen: Chosen<'_>) -> &'static str {
    if chosen.is_written() { "read, written" } else { "read" }
}

fn summary(name: &str, chosen: Chosen<'_>) -> Json {
    let (kind, root) = match chosen {
        Chosen::Coded(row) => ("code", row.root),
        Chosen::BuiltIn(description) => ("built-in", &*description.root),
        Chosen::Own(description) => ("own", &*description.root),
    };
    let mut summary =
        json!({"name": name, "kind": kind, "root": root, "doc": chosen.doc(), "written": chosen.is_written()});
    if let Some(description) = chosen.description() {
        summary["path"] = (*description.path).into();
        summary["writers"] = (*description.writers).into();
    }
    summary
}

fn one_json(name: &str, chosen: Chosen<'_>) -> Json {
    let mut all = summary(name, chosen);
    if let Some(description) = chosen.description() {
        let (names, lost) = names::of_example(description);
        all["toml"] = (*description.toml).into();
        all["example"] = description.examples.iter().map(|one| example_json(description, one)).collect();
        all["dns"] = names.iter().map(|one| json!({"name": one.owner, "type": one.rtype, "data": one.data})).collect();
        all["lost"] = lost.iter().map(|(path, why)| json!({"path": path, "reason": why})).collect();
    }
    all
}

fn example_json(description: &Description, example: &Example) -> Json {
    let mut znode = json!({"path": full_path(description, &example.path)});
    match std::str::from_utf8(&example.data) {
        Ok(text) => znode["data"] = text.into(),
        Err(_) => znode["hex"] = data_encoding::HEXLOWER.encode(&example.data).into(),
    }
    znode
}

fn one(name: &str, chosen: Chosen<'_>) -> String {
    let Some(description) = chosen.description() else {
        let rights = rights(chosen);
        return format!("{name}: {}\nroot: {}\n{rights}\n", chosen.doc(), place(chosen));
    };
    let mut text = description.toml.split("\n[[").next().unwrap_or_default().to_owned();
    if description.examples.is_empty() {
        text.push_str("\n# It has no `example`, whose DNS names would be shown here.\n");
        return text;
    }
    text.push_str("\n# Znodes, as an example:\n");
    for example in &description.examples {
        let _ = writeln!(text, "#   {}", full_path(description, &example.path));
        for line in shown(&example.data).lines() {
            let _ = writeln!(text, "#     {line}");
        }
    }
    let (names, lost) = names::of_example(description);
    let _ = writeln!(text, "\n# Their names in a zone \"service.\":");
    let width = names.iter().map(|one| one.owner.chars().count()).max().unwrap_or_default();
    for names::ExampleRecord { owner, rtype, data } in &names {
        let _ = writeln!(text, "#   {owner:<width$}  {rtype:<4}  {data}");
    }
    if names.is_empty() {
        text.push_str("#   none without the addresses of its hosts, or no instance is up\n");
    }
    for (path, why) in lost {
        let _ = writeln!(text, "#   {} is not served: {why}", full_path(description, &path));
    }
    text
}
