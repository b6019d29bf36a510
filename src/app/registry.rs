//! One registry's parts: its mirror, what fills its zones, its announcer, and the seed of one in memory.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use tokio::sync::watch;
use tracing::warn;

use super::App;
use super::files::{FIRST_READING, Seed};
use super::zone_of::{ZoneOf, lock};
use crate::admin::{RegistrySource, Sources};
use crate::announce::identity::HostIdentity;
use crate::announce::{self, Announcer};
use crate::config::{Config, Registry};
use crate::disk;
use crate::disk::stall::asking;
use crate::inspect::reader::Reader;
use crate::publish::layout::Layout;
use crate::publish::past::Wishes;
use crate::publish::unread::Wording;
use crate::publish::{Publisher, Target, resolver};
use crate::registry::cache::Hurry;
use crate::zone;
use crate::zone::name::Name;
use crate::zone::records::address::is_reverse;
use crate::zookeeper::client::ZooKeeper;
use crate::zookeeper::config::Backing;
use crate::zookeeper::driver::Driver;
use crate::zookeeper::memory::Memory;
use crate::zookeeper::session::Ensemble;
use crate::zookeeper::trouble;

impl App {
    /// Spawns what one registry needs: its mirror, its announcer, and what feeds it in memory.
    pub(super) fn registry(
        &mut self,
        registry: &Registry,
        zones: Vec<ZoneOf>,
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        match &registry.zookeeper.source {
            Backing::ZooKeeper(servers) => {
                let security = registry.zookeeper.security.clone();
                let read = security.clone();
                match disk::unless_stalled(FIRST_READING, move || asking(|| read.load())) {
                    Ok(loaded) => drop(loaded.with_context(|| format!("registry {}", registry.name))?),
                    Err(error) => warn!(registry = registry.name, %error, "the credentials are not read yet"),
                }
                let ensemble = ZooKeeper::new(servers, registry.zookeeper.session_timeout).secured(security);
                self.mirror(ensemble, registry, zones, config, sources)
            }
            Backing::Memory(path) => {
                let memory = Memory::new(&path.display().to_string());
                let seed = Seed::new(path.clone(), memory.clone());
                seed.load()?;
                let stop = self.stop.clone();
                self.parts.spawn(async move {
                    seed.follow(stop).await;
                    ("seed".into(), Ok(()))
                });
                self.mirror(memory, registry, zones, config, sources)
            }
        }
    }

