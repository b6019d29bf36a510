//! Checks: whether a service of this host is well enough to be registered.
//!
//! - A kind of check has a file: [`tcp`], [`http`], [`exec`], [`grpc`], [`ttl`]. Each owns its settings and a `probe`
//!   that says once how it is; bounding its time is the runner's.
//! - [`looks`] bounds what waits for a disk.
//! - [`outcome`] tells bad results from probes that could not be made: those say nothing about the service.
//! - [`health`] makes a state of the probes' results: rise, fall, flapping. It is pure.
//! - [`runner`] decides when to probe, how many at once, and tells the driver when a service's health changes.
//!
//! Checks know nothing of ZooKeeper. What they say reaches the plan as a [`Hold`](super::Hold).

mod episode;
pub mod exec;
pub mod grpc;
pub mod health;
mod hosts;
pub mod http;
mod looks;
mod lookup;
pub mod outcome;
mod probe;
pub(super) mod runner;
pub mod slots;
mod target;
pub mod tcp;
pub mod tls;
pub mod ttl;
pub mod udp;
pub mod url;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use health::Rules;
pub use lookup::Lookups;
use outcome::{ProbeFailure, Probed, Shortage};
pub use probe::KEPT;
use probe::Stage;
use slots::{SlotKind, Slots};
use target::CheckTarget;
use tokio::time::{Instant, timeout_at};
use ttl::Heartbeats;

use crate::settings::{Key, Kind as Said, Section, Value, live, nearest};

/// A result that counts, in a sentence: good, or bad.
pub type Verdict = Result<String, String>;

/// The shortest interval: ten probes a second are no check but a load.
const SHORTEST: Duration = Duration::from_millis(100);
/// A time limit that ends so much later than it should is no fault of the service: this process stood still.
const STALL: Duration = Duration::from_millis(500);

/// One check of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Kind, with its target.
    pub kind: CheckKind,
    /// Time from one probe to the next.
    pub interval: Duration,
    /// Time that one probe may take.
    pub timeout: Duration,
    /// Meaning of the results.
    pub rules: Rules,
}

/// Kinds of checks.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckKind {
    /// A port takes connections.
    Tcp(tcp::Config),
    /// A URL answers as it should.
    Http(Box<http::Config>),
    /// A command succeeds.
    Exec(exec::Config),
    /// The standard health service of gRPC says SERVING.
    Grpc(grpc::Config),
    /// The service has reported lately that it is well.
    Ttl(ttl::Config),
    /// A datagram is answered.
    Udp(udp::Config),
}

const KINDS: [&str; 6] = ["tcp", "http", "exec", "grpc", "ttl", "udp"];

impl Check {
    /// Reads the key `check` of a service's table: a table of checks by kind, each a table or a list of tables.
    /// `target` is where checks go that name no other place.
    pub fn read_all(section: &mut Section<'_>, target: &str) -> Vec<Self> {
        let Some(value) = section.value(live("check")) else { return Vec::new() };
        let problems = section.problems();
        let Said::Table(kinds) = &value.kind else {
            let help = "write check.http = { url = \"…\" }, or another of tcp, exec, grpc, ttl, udp";
            problems.add_with_help(value.span, "`check` must be a table of checks by their kinds", help);
            return Vec::new();
        };
        let mut checks = Vec::new();
        for (name, span, value) in &kinds.entries {
            let Some(kind) = KINDS.into_iter().find(|kind| kind == name) else {
                let message = format!("there is no check of the kind `{name}`");
                let help = match nearest(name, &KINDS) {
                    Some(kind) => format!("did you mean `{kind}`?"),
                    None => format!("there are {}", KINDS.join(", ")),
                };
                problems.add_with_help(*span, message, help);
                continue;
            };
            let tables: &[Value] = match &value.kind {
                Said::Array(tables) => tables,
                _ => std::slice::from_ref(value),
            };
            for table in tables {
                let Said::Table(table) = &table.kind else {
                    let message = format!("`check.{kind}` must be a table, or a list of tables");
                    problems.add(table.span, message);
                    continue;
                };
                let mut section = Section::new(table, format!("service.check.{kind}"), problems);
                checks.extend(Self::read(&mut section, kind, target));
                section.finish();
            }
        }
        checks
    }

    fn read(section: &mut Section<'_>, kind: &str, target: &str) -> Option<Self> {
        // That a service has been silent for its time is itself the third strike.
        let (interval, rules) = match kind {
            "ttl" => (Duration::from_secs(1), Rules { rise: 1, fall: 1, ..Rules::default() }),
            _ => (Duration::from_secs(5), Rules::default()),
        };
        let kind = match kind {
            "tcp" => tcp::Config::read(section, target).map(CheckKind::Tcp),
            "http" => http::Config::read(section).map(Box::new).map(CheckKind::Http),
            "exec" => exec::Config::read(section).map(CheckKind::Exec),
            "grpc" => grpc::Config::read(section, target).map(CheckKind::Grpc),
            "udp" => udp::Config::read(section, target).map(CheckKind::Udp),
            _ => ttl::Config::read(section).map(CheckKind::Ttl),
        };
        let interval = at_least(section, live("interval"), interval, SHORTEST);
        let timeout = at_least(section, live("timeout"), Duration::from_secs(2), Duration::from_millis(1));
        let rules = rules.read(section);
        Some(Self { kind: kind?, interval, timeout, rules })
    }

