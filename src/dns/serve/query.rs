//! Queries that the gate lets through: refusals, the answers about this server, and those of the zones
//! ([`super::answer`]), written with EDNS around them. Pure but for the draw of the first record.

use super::answer::{self, Answer, Draws, Ede, Overflow, Question, Rcode, Tables};
use super::identity::CHAOS;
use super::policy::Policy;
use crate::dns::message::options::Tail;
use crate::dns::message::request::{Opt, Request};
use crate::dns::message::sizes::{HEADER, RA, TC};
use crate::dns::message::writer::{Compress, Section, WireRecord, Writer};
use crate::dns::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// Terms of an answer besides the data.
#[derive(Clone, Copy)]
pub struct AnswerContext<'a> {
    /// The options in its OPT.
    pub tail: &'a Tail,
    /// Why questions outside the zones are refused.
    pub outside: Ede,
    /// Rights of clients.
    pub policy: &'a Policy,
    /// Returns whether the client may ask about names of the zone at an origin.
    pub may: &'a dyn Fn(&Name) -> bool,
}

/// A response and what is counted of it.
#[derive(Debug)]
pub struct Response {
    /// The message, not yet signed.
    pub message: Vec<u8>,
    /// Its code.
    pub rcode: Rcode,
    /// True if TC is set.
    pub truncated: bool,
    /// Its extended error.
    pub extended: Option<Ede>,
}

/// NOTIFY (RFC 1996).
const NOTIFY: u8 = 4;
/// UPDATE (RFC 2136).
const UPDATE: u8 = 5;
/// Class IN (RFC 1035 §3.2.4).
const INTERNET: u16 = 1;

/// Answers a request.
pub fn respond(zones: &Zones, request: &Request, transport: Transport, terms: AnswerContext<'_>) -> Response {
    if let Some((rcode, why)) = refusal(request, terms.policy) {
        return write(request, transport, terms.tail, &Answer::bare(rcode, why));
    }
    let Some(question) = &request.question else {
        return write(request, transport, terms.tail, &Answer::bare(Rcode::FormErr, None));
    };
    if let Some(text) = about_us(request, terms.policy) {
        return write_about_us(request, terms.tail, text);
    }
    let name = question.name.folded();
    if zones.find(name.wire()).is_none() {
        return write(request, transport, terms.tail, &Answer::bare(Rcode::Refused, Some(terms.outside)));
    }
    // The tables are held for the look-up alone.
    let tables = Tables::new(zones);
    let most = |rtype| terms.policy.most(rtype);
    let mut draws = Draws { random: fastrand::Rng::new(), most: &most };
    let question = Question { name: name.wire(), rtype: question.rtype };
    let answer = answer::answer(&tables, question, terms.may, &mut draws);
    write(request, transport, terms.tail, &answer)
}

/// Refuses what is not a plain question of class IN (RFC 8906 §3), in the order in which one can tell.
fn refusal(request: &Request, policy: &Policy) -> Option<(Rcode, Option<Ede>)> {
    match request.opcode() {
        0 => {}
        // Known, and not for anybody: this server is a primary, and its data come from elsewhere.
        NOTIFY | UPDATE => return Some((Rcode::Refused, Some(Ede::Prohibited))),
        _ => return Some((Rcode::NotImp, None)),
    }
    if request.edns.is_some_and(|edns| edns.version > 0) {
        return Some((Rcode::BadVers, None));
    }
    // RFC 9619: a query has one question.
    let Some(question) = &request.question else { return Some((Rcode::FormErr, None)) };
    match (question.class, question.rtype) {
        // Those who may do not come here.
        (_, rtype::AXFR | rtype::IXFR) => Some((Rcode::Refused, Some(Ede::Prohibited))),
        (INTERNET, _) => None,
        (CHAOS, _) if about_us(request, policy).is_some() => None,
        _ => Some((Rcode::Refused, None)),
    }
}

/// The text that answers a question of class CH about this server.
fn about_us<'p>(request: &Request, policy: &'p Policy) -> Option<&'p str> {
    let question = request.question.as_ref().filter(|question| question.class == CHAOS)?;
    let name = question.name.folded();
    let labels: Vec<&[u8]> = name.labels().collect();
    policy.identity.as_ref()?.text(&labels, question.rtype)
}

fn write(request: &Request, transport: Transport, tail: &Tail, answer: &Answer<'_>) -> Response {
    let extended = answer.extended.map(|extended| (extended.code(), &*answer.explanation));
    let opt = Opt { high_bits: answer.rcode.high_bits(), options: tail.as_bytes(), extended };
    let limit = request.limit(transport).saturating_sub(request.opt_size(opt));
    let mut head = request.response(answer.rcode.low_bits(), answer.authoritative);
    if head.len() > limit {
        // Many questions, none of which is answered.
        head.truncate(HEADER);
        head[4..].fill(0);
    }
    let mut writer = Writer::new(head, limit);
    let overflow = Overflow { can_retry: transport.is_datagram(), cuts: request.edns.is_some() };
    let asked = request.question.as_ref().map_or(&[0][..], |question| question.name.wire());
    let truncated = answer.write(asked, &mut writer, overflow);
    if truncated {
        writer.set(TC);
    }
    let mut message = writer.finish();
    request.push_opt(&mut message, opt);
    Response { message, rcode: answer.rcode, truncated, extended: answer.extended.filter(|_| request.edns.is_some()) }
}

/// Writes the answer to a question about this server. It is not to be kept: the next question may go to another one
/// (RFC 4892 §3).
fn write_about_us(request: &Request, tail: &Tail, text: &str) -> Response {
    let mut writer = Writer::new(request.response(0, true), usize::MAX);
    let owner = request.question.as_ref().map_or(&[0][..], |question| question.name.wire());
    let rdata = [&[u8::try_from(text.len()).unwrap_or_default()], text.as_bytes()].concat();
    let record = WireRecord { owner, rtype: rtype::TXT, class: CHAOS, ttl: 0, rdata: &rdata };
    writer.push(Section::Answer, &record, Compress::Owners);
    let mut message = writer.finish();
    request.push_opt(&mut message, Opt { options: tail.as_bytes(), ..Opt::default() });
    Response { message, rcode: Rcode::NoError, truncated: false, extended: None }
}

impl Response {
    /// Sets RA.
    pub(super) fn set_recursion_available(&mut self) {
        if let Some(flags) = self.message.get_mut(3) {
            *flags |= RA;
        }
    }
}
