//! The hot path: a query as bytes in, a response as bytes out, from packed entries, without an allocation. Pure.
//!
//! It answers what real clients send: one question of class IN about a name in one of our zones or in none, with or
//! without EDNS, whatever its options; cookies and the server's name are answered here. Everything else is for [`super::handler`], which gives the same answers where
//! both can (a property test compares them): other opcodes and classes, transfers, ANY, aliases, delegations,
//! redirections, wildcards, and everything malformed.
//!
//! The work is parted into [`parse`], [`Loaded::aim`], [`Loaded::guess`] and [`respond`], so that a batch of queries can go
//! through one step at a time while the memory of the next is on its way: a name in a large zone, asked for out of the
//! blue, is three places in memory one after the other, and each takes longer to come than an answer to write.

use std::net::IpAddr;
use std::time::Duration;

use super::answer::{Extended, Rcode};
use super::options::{Options, Tail};
use super::policy::{Judgement, Policy, Stance};
use super::rate::Fate;
use crate::zone::hashed::Place;
use crate::zone::index::{self, Cuts};
use crate::zone::packed::{PLAIN_ROW, Packed, PackedSet, RR_HEAD};
use crate::zone::record::rtype;
use crate::zone::view::View;
use crate::zone::{Freshness, Zone, Zones};

/// What is announced as, and kept to as, the largest UDP message (DNS flag day 2020: it never fragments).
pub const MAX_UDP: usize = 1232;
/// RA, in the fourth byte of a message: recursion is to be had here.
pub const RA: u8 = 0x80;
/// Without EDNS (RFC 1035 §4.2.1).
pub const MIN_UDP: usize = 512;
/// A TCP message (RFC 1035 §4.2.2).
pub const MAX_TCP: usize = 65_535;

/// Bytes of an entry that are asked for ahead: cache lines with the name, the directory and ten addresses.
const LINES: usize = 4 * 64;
/// The same for ten SRV records and their glue.
const LINES_OF_SRV: usize = 12 * 64;

const HEADER: usize = 12;
/// Bytes of an OPT record without options.
const OPT: usize = 11;
/// Bytes of an extended error without text, as an option.
const EXTENDED: usize = 6;
/// An address record whose owner is a pointer.
const V4_RECORD: usize = RR_HEAD + 4;
const V6_RECORD: usize = RR_HEAD + 16;

/// What a packet asks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The name in wire form and lower case, and its length.
    name: [u8; 255],
    name_length: u8,
    /// A bit for each byte of the name at which a label begins.
    labels: [u64; 4],
    hash: u64,
    rtype: u16,
    edns: Option<Edns>,
}

/// What the OPT record of a query says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edns {
    payload: u16,
    pub(super) dnssec_ok: bool,
    pub(super) options: Options,
}

impl Default for Query {
    fn default() -> Self {
        Self { name: [0; 255], name_length: 1, labels: [1, 0, 0, 0], hash: 0, rtype: 0, edns: None }
    }
}

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// It is in the [`Query`].
    Plain,
    /// It is not for the hot path.
    Unusual,
    /// No query at all: too short, or a response. Nobody is answered.
    Drop,
}

impl Query {
    /// The name in wire form and lower case.
    pub fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.name_length)]
    }

    fn question_end(&self) -> usize {
        HEADER + usize::from(self.name_length) + 4
    }
}

/// Reads a packet into `query`.
pub fn parse(packet: &[u8], query: &mut Query) -> Parsed {
    let Some((header, rest)) = packet.split_first_chunk::<HEADER>() else { return Parsed::Drop };
    let flags = u16::from_be_bytes([header[2], header[3]]);
    if flags & 0x8000 != 0 {
        return Parsed::Drop;
    }
    // A query (opcode 0) that is not truncated, with one question, no answer, no authority, and at most an OPT.
    if flags & 0x7a00 != 0 || header[4..10] != [0, 1, 0, 0, 0, 0] || header[10] != 0 || header[11] > 1 {
        return Parsed::Unusual;
    }
    let Some(length) = fold(rest, query) else { return Parsed::Unusual };
    let Some(&[high, low, class_high, class_low]) = rest[length..].first_chunk::<4>() else { return Parsed::Unusual };
    query.rtype = u16::from_be_bytes([high, low]);
    // Class IN; no meta types (RFC 6895 §3.1), which are OPT and 128 to 255.
    if [class_high, class_low] != [0, 1] || query.rtype == rtype::OPT || (128..256).contains(&query.rtype) {
        return Parsed::Unusual;
    }
    let rest = &rest[length + 4..];
    query.edns = None;
    if header[11] == 0 {
        return if rest.is_empty() { Parsed::Plain } else { Parsed::Unusual };
    }
    match parse_opt(rest) {
        Some(edns) => query.edns = Some(edns),
        None => return Parsed::Unusual,
    }
    Parsed::Plain
}

