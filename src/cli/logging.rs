//! The options of the log: which lines, and in which form.

mod journal;

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::{log, settings};
use journal::JournalLines;

/// Options of the log.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct Log {
    /// Level to log, or levels by module (`info,zonekeeper::zookeeper=debug`)
    #[arg(long = "log", env = "ZONEKEEPER_LOG", default_value = "info", value_name = "FILTER", global = true)]
    filter: String,
    /// Form of the log, on standard error
    #[arg(long = "log-format", default_value = "text", value_name = "FORMAT", global = true)]
    format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// The libraries that log.
const LIBRARIES: [&str; 13] = [
    "axum",
    "h2",
    "hickory_net",
    "hickory_proto",
    "hickory_resolver",
    "hickory_server",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "tokio",
    "tokio_util",
    "zookeeper_client",
];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Log {
    /// Starts logging to standard error.
    pub(super) fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let filter = renamed(&self.filter);
        check(&filter)?;
        // hickory logs two lines a query, and refusals to decode at warn, which anybody can send us; the ZooKeeper
        // client warns of each failed connect, and ours are told once, with the cause. A filter of modules alone leaves
        // the rest at info.
        let quiet = "info,hickory_server=off,hickory_net=off,hickory_proto=off,zookeeper_client=off";
        let filter = EnvFilter::builder().parse(format!("{quiet},{filter}"))?;
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log::stderr);
        match self.format {
            LogFormat::Text if journal::is_standard_error() => subscriber.event_format(JournalLines::new()).try_init(),
            LogFormat::Text => {
                let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let has_colours = std::io::stderr().is_terminal() && !is_plain;
                subscriber.with_ansi(has_colours).with_target(false).try_init()
            }
            LogFormat::Json => subscriber.json().try_init(),
        }
    }
}

/// Replaces the module `keeper` of 0.1.0 by the two that it is now.
fn renamed(filter: &str) -> String {
    let directives = filter.split(',').map(|directive| match directive.trim().strip_prefix("zonekeeper::keeper") {
        Some(rest) if rest.is_empty() || rest.starts_with(['=', ':']) => {
            format!("zonekeeper::zookeeper{rest},zonekeeper::registry{rest}")
        }
        _ => directive.to_owned(),
    });
    directives.collect::<Vec<_>>().join(",")
}

/// Refuses a filter that names a level or a module that does not exist. The library takes every word for a module, so
/// that `debgu` would log nothing at all.
fn check(filter: &str) -> Result<(), String> {
    for directive in filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        if directive.contains(['[', '{']) {
            // A filter of spans: the library has its own grammar for it, and checks it.
            continue;
        }
        let Some((module, level)) = directive.split_once('=') else {
            if directive.parse::<LevelFilter>().is_err() && !is_module(directive) {
                return Err(unknown("a level or a module", directive, LEVELS.into_iter().chain(modules())));
            }
            continue;
        };
        if !is_module(module.trim()) {
            return Err(unknown("a module", module, modules().chain(LIBRARIES)));
        }
        if level.trim().parse::<LevelFilter>().is_err() {
            return Err(unknown("a level", level, LEVELS.into_iter()));
        }
    }
    Ok(())
}

/// The modules of this program, of which the first two parts of a target are made.
fn modules() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("../lib.rs").lines();
    let ours = lines.filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    std::iter::once("zonekeeper").chain(ours)
}

fn is_module(target: &str) -> bool {
    let mut parts = target.split("::");
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    LIBRARIES.contains(&first)
        || first == "zonekeeper" && second.is_none_or(|second| modules().skip(1).any(|module| module == second))
}

fn unknown<'a>(kind: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let last = word.rsplit("::").next().unwrap_or(word);
    match settings::nearest(last, &known) {
        Some(near) if modules().skip(1).any(|module| module == near) => {
            format!("`{word}` is not {kind}: did you mean `zonekeeper::{near}`?")
        }
        Some(near) => format!("`{word}` is not {kind}: did you mean `{near}`?"),
        None => format!("`{word}` is not {kind}: for example `info` or `info,zonekeeper::dns=debug`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_the_first_version_still_name_the_modules_they_meant() {
        let filter = renamed("info,zonekeeper::keeper=debug,zonekeeper::dns=off");
        assert_eq!(filter, "info,zonekeeper::zookeeper=debug,zonekeeper::registry=debug,zonekeeper::dns=off");
        check(&filter).unwrap();
        assert!(check(&renamed("zonekeeper::keepers=debug")).is_err());
    }

    #[test]
    fn a_filter_that_would_silence_the_log_by_a_typing_mistake_is_refused_with_a_hint() {
        for (filter, expected) in [
            ("debgu", "did you mean `debug`?"),
            ("info,zonekeper=debug", "did you mean `zonekeeper`?"),
            ("zonekeeper=debg", "did you mean `debug`?"),
            ("zonekeeper::anounce=debug", "did you mean `zonekeeper::announce`?"),
            ("dns=debug", "did you mean `zonekeeper::dns`?"),
            ("zookeeper_clint=off", "did you mean `zookeeper_client`?"),
            ("everything", "for example `info`"),
        ] {
            let refused = check(filter).unwrap_err();
            assert!(refused.contains(expected), "{filter}: {refused}");
        }
        let good = [
            "",
            "info",
            "WARN",
            "off",
            "3",
            "info,zonekeeper::dns=debug",
            "zonekeeper",
            "zookeeper_client=off",
            "zonekeeper::announce::driver=trace,warn",
            "[connect]=debug",
        ];
        for good in good {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }
}
