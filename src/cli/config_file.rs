//! The configuration file that a command is about.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config::Registry;
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

/// The registry of this name, or the only one, of the configuration in `file`.
///
/// # Errors
/// When there is none, or it is not said which of several is meant.
pub(super) fn one_registry(mut registries: Vec<Registry>, name: Option<&str>, file: &Path) -> anyhow::Result<Registry> {
    let file = file.display();
    let names = || registries.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    let index = match name {
        Some(name) => registries
            .iter()
            .position(|one| one.name == name)
            .with_context(|| format!("{file} has no registry `{name}`, but {}", names()))?,
        None if registries.len() == 1 => 0,
        None if registries.is_empty() => bail!("{file} has no [registry]"),
        None => bail!("{file} has several registries: say --registry, one of {}", names()),
    };
    Ok(registries.swap_remove(index))
}
