//! Writing a response: the question as it came, records from packed ones, the OPT record, the header.

use super::copy::copy;
use super::query::{Edns, Query};
use super::{Asked, Built, HEADER, MAX_TCP, MAX_UDP, MIN_UDP, OPT};
use crate::dns::answer::{Extended, Rcode};
use crate::zone::Zone;
use crate::zone::packed::{Body, Names, PackedSet, RR_HEAD, head_of};
use crate::zone::record::rtype;
use crate::zone::view::View;

/// Bytes of an extended error without text, as an option.
const EXTENDED: usize = 6;
/// An address record whose owner is a pointer.
const V4_RECORD: usize = RR_HEAD + 4;
const V6_RECORD: usize = RR_HEAD + 16;
/// Priority, weight and port.
const SRV_HEAD: usize = 6;
/// Labels and what is before them are mostly no longer than this.
const SHORT: usize = 32;
/// A pointer to the question.
const QUESTION: [u8; 2] = [0xc0, 0x0c];

/// Writes one response.
pub(super) struct Writer<'a> {
    /// More than may be filled, so that short pieces can be written with what is behind them.
    out: &'a mut [u8],
    at: usize,
    /// Where the message must end.
    limit: usize,
    query: &'a Query,
    /// The options of its OPT, but for an extended error.
    options: &'a [u8],
    answers: u16,
    authority: u16,
    additionals: u16,
}

impl<'a> Writer<'a> {
    /// Begins with the question, in the room that the client has; none where there is less.
    pub(super) fn new(asked: &Asked<'a>, options: &'a [u8], out: &'a mut [u8]) -> Option<Self> {
        let Asked { packet, query, is_udp, .. } = *asked;
        // By reference, here and below: what is known of options is too long to be copied for one number.
        let limit = match (is_udp, &query.edns) {
            (false, _) => MAX_TCP,
            (true, Some(edns)) => usize::from(edns.payload).clamp(MIN_UDP, MAX_UDP),
            (true, None) => MIN_UDP,
        };
        let end = query.question_end();
        if out.len() < limit {
            return None;
        }
        copy(out.get_mut(..end)?, packet.get(..end)?);
        Some(Self { out, at: end, limit, query, options, answers: 0, authority: 0, additionals: 0 })
    }

    /// Where records must end, so that there is room for OPT.
    fn end(&self, extended: Option<Extended>) -> usize {
        self.limit
            - match (&self.query.edns, extended) {
                (None, _) => 0,
                (Some(_), None) => OPT + self.options.len(),
                (Some(_), Some(_)) => OPT + self.options.len() + EXTENDED,
            }
    }

    fn put(&mut self, bytes: &[u8]) {
        copy(&mut self.out[self.at..self.at + bytes.len()], bytes);
        self.at += bytes.len();
    }

