//! `zonekeeper explain`: why a name is answered as it is.

use clap::Args;

use crate::cli::output;

use super::ask::AdminServer;

/// Show why a name is answered as it is: the znodes, lines of zone files and checks behind it, and each instance, in or
/// out
///
/// Asks the running server, by its admin address.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// A DNS name with or without its zone, an address, an endpoint (host:port), or a path
    name: String,
    /// The record type [default: A; AAAA for an IPv6 address]
    #[arg(value_name = "TYPE")]
    rtype: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper explain api_x.service SRV
  zonekeeper explain 192.168.0.42
  zonekeeper explain canary.api_x.service --admin 10.0.0.1:5380";

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut parameters = vec![("name", self.name.as_str()), ("as", if self.json { "json" } else { "text" })];
        parameters.extend(self.rtype.as_deref().map(|rtype| ("type", rtype)));
        output::print(&self.server.get("/v1/explain", &parameters)?)
    }
}
