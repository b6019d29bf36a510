//! The one answering function: a question and the zone's data in, the sections of the answer out. Pure; it neither
//! reads nor writes packets, so that every transport and every encoder gives the same answers.
//!
//! What clients depend on (HAProxy, nginx, glibc, resolvers): no authority section on positive answers; the SOA, owned
//! by the apex, in every negative one (RFC 2308 §3); additionals are all A, then all AAAA; additionals that do not fit
//! are dropped without TC (RFC 2181 §9), answers that do not fit set TC and are all left out over UDP, and are a subset
//! over TCP, where 64 KiB are all there is.

mod data;
mod parts;
mod tables;
mod write;

use std::collections::HashSet;

pub use data::Data;
pub use parts::{Answer, Ede, Owner, Question, Rcode, Rr};
pub use tables::Tables;
pub use write::Overflow;

use crate::zone::Zone;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::name::Name;
use crate::zone::order::{Order, Rotation};
use crate::zone::packed::{Packed, PackedSet, srv_target, whole};
use crate::zone::record::rtype;
use crate::zone::view::View;

/// Limit of aliases that are followed: more than BIND follows, and fewer than Knot.
const MAX_ALIASES: usize = 16;

/// Limit of aliases that a DNAME which leads below itself makes of a name: as many as Knot's.
const MAX_LOOP: usize = 5;

/// Draws of one answer: the first record of each set, and the most records of a type.
pub struct Draws<'a> {
    /// Chance.
    pub random: fastrand::Rng,
    /// Limit of records of a type.
    pub most: &'a dyn Fn(u16) -> usize,
}

impl Draws<'_> {
    fn turn(&mut self, order: Order) -> Rotation {
        Rotation::new(order, self.random.u32(..))
    }
}

/// Answers a question about a name in one of the zones; REFUSED where it is in none. Aliases are followed into every
/// zone at whose origin `may` says that the client may ask (RFC 1034 §4.3.2 step 3a goes back to step 1), and the code
/// is that of the last name. AA is that of the first (RFC 1035 §4.1.1).
pub fn answer<'t>(
    tables: &'t Tables<'_>,
    question: Question<'_>,
    may: &dyn Fn(&Name) -> bool,
    draws: &mut Draws<'_>,
) -> Answer<'t> {
    let mut answer = Answer::bare(Rcode::NoError, None);
    let Some(mut here) = tables.find(question.name, question.rtype) else {
        return Answer::bare(Rcode::Refused, Some(Ede::NotAuthoritative));
    };
    answer.authoritative = true;
    let (mut owner, mut name) = (Owner::Question, question.name.to_vec());
    let mut seen = HashSet::from([name.clone()]);
    for hop in 0..=MAX_ALIASES {
        let (zone, data) = here;
        if data.is_stale(zone, &name) {
            answer.extended = Some(Ede::StaleAnswer);
        }
        let Some(found) = data.find(zone, &name, question.rtype) else {
            // Aliases that lead here are no help without it.
            return Answer::bare(Rcode::ServFail, data.why_unknown());
        };
        let target = match found {
            LookupResult::Alias(set) => {
                push(&mut answer.answers, &owner, set, Rotation::FIXED);
                set.iter().next().and_then(|rdata| lookup::target(&rdata))
            }
            // A name that grows with each turn is not met twice; the DNAME is.
            LookupResult::Redirection(entry) if hop >= MAX_LOOP && is_used(&answer, entry) => break,
            LookupResult::Redirection(entry) => redirect(&mut answer, owner, &name, entry),
            // There is a zone at the name, though this one does not delegate to it.
            LookupResult::NxDomain if question.rtype == rtype::DS && tables.is_apex(&name) => {
                conclude(&mut answer, LookupResult::NoData, &owner, (zone, data), draws);
                break;
            }
            found => {
                conclude(&mut answer, found, &owner, (zone, data), draws);
                break;
            }
        };
        // A DNAME's CNAME answers who asks for one, though there is none at the name.
        if question.rtype == rtype::CNAME {
            break;
        }
        let Some(target) = target else { break };
        name = target.folded().wire().to_vec();
        // What leads back to where it was is the client's to follow.
        if !seen.insert(name.clone()) {
            break;
        }
        here = match tables.find(&name, question.rtype) {
            Some(next) if next.0.origin() == zone.origin() || may(next.0.origin()) => next,
            Some(_) => break,
            None => {
                answer.leads = Some(target);
                break;
            }
        };
        owner = Owner::Name(target);
    }
    answer
}

