//! What a transport asks: the front and, for what it passes on, the handler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::fast::{MAX_TCP, MAX_UDP, MIN_UDP};
use super::front::{self, Admitted, Front, Running};
use super::handler::Handler;
use super::metrics::Counters;
use super::request::Request;
use tracing::warn;

/// Everything that is not for the hot path, for one transport.
#[derive(Clone)]
pub struct Service {
    front: Arc<Front>,
    handler: Handler,
}

/// What is sent back.
#[derive(Debug)]
pub enum Reply {
    /// Each of these messages; none for a packet that nobody is to be answered for.
    Messages(Vec<Vec<u8>>),
    /// The messages of a transfer, made one after the other.
    Transfer(Running),
}

impl Service {
    /// The handler, behind the front.
    pub fn new(front: Arc<Front>, handler: Handler) -> Self {
        Self { front, handler }
    }

    /// Where it counts.
    pub fn counters(&self) -> &Counters {
        self.handler.counters()
    }

    /// What is to be sent back to `peer`.
    pub async fn reply_to(&self, packet: Vec<u8>, peer: SocketAddr, is_udp: bool) -> Reply {
        self.reply_at(packet, peer, is_udp, unix_now()).await
    }

    /// The same at `now`, in seconds since 1970.
    pub(super) async fn reply_at(&self, packet: Vec<u8>, peer: SocketAddr, is_udp: bool, now: u64) -> Reply {
        let (message, signer, tail) = match self.front.admit(&packet, peer.ip(), is_udp, now) {
            Admitted::Answer(answer) => {
                self.counters().refused_in_front(answer.get(3).copied().unwrap_or_default() & 0x0f);
                return Reply::Messages(vec![answer]);
            }
            Admitted::Transfer(running) => {
                self.counters().transferred(running.kind());
                return Reply::Transfer(running);
            }
            Admitted::Pass(message, signer, tail) => (message.into_owned(), signer, tail),
        };
        let mut messages = self.handler.respond_to(message, peer, is_udp, &tail).await;
        if let Some(signer) = signer
            && let Some(answer) = messages.pop()
        {
            let edns = Request::parse(&packet).and_then(|request| request.edns);
            let limit = match (is_udp, edns) {
                (false, _) => MAX_TCP,
                (true, Some(edns)) => usize::from(edns.size).clamp(MIN_UDP, MAX_UDP),
                (true, None) => MIN_UDP,
            };
            messages.push(front::sign(answer, signer, limit, now));
        }
        Reply::Messages(messages)
    }
}

impl Running {
    /// The next message, made now; none at the end, and none behind a record that fits into no message.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        let message = self.transfer.next_message(unix_now())?;
        message.inspect_err(|_| warn!("a zone transfer ends early: a record fits into no message")).ok()
    }
}

/// Seconds since 1970: what signatures and cookies are timed by.
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