/// Copies the name at the start of `bytes` in lower case, and notes where its labels begin. Gives its length; none when
/// it is malformed or compressed.
fn fold(bytes: &[u8], query: &mut Query) -> Option<usize> {
    query.labels = [0; 4];
    let mut end = 0;
    loop {
        let length = usize::from(*bytes.get(end)?);
        if length > 63 {
            return None;
        }
        query.labels[end / 64] |= 1 << (end % 64);
        end += 1 + length;
        // 255 bytes with the root's label, which is one.
        if end > 255 {
            return None;
        }
        if length == 0 {
            break;
        }
    }
    let name = &mut query.name[..end];
    // All at once: the lengths are no letters, as all of them are below `A`.
    for (to, from) in name.iter_mut().zip(&bytes[..end]) {
        *to = from.to_ascii_lowercase();
    }
    query.hash = index::hash(name);
    query.name_length = u8::try_from(end).ok()?;
    Some(end)
}

/// Reads an OPT record of version 0 that ends the message and whose options are well-formed.
pub(super) fn parse_opt(bytes: &[u8]) -> Option<Edns> {
    let (head, options) = bytes.split_first_chunk::<OPT>()?;
    let &[0, 0, 41, size_high, size_low, 0, 0, flags, _, length_high, length_low] = head else { return None };
    if options.len() != usize::from(u16::from_be_bytes([length_high, length_low])) {
        return None;
    }
    Some(Edns {
        payload: u16::from_be_bytes([size_high, size_low]),
        dnssec_ok: flags & 0x80 != 0,
        options: Options::read(options)?,
    })
}

/// One state of every zone. Hold it for one batch.
pub struct Loaded<'z> {
    zones: &'z Zones,
    tables: Vec<View>,
}

/// Where it will be looked for what a query is about: in which zone.
#[derive(Debug, Clone, Copy)]
pub struct Aim(usize);

/// What a query is about, most likely: [`respond`] makes sure.
#[derive(Clone, Copy)]
pub struct Subject<'t> {
    zone: usize,
    entry: Option<&'t Packed>,
}

impl<'z> Loaded<'z> {
    /// The state of now. `spare` is where an earlier one left its memory.
    pub fn new(zones: &'z Zones, mut spare: Vec<View>) -> Self {
        spare.clear();
        spare.extend(zones.iter().map(|zone| zone.load()));
        Self { zones, tables: spare }
    }

    /// Gives the memory back for the next.
    pub fn into_spare(mut self) -> Vec<View> {
        self.tables.clear();
        self.tables
    }

    /// The zone that a query is about; none when that is none of ours.
    pub fn aim(&self, query: &Query) -> Option<Aim> {
        let name = query.name();
        let zone = self.zones.iter().position(|zone| {
            let origin = zone.origin().wire();
            let Some(start) = name.len().checked_sub(origin.len()) else { return false };
            query.labels[start / 64] >> (start % 64) & 1 == 1 && name[start..] == *origin
        })?;
        Some(Aim(zone))
    }

    /// The memory that [`Self::guess`] will read.
    pub fn near(&self, aim: Aim, query: &Query) -> &[Place] {
        self.tables[aim.0].near(query.hash)
    }