/// Adds the zone's NS records to the authority section, for zones that want them there (RFC 1034 §4.3.2 step 6).
fn add_servers<'t>(answer: &mut Answer<'t>, zone: &Zone, data: &'t Data) {
    if let Some(set) = data.names().apex().and_then(|apex| apex.set(rtype::NS)).filter(|_| !zone.is_minimal()) {
        push(&mut answer.authority, &Owner::Name(zone.origin().clone()), set, Rotation::FIXED);
    }
}

/// Returns whether the DNAME of `entry` is in the answer already.
fn is_used(answer: &Answer<'_>, entry: &Packed) -> bool {
    let is_owner = |owner: &Owner| matches!(owner, Owner::Name(name) if name.wire() == entry.name());
    answer.answers.iter().any(|rr| rr.rtype == rtype::DNAME && is_owner(&rr.owner))
}

/// The DNAME, and the CNAME that says the same to those who do not know it (RFC 6672 §3.1). Gives the name it leads to.
fn redirect<'t>(answer: &mut Answer<'t>, owner: Owner, name: &[u8], entry: &'t Packed) -> Option<Name> {
    let (from, set) = owner_of(entry).zip(entry.set(rtype::DNAME))?;
    // An RRset is in an answer once (RFC 2181 §5).
    if !is_used(answer, entry) {
        push(&mut answer.answers, &from, set, Rotation::FIXED);
    }
    let target = lookup::redirected(name, entry);
    match &target {
        Some(target) => {
            let rdata = target.wire().to_vec().into();
            answer.answers.push(Rr { owner, rtype: rtype::CNAME, ttl: set.ttl, rdata });
        }
        None => answer.rcode = Rcode::YxDomain,
    }
    target
}

/// Concludes with the last name, from which nothing leads on.
fn conclude<'t>(
    answer: &mut Answer<'t>,
    found: LookupResult<'t>,
    owner: &Owner,
    (zone, data): (&Zone, &'t Data),
    draws: &mut Draws<'_>,
) {
    let turn = draws.turn(zone.order());
    match found {
        LookupResult::Answer(set) => {
            match (draws.most)(set.rtype) {
                most if most < set.count => push_drawn(&mut answer.answers, owner, (set, most), turn),
                _ => push(&mut answer.answers, owner, set, turn),
            }
            // Below the apex, NS records are a referral.
            if set.rtype != rtype::NS {
                add_servers(answer, zone, data);
            }
            if set.rtype == rtype::SRV {
                add_glue(answer, set, turn);
            } else {
                let hosts = targets(&answer.answers).chain(targets(&answer.authority));
                let found = addresses(hosts, data.names());
                answer.additionals.extend(found);
            }
        }
        // RFC 8482 §4.1: a subset of the RRsets, which is one.
        LookupResult::All(entry) => {
            entry.sets().take(1).for_each(|set| push(&mut answer.answers, owner, set, turn));
            add_servers(answer, zone, data);
        }
        LookupResult::Delegation(cut) => {
            answer.authoritative = !answer.answers.is_empty();
            if let Some(((name, _), servers)) = Name::from_wire(cut.name()).zip(cut.set(rtype::NS)) {
                push(&mut answer.authority, &Owner::Name(name.clone()), servers, Rotation::FIXED);
                // RFC 9471 §3.1: the addresses of servers in the delegated domain are to be had nowhere else.
                let (inside, beside): (Vec<Name>, Vec<Name>) =
                    targets(&answer.authority).partition(|target| target.folded().is_at_or_below(&name));
                answer.additionals = addresses(inside.into_iter(), data.names());
                answer.glue = answer.additionals.len();
                answer.additionals.extend(addresses(beside.into_iter(), data.names()));
            }
        }
        LookupResult::NoData => add_soa(answer, zone, data),
        // Aliases that lead here are no help without it.
        LookupResult::Unknown(unknown) => {
            *answer = Answer::bare(Rcode::ServFail, Some(Ede::Of(unknown.code)));
            answer.explanation = unknown.text;
        }
        LookupResult::NxDomain => {
            answer.rcode = Rcode::NxDomain;
            answer.extended = answer.extended.map(|_| Ede::StaleNxDomain);
            add_soa(answer, zone, data);
        }
        // These lead on.
        LookupResult::Alias(_) | LookupResult::Redirection(_) => {}
    }
}

