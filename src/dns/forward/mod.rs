//! Questions outside the zones, handed on to other name servers, for those who may have them answered here.
//!
//! The name servers are asked one after the other as they are configured ([`upstream`]): the next one when one does not
//! answer, fails (SERVFAIL), or will not (REFUSED). "No such name" is an answer, and final. One that did not answer
//! goes behind the others for a while. Connections with TLS are hickory-resolver's, and so is the cache; plain
//! questions are asked by [`plain`], which says why. hickory's choice among servers is not used: it takes SERVFAIL and
//! REFUSED for final.
//!
//! None of this is the hot path's: what is to be forwarded is a future that the slower path runs beside everything
//! else, and there is a bound on how many. A server that is this one is never asked: known by its address, or by a
//! question with a random name that comes back ([`Forwarder::follow`]).

pub mod local;
pub mod reply;
pub mod upstream;

mod peer;
mod plain;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as ProtoName, RData, RecordType};
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::{ResponseCache, TtlConfig};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::dns::fast::MAX_UDP;
use crate::dns::message::request::Request;
use crate::dns::serve::metrics::{Forwarded, Metrics};
use crate::zone::name::Name;
use crate::zone::record::rtype;
use local::PrivateReverse;
pub use peer::UpstreamReport;
use peer::{Tls, UpstreamPeer};
use reply::ReceivedAnswer;
use upstream::{Upstream, UpstreamSource, is_ours, read_resolv_conf};

/// Forwarder of questions outside the zones.
pub struct Forwarder {
    ours: ServerAddresses,
    said: ArcSwap<CheckedSettings>,
    /// There is something else in `said`.
    changed: Notify,
    peers: ArcSwap<Vec<Arc<UpstreamPeer>>>,
    cache: ArcSwap<ResponseCache>,
    /// Questions that are with other name servers.
    outstanding: Arc<AtomicUsize>,
    /// True if there were too many of them at the last look.
    is_busy: AtomicBool,
    /// Words that resolv.conf files have for name servers and that are none, as they were logged last.
    unknown: std::sync::Mutex<Vec<String>>,
    metrics: Arc<Metrics>,
}

/// Settings of the configuration; checked, and not yet in force.
#[derive(Debug)]
pub struct CheckedSettings {
    sources: Vec<UpstreamSource>,
    tls: Tls,
    limits: ForwardLimits,
}

/// Limits of questions that are forwarded, to whomever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardLimits {
    /// Questions that may be with other name servers at the same time. More are answered with SERVFAIL at once.
    pub outstanding: usize,
    /// Destination of reverse names of private networks.
    pub private_reverse: PrivateReverse,
}

impl Default for ForwardLimits {
    fn default() -> Self {
        Self { outstanding: 1024, private_reverse: PrivateReverse::default() }
    }
}

/// The addresses of this server.
#[derive(Debug, Clone, Default)]
pub struct ServerAddresses {
    /// Those it listens on.
    pub listening: Vec<SocketAddr>,
    /// Those of this host, where it listens on all of them.
    pub host: Vec<IpAddr>,
}

/// Patience with one name server while there is another.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Limit of a client's wait: less than the five seconds after which the C library asks somebody else.
pub const DEADLINE: Duration = Duration::from_millis(4500);
/// Answers kept.
const CACHED: u64 = 20_000;
/// Limit of the time for which an answer is kept, whatever its time to live.
const MAX_TTL: Duration = Duration::from_secs(86_400);
/// Limit of the time for which it is known that there is nothing (RFC 2308 §5 has one to three hours for a sensible
/// bound).
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(3 * 3600);
/// Time between two looks at files.
const POLL: Duration = Duration::from_secs(1);

/// A question on its way.
#[derive(Debug, Clone)]
pub struct ForwardQuestion {
    query: Query,
    dnssec_ok: bool,
    checking_disabled: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No name server answered.
    Unreachable,
    /// Those that answered could not or would not.
    Unwilling,
    /// There are too many questions on their way.
    Busy,
}

/// A place among the questions that are on their way.
#[derive(Debug)]
pub struct ForwardPermit(Arc<AtomicUsize>);

impl Drop for ForwardPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CheckedSettings {
    /// Takes name servers, and who may vouch for those that are asked over TLS.
    ///
    /// # Errors
    /// When TLS is asked for, and the certificates in `authorities` cannot be read.
    pub fn new(
        sources: Vec<UpstreamSource>,
        authorities: &std::path::Path,
        limits: ForwardLimits,
    ) -> Result<Self, crate::dns::Error> {
        let is_tls = |source: &UpstreamSource| matches!(source, UpstreamSource::Server(Upstream { tls: Some(_), .. }));
        let tls = Tls::trusting(sources.iter().any(is_tls).then_some(authorities))?;
        Ok(Self { sources, tls, limits })
    }
}

