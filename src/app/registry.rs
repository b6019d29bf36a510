//! One registry's parts: for each of its readers the mirror, what fills its zones and the announcer; and the seed of
//! one in memory.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use tokio::sync::watch;
use tracing::warn;

use super::App;
use super::drain_tree::MirroredDrains;
use super::files::{FIRST_READING, Seed};
use super::zone_of::{ZoneOf, lock};
use crate::admin::{RegistrySource, Sources};
use crate::announce::identity::HostIdentity;
use crate::announce::{self, Announcer};
use crate::config::{Config, Registry, RegistryReader};
use crate::disk;
use crate::disk::stall::asking;
use crate::inspect::reader::Reader;
use crate::publish::layout::Layout;
use crate::publish::past::Wishes;
use crate::publish::shared_drains::SharedDrains;
use crate::publish::unread::Wording;
use crate::publish::{Publisher, Target, resolver, target};
use crate::registry::cache::Hurry;
use crate::registry::withdrawn::Withdrawn;
use crate::zone;
use crate::zone::name::Name;
use crate::zone::records::address::is_reverse;
use crate::zone::records::label;
use crate::zone::source::Role;
use crate::zookeeper::client::ZooKeeper;
use crate::zookeeper::config::Backing;
use crate::zookeeper::driver::Driver;
use crate::zookeeper::memory::Memory;
use crate::zookeeper::session::Ensemble;
use crate::zookeeper::trouble;

impl App {
    /// Spawns what one registry needs: mirrors, announcers, and what feeds it in memory.
    pub(super) fn registry(
        &mut self,
        registry: &Registry,
        zones: &[ZoneOf],
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
                self.readers(&ensemble, registry, zones, config, sources)
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
                self.readers(&memory, registry, zones, config, sources)
            }
        }
    }

    fn readers<E: Ensemble>(
        &mut self,
        ensemble: &E,
        registry: &Registry,
        zones: &[ZoneOf],
        config: &Config,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let drains = self.drain_tree(ensemble, registry, zones)?;
        let readers = registry.readers();
        let shared = SharedDrains::of_readers(readers.iter().map(|reader| &*reader.place));
        let shared = shared.into_iter().map(|shared| Some(shared).filter(|_| readers.len() > 1));
        for (reader, shared) in readers.iter().zip(shared) {
            let targets = targets(reader, zones);
            let withdrawn = Withdrawn::default();
            self.mirror(ensemble, reader, (targets, drains.as_ref(), shared), config, &withdrawn, sources)?;
            self.announce(ensemble.clone(), reader, config, withdrawn, sources)?;
        }
        Ok(())
    }

    fn mirror<E: Ensemble>(
        &mut self,
        ensemble: &E,
        reader: &RegistryReader,
        (targets, drains, shared): (Vec<Target>, Option<&MirroredDrains>, Option<SharedDrains>),
        config: &Config,
        withdrawn: &Withdrawn,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let RegistryReader { name: of, registry, .. } = reader;
        let mut layout = Layout::new(registry.zookeeper.root.clone(), registry.format.clone());
        layout.shared = shared;
        layout.drains = drains.map(|drains| drains.tree.clone());
        if !targets.is_empty() {
            let shown = targets.iter().map(|target| Arc::clone(lock(&target.writer).zone())).collect();
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
            let publisher = publisher.telling(sources.events.clone(), of.clone(), withdrawn.clone());
            publisher.take(wishes(config, reader));
            self.publishers.push((of.clone(), publisher.clone()));
            let problems = publisher.problems();
            let (root, timeout) = (layout.root.clone(), registry.zookeeper.session_timeout);
            let mut driver = Driver::new(ensemble.clone(), root, timeout, publisher.clone());
            driver = driver.holding(registry.zookeeper.hold).limited(registry.zookeeper.znodes_max);
            if let Backing::ZooKeeper(_) = registry.zookeeper.source {
                let (period, followed) = watch::channel(registry.zookeeper.verify);
                self.verifications.push((of.clone(), period));
                driver = driver.verifying(followed);
            }
            if let Some(file) = &registry.zookeeper.cache_file {
                let hurry = Hurry::default();
                self.hurries.push(hurry.clone());
                driver = driver.with_cache(file.clone(), registry.zookeeper.cache_refresh(), hurry);
            }
            let (name, tree, stop) = (format!("host names of registry {of}"), driver.tree(), self.stop.clone());
            let looked_up = publisher.clone();
            self.parts.spawn(async move {
                resolver::run(looked_up, tree, stop).await;
                (name, Ok(()))
            });
            let (name, tree, stop) = (format!("drains and guard of registry {of}"), driver.tree(), self.stop.clone());
            let drained = publisher.clone();
            self.parts.spawn(async move {
                let times = drained.clone().follow_times(Arc::clone(&tree), stop.clone());
                tokio::join!(drained.follow_drains(tree, stop), times);
                (name, Ok(()))
            });
            sources.registries.push(RegistrySource {
                name: of.clone(),
                status: driver.status(),
                reader: Reader::new(of, layout.clone(), driver.tree(), problems).shown_by(publisher),
                zones: shown,
                drains: drains.map(|drains| drains.status.clone()),
            });
            let (tree, stop) = (layout.drains, self.stop.clone());
            self.on_thread(format!("mirror of registry {of}"), async move {
                if let Some(drains) = tree {
                    drains.first_reading(&stop).await;
                }
                driver.run(stop).await;
            })?;
        }
        Ok(())
    }

    /// Runs a mirror on a thread of its own: the first sight of a large registry is seconds of work, which no timer and
    /// no packet waits for.
    pub(super) fn on_thread(
        &mut self,
        name: String,
        mirror: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Handle::current();
        let ended = self.threads.spawn("mirror", move || runtime.block_on(mirror));
        let ended = ended.with_context(|| format!("no thread for the {name}"))?;
        self.parts.spawn(async move { (name, ended.await.map_err(|_| anyhow!("it panicked"))) });
        Ok(())
    }

    fn announce<E: Ensemble>(
        &mut self,
        ensemble: E,
        reader: &RegistryReader,
        config: &Config,
        withdrawn: Withdrawn,
        sources: &mut Sources,
    ) -> anyhow::Result<()> {
        let RegistryReader { name: of, registry, .. } = reader;
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
            drains: registry.zookeeper.drains.clone(),
        };
        // Also where nothing is to be registered yet: without services it connects to nothing.
        let announcer = Announcer::new(ensemble, writer, config.services_of_reader(reader))?;
        let announcer = announcer.with_means(self.means.clone()).noting(withdrawn);
        self.services.push((of.clone(), announcer.services()));
        sources.announcements.push((of.clone(), announcer.status()));
        let announcer = announcer.ends_keeping_at(self.keep.clone());
        let (name, stop) = (format!("announcer of registry {of}"), self.withdraw.clone());
        self.announcers.spawn(async move {
            announcer.run(stop).await;
            (name, Ok(()))
        });
        Ok(())
    }
}

