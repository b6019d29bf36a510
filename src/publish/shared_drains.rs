//! Drains that the readers of one registry share: two registrations of one host:port in one service are one instance,
//! wherever they are, so a flag that one reader finds drains the other's as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::Drain;

/// The drains in force of all readers of a registry, as one of them has them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedDrains {
    /// The reader's number.
    reader: usize,
    /// The path that its services are put under, in lower case; empty for none.
    place: String,
    known: watch::Sender<Arc<DrainsByService>>,
}

/// For each service, by its path among all that zones show, in lower case, the drained instances of each reader.
type DrainsByService = BTreeMap<String, BTreeMap<usize, Vec<Drain>>>;

/// Follows what other readers than one share.
#[derive(Debug)]
pub(super) struct SharedFollower {
    own: SharedDrains,
    known: watch::Receiver<Arc<DrainsByService>>,
    seen: Arc<DrainsByService>,
}

impl SharedDrains {
    /// Those of the readers of a registry that put their services under these places, one for each.
    pub fn of_readers<'p>(places: impl IntoIterator<Item = &'p str>) -> Vec<Self> {
        let known = watch::Sender::<Arc<DrainsByService>>::default();
        let places = places.into_iter().enumerate();
        places.map(|(reader, place)| Self { reader, place: place.to_owned(), known: known.clone() }).collect()
    }

    /// The drains, of one instance each, that other readers have for the service at `below` this one's root.
    pub(super) fn of_others(&self, below: &str) -> Vec<Drain> {
        let known = self.known.borrow();
        // Nearly always there are none.
        if known.is_empty() {
            return Vec::new();
        }
        let readers = known.get(&self.placed(&below.to_ascii_lowercase())).into_iter().flatten();
        readers.filter(|(reader, _)| **reader != self.reader).flat_map(|(_, drains)| drains.clone()).collect()
    }

    /// The reader has these for the service at `folded` below its root, and no others.
    pub(super) fn set(&self, folded: &str, drains: Vec<Drain>) {
        let placed = self.placed(folded);
        self.known.send_if_modified(|known| {
            let before = known.get(&placed).and_then(|readers| readers.get(&self.reader));
            if before.map_or(drains.is_empty(), |before| *before == drains) {
                return false;
            }
            let readers = Arc::make_mut(known).entry(placed.clone()).or_default();
            if drains.is_empty() {
                readers.remove(&self.reader);
                if readers.is_empty() {
                    Arc::make_mut(known).remove(&placed);
                }
            } else {
                readers.insert(self.reader, drains);
            }
            true
        });
    }

    /// Follows what other readers share from now on.
    pub(super) fn follow(&self) -> SharedFollower {
        let known = self.known.subscribe();
        let seen = Arc::clone(&known.borrow());
        SharedFollower { own: self.clone(), known, seen }
    }

    fn placed(&self, folded: &str) -> String {
        match (&*self.place, folded) {
            ("", _) => folded.to_owned(),
            (place, "") => place.to_owned(),
            (place, _) => format!("{place}/{folded}"),
        }
    }

    /// The path below the reader's root of what zones show at `placed`; none for what is not its own.
    fn unplaced<'p>(&self, placed: &'p str) -> Option<&'p str> {
        if self.place.is_empty() {
            return Some(placed);
        }
        let rest = placed.strip_prefix(&*self.place)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }
}

impl SharedFollower {
    /// Waits for a change that other readers have made. Returns the paths below this one's root of the services whose
    /// drains are others than before, in lower case.
    pub(super) async fn changed(&mut self) -> BTreeSet<String> {
        loop {
            if self.known.changed().await.is_err() {
                return std::future::pending().await;
            }
            let now = Arc::clone(&self.known.borrow_and_update());
            let before = std::mem::replace(&mut self.seen, now);
            let of_others = |all: &DrainsByService, placed: &str| -> Vec<(usize, Vec<Drain>)> {
                let readers = all.get(placed).into_iter().flatten();
                let others = readers.filter(|(reader, _)| **reader != self.own.reader);
                others.map(|(reader, drains)| (*reader, drains.clone())).collect()
            };
            let differs = |placed: &&String| of_others(&before, placed) != of_others(&self.seen, placed);
            let changed = before.keys().chain(self.seen.keys()).filter(differs);
            let changed: BTreeSet<_> =
                changed.filter_map(|placed| self.own.unplaced(placed)).map(str::to_owned).collect();
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(reason: &str) -> Vec<Drain> {
        vec![Drain { reason: reason.into(), ..Drain::default() }]
    }

    #[tokio::test]
    async fn readers_share_the_drains_of_services_that_have_one_name_and_hear_of_each_others_alone() {
        let readers = SharedDrains::of_readers(["", "pg", ""]);
        let [first, placed, third] = &readers[..] else { panic!("{readers:?}") };
        let mut follower = third.follow();
        first.set("api", drain("one"));
        assert_eq!(third.of_others("API"), drain("one"));
        assert_eq!((first.of_others("api"), placed.of_others("api")), (vec![], vec![]));
        assert_eq!(follower.changed().await.into_iter().collect::<Vec<_>>(), ["api"]);
        third.set("api", drain("own"));
        placed.set("api", drain("pg"));
        assert_eq!(follower.changed().await.into_iter().collect::<Vec<_>>(), ["pg/api"]);
        assert_eq!((first.of_others("pg/api"), placed.of_others("api")), (drain("pg"), vec![]));
        first.set("pg/api", drain("deep"));
        assert_eq!(placed.of_others("api"), drain("deep"));
        first.set("api", vec![]);
        assert_eq!((third.of_others("api"), first.of_others("api")), (vec![], drain("own")));
    }
}
