//! Service for all transports: the gate and, for what it passes on, the answers of the zones and of other name servers.
//!
//! - [`gate`]: rights ([`access`]), [`cookie`]s and [`rate`]s, all by one [`policy`].
//! - [`query`]: everything around an answer; [`answer`]: the decisions, pure; [`identity`]: answers about this server.
//! - [`rotation`]: the random secret of cookies.
//! - [`chain`]: aliases that lead out of the zones and back.
//! - [`exchange`]: a query and its [`outcome`], where both paths end; [`metrics`]: the counters.

pub mod access;
pub mod answer;
mod chain;
pub mod cookie;
pub mod exchange;
pub mod gate;
pub mod identity;
pub mod metrics;
pub mod outcome;
pub mod policy;
pub mod query;
pub mod query_log;
pub mod rate;
pub(in crate::dns) mod rotation;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::forward::reply::{self, ReceivedAnswer, SizeLimit};
use super::forward::{DEADLINE, Failure, ForwardPermit, ForwardQuestion, Forwarder};
use super::message::options::Tail;
use super::message::padding::pad;
use super::message::request::{Opt, Request};
use super::message::sizes::{AA, RA};
use super::message::tsig::Signer;
use super::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;
use answer::Rcode;
use chain::{Chain, ChainAnswer, Client};
use exchange::Exchange;
use gate::{Admitted, Gate, Received, Running, sign};
use metrics::Counters;
use outcome::Outcome;
use query::{AnswerContext, Response};

/// Everything that is not for the hot path, for one transport.
#[derive(Clone)]
pub struct Service {
    zones: Zones,
    front: Arc<Gate>,
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
    pub fn new(zones: Zones, front: Arc<Gate>, counters: Arc<Counters>, forwarder: Option<Arc<Forwarder>>) -> Self {
        Self { zones, front, counters, forwarder }
    }

    /// Counters in which it counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Replies to a query of `peer` that was read at `since`, from which on its time is counted.
    pub fn reply_to(&self, received: Received, peer: SocketAddr, transport: Transport, since: Instant) -> Reply {
        let counters = Arc::clone(&self.counters);
        match self.reply_at(received, peer, transport, since_1970()) {
            Reply::Later(message) => Reply::Later(Box::pin(async move {
                let message = message.await;
                counters.took(since.elapsed(), 1);
                message
            })),
            Reply::Message(message) => {
                counters.took(since.elapsed(), u64::from(message.is_some()));
                Reply::Message(message)
            }
            transfer @ Reply::Transfer(_) => transfer,
        }
    }

    /// The same at `now`, a time since 1970.
    pub(super) fn reply_at(&self, received: Received, peer: SocketAddr, transport: Transport, now: Duration) -> Reply {
        let policy = Arc::clone(&self.front.policy());
        let (request, admitted) = self.front.admit(received, peer.ip(), transport, now);
        let finish = |outcome| self.finish(transport, peer, request.as_ref(), outcome);
        let (signer, tail) = match admitted {
            Admitted::Answer(answer) => {
                finish(Outcome::of(&answer));
                // It is signed already where it is to be; then it is not padded.
                return Reply::Message(Some(match request {
                    Some(request) => seal(answer, &request, (None, transport), now.as_secs()),
                    None => answer,
                }));
            }
            Admitted::Slip(answer) => {
                finish(Outcome::Slip);
                return Reply::Message(Some(answer));
            }
            Admitted::Limited => {
                finish(Outcome::Limited);
                return Reply::Message(None);
            }
            Admitted::Dropped => {
                finish(Outcome::Dropped);
                return Reply::Message(None);
            }
            Admitted::Transfer(running) => {
                finish(Outcome::Transfer(running.kind()));
                return Reply::Transfer(running);
            }
            Admitted::Pass(signer, tail) => (signer, tail),
        };
        // Only requests pass.
        let Some(request) = request else { return Reply::Message(None) };
        let may_recurse = policy.may_recurse(&peer.ip());
        let key = signer.as_ref().map(|signer| signer.key().clone());
        let client = Client { policy: Arc::clone(&policy), peer: peer.ip(), key };
        if let Some(forwarder) = self.forwarder.clone().filter(|_| may_recurse && Forwarder::can_take(&request))
            && let Some(chain) = Chain::begin(&self.zones, &client, &request)
        {
            let (zones, now) = (self.zones.clone(), now.as_secs());
            let asked = ForwardedQuestion { request, signer, tail, transport, now, chain, client, zones };
            return self.recurse(forwarder, asked, peer);
        }
        let outside = policy.why_outside(request.is_recursion_desired(), &peer.ip());
        let may = |origin: &Name| client.may(origin);
        let terms = AnswerContext { tail: &tail, outside, policy: &policy, may: &may };
        let mut response = query::respond(&self.zones, &request, transport, terms);
        if may_recurse {
            response.set_recursion_available();
        }
        let Response { message, rcode, truncated, extended } = response;
        self.finish(transport, peer, Some(&request), Outcome::response(&message, rcode, truncated, extended));
        Reply::Message(Some(seal(message, &request, (signer, transport), now.as_secs())))
    }

