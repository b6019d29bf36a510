//! `zonekeeper status`: the running server on one screen, and whether something is wrong, as the exit code.

use std::process::ExitCode;

use clap::Args;

use super::ask::{AdminServer, Refused};
use super::output;
use super::table::{self, Colour};

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
        if !self.json && table::is_coloured() {
            output::print_as_is(&coloured(&output::harmless(&text)))?;
        } else {
            output::print(&text)?;
        }
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

/// The screen with colours: what is wrong in red, also where it is told of, and that nothing is in green.
fn coloured(text: &str) -> String {
    let mut is_wrong = false;
    let line = |line: &str| {
        is_wrong |= line == "wrong:";
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        let colour = if is_wrong || has(&["NOT READY", "REJECTED", "DOWN", ": expired", ": loading", "NOT as"]) {
            Colour::Red
        } else if line == "all is well" {
            Colour::Green
        } else if has(&[": stale", " lost", " doubtful", " drains", "waits for a restart", " held by the guard"]) {
            Colour::Yellow
        } else {
            Colour::Plain
        };
        colour.paint(line) + "\n"
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_red_and_what_is_well_green() {
        let screen = "zonekeeper on a, NOT READY\nregistry main: live, 2 lost\nzone a.: fresh\nwrong:\n  x\n";
        assert_eq!(
            coloured(screen),
            "\x1b[31mzonekeeper on a, NOT READY\x1b[0m\n\x1b[33mregistry main: live, 2 lost\x1b[0m\nzone a.: fresh\n\
             \x1b[31mwrong:\x1b[0m\n\x1b[31m  x\x1b[0m\n"
        );
        assert_eq!(coloured("all is well\n"), "\x1b[32mall is well\x1b[0m\n");
    }
}
