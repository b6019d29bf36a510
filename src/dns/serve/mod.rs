//! Service for all transports: the front and, for what it passes on, the handler.

pub mod access;
pub mod answer;
mod chain;
pub mod cookie;
pub mod gate;
pub mod identity;
pub mod metrics;
pub mod policy;
pub mod query;
pub mod rate;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dns::fast::{MAX_TCP, MAX_UDP, MIN_UDP, RA};
use crate::dns::forward::reply::{self, Found, Room};
use crate::dns::forward::{DEADLINE, Failure, Forwarder, Place, Question};
use crate::dns::message::options::Tail;
use crate::dns::message::request::{OPT, Opt, Request};
use crate::dns::message::tsig::Signer;
use crate::dns::serve::answer::Rcode;
use crate::dns::serve::chain::{Chain, Client, Told};
use crate::dns::serve::gate::{Admitted, Front, Running};
use crate::dns::serve::metrics::Counters;
use crate::dns::serve::query::{Handler, Terms};
use crate::dns::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;
use tracing::warn;

/// Everything that is not for the hot path, for one transport.
#[derive(Clone)]
pub struct Service {
    zones: Zones,
    front: Arc<Front>,
    handler: Handler,
    forwarder: Option<Arc<Forwarder>>,
}

/// Reply to a packet.
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

/// AA, in the third byte of a message.
const AA: u8 = 0x04;

impl Service {
    /// The handler, behind the front; what is outside the zones is the forwarder's, where there is one.
    pub fn new(zones: Zones, front: Arc<Front>, handler: Handler, forwarder: Option<Arc<Forwarder>>) -> Self {
        Self { zones, front, handler, forwarder }
    }

    /// Counters in which it counts.
    pub fn counters(&self) -> &Counters {
        self.handler.counters()
    }

    /// Replies to a packet of `peer`.
    pub async fn reply_to(&self, packet: Vec<u8>, peer: SocketAddr, transport: Transport) -> Reply {
        self.reply_at(packet, peer, transport, since_1970()).await
    }

    /// The same at `now`, a time since 1970.
    pub(in crate::dns) async fn reply_at(
        &self,
        packet: Vec<u8>,
        peer: SocketAddr,
        transport: Transport,
        now: Duration,
    ) -> Reply {
        let policy = Arc::clone(&self.front.policy());
        let may_recurse = policy.may_recurse(&peer.ip());
        let is_recursion_desired = packet.get(2).is_some_and(|flags| flags & 0x01 != 0);
        let outside = policy.why_outside(is_recursion_desired, &peer.ip());
        let (message, signer, tail) = match self.front.admit(&packet, peer.ip(), transport, now) {
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
        let key = signer.as_ref().map(|signer| signer.key().clone());
        let client = Client { policy: Arc::clone(&policy), peer: peer.ip(), key };
        if let Some(forwarder) = self.forwarder.clone().filter(|_| may_recurse)
            && let Some(chain) = self.begin(&message, &client)
        {
            let (zones, now) = (self.zones.clone(), now.as_secs());
            return self.recurse(forwarder, Asked { message, signer, tail, transport, now, chain, client, zones });
        }
        let may = |origin: &Name| client.may(origin);
        let terms = Terms { tail: &tail, outside, policy: &policy, may: &may };
        let mut messages = self.handler.respond_to(message, peer, transport, terms).await;
        if may_recurse {
            messages.iter_mut().filter_map(|message| message.get_mut(3)).for_each(|flags| *flags |= RA);
        }
        if let Some(signer) = signer
            && let Some(answer) = messages.pop()
        {
            let limit = Request::parse(&packet).map_or(MIN_UDP, |request| limit(&request, transport));
            messages.push(gate::sign(answer, signer, limit, now.as_secs()));
        }
        Reply::Messages(messages)
    }

    fn recurse(&self, forwarder: Arc<Forwarder>, mut asked: Asked) -> Reply {
        let handler = self.handler.clone();
        let count = move |response: &[u8]| {
            handler.counters().refused_in_front(response.get(3).copied().unwrap_or_default() & 0x0f);
        };
        let told = loop {
            match asked.known(&forwarder) {
                Ok(Some(found)) => {
                    if let Some(told) = asked.chain.take(found, &asked.zones, &asked.client) {
                        break told;
                    }
                }
                Ok(None) => {
                    let Some(place) = forwarder.place() else { break Told::failed(Failure::Busy) };
                    return Reply::Later(Box::pin(async move {
                        let told = tokio::time::timeout(DEADLINE, asked.wait(&forwarder, &place)).await;
                        let response = asked.tell(told.unwrap_or_else(|_| Told::failed(Failure::Unreachable)));
                        count(&response);
                        response
                    }));
                }
                Err(failure) => break Told::failed(failure),
            }
        };
        let now = asked.tell(told);
        count(&now);
        Reply::Messages(vec![now])
    }

    /// The answer to a question that a forwarder can take, as far as the zones have it; `None` where they have all of
    /// it.
    fn begin(&self, message: &[u8], client: &Client) -> Option<Chain> {
        let request = Request::parse(message).filter(|request| Forwarder::can_take(request))?;
        Chain::begin(&self.zones, client, &request)
    }
}

/// A question that is to be forwarded.
struct Asked {
    message: Vec<u8>,
    signer: Option<Signer>,
    tail: Tail,
    transport: Transport,
    now: u64,
    chain: Chain,
    client: Client,
    zones: Zones,
}

impl Asked {
    /// Question that others are to be asked now.
    fn question(&self) -> Result<Question, Failure> {
        let request = Request::parse(&self.message);
        request.and_then(|request| Question::about(self.chain.next(), &request)).ok_or(Failure::Unwilling)
    }

