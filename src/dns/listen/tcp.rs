//! TCP (RFC 7766): what is there is read, all of it is answered, and all answers are written at once.
//!
//! A connection is cut when it is idle for too long, when it does not take its answers, or when it is the longest idle
//! one and another wants its place. None of this is UDP's business.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::dns::fast::{self, Asked, Built, Loaded, MAX_TCP, Parsed, Query};
use crate::dns::front::Front;
use crate::dns::metrics::Counters;
use crate::dns::options::Tail;
use crate::dns::policy::IDLE;
use crate::dns::service::{Reply, Service, unix_now};
use crate::zone::Zones;

/// What TCP may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections in all.
    pub(super) connections: usize,
    /// Connections of one address.
    pub(super) per_client: usize,
    /// How long a connection may say nothing (RFC 7766 §6.2.3).
    pub(super) idle: Duration,
    /// How long a client may take to take its answers.
    pub(super) write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1024, per_client: 128, idle: IDLE, write: Duration::from_secs(5) }
    }
}

/// Questions of one connection that may be on their way to other name servers.
const MAX_LATER: usize = 64;

/// Answers are written once there are so many bytes of them, even if more queries are there.
const FLUSH: usize = 128 << 10;

/// What all connections share.
pub(super) struct Shared {
    pub(super) zones: Zones,
    pub(super) front: Arc<Front>,
    pub(super) service: Service,
    pub(super) counters: Arc<Counters>,
    pub(super) limits: Limits,
    pub(super) open: Open,
}

/// The open connections.
#[derive(Default)]
pub(super) struct Open(Mutex<HashMap<u64, Connection>>);

struct Connection {
    client: IpAddr,
    /// When it last said something.
    heard: Instant,
    /// Wakes it to be closed.
    close: Arc<Notify>,
}

impl Open {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in, if its client has not too many; where all places are taken, the longest idle one goes.
    fn enter(&self, id: u64, client: IpAddr, limits: &Limits) -> Option<Arc<Notify>> {
        let mut open = self.lock();
        if open.values().filter(|connection| connection.client == client).count() >= limits.per_client {
            return None;
        }
        if open.len() >= limits.connections {
            let longest = open.iter().min_by_key(|(_, connection)| connection.heard).map(|(id, _)| *id)?;
            open.remove(&longest)?.close.notify_one();
        }
        let close = Arc::new(Notify::new());
        open.insert(id, Connection { client, heard: Instant::now(), close: Arc::clone(&close) });
        Some(close)
    }

    fn hear(&self, id: u64) {
        if let Some(connection) = self.lock().get_mut(&id) {
            connection.heard = Instant::now();
        }
    }
}

/// Takes connections until `stop`.
///
/// # Errors
/// When the listener fails for good.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    let mut id = 0_u64;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                id += 1;
                let Some(close) = shared.open.enter(id, client.ip(), &shared.limits) else { continue };
                let (shared, id) = (Arc::clone(&shared), id);
                connections.spawn(async move {
                    tokio::select! {
                        () = close.notified() => {}
                        outcome = serve(stream, client, &shared, id) => {
                            if let Err(error) = outcome {
                                debug!(%client, %error, "a TCP connection ended");
                            }
                        }
                    }
                    shared.open.lock().remove(&id);
                });
            }
            // Out of descriptors or memory, or a client that has gone already: neither ends the server.
            Err(error) => {
                debug!(%error, "cannot accept a TCP connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, client: SocketAddr, shared: &Shared, id: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(4096);
    let mut output = Vec::new();
    // Answers that take their time: they are written when they are there, and what comes behind them does not wait
    // (RFC 7766 §6.2.1.1).
    let mut later: JoinSet<Vec<u8>> = JoinSet::new();
    let mut is_at_end = false;
    loop {
        tokio::select! {
            // A client that asks more than can be on its way for it is read on when something was answered.
            read = timeout(shared.limits.idle, stream.read_buf(&mut input)), if !is_at_end && later.len() < MAX_LATER => {
                match read {
                    Ok(Ok(length)) => is_at_end = length == 0,
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Ok(()),
                }
            }
            Some(message) = later.join_next() => {
                push(&mut output, &message.unwrap_or_default());
                write(&mut stream, &mut output, shared).await?;
            }
            // The end of the stream, and of everything that was asked before it.
            else => return Ok(()),
        }
        shared.open.hear(id);
        let mut done = 0;
        while let Some(length) = whole_message(&input[done..]) {
            let packet = &input[done + 2..done + 2 + length];
            if !answer(packet, client.ip(), &mut output, shared) {
                shared.counters.unusual();
                match shared.service.reply_to(packet.to_vec(), client, false).await {
                    Reply::Messages(messages) => messages.iter().for_each(|message| push(&mut output, message)),
                    Reply::Later(message) => drop(later.spawn(message)),
                    Reply::Transfer(mut running) => {
                        while let Some(message) = running.next_message() {
                            push(&mut output, &message);
                            if output.len() >= FLUSH {
                                write(&mut stream, &mut output, shared).await?;
                                shared.open.hear(id);
                            }
                        }
                    }
                }
            }
            done += 2 + length;
            if output.len() >= FLUSH {
                write(&mut stream, &mut output, shared).await?;
            }
        }
        input.drain(..done);
        if !output.is_empty() {
            write(&mut stream, &mut output, shared).await?;
        }
    }
}

async fn write(stream: &mut TcpStream, output: &mut Vec<u8>, shared: &Shared) -> std::io::Result<()> {
    match timeout(shared.limits.write, stream.write_all(output)).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
    }
    output.clear();
    // A burst is over: its memory is for others.
    if output.capacity() > 4 * FLUSH {
        output.shrink_to(FLUSH);
    }
    Ok(())
}

