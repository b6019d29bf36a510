//! The way between the client library and a server: a listener on the loopback interface that the library connects to,
//! and behind it the connection that [`super::dial`] made.
//!
//! It exists for the library's reconnecting, which retries a connect that fails at once without pause and without end.
//! When the connection to the server is lost, the library is told that its session is over, in the protocol's own words
//! (an error -112 of its own), and so it never reconnects; the session itself lives on at the servers, and
//! `super::link` resumes it over another connection. Where that cannot be said, in the middle of a reply, the library's
//! connection is closed, and the one that it opens then is answered with the same words.
//!
//! The rest comes with the place: the cause of a failed connect is seen here, as is a reply's length before anybody
//! makes room for it, and the highest transaction seen, which a session that is resumed has to begin with.
//!
//! Anybody on this host can connect to a loopback port. The library's first message therefore carries a number that
//! only the two know, in place of the session time-out, which is put in here; anything else is turned away.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;
use zookeeper_client::StateWatcher;

use super::dial::{Failure, Stream, failure};
use crate::registry::Cause;

/// Longer messages are taken for another protocol. Lists of a million children are 20 to 60 MB.
const MAX_FRAME: usize = 256 << 20;
/// Longest first message, in either direction.
const MAX_FIRST_FRAME: usize = 4 << 10;
/// Bytes that are passed on at once.
const CHUNK: usize = 64 << 10;
/// The head of a reply: length, number, transaction, error.
const HEAD: usize = 20;
/// The library's own connect and what it says first take no longer.
const GREETING: Duration = Duration::from_secs(5);

/// A relay that waits for the library.
pub(super) struct Relay {
    listener: TcpListener,
    address: SocketAddr,
    nonce: i32,
    /// The session time-out to ask for.
    pub(super) session_timeout: Duration,
    /// Time that the server may take for a session.
    pub(super) patience: Duration,
    /// The highest transaction that the session has seen.
    pub(super) zxid: Arc<AtomicI64>,
}

/// Why a relay ended.
#[derive(Debug)]
pub(super) enum End {
    /// There was no session.
    Refused(Failure),
    /// The connection to the server was lost.
    Lost(Failure),
    /// The library closed the session.
    Closed,
}

impl Relay {
    /// A relay on a free port.
    pub(super) async fn bind(session_timeout: Duration, patience: Duration, zxid: &Arc<AtomicI64>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        // Milliseconds, more than any time-out and all of them positive: half an hour and more.
        let nonce = fastrand::i32(1 << 21..i32::MAX);
        Ok(Self { listener, address, nonce, session_timeout, patience, zxid: Arc::clone(zxid) })
    }

    /// The port that the library connects to.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The session time-out that the library has to be given.
    pub(super) fn password(&self) -> Duration {
        Duration::from_millis(self.nonce.unsigned_abs().into())
    }

    /// Relays until either side ends, tells why, and then answers the library's last attempts until it has given up.
    /// `states` comes once the library has a session.
    pub(super) async fn run(
        self,
        server: Box<dyn Stream>,
        ended: oneshot::Sender<End>,
        states: oneshot::Receiver<StateWatcher>,
    ) {
        let mut server = server;
        let (end, library) = match timeout(GREETING, self.accept()).await {
            Err(_) => (End::Refused((Cause::Other, "the client library did not connect".to_owned())), None),
            Ok(Err(error)) => (End::Refused(failure(&error)), None),
            Ok(Ok((mut library, request))) => match self.greet(&mut library, &mut server, request).await {
                Err(failure) => (End::Refused(failure), Some(library)),
                Ok(session_timeout) => {
                    let end = self.pass(&mut library, &mut server, session_timeout).await;
                    (end, Some(library))
                }
            },
        };
        debug!(?end, "the relay ended");
        // Before the library hears of it: who then asks for the cause finds it.
        let is_lost = matches!(end, End::Lost(_));
        let _ = ended.send(end);
        drop(server);
        drop(library);
        if !is_lost {
            return;
        }
        let over = async {
            // None comes where the library's client is gone already.
            if let Ok(mut states) = states.await {
                while !states.peek_state().is_terminated() {
                    states.changed().await;
                }
            }
        };
        tokio::select! {
            () = over => {}
            () = async { loop { self.answer_leftover().await; } } => {}
        }
    }

    /// The library's connection and its first message. Others are turned away.
    async fn accept(&self) -> io::Result<(TcpStream, Vec<u8>)> {
        loop {
            let (mut stream, _) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let first = timeout(Duration::from_secs(1), message(&mut stream, MAX_FIRST_FRAME)).await;
            if let Ok(Ok(request)) = first
                && number(&request, 12 + 4) == Some(self.nonce)
            {
                return Ok((stream, request));
            }
            debug!("somebody else connected to the relay");
        }
    }

