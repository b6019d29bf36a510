//! What the integration tests stand on: a real ZooKeeper, and a proxy that breaks connections to it.

pub(crate) mod admin;
pub(crate) mod app;
pub(crate) mod asker;
pub(crate) mod authority;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod consumer;
pub(crate) mod dig;
pub(crate) mod driver;
pub(crate) mod ensemble;
pub(crate) mod face;
pub(crate) mod foreign;
pub(crate) mod house;
pub(crate) mod kazoo;
pub(crate) mod looker;
pub(crate) mod meter;
pub(crate) mod patroni;
pub(crate) mod proxy;
pub(crate) mod readers;
pub(crate) mod relay;
pub(crate) mod release;
pub(crate) mod samples;
pub(crate) mod secondary;
pub(crate) mod spawner;
pub(crate) mod spring;
pub(crate) mod transfer;
pub(crate) mod witness;
pub(crate) mod zk;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it. Long, as machines that test are often busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `probe` gives something, and fails with `what` if it never does.
pub(crate) async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
