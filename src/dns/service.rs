//! What a transport asks: the front and, for what it passes on, the handler.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::answer::Rcode;
use super::fast::{MAX_TCP, MAX_UDP, MIN_UDP, RA};
use super::forward::reply::{self, Found, Room};
use super::forward::{Failure, Forwarder, Place};
use super::front::{self, Admitted, Front, Running};
use super::handler::{Handler, Terms};
use super::metrics::Counters;
use super::options::Tail;
use super::request::{OPT, Opt, Request};
use super::tsig::Signer;
use crate::zone::Zones;
use tracing::warn;

/// Everything that is not for the hot path, for one transport.
#[derive(Clone)]
pub struct Service {
    zones: Zones,
    front: Arc<Front>,
    handler: Handler,
    forwarder: Option<Arc<Forwarder>>,
}

/// What is sent back.
pub enum Reply {
    /// Each of these messages; none for a packet that nobody is to be answered for.
    Messages(Vec<Vec<u8>>),
    /// One message, which takes its time: nothing else is to wait for it. There is a bound on how many there are.
    Later(Later),
    /// The messages of a transfer, made one after the other.
    Transfer(Running),
}

/// A message that takes its time.
pub type Later = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

/// Extended error 22, No Reachable Authority (RFC 8914 §4.23).
const NO_REACHABLE_AUTHORITY: u16 = 22;

impl Service {
    /// The handler, behind the front; what is outside the zones is the forwarder's, where there is one.
    pub fn new(zones: Zones, front: Arc<Front>, handler: Handler, forwarder: Option<Arc<Forwarder>>) -> Self {
        Self { zones, front, handler, forwarder }
    }

    /// Where it counts.
    pub fn counters(&self) -> &Counters {
        self.handler.counters()
    }

    /// What is to be sent back to `peer`.
    pub async fn reply_to(&self, packet: Vec<u8>, peer: SocketAddr, is_udp: bool) -> Reply {
        self.reply_at(packet, peer, is_udp, since_1970()).await
    }

    /// The same at `now`, a time since 1970.
    pub(super) async fn reply_at(&self, packet: Vec<u8>, peer: SocketAddr, is_udp: bool, now: Duration) -> Reply {
        let policy = Arc::clone(&self.front.policy());
        let may_recurse = policy.may_recurse(&peer.ip());
        let is_recursion_desired = packet.get(2).is_some_and(|flags| flags & 0x01 != 0);
        let outside = policy.why_outside(is_recursion_desired, &peer.ip());
        let (message, signer, tail) = match self.front.admit(&packet, peer.ip(), is_udp, now) {
            Admitted::Answer(answer) => {
                self.counters().refused_in_front(answer.get(3).copied().unwrap_or_default() & 0x0f);
                return Reply::Messages(vec![answer]);
            }
            Admitted::Slip(answer) => {
                self.counters().limited(true);
                return Reply::Messages(vec![answer]);
            }
            Admitted::Limited => {
                self.counters().limited(false);
                return Reply::Messages(Vec::new());
            }
            Admitted::Transfer(running) => {
                self.counters().transferred(running.kind());
                return Reply::Transfer(running);
            }
            Admitted::Pass(message, signer, tail) => (message.into_owned(), signer, tail),
        };
        if let Some(forwarder) = self.forwarder.clone().filter(|_| may_recurse && self.is_outside(&message)) {
            return self.recurse(forwarder, Asked { message, signer, tail, is_udp, now: now.as_secs() });
        }
        let mut messages =
            self.handler.respond_to(message, peer, is_udp, Terms { tail: &tail, outside, policy: &policy }).await;
        if may_recurse {
            messages.iter_mut().filter_map(|message| message.get_mut(3)).for_each(|flags| *flags |= RA);
        }
        if let Some(signer) = signer
            && let Some(answer) = messages.pop()
        {
            let limit = Request::parse(&packet).map_or(MIN_UDP, |request| limit(&request, is_udp));
            messages.push(front::sign(answer, signer, limit, now.as_secs()));
        }
        Reply::Messages(messages)
    }

    fn recurse(&self, forwarder: Arc<Forwarder>, asked: Asked) -> Reply {
        let handler = self.handler.clone();
        let count = move |response: &[u8]| {
            handler.counters().refused_in_front(response.get(3).copied().unwrap_or_default() & 0x0f);
        };
        let known = Request::parse(&asked.message)
            .and_then(|request| forwarder.local(&request).or_else(|| forwarder.known(&request, Instant::now())));
        let now = if let Some(found) = known {
            asked.tell(Ok(found))
        } else if let Some(place) = forwarder.place() {
            return Reply::Later(Box::pin(async move {
                let response = asked.wait(&forwarder, place).await;
                count(&response);
                response
            }));
        } else {
            asked.tell(Err(Failure::Busy))
        };
        count(&now);
        Reply::Messages(vec![now])
    }

    /// Whether this is a question that a forwarder can take, and none of ours to answer.
    fn is_outside(&self, message: &[u8]) -> bool {
        Request::parse(message).is_some_and(|request| {
            Forwarder::can_take(&request) && self.zones.find(request.question.name.folded().wire()).is_none()
        })
    }
}

/// A question that is to be forwarded.
struct Asked {
    message: Vec<u8>,
    signer: Option<Signer>,
    tail: Tail,
    is_udp: bool,
    now: u64,
}

impl Asked {
    async fn wait(self, forwarder: &Forwarder, place: Place) -> Vec<u8> {
        let outcome = match Request::parse(&self.message) {
            Some(request) => forwarder.answer(&request, place).await,
            None => Err(Failure::Unwilling),
        };
        self.tell(outcome)
    }

    /// The outcome as an answer.
    fn tell(self, outcome: Result<Found, Failure>) -> Vec<u8> {
        let Some(request) = Request::parse(&self.message) else { return Vec::new() };
        let limit = limit(&request, self.is_udp);
        let taken = request.edns.map_or(0, |_| OPT + self.tail.as_bytes().len());
        let taken = taken + self.signer.as_ref().map_or(0, Signer::size);
        let room = Room { size: limit.saturating_sub(taken), can_retry: self.is_udp };
        let encoded = outcome.and_then(|found| reply::encode(&request, found, room).ok_or(Failure::Unwilling));
        let (mut response, extended) = match encoded {
            Ok(response) => (response, None),
            Err(failure) => {
                let mut response = request.response(Rcode::ServFail.low_bits(), false);
                response[3] |= RA;
                (response, (failure == Failure::Unreachable).then_some(NO_REACHABLE_AUTHORITY))
            }
        };
        request.push_opt(&mut response, Opt { options: self.tail.as_bytes(), extended, ..Opt::default() });
        match self.signer {
            Some(signer) => front::sign(response, signer, limit, self.now),
            None => response,
        }
    }
}

/// What the whole answer may take.
fn limit(request: &Request<'_>, is_udp: bool) -> usize {
    match (is_udp, request.edns) {
        (false, _) => MAX_TCP,
        (true, Some(edns)) => usize::from(edns.size).clamp(MIN_UDP, MAX_UDP),
        (true, None) => MIN_UDP,
    }
}

impl Running {
    /// The next message, made now; none at the end, and none behind a record that fits into no message.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        let message = self.transfer.next_message(since_1970().as_secs())?;
        message.inspect_err(|_| warn!("a zone transfer ends early: a record fits into no message")).ok()
    }
}

/// The time since 1970: what signatures, cookies and rates go by.
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