impl Forwarder {
    /// One that asks whom `said` says, but nobody at an address of `ours`.
    pub fn new(said: CheckedSettings, ours: ServerAddresses, metrics: Arc<Metrics>) -> Self {
        let forwarder = Self {
            ours,
            said: ArcSwap::from_pointee(said),
            changed: Notify::new(),
            peers: ArcSwap::default(),
            cache: ArcSwap::from_pointee(empty_cache()),
            outstanding: Arc::default(),
            is_busy: AtomicBool::new(false),
            unknown: std::sync::Mutex::default(),
            metrics,
        };
        forwarder.reload();
        forwarder.warn_of_nobody();
        forwarder
    }

    /// From now on that holds. Those who were asked before and still are keep their connections; what others have said
    /// is forgotten, as it may be why they are asked no more.
    pub fn change(&self, said: CheckedSettings) {
        let before = self.said.load_full();
        let trusts_like = said.tls.trusts_like(&before.tls);
        if trusts_like && said.sources == before.sources {
            self.said.store(Arc::new(said));
            return;
        }
        self.said.store(Arc::new(said));
        self.cache.store(Arc::new(empty_cache()));
        if !trusts_like {
            let plain = |peer: &&Arc<UpstreamPeer>| peer.upstream.tls.is_none();
            self.peers.rcu(|peers| peers.iter().filter(plain).cloned().collect::<Vec<_>>());
        }
        self.reload();
        self.warn_of_nobody();
        self.changed.notify_one();
    }

    /// Returns whether anybody is to be asked at all.
    pub fn is_on(&self) -> bool {
        !self.said.load().sources.is_empty()
    }

    fn warn_of_nobody(&self) {
        if self.is_on() && self.peers.load().is_empty() {
            warn!("there is nobody to forward names outside the zones to");
        }
    }

    /// Returns whether the request is a question that can be handed on: one for recursion (RD), of class IN, of an
    /// ordinary type.
    pub fn can_take(request: &Request) -> bool {
        let Some(question) = &request.question else { return false };
        let is_meta = question.rtype == rtype::OPT || (249..=254).contains(&question.rtype);
        request.opcode() == 0
            && request.is_recursion_desired()
            && question.class == u16::from(DNSClass::IN)
            && request.edns.is_none_or(|edns| edns.version == 0)
            && !is_meta
    }

    /// A place for one more question, if there is one.
    pub fn place(&self) -> Option<ForwardPermit> {
        let limit = self.said.load().limits.outstanding;
        let place = ForwardPermit(Arc::clone(&self.outstanding));
        let others = self.outstanding.fetch_add(1, Ordering::Relaxed);
        if others < limit {
            if others < limit / 2 {
                self.is_busy.store(false, Ordering::Relaxed);
            }
            return Some(place);
        }
        self.metrics.forwarded(Forwarded::Refused);
        if !self.is_busy.swap(true, Ordering::Relaxed) {
            warn!(
                forward_outstanding = limit,
                "as many questions as may be are with other name servers: more are answered with SERVFAIL"
            );
        }
        None
    }

    /// The answer to a question, where it is not for others to give.
    pub fn local(&self, question: &ForwardQuestion) -> Option<ReceivedAnswer> {
        local::answer(&question.query.name, question.query.query_type, self.said.load().limits.private_reverse)
    }

    /// Reports about the name servers, in the order of the configuration.
    pub fn reports(&self) -> Vec<UpstreamReport> {
        let now = Instant::now();
        self.peers.load().iter().map(|peer| peer.report(now)).collect()
    }

    /// The answer to a question, if it is known. Needs no place: what is known is told also while everything else waits
    /// for somebody who does not answer.
    pub fn known(&self, question: &ForwardQuestion, now: Instant) -> Option<ReceivedAnswer> {
        if !question.is_cacheable() {
            return None;
        }
        let found = found(self.cache.load().get(&question.query, now)?)?;
        self.metrics.forwarded(Forwarded::Cached);
        Some(found)
    }

    /// The answer to a question, from other name servers, within [`DEADLINE`].
    ///
    /// # Errors
    /// Why there is none.
    pub async fn answer(&self, question: &ForwardQuestion, _place: &ForwardPermit) -> Result<ReceivedAnswer, Failure> {
        if self.is_own_probe(question) {
            return Err(Failure::Unwilling);
        }
        // Where others are to be asked meanwhile, this goes into what nobody looks at any more.
        let cache = self.cache.load_full();
        let outcome = self.ask(question).await;
        self.metrics.forwarded(if outcome.is_ok() { Forwarded::Answered } else { Forwarded::Failed });
        let outcome = outcome?.map(capped);
        if question.is_cacheable() {
            cache.insert(question.query.clone(), outcome.clone(), Instant::now());
        }
        found(outcome).ok_or(Failure::Unwilling)
    }

