//! A watch: the events of its connection, and then those of the session's.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::{mpsc, watch};
use zookeeper_client::PersistentWatcher;

use super::link::Connectivity;
use super::translate::event;
use crate::registry::Error;
use crate::zookeeper::session::{Event, Watch};

/// A watch of a [`ZooKeeperSession`](super::ZooKeeperSession).
#[derive(Debug)]
pub struct ZooKeeperWatch {
    /// None once the connection on which it was armed is lost.
    source: Option<EventSource>,
    /// Number of the session's connection that was told of last.
    number: u64,
    standing: watch::Receiver<Connectivity>,
    /// Events that are to be told next.
    waiting: VecDeque<Event>,
    is_over: bool,
}

/// Source of events about znodes.
#[derive(Debug)]
pub(super) enum EventSource {
    Persistent(PersistentWatcher),
    Oneshot(mpsc::UnboundedReceiver<Event>),
}

impl EventSource {
    /// The next event about a znode; none when the connection is lost.
    async fn next(&mut self) -> Option<Event> {
        match self {
            Self::Persistent(watcher) => next_event(watcher).await,
            Self::Oneshot(events) => events.recv().await,
        }
    }
}

impl Watch for ZooKeeperWatch {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.is_over = matches!(event, Event::Over(_));
                return event;
            }
            if self.is_over {
                return std::future::pending().await;
            }
            let told = async {
                match &mut self.source {
                    Some(told) => told.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What was told of znodes comes before the end of the connection.
                biased;
                told = told => match told {
                    Some(event) => return event,
                    None => self.source = None,
                },
                // An error once the session's keeper has gone.
                changed = self.standing.changed() => self.follow(changed.is_err()),
            }
        }
    }
}

impl ZooKeeperWatch {
    /// A watch that was armed on this connection of the session.
    pub(super) fn new(told: EventSource, number: u64, standing: watch::Receiver<Connectivity>) -> Self {
        Self { source: Some(told), number, standing, waiting: VecDeque::new(), is_over: false }
    }

    /// Takes in how the session is now; changes in between may have been missed.
    fn follow(&mut self, is_gone: bool) {
        let was_connected = self.number != LOST;
        match &*self.standing.borrow_and_update() {
            // The one on which it was armed.
            Connectivity::Connected(number, _) if *number == self.number && !is_gone => return,
            _ if is_gone => self.waiting.push_back(Event::Over(Error::SessionExpired)),
            Connectivity::Over(error) => self.waiting.push_back(Event::Over(error.clone())),
            Connectivity::Disconnected(_) => {
                self.waiting.extend(was_connected.then_some(Event::Disconnected));
                self.number = LOST;
            }
            Connectivity::Connected(number, _) => {
                self.waiting.extend(was_connected.then_some(Event::Disconnected));
                self.waiting.push_back(Event::Connected);
                self.number = *number;
            }
        }
        self.source = None;
    }
}

/// The number of no connection.
const LOST: u64 = u64::MAX;

/// The next event about a znode; none when the session is over for the crate, or when it panics because its task died.
async fn next_event(watcher: &mut PersistentWatcher) -> Option<Event> {
    let mut changed = pin!(watcher.changed());
    let told = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| changed.as_mut().poll(context))) {
        Ok(Poll::Ready(told)) => Poll::Ready(Some(told)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    });
    told.await.as_ref().and_then(event)
}
