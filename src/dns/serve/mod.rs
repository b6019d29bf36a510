//! Service for all transports: the gate and, for what it passes on, the answers of the zones and of other name servers.
//!
//! - [`gate`]: rights ([`access`]), [`cookie`]s and [`rate`]s, all by one [`policy`].
//! - [`query`]: everything around an answer; [`answer`]: the decisions, pure; [`identity`]: answers about this server.
//! - [`chain`]: aliases that lead out of the zones and back.
//! - [`metrics`]: the counters of both paths.

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

use tracing::warn;

use super::forward::reply::{self, Found, Room};
use super::forward::{DEADLINE, Failure, Forwarder, Place, Question};
use super::message::options::Tail;
use super::message::request::{Opt, Request};
use super::message::sizes::{AA, RA};
use super::message::tsig::Signer;
use super::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;
use answer::Rcode;
use chain::{Chain, Client, Told};
use gate::{Admitted, Front, Received, Running, sign};
use metrics::Counters;
use query::{Response, Terms};

/// Everything that is not for the hot path, for one transport.
#[derive(Clone)]
pub struct Service {
    zones: Zones,
    front: Arc<Front>,
    counters: Arc<Counters>,
    forwarder: Option<Arc<Forwarder>>,
}

/// Reply to a packet.
pub enum Reply {
    /// This message; none for a packet that nobody is to be answered for.
    Message(Option<Vec<u8>>),
    /// A message which takes its time: nothing else is to wait for it. There is a bound on how many there are.
    Later(Later),
    /// The messages of a transfer, made one after the other.
    Transfer(Running),
}

/// A message that takes its time.
pub type Later = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

impl Service {
    /// Answers from `zones`, behind the gate, counted in `counters`; what is outside the zones is the forwarder's,
    /// where there is one.
    pub fn new(zones: Zones, front: Arc<Front>, counters: Arc<Counters>, forwarder: Option<Arc<Forwarder>>) -> Self {
        Self { zones, front, counters, forwarder }
    }

    /// Counters in which it counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Replies to a query of `peer`.
    pub fn reply_to(&self, received: Received, peer: SocketAddr, transport: Transport) -> Reply {
        self.reply_at(received, peer, transport, since_1970())
    }

    /// The same at `now`, a time since 1970.
    pub(super) fn reply_at(&self, received: Received, peer: SocketAddr, transport: Transport, now: Duration) -> Reply {
        let policy = Arc::clone(&self.front.policy());
        let (request, signer, tail) = match self.front.admit(received, peer.ip(), transport, now) {
            Admitted::Answer(answer) => {
                self.counters.refused_in_front(answer.get(3).copied().unwrap_or_default() & 0x0f);
                return Reply::Message(Some(answer));
            }
            Admitted::Slip(answer) => {
                self.counters.limited(true);
                return Reply::Message(Some(answer));
            }
            Admitted::Limited => {
                self.counters.limited(false);
                return Reply::Message(None);
            }
            Admitted::Dropped => {
                self.counters.dropped();
                return Reply::Message(None);
            }
            Admitted::Transfer(running) => {
                self.counters.transferred(running.kind());
                return Reply::Transfer(running);
            }
            Admitted::Pass(request, signer, tail) => (request, signer, tail),
        };
        let may_recurse = policy.may_recurse(&peer.ip());
        let key = signer.as_ref().map(|signer| signer.key().clone());
        let client = Client { policy: Arc::clone(&policy), peer: peer.ip(), key };
        if let Some(forwarder) = self.forwarder.clone().filter(|_| may_recurse && Forwarder::can_take(&request))
            && let Some(chain) = Chain::begin(&self.zones, &client, &request)
        {
            let (zones, now) = (self.zones.clone(), now.as_secs());
            return self.recurse(forwarder, Asked { request, signer, tail, transport, now, chain, client, zones });
        }
        let outside = policy.why_outside(request.is_recursion_desired(), &peer.ip());
        let may = |origin: &Name| client.may(origin);
        let terms = Terms { tail: &tail, outside, policy: &policy, may: &may };
        let mut response = query::respond(&self.zones, &request, transport, terms);
        if may_recurse {
            response.set_recursion_available();
        }
        let Response { message, rcode, truncated, extended } = response;
        self.counters.responded(rcode, truncated, extended);
        let message = match signer {
            Some(signer) => sign(message, signer, (request.head_size(), request.limit(transport)), now.as_secs()),
            None => message,
        };
        Reply::Message(Some(message))
    }

    fn recurse(&self, forwarder: Arc<Forwarder>, mut asked: Asked) -> Reply {
        let counters = Arc::clone(&self.counters);
        let count = move |response: &[u8]| {
            counters.refused_in_front(response.get(3).copied().unwrap_or_default() & 0x0f);
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
        Reply::Message(Some(now))
    }
}

/// A question that is to be forwarded.
struct Asked {
    request: Request,
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
        Question::about(self.chain.next(), &self.request).ok_or(Failure::Unwilling)
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
        let Self { request, signer, tail, transport, .. } = self;
        let opt = Opt { options: tail.as_bytes(), extended: extended.map(|code| (code, "")), ..Opt::default() };
        let limit = request.limit(transport);
        let taken = request.opt_size(opt) + signer.as_ref().map_or(0, Signer::size);
        let room = Room { size: limit.saturating_sub(taken), can_retry: transport.is_datagram() };
        let encoded = outcome.and_then(|found| reply::encode(&request, &found, room).ok_or(Failure::Unwilling));
        let mut response = if let Ok(mut response) = encoded {
            response[2] |= if is_ours { AA } else { 0 };
            response
        } else {
            let mut response = request.response(Rcode::ServFail.low_bits(), false);
            response[3] |= RA;
            response
        };
        request.push_opt(&mut response, opt);
        match signer {
            Some(signer) => sign(response, signer, (request.head_size(), limit), self.now),
            None => response,
        }
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