fn push<'t>(section: &mut Vec<Rr<'t>>, owner: &Owner, set: PackedSet<'t>, turn: Rotation) {
    let rr = |rdata| Rr { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata: whole(rdata) };
    section.extend(set.turned(turn).map(rr));
}

/// So many of the records, drawn one after the other.
fn push_drawn<'t>(section: &mut Vec<Rr<'t>>, owner: &Owner, (set, most): (PackedSet<'t>, usize), turn: Rotation) {
    let mut random = fastrand::Rng::with_seed(turn.random.into());
    let (mut places, mut taken) = (vec![0; most], vec![0; most]);
    let drawn = set.draw(|| Rotation::new(turn.order, random.u32(..)), &mut places, &mut taken);
    let records: Vec<_> = set.pieces().collect();
    let records = places[..drawn].iter().filter_map(|place| records.get(usize::from(*place)));
    let rr = |rdata| Rr { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata: whole(rdata) };
    section.extend(records.map(|rdata| rr(*rdata)));
}

/// The SOA with the time to live of a negative answer: the lesser of its own and its minimum (RFC 2308 §5).
fn add_soa<'t>(answer: &mut Answer<'t>, zone: &Zone, data: &'t Data) {
    let Some(set) = data.soa() else { return };
    for rdata in set.iter() {
        let minimum = rdata.last_chunk::<4>().map_or(set.ttl, |minimum| u32::from_be_bytes(*minimum));
        let owner = Owner::Name(zone.origin().clone());
        answer.authority.push(Rr { owner, rtype: rtype::SOA, ttl: set.ttl.min(minimum), rdata });
    }
}

fn owner_of(entry: &Packed) -> Option<Owner> {
    Name::from_wire(entry.name()).map(|(name, _)| Owner::Name(name))
}

/// The addresses of the hosts that SRV records name, as they were packed with them.
fn add_glue<'t>(answer: &mut Answer<'t>, set: PackedSet<'t>, turn: Rotation) {
    let targets = set.iter().map(|rdata| Name::from_wire(srv_target(&rdata))).zip(set.additionals.iter());
    let mut seen = HashSet::new();
    let mut sections = [Vec::new(), Vec::new()];
    for (target, glue) in set.round(turn, targets).filter(|(_, glue)| seen.insert(glue.group)) {
        let Some((owner, _)) = target else { continue };
        let families = [(rtype::A, glue.v4.as_flattened(), 4), (rtype::AAAA, glue.v6.as_flattened(), 16)];
        for (section, (rtype, addresses, size)) in sections.iter_mut().zip(families) {
            let owner = Owner::Name(owner.clone());
            section.extend(addresses.chunks(size).map(|rdata| Rr {
                owner: owner.clone(),
                rtype,
                ttl: set.ttl,
                rdata: rdata.into(),
            }));
        }
    }
    answer.additionals.extend(sections.into_iter().flatten());
}

/// The hosts that records name for their addresses to be looked up.
fn targets<'a>(records: &'a [Rr<'_>]) -> impl Iterator<Item = Name> + use<'a> {
    records.iter().filter_map(|rr| {
        let skip = match rr.rtype {
            // RFC 9460 §4.1 for the latter two.
            rtype::MX | rtype::SVCB | rtype::HTTPS => 2,
            rtype::NS => 0,
            _ => return None,
        };
        rr.rdata.get(skip..).and_then(Name::from_wire).map(|(target, _)| target)
    })
}

/// The addresses of hosts, as far as they are in this zone.
fn addresses(hosts: impl Iterator<Item = Name>, table: &View) -> Vec<Rr<'_>> {
    let mut seen = HashSet::new();
    let mut families = [Vec::new(), Vec::new()];
    for host in hosts {
        let Some(entry) = table.get(host.folded().wire()) else { continue };
        let owner = Owner::Name(host);
        if !seen.insert(owner.clone()) {
            continue;
        }
        for (section, rtype) in families.iter_mut().zip([rtype::A, rtype::AAAA]) {
            entry.set(rtype).into_iter().for_each(|set| push(section, &owner, set, Rotation::FIXED));
        }
    }
    families.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
