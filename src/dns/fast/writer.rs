//! Writing a response: the question as it came, records from packed ones, the OPT record, the header.

use super::query::Query;
use super::{Asked, Built, HEADER, MAX_TCP, MAX_UDP, MIN_UDP, OPT};
use crate::dns::answer::{Extended, Rcode};
use crate::zone::Zone;
use crate::zone::packed::{PLAIN_ROW, PackedSet, RR_HEAD};
use crate::zone::record::rtype;
use crate::zone::view::View;

/// Bytes of an extended error without text, as an option.
const EXTENDED: usize = 6;
/// An address record whose owner is a pointer.
const V4_RECORD: usize = RR_HEAD + 4;
const V6_RECORD: usize = RR_HEAD + 16;

/// Writes one response.
pub(super) struct Writer<'a> {
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
    pub(super) fn new(asked: Asked<'a>, options: &'a [u8], out: &'a mut [u8]) -> Option<Self> {
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

    pub(super) fn positive(
        mut self,
        set: PackedSet<'_>,
        turn: usize,
        is_udp: bool,
        extended: Option<Extended>,
    ) -> Built {
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
    pub(super) fn some(
        mut self,
        set: PackedSet<'_>,
        turn: usize,
        most: usize,
        is_udp: bool,
        extended: Option<Extended>,
    ) -> Built {
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

    pub(super) fn negative(mut self, zone: &Zone, table: &View, rcode: Rcode, extended: Option<Extended>) -> Built {
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
    pub(super) fn cut(self) -> Built {
        self.finish(Rcode::NoError, false, true, None)
    }

    pub(super) fn finish(
        mut self,
        rcode: Rcode,
        authoritative: bool,
        truncated: bool,
        extended: Option<Extended>,
    ) -> Built {
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
