//! `zonekeeper leave`: has the running server take its registrations out and end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;

use crate::cli::output;

use super::ask::AdminServer;

/// Have the running server take its registrations out and end
///
/// The same as SIGTERM, with `drain` and `on_stop`. Returns when the server has ended.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Leave {
    #[command(flatten)]
    server: AdminServer,
    /// Time to wait for the end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper leave";

impl Leave {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
    pub(super) fn run(self) -> anyhow::Result<()> {
        output::print(&self.server.post("/v1/leave")?)?;
        let begun = Instant::now();
        while self.server.is_there() {
            if begun.elapsed() > Duration::from_secs(self.timeout) {
                bail!("the server has not ended within {} s", self.timeout);
            }
            sleep(Duration::from_millis(50));
        }
        output::print("ended\n")
    }
}
