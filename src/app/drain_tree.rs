//! The mirror of a registry's drain tree, which all readers of the registry share.

use tokio::sync::watch;

use super::App;
use super::zone_of::ZoneOf;
use crate::config::Registry;
use crate::publish::drain_tree::DrainTree;
use crate::registry::ReaderName;
use crate::registry::cache::Hurry;
use crate::registry::status::MirrorStatus;
use crate::zookeeper::config::Backing;
use crate::zookeeper::driver::Driver;
use crate::zookeeper::session::Ensemble;

/// A drain tree, and the report of its mirror.
pub(super) struct MirroredDrains {
    pub(super) tree: DrainTree,
    pub(super) status: MirrorStatus,
}

impl App {
    /// Spawns the mirror of a registry's drain tree; none where it has none, or no zone shows the registry.
    pub(super) fn drain_tree<E: Ensemble>(
        &mut self,
        ensemble: &E,
        registry: &Registry,
        zones: &[ZoneOf],
    ) -> anyhow::Result<Option<MirroredDrains>> {
        let Some(root) = &registry.zookeeper.drains else { return Ok(None) };
        if zones.is_empty() {
            return Ok(None);
        }
        let tree = DrainTree::new(root.clone());
        let settings = &registry.zookeeper;
        let driver = Driver::new(ensemble.clone(), root.clone(), settings.session_timeout, tree.clone());
        let mut driver = driver.with_optional_root().holding(settings.hold).limited(settings.znodes_max);
        if let Backing::ZooKeeper(_) = settings.source {
            let (period, followed) = watch::channel(settings.verify);
            self.verifications.push((ReaderName::only(&registry.name), period));
            driver = driver.verifying(followed);
        }
        if let Some(file) = registry.drains_file() {
            let hurry = Hurry::default();
            self.hurries.push(hurry.clone());
            driver = driver.with_cache(file, settings.cache_refresh(), hurry);
        }
        let (status, stop) = (driver.status(), self.stop.clone());
        self.on_thread(format!("drains of registry {}", registry.name), driver.run(stop))?;
        Ok(Some(MirroredDrains { tree, status }))
    }
}
