//! The hot path: a query as bytes in, a response as bytes out, from packed entries, without an allocation. Pure.
//!
//! It answers what real clients send: one question of class IN about a name in one of our zones or in none, with or
//! without EDNS, whatever its options; cookies and the server's name are answered here. Everything else is for
//! [`crate::dns::serve`], which gives the same answers where both can (a property test compares them): other opcodes
//! and classes, transfers, ANY, aliases, delegations, redirections, wildcards, and everything malformed.
//!
//! The work is parted into [`parse`], [`ZoneStates::zone_of`], [`ZoneStates::candidate`] and [`respond`], so that a
//! batch of queries can go through one step at a time while the memory of the next is on its way: a name in a large
//! zone, asked for out of the blue, is three places in memory one after the other, and each takes longer to come than
//! an answer to write. `query` decides by a query's form, [`respond`] by rights, freshness and what is held at the
//! name, that it is not for here (`Slow`).

mod asked;
mod copy;
mod query;
mod records;
mod writer;

use std::num::NonZeroU32;
use std::ops::Range;

pub use asked::{PendingQuery, Written};
pub use query::{Parsed, Query, parse};
pub use records::ROOM;
use writer::Writer;

use crate::dns::message::options::Tail;
use crate::dns::message::sizes::RA;
pub use crate::dns::message::sizes::{MAX_TCP, MAX_UDP, MIN_UDP};
use crate::dns::serve::answer::{Ede, Rcode};
use crate::dns::serve::gate::Received;
use crate::dns::serve::policy::{CookieVerdict, OptionVerdict, Policy};
use crate::dns::serve::rate::RrlAction;
use crate::zone::exceptions::Exceptions;
use crate::zone::hash_table::Bucket;
use crate::zone::order::{Order, Rotation};
use crate::zone::packed::Packed;
use crate::zone::record::rtype;
use crate::zone::view::View;
use crate::zone::{Freshness, Zone, Zones};

/// Bytes of an entry that are asked for ahead: cache lines with the name, the directory and ten addresses.
const LINES: usize = 2 * 64;
/// The same for ten SRV records and their glue.
const LINES_OF_SRV: usize = 6 * 64;

/// One state of every zone. Hold it for one batch.
pub struct ZoneStates<'z> {
    zones: &'z Zones,
    policy: &'z Policy,
    /// Value of [`Policy::is_open`].
    is_open: bool,
    states: Vec<ZoneState>,
}

/// One state of a zone.
pub struct ZoneState {
    table: View,
    freshness: Freshness,
    /// True if some names are stale where the zone is not.
    is_partly_stale: bool,
    /// True if positive answers leave out the zone's NS records.
    is_minimal: bool,
    order: Order,
    /// True if what is held at a name is the answer, and nothing else is to be said: it is fresh. What lies at or below
    /// a cut is not found here ([`View::get_hashed`]).
    is_plain: bool,
    /// True if, then, what is held at no name is nowhere: there are no cuts and no wildcards, and nothing is unknown.
    is_all: bool,
}

/// Number of the zone in which a query's name is looked for.
#[derive(Debug, Clone, Copy)]
pub struct ZoneNumber(NonZeroU32);

impl ZoneNumber {
    /// The zone at this place. It is kept as one more, so that none takes no more room.
    fn new(zone: usize) -> Option<Self> {
        u32::try_from(zone).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    /// The zone's place.
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The zone's place in [`Zones::iter`] as responses are counted by it: plus one, and 0 for none.
    #[inline]
    pub fn counted(number: Option<Self>) -> usize {
        number.map_or(0, |number| number.0.get() as usize)
    }
}

/// The candidate entry of a query's name, not yet verified: [`respond`] does that.
#[derive(Clone, Copy)]
pub struct Candidate<'t> {
    number: ZoneNumber,
    /// Of the entry.
    length: u32,
    entry: Option<&'t Packed>,
}

impl Candidate<'_> {
    /// Zone of the name.
    pub fn number(self) -> ZoneNumber {
        self.number
    }
}

