//! `zonekeeper survey`: looks once at what is in an ensemble, and prints the configuration that serves it.

mod findings;
pub(super) mod look;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::timeout;

use super::output::print;
use crate::format::{Config, Formats};
use crate::registry::Path;
use crate::zookeeper::client::ZooKeeper;
use crate::zookeeper::config::is_connect_string;
use crate::zookeeper::session::{Ensemble, Read, Reply, Session};
use findings::{Finding, Findings};
use look::look;

/// Look at what is registered in an ensemble, and print a configuration that serves it
///
/// A sample is read once, without watches, and nothing is written: the znodes where known systems register, and what is
/// below the others at the top. Save what is printed as zonekeeper.toml and run `zonekeeper serve`.
#[derive(Debug, Args)]
pub(super) struct SurveyCommand {
    /// The servers: host:port,…, with a chroot or without
    #[arg(value_name = "SERVERS")]
    servers: String,
    /// Seconds that all of it may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Session time-out that is asked for.
const SESSION: Duration = Duration::from_secs(10);

impl SurveyCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Err(why) = is_connect_string(&self.servers) {
            bail!("`{}` {why}", self.servers);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let servers = self.servers.clone();
        let looking = async {
            let ensemble = ZooKeeper::new(&servers, SESSION).for_reading();
            let session = ensemble.connect().await.with_context(|| format!("cannot connect to {servers}"))?;
            survey(&session).await
        };
        let patience = Duration::from_secs(self.timeout);
        let looked = runtime.block_on(async { timeout(patience, looking).await });
        let Ok(findings) = looked else {
            bail!("{} was not looked through within {} seconds: see --timeout", self.servers, self.timeout);
        };
        print(&page(&self.servers, &findings?))
    }
}

/// Looks at the roots of all formats, then below what is left at the top.
async fn survey<S: Session>(session: &S) -> anyhow::Result<Findings> {
    let top = Path::root();
    session.sync(&top).await?;
    let mut replies = session.read(&[Read::Children(top.clone())]).await?;
    let mut tops = match replies.pop() {
        Some(Reply::Children(names)) => names,
        Some(Reply::Failed(error)) => bail!("/ cannot be listed: {error}"),
        _ => Vec::new(),
    };
    tops.sort_unstable();
    tops.retain(|name| name != "zookeeper");
    let mut findings = Findings::default();
    let (anywhere, placed): (Vec<_>, Vec<_>) = formats().into_iter().partition(|format| format.usual_root == "/");
    for format in placed {
        let root = Path::new(&format.usual_root)?;
        let sample = look(session, &root, &format, &|_| false).await?;
        findings.take(Finding { format, root, sample });
    }
    for format in anywhere.into_iter().filter(|format| format.description.is_some()) {
        let sample = look(session, &top, &format, &|name| findings.covers(name)).await?;
        findings.take(Finding { format, root: top.clone(), sample });
    }
    for name in tops.iter().filter(|name| !findings.covers(name)).cloned().collect::<Vec<_>>() {
        let root = top.child(&name);
        for format in formats().into_iter().filter(|format| format.description.is_none()) {
            let sample = look(session, &root, &format, &|_| false).await?;
            findings.take(Finding { format, root: root.clone(), sample });
        }
    }
    findings.settle();
    findings.left = tops.into_iter().filter(|name| !findings.covers(name)).collect();
    Ok(findings)
}

/// All formats: those that tell most by their data first, and `auto`, which takes what has none, last.
pub(super) fn formats() -> Vec<Config> {
    let known = Formats::default();
    let (by_name, others): (Vec<_>, Vec<_>) = known
        .all()
        .into_iter()
        .filter(|(name, _)| !matches!(*name, "zc" | "nd"))
        .partition(|(name, _)| *name == "auto");
    others.into_iter().chain(by_name).map(|(_, chosen)| Config::chosen(chosen, "providers")).collect()
}

/// The configuration, with what was seen as comments.
fn page(servers: &str, findings: &Findings) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        let _ = writeln!(text, "{words}");
    };
    if findings.found.is_empty() {
        line(format!("# {servers} has nothing that is understood as services."));
    } else {
        line(format!("# Services that were seen in {servers}."));
    }
    for (format, root) in &findings.empty {
        line(format!("# {root} ({format}) is there and has no instance now; \"{format}\" reads it."));
    }
    for Finding { format, sample, .. } in &findings.apart {
        let tops: Vec<String> = sample.tops.iter().map(|name| format!("/{name}")).collect();
        let (tops, name) = (tops.join(", "), format.name());
        line(format!(
            "# {tops} looks like {name}, which is read from the top: it needs a registry and a zone of its own."
        ));
    }
    if !findings.left.is_empty() {
        let shown: Vec<String> = findings.left.iter().take(20).map(|name| format!("/{name}")).collect();
        let more = findings.left.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        line(format!("# Not understood: {}{more}. `zonekeeper formats` lists what is,", shown.join(", ")));
        line("# and [format.NAME] describes a convention of your own.".to_owned());
    }
    if findings.found.is_empty() {
        return text;
    }
    line("[registry.main]".to_owned());
    line(format!("zookeeper = {}", quoted(servers)));
    line("read = [".to_owned());
    for Finding { format, root, sample } in &findings.found {
        let name = quoted(format.name());
        let reader = if root.as_str() == format.usual_root {
            name
        } else {
            format!("{{ format = {name}, root = {} }}", quoted(root.as_str()))
        };
        let (services, instances) = (sample.services.len(), sample.instances);
        let example = sample.services.first().map(|path| path.rsplit('/').collect::<Vec<_>>().join("."));
        let example = example.unwrap_or_default();
        let malformed = match sample.malformed {
            0 => String::new(),
            malformed => format!(", {malformed} that cannot be read"),
        };
        let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (instances, services) = (plural(instances, "instance"), plural(services, "service"));
        line(format!("    {reader}, # {instances} of {services} seen{malformed}: {example}.service"));
    }
    line("]".to_owned());
    for words in [
        "",
        "[[zone]]",
        "origin = \"service.\"",
        "",
        "[dns]",
        "listen = [\"127.0.0.1:5300\"]",
        "",
        "[admin]",
        "listen = \"127.0.0.1:5380\"",
    ] {
        line(words.to_owned());
    }
    text
}

/// A text as TOML has it: as JSON has it, but for what no path holds.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