/// Zones that a reader's publisher writes; zones of reverse names with the zones that they can point to.
fn targets(reader: &RegistryReader, zones: &[ZoneOf]) -> Vec<Target> {
    let forward: Vec<_> = zones.iter().filter(|zone| !is_reverse(&zone.origin)).collect();
    let forward: Vec<_> = forward.iter().map(|zone| (zone.under.clone(), zone.origin.clone())).collect();
    let target = |ZoneOf { origin, under, ttl, names, writer, .. }: &ZoneOf| {
        let reverse_of = if is_reverse(origin) { forward.clone() } else { Vec::new() };
        let place = &reader.place;
        // A reader of a part is one of a part of the zone, unless the zone has nothing but that part.
        let below = match target::below(place, under) {
            Some("") => origin.clone(),
            Some(_) if is_reverse(origin) => origin.clone(),
            Some(rest) => label::owner(origin, rest).ok()?,
            None => target::below(under, place).map(|_| origin.clone())?,
        };
        let role = Role { name: reader.name.to_string().into(), precedence: reader.precedence, below };
        let (under, place, names) = (under.clone(), place.clone(), names.clone());
        Some(Target { under, place, names, reverse_of, ..Target::of_role(role, *ttl, Arc::clone(writer)) })
    };
    zones.iter().filter_map(target).collect()
}

/// Settings of a reader's names that a reload can change.
pub(super) fn wishes(config: &Config, reader: &RegistryReader) -> Wishes {
    let registered = config.services_of_reader(reader).into_iter().map(|service| service.name.value).collect();
    let zones = config.zones.iter().map(|zone| (zone.origin.clone(), zone.names.clone())).collect();
    Wishes { linger: reader.registry.linger, registered, zones }
}