impl<'z> ZoneStates<'z> {
    /// The state of now, and what holds. `spare` is where an earlier one left its memory.
    pub fn new(zones: &'z Zones, policy: &'z Policy, mut spare: Vec<ZoneState>) -> Self {
        spare.clear();
        spare.extend(zones.iter().map(|zone| {
            let (table, freshness) = (zone.load(), zone.freshness());
            let is_minimal = zone.is_minimal();
            let is_partly_stale = zone.stale().are_there();
            let is_plain = is_minimal && freshness == Freshness::Fresh && !is_partly_stale;
            let is_all = table.exceptions() == Exceptions::default();
            ZoneState { table, freshness, is_partly_stale, is_minimal, order: zone.order(), is_plain, is_all }
        }));
        Self { zones, policy, is_open: policy.is_open(), states: spare }
    }

    /// Gives the memory back for the next.
    pub fn into_spare(mut self) -> Vec<ZoneState> {
        self.states.clear();
        self.states
    }

    /// The zone that a query is about; none when that is none of ours.
    #[inline]
    pub fn zone_of(&self, query: &Query) -> Option<ZoneNumber> {
        let name = query.name();
        let zone = self.zones.iter().position(|zone| {
            let origin = zone.origin().wire();
            let Some(start) = name.len().checked_sub(origin.len()) else { return false };
            query.labels[start / 64] >> (start % 64) & 1 == 1 && copy::is_same(&name[start..], origin)
        })?;
        ZoneNumber::new(zone)
    }

    /// The memory that [`Self::candidate`] will read.
    #[inline]
    pub fn near(&self, number: ZoneNumber, query: &Query) -> Option<&Bucket> {
        self.states[number.index()].table.near(query.hash)
    }

    /// Finds what a query is about, but does not look at it.
    #[inline]
    pub fn candidate(&self, number: ZoneNumber, query: &Query) -> Candidate<'_> {
        let found = self.states[number.index()].table.candidate(query.hash, query.name());
        Candidate { number, entry: found.map(|(entry, _)| entry), length: found.map_or(0, |(_, length)| length) }
    }

    /// Finds what a query is about; none when it is about no zone of ours.
    pub fn find(&self, query: &Query) -> Option<Candidate<'_>> {
        self.zone_of(query).map(|number| self.candidate(number, query))
    }

    /// Verifies that a candidate has the query's name, and looks further where it has not: names that differ may have
    /// one hash.
    fn verified<'t>(&'t self, candidate: Candidate<'t>, query: &Query) -> Candidate<'t> {
        match candidate.entry {
            Some(entry) if !copy::is_same(entry.name(), query.name()) => Candidate {
                entry: self.states[candidate.number.index()].table.get_hashed(query.hash, query.name()),
                ..candidate
            },
            _ => candidate,
        }
    }
}

/// Start of the memory that [`build`] will read of what was found, for the prefetch of a batch.
pub fn first_line_of(candidate: Option<Candidate<'_>>) -> Option<*const u8> {
    Some(candidate?.entry?.memory(1).start)
}

/// The memory that it will read after that: the name, the directory and the records. Addresses come before everything,
/// and ten SRV records with their glue fit in the larger.
pub fn other_lines_of(candidate: Option<Candidate<'_>>, query: &Query) -> Option<Range<*const u8>> {
    let Candidate { entry, length, .. } = candidate?;
    let most = if query.rtype == rtype::SRV { LINES_OF_SRV } else { LINES };
    let memory = entry?.memory((length as usize).min(most));
    Some(memory.start.wrapping_add(64)..memory.end)
}

/// A query of which the hot path has found that it is not its own, with what was read of it: nothing, or all.
pub fn hand_over(parsed: Parsed, packet: &[u8], query: &Query) -> Received {
    let request = if parsed == Parsed::Plain { query.request(packet) } else { None };
    request.map_or_else(|| Received::Packet(packet.to_vec()), Received::Request)
}

