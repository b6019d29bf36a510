//! The admin server's open connections: when all places are taken, the one that has asked nothing for the longest time
//! makes room for the next client. Those that are being answered never do.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{AbortHandle, Id};

/// Time that a new connection has to say what it wants before it may have to make room.
const YOUTH: Duration = Duration::from_millis(50);

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Seats(Vec<Seat>);

#[derive(Debug)]
struct Seat {
    task: AbortHandle,
    usage: Arc<Usage>,
}

/// Use of a connection.
#[derive(Debug)]
pub(super) struct Usage {
    /// Requests whose response was not sent completely.
    requests: AtomicUsize,
    /// Time at which the last request ended, or the connection began, in nanoseconds since the first of all.
    idle_since: AtomicU64,
}

fn now() -> u64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGUN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Seats {
    /// The number of connections.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether one of them can make room: it has no request, and has had the time for one.
    pub(super) fn has_idle(&self) -> bool {
        let now = now();
        self.0.iter().any(|seat| seat.usage.is_idle(now))
    }

    /// Adds a connection.
    pub(super) fn enter(&mut self, task: AbortHandle, usage: Arc<Usage>) {
        self.0.push(Seat { task, usage });
    }

    /// Removes a connection that has ended.
    pub(super) fn leave(&mut self, task: Id) {
        self.0.retain(|seat| seat.task.id() != task);
    }

    /// Ends the connection that has been idle for the longest time, if one is.
    pub(super) fn end_longest_idle(&mut self) {
        let now = now();
        let idle = self.0.iter().enumerate().filter(|(_, seat)| seat.usage.is_idle(now));
        let longest = idle.min_by_key(|(_, seat)| seat.usage.idle_since.load(Ordering::Relaxed));
        if let Some(index) = longest.map(|(index, _)| index) {
            self.0.swap_remove(index).task.abort();
        }
    }
}

impl Usage {
    /// A connection that has asked nothing yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { requests: AtomicUsize::new(0), idle_since: AtomicU64::new(now()) })
    }

    fn is_idle(&self, now: u64) -> bool {
        let youth = u64::try_from(YOUTH.as_nanos()).unwrap_or(u64::MAX);
        self.requests.load(Ordering::Relaxed) == 0
            && now.saturating_sub(self.idle_since.load(Ordering::Relaxed)) >= youth
    }

    /// A request, until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> AnsweredRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        AnsweredRequest(Arc::clone(self))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct AnsweredRequest(Arc<Usage>);

impl Drop for AnsweredRequest {
    fn drop(&mut self) {
        self.0.idle_since.store(now(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response's body; its request ends with it.
#[derive(Debug)]
pub(super) struct Answering<B> {
    pub(super) body: B,
    pub(super) _request: AnsweredRequest,
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_connection_goes_first_and_one_that_is_answered_never() {
        let mut seats = Seats::default();
        let mut sit = || {
            let (task, usage) = (tokio::spawn(std::future::pending::<()>()), Usage::new());
            seats.enter(task.abort_handle(), Arc::clone(&usage));
            (task, usage)
        };
        let [(first, first_use), (second, second_use), (third, _)] = [sit(), sit(), sit()];
        let request = second_use.request();
        assert!(!seats.has_idle(), "all of them have just come");
        tokio::time::sleep(YOUTH).await;
        drop(first_use.request());
        seats.end_longest_idle();
        assert!(third.await.unwrap_err().is_cancelled(), "the first has asked something since");
        tokio::time::sleep(YOUTH).await;
        seats.end_longest_idle();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(!seats.has_idle());
        seats.end_longest_idle();
        assert_eq!(seats.len(), 1);
        drop(request);
        tokio::time::sleep(YOUTH).await;
        seats.end_longest_idle();
        assert!(second.await.unwrap_err().is_cancelled());
    }
}