    /// Finds what a query is about, but does not look at it.
    pub fn guess(&self, aim: Aim, query: &Query) -> Subject<'_> {
        Subject { zone: aim.0, entry: self.tables[aim.0].guess(query.hash, query.name()) }
    }

    /// Finds what a query is about; none when it is about no zone of ours.
    pub fn find(&self, query: &Query) -> Option<Subject<'_>> {
        self.aim(query).map(|aim| self.guess(aim, query))
    }

    /// What `subject` was taken for: names of which all are different may have one hash.
    fn settle<'t>(&'t self, subject: Subject<'t>, query: &Query) -> Subject<'t> {
        match subject.entry {
            Some(entry) if entry.name() != query.name() => {
                Subject { entry: self.tables[subject.zone].get_hashed(query.hash, query.name()), ..subject }
            }
            _ => subject,
        }
    }
}

/// The memory that [`build`] will read of what was found, for the prefetch of a batch: the name, the directory and the
/// records. Addresses come before everything, and ten SRV records with their glue fit in the larger.
pub fn lines_of<'s>(subject: Option<Subject<'s>>, query: &Query) -> Option<&'s [u8]> {
    let bytes = subject?.entry?.bytes();
    let most = if query.rtype == rtype::SRV { LINES_OF_SRV } else { LINES };
    Some(&bytes[..bytes.len().min(most)])
}

/// What became of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// A response of this length, for the record.
    Response {
        /// Bytes written.
        length: usize,
        /// Its code.
        rcode: Rcode,
        /// Whether TC is set.
        truncated: bool,
        /// Whether it has an extended error.
        extended: bool,
    },
    /// A response of this length that is cut, since its network got too many.
    Slip {
        /// Bytes written.
        length: usize,
    },
    /// It is not answered, since its network got too many.
    Limited,
    /// It is not for the hot path after all.
    Unusual,
}

/// A query on its way to its response.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The message.
    pub packet: &'a [u8],
    /// What was read from it.
    pub query: &'a Query,
    /// Who sent it.
    pub peer: IpAddr,
    /// How it came.
    pub is_udp: bool,
    /// Where RRsets begin.
    pub turn: usize,
}

/// Writes the response to a query into `out`, which must hold [`MAX_UDP`] bytes for UDP and [`MAX_TCP`] for TCP. `now` is
/// the time since 1970; `tail` is room for options, whatever is in it.
pub fn respond<'t>(
    loaded: &'t Loaded<'_>,
    policy: &Policy,
    asked: Asked<'_>,
    subject: Option<Subject<'t>>,
    now: Duration,
    tail: &mut Tail,
    out: &mut [u8],
) -> Built {
    if !policy.may_query(asked.peer) {
        return Built::Unusual;
    }
    let options = asked.query.edns.as_ref().map(|edns| &edns.options);
    let Judgement { stance, is_proven } = policy.judge(options, asked.peer, asked.is_udp, now, tail);
    let recurses = policy.may_recurse(asked.peer);
    // Outside the zones, and recursion is desired (RD): it is forwarded.
    if recurses && stance == Stance::Answer && subject.is_none() && asked.packet[2] & 0x01 != 0 {
        return Built::Unusual;
    }
    let Some(writer) = Writer::new(asked, tail.as_bytes(), &mut *out) else { return Built::Unusual };
    let built = match stance {
        Stance::Answer => build(loaded, policy, asked, subject, writer),
        Stance::BadCookie => writer.finish(Rcode::BadCookie, false, false, None),
        Stance::Truncate => writer.cut(),
    };
    // What is not for here is counted where it is answered.
    if built == Built::Unusual {
        return built;
    }
    let built = match policy.bound(asked.peer, is_proven, now) {
        Fate::Send => built,
        Fate::Drop => return Built::Limited,
        Fate::Slip => match Writer::new(asked, tail.as_bytes(), &mut *out).map(Writer::cut) {
            Some(Built::Response { length, .. }) => Built::Slip { length },
            _ => return Built::Limited,
        },
    };
    if recurses {
        out[3] |= RA;
    }
    built
}