/// Writes the response to a query into `out`, which must hold [`MAX_UDP`] bytes for UDP and [`MAX_TCP`] for TCP. With
/// less than [`ROOM`] some answers take longer. `tail` is room for options, whatever is in it.
pub fn respond<'t>(
    loaded: &'t ZoneStates<'_>,
    asked: &PendingQuery<'_>,
    candidate: Option<Candidate<'t>>,
    tail: &mut Tail,
    out: &mut [u8],
) -> Written {
    tail.clear();
    if loaded.is_open && !asked.query.asks {
        return write(loaded, asked, candidate, &[], out);
    }
    respond_checked(loaded, asked, candidate, tail, out)
}

/// Writes the response to a query where rights are restricted, or where it has options that are looked at.
#[inline(never)]
fn respond_checked<'t>(
    loaded: &'t ZoneStates<'_>,
    asked: &PendingQuery<'_>,
    candidate: Option<Candidate<'t>>,
    tail: &mut Tail,
    out: &mut [u8],
) -> Written {
    let (policy, peer, now) = (loaded.policy, (asked.peer)(), (asked.now)());
    if !policy.may_query(&peer) {
        return Written::Slow;
    }
    let options = asked.query.edns.as_ref().map(|edns| &edns.options);
    let OptionVerdict { stance, is_proven } = policy.judge(options, &peer, asked.transport, now, tail);
    let recurses = policy.may_recurse(&peer);
    // Outside the zones, and recursion is desired (RD): it is forwarded.
    if recurses && stance == CookieVerdict::Answer && candidate.is_none() && asked.packet[2] & 0x01 != 0 {
        return Written::Slow;
    }
    let built = match stance {
        CookieVerdict::Answer => write(loaded, asked, candidate, tail.as_bytes(), &mut *out),
        CookieVerdict::BadCookie => bare(asked, tail, &mut *out, Rcode::BadCookie, false),
        CookieVerdict::Truncate => bare(asked, tail, &mut *out, Rcode::NoError, true),
    };
    // What is not for here is counted where it is answered.
    if built == Written::Slow {
        return built;
    }
    let built = match policy.bound(&peer, is_proven, now) {
        RrlAction::Send => built,
        RrlAction::Drop => Written::Limited,
        RrlAction::Slip => match bare(asked, tail, &mut *out, Rcode::NoError, true) {
            Written::Response { length, .. } => Written::Slip { length },
            _ => Written::Limited,
        },
    };
    if let Some(log) = &policy.query_log {
        log.note(peer, asked.transport, (asked.query.name(), asked.query.rtype), built.outcome());
    }
    if built == Written::Limited {
        return built;
    }
    if recurses {
        out[3] |= RA;
    }
    built
}

/// Writes the question alone, with a code or TC.
fn bare(asked: &PendingQuery<'_>, tail: &Tail, out: &mut [u8], rcode: Rcode, truncated: bool) -> Written {
    match Writer::new(asked, tail.as_bytes(), out) {
        Some(mut writer) => writer.finish(rcode, false, truncated, None),
        None => Written::Slow,
    }
}

/// Writes the answer, with `options`: at once where it is what is held at the name, which most are.
#[inline(always)]
#[allow(clippy::inline_always)] // once for each of two
fn write<'t>(
    loaded: &'t ZoneStates<'_>,
    asked: &PendingQuery<'_>,
    candidate: Option<Candidate<'t>>,
    options: &[u8],
    out: &mut [u8],
) -> Written {
    let PendingQuery { query, random, .. } = *asked;
    let plain = candidate.and_then(|Candidate { number, entry, .. }| Some((loaded.states.get(number.index())?, entry)));
    match plain.filter(|(state, _)| state.is_plain) {
        Some((state, Some(entry))) if copy::is_same(entry.name(), query.name()) => match entry.row(query.rtype) {
            Some(row) if row.count <= loaded.policy.most(query.rtype) => {
                if let Some(mut writer) = Writer::new(asked, options, &mut *out)
                    && writer.has_put_row(row, Rotation::new(state.order, random), None)
                {
                    return writer.finish(Rcode::NoError, true, false, None);
                }
            }
            None if !entry.is_alias_or_unknown() => {
                return write_nothing(state, asked, options, out, Rcode::NoError);
            }
            _ => {}
        },
        Some((state, None)) if state.is_all => return write_nothing(state, asked, options, out, Rcode::NxDomain),
        _ => {}
    }
    match Writer::new(asked, options, out) {
        Some(mut writer) => build(loaded, asked, candidate, &mut writer),
        None => Written::Slow,
    }
}

