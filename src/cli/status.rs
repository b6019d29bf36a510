//! `zonekeeper status`: the running server on one screen, and whether something is wrong, as the exit code.

use std::process::ExitCode;

use clap::Args;

use crate::cli::output;

use super::ask::{AdminServer, Refused};

/// Exit code where something is wrong.
const WRONG: u8 = 1;
/// Exit code where no server answers.
const UNREACHABLE: u8 = 2;

/// Show the running server: its configuration, registries, zones, and this host's services with their checks
///
/// Asks the running server, by its admin address. Exit codes: 0 all is well, 1 something is wrong, which the last lines
/// say, 2 no server answers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusCommand {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print what `/readyz` says; the exit code is 1 while a whole zone is SERVFAIL: for health checks
    #[arg(long, conflicts_with = "json")]
    ready: bool,
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper status
  zonekeeper status --json
  zonekeeper status --ready
  zonekeeper status --admin 10.0.0.1:5380";

impl StatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.server.check()?;
        if self.ready {
            return self.readiness();
        }
        let form = if self.json { "json" } else { "text" };
        let text = match self.server.get("/v1/status", &[("as", form)]) {
            Ok(text) => text,
            Err(error) => {
                output::complain(&format_args!("zonekeeper: {error:#}\n"));
                return Ok(UNREACHABLE.into());
            }
        };
        output::print(&text)?;
        let is_well = if self.json { text.contains("\"wrong\":[],") } else { text.ends_with("\nall is well\n") };
        Ok(if is_well { ExitCode::SUCCESS } else { WRONG.into() })
    }

    fn readiness(self) -> anyhow::Result<ExitCode> {
        match self.server.get("/readyz", &[]) {
            Ok(text) => output::print(&text).map(|()| ExitCode::SUCCESS),
            Err(error) => {
                output::complain(&format_args!("zonekeeper: {error:#}\n"));
                Ok(if error.is::<Refused>() { WRONG } else { UNREACHABLE }.into())
            }
        }
    }
}
