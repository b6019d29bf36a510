//! Places where serials are kept: a secondary that has a later serial than its primary takes nothing more from it, and
//! says nothing. Whoever lets a zone be transferred must keep its serials.

use std::path::{Path, PathBuf};

use super::whole::Config;
use crate::diagnostic::Problems;
use crate::settings::Table;
use crate::zone::name::Name;

impl Config {
    /// The file that keeps the serials of all zones: `serial_file`, or one beside the first registry's `cache_file`.
    /// `None` where they are not kept.
    pub fn serial_file(&self) -> Option<PathBuf> {
        let file = self.dns.as_ref()?.serial_file.clone();
        file.or_else(|| self.beside_caches().next())
    }

    /// Files that may have kept them before the configuration was another one.
    pub fn former_serial_files(&self) -> Vec<PathBuf> {
        let now = self.serial_file();
        self.beside_caches().filter(|file| Some(file) != now.as_ref()).collect()
    }

    fn beside_caches(&self) -> impl Iterator<Item = PathBuf> {
        self.registries.iter().filter_map(|registry| registry.zookeeper.cache_file.as_deref()).map(beside)
    }

    /// The zones that may be transferred and whose serials a restart may take back. A zone that is only its file has
    /// its file's.
    pub fn unkept_serials(&self) -> Vec<&Name> {
        let Some(dns) = self.dns_settings().filter(|_| self.serial_file().is_none()) else { return Vec::new() };
        let allowed = dns.allowed();
        let of_registry = self.zones.iter().filter(|zone| zone.registry.is_some()).map(|zone| &zone.origin);
        of_registry.filter(|origin| !allowed.is_nobody(origin)).collect()
    }
}

/// The serial file of a cache file.
fn beside(cache: &Path) -> PathBuf {
    let mut name = cache.as_os_str().to_owned();
    name.push(".serials");
    name.into()
}

/// Warns of zones whose serials a restart may take back.
pub(super) fn check(table: &Table, config: &Config, problems: &Problems) {
    let unkept: Vec<String> = config.unkept_serials().iter().map(ToString::to_string).collect();
    let message = match &*unkept {
        [] => return,
        [one] => format!("zone {one} may be transferred and its serials are not kept"),
        all => format!("zones {} may be transferred and their serials are not kept", all.join(", ")),
    };
    let of_dns =
        table.get("dns").and_then(|dns| dns.setting("allow_transfer").map(|value| value.span).or(Some(dns.span)));
    let help = "a restart may take them back, and secondaries then stay behind: set `serial_file`, or the registry's `cache_file`";
    problems.warn(of_dns.unwrap_or(table.span), message, help);
}