/// The length of the first message, when all of it is there (RFC 1035 §4.2.2).
fn whole_message(input: &[u8]) -> Option<usize> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    (rest.len() >= length).then_some(length)
}

fn push(output: &mut Vec<u8>, response: &[u8]) {
    if let Ok(length @ 1..) = u16::try_from(response.len()) {
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(response);
    }
}

/// Answers a message on the hot path, behind its length; false when it is not for it.
fn answer(packet: &[u8], peer: IpAddr, output: &mut Vec<u8>, shared: &Shared) -> bool {
    let mut query = Query::default();
    match fast::parse(packet, &mut query) {
        Parsed::Drop => return true,
        Parsed::Unusual => return false,
        Parsed::Plain => {}
    }
    let loaded = Loaded::new(&shared.zones, Vec::new());
    let subject = loaded.find(&query);
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(MAX_TCP, 0);
        let asked = Asked { packet, query: &query, peer, is_udp: false, turn: fastrand::usize(..) };
        let (policy, mut tail) = (shared.front.policy(), Tail::default());
        let built = fast::respond(&loaded, &policy, asked, subject, unix_now(), &mut tail, scratch);
        let Built::Response { length, rcode, truncated, extended } = built else { return false };
        shared.counters.responded(rcode, truncated, extended);
        push(output, &scratch[..length]);
        true
    })
}

thread_local! {
    /// Where a thread writes a response before its length is known: clearing 64 KiB for each one would cost more than
    /// the answer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { connections: 2, per_client: 2, ..Limits::default() }
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let open = Open::default();
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        open.enter(1, a, &limits()).unwrap();
        std::thread::yield_now();
        open.enter(2, b, &limits()).unwrap();
        open.hear(1);
        assert!(open.enter(3, c, &limits()).is_some());
        let mut left: Vec<u64> = open.lock().keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [1, 3], "the second was silent for the longest");
    }

    #[test]
    fn one_client_has_so_many_connections_and_no_more() {
        let open = Open::default();
        let client = IpAddr::from([127, 0, 0, 1]);
        let limits = Limits { connections: 10, ..limits() };
        assert!(open.enter(1, client, &limits).is_some());
        assert!(open.enter(2, client, &limits).is_some());
        assert!(open.enter(3, client, &limits).is_none());
        assert!(open.enter(4, IpAddr::from([127, 0, 0, 2]), &limits).is_some());
    }

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        assert_eq!(whole_message(&[]), None);
        assert_eq!(whole_message(&[0]), None);
        assert_eq!(whole_message(&[0, 2, 7]), None);
        assert_eq!(whole_message(&[0, 2, 7, 8, 9]), Some(2));
        assert_eq!(whole_message(&[0, 0]), Some(0));
    }
}
