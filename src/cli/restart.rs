//! `zonekeeper restart`: has the running server go on as the program that is installed now.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::cli::output;

use super::ask::AdminServer;

/// Have the running server go on as the program that is installed now
///
/// The new program checks the configuration first. Then the process becomes it: with the same process id, its listening
/// sockets and the queries that wait in them, and without a registration being absent for a moment. Where the check or
/// the change fails, the running program goes on, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Restart {
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  install zonekeeper /usr/local/bin/ && zonekeeper restart";

/// Time that the new image may take until it answers.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Restart {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
    pub(super) fn run(self) -> anyhow::Result<()> {
        let before = self.process()?;
        output::print(&self.server.post("/v1/restart")?)?;
        let begun = Instant::now();
        loop {
            // Between the two images there may be no answer.
            match self.process() {
                Ok(now) if now["started"] != before["started"] => {
                    let (old, new) = (text(&before["version"]), text(&now["version"]));
                    return output::print(&format!("zonekeeper {old} goes on as {new}, process {}\n", now["pid"]));
                }
                Ok(now) if !now["restart_failed"].is_null() => {
                    bail!("not restarted, the running process goes on: {}", text(&now["restart_failed"]));
                }
                _ if begun.elapsed() > TIMEOUT => bail!("the server does not answer after its restart; see its log"),
                _ => sleep(Duration::from_millis(20)),
            }
        }
    }

    fn process(&self) -> anyhow::Result<serde_json::Value> {
        let process = self.server.get("/v1/process", &[])?;
        serde_json::from_str(&process).context("the server's answer is not JSON")
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