    /// Ends an exchange, and counts it at once.
    fn finish(&self, transport: Transport, peer: SocketAddr, request: Option<&Request>, outcome: Outcome) {
        let query = request.map_or(exchange::ReadQuery::Malformed, exchange::ReadQuery::Slow);
        let question = request.and_then(|request| request.question.as_ref());
        if let Some(log) = &self.front.policy().query_log {
            let name = question.map(|question| question.name.folded());
            let asked = name.as_ref().map_or(&[][..], Name::wire);
            log.note(peer.ip(), transport, (asked, question.map_or(0, |question| question.rtype)), outcome);
        }
        let place = question.and_then(|question| self.zones.place(question.name.folded().wire(), question.rtype));
        let zone = place.map_or(0, |place| place + 1);
        Exchange { transport, peer: &|| peer.ip(), query, zone, outcome }.finish(&mut &*self.counters);
    }

    fn recurse(&self, forwarder: Arc<Forwarder>, mut asked: ForwardedQuestion, peer: SocketAddr) -> Reply {
        let service = self.clone();
        let tell = move |asked: ForwardedQuestion, told| {
            let response = asked.tell(told);
            service.finish(asked.transport, peer, Some(&asked.request), Outcome::of(&response));
            asked.signed(response)
        };
        let told = loop {
            match asked.known(&forwarder) {
                Ok(Some(found)) => {
                    if let Some(told) = asked.chain.take(found, &asked.zones, &asked.client) {
                        break told;
                    }
                }
                Ok(None) => {
                    let Some(place) = forwarder.place() else { break ChainAnswer::failed(Failure::Busy) };
                    return Reply::Later(Box::pin(async move {
                        let told = tokio::time::timeout(DEADLINE, asked.wait(&forwarder, &place)).await;
                        tell(asked, told.unwrap_or_else(|_| ChainAnswer::failed(Failure::Unreachable)))
                    }));
                }
                Err(failure) => break ChainAnswer::failed(failure),
            }
        };
        Reply::Message(Some(tell(asked, told)))
    }
}

/// A question that is to be forwarded.
struct ForwardedQuestion {
    request: Request,
    signer: Option<Signer>,
    tail: Tail,
    transport: Transport,
    now: u64,
    chain: Chain,
    client: Client,
    zones: Zones,
}

impl ForwardedQuestion {
    /// Question that others are to be asked now.
    fn question(&self) -> Result<ForwardQuestion, Failure> {
        ForwardQuestion::about(self.chain.next(), &self.request).ok_or(Failure::Unwilling)
    }

    /// Answer that is known without asking.
    fn known(&self, forwarder: &Forwarder) -> Result<Option<ReceivedAnswer>, Failure> {
        let question = self.question()?;
        Ok(forwarder.local(&question).or_else(|| forwarder.known(&question, Instant::now())))
    }

    /// Asks until the answer is whole.
    async fn wait(&mut self, forwarder: &Forwarder, place: &ForwardPermit) -> ChainAnswer {
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
                Err(failure) => return ChainAnswer::failed(failure),
            }
        }
    }

    /// The outcome as an answer, not yet signed.
    fn tell(&self, ChainAnswer { found: outcome, extended, is_ours }: ChainAnswer) -> Vec<u8> {
        let Self { request, signer, tail, transport, .. } = self;
        let opt = Opt { options: tail.as_bytes(), extended: extended.map(|code| (code, "")), ..Opt::default() };
        let taken = request.opt_size(opt) + signer.as_ref().map_or(0, Signer::size);
        let room =
            SizeLimit { size: request.limit(*transport).saturating_sub(taken), can_retry: transport.is_datagram() };
        let encoded = outcome.and_then(|found| reply::encode(request, &found, room).ok_or(Failure::Unwilling));
        let mut response = if let Ok(mut response) = encoded {
            response[2] |= if is_ours { AA } else { 0 };
            response
        } else {
            let mut response = request.response(Rcode::ServFail.low_bits(), false);
            response[3] |= RA;
            response
        };
        request.push_opt(&mut response, opt);
        response
    }

    /// A response, signed where the request was.
    fn signed(self, response: Vec<u8>) -> Vec<u8> {
        let Self { request, signer, transport, now, .. } = self;
        seal(response, &request, (signer, transport), now)
    }
}

/// Pads a response where its request was padded, and signs it where that was signed.
fn seal(
    mut message: Vec<u8>,
    request: &Request,
    (signer, transport): (Option<Signer>, Transport),
    now: u64,
) -> Vec<u8> {
    let is_padded = request.edns.and_then(|edns| edns.options).is_some_and(|options| options.padding);
    if transport.is_padded() && is_padded {
        pad(&mut message, signer.as_ref().map_or(0, Signer::size));
    }
    match signer {
        Some(signer) => sign(message, signer, (request.head_size(), request.limit(transport)), now),
        None => message,
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
