//! The open TCP connections of all threads: how many there may be, who has been silent for how long, and who goes
//! first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

/// The open connections.
pub(super) struct Open {
    connections: Mutex<ConnectionTable>,
    begun: Instant,
}

#[derive(Default)]
struct ConnectionTable {
    last: u64,
    open: HashMap<u64, Connection>,
}

struct Connection {
    client: IpAddr,
    /// Time at which it came, in nanoseconds since [`Open::begun`]: who asked first within a millisecond is told, too.
    came: u64,
    /// Time at which it last asked or took something: bytes that are no whole query do not count.
    heard: Arc<AtomicU64>,
    /// Its task; none before it has begun.
    task: Option<AbortHandle>,
}

/// A connection's place; free again when it is dropped.
pub(super) struct ConnectionPermit {
    id: u64,
    heard: Heard,
}

/// Time at which a connection was heard of last.
#[derive(Clone)]
pub(super) struct Heard {
    open: Arc<Open>,
    at: Arc<AtomicU64>,
}

impl Open {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { connections: Mutex::default(), begun: Instant::now() })
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns whether there are `most` connections.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.lock().open.len() >= most
    }

    /// Takes a connection in. Where its client has as many as it may, the longest idle one of that client goes; where
    /// all places are taken, the longest idle one of all.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, most: usize, per_client: usize) -> Option<ConnectionPermit> {
        let now = self.now();
        let mut table = self.lock();
        if table.open.values().filter(|connection| connection.client == client).count() >= per_client {
            table.end_longest_idle(|connection| connection.client == client)?;
        }
        if table.open.len() >= most {
            table.end_longest_idle(|_| true)?;
        }
        table.last += 1;
        let (id, heard) = (table.last, Arc::new(AtomicU64::new(now)));
        table.open.insert(id, Connection { client, came: now, heard: Arc::clone(&heard), task: None });
        drop(table);
        Some(ConnectionPermit { id, heard: Heard { open: Arc::clone(self), at: heard } })
    }

    /// Says which task has the place `id`. When it had to go meanwhile, so does the task.
    pub(super) fn began(&self, id: u64, task: AbortHandle) {
        match self.lock().open.get_mut(&id) {
            Some(connection) => connection.task = Some(task),
            None => task.abort(),
        }
    }

    /// Ends those that have asked nothing for `idle`, and those that have been there for `total`.
    pub(super) fn sweep(&self, idle: Duration, total: Duration) {
        let now = self.now();
        let is_over = |since: u64, limit: Duration| Duration::from_nanos(now.saturating_sub(since)) > limit;
        let mut table = self.lock();
        // In a second step, as the end of a task frees its place.
        let over = table.open.extract_if(|_, connection| {
            is_over(connection.heard.load(Ordering::Relaxed), idle) || is_over(connection.came, total)
        });
        let over: Vec<_> = over.collect();
        drop(table);
        for (_, connection) in over {
            connection.end();
        }
    }
}

impl ConnectionTable {
    /// Ends the connection that was silent for the longest, of those that `may_go`; of those that were silent for
    /// equally long, the oldest.
    fn end_longest_idle(&mut self, may_go: impl Fn(&Connection) -> bool) -> Option<()> {
        let of_client = self.open.iter().filter(|(_, connection)| may_go(connection));
        let longest = of_client.min_by_key(|(id, connection)| (connection.heard.load(Ordering::Relaxed), **id));
        let id = *longest?.0;
        self.open.remove(&id)?.end();
        Some(())
    }
}

impl Connection {
    fn end(self) {
        if let Some(task) = self.task {
            task.abort();
        }
    }
}

impl ConnectionPermit {
    /// The number of it.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The client has said something, or taken something.
    pub(super) fn hear(&self) {
        self.heard.hear();
    }

    /// The time, for those that hear beside the connection's own task.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }
}

impl Heard {
    /// The client has said something, or taken something.
    pub(super) fn hear(&self) {
        self.at.store(self.open.now(), Ordering::Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.heard.open.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [IpAddr; 3] = [
        IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2)),
        IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3)),
    ];

    fn ids(open: &Open) -> Vec<u64> {
        let mut ids: Vec<u64> = open.lock().open.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let open = Open::new();
        let [a, b, c] = CLIENTS;
        let first = open.enter(a, 2, 2).unwrap();
        let second = open.enter(b, 2, 2).unwrap();
        first.heard.at.store(7, Ordering::Relaxed);
        second.heard.at.store(6, Ordering::Relaxed);
        let third = open.enter(c, 2, 2).unwrap();
        assert_eq!(ids(&open), [first.id(), third.id()], "the second was silent for the longest");
        drop((first, second, third));
        assert!(ids(&open).is_empty());
    }

    #[test]
    fn of_two_that_asked_within_a_millisecond_the_one_that_asked_first_goes() {
        for _ in 0..1_000 {
            let open = Open::new();
            let [first, second] = [(); 2].map(|()| open.enter(CLIENTS[0], 2, 3).unwrap());
            second.hear();
            first.hear();
            let third = open.enter(CLIENTS[0], 2, 3).unwrap();
            assert_eq!(ids(&open), [first.id(), third.id()]);
        }
    }

    #[test]
    fn a_client_at_its_limit_loses_its_own_longest_idle_connection() {
        let open = Open::new();
        let [client, other, _] = CLIENTS;
        let older = open.enter(other, 10, 2).unwrap();
        let [first, second] = [(); 2].map(|()| open.enter(client, 10, 2).unwrap());
        first.hear();
        let third = open.enter(client, 10, 2).unwrap();
        assert_eq!(ids(&open), [older.id(), first.id(), third.id()], "the second was silent for longer than the first");
        drop(second);
        assert_eq!(ids(&open), [older.id(), first.id(), third.id()]);
    }

    #[tokio::test]
    async fn the_silent_are_ended_and_the_others_are_not() {
        let mut open = Open::new();
        let begun = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        Arc::get_mut(&mut open).unwrap().begun = begun;
        let place = || open.enter(CLIENTS[0], 10, 10).unwrap();
        let (silent, talking) = (place(), place());
        silent.heard.at.store(0, Ordering::Relaxed);
        let (id, task) = (silent.id(), tokio::spawn(std::future::pending::<()>()));
        open.began(id, task.abort_handle());
        open.sweep(Duration::from_secs(10), Duration::from_secs(3600));
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(ids(&open), [talking.id()]);
        let late = tokio::spawn(std::future::pending::<()>());
        open.began(id, late.abort_handle());
        assert!(late.await.unwrap_err().is_cancelled(), "its place was gone before it began");
    }
}