    /// Returns true if both check the same thing: one kind, one target. Intervals, limits and what is expected there
    /// may differ, and a state found by one is a state for the other.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (CheckKind::Tcp(one), CheckKind::Tcp(other)) => one.target == other.target,
            (CheckKind::Http(one), CheckKind::Http(other)) => {
                (&one.url.uri, &one.socket) == (&other.url.uri, &other.socket)
            }
            (CheckKind::Exec(one), CheckKind::Exec(other)) => one.command == other.command,
            (CheckKind::Grpc(one), CheckKind::Grpc(other)) => {
                (&one.target, &one.service) == (&other.target, &other.service)
            }
            (CheckKind::Ttl(one), CheckKind::Ttl(other)) => one.file == other.file,
            (CheckKind::Udp(one), CheckKind::Udp(other)) => (&one.target, &one.send) == (&other.target, &other.send),
            _ => false,
        }
    }

    /// Looks once, within the time limit. Its target is looked up before, within the same time.
    ///
    /// Dropping the future ends everything that it has started.
    ///
    /// # Errors
    /// A bad result, or none.
    pub async fn probe(&self, service: &str, tools: &Tools) -> Probed {
        let target = match self.kind.target() {
            Some(target) => Some(target.resolve(&tools.lookups, self.timeout).await?),
            None => None,
        };
        let stage = Stage::default();
        let ask = async {
            if let (CheckKind::Udp(config), Some(target)) = (&self.kind, &target) {
                stage.enter("no answer");
                return config.probe(target, self.timeout).await;
            }
            let connect = async {
                stage.enter("no connection");
                match &target {
                    Some(target) => target.connect(self.timeout).await,
                    None => Err("it has no target".into()),
                }
            };
            match &self.kind {
                CheckKind::Tcp(_) | CheckKind::Udp(_) => connect.await.map(|_| "connected".to_owned()),
                CheckKind::Http(config) => config.probe(connect.await?, &stage).await,
                CheckKind::Exec(config) => config.probe(self.timeout).await,
                CheckKind::Grpc(config) => config.probe(connect.await?, &stage).await,
                CheckKind::Ttl(config) => config.probe(service, &tools.heartbeats, self.timeout).await,
            }
        };
        let end = Instant::now() + self.timeout;
        let probed = timeout_at(end, ask).await;
        probed.unwrap_or_else(|_| Err(self.out_of_time(&stage, end.elapsed())))
    }

    /// The result of a probe that has not ended at its time limit, but `late` after it.
    fn out_of_time(&self, stage: &Stage, late: Duration) -> ProbeFailure {
        let missing = match stage.now() {
            "" => "no result",
            missing => missing,
        };
        let reason = format!("{missing} within {:?}", self.timeout);
        if late > STALL.max(self.timeout / 2) {
            return ProbeFailure::NoResult(
                Shortage::Time,
                format!("{reason}, but this process stood still for {late:?}"),
            );
        }
        ProbeFailure::Bad(reason)
    }
}

/// Resources that all checks of a process share.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// Limits of probes on their way at once.
    pub slots: Slots,
    /// Look-ups of names.
    pub lookups: Lookups,
}

/// Tools that probes use and share.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// Times at which services have reported that they are well.
    pub heartbeats: Arc<Heartbeats>,
    /// Look-ups of names.
    pub lookups: Lookups,
}

impl CheckKind {
    /// Kind of the places that its probes take.
    fn slot(&self) -> SlotKind {
        match self {
            Self::Tcp(_) | Self::Udp(_) => SlotKind::Tcp,
            Self::Http(_) => SlotKind::Http,
            Self::Exec(_) => SlotKind::Exec,
            Self::Grpc(_) => SlotKind::Grpc,
            Self::Ttl(_) => SlotKind::Ttl,
        }
    }

    /// Its `address`, which is the service itself unless the configuration says otherwise.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Tcp(config) => Some(&config.target),
            Self::Grpc(config) => Some(&config.target),
            Self::Udp(config) => Some(&config.target),
            Self::Http(_) | Self::Exec(_) | Self::Ttl(_) => None,
        }
    }

    /// The place that it connects to, if it does.
    fn target(&self) -> Option<CheckTarget<'_>> {
        match self {
            Self::Tcp(config) => CheckTarget::parse(&config.target),
            Self::Http(config) => Some(config.target()),
            Self::Grpc(config) => CheckTarget::parse(&config.target),
            Self::Udp(config) => CheckTarget::parse(&config.target),
            Self::Exec(_) | Self::Ttl(_) => None,
        }
    }
}

fn at_least(section: &mut Section<'_>, key: Key, default: Duration, least: Duration) -> Duration {
    match section.located::<Duration>(key) {
        Some(said) if said.value < least => {
            section.problems().add(said.span, format!("`{key}` must be at least {least:?}, not {:?}", said.value));
            default
        }
        said => said.map_or(default, |said| said.value),
    }
}

/// The check as a person calls it: `http http://127.0.0.1:8080/health`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            CheckKind::Tcp(config) => write!(f, "tcp {}", config.target),
            CheckKind::Http(config) => match &config.socket {
                Some(socket) => write!(f, "http {} on {}", config.url, socket.display()),
                None => write!(f, "http {}", config.url),
            },
            CheckKind::Exec(config) => write!(f, "exec {config}"),
            CheckKind::Udp(config) => write!(f, "udp {}", config.target),
            CheckKind::Grpc(config) if config.service.is_empty() => write!(f, "grpc {}", config.target),
            CheckKind::Grpc(config) => write!(f, "grpc {} {}", config.target, config.service),
            CheckKind::Ttl(ttl::Config { file: Some(file), ttl }) => write!(f, "ttl {ttl:?} of {}", file.display()),
            CheckKind::Ttl(ttl::Config { file: None, ttl }) => write!(f, "ttl {ttl:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
