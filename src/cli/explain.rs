//! `zonekeeper explain`: why a name is answered as it is.

use clap::Args;

use super::ask::Server;

/// Say why a name is answered as it is: the znodes behind it, and each instance, in or out and why
///
/// Asks the running server, by its admin address.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// The name
    name: String,
    /// The record type
    #[arg(default_value = "A", value_name = "TYPE")]
    rtype: String,
    #[command(flatten)]
    server: Server,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper explain api_x.service SRV
  zonekeeper explain canary.api_x.service --admin 10.0.0.1:5380";

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let parameters = [("name", self.name.as_str()), ("type", self.rtype.as_str())];
        super::print(&self.server.get("/v1/explain", &parameters)?)
    }
}