    /// Answer that is known without asking.
    fn known(&self, forwarder: &Forwarder) -> Result<Option<Found>, Failure> {
        let question = self.question()?;
        Ok(forwarder.local(&question).or_else(|| forwarder.known(&question, Instant::now())))
    }

    /// Asks until the answer is whole.
    async fn wait(&mut self, forwarder: &Forwarder, place: &Place) -> Told {
        loop {
            let found = match self.known(forwarder) {
                Ok(Some(found)) => Ok(found),
                Ok(None) => match self.question() {
                    Ok(question) => forwarder.answer(&question, place).await,
                    Err(failure) => Err(failure),
                },
                Err(failure) => Err(failure),
            };
            match found.map(|found| self.chain.take(found, &self.zones, &self.client)) {
                Ok(Some(told)) => return told,
                Ok(None) => {}
                Err(failure) => return Told::failed(failure),
            }
        }
    }

    /// The outcome as an answer.
    fn tell(self, Told { found: outcome, extended, is_ours }: Told) -> Vec<u8> {
        let Some(request) = Request::parse(&self.message) else { return Vec::new() };
        let limit = limit(&request, self.transport);
        let taken = request.edns.map_or(0, |_| OPT + self.tail.as_bytes().len());
        let taken = taken + self.signer.as_ref().map_or(0, Signer::size);
        let room = Room { size: limit.saturating_sub(taken), can_retry: self.transport.is_datagram() };
        let encoded = outcome.and_then(|found| reply::encode(&request, found, room).ok_or(Failure::Unwilling));
        let mut response = if let Ok(mut response) = encoded {
            response[2] |= if is_ours { AA } else { 0 };
            response
        } else {
            let mut response = request.response(Rcode::ServFail.low_bits(), false);
            response[3] |= RA;
            response
        };
        request.push_opt(&mut response, Opt { options: self.tail.as_bytes(), extended, ..Opt::default() });
        match self.signer {
            Some(signer) => gate::sign(response, signer, limit, self.now),
            None => response,
        }
    }
}

/// Limit of the whole answer, in bytes.
fn limit(request: &Request<'_>, transport: Transport) -> usize {
    match (transport.is_datagram(), request.edns) {
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
pub(in crate::dns) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
