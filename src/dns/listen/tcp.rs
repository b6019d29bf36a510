//! TCP (RFC 7766), plain and inside TLS (RFC 7858): what is there is read, all of it is answered, and all answers are
//! written at once.
//!
//! Connections live on threads of their own, each with a runtime that nobody else wakes. A connection is cut when it is
//! idle or there for too long, when it does not take its answers, or when it is the longest idle one and another wants
//! its place ([`Open`]). No more is read until the answers are taken: whatever a client sends, one read of it is in
//! memory. None of this is UDP's business.

use std::cell::{LazyCell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::open::{Open, Place};
use crate::backoff::Throttle;
use crate::dns::fast::{self, Asked, Built, Loaded, MAX_TCP, Parsed, Query, State};
use crate::dns::listen::limits::Limits;
use crate::dns::listen::tls::Handshakes;
use crate::dns::message::options::Tail;
use crate::dns::serve::gate::{Front, Received};
use crate::dns::serve::metrics::Counters;
use crate::dns::serve::{Reply, Service, since_1970};
use crate::dns::transport::Transport;
use crate::zone::Zones;

/// Questions of one connection that may be on their way to other name servers.
const MAX_LATER: usize = 64;

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers are written once there are so many bytes of them, even if more queries are there.
const FLUSH: usize = 128 << 10;

/// Room for queries that come together: a read that fills it is followed by another.
const READ: usize = 8 << 10;

/// One thread's listener: what all its connections share.
pub(super) struct Acceptor {
    pub(super) zones: Zones,
    pub(super) front: Arc<Front>,
    pub(super) service: Service,
    pub(super) counters: Arc<Counters>,
    pub(super) open: Arc<Open>,
    /// Handshakes that come before all else; none for plain connections.
    pub(super) tls: Option<Handshakes>,
}

impl Acceptor {
    fn transport(&self) -> Transport {
        if self.tls.is_some() { Transport::Tls } else { Transport::Tcp }
    }

    /// Takes connections until `stop`, on a thread of its own.
    ///
    /// # Errors
    /// When there is no runtime to be had, or the listener is not to be used.
    pub(super) fn run(self, listener: std::net::TcpListener, stop: &CancellationToken) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            accept(TcpListener::from_std(listener)?, Arc::new(self), stop).await;
            Ok(())
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Acceptor>, stop: &CancellationToken) {
    let mut connections = JoinSet::new();
    // Clients that come back as soon as they are turned away cost no more than this.
    let (mut turned_away, mut is_failing) = (Throttle::new(Duration::from_millis(100), 50), false);
    loop {
        let Limits { connections: most, per_client, idle, total, .. } = shared.front.policy().tcp;
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            // A timer for all of them, and none for none.
            () = sleep(idle.min(total) / 8), if !connections.is_empty() => {
                shared.open.sweep(idle, total);
                continue;
            }
        };
        match accepted {
            Ok((stream, client)) => {
                is_failing = false;
                let is_full = shared.open.is_full(most);
                let place = shared.open.enter(client.ip(), most, per_client);
                if is_full || place.is_none() {
                    let pause = turned_away.record(std::time::Instant::now());
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                }
                let Some(place) = place else { continue };
                let (id, connection) = (place.id(), Arc::clone(&shared));
                let task = connections.spawn(async move {
                    if let Err(error) = begin(stream, client, &connection, &place).await {
                        let transport = connection.transport().name();
                        debug!(%client, transport, %error, "a connection ended");
                    }
                });
                shared.open.began(id, task);
            }
            // Out of descriptors or memory, or a client that has gone already: neither ends the server.
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(%error, transport = shared.transport().name(), "cannot accept connections; trying again");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn begin(stream: TcpStream, client: SocketAddr, shared: &Acceptor, place: &Place) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match &shared.tls {
        None => serve(stream, client, shared, place).await,
        // One that does not come to its end is swept away like any connection without a query.
        Some(tls) => serve(tls.accept(stream).await?, client, shared, place).await,
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    shared: &Acceptor,
    place: &Place,
) -> std::io::Result<()> {
    let mut input = Vec::with_capacity(READ);
    let mut output = Vec::new();
    // Answers that take their time: they are written when they are there, and what comes behind them does not wait
    // (RFC 7766 §6.2.1.1).
    let mut later: JoinSet<Vec<u8>> = JoinSet::new();
    let mut is_at_end = false;
    loop {
        // Whoever says nothing for too long is swept away.
        if later.is_empty() {
            if is_at_end || stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        } else {
            tokio::select! {
                // A client that asks more than can be on its way for it is read on when something was answered.
                read = stream.read_buf(&mut input), if !is_at_end && later.len() < MAX_LATER => is_at_end = read? == 0,
                Some(message) = later.join_next() => {
                    push(&mut output, &message.unwrap_or_default());
                    write(&mut stream, &mut output, shared).await?;
                    place.hear();
                }
            }
        }
        // Bytes that are no whole query hold no place.
        if whole_message(&input).is_some() {
            place.hear();
        }
        let mut done = 0;
        loop {
            let stopped = answer_all(&input, &mut done, client, &mut output, shared);
            let is_done = matches!(stopped, Stopped::Done);
            if let Stopped::Unusual(received) = stopped {
                shared.counters.unusual();
                match shared.service.reply_to(received, client, shared.transport()) {
                    Reply::Message(message) => message.iter().for_each(|message| push(&mut output, message)),
                    Reply::Later(message) => drop(later.spawn(message)),
                    Reply::Transfer(mut running) => {
                        while let Some(message) = running.next_message() {
                            push(&mut output, &message);
                            if output.len() >= FLUSH {
                                write(&mut stream, &mut output, shared).await?;
                                place.hear();
                                // Others have a turn between the parts of a large zone.
                                tokio::task::yield_now().await;
                            }
                        }
                    }
                }
            }
            if output.len() >= FLUSH || (is_done && !output.is_empty()) {
                write(&mut stream, &mut output, shared).await?;
            }
            if is_done {
                break;
            }
        }
        input.drain(..done);
    }
}

/// Writes everything, in the time that a client has to take it.
async fn write(stream: &mut (impl AsyncWrite + Unpin), output: &mut Vec<u8>, shared: &Acceptor) -> std::io::Result<()> {
    let writing = async {
        stream.write_all(output).await?;
        stream.flush().await
    };
    // No timer is set where the system takes everything at once, as it nearly always does.
    match timeout(shared.front.policy().tcp.write, writing).await {
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

/// Why no more of what was read is answered for the moment.
enum Stopped {
    /// All whole messages are.
    Done,
    /// There is much to write.
    Full,
    /// This message is not for the hot path.
    Unusual(Received),
}

/// Answers the messages in `input` from `done` on, all from one state of the zones.
fn answer_all(input: &[u8], done: &mut usize, client: SocketAddr, output: &mut Vec<u8>, shared: &Acceptor) -> Stopped {
    SCRATCH.with_borrow_mut(|Scratch { query, response, spare, tail }| {
        let (policy, now) = (shared.front.policy(), LazyCell::new(since_1970));
        let loaded = Loaded::new(&shared.zones, &policy, std::mem::take(spare));
        let mut stopped = Stopped::Done;
        while let Some(length) = whole_message(&input[*done..]) {
            if output.len() >= FLUSH {
                stopped = Stopped::Full;
                break;
            }
            let packet = &input[*done + 2..*done + 2 + length];
            *done += 2 + length;
            let parsed = fast::parse(packet, query);
            let built = match parsed {
                Parsed::Drop => continue,
                Parsed::Plain => {
                    let asked = Asked {
                        packet,
                        query,
                        peer: &|| client.ip(),
                        now: &|| *now,
                        transport: shared.transport(),
                        random: fastrand::u32(..),
                    };
                    fast::respond(&loaded, &asked, loaded.find(query), tail, response)
                }
                Parsed::Unusual => Built::Unusual,
            };
            match built {
                Built::Response { length, rcode, truncated, extended } => {
                    shared.counters.responded(rcode, truncated, extended);
                    push(output, &response[..length.into()]);
                }
                // Whoever has a connection is where he says he is: no rate bounds what he gets.
                Built::Unusual | Built::Slip { .. } | Built::Limited => {
                    stopped = Stopped::Unusual(fast::hand_over(parsed, packet, query));
                    break;
                }
            }
        }
        *spare = loaded.into_spare();
        stopped
    })
}

/// Memory that a thread answers with; made once, as clearing 64 KiB for each answer would cost more than the answer.
struct Scratch {
    query: Query,
    /// Room in which a response is written before its length is known.
    response: Vec<u8>,
    spare: Vec<State>,
    tail: Tail,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { query: Query::default(), response: vec![0; MAX_TCP], spare: Vec::new(), tail: Tail::default() }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        assert_eq!(whole_message(&[]), None);
        assert_eq!(whole_message(&[0]), None);
        assert_eq!(whole_message(&[0, 2, 7]), None);
        assert_eq!(whole_message(&[0, 2, 7, 8, 9]), Some(2));
        assert_eq!(whole_message(&[0, 0]), Some(0));
    }
}
