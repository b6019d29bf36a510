//! Places for probes on their way. Each kind of check has its own, so that none starves another; those that are due
//! wait in the order in which they were due.

use std::collections::VecDeque;
use std::time::Instant;

use super::episode::Episode;

/// Limits of probes on their way at once, by kind. Those of `ttl` take no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// A socket each.
    pub tcp: usize,
    /// A socket each, and an answer in memory.
    pub http: usize,
    /// A process each.
    pub exec: usize,
    /// A socket each.
    pub grpc: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self { tcp: 1024, http: 512, exec: 64, grpc: 512 }
    }
}

/// Kinds of places, in the order of the queues.
#[derive(Debug, Clone, Copy)]
pub(super) enum SlotKind {
    Tcp,
    Http,
    Exec,
    Grpc,
    Ttl,
}

/// The checks that take places of one kind.
#[derive(Debug)]
pub(super) struct Queue {
    /// Its name: `tcp`.
    pub(super) kind: &'static str,
    /// Due, oldest first, with the time for which each was due. They wait for a place.
    waiting: VecDeque<(Instant, u64)>,
    /// Probes on their way.
    running: usize,
    /// Number of places.
    pub(super) places: usize,
    /// That checks begin later than an interval after they were due.
    pub(super) late: Option<Episode>,
}

/// The queues of all kinds.
#[derive(Debug)]
pub(super) struct Queues([Queue; 5]);

impl Queues {
    pub(super) fn new(slots: Slots) -> Self {
        let Slots { tcp, http, exec, grpc } = slots;
        let queue = |(kind, places)| Queue { kind, waiting: VecDeque::new(), running: 0, places, late: None };
        Self([("tcp", tcp), ("http", http), ("exec", exec), ("grpc", grpc), ("ttl", usize::MAX)].map(queue))
    }

    pub(super) fn of(&mut self, kind: SlotKind) -> &mut Queue {
        &mut self.0[kind as usize]
    }

    pub(super) fn all(&mut self) -> &mut [Queue] {
        &mut self.0
    }

    /// Returns whether a check that is due has to wait.
    pub(super) fn has_waiting(&self) -> bool {
        self.0.iter().any(|queue| !queue.waiting.is_empty())
    }
}

impl Queue {
    /// Appends a check that is due since `due`.
    pub(super) fn push(&mut self, due: Instant, id: u64) {
        self.waiting.push_back((due, id));
    }

    /// Takes the check that was due first, if there is a place for it.
    pub(super) fn pop(&mut self) -> Option<u64> {
        if self.is_full() {
            return None;
        }
        self.waiting.pop_front().map(|(_, id)| id)
    }

    /// Returns whether every place is taken.
    pub(super) fn is_full(&self) -> bool {
        self.running >= self.places
    }

    /// A probe takes a place.
    pub(super) fn enter(&mut self) {
        self.running += 1;
    }

    /// A probe has left its place.
    pub(super) fn leave(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// The checks that wait, oldest first.
    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = u64> {
        self.waiting.iter().map(|(_, id)| *id)
    }

    /// Number of those that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
