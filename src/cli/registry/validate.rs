//! `zonekeeper registry validate`: all that is wrong with a tree as text.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::json;
use crate::cli::output;
use crate::registry::text;

/// Check a text that is to be imported
///
/// Tells all that is wrong with it, with line and column. No registry is needed. Exit codes: 0 it is fine, 1 it is not.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Validate {
    /// The text; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper registry validate registry.tree
  zonekeeper registry export | zonekeeper registry validate -";

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        for file in &self.files {
            let name = json::shown(file).display();
            let written = match json::read_file(file) {
                Ok(written) => written,
                Err(error) => {
                    let words = match error.downcast::<crate::diagnostic::Report>() {
                        Ok(report) => report.to_string(),
                        Err(error) => format!("zonekeeper: {error:#}\n"),
                    };
                    output::complain(&words);
                    code = ExitCode::FAILURE;
                    continue;
                }
            };
            match text::read_tree(&written) {
                Ok(nodes) => output::print(&format!("{name}: fine, {} znodes\n", nodes.len()))?,
                Err(problems) => {
                    output::complain(&json::report(file, &written, problems));
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }
}
