//! What is drained now, and when that ends: which services are to be read again, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::Drain;

/// The drains of one registry. Cheap to share: who only looks waits for nobody who builds zones.
#[derive(Debug, Clone, Default)]
pub struct Drains {
    known: Arc<Mutex<KnownDrains>>,
    next: watch::Sender<Option<u64>>,
}

/// The drains by the services (in lower case) that they are of. Pure.
#[derive(Debug, Default)]
struct KnownDrains {
    by_service: BTreeMap<String, Vec<Drain>>,
    /// The first end of each service that has one.
    by_end: BTreeSet<(u64, String)>,
    /// The drains of services one of which has ended, until the services are read again.
    ended: BTreeMap<String, Vec<Drain>>,
    /// Drains that had ended when they were read first, by service.
    late: BTreeMap<String, Vec<Drain>>,
}

/// What became of the drains of a service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DrainTurn {
    /// Those that hold from now on.
    pub(super) begun: Vec<Drain>,
    /// Those that held before.
    pub(super) ended: Vec<Drain>,
    /// Those that had ended when they were seen first.
    pub(super) late: Vec<Drain>,
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

    /// `service` has these, and no others; `over` are written there and have ended.
    pub(super) fn set(&self, service: &str, drains: Vec<Drain>, over: Vec<Drain>) -> DrainTurn {
        let mut known = self.lock();
        // Nearly no service has any.
        if drains.is_empty() && over.is_empty() && known.has_none(service) {
            return DrainTurn::default();
        }
        let before = known.by_service.remove(service).or_else(|| known.ended.remove(service)).unwrap_or_default();
        let seen = known.late.remove(service).unwrap_or_default();
        let is_new = |drain: &&Drain| !before.contains(drain);
        let turn = DrainTurn {
            begun: drains.iter().filter(is_new).cloned().collect(),
            ended: before.iter().filter(|drain| !drains.contains(drain)).cloned().collect(),
            late: over.iter().filter(is_new).filter(|drain| !seen.contains(drain)).cloned().collect(),
        };
        if !over.is_empty() {
            known.late.insert(service.to_owned(), over);
        }
        if let Some(before) = first_end(&before) {
            known.by_end.remove(&(before, service.to_owned()));
        }
        known.by_end.extend(first_end(&drains).map(|end| (end, service.to_owned())));
        if !drains.is_empty() {
            known.by_service.insert(service.to_owned(), drains);
        }
        self.tell(&known);
        turn
    }

    /// The services with drains that have ended by `now`; they are not known as drained any more.
    pub(super) fn take_ended(&self, now: u64) -> Vec<String> {
        let mut known = self.lock();
        let mut ended = Vec::new();
        while known.by_end.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, service)) = known.by_end.pop_first() else { break };
            if let Some(drains) = known.by_service.remove(&service) {
                known.ended.insert(service.clone(), drains);
            }
            ended.push(service);
        }
        self.tell(&known);
        ended
    }

    /// When the next one ends, now and from now on.
    pub(super) fn next_end(&self) -> watch::Receiver<Option<u64>> {
        self.next.subscribe()
    }

    fn tell(&self, known: &KnownDrains) {
        let next = known.by_end.first().map(|(end, _)| *end);
        self.next.send_if_modified(|told| std::mem::replace(told, next) != next);
    }

    fn lock(&self) -> MutexGuard<'_, KnownDrains> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownDrains {
    fn has_none(&self, service: &str) -> bool {
        let maps = [&self.by_service, &self.ended, &self.late];
        maps.iter().all(|map| !map.contains_key(service))
    }
}

/// When the first of them ends, in seconds since 1970.
fn first_end(drains: &[Drain]) -> Option<u64> {
    drains.iter().filter_map(|drain| drain.until).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_come_back_when_the_first_of_their_drains_ends() {
        let drains = Drains::default();
        let next = drains.next_end();
        let until = |until| Drain { until, ..Drain::default() };
        for (service, end) in [("a", 30), ("b", 10), ("c", 10), ("b", 20)] {
            drains.set(service, vec![until(Some(end + 1)), until(None), until(Some(end))], vec![]);
        }
        drains.set("d", vec![until(None)], vec![]);
        assert_eq!(*next.borrow(), Some(10));
        let (total, first) = drains.first(4);
        assert_eq!((total, first.iter().map(|(service, _)| service.as_str()).collect::<String>()), (10, "aaab".into()));
        let turn = drains.set("c", vec![], vec![]);
        assert_eq!((turn.begun, turn.ended.len(), turn.late), (vec![], 3, vec![]));
        assert_eq!(*next.borrow(), Some(20));
        assert_eq!(drains.take_ended(19), Vec::<String>::new());
        assert_eq!(drains.take_ended(20), ["b"]);
        assert_eq!(drains.take_ended(1000), ["a"]);
        assert_eq!(*next.borrow(), None);
        assert_eq!(drains.first(9), (1, vec![("d".to_owned(), until(None))]));
        // What is left of them when a service is read again has not begun anew.
        let turn = drains.set("b", vec![until(None)], vec![until(Some(20)), until(Some(5))]);
        assert_eq!(
            turn,
            DrainTurn { begun: vec![], ended: vec![until(Some(21)), until(Some(20))], late: vec![until(Some(5))] }
        );
        let again = drains.set("b", vec![until(None)], vec![until(Some(20)), until(Some(5))]);
        assert_eq!(again, DrainTurn::default(), "each is told once");
    }
}