    /// Asks one name server after the other. An answer is a message, or the error that hickory makes of a negative one.
    async fn ask(&self, question: &ForwardQuestion) -> Result<Result<Message, NetError>, Failure> {
        let begun = Instant::now();
        let peers = UpstreamPeer::in_order(&self.peers.load(), begun);
        let mut failure = Failure::Unreachable;
        for (i, peer) in peers.iter().enumerate() {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            let patience = if i + 1 < peers.len() { TIMEOUT.min(left) } else { left };
            if patience.is_zero() {
                break;
            }
            let outcome = timeout(patience, peer.ask(question.request())).await.unwrap_or(Err(NetError::Timeout));
            match judge(outcome) {
                Judged::Answer(answer) => {
                    peer.answered();
                    return Ok(answer);
                }
                Judged::Refusal(what) => {
                    debug!(query = %question.query, upstream = %peer.upstream, %what, "asking the next");
                    peer.answered();
                    failure = Failure::Unwilling;
                }
                Judged::Silence(error) => {
                    debug!(query = %question.query, upstream = %peer.upstream, %error, "asking the next");
                    peer.failed(Instant::now(), &error);
                }
            }
        }
        Err(failure)
    }

    /// Reads the files again when they change, and finds out which name servers are this one, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut look = tokio::time::interval(POLL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick(), if self.is_on() => {}
                () = self.changed.notified() => {}
            }
            self.reload();
            for peer in self.peers.load_full().iter().filter(|peer| peer.is_new()) {
                let probe = ForwardQuestion {
                    query: Query::query(peer.probe.clone(), RecordType::TXT),
                    dnssec_ok: false,
                    checking_disabled: false,
                };
                // What it says is not of interest; whether it comes back to us is.
                let asked = timeout(TIMEOUT, peer.ask(probe.request()));
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = asked => {}
                }
            }
        }
    }

    /// Returns whether the question is one of ours that came back. Then that name server is asked no more.
    fn is_own_probe(&self, question: &ForwardQuestion) -> bool {
        let peers = self.peers.load();
        let Some(peer) = peers.iter().find(|peer| peer.probe == question.query.name) else { return false };
        if peer.is_loop() {
            warn!(upstream = %peer.upstream, "forwarding to it comes back here: it is asked no more");
        }
        true
    }

    /// Takes the name servers as the files have them now. Those that were there before keep their connections.
    fn reload(&self) {
        let said = self.said.load_full();
        let (mut upstreams, mut unknown): (Vec<Upstream>, Vec<String>) = (Vec::new(), Vec::new());
        for source in &said.sources {
            let found = match source {
                UpstreamSource::Server(upstream) => vec![upstream.clone()],
                // A file that is away for a moment is no reason to forget what was in it: the next look sees.
                UpstreamSource::File(path) => match crate::disk::read_text(path) {
                    Ok(text) => {
                        let found = read_resolv_conf(&text);
                        unknown.extend(found.unknown);
                        found.servers
                    }
                    Err(error) => {
                        debug!(path = %path.display(), %error, "cannot be read");
                        continue;
                    }
                },
            };
            upstreams.extend(found.into_iter().filter(|upstream| !self.is_ours(upstream)));
        }
        self.warn_of_unknown(unknown);
        let old = self.peers.load();
        if old.iter().map(|peer| &peer.upstream).eq(upstreams.iter()) && !old.is_empty() {
            return;
        }
        let known = |upstream: &Upstream| old.iter().find(|peer| peer.upstream == *upstream).cloned();
        let peers: Vec<Arc<UpstreamPeer>> = upstreams
            .into_iter()
            .map(|upstream| known(&upstream).unwrap_or_else(|| Arc::new(UpstreamPeer::new(upstream, &said.tls))))
            .collect();
        let upstreams: Vec<String> = peers.iter().map(|peer| peer.upstream.to_string()).collect();
        match (upstreams.is_empty(), old.is_empty()) {
            (false, _) => info!(?upstreams, "names outside the zones are forwarded"),
            (true, false) if !said.sources.is_empty() => {
                warn!("there is nobody left to forward names outside the zones to");
            }
            (true, _) => {}
        }
        self.peers.store(Arc::new(peers));
    }

    /// Logs what files call a name server and is none, whenever that changes.
    fn warn_of_unknown(&self, unknown: Vec<String>) {
        let mut logged = self.unknown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *logged == unknown {
            return;
        }
        if !unknown.is_empty() {
            warn!(nameservers = ?unknown, "not an address: these lines of a resolv.conf are passed over");
        }
        *logged = unknown;
    }

    fn is_ours(&self, upstream: &Upstream) -> bool {
        let is_ours = is_ours(upstream.address, &self.ours.listening, &self.ours.host);
        if is_ours {
            debug!(%upstream, "is this server: not asked");
        }
        is_ours
    }

    /// Describes in a few lines what is done with a name outside the zones.
    pub fn describe(&self) -> String {
        let now = Instant::now();
        let peers = self.peers.load();
        if peers.is_empty() {
            return "  nobody: there is no name server to forward to\n".to_owned();
        }
        let line = |peer: &Arc<UpstreamPeer>| format!("  {}{}\n", peer.upstream, peer.state(now));
        peers.iter().map(line).collect::<Vec<_>>().concat()
    }
}