    /// The same, in moves of a size that is known beforehand.
    fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(to) = self.out[self.at..].first_chunk_mut::<N>() {
            *to = bytes;
            self.at += N;
        }
    }

    pub(super) fn positive(
        &mut self,
        set: &PackedSet<'_>,
        turn: usize,
        is_udp: bool,
        extended: Option<Extended>,
    ) -> Built {
        // The records that are named by others have more to say than what is packed.
        if matches!(set.rtype, rtype::MX | rtype::NS | rtype::SVCB | rtype::HTTPS) {
            return Built::Unusual;
        }
        let end = self.end(extended);
        let start = set.start(turn);
        let has_room = |size: usize| self.at + size <= end;
        match set.body {
            Body::V4(addresses) if has_room(addresses.len() * V4_RECORD) => {
                self.addresses::<4, V4_RECORD>(set, addresses, start);
            }
            Body::Names(names) if has_room(set.wire_size()) => {
                let answers = self.at;
                self.names(set, names, start);
                match set.glue.plain() {
                    Some(addresses) => self.plain_glue(set, names, addresses, start, answers, end),
                    None => self.glue(set, names, start, answers, end),
                }
            }
            Body::V6(addresses) if has_room(set.wire_size()) => {
                self.addresses::<16, V6_RECORD>(set, addresses, start);
            }
            Body::Plain(_) if has_room(set.wire_size()) => {
                set.rotated(turn).for_each(|rdata| self.record(set, &rdata));
            }
            _ if is_udp => return self.finish(Rcode::NoError, true, true, extended),
            _ => return Built::Unusual,
        }
        self.answers = records(set.count);
        self.finish(Rcode::NoError, true, false, extended)
    }

    /// So many of the records, from the one that `turn` begins with on.
    pub(super) fn some(
        &mut self,
        set: &PackedSet<'_>,
        turn: usize,
        most: usize,
        is_udp: bool,
        extended: Option<Extended>,
    ) -> Built {
        let end = self.end(extended);
        let begin = self.at;
        // Only addresses are limited in number: none of them is put together for this.
        for rdata in set.rotated(turn).take(most) {
            if self.at + RR_HEAD + rdata.len() > end {
                self.at = begin;
                return if is_udp { self.finish(Rcode::NoError, true, true, extended) } else { Built::Unusual };
            }
            self.record(set, &rdata);
        }
        self.answers = records(most);
        self.finish(Rcode::NoError, true, false, extended)
    }

    /// One record of the question's name.
    fn record(&mut self, set: &PackedSet<'_>, rdata: &[u8]) {
        self.put_array(Head::new(QUESTION, set.rtype, set.ttl, rdata.len()).bytes());
        self.put(rdata);
    }

    /// The address records of the question's name, from the one at `start` on and round. There is room for them.
    fn addresses<const N: usize, const RECORD: usize>(
        &mut self,
        set: &PackedSet<'_>,
        addresses: &[[u8; N]],
        start: usize,
    ) {
        let head = Head::new(QUESTION, set.rtype, set.ttl, N).bytes();
        let room = &mut self.out[self.at..][..addresses.len() * RECORD];
        let mut place = start;
        for record in room.as_chunks_mut::<RECORD>().0 {
            record[..RR_HEAD].copy_from_slice(&head);
            record[RR_HEAD..].copy_from_slice(&addresses[place]);
            place = after(place, addresses.len());
        }
        self.at += addresses.len() * RECORD;
    }

    /// The records of the question's name whose data end with a name, likewise.
    fn names(&mut self, set: &PackedSet<'_>, names: Names<'_>, start: usize) {
        let Names { shared, lengths, rows, each, .. } = names;
        let head_size = head_of(set.rtype).unwrap_or_default();
        let head = Head::new(QUESTION, set.rtype, set.ttl, 0);
        let mut shared_short = [0; SHORT];
        if let Some(to) = shared_short.get_mut(..shared.len()) {
            copy(to, shared);
        }
        if let Some(own) = each
            && self.equal_names(head, head_size + own, &shared_short, names, start).is_some()
        {
            return;
        }
        let (before, from) = lengths.split_at(start);
        let split = before.iter().map(|own| usize::from(*own)).sum::<usize>() + before.len() * head_size;
        for (lengths, mut rows) in [(from, rows.get(split..).unwrap_or_default()), (before, rows)] {
            for own in lengths {
                let size = head_size + usize::from(*own);
                let head = head.of_length(size + shared.len()).bytes();
                let room = self.out.get_mut(self.at..).unwrap_or_default();
                if let (Some(from), Some(room)) =
                    (rows.first_chunk::<SHORT>(), room.first_chunk_mut::<{ RR_HEAD + 2 * SHORT }>())
                    && size <= SHORT
                    && shared.len() <= SHORT
                {
                    // With what is behind either, which is written over.
                    room[..RR_HEAD].copy_from_slice(&head);
                    room[RR_HEAD..RR_HEAD + SHORT].copy_from_slice(from);
                    room[RR_HEAD + size..RR_HEAD + size + SHORT].copy_from_slice(&shared_short);
                    self.at += RR_HEAD + size + shared.len();
                } else {
                    self.put_array(head);
                    self.put(rows.get(..size).unwrap_or_default());
                    self.put(shared);
                }
                rows = rows.get(size..).unwrap_or_default();
            }
        }
    }

    /// The same, of records that are all of one size; none, and nothing written, where they are long. Each is followed by
    /// whatever is behind it, which the next is written over.
    fn equal_names(
        &mut self,
        head: Head,
        size: usize,
        shared: &[u8; SHORT],
        names: Names<'_>,
        start: usize,
    ) -> Option<()> {
        let Names { lengths, rows, .. } = names;
        let (count, length) = (lengths.len(), size + names.shared.len());
        if size > SHORT || names.shared.len() > SHORT || count == 0 {
            return None;
        }
        let head = head.of_length(length).bytes();
        let room = self.out.get_mut(self.at..self.at + count * (RR_HEAD + length) + 2 * SHORT)?;
        let rows = rows.get(..(count - 1) * size + SHORT)?;
        let mut place = start;
        for record in 0..count {
            let room = room[record * (RR_HEAD + length)..].first_chunk_mut::<{ RR_HEAD + 2 * SHORT }>()?;
            room[..RR_HEAD].copy_from_slice(&head);
            room[RR_HEAD..RR_HEAD + SHORT].copy_from_slice(rows[place * size..].first_chunk::<SHORT>()?);
            room[RR_HEAD + size..RR_HEAD + size + SHORT].copy_from_slice(shared);
            place = after(place, count);
        }
        self.at += count * (RR_HEAD + length);
        Some(())
    }

    /// The addresses of the SRV records just written, the first of them at `answers`: all A, then all AAAA, each
    /// owner a pointer to the target it belongs to. What does not fit is left out by RRsets.
    fn glue(&mut self, set: &PackedSet<'_>, names: Names<'_>, start: usize, answers: usize, end: usize) {
        for is_v6 in [false, true] {
            if is_v6 && !set.glue.has_v6() {
                return;
            }
            let mut seen = Seen::new(set.glue.has_shared_targets());
            let mut target = answers;
            let all = names.lengths.iter().zip(set.glue.iter());
            for (own, glue) in all.clone().skip(start).chain(all.take(start)) {
                let owner = target + RR_HEAD + SRV_HEAD;
                target = owner + usize::from(*own) + names.shared.len();
                let size = if is_v6 { glue.v6.len() * V6_RECORD } else { glue.v4.len() * V4_RECORD };
                if size == 0 || !seen.insert(glue.group) {
                    continue;
                }
                // A pointer has 14 bits; beyond them, as beyond the limit, no more is said.
                let Some(owner) = pointer(owner).filter(|_| self.at + size <= end) else { return };
                if is_v6 {
                    let head = Head::new(owner, rtype::AAAA, set.ttl, 16).bytes();
                    glue.v6.iter().for_each(|address| self.address(head, *address));
                } else {
                    let head = Head::new(owner, rtype::A, set.ttl, 4).bytes();
                    glue.v4.iter().for_each(|address| self.address(head, *address));
                }
            }
        }
    }

    fn address<const N: usize>(&mut self, head: [u8; RR_HEAD], address: [u8; N]) {
        self.put_array(head);
        self.put_array(address);
        self.additionals += 1;
    }

    /// The same where every target has one IPv4 address and nothing else: nothing to look out for.
    fn plain_glue(
        &mut self,
        set: &PackedSet<'_>,
        names: Names<'_>,
        addresses: &[[u8; 4]],
        start: usize,
        answers: usize,
        end: usize,
    ) {
        let most = (end.saturating_sub(self.at) / V4_RECORD).min(addresses.len());
        let room = &mut self.out[self.at..][..most * V4_RECORD];
        let head = Head::new([0; 2], rtype::A, set.ttl, 4);
        let (mut target, mut place, mut written) = (answers, start, 0);
        for record in room.as_chunks_mut::<V4_RECORD>().0 {
            let owner = target + RR_HEAD + SRV_HEAD;
            let (Some(at), Some(own)) = (pointer(owner), names.lengths.get(place)) else { break };
            record[..RR_HEAD].copy_from_slice(&head.of_owner(at).bytes());
            record[RR_HEAD..].copy_from_slice(&addresses[place]);
            target = owner + usize::from(*own) + names.shared.len();
            place = after(place, addresses.len());
            written += 1;
        }
        self.additionals = records(written);
        self.at += written * V4_RECORD;
    }

    pub(super) fn negative(&mut self, zone: &Zone, table: &View, rcode: Rcode, extended: Option<Extended>) -> Built {
        let soa = table.apex().and_then(|apex| apex.set(rtype::SOA));
        let Some((set, (rdata, _))) = soa.and_then(|set| Some((set, set.pieces().next()?))) else {
            return Built::Unusual;
        };
        if self.at + RR_HEAD + rdata.len() > self.end(extended) {
            return Built::Unusual;
        }
        // The apex is a suffix of the question.
        let apex = HEADER + usize::from(self.query.name_length) - zone.origin().wire().len();
        let minimum = rdata.last_chunk::<4>().map_or(set.ttl, |minimum| u32::from_be_bytes(*minimum));
        let owner = pointer(apex).unwrap_or(QUESTION);
        self.put_array(Head::new(owner, rtype::SOA, set.ttl.min(minimum), rdata.len()).bytes());
        self.put(rdata);
        self.authority = 1;
        self.finish(rcode, true, false, extended)
    }

    /// The question alone, with TC.
    pub(super) fn cut(&mut self) -> Built {
        self.finish(Rcode::NoError, false, true, None)
    }

    pub(super) fn finish(
        &mut self,
        rcode: Rcode,
        authoritative: bool,
        truncated: bool,
        extended: Option<Extended>,
    ) -> Built {
        let mut additionals = self.additionals;
        if let Some(edns) = &self.query.edns {
            self.opt(edns, rcode, extended);
            additionals += 1;
        }
        // RD and CD are the asker's; QR, AA, TC and the code are ours; RA, Z and AD are never set. One question.
        let counts = [1, self.answers, self.authority, additionals];
        let counts = counts.iter().fold(0, |all, count| all << 16 | u64::from(*count));
        if let Some([_, _, flags, code, to @ ..]) = self.out.first_chunk_mut::<HEADER>() {
            *flags = 0x80 | u8::from(authoritative) << 2 | u8::from(truncated) << 1 | (*flags & 1);
            *code = (*code & 0x10) | rcode.low_bits();
            *to = counts.to_be_bytes();
        }
        #[allow(clippy::cast_possible_truncation)] // no message is longer
        let length = self.at as u16;
        Built::Response { length, rcode, truncated, extended: extended.is_some() && self.query.edns.is_some() }
    }

    /// The OPT record.
    fn opt(&mut self, edns: &Edns, rcode: Rcode, extended: Option<Extended>) {
        let mut opt = [0, 0, 41, 0, 0, rcode.high_bits(), 0, u8::from(edns.dnssec_ok) << 7, 0, 0, 0];
        #[allow(clippy::cast_possible_truncation)] // a constant
        opt[3..5].copy_from_slice(&(MAX_UDP as u16).to_be_bytes());
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
    }
}

