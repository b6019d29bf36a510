//! The slow path over UDP: queries that a UDP thread has passed on, answered by as many threads as there are UDP
//! threads, from one bounded queue. A query that holds up its thread holds up no other; one that waits for other name
//! servers is a task of the caller's runtime and holds up no thread.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::route::Route;
use crate::dns::serve::gate::Received;
use crate::dns::serve::{Reply, Service};
use crate::dns::transport::Transport;

/// Queries that may wait. More are dropped: the hot path does not wait for them.
const WAITING: usize = 1024;

/// A query that is not for the hot path, on its way to the handler.
pub(super) struct SlowQuery {
    pub(super) received: Received,
    pub(super) route: Route,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) since: Instant,
}

/// The queue's end from which queries are taken, by several threads.
pub(super) struct Waiting<T>(Arc<Mutex<mpsc::Receiver<T>>>);

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Waiting<T> {
    /// An empty queue. It ends with the last of its senders.
    pub(super) fn queue() -> (mpsc::Sender<T>, Self) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (sender, Self(Arc::new(Mutex::new(receiver))))
    }

    /// Returns the next one, which no other thread gets; none at the queue's end.
    async fn next(&self) -> Option<T> {
        self.0.lock().await.recv().await
    }

    /// Has `answer` take one after the other on this thread, until the queue's end.
    ///
    /// # Errors
    /// When there is no runtime to be had.
    fn each(&self, answer: impl Fn(T)) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            while let Some(one) = self.next().await {
                answer(one);
            }
        });
        Ok(())
    }
}

/// One thread of the slow path.
pub(super) struct Slow {
    pub(super) service: Service,
    pub(super) waiting: Waiting<SlowQuery>,
    /// The runtime for answers that take their time: a thousand of them would keep the others waiting until there is no
    /// room for more.
    pub(super) later: Handle,
    pub(super) stop: CancellationToken,
}

impl Slow {
    /// Answers until the last UDP thread has ended.
    ///
    /// # Errors
    /// When there is no runtime to be had.
    pub(super) fn run(self) -> std::io::Result<()> {
        self.waiting.each(|slow| self.answer(slow))
    }

    fn answer(&self, slow: SlowQuery) {
        self.service.counters().slow();
        let SlowQuery { received, route, socket, since } = slow;
        let Some(peer) = route.peer() else { return };
        // A client that has gone is not told that it has.
        let send = move |message: &[u8]| drop(route.send(&socket, message));
        match self.service.reply_to(received, peer, Transport::Udp, since) {
            Reply::Message(message) => message.iter().for_each(|message| send(message)),
            Reply::Later(message) => {
                let stop = self.stop.clone();
                self.later.spawn(async move {
                    if let Some(message) = stop.run_until_cancelled(message).await {
                        send(&message);
                    }
                });
            }
            // Over UDP there is one message, or none at all.
            Reply::Transfer(mut running) => running.next_message().iter().for_each(|message| send(message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_query_that_holds_up_its_thread_holds_up_no_other() {
        let (sender, waiting) = Waiting::queue();
        let (release, held) = blocking::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let (answered, answers) = blocking::channel();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (waiting, held, answered) = (waiting.clone(), Arc::clone(&held), answered.clone());
                std::thread::spawn(move || {
                    waiting.each(|query: u32| {
                        if query == 0 {
                            held.lock().unwrap().recv().unwrap();
                        }
                        answered.send(query).unwrap();
                    })
                })
            })
            .collect();
        for query in 0..500 {
            sender.try_send(query).unwrap();
        }
        let next = || answers.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!((1..500).map(|_| next()).collect::<Vec<_>>(), (1..500).collect::<Vec<_>>());
        release.send(()).unwrap();
        assert_eq!(next(), 0);
        drop(sender);
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    }
}
