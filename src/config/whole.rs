//! The configuration as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::readers::ReaderConfig;
use crate::diagnostic::Report;
use crate::dns::message::key::TsigKey;
use crate::dns::transfer::secondaries::Secondaries;
use crate::instance_files::config::FileConfig;
use crate::publish::guard;
use crate::registry::ReaderName;
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
    /// The files that are kept equal to services' instances.
    pub files: Vec<FileConfig>,
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
    /// Its readers, the first of which goes first; empty where there is one, of the registry's own root and format.
    pub read: Vec<ReaderConfig>,
}

/// A reader of a registry, with all that it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryReader {
    /// Its name.
    pub name: ReaderName,
    /// Its place among the registry's: that of 0 goes first.
    pub precedence: u16,
    /// The path that its services are put under, in lower case; empty for none.
    pub place: String,
    /// The registry as the reader has it: its own root, format and cache file.
    pub registry: Registry,
}

impl Registry {
    /// Its readers; one at least.
    pub fn readers(&self) -> Vec<RegistryReader> {
        if self.read.is_empty() {
            let (name, place) = (ReaderName::only(&self.name), String::new());
            return vec![RegistryReader { name, precedence: 0, place, registry: self.clone() }];
        }
        let readers = (0..).zip(&self.read).map(|(precedence, ReaderConfig { name, root, format, place })| {
            let mut registry = Self { format: format.clone(), read: Vec::new(), ..self.clone() };
            registry.zookeeper.root = root.clone();
            registry.zookeeper.cache_file = self.zookeeper.cache_file.as_ref().map(|file| beside(file, name));
            let name = ReaderName { registry: self.name.clone(), reader: Some(name.clone()) };
            RegistryReader { name, precedence, place: place.clone(), registry }
        });
        readers.collect()
    }

    /// The file that keeps its drains for a start without ZooKeeper: `CACHE_FILE.drains`.
    pub fn drains_file(&self) -> Option<PathBuf> {
        let file = self.zookeeper.cache_file.as_ref().filter(|_| self.zookeeper.drains.is_some());
        file.map(|file| beside(file, "drains"))
    }

    /// The files that keep what its readers know, and that of the serials beside them.
    pub(super) fn cache_files(&self) -> Vec<PathBuf> {
        let own = self.zookeeper.cache_file.iter().flat_map(|file| [file.clone(), beside(file, "serials")]);
        let own = own.chain(self.drains_file());
        own.chain(self.readers().into_iter().filter_map(|reader| reader.registry.zookeeper.cache_file)).collect()
    }
}

/// The file of `file`'s name with a further extension.
fn beside(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

impl Config {
    /// Returns what the DNS server takes of it, where there is one.
    pub fn dns_settings(&self) -> Option<dns::server::ServerSettings<'_>> {
        let dns = self.dns.as_ref()?;
        Some(dns::server::ServerSettings { dns, keys: &self.keys, secondaries: &self.secondaries })
    }

    /// The readers of all registries.
    pub fn readers(&self) -> impl Iterator<Item = RegistryReader> {
        self.registries.iter().flat_map(Registry::readers)
    }

    /// The services to register where `reader` reads.
    pub fn services_of_reader(&self, reader: &RegistryReader) -> Vec<announce::ServiceConfig> {
        let mut services = self.services_of(&reader.name.registry);
        // One that is alone has all, also those of a root that waits for a restart.
        if reader.name.reader.is_some() {
            let of_registry = self.registries.iter().find(|one| one.name == reader.name.registry);
            let otherwise = of_registry.map(|registry| &registry.zookeeper.root);
            let root = &reader.registry.zookeeper.root;
            services.retain(|service| service.root.as_ref().map(|own| &own.value).or(otherwise) == Some(root));
        }
        services
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
        self.admin.iter_mut().flat_map(admin::config::Config::paths).for_each(rebase);
        self.announce.settings.state.iter_mut().for_each(rebase);
        self.files.iter_mut().for_each(|file| rebase(&mut file.path));
    }
}
