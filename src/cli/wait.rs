//! `zonekeeper wait`: returns when an instance, or a service, is in DNS, or is not any longer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;

use super::ask::AdminServer;
use super::follow::{self, Given};

/// Time that the server is asked to wait for a change.
const WAIT: Duration = Duration::from_secs(2);
/// Pause before a server that has gone is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Wait until a service, or one instance of it, is in DNS, or is not any longer
///
/// With --gone it also waits until the answers that were given before have run out in caches: for the largest time to
/// live that any was given with. Exit code 1 when the time is over before.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WaitCommand {
    /// A path, with or without the root, or a DNS name, with or without its zone
    name: String,
    /// Only this instance: the name of its znode, or host:port
    #[arg(long)]
    instance: Option<String>,
    /// Until it is in DNS
    #[arg(long, required_unless_present = "gone", conflicts_with = "gone")]
    up: bool,
    /// Until it is not in DNS, and not in caches either
    #[arg(long)]
    gone: bool,
    /// Time for which caches may have the answers [default: the largest time to live that was given]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "up")]
    ttl: Option<Duration>,
    /// Time to wait at most
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper drain api_x --instance 10.0.0.1:8080 && zonekeeper wait api_x --instance 10.0.0.1:8080 --gone
  zonekeeper wait api_x.service --up --timeout 2m";

impl WaitCommand {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.server.check()?;
        let end = Instant::now() + self.timeout;
        let (mut index, mut seen_ttl, mut gone_at, mut trouble) = (None, 0, None, String::new());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match follow::ask(&self.server, &self.name, self.instance.as_deref(), index, WAIT.min(left)) {
                Ok(given) => {
                    index = Some(given.index);
                    seen_ttl = given.ttl.max(seen_ttl);
                    trouble.clear();
                    if self.up && !given.instances.is_empty() {
                        return Ok(());
                    }
                    if self.gone && given.instances.is_empty() {
                        let since = *gone_at.get_or_insert_with(|| went_at(&given));
                        let ttl = self.ttl.unwrap_or_else(|| Duration::from_secs(seen_ttl.into()));
                        let until = since + ttl;
                        if until <= Instant::now() {
                            return Ok(());
                        }
                        // It may come back meanwhile.
                        sleep(until.min(end).saturating_duration_since(Instant::now()).min(PAUSE));
                        index = None;
                    } else {
                        gone_at = None;
                    }
                }
                Err(error) if follow::is_final(&error) => return Err(error),
                Err(error) => {
                    trouble = format!(": {error:#}");
                    index = None;
                    sleep(PAUSE.min(left));
                }
            }
            if Instant::now() >= end {
                let what = self.instance.as_ref().map_or(self.name.clone(), |one| format!("{one} of {}", self.name));
                let state = if self.up { "is not in DNS" } else { "is in DNS, or in caches," };
                let timeout = humantime::format_duration(self.timeout);
                bail!("{what} {state} after {timeout}{trouble}");
            }
        }
    }
}

/// Time at which what is gone went, as far as the server knows; now otherwise.
fn went_at(given: &Given) -> Instant {
    let ago = Duration::try_from_secs_f64(given.gone_s.unwrap_or_default()).unwrap_or_default();
    Instant::now().checked_sub(ago).unwrap_or_else(Instant::now)
}
