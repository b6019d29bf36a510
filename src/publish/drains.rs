//! Drains end by themselves: which services to read again, and when.
//!
//! When they end they say as a time of day, so that all servers agree: the clock is looked at once a second while there is
//! one that ends, and follows when somebody sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Publisher, unix_now};
use crate::keeper::driver::SharedTree;

/// The longest time between two looks at the clock while something is to end.
const LOOK: Duration = Duration::from_secs(1);

/// The services of one registry that have drains which end, each with the first end. Pure.
#[derive(Debug, Default)]
pub(super) struct Drains {
    by_service: BTreeMap<String, u64>,
    by_end: BTreeSet<(u64, String)>,
    next: watch::Sender<Option<u64>>,
}

impl Drains {
    /// The first drain of `service` ends then, in seconds since 1970, or none does.
    pub(super) fn set(&mut self, service: &str, end: Option<u64>) {
        let before = match end {
            Some(end) => self.by_service.insert(service.to_owned(), end),
            None => self.by_service.remove(service),
        };
        if before == end {
            return;
        }
        if let Some(before) = before {
            self.by_end.remove(&(before, service.to_owned()));
        }
        self.by_end.extend(end.map(|end| (end, service.to_owned())));
        self.tell();
    }

    /// The services with drains that have ended by `now`; they are not known as drained any more.
    pub(super) fn take_ended(&mut self, now: u64) -> Vec<String> {
        let mut ended = Vec::new();
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, service)) = self.by_end.pop_first() else { break };
            self.by_service.remove(&service);
            ended.push(service);
        }
        self.tell();
        ended
    }

    /// When the next one ends, now and from now on.
    pub(super) fn next_end(&self) -> watch::Receiver<Option<u64>> {
        self.next.subscribe()
    }

    fn tell(&self) {
        let next = self.by_end.first().map(|(end, _)| *end);
        self.next.send_if_modified(|told| std::mem::replace(told, next) != next);
    }
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
        let mut drains = Drains::default();
        let next = drains.next_end();
        for (service, end) in [("a", 30), ("b", 10), ("c", 10), ("b", 20)] {
            drains.set(service, Some(end));
        }
        assert_eq!(*next.borrow(), Some(10));
        drains.set("c", None);
        assert_eq!(*next.borrow(), Some(20));
        assert_eq!(drains.take_ended(19), Vec::<String>::new());
        assert_eq!(drains.take_ended(20), ["b"]);
        assert_eq!(drains.take_ended(1000), ["a"]);
        assert_eq!(*next.borrow(), None);
    }
}
