//! The services of a reader as a server sees them, for conventions whose services are not told by paths alone: the
//! reader is mirrored until it is read completely, and let go again.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::NoSubscriber;

use crate::config::Registry;
use crate::model::Endpoint;
use crate::publish::layout::Layout;
use crate::publish::{Publisher, unix_now};
use crate::registry::status::Phase;
use crate::zookeeper::client::ZooKeeper;
use crate::zookeeper::driver::Driver;

/// Time for which an ensemble that does not answer is tried.
const CONNECTING: Duration = Duration::from_secs(15);
/// Time for which one that answers is read.
const READING: Duration = Duration::from_secs(300);
/// Time between two looks at how far it is.
const POLL: Duration = Duration::from_millis(10);

/// The services by their paths below the root, each with the endpoints of its instances.
///
/// # Errors
/// When the registry cannot be read.
pub(super) fn view(ensemble: &ZooKeeper, registry: &Registry) -> anyhow::Result<BTreeMap<String, Vec<Endpoint>>> {
    let settings = &registry.zookeeper;
    let layout = Layout::new(settings.root.clone(), registry.format.clone());
    // It fills no zone: what it is for is to say which znodes are read, and in which convention.
    let publisher = Publisher::new(layout.clone(), Vec::new(), settings.max_stale);
    let driver = Driver::new(ensemble.clone(), layout.root.clone(), settings.session_timeout, publisher);
    let driver = driver.limited(settings.znodes_max);
    let (tree, status) = (driver.tree(), driver.status());
    let read = async {
        let begun = Instant::now();
        loop {
            let report = status.report();
            let limit = if report.session.is_some() { READING } else { CONNECTING };
            if report.phase == Phase::Live {
                return Ok(());
            }
            if begun.elapsed() > limit {
                let trouble = report.trouble.unwrap_or_else(|| "ZooKeeper does not answer".to_owned());
                bail!("{} cannot be read: {trouble}", layout.root);
            }
            sleep(POLL).await;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    let mirrored = async {
        tokio::select! {
            read = read => read,
            () = driver.run(stop.clone()) => bail!("{} cannot be read", layout.root),
        }
    };
    // A server's log is nothing for people at a terminal: what goes wrong is in the error.
    tracing::subscriber::with_default(NoSubscriber::new(), || runtime.block_on(mirrored))?;
    let (tree, now) = (tree.read().unwrap_or_else(PoisonError::into_inner), unix_now());
    let services = layout.services(&tree).into_iter().filter_map(|path| {
        let service = layout.read(&tree, &path, now)?.service;
        Some((path, service.instances.into_iter().map(|instance| instance.endpoint).collect()))
    });
    Ok(services.collect())
}