    /// Passes the request for a session and its answer on. The session time-out that the server grants.
    async fn greet(
        &self,
        library: &mut TcpStream,
        server: &mut Box<dyn Stream>,
        mut request: Vec<u8>,
    ) -> Result<Duration, Failure> {
        let asked = i32::try_from(self.session_timeout.as_millis()).unwrap_or(i32::MAX);
        // Length, version of the protocol, last transaction seen, time-out.
        request[8..16].copy_from_slice(&self.zxid.load(Ordering::Relaxed).to_be_bytes());
        request[16..20].copy_from_slice(&asked.to_be_bytes());
        let greeting = async {
            server.write_all(&request).await?;
            server.flush().await?;
            message(server, MAX_FIRST_FRAME).await
        };
        let answer = match timeout(self.patience, greeting).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => return Err(foreign(&error.to_string())),
            Ok(Err(error)) if matches!(Cause::of(&error), Cause::Closed) => {
                let words = "it closes the connection at once: it has no quorum, is starting, or takes no more clients";
                return Err((Cause::Closed, words.to_owned()));
            }
            Ok(Err(error)) => return Err(failure(&error)),
            Err(_) => {
                let words = "it accepts connections and does not answer";
                return Err((Cause::Silent, words.to_owned()));
            }
        };
        let granted = match (number(&answer, 4), number(&answer, 8), answer.len()) {
            (Some(0), Some(granted), 40..) => u64::try_from(granted).map_err(|_| foreign("a negative time-out"))?,
            // A reply's header in its place: xid, zxid, error.
            (_, _, 20) if number(&answer, 16) == Some(NOT_READ_ONLY) => {
                let words = "it has no quorum, and gives no sessions (localSessionsEnabled is not set)";
                return Err((Cause::Closed, words.to_owned()));
            }
            _ => return Err(foreign("its first answer makes no sense")),
        };
        library.write_all(&answer).await.map_err(|error| failure(&error))?;
        // Zero, from a server that says that the session is over.
        Ok(if granted == 0 { self.session_timeout } else { Duration::from_millis(granted) })
    }

    /// Passes everything on, until one side ends.
    async fn pass(&self, library: &mut TcpStream, server: &mut Box<dyn Stream>, session_timeout: Duration) -> End {
        // A little less than the library gives itself, so that this comes first.
        let silence = session_timeout * 7 / 20;
        let (mut from_server, mut to_server) = tokio::io::split(server);
        let (mut from_library, mut to_library) = library.split();
        let mut frames = Frames::default();
        let requests = async {
            let mut piece = vec![0; CHUNK];
            loop {
                match from_library.read(&mut piece).await {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(length) => {
                        if let Err(error) = to_server.write_all(&piece[..length]).await {
                            return End::Lost(failure(&error));
                        }
                        if let Err(error) = to_server.flush().await {
                            return End::Lost(failure(&error));
                        }
                    }
                }
            }
        };
        let replies = async {
            let mut piece = vec![0; CHUNK];
            let mut heard = Instant::now();
            loop {
                let length = tokio::select! {
                    read = from_server.read(&mut piece) => match read {
                        Ok(0) => return End::Lost((Cause::Closed, "the server closed the connection".to_owned())),
                        Ok(length) => length,
                        Err(error) => return End::Lost(failure(&error)),
                    },
                    () = tokio::time::sleep_until(heard + silence) => {
                        return End::Lost((Cause::Silent, format!("the server was silent for {silence:?}")));
                    }
                };
                heard = Instant::now();
                if !frames.take(&piece[..length]) {
                    return End::Lost(foreign("a reply has an impossible length"));
                }
                self.zxid.fetch_max(frames.zxid, Ordering::Relaxed);
                if to_library.write_all(&piece[..length]).await.is_err() {
                    return End::Closed;
                }
            }
        };
        let others = async {
            loop {
                self.answer_leftover().await;
            }
        };
        let end = tokio::select! {
            end = requests => end,
            end = replies => end,
            () = others => End::Closed,
        };
        if matches!(end, End::Lost(_)) && frames.is_between() {
            let _ = timeout(Duration::from_secs(1), to_library.write_all(&OVER)).await;
            // What is unread would turn the end into a reset, and that would take the words with it.
            let _ = timeout(Duration::from_millis(500), async {
                let mut rest = vec![0; CHUNK];
                while from_library.read(&mut rest).await.is_ok_and(|length| length > 0) {}
            })
            .await;
        }
        end
    }

    /// A further connection: the library's, which has to learn that its session is over, or looks for a server that
    /// takes writes (`isro`); `super::link` does that.
    async fn answer_leftover(&self) {
        let Ok((mut stream, _)) = self.listener.accept().await else {
            return sleep(Duration::from_millis(100)).await;
        };
        let answering = async {
            let mut word = [0; 4];
            stream.read_exact(&mut word).await?;
            if &word == b"isro" {
                return stream.write_all(b"ro").await;
            }
            stream.write_all(&NO_SESSION).await?;
            let mut rest = [0; 64];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        };
        let _: Result<io::Result<()>, _> = timeout(Duration::from_millis(500), answering).await;
    }
}

