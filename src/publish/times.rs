//! Changes that time alone brings about: removals that the guard has held back for long enough, and transfers that
//! have waited for hosts for long enough. Nobody looks at the clock for them: [`Publisher::follow_times`] sleeps until
//! the very time.

use std::sync::PoisonError;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::core::Core;
use super::publisher::Publisher;
use crate::registry::shown::{SharedTree, ShownTree};
use crate::registry::view::Freshness;

impl Core {
    /// Returns when [`Self::turn`] has something to do; none while only a change can bring that about.
    fn due(&self) -> Option<Instant> {
        // While the registry is not followed, the guard lets nothing through.
        let guard = self.guard.as_ref().filter(|_| self.freshness == Freshness::Fresh);
        let transfers = self.holding.0.iter().filter_map(|state| state.due());
        transfers.chain(guard.and_then(super::guard::Guard::until)).chain(self.events_due()).min()
    }

    /// Tells those that wait for the time, where it is another one.
    pub(super) fn tell_due(&self) {
        let due = self.due();
        self.due.send_if_modified(|told| std::mem::replace(told, due) != due);
    }

    /// Lets go what was held back until `now`.
    fn turn(&mut self, tree: &ShownTree, now: Instant) {
        self.settle_events(tree, now);
        self.release_transfers(now);
        if self.freshness != Freshness::Fresh {
            return;
        }
        let due = self.guard.as_mut().map(|guard| guard.due(now)).unwrap_or_default();
        if !due.is_empty() {
            warn!(root = %self.layout.root, services = due.len(), "the guard lets the removals through that it held back");
            self.rebuild(tree, due);
            self.commit();
        }
    }
}

impl Publisher {
    /// Lets go what is held back when its time has come, until `stop`.
    pub async fn follow_times(self, tree: SharedTree, stop: CancellationToken) {
        let mut due = self.lock().due.subscribe();
        loop {
            let time = *due.borrow_and_update();
            let sleep = async {
                match time {
                    Some(time) => tokio::time::sleep_until(time.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // The sender is the publisher's, of which this is a clone: it does not go.
                _ = due.changed() => {}
                () = sleep => {
                    let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
                    self.lock().turn(&tree, tokio::time::Instant::now().into_std());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, RwLock};
    use std::time::Duration;

    use super::*;
    use crate::format;
    use crate::publish::Target;
    use crate::publish::guard::Config;
    use crate::publish::layout::Layout;
    use crate::registry::Path;
    use crate::registry::tree::{Entry, Known, Tree};
    use crate::registry::view::Observer;
    use crate::zone::name::Name;
    use crate::zone::{Zone, ZoneBuilder};

    fn tree(below: &[&str]) -> ShownTree {
        let known =
            || Entry::Known(Known { data: b"".as_slice().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 });
        ShownTree::from(Tree::of(below.iter().map(|at| (path(at), known())).collect::<Vec<_>>()))
    }

    fn path(below: &str) -> Path {
        Path::new(&format!("/services{below}")).unwrap()
    }

    /// A publisher of a tree that is live, which follows the time, and its zone.
    fn follow(below: &[&str], guard: Option<Config>) -> (Publisher, SharedTree, Arc<Zone>) {
        let writer = Arc::new(Mutex::new(ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build()));
        let zone = Arc::clone(writer.lock().unwrap().zone());
        let layout = Layout::new(Path::new("/services").unwrap(), format::Config::default());
        let publisher = Publisher::new(layout, vec![Target::new(5, writer)], Duration::from_secs(60));
        let mut publisher = publisher.guarded(guard);
        let tree = Arc::new(RwLock::new(tree(below)));
        publisher.publish(&tree.read().unwrap(), &below.iter().map(|at| path(at)).collect());
        publisher.freshness(Freshness::Fresh);
        tokio::spawn(publisher.clone().follow_times(Arc::clone(&tree), CancellationToken::new()));
        (publisher, tree, zone)
    }

    #[tokio::test(start_paused = true)]
    async fn the_guard_lets_removals_through_when_its_time_is_over_and_not_while_the_registry_is_away() {
        let paths = ["", "/a", "/a/10.0.0.1:80", "/b", "/b/10.0.0.2:80"];
        let (mut publisher, shared, zone) = follow(&paths, Some(Config::default()));
        let held = || publisher.alarm().unwrap().report().held.len();
        *shared.write().unwrap() = tree(&["", "/a", "/b"]);
        publisher.clone().publish(&shared.read().unwrap(), &paths.iter().map(|at| path(at)).collect());
        let serial = zone.serial();
        assert_eq!(held(), 2);
        tokio::time::sleep(Duration::from_secs(295)).await;
        assert_eq!((held(), zone.serial()), (2, serial));
        publisher.clone().freshness(Freshness::Stale(Duration::from_secs(1)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!((held(), zone.serial()), (2, serial));
        publisher.freshness(Freshness::Fresh);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(publisher.alarm().unwrap().report().held.len(), 0);
        assert_ne!(zone.serial(), serial);
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_wait_for_the_address_of_a_host_and_no_longer_than_ten_seconds() {
        let (_publisher, _tree, zone) = follow(&["", "/a", "/a/db.example:80"], None);
        assert!(!zone.is_transferable());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!zone.is_transferable());
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(zone.is_transferable());
    }
}
