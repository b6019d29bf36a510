//! `zonekeeper dump`: whole zones as the server holds them now.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::ask::AdminServer;
use crate::cli::output;
use crate::export::Form;

/// Print the whole zones as the server holds them now
///
/// Asks the running server, by its admin address. The zone form is a master file that other name servers read; of JSON
/// there is a line a zone.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dump {
    /// Form to write them in
    #[arg(long = "as", value_name = "FORM", default_value = "zone", value_parser = PossibleValuesParser::new(Form::ALL.map(|(name, _)| name)))]
    form: String,
    /// Only this zone
    #[arg(long, value_name = "ORIGIN")]
    zone: Option<String>,
    #[command(flatten)]
    server: AdminServer,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper dump --zone service > service.zone
  zonekeeper dump --as hosts";

impl Dump {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut parameters = vec![("as", self.form.as_str())];
        parameters.extend(self.zone.as_deref().map(|zone| ("zone", zone)));
        output::print(&self.server.get("/v1/dump", &parameters)?)
    }
}