/// So many, as they are counted in a message. None has room for more.
fn records(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// The place after `place` of `count`, going round. Without a branch: where a turn begins is not to be foreseen.
fn after(place: usize, count: usize) -> usize {
    std::hint::select_unpredictable(place + 1 < count, place + 1, 0)
}

/// What is before the data of a record: owner, type, class IN, TTL, length. In two numbers, so that what differs from
/// record to record is put in where it is computed, and not in memory that is read again at once.
#[derive(Clone, Copy)]
struct Head {
    /// All but the last four bytes.
    begin: u64,
    /// The lower half of the TTL, and the length.
    end: u32,
}

impl Head {
    fn new(owner: [u8; 2], rtype: u16, ttl: u32, length: usize) -> Self {
        let begin = u64::from(rtype) << 32 | 1 << 16 | u64::from(ttl >> 16);
        Self { begin, end: ttl << 16 }.of_owner(owner).of_length(length)
    }

    fn of_owner(self, owner: [u8; 2]) -> Self {
        Self { begin: u64::from(u16::from_be_bytes(owner)) << 48 | self.begin & 0xffff_ffff_ffff, ..self }
    }

    fn of_length(self, length: usize) -> Self {
        Self { end: self.end & 0xffff_0000 | u32::from(u16::try_from(length).unwrap_or_default()), ..self }
    }

    fn bytes(self) -> [u8; RR_HEAD] {
        let mut bytes = [0; RR_HEAD];
        bytes[..8].copy_from_slice(&self.begin.to_be_bytes());
        bytes[8..].copy_from_slice(&self.end.to_be_bytes());
        bytes
    }
}

/// A pointer to what is at `at` in the message (RFC 1035 §4.1.4); none where its 14 bits do not reach.
fn pointer(at: usize) -> Option<[u8; 2]> {
    let at = u16::try_from(at).ok().filter(|at| *at < 0x4000)?;
    Some((0xc000 | at).to_be_bytes())
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
