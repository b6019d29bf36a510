//! Everything that is not for the hot path, on hickory-server's request handler: takes its parsed requests through the
//! refusals, has [`crate::dns::serve::answer`] decide, and gives the sections back as its records.
//!
//! hickory's own catalogue and in-memory zones are not used: their negative answers scan the zone. Its encoder leaves
//! the owner of the first record uncompressed, so that these answers are a little longer than those of the hot path.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::{Edns, Header, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{NS, NULL, TXT};
use hickory_proto::rr::{DNSClass, Name as ProtoName, RData, Record as ProtoRecord, RecordType};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};
use tracing::debug;

use crate::dns::fast::{MAX_TCP, MAX_UDP, MIN_UDP};
use crate::dns::message::options::{OPTION_HEAD, Tail};
use crate::dns::message::request::{OPT, has_plain_question};
use crate::dns::serve::answer::{self, Answer, Draws, Extended, Owner, Question, Rcode, Room, Rr, Tables};
use crate::dns::serve::metrics::Counters;
use crate::dns::serve::policy::Policy;
use crate::dns::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// The longest name, in bytes (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// Terms of an answer besides the data.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The options in its OPT.
    pub tail: &'a Tail,
    /// Why questions outside the zones are refused.
    pub outside: Extended,
    /// Rights of clients.
    pub policy: &'a Policy,
    /// Returns whether the client may ask about names of the zone at an origin.
    pub may: &'a (dyn Fn(&Name) -> bool + Sync),
}

/// Answers requests from zones.
#[derive(Clone)]
pub struct Handler {
    zones: Zones,
    counters: Arc<Counters>,
}

impl Handler {
    /// A handler that answers from `zones` and counts in `counters`.
    pub fn new(zones: Zones, counters: Arc<Counters>) -> Self {
        Self { zones, counters }
    }

    /// Counters in which it counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The responses to a packet; none for one that nobody is to be answered for.
    pub async fn respond_to(
        &self,
        packet: Vec<u8>,
        peer: SocketAddr,
        transport: Transport,
        terms: Terms<'_>,
    ) -> Vec<Vec<u8>> {
        let Some(header) = packet.first_chunk::<12>().copied() else {
            self.counters.dropped();
            return Vec::new();
        };
        if header[2] & 0x80 != 0 {
            // Whoever answers responses can be made to talk to himself.
            self.counters.dropped();
            return Vec::new();
        }
        if !has_plain_question(&packet) {
            self.counters.responded(Rcode::FormErr, false, false);
            return vec![form_error(header)];
        }
        let protocol = if transport.is_datagram() { Protocol::Udp } else { Protocol::Tcp };
        match Request::from_bytes(packet, peer, protocol) {
            Ok(request) => {
                let responses = Responses::new(transport);
                self.respond(&request, Some(terms), responses.clone()).await;
                responses.into_inner()
            }
            Err(error) => {
                debug!(%peer, %error, "malformed query");
                self.counters.responded(Rcode::FormErr, false, false);
                vec![form_error(header)]
            }
        }
    }

