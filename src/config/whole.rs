//! The configuration as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::Report;
use crate::dns::message::key::TsigKey;
use crate::dns::transfer::secondaries::Secondaries;
use crate::publish::guard;
use crate::zone::name::Name;
use crate::{admin, announce, dns, format, zone, zookeeper};

/// Everything the program is told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The registries, in the order of the file.
    pub registries: Vec<Registry>,
    /// The conventions that they can follow: the tables `[format.NAME]` beside those that are built in.
    pub formats: format::Formats,
    /// The zones, in the order of the file.
    pub zones: Vec<zone::config::Config>,
    /// Their secondaries, by origin.
    pub secondaries: Vec<(Name, Secondaries)>,
    /// The DNS server.
    pub dns: Option<dns::config::Config>,
    /// The admin server.
    pub admin: Option<admin::config::Config>,
    /// The services of this host to register.
    pub announce: announce::Config,
    /// The files it was read from, those with secrets among them, and the directories of those that it includes.
    pub read_from: Vec<PathBuf>,
    /// The keys that requests are signed with.
    pub keys: Vec<Arc<TsigKey>>,
    /// Warnings: what is taken, but has no effect or was perhaps not meant.
    pub warnings: Report,
}

/// One registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its name: `main` of `[registry.main]`.
    pub name: String,
    /// The ensemble.
    pub zookeeper: zookeeper::config::Config,
    /// Guard that holds storms of removals back; none holds none back.
    pub guard: Option<guard::Config>,
    /// The convention of its znodes.
    pub format: format::Config,
    /// Time for which the names of a deleted service are known.
    pub linger: Duration,
}

impl Config {
    /// Returns what the DNS server takes of it, where there is one.
    pub fn dns_settings(&self) -> Option<dns::server::ServerSettings<'_>> {
        let dns = self.dns.as_ref()?;
        Some(dns::server::ServerSettings { dns, keys: &self.keys, secondaries: &self.secondaries })
    }

    /// The services to register in the registry called `name`.
    pub fn services_of(&self, name: &str) -> Vec<announce::ServiceConfig> {
        let only = self.registries.len() == 1;
        let is_in = |service: &&announce::ServiceConfig| {
            service.registry.as_ref().map_or(only, |registry| registry.value == name)
        };
        self.announce.services.iter().filter(is_in).cloned().collect()
    }

    /// Makes relative paths relative to `directory`.
    pub(super) fn rebase(&mut self, directory: &Path) {
        let rebase = |path: &mut PathBuf| *path = directory.join(&*path);
        self.zones.iter_mut().filter_map(|zone| zone.file.as_mut()).for_each(rebase);
        self.dns.iter_mut().flat_map(dns::config::Config::paths).for_each(rebase);
        for registry in &mut self.registries {
            if let zookeeper::config::Backing::Memory(path) = &mut registry.zookeeper.source {
                rebase(path);
            }
            registry.zookeeper.security.files().for_each(rebase);
            registry.zookeeper.cache_file.as_mut().map(rebase);
        }
        self.announce.settings.state.iter_mut().for_each(rebase);
    }
}
