//! The UDP threads: one socket each, batches in, three steps over each batch, batches out. No runtime, no locks.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::batch::{BATCH, Batch, Route, prefetch, send_one};
use crate::dns::fast::{self, Asked, Built, Loaded, Parsed, Query};
use crate::dns::front::Front;
use crate::dns::metrics::{Metrics, Transport};
use crate::dns::options::Tail;
use crate::dns::service::unix_now;
use crate::zone::Zones;

/// How often a thread without queries looks whether it is to stop.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// A query that is not for the hot path, on its way to the handler.
pub(super) struct Unusual {
    pub(super) bytes: Vec<u8>,
    pub(super) route: Route,
    pub(super) socket: Arc<UdpSocket>,
}

impl Unusual {
    /// Sends the response. One that does not find room in the socket's buffer is lost, as datagrams are.
    pub(super) fn reply(&self, response: &[u8]) {
        // A client that has gone is not told that it has.
        let _ = send_one(&self.socket, &self.route, response);
    }
}

/// One UDP thread.
pub(super) struct Worker {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) zones: Zones,
    pub(super) front: Arc<Front>,
    pub(super) unusual: mpsc::Sender<Unusual>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Answers until told to stop.
    ///
    /// # Errors
    /// When the socket fails for good.
    pub(super) fn run(self) -> std::io::Result<()> {
        let mut batch = Batch::new();
        let mut queries: Vec<Query> = vec![Query::default(); BATCH];
        let mut spare = Vec::new();
        let mut turn = fastrand::usize(..);
        let mut received = BATCH;
        let mut tail = Tail::default();
        let counters = self.metrics.counters(Transport::Udp);
        while !self.stop.is_cancelled() {
            received = match batch.receive(&self.socket, received) {
                Ok(received) => received,
                Err(error) => match error.kind() {
                    // Nothing came; or an earlier reply met a closed port.
                    ErrorKind::WouldBlock
                    | ErrorKind::TimedOut
                    | ErrorKind::Interrupted
                    | ErrorKind::ConnectionRefused => {
                        received = BATCH;
                        continue;
                    }
                    _ => return Err(error),
                },
            };
            // Read and hash every name.
            let mut parsed = [Parsed::Drop; BATCH];
            for i in 0..received {
                parsed[i] = fast::parse(batch.query(i), &mut queries[i]);
            }
            // Look every name up, and ask for the memory that the answers will need.
            let loaded = Loaded::new(&self.zones, spare);
            let mut subjects = [None; BATCH];
            for i in (0..received).filter(|&i| parsed[i] == Parsed::Plain) {
                subjects[i] = loaded.find(&queries[i]);
                if let Some(bytes) = fast::lines_of(subjects[i], &queries[i]) {
                    prefetch(bytes);
                }
            }
            // Write every answer.
            let (policy, now) = (self.front.policy(), unix_now());
            for i in 0..received {
                // Port 0 cannot be answered, and whoever sends from it wants no answer.
                let peer = batch.route(i).peer().filter(|peer| parsed[i] != Parsed::Drop && peer.port() != 0);
                let Some(peer) = peer else {
                    counters.dropped();
                    continue;
                };
                turn = turn.wrapping_add(1);
                let (packet, out) = batch.query_and_response(i);
                let asked = Asked { packet, query: &queries[i], peer: peer.ip(), is_udp: true, turn };
                let built = match parsed[i] {
                    Parsed::Plain => fast::respond(&loaded, &policy, asked, subjects[i], now, &mut tail, out),
                    _ => Built::Unusual,
                };
                match built {
                    Built::Response { length, rcode, truncated, extended } => {
                        counters.responded(rcode, truncated, extended);
                        batch.push(i, length);
                    }
                    Built::Unusual => self.pass_on(packet.to_vec(), *batch.route(i)),
                }
            }
            spare = loaded.into_spare();
            let skipped = batch.send(&self.socket);
            counters.unsent(skipped);
        }
        Ok(())
    }

    /// Gives a query to the handler, unless it has more than enough of them.
    fn pass_on(&self, bytes: Vec<u8>, route: Route) {
        let unusual = Unusual { bytes, route, socket: Arc::clone(&self.socket) };
        if self.unusual.try_send(unusual).is_err() {
            self.metrics.overloaded();
        }
    }
}

/// Runs a worker on a thread of its own; its end comes through `ended`.
pub(super) fn spawn(worker: Worker, ended: mpsc::Sender<std::io::Result<()>>) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("dns-udp".into());
    thread.spawn(move || {
        let outcome = worker.run();
        if ended.blocking_send(outcome).is_err() {
            warn!("a UDP thread ended after everything else");
        }
    })?;
    Ok(())
}