    /// Refuses what is not a plain question of class IN (RFC 8906 §3), in the order in which one can tell.
    fn refusal(request: &Request, policy: Option<&Policy>) -> Option<(Rcode, Option<Extended>)> {
        match request.metadata.op_code {
            OpCode::Query => {}
            // Known, and not for anybody: this server is a primary, and its data come from elsewhere.
            OpCode::Notify | OpCode::Update => return Some((Rcode::Refused, Some(Extended::Prohibited))),
            _ => return Some((Rcode::NotImp, None)),
        }
        if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return Some((Rcode::BadVers, None));
        }
        // RFC 9619: a query has one question.
        let Ok(info) = request.request_info() else { return Some((Rcode::FormErr, None)) };
        match (info.query.query_class(), info.query.query_type()) {
            // Those who may do not come here.
            (_, RecordType::AXFR | RecordType::IXFR) => Some((Rcode::Refused, Some(Extended::Prohibited))),
            (DNSClass::IN, _) => None,
            (DNSClass::CH, _) if policy.is_some_and(|policy| about_us(request, policy).is_some()) => None,
            _ => Some((Rcode::Refused, None)),
        }
    }

    fn room(request: &Request, question: usize, opt: usize) -> Room {
        let is_datagram = request.protocol() == Protocol::Udp;
        let size = match &request.edns {
            _ if !is_datagram => MAX_TCP,
            Some(edns) => usize::from(edns.max_payload()).clamp(MIN_UDP, MAX_UDP),
            None => MIN_UDP,
        };
        Room { size, taken: 12 + question + opt, can_retry: is_datagram, cuts: request.edns.is_some() }
    }

    async fn respond<R: ResponseHandler>(
        &self,
        request: &Request,
        terms: Option<Terms<'_>>,
        mut out: R,
    ) -> Option<ResponseInfo> {
        let none = Tail::default();
        let tail = terms.map_or(&none, |terms| terms.tail);
        let policy = terms.map(|terms| terms.policy);
        if let Some((rcode, why)) = Self::refusal(request, policy) {
            return self.send(request, tail, &mut out, &Answer::bare(rcode, why), None).await;
        }
        if let Some(record) = policy.and_then(|policy| about_us(request, policy)) {
            let answer = Answer { authoritative: true, ..Answer::bare(Rcode::NoError, None) };
            return self.send(request, tail, &mut out, &answer, Some(&[vec![record], vec![], vec![]])).await;
        }
        let query = request.request_info().ok()?.query;
        let asked = query.original().name();
        let labels: Vec<Vec<u8>> = asked.iter().map(<[u8]>::to_ascii_lowercase).collect();
        let name = Name::from_labels(labels.iter().map(Vec::as_slice)).ok()?;
        if self.zones.find(name.wire()).is_none() {
            let answer =
                Answer::bare(Rcode::Refused, Some(terms.map_or(Extended::NotAuthoritative, |terms| terms.outside)));
            return self.send(request, tail, &mut out, &answer, None).await;
        }
        let question = Question { name: name.wire(), rtype: query.query_type().into() };
        // Owned records leave before the first await: the table is held for the look-up alone.
        let (answer, records) = {
            let tables = Tables::new(&self.zones);
            let most = |rtype| terms.map_or(usize::MAX, |terms| terms.policy.most(rtype));
            let mut draws = Draws { random: fastrand::Rng::new(), most: &most };
            let may = |origin: &Name| terms.is_none_or(|terms| (terms.may)(origin));
            let mut answer = answer::answer(&tables, question, &may, &mut draws);
            let opt = opt(request, tail, &answer).map_or(0, |edns| opt_size(&edns));
            // As it is spelled, which is how it is written.
            let spelled = Name::from_labels(asked.iter()).unwrap_or_else(|_| name.clone());
            answer.fit(spelled.wire(), Self::room(request, name.wire().len() + 4, opt));
            let records = [(&answer.answers, false), (&answer.authority, true), (&answer.additionals, false)]
                .map(|(section, servers)| section.iter().filter_map(|rr| record(rr, asked, servers)).collect());
            let flags = Answer {
                authoritative: answer.authoritative,
                truncated: answer.truncated,
                explanation: Cow::Owned(answer.explanation.into_owned()),
                ..Answer::bare(answer.rcode, answer.extended)
            };
            (flags, records)
        };
        self.send(request, tail, &mut out, &answer, Some(&records)).await
    }

    /// Sends an answer whose records were made already, and counts it.
    async fn send<R: ResponseHandler>(
        &self,
        request: &Request,
        tail: &Tail,
        out: &mut R,
        answer: &Answer<'_>,
        records: Option<&[Vec<ProtoRecord>; 3]>,
    ) -> Option<ResponseInfo> {
        let asked = &request.metadata;
        let mut metadata = Metadata::new(asked.id, MessageType::Response, asked.op_code);
        metadata.response_code = response_code(answer.rcode);
        metadata.authoritative = answer.authoritative;
        metadata.truncation = answer.truncated;
        metadata.recursion_desired = asked.recursion_desired;
        metadata.checking_disabled = asked.checking_disabled;
        let is_extended = answer.extended.is_some() && request.edns.is_some();
        self.counters.responded(answer.rcode, answer.truncated, is_extended);
        let edns = opt(request, tail, answer);
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let empty = [const { Vec::new() }; 3];
        let [answers, authority, additionals] = records.unwrap_or(&empty);
        let response = builder.build(metadata, answers, authority, &[], additionals);
        // An error here is a client that has gone; nobody is there to be told.
        out.send_response(response).await.inspect_err(|error| debug!(%error, "cannot send a response")).ok()
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, out: R) -> ResponseInfo {
        match self.respond(request, None, out).await {
            Some(info) => info,
            None => ResponseInfo::from(Header {
                metadata: Metadata::response_from_request(&request.metadata),
                counts: hickory_proto::op::HeaderCounts::default(),
            }),
        }
    }
}

