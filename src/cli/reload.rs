//! `zonekeeper reload`: has the running server take its configuration, and shows what it took.

use clap::Args;

use crate::cli::output;

use super::ask::AdminServer;

/// Have the running server read its configuration again, and show what it took
///
/// The exit code is 0 when the configuration was taken; when it was rejected, it is 1, and the one before stays in
/// force.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Reload {
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper reload";

impl Reload {
    pub(super) fn run(self) -> anyhow::Result<()> {
        output::print(&self.server.post("/v1/reload")?)
    }
}