/// Writes that there is nothing.
#[inline(never)]
fn write_nothing(state: &ZoneState, asked: &PendingQuery<'_>, options: &[u8], out: &mut [u8], rcode: Rcode) -> Written {
    // At an apex it is the parent zone's to answer (RFC 4035 §3.1.4.1).
    if asked.query.rtype == rtype::DS {
        return Written::Slow;
    }
    match Writer::new(asked, options, out) {
        Some(mut writer) => writer.negative(&state.table, rcode, None),
        None => Written::Slow,
    }
}

/// Returns whether a name may be the zone file's, and answered whatever is not known of a registry.
fn is_fixed(zone: &Zone, name: &[u8]) -> bool {
    zone.fixed().is_some_and(|fixed| {
        let names = fixed.load();
        names.get(name).is_some() || names.concerns(name)
    })
}

/// Writes whatever answer.
#[inline(never)]
fn build<'t>(
    loaded: &'t ZoneStates<'_>,
    asked: &PendingQuery<'_>,
    candidate: Option<Candidate<'t>>,
    writer: &mut Writer<'_>,
) -> Written {
    let PendingQuery { query, random, transport, .. } = *asked;
    let Some(Candidate { number, entry, .. }) = candidate.map(|candidate| loaded.verified(candidate, query)) else {
        let why = loaded.policy.why_outside(asked.packet[2] & 0x01 != 0, &(asked.peer)());
        return writer.finish(Rcode::Refused, false, false, Some(why));
    };
    let ZoneState { table, freshness, is_partly_stale, is_minimal, order, .. } = &loaded.states[number.index()];
    let turn = Rotation::new(*order, random);
    let is_ours = || loaded.zones.get(number.index()).is_some_and(|zone| is_fixed(zone, query.name()));
    let stale = match freshness {
        Freshness::Loading | Freshness::Expired if is_ours() => return Written::Slow,
        Freshness::Loading => return writer.finish(Rcode::ServFail, false, false, Some(Ede::NotReady)),
        Freshness::Expired => {
            return writer.finish(Rcode::ServFail, false, false, Some(Ede::NoReachableAuthority));
        }
        Freshness::Stale => true,
        Freshness::Fresh => false,
    };
    let covers = || loaded.zones.get(number.index()).is_some_and(|zone| zone.stale().cover(query.name()));
    if *is_partly_stale && covers() {
        return Written::Slow;
    }
    if entry.is_none() && table.exceptions() != Exceptions::default() && table.concerns(query.name()) {
        return Written::Slow;
    }
    let set = entry.and_then(|entry| Some((entry.row(query.rtype)?, entry.set(query.rtype)?)));
    match (&set, entry) {
        (Some(_), _) if !is_minimal => Written::Slow,
        (Some((_, set)), _) if set.count > loaded.policy.most(set.rtype) => {
            writer.some(set, turn, loaded.policy.most(set.rtype), transport, stale.then_some(Ede::StaleAnswer))
        }
        (Some((row, set)), _) => writer.positive((*row, set), turn, transport, stale.then_some(Ede::StaleAnswer)),
        (None, Some(entry)) if entry.is_alias_or_unknown() || query.rtype == rtype::DS => Written::Slow,
        (None, Some(_)) => writer.negative(table, Rcode::NoError, stale.then_some(Ede::StaleAnswer)),
        (None, None) => writer.negative(table, Rcode::NxDomain, stale.then_some(Ede::StaleNxDomain)),
    }
}