fn build<'t>(
    loaded: &'t Loaded<'_>,
    policy: &Policy,
    asked: Asked<'_>,
    subject: Option<Subject<'t>>,
    writer: Writer<'_>,
) -> Built {
    let Asked { query, turn, is_udp, .. } = asked;
    let Some(Subject { zone: index, entry }) = subject.map(|subject| loaded.settle(subject, query)) else {
        let why = policy.why_outside(asked.packet[2] & 0x01 != 0, asked.peer);
        return writer.finish(Rcode::Refused, false, false, Some(why));
    };
    let Some(zone) = loaded.zones.get(index) else { return Built::Unusual };
    let table = &loaded.tables[index];
    let stale = match zone.freshness() {
        Freshness::Loading => return writer.finish(Rcode::ServFail, false, false, Some(Extended::NotReady)),
        Freshness::Expired => {
            return writer.finish(Rcode::ServFail, false, false, Some(Extended::NoReachableAuthority));
        }
        Freshness::Stale => true,
        Freshness::Fresh => false,
    };
    let cuts = table.cuts();
    if cuts.delegations > 0 || cuts.redirections > 0 || (cuts != Cuts::default() && entry.is_none()) {
        return Built::Unusual;
    }
    match entry.map(|entry| (entry, entry.set(query.rtype))) {
        Some((_, Some(set))) if set.count > policy.most(set.rtype) => {
            writer.some(set, turn, policy.most(set.rtype), is_udp, stale.then_some(Extended::StaleAnswer))
        }
        Some((_, Some(set))) => writer.positive(set, turn, is_udp, stale.then_some(Extended::StaleAnswer)),
        Some((entry, None)) if entry.set(rtype::CNAME).is_some() => Built::Unusual,
        Some(_) => writer.negative(zone, table, Rcode::NoError, stale.then_some(Extended::StaleAnswer)),
        None => writer.negative(zone, table, Rcode::NxDomain, stale.then_some(Extended::StaleNxDomain)),
    }
}

/// Writes one response.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    query: &'a Query,
    /// The options of its OPT, but for an extended error.
    options: &'a [u8],
    answers: usize,
    authority: usize,
    additionals: usize,
}

impl<'a> Writer<'a> {
    /// Begins with the question, in the room that the client has; none where there is less.
    fn new(asked: Asked<'a>, options: &'a [u8], out: &'a mut [u8]) -> Option<Self> {
        let Asked { packet, query, is_udp, .. } = asked;
        // By reference, here and below: what is known of options is too long to be copied for one number.
        let limit = match (is_udp, &query.edns) {
            (false, _) => MAX_TCP,
            (true, Some(edns)) => usize::from(edns.payload).clamp(MIN_UDP, MAX_UDP),
            (true, None) => MIN_UDP,
        };
        let end = query.question_end();
        let out = out.get_mut(..limit)?;
        out[..end].copy_from_slice(&packet[..end]);
        Some(Self { out, at: end, query, options, answers: 0, authority: 0, additionals: 0 })
    }

