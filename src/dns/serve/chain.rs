//! Answers that are not the zones' alone: questions about names outside, and aliases that lead there from a zone, or
//! back (RFC 1034 §4.3.2 steps 3a and 5). Each part is answered where its name lies, and the code is that of the last.
//! Pure: the other name servers are asked by [`crate::dns::serve`].

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name as ProtoName, RData, Record as ProtoRecord, RecordType};

use super::answer::{self, Draws, Ede, Owner, Question, Rcode, Rr, Tables};
use super::policy::Policy;
use crate::dns::forward::Failure;
use crate::dns::forward::reply::ReceivedAnswer;
use crate::dns::message::request::Request;
use crate::zone::Zones;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// Parts that an answer may have; an alias that comes back to a name ends it before.
const MAX_PARTS: usize = 8;
/// Aliases that are followed in one answer of another name server.
const MAX_ALIASES: usize = 16;

/// The client of a question, and what it may do.
#[derive(Debug, Clone)]
pub(in crate::dns) struct Client {
    /// Policy that holds for it.
    pub(in crate::dns) policy: Arc<Policy>,
    /// Its address.
    pub(in crate::dns) peer: IpAddr,
    /// The key that it has signed with.
    pub(in crate::dns) key: Option<Name>,
}

impl Client {
    /// Returns whether it may ask about names of the zone at `origin`: all may of whom queries are taken, and those who
    /// transfer it.
    pub(in crate::dns) fn may(&self, origin: &Name) -> bool {
        let Self { policy, peer, key } = self;
        policy.may_query(peer) || policy.allow_transfer.decide(origin, *peer, key.as_ref())
    }
}

/// An answer under construction.
#[derive(Debug)]
pub(in crate::dns) struct Chain {
    rtype: u16,
    /// The aliases so far.
    records: Vec<ProtoRecord>,
    /// The name outside the zones that is to be asked about.
    next: Name,
    /// Names that were asked about.
    seen: HashSet<Name>,
    /// AA: the first name is in a zone.
    is_ours: bool,
}

/// An answer, or why there is none.
#[derive(Debug)]
pub(in crate::dns) struct ChainAnswer {
    /// Its sections.
    pub(in crate::dns) found: Result<ReceivedAnswer, Failure>,
    /// The code of an extended error.
    pub(in crate::dns) extended: Option<u16>,
    /// AA.
    pub(in crate::dns) is_ours: bool,
}

impl ChainAnswer {
    /// There is no answer.
    pub(in crate::dns) fn failed(failure: Failure) -> Self {
        let extended = (failure == Failure::Unreachable).then_some(Ede::NoReachableAuthority.code());
        Self { found: Err(failure), extended, is_ours: false }
    }
}

/// Answer of the zones to a name.
struct Local {
    rcode: Rcode,
    sections: [Vec<ProtoRecord>; 3],
    extended: Option<u16>,
    leads: Option<Name>,
}

impl Chain {
    /// Begins the answer to a request that is a question for others, or whose aliases lead to them; `None` where the
    /// zones have all of it.
    pub(in crate::dns) fn begin(zones: &Zones, client: &Client, request: &Request) -> Option<Self> {
        let question = request.question.as_ref()?;
        let mut chain = Self {
            rtype: question.rtype,
            records: Vec::new(),
            next: question.name.clone(),
            seen: HashSet::from([question.name.folded()]),
            is_ours: false,
        };
        if zones.find(question.name.folded().wire()).is_none() {
            return Some(chain);
        }
        let Local { leads, sections: [answers, ..], .. } = chain.within(zones, client, &question.name)?;
        (chain.records, chain.next, chain.is_ours) = (answers, leads?, true);
        chain.seen.insert(chain.next.folded());
        Some(chain)
    }

    /// The name that another name server is to be asked about.
    pub(in crate::dns) fn next(&self) -> &Name {
        &self.next
    }