/// Times to live are at most as long as answers are kept.
fn capped(mut message: Message) -> Message {
    let most = u32::try_from(MAX_TTL.as_secs()).unwrap_or(u32::MAX);
    let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
    sections.into_iter().flatten().for_each(|record| record.ttl = record.ttl.min(most));
    message
}

/// Knows nothing yet.
fn empty_cache() -> ResponseCache {
    let mut options = ResolverOpts::default();
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    ResponseCache::new(CACHED, TtlConfig::from_opts(&options))
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder")
            .field("sources", &self.said.load().sources)
            .field("ours", &self.ours)
            .finish_non_exhaustive()
    }
}

impl ForwardQuestion {
    /// The question of a request that [`Forwarder::can_take`] has taken, about `name`; `None` for what cannot be a name
    /// elsewhere.
    pub fn about(name: &Name, request: &Request) -> Option<Self> {
        let mut name = ProtoName::from_labels(name.labels()).ok()?;
        name.set_fqdn(true);
        Some(Self {
            query: Query::query(name.to_lowercase(), RecordType::from(request.question.as_ref()?.rtype)),
            dnssec_ok: request.edns.is_some_and(|edns| edns.dnssec_ok),
            checking_disabled: request.is_checking_disabled(),
        })
    }

    /// Returns whether it has the usual answer: the cache does not know others, with signatures (DO) or unchecked (CD).
    fn is_cacheable(&self) -> bool {
        !self.dnssec_ok && !self.checking_disabled
    }

    fn request(&self) -> DnsRequest {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = self.checking_disabled;
        message.add_query(self.query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(u16::try_from(MAX_UDP).unwrap_or(u16::MAX)).set_dnssec_ok(self.dnssec_ok);
        message.set_edns(edns);
        DnsRequest::new(message, DnsRequestOptions::default())
    }
}

/// Judgement of an upstream's outcome.
enum Judged {
    /// An answer, positive or negative.
    Answer(Result<Message, NetError>),
    /// It is there, and does not answer this.
    Refusal(String),
    /// It is perhaps not there.
    Silence(NetError),
}

fn judge(outcome: Result<Message, NetError>) -> Judged {
    match outcome {
        Ok(message) => match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Judged::Answer(Ok(message)),
            other => Judged::Refusal(other.to_string()),
        },
        Err(NetError::Dns(DnsError::NoRecordsFound(records))) => {
            // A referral: it does not resolve for others.
            if records.soa.is_none() && records.ns.is_some() && records.response_code == ResponseCode::NoError {
                return Judged::Refusal("a referral".to_owned());
            }
            Judged::Answer(Err(NetError::Dns(DnsError::NoRecordsFound(records))))
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Judged::Refusal(code.to_string()),
        Err(error) => Judged::Silence(error),
    }
}

impl From<Message> for ReceivedAnswer {
    fn from(message: Message) -> Self {
        let mut additionals = message.additionals;
        additionals.retain(|record| !matches!(record.data, RData::OPT(_)));
        Self {
            rcode: message.metadata.response_code,
            answers: message.answers,
            authorities: message.authorities,
            additionals,
        }
    }
}

fn found(answer: Result<Message, NetError>) -> Option<ReceivedAnswer> {
    answer.map_or_else(negative, |message| Some(message.into()))
}

/// The sections of a negative answer, as far as hickory keeps them.
fn negative(error: NetError) -> Option<ReceivedAnswer> {
    let NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code: rcode, soa, authorities, .. })) = error
    else {
        return None;
    };
    let authorities = match authorities {
        Some(records) => records.to_vec(),
        None => soa.map(|soa| (*soa).into_record_of_rdata()).into_iter().collect(),
    };
    Some(ReceivedAnswer { rcode, answers: Vec::new(), authorities, additionals: Vec::new() })
}

#[cfg(test)]
mod tests;