    /// What OPT will take.
    fn reserve(&self, extended: Option<Extended>) -> usize {
        match (&self.query.edns, extended) {
            (None, _) => 0,
            (Some(_), None) => OPT + self.options.len(),
            (Some(_), Some(_)) => OPT + self.options.len() + EXTENDED,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// The same, in moves of a size that is known beforehand.
    fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(to) = self.out[self.at..].first_chunk_mut::<N>() {
            *to = bytes;
            self.at += N;
        }
    }

    fn positive(mut self, set: PackedSet<'_>, turn: usize, is_udp: bool, extended: Option<Extended>) -> Built {
        // The records that are named by others have more to say than what is packed.
        if matches!(set.rtype, rtype::MX | rtype::NS | rtype::SVCB | rtype::HTTPS) {
            return Built::Unusual;
        }
        let limit = self.out.len() - self.reserve(extended);
        if self.at + set.body.len() > limit {
            return if is_udp { self.finish(Rcode::NoError, true, true, extended) } else { Built::Unusual };
        }
        let start = set.start(turn);
        let split = set.offset(start);
        let answers = self.at;
        self.put(&set.body[split..]);
        self.put(&set.body[..split]);
        self.answers = set.count;
        if set.rtype == rtype::SRV {
            match set.plain_glue() {
                Some(rows) => self.plain_glue(set, rows, (start, split), answers, limit),
                None => self.glue(set, start, answers, limit),
            }
        }
        self.finish(Rcode::NoError, true, false, extended)
    }

    /// So many of the records, from the one that `turn` begins with on.
    fn some(mut self, set: PackedSet<'_>, turn: usize, most: usize, is_udp: bool, extended: Option<Extended>) -> Built {
        let limit = self.out.len() - self.reserve(extended);
        let begin = self.at;
        for rdata in set.rotated(turn).take(most) {
            if self.at + RR_HEAD + rdata.len() > limit {
                self.at = begin;
                return if is_udp { self.finish(Rcode::NoError, true, true, extended) } else { Built::Unusual };
            }
            // The question's name; data of this length is an address.
            self.put(&[0xc0, 0x0c]);
            self.put(&set.rtype.to_be_bytes());
            self.put(&[0, 1]);
            self.put(&set.ttl.to_be_bytes());
            self.put(&u16::try_from(rdata.len()).unwrap_or_default().to_be_bytes());
            self.put(rdata);
        }
        self.answers = most;
        self.finish(Rcode::NoError, true, false, extended)
    }

    /// The addresses of the SRV records just written, the first of them at `answers`: all A, then all AAAA, each
    /// owner a pointer to the target it belongs to. What does not fit is left out by RRsets.
    fn glue(&mut self, set: PackedSet<'_>, start: usize, answers: usize, limit: usize) {
        for is_v6 in [false, true] {
            if is_v6 && !set.has_v6() {
                return;
            }
            let mut seen = Seen::new(set.has_shared_targets());
            let mut target = answers;
            let rotated = set.glue().skip(start).chain(set.glue().take(start));
            for glue in rotated {
                let owner = target + RR_HEAD + 6;
                target += RR_HEAD + usize::from(u16::from_be_bytes([self.out[target + 10], self.out[target + 11]]));
                let (rtype, addresses, size, record) =
                    if is_v6 { (rtype::AAAA, glue.v6, 16, V6_RECORD) } else { (rtype::A, glue.v4, 4, V4_RECORD) };
                if addresses.is_empty() || !seen.insert(glue.group) {
                    continue;
                }
                // A pointer has 14 bits; beyond them, as beyond the limit, no more is said.
                let Some(pointer) = u16::try_from(owner).ok().filter(|pointer| *pointer < 0x4000) else { return };
                if self.at + addresses.len() / size * record > limit {
                    return;
                }
                let mut head = [0; RR_HEAD];
                head[..2].copy_from_slice(&(0xc000 | pointer).to_be_bytes());
                head[2..4].copy_from_slice(&rtype.to_be_bytes());
                head[5] = 1;
                head[6..10].copy_from_slice(&set.ttl.to_be_bytes());
                head[11] = if is_v6 { 16 } else { 4 };
                if is_v6 {
                    addresses.as_chunks::<16>().0.iter().for_each(|address| self.address(head, *address));
                } else {
                    addresses.as_chunks::<4>().0.iter().for_each(|address| self.address(head, *address));
                }
            }
        }
    }

    /// The same where every target has one IPv4 address and nothing else: nothing to look out for, and moves of a size that
    /// is known beforehand. `start` is the record that was written first, and where in the body it is.
    fn plain_glue(
        &mut self,
        set: PackedSet<'_>,
        rows: &[[u8; PLAIN_ROW]],
        (start, split): (usize, usize),
        answers: usize,
        limit: usize,
    ) {
        let Some((before, from)) = rows.split_at_checked(start) else { return };
        let mut head = [0; RR_HEAD];
        head[3] = 1;
        head[5] = 1;
        head[6..10].copy_from_slice(&set.ttl.to_be_bytes());
        head[11] = 4;
        let mut target = answers;
        // Lengths are read where the records came from: what was just written is still on its way to memory.
        for (rows, mut source) in [(from, split), (before, 0)] {
            for &[_, _, _, _, a, b, c, d] in rows {
                let Some(&[high, low]) = set.body.get(source + 10..).and_then(|rest| rest.first_chunk()) else {
                    return;
                };
                let size = RR_HEAD + usize::from(u16::from_be_bytes([high, low]));
                let owner = u16::try_from(target + RR_HEAD + 6).unwrap_or(u16::MAX);
                if owner >= 0x4000 || self.at + V4_RECORD > limit {
                    return;
                }
                head[..2].copy_from_slice(&(0xc000 | owner).to_be_bytes());
                self.address(head, [a, b, c, d]);
                source += size;
                target += size;
            }
        }
    }

    /// One address record, in moves of a size that is known beforehand.
    fn address<const N: usize>(&mut self, head: [u8; RR_HEAD], address: [u8; N]) {
        if let Some((to_head, rest)) = self.out[self.at..].split_first_chunk_mut::<RR_HEAD>()
            && let Some(to_address) = rest.first_chunk_mut::<N>()
        {
            *to_head = head;
            *to_address = address;
            self.at += RR_HEAD + N;
            self.additionals += 1;
        }
    }

    fn negative(mut self, zone: &Zone, table: &View, rcode: Rcode, extended: Option<Extended>) -> Built {
        let origin = zone.origin().wire();
        let soa = table.apex().and_then(|apex| apex.set(rtype::SOA));
        let Some((set, rdata)) = soa.and_then(|set| Some((set, set.iter().next()?))) else { return Built::Unusual };
        if self.at + RR_HEAD + rdata.len() > self.out.len() - self.reserve(extended) {
            return Built::Unusual;
        }
        // The apex is a suffix of the question.
        let apex = HEADER + usize::from(self.query.name_length) - origin.len();
        let minimum = rdata.last_chunk::<4>().map_or(set.ttl, |minimum| u32::from_be_bytes(*minimum));
        let mut head = [0; RR_HEAD];
        head[..2].copy_from_slice(&(0xc000 | u16::try_from(apex).unwrap_or_default()).to_be_bytes());
        head[2..4].copy_from_slice(&rtype::SOA.to_be_bytes());
        head[5] = 1;
        head[6..10].copy_from_slice(&set.ttl.min(minimum).to_be_bytes());
        head[10..].copy_from_slice(&u16::try_from(rdata.len()).unwrap_or_default().to_be_bytes());
        self.put_array(head);
        self.put(rdata);
        self.authority = 1;
        self.finish(rcode, true, false, extended)
    }

    /// The question alone, with TC.
    fn cut(self) -> Built {
        self.finish(Rcode::NoError, false, true, None)
    }

    fn finish(mut self, rcode: Rcode, authoritative: bool, truncated: bool, extended: Option<Extended>) -> Built {
        let mut counts = [self.answers, self.authority, self.additionals];
        if let Some(edns) = &self.query.edns {
            let mut opt = [0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0];
            #[allow(clippy::cast_possible_truncation)] // a constant
            opt[3..5].copy_from_slice(&(MAX_UDP as u16).to_be_bytes());
            opt[5] = rcode.high_bits();
            opt[7] = u8::from(edns.dnssec_ok) << 7;
            let length = self.options.len() + if extended.is_some() { EXTENDED } else { 0 };
            opt[9..].copy_from_slice(&u16::try_from(length).unwrap_or_default().to_be_bytes());
            self.put_array(opt);
            if !self.options.is_empty() {
                self.put(self.options);
            }
            if let Some(extended) = extended {
                self.put(&[0, 15, 0, 2]);
                self.put(&extended.code().to_be_bytes());
            }
            counts[2] += 1;
        }
        // RD and CD are the asker's; QR, AA, TC and the code are ours; RA, Z and AD are never set.
        if let Some(header) = self.out.first_chunk_mut::<HEADER>() {
            header[2] = 0x80 | u8::from(authoritative) << 2 | u8::from(truncated) << 1 | (header[2] & 1);
            header[3] = (header[3] & 0x10) | rcode.low_bits();
            for (to, count) in header[6..].as_chunks_mut().0.iter_mut().zip(counts) {
                *to = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
            }
        }
        Built::Response { length: self.at, rcode, truncated, extended: extended.is_some() && self.query.edns.is_some() }
    }
}

/// Which targets had their addresses written. Only kept where records share targets, and then for the first thousands
/// of them; beyond, an address may be there twice, which harms nobody.
struct Seen {
    groups: Option<[u64; 64]>,
}

impl Seen {
    fn new(is_kept: bool) -> Self {
        Self { groups: is_kept.then_some([0; 64]) }
    }

    /// Whether it is new.
    fn insert(&mut self, group: u16) -> bool {
        let Some(word) = self.groups.as_mut().and_then(|groups| groups.get_mut(usize::from(group) / 64)) else {
            return true;
        };
        let bit = 1 << (group % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
