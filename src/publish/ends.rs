//! Drains that begin and end: the log of them, and that they end by themselves.
//!
//! When they end they say as a time of day, so that all servers agree: the clock is looked at once a second while there
//! is one that ends, and follows when somebody sets it.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::unix_now;
use super::core::Core;
use super::drain_tree::DrainTree;
use super::drains::DrainTurn;
use super::publisher::Publisher;
use super::shared_drains::SharedDrains;
use super::touched::{ReadOf, Touched};
use crate::format::moment;
use crate::model::Drain;
use crate::registry::shown::{SharedTree, ShownTree};

/// The longest time between two looks at the clock while something is to end.
const POLL: Duration = Duration::from_secs(1);
/// Lines about one service that a change makes.
const MAX_LINES: usize = 10;
/// Seconds by which clocks may differ without a word.
const SKEW: u64 = 5;

impl Core {
    /// Takes the drains of a service that hold, and those that are `over`, and logs which begin and end.
    pub(super) fn drained(&self, folded: &str, drains: Vec<Drain>, over: Vec<Drain>) {
        let DrainTurn { begun, ended, late } = self.drains.set(folded, drains, over);
        if begun.is_empty() && ended.is_empty() && late.is_empty() {
            return;
        }
        let spelled = self.spellings.get(folded).and_then(|spellings| spellings.first().cloned());
        let path = self.layout.full(spelled.as_deref().unwrap_or(folded));
        let now = unix_now();
        self.note_drains(folded, &path, &begun, &ended);
        for drain in begun.iter().take(MAX_LINES) {
            let (instance, by, reason) = (what(drain), who(drain), &drain.reason);
            let until = drain.until.map_or("undrained".to_owned(), moment);
            info!(%path, instance, by, until, %reason, "drained: out of DNS");
            if let Some(at) = drain.at.filter(|at| *at > now + SKEW) {
                warn!(%path, by, at = moment(at), now = moment(now), "the drain was set in the future: clocks differ");
            }
        }
        for drain in ended.iter().take(MAX_LINES) {
            let (instance, by, reason) = (what(drain), who(drain), &drain.reason);
            let why = if drain.holds(now) { "undrained" } else { "its time is over" };
            info!(%path, instance, by, why, %reason, "the drain has ended");
        }
        // At the start old flags are still there.
        for drain in late.iter().take(MAX_LINES).filter(|_| self.complete) {
            let (instance, by, until) = (what(drain), who(drain), drain.until.map(moment));
            warn!(%path, instance, by, until, now = moment(now), "a drain was written that had ended already: clocks differ");
        }
        let more = [begun, ended, late].iter().map(|drains| drains.len().saturating_sub(MAX_LINES)).sum::<usize>();
        if more > 0 {
            info!(%path, more, "more drains of this service have begun or ended");
        }
    }
}

impl Core {
    /// Shares the drains of a service with the other readers of the registry.
    pub(super) fn share(&self, folded: &str, drains: Vec<Drain>) {
        if let Some(shared) = &self.layout.shared {
            shared.set(folded, drains);
        }
    }
}

/// Returns the target of a drain, for the log.
fn what(drain: &Drain) -> String {
    drain.instance.as_ref().map_or("all".to_owned(), ToString::to_string)
}

/// The author of a drain, for the log.
fn who(drain: &Drain) -> &str {
    if drain.by.is_empty() { "unknown" } else { &drain.by }
}

impl Publisher {
    /// Shows these services, paths below the root in lower case, as they are drained elsewhere now.
    fn take_drains(&self, tree: &ShownTree, services: BTreeSet<String>) {
        let (mut core, now) = (self.lock(), unix_now());
        // A drain of what is not there yet holds from the moment when it is.
        let read = services.into_iter().filter_map(|folded| {
            let reading = core.read(tree, &folded, now)?;
            Some(Touched { folded, read: ReadOf::Done(Some(Box::new(reading))) })
        });
        let touched: Vec<Touched> = read.collect();
        if !touched.is_empty() {
            core.assemble(tree, touched);
            core.commit();
        }
    }

    /// Takes changes of the drain tree and ends drains when their time has come, until `stop`.
    pub async fn follow_drains(self, tree: SharedTree, stop: CancellationToken) {
        let mut next = self.next_end();
        let mut written = self.lock().layout.drains.as_ref().map(DrainTree::follow);
        let mut shared = self.lock().layout.shared.as_ref().map(SharedDrains::follow);
        loop {
            let end = *next.borrow_and_update();
            let time = async {
                match end {
                    Some(end) => {
                        let left = Duration::from_secs(end.saturating_sub(unix_now()));
                        tokio::time::sleep(left.min(POLL)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let written = async {
                match &mut written {
                    Some(written) => written.changed().await,
                    None => std::future::pending().await,
                }
            };
            let shared = async {
                match &mut shared {
                    Some(shared) => shared.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                services = written => {
                    let root = self.lock().layout.root.clone();
                    let below = services.iter().filter_map(|path| path.below(&root)).map(str::to_ascii_lowercase);
                    let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
                    self.take_drains(&tree, below.collect());
                }
                services = shared => {
                    let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
                    self.take_drains(&tree, services);
                }
                // The sender is the publisher's, of which we have a clone: it does not go.
                _ = next.changed() => {}
                () = time => {
                    let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
                    self.end_drains(&tree, unix_now());
                }
            }
        }
    }
}
