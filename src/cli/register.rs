//! `zonekeeper register`: runs a command and has it registered while it runs and is well.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path as FilePath;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::child::{Child, Signals, code};
use super::registry::{Place, block_on};
use crate::announce::identity::HostIdentity;
use crate::announce::origin::ThisHost;
use crate::announce::plan::STOP_WITHIN;
use crate::announce::{Announcer, InstanceWriter, ServiceConfig};
use crate::config;
use crate::format::{self, PropertyEdit};
use crate::registry::Path;

/// Run a command and have it registered while it runs
///
/// It is registered once its checks pass, at once where there are none; taken out while one fails, before the command
/// is told to end, and when it has ended. SIGTERM and SIGINT end it so. No server has to run. NAME is the path of the
/// service below the registry's root, which is /services with --zookeeper. Exit codes: the command's; 126 or 127 if it
/// cannot be run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Register {
    /// The service
    name: String,
    /// The port that the command listens on
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The address to register [default: those of this host that others can reach]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// A check, all of which must pass: `tcp`, `tcp:ADDRESS:PORT`, `http:PATH` of the port, a URL, `grpc`, or
    /// `exec:COMMAND` with its arguments
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    /// A property of the registration, NAME=TEXT or NAME:=JSON
    #[arg(long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// Time from the withdrawal to the signal, for clients that still have the old answer
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    drain: Duration,
    #[command(flatten)]
    place: Place,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD", required = true)]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper register api_x --port 8080 --address 192.168.0.42 -- sleep 1
  zonekeeper register staging/web --port 8081 --check exec:true --property weight:=5 -- sleep 1
  zonekeeper register web --port 8082 --check http:/health --drain 1s -- sh -c 'exit 0'";

impl Register {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let meant = self.place.meant()?;
        if meant.settings.readonly {
            bail!("the configuration says `readonly`: nothing is registered");
        }
        let services = self.services()?;
        let ensemble = meant.ensemble()?;
        block_on(async move {
            let mut signals = Signals::new().context("cannot hear signals")?;
            let mut child = Child::start(&self.command, &[])?;
            let host = match &meant.settings.state {
                Some(file) => HostIdentity::kept_in_or_own(file, None, Duration::from_secs(2)),
                None => HostIdentity::of_this_host(),
            };
            let writer = InstanceWriter {
                format: meant.registry.as_ref().map_or_else(format::Config::default, |one| one.format.clone()),
                root: meant
                    .registry
                    .as_ref()
                    .map_or_else(|| Path::root().child("services"), |one| one.zookeeper.root.clone()),
                host,
                here: ThisHost::of_this_host(),
                pid: child.id(),
                created: SystemTime::now(),
                access: meant.settings.acl,
                parent_access: meant.settings.parent_acl,
                readonly: false,
                drains: meant.registry.as_ref().and_then(|one| one.zookeeper.drains.clone()),
            };
            let announcer = Announcer::new(ensemble, writer, services).context("cannot be registered")?;
            let stop = CancellationToken::new();
            let mut running = tokio::spawn(announcer.run(stop.clone()));
            let withdrawal = STOP_WITHIN + Duration::from_millis(500);
            let status = loop {
                tokio::select! {
                    status = child.ended() => break status.context("cannot wait for the command's end")?,
                    (signal, has_it) = signals.next() => {
                        // SIGHUP has a daemon read its configuration again.
                        if signal != Signal::HUP && !stop.is_cancelled() {
                            stop.cancel();
                            let _ = timeout(withdrawal, &mut running).await;
                            sleep(self.drain).await;
                        }
                        if !has_it {
                            child.signal(signal);
                        }
                    }
                }
            };
            if !stop.is_cancelled() {
                stop.cancel();
                let _ = timeout(withdrawal, &mut running).await;
            }
            Ok(code(status))
        })
    }

    /// The service as a configuration would have it, so that the same mistakes are told.
    fn services(&self) -> anyhow::Result<Vec<ServiceConfig>> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = String::from("[registry.main]\nzookeeper = \"localhost\"\n[[service]]\n");
        let mut line = |words: String| {
            let _ = writeln!(text, "{words}");
        };
        line(format!("name = {}", quoted(&self.name)));
        line(format!("port = {}", self.port));
        if let Some(address) = &self.address {
            line(format!("address = {}", quoted(address)));
        }
        let mut properties = Vec::new();
        for property in &self.properties {
            match PropertyEdit::parse(property)? {
                PropertyEdit::Set(name, value) => properties.push(format!("{} = {value}", quoted(&name))),
                PropertyEdit::Remove(_) => bail!("`{property}` must be NAME=TEXT or NAME:=JSON"),
            }
        }
        if !properties.is_empty() {
            line(format!("properties = {{ {} }}", properties.join(", ")));
        }
        for kind in ["tcp", "http", "grpc", "exec"] {
            let of_kind = self.checks.iter().map(|check| self.check(check)).collect::<anyhow::Result<Vec<_>>>()?;
            let of_kind: Vec<String> = of_kind.into_iter().filter(|(one, _)| *one == kind).map(|(_, it)| it).collect();
            if !of_kind.is_empty() {
                line(format!("check.{kind} = [{}]", of_kind.join(", ")));
            }
        }
        Ok(config::parse(FilePath::new("the command line"), &text)?.announce.services)
    }

    /// The kind of a check, and its table.
    fn check(&self, check: &str) -> anyhow::Result<(&'static str, String)> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let port = self.port;
        Ok(match check.split_once(':') {
            None if check == "tcp" => ("tcp", "{}".to_owned()),
            None if check == "grpc" => ("grpc", "{}".to_owned()),
            Some(("tcp", address)) => ("tcp", format!("{{ address = {} }}", quoted(address))),
            Some(("http" | "https", rest)) if rest.starts_with("//") => {
                ("http", format!("{{ url = {} }}", quoted(check)))
            }
            Some((scheme @ ("http" | "https"), path)) if path.starts_with('/') => {
                let host = self.address.as_deref().unwrap_or("127.0.0.1");
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                ("http", format!("{{ url = {} }}", quoted(&format!("{scheme}://{host}:{port}{path}"))))
            }
            Some(("exec", command)) if !command.trim().is_empty() => {
                let words: Vec<&str> = command.split_whitespace().collect();
                ("exec", format!("{{ command = {} }}", serde_json::Value::from(words)))
            }
            _ => bail!("`{check}` is not a check: tcp, tcp:ADDRESS:PORT, http:/PATH, a URL, grpc or exec:COMMAND"),
        })
    }
}
