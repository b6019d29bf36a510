//! `zonekeeper completions` and `zonekeeper man`: completions of shells and manual pages, made of the commands
//! themselves.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use super::{output, template};

/// Print the completions of a shell
///
/// The Debian package installs those of bash, zsh and fish.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsCommand {
    /// The shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper completions bash > /etc/bash_completion.d/zonekeeper
  zonekeeper completions zsh > ~/.zfunc/_zonekeeper
  zonekeeper completions fish > ~/.config/fish/completions/zonekeeper.fish";

impl CompletionsCommand {
    /// Prints the completions of `command`.
    pub(super) fn run(self, mut command: Command) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "zonekeeper", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}

/// Write the manual pages into a directory
///
/// One for each command, and zonekeeper.toml(5) for the configuration.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(super) struct ManCommand {
    /// The directory, which is created if it does not exist
    directory: PathBuf,
}

impl ManCommand {
    /// Writes the pages of `command` and of those below it.
    pub(super) fn run(self, command: Command) -> anyhow::Result<()> {
        let directory = &self.directory;
        let failed = || format!("cannot write the manual pages into {}", directory.display());
        fs::create_dir_all(directory).with_context(failed)?;
        clap_mangen::generate_to(command, directory).with_context(failed)?;
        let page = directory.join("zonekeeper.toml.5");
        fs::write(&page, configuration(template::TEMPLATE)).with_context(|| shown(&page))
    }
}

fn shown(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// The manual page of the configuration: the template as it is.
fn configuration(template: &str) -> String {
    let mut page = format!(
        ".TH zonekeeper.toml 5 \"\" \"zonekeeper {}\"\n\
         .SH NAME\nzonekeeper.toml \\- configuration of zonekeeper(1)\n\
         .SH SYNOPSIS\n/etc/zonekeeper/zonekeeper.toml\n\
         .SH DESCRIPTION\nThe file below has every key with its default, or as a comment where there is none.\n\
         .BR \"zonekeeper template\" \" prints it, \" \"zonekeeper check\" \" shows what is wrong with yours.\"\n\
         .PP\n.nf\n",
        env!("CARGO_PKG_VERSION")
    );
    for line in template.lines() {
        // A point or an apostrophe at the beginning would be a request.
        if line.starts_with(['.', '\'']) {
            page.push_str("\\&");
        }
        page.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
        page.push('\n');
    }
    page.push_str(".fi\n.SH SEE ALSO\n.BR zonekeeper (1),\n.BR zonekeeper\\-serve (1),\n.BR zonekeeper\\-check (1)\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_template_is_taken_for_a_request_of_roff() {
        let page = configuration(".PP\n'x\\n-y\n# z");
        let (_, text) = page.split_once(".nf\n").unwrap();
        assert!(text.starts_with("\\&.PP\n\\&'x\\en\\-y\n# z\n.fi\n"), "{text}");
    }
}
