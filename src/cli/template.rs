//! `zonekeeper template`: the documented default configuration.

use clap::Args;

use crate::cli::output;

/// Print a configuration to start from, every key explained
///
/// Every key is there with its default, or as a comment where it has none, with its unit and when to change it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Template {}

const EXAMPLES: &str = "\
Examples:
  zonekeeper template > zonekeeper.toml
  zonekeeper template | less";

/// Text that is printed. A test proves that it says the defaults.
pub(super) const TEMPLATE: &str = include_str!("../../deploy/zonekeeper.toml");

impl Template {
    #[allow(clippy::unused_self)] // the other subcommands have something to say
    pub(super) fn run(self) -> anyhow::Result<()> {
        output::print(TEMPLATE)
    }
}