/// A reply that no request asked for, with the error "session expired".
const OVER: [u8; HEAD] = {
    let mut reply = [0; HEAD];
    reply[3] = 16;
    let error = (-112_i32).to_be_bytes();
    reply[16] = error[0];
    reply[17] = error[1];
    reply[18] = error[2];
    reply[19] = error[3];
    reply
};

/// The answer to a request for a session that is over: session 0, and 16 bytes of password.
const NO_SESSION: [u8; 41] = {
    let mut answer = [0; 41];
    answer[3] = 37;
    answer[23] = 16;
    answer
};

/// Error of a server without quorum that would have to write.
const NOT_READ_ONLY: i32 = -119;

fn foreign(why: &str) -> Failure {
    (Cause::Garbage, format!("what answers does not speak ZooKeeper's protocol: {why}"))
}

/// The next message, its length before it.
async fn message<S: tokio::io::AsyncRead + Unpin + ?Sized>(stream: &mut S, longest: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message).await?;
    let length = number(&message, 0).and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| (1..=longest).contains(length)) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the first message has an impossible length"));
    };
    message.resize(4 + length, 0);
    stream.read_exact(&mut message[4..]).await?;
    Ok(message)
}

fn number(message: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*message.get(at..)?.first_chunk()?))
}

/// Follows the borders of replies in what passes.
#[derive(Debug, Default)]
struct Frames {
    /// The head of the present reply, as far as it has come.
    head: Vec<u8>,
    /// Bytes of it that are still to come behind its head.
    rest: usize,
    /// The highest transaction of all replies.
    zxid: i64,
}

impl Frames {
    /// Takes in what came. Whether it can be a part of replies.
    fn take(&mut self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(piece.len());
                self.rest -= passed;
                piece = &piece[passed..];
                continue;
            }
            let wanted = (HEAD - self.head.len()).min(piece.len());
            self.head.extend_from_slice(&piece[..wanted]);
            piece = &piece[wanted..];
            if let Some(length) = number(&self.head, 0)
                && !usize::try_from(length).is_ok_and(|length| (HEAD - 4..=MAX_FRAME).contains(&length))
            {
                return false;
            }
            if self.head.len() == HEAD {
                let length = number(&self.head, 0).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
                self.rest = length + 4 - HEAD;
                if let Some(zxid) = self.head.get(8..).and_then(|rest| rest.first_chunk()) {
                    self.zxid = self.zxid.max(i64::from_be_bytes(*zxid));
                }
                self.head.clear();
            }
        }
        true
    }

    /// Returns whether the last reply has come in whole.
    fn is_between(&self) -> bool {
        self.head.is_empty() && self.rest == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(zxid: i64, body: usize) -> Vec<u8> {
        let mut reply = (16 + i32::try_from(body).unwrap()).to_be_bytes().to_vec();
        reply.extend(7_i32.to_be_bytes());
        reply.extend(zxid.to_be_bytes());
        reply.extend([0; 4]);
        reply.resize(HEAD + body, 0xff);
        reply
    }

    #[test]
    fn replies_are_followed_however_they_are_cut() {
        let stream = [reply(5, 0), reply(9, 1), reply(-1, 100), reply(7, 3)].concat();
        for size in 1..stream.len() {
            let mut frames = Frames::default();
            let mut seen = 0;
            for piece in stream.chunks(size) {
                assert!(frames.take(piece));
                seen += piece.len();
                assert_eq!(frames.is_between(), [20, 41, 161, 184].contains(&seen), "{seen} of {size}");
            }
            assert_eq!(frames.zxid, 9);
        }
    }

    #[test]
    fn what_is_no_reply_is_noticed_by_its_length() {
        for garbage in [&b"HTTP/1.1 400"[..], &[0, 0, 0, 0, 0], &[0x7f, 0xff, 0xff, 0xff, 0], &[0x15, 3, 3, 0, 2]] {
            assert!(!Frames::default().take(garbage), "{garbage:?}");
        }
    }
}
