//! `zonekeeper status`: what is registered from here, and how the checks stand.

use clap::Args;

use super::ask::Server;

/// Say what the running server has registered: each znode, its state and owner, and what its checks say
///
/// Asks the running server, by its admin address.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    #[command(flatten)]
    server: Server,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper status
  zonekeeper status --admin 10.0.0.1:5380";

impl Status {
    pub(super) fn run(self) -> anyhow::Result<()> {
        super::print(&self.server.get("/v1/registrations", &[])?)
    }
}
