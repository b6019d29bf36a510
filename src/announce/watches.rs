//! The watches of an announcer, one a znode, as one stream of events.
//!
//! Every watch tells of the session too, so one broken connection is told by all of them; only the first counts. A
//! watch that was armed before it says nothing about its znode any more but is kept until a newer one takes its place,
//! and meanwhile tells when the connection is back.

use std::collections::HashMap;

use tokio::task::{AbortHandle, JoinSet};

use crate::registry::Path;
use crate::zookeeper::session::{Event, Watch};

/// The watches of one session.
pub(super) struct Watches<W> {
    /// For each watch, the wait for its next event. A bounded number: one a registration.
    waits: JoinSet<(ArmedWatch, W, Event)>,
    by_path: HashMap<Path, (ArmedWatch, AbortHandle)>,
    /// Counts the connections of the session.
    connection: u64,
    armed: u64,
}

/// One watch: its path, the connection it was armed on, and which of all it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ArmedWatch {
    path: Path,
    connection: u64,
    number: u64,
}

impl<W> Default for Watches<W> {
    fn default() -> Self {
        Self { waits: JoinSet::new(), by_path: HashMap::new(), connection: 0, armed: 0 }
    }
}

impl<W: Watch> Watches<W> {
    /// The present connection.
    pub(super) fn connection(&self) -> u64 {
        self.connection
    }

    /// Takes a watch whose arming began on `connection`; it replaces an older one on the same path.
    pub(super) fn add(&mut self, path: &Path, watch: W, connection: u64) {
        self.armed += 1;
        self.remove(path);
        self.wait(ArmedWatch { path: path.clone(), connection, number: self.armed }, watch);
    }

    /// Drops the watch on `path`.
    pub(super) fn remove(&mut self, path: &Path) {
        if let Some((_, wait)) = self.by_path.remove(path) {
            wait.abort();
        }
    }

    /// Returns whether a watch on `path` was armed on the present connection.
    pub(super) fn is_armed(&self, path: &Path) -> bool {
        self.by_path.get(path).is_some_and(|(known, _)| known.connection == self.connection)
    }

    /// The next event, and the path of the watch that told it; none comes without watches. Cancel-safe.
    pub(super) async fn next(&mut self) -> (Event, Path) {
        loop {
            let (known, watch, event) = match self.waits.join_next().await {
                Some(Ok(told)) => told,
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) => continue,
                None => std::future::pending().await,
            };
            if self.by_path.get(&known.path).is_none_or(|(current, _)| *current != known) {
                // It was replaced or dropped at the moment in which it told.
                continue;
            }
            let path = known.path.clone();
            let is_present = known.connection == self.connection;
            match &event {
                Event::Over(_) => return (event, path),
                Event::Disconnected if is_present => self.connection += 1,
                Event::Disconnected => {
                    self.wait(known, watch);
                    continue;
                }
                // Below an instance there is nothing of ours.
                Event::Changed(changed) if *changed != path => {
                    self.wait(known, watch);
                    continue;
                }
                Event::Changed(_) | Event::Connected => {}
            }
            self.wait(known, watch);
            return (event, path);
        }
    }

    /// Drops all watches and waits until they are dropped.
    pub(super) async fn shutdown(&mut self) {
        self.by_path.clear();
        self.waits.shutdown().await;
    }

    fn wait(&mut self, known: ArmedWatch, mut watch: W) {
        let told = known.clone();
        let wait = self.waits.spawn(async move {
            let event = watch.next().await;
            (told, watch, event)
        });
        self.by_path.insert(known.path.clone(), (known, wait));
    }
}
