//! The configuration file that a command is about.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::diagnostic::Report;

/// Configuration file that is meant.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file [default: zonekeeper.toml, then /etc/zonekeeper/zonekeeper.toml]
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Paths at which the configuration is looked for, in this order.
const CONFIG_FILES: [&str; 2] = ["zonekeeper.toml", "/etc/zonekeeper/zonekeeper.toml"];

impl ConfigFile {
    /// The file that was named, or the first of the usual ones that is there.
    pub(super) fn path(&self) -> Result<PathBuf, Report> {
        if let Some(path) = &self.config {
            return Ok(path.clone());
        }
        let [local, system] = CONFIG_FILES.map(Path::new);
        // One that is there and cannot be read is the one that is meant, too.
        [local, system].into_iter().find(|path| path.symlink_metadata().is_ok()).map(Path::to_owned).ok_or_else(|| {
            let system = system.display();
            let message = format!("is not there, nor is {system}: see --config, or begin with `zonekeeper template`");
            Report::of_file(local, &message)
        })
    }
}