    /// Takes what another name server says of [`Self::next`]. Returns the answer where that is the end of it.
    pub(in crate::dns) fn take(
        &mut self,
        mut found: ReceivedAnswer,
        zones: &Zones,
        client: &Client,
    ) -> Option<ChainAnswer> {
        let Some((aliases, home)) = self.leads_home(&found.answers, zones, client) else {
            found.answers.splice(0..0, std::mem::take(&mut self.records));
            return Some(self.told(Ok(found), None));
        };
        self.records.extend(aliases);
        let local = if self.is_new(&home) { self.within(zones, client, &home) } else { None };
        let Some(Local { rcode, sections: [answers, authorities, additionals], extended, leads }) = local else {
            return Some(self.end(Rcode::NoError, [Vec::new(), Vec::new()], None));
        };
        if rcode == Rcode::ServFail {
            return Some(self.told(Err(Failure::Unwilling), extended));
        }
        self.records.extend(answers);
        match leads {
            Some(next) if self.is_new(&next) => {
                self.next = next;
                None
            }
            _ => Some(self.end(rcode, [authorities, additionals], extended)),
        }
    }

    /// Returns whether a name was not met yet, and there may be more of them.
    fn is_new(&mut self, name: &Name) -> bool {
        self.seen.len() < 2 * MAX_PARTS && self.seen.insert(name.folded())
    }

    fn end(&mut self, rcode: Rcode, sections: [Vec<ProtoRecord>; 2], extended: Option<u16>) -> ChainAnswer {
        let (answers, [authorities, additionals]) = (std::mem::take(&mut self.records), sections);
        self.told(
            Ok(ReceivedAnswer { rcode: ResponseCode::from(0, rcode.low_bits()), answers, authorities, additionals }),
            extended,
        )
    }

    fn told(&self, found: Result<ReceivedAnswer, Failure>, extended: Option<u16>) -> ChainAnswer {
        ChainAnswer { is_ours: self.is_ours && found.is_ok(), found, extended }
    }

    /// Follows the aliases in an answer from elsewhere up to the first name that one of the zones has. Gives them, and
    /// it.
    fn leads_home(&self, answers: &[ProtoRecord], zones: &Zones, client: &Client) -> Option<(Vec<ProtoRecord>, Name)> {
        if matches!(self.rtype, rtype::CNAME | rtype::ANY) {
            return None;
        }
        let (mut at, mut aliases) = (proto_name(&self.next)?, Vec::new());
        for _ in 0..MAX_ALIASES {
            let alias = answers.iter().find(|one| one.record_type() == RecordType::CNAME && one.name == at)?;
            let RData::CNAME(target) = &alias.data else { return None };
            let is_dname = |one: &&ProtoRecord| u16::from(one.record_type()) == rtype::DNAME && one.name.zone_of(&at);
            aliases.extend(answers.iter().filter(is_dname).cloned());
            aliases.push(alias.clone());
            at = target.0.clone();
            let name = Name::from_labels(at.iter()).ok()?;
            if zones.find(name.folded().wire()).is_some_and(|zone| client.may(zone.origin())) {
                return Some((aliases, name));
            }
        }
        None
    }

    /// Answer of the zones to a name in one of them.
    fn within(&self, zones: &Zones, client: &Client, name: &Name) -> Option<Local> {
        let folded = name.folded();
        let asked = proto_name(name)?;
        let tables = Tables::new(zones);
        let most = |rtype| client.policy.most(rtype);
        let mut draws = Draws { random: fastrand::Rng::new(), most: &most };
        let question = Question { name: folded.wire(), rtype: self.rtype };
        let answer = answer::answer(&tables, question, &|origin| client.may(origin), &mut draws);
        let sections = [&answer.answers, &answer.authority, &answer.additionals]
            .map(|section| section.iter().filter_map(|rr| record(rr, &asked)).collect());
        let extended = answer.extended.map(Ede::code);
        Some(Local { rcode: answer.rcode, sections, extended, leads: answer.leads })
    }
}

fn proto_name(name: &Name) -> Option<ProtoName> {
    let mut proto = ProtoName::from_labels(name.labels()).ok()?;
    proto.set_fqdn(true);
    Some(proto)
}

/// A record as hickory's, beside those of other name servers; `asked` is the name of the question, as it was spelled.
fn record(rr: &Rr<'_>, asked: &ProtoName) -> Option<ProtoRecord> {
    let owner = match &rr.owner {
        Owner::Question => asked.clone(),
        Owner::Name(name) => proto_name(name)?,
    };
    let rdata = RData::Unknown { code: RecordType::from(rr.rtype), rdata: NULL::with(rr.rdata.to_vec()) };
    Some(ProtoRecord::from_rdata(owner, rr.ttl, rdata))
}