    fn mirror<E: Ensemble>(
        &mut self,
        ensemble: E,
        registry: &Registry,
        zones: Vec<ZoneOf>,
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let layout = Layout { root: registry.zookeeper.root.clone(), format: registry.format.clone() };
        if !zones.is_empty() {
            let shown = zones.iter().map(|zone| Arc::clone(lock(&zone.writer).zone())).collect();
            let targets = targets(&registry.name, zones);
            let own = config.zones.iter().map(|zone| zone.origin.clone());
            let publisher = Publisher::new(layout.clone(), targets, registry.zookeeper.max_stale).never_ask(own);
            let is_file = |zone: &&zone::config::Config| zone.registry.is_none();
            let files: Vec<Name> = config.zones.iter().filter(is_file).map(|zone| zone.origin.clone()).collect();
            let files = sources.zones.iter().filter(|zone| files.contains(zone.origin())).cloned();
            let publisher = publisher.with_files(files);
            let publisher = publisher.guarded(registry.guard);
            let refusing = ensemble.clone();
            let wording = Wording::new(move |path| trouble::not_allowed(&refusing, path));
            let publisher = publisher.unread(registry.zookeeper.missing_root, wording);
            publisher.take(wishes(config, registry));
            self.publishers.push((registry.name.clone(), publisher.clone()));
            let problems = publisher.problems();
            let (root, timeout) = (layout.root.clone(), registry.zookeeper.session_timeout);
            let mut driver = Driver::new(ensemble.clone(), root, timeout, publisher.clone());
            driver = driver.holding(registry.zookeeper.hold);
            if let Backing::ZooKeeper(_) = registry.zookeeper.source {
                let (period, followed) = watch::channel(registry.zookeeper.verify);
                self.verifications.push((registry.name.clone(), period));
                driver = driver.verifying(followed);
            }
            if let Some(file) = &registry.zookeeper.cache_file {
                let hurry = Hurry::default();
                self.hurries.push(hurry.clone());
                driver = driver.with_cache(file.clone(), registry.zookeeper.cache_refresh(), hurry);
            }
            let (name, tree, stop) =
                (format!("host names of registry {}", registry.name), driver.tree(), self.stop.clone());
            let looked_up = publisher.clone();
            self.parts.spawn(async move {
                resolver::run(looked_up, tree, stop).await;
                (name, Ok(()))
            });
            let (name, tree, stop) =
                (format!("drains and guard of registry {}", registry.name), driver.tree(), self.stop.clone());
            let drained = publisher.clone();
            self.parts.spawn(async move {
                let times = drained.clone().follow_times(Arc::clone(&tree), stop.clone());
                tokio::join!(drained.follow_drains(tree, stop), times);
                (name, Ok(()))
            });
            sources.registries.push(RegistrySource {
                name: registry.name.clone(),
                status: driver.status(),
                reader: Reader::new(&registry.name, layout.clone(), driver.tree(), problems).shown_by(publisher),
                zones: shown,
            });
            let (name, stop) = (format!("mirror of registry {}", registry.name), self.stop.clone());
            // A thread of its own: the first sight of a large registry is seconds of work, which no timer and no packet
            // waits for.
            let runtime = tokio::runtime::Handle::current();
            let ended = self.threads.spawn("mirror", move || runtime.block_on(driver.run(stop)));
            let ended = ended.with_context(|| format!("no thread for the {name}"))?;
            self.parts.spawn(async move { (name, ended.await.map_err(|_| anyhow!("it panicked"))) });
        }
        self.announce(ensemble, registry, config, sources)
    }

    fn announce<E: Ensemble>(
        &mut self,
        ensemble: E,
        registry: &Registry,
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let announce::Settings { acl, parent_acl, readonly, .. } = &config.announce.settings;
        let host = self.host.clone().unwrap_or_else(HostIdentity::of_this_host);
        let writer = announce::InstanceWriter {
            format: registry.format.clone(),
            root: registry.zookeeper.root.clone(),
            host,
            here: announce::origin::ThisHost::of_this_host(),
            pid: std::process::id(),
            created: SystemTime::now(),
            access: *acl,
            parent_access: *parent_acl,
            readonly: *readonly,
        };
        // Also where nothing is to be registered yet: without services it connects to nothing.
        let announcer = Announcer::new(ensemble, writer, config.services_of(&registry.name))?;
        let announcer = announcer.with_means(self.means.clone());
        self.services.push((registry.name.clone(), announcer.services()));
        sources.announcements.push((registry.name.clone(), announcer.status()));
        let announcer = announcer.ends_keeping_at(self.keep.clone());
        let (name, stop) = (format!("announcer of registry {}", registry.name), self.withdraw.clone());
        self.announcers.spawn(async move {
            announcer.run(stop).await;
            (name, Ok(()))
        });
        Ok(())
    }
}

/// Zones that a publisher writes; zones of reverse names with the zones that they can point to.
fn targets(name: &str, zones: Vec<ZoneOf>) -> Vec<Target> {
    let forward: Vec<_> = zones.iter().filter(|zone| !is_reverse(&zone.origin)).collect();
    let forward: Vec<_> = forward.iter().map(|zone| (zone.under.clone(), zone.origin.clone())).collect();
    let target = |ZoneOf { origin, under, ttl, names, writer, .. }: ZoneOf| {
        let reverse_of = if is_reverse(&origin) { forward.clone() } else { Vec::new() };
        Target { under, names, reverse_of, ..Target::named(name, ttl, writer) }
    };
    zones.into_iter().map(target).collect()
}

/// Settings of a registry's names that a reload can change.
pub(super) fn wishes(config: &Config, registry: &Registry) -> Wishes {
    let registered = config.services_of(&registry.name).into_iter().map(|service| service.name.value).collect();
    let zones = config.zones.iter().map(|zone| (zone.origin.clone(), zone.names.clone())).collect();
    Wishes { linger: registry.linger, registered, zones }
}
