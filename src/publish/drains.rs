//! What is drained now, and that drains end by themselves: which services to read again, and when.
//!
//! When they end they say as a time of day, so that all servers agree: the clock is looked at once a second while there is
//! one that ends, and follows when somebody sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Publisher, unix_now};
use crate::keeper::driver::SharedTree;
use crate::model::Drain;

/// The longest time between two looks at the clock while something is to end.
const LOOK: Duration = Duration::from_secs(1);

/// The drains of one registry. Cheap to share: who only looks waits for nobody who builds zones.
#[derive(Debug, Clone, Default)]
pub struct Drains {
    known: Arc<Mutex<Known>>,
    next: watch::Sender<Option<u64>>,
}

/// The drains by the services (in lower case) that they are of. Pure.
#[derive(Debug, Default)]
struct Known {
    by_service: BTreeMap<String, Vec<Drain>>,
    /// The first end of each service that has one.
    by_end: BTreeSet<(u64, String)>,
}

impl Drains {
    /// How many there are, and the first of them, at most `limit`, in the order of their services (in lower case).
    pub fn first(&self, limit: usize) -> (usize, Vec<(String, Drain)>) {
        let known = self.lock();
        let each =
            known.by_service.iter().flat_map(|(service, drains)| drains.iter().map(move |drain| (service, drain)));
        let first = each.take(limit).map(|(service, drain)| (service.clone(), drain.clone())).collect();
        (known.by_service.values().map(Vec::len).sum(), first)
    }

    /// `service` has these, and no others.
    pub(super) fn set(&self, service: &str, drains: Vec<Drain>) {
        let mut known = self.lock();
        let end = first_end(&drains);
        let before = if drains.is_empty() {
            known.by_service.remove(service)
        } else {
            known.by_service.insert(service.to_owned(), drains)
        };
        let before = before.as_deref().and_then(first_end);
        if before == end {
            return;
        }
        if let Some(before) = before {
            known.by_end.remove(&(before, service.to_owned()));
        }
        known.by_end.extend(end.map(|end| (end, service.to_owned())));
        self.tell(&known);
    }

    /// The services with drains that have ended by `now`; they are not known as drained any more.
    pub(super) fn take_ended(&self, now: u64) -> Vec<String> {
        let mut known = self.lock();
        let mut ended = Vec::new();
        while known.by_end.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, service)) = known.by_end.pop_first() else { break };
            known.by_service.remove(&service);
            ended.push(service);
        }
        self.tell(&known);
        ended
    }

    /// When the next one ends, now and from now on.
    pub(super) fn next_end(&self) -> watch::Receiver<Option<u64>> {
        self.next.subscribe()
    }

    fn tell(&self, known: &Known) {
        let next = known.by_end.first().map(|(end, _)| *end);
        self.next.send_if_modified(|told| std::mem::replace(told, next) != next);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first of them ends, in seconds since 1970.
fn first_end(drains: &[Drain]) -> Option<u64> {
    drains.iter().filter_map(|drain| drain.until).min()
}

impl Publisher {
    /// Ends drains when their time has come, until `stop`.
    pub async fn follow_drains(self, tree: SharedTree, stop: CancellationToken) {
        let mut next = self.next_end();
        loop {
            let end = *next.borrow_and_update();
            let time = async {
                match end {
                    Some(end) => {
                        let left = Duration::from_secs(end.saturating_sub(unix_now()));
                        tokio::time::sleep(left.min(LOOK)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_come_back_when_the_first_of_their_drains_ends() {
        let drains = Drains::default();
        let next = drains.next_end();
        let until = |until| Drain { instance: None, until, reason: "".into() };
        for (service, end) in [("a", 30), ("b", 10), ("c", 10), ("b", 20)] {
            drains.set(service, vec![until(Some(end + 1)), until(None), until(Some(end))]);
        }
        drains.set("d", vec![until(None)]);
        assert_eq!(*next.borrow(), Some(10));
        let (total, first) = drains.first(4);
        assert_eq!((total, first.iter().map(|(service, _)| service.as_str()).collect::<String>()), (10, "aaab".into()));
        drains.set("c", vec![]);
        assert_eq!(*next.borrow(), Some(20));
        assert_eq!(drains.take_ended(19), Vec::<String>::new());
        assert_eq!(drains.take_ended(20), ["b"]);
        assert_eq!(drains.take_ended(1000), ["a"]);
        assert_eq!(*next.borrow(), None);
        assert_eq!(drains.first(9), (1, vec![("d".to_owned(), until(None))]));
    }
}