/// Takes responses as bytes.
#[derive(Clone)]
struct Responses {
    transport: Transport,
    encoded: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Responses {
    fn new(transport: Transport) -> Self {
        Self { transport, encoded: Arc::default() }
    }

    fn into_inner(self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.encoded.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait::async_trait]
impl ResponseHandler for Responses {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a ProtoRecord> + Send + 'a,
            impl Iterator<Item = &'a ProtoRecord> + Send + 'a,
            impl Iterator<Item = &'a ProtoRecord> + Send + 'a,
            impl Iterator<Item = &'a ProtoRecord> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::with_capacity(MIN_UDP);
        let mut encoder = BinEncoder::new(&mut bytes);
        // What is too long was cut before; this is so that nothing can go wrong. The encoder writes a name in full
        // before it puts a pointer in its place.
        #[allow(clippy::cast_possible_truncation)] // constants
        encoder.set_max_size(match (self.transport.is_datagram(), response.edns()) {
            (false, _) => MAX_TCP as u16,
            (true, Some(_)) => (MAX_UDP + MAX_NAME) as u16,
            (true, None) => (MIN_UDP + MAX_NAME) as u16,
        });
        let info = response.destructive_emit(&mut encoder)?;
        self.encoded.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        Ok(info)
    }
}

/// The answer to a packet of which only the header could be read.
fn form_error(header: [u8; 12]) -> Vec<u8> {
    let mut response = header.to_vec();
    response[2] = 0x80 | header[2] & 0x79;
    response[3] = header[3] & 0x10 | Rcode::FormErr.low_bits();
    response[4..].fill(0);
    response
}

/// The OPT of the response: there is one when the request had one (RFC 6891 §6.1.1).
fn opt(request: &Request, tail: &Tail, answer: &Answer<'_>) -> Option<Edns> {
    let asked = request.edns.as_ref()?;
    let mut edns = Edns::new();
    #[allow(clippy::cast_possible_truncation)] // a constant
    edns.set_max_payload(MAX_UDP as u16);
    edns.set_version(0);
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    for (code, data) in tail.iter() {
        edns.options_mut().insert(EdnsOption::Unknown(code, data.to_vec()));
    }
    if let Some(extended) = answer.extended {
        let data = [&extended.code().to_be_bytes()[..], answer.explanation.as_bytes()].concat();
        edns.options_mut().insert(EdnsOption::Unknown(15, data));
    }
    Some(edns)
}

/// The record that answers a question of class CH about this server. It is not to be kept: the next question may go to
/// another one (RFC 4892 §3).
fn about_us(request: &Request, policy: &Policy) -> Option<ProtoRecord> {
    let query = request.request_info().ok()?.query;
    if query.query_class() != DNSClass::CH {
        return None;
    }
    let asked = query.original().name();
    let labels: Vec<Vec<u8>> = asked.iter().map(<[u8]>::to_ascii_lowercase).collect();
    let text = policy.identity.as_ref()?.text(&labels, query.query_type().into())?;
    let mut record = ProtoRecord::from_rdata(asked.clone(), 0, RData::TXT(TXT::new(vec![text.to_owned()])));
    record.dns_class = DNSClass::CH;
    Some(record)
}

/// Bytes an OPT record takes: root owner, type, class, TTL, length, and its options.
fn opt_size(edns: &Edns) -> usize {
    let options = edns.options().as_ref().iter().map(|(_, option)| OPTION_HEAD + usize::from(option.len()));
    OPT + options.sum::<usize>()
}

/// A record as hickory's; `asked` is the name of the question, as it was spelled. With `servers` the name in an NS
/// record is one that hickory's encoder compresses.
pub(in crate::dns) fn record(rr: &Rr<'_>, asked: &ProtoName, servers: bool) -> Option<ProtoRecord> {
    let proto = |name: &Name| {
        let mut proto = ProtoName::from_labels(name.labels()).ok()?;
        proto.set_fqdn(true);
        Some(proto)
    };
    let owner = match &rr.owner {
        Owner::Question => asked.clone(),
        Owner::Name(name) => proto(name)?,
    };
    if servers && rr.rtype == rtype::NS {
        let (server, _) = Name::from_wire(&rr.rdata)?;
        return Some(ProtoRecord::from_rdata(owner, rr.ttl, RData::NS(NS(proto(&server)?))));
    }
    let rdata = RData::Unknown { code: RecordType::from(rr.rtype), rdata: NULL::with(rr.rdata.to_vec()) };
    Some(ProtoRecord::from_rdata(owner, rr.ttl, rdata))
}

/// A code as hickory's.
pub(in crate::dns) fn response_code(rcode: Rcode) -> ResponseCode {
    match rcode {
        Rcode::NoError => ResponseCode::NoError,
        Rcode::FormErr => ResponseCode::FormErr,
        Rcode::ServFail => ResponseCode::ServFail,
        Rcode::NxDomain => ResponseCode::NXDomain,
        Rcode::NotImp => ResponseCode::NotImp,
        Rcode::Refused => ResponseCode::Refused,
        Rcode::BadVers => ResponseCode::BADVERS,
        Rcode::NotAuth => ResponseCode::NotAuth,
        Rcode::BadCookie => ResponseCode::BADCOOKIE,
        Rcode::YxDomain => ResponseCode::YXDomain,
    }
}
