//! Writing a response: the question as it came, records from packed ones, the OPT record, the header.

#![allow(clippy::inline_always)] // what is in registers is to stay there

use super::asked::{PendingQuery, Written};
use super::copy::copy;
use super::query::{Edns, Query};
use super::records::{self, RecordHead, V4_RECORD, V6_RECORD, count_of, pointer, put};
use crate::dns::message::sizes::{HEADER, MAX_TCP, MAX_UDP, MIN_UDP, OPT};
use crate::dns::serve::answer::{Ede, Rcode};
use crate::dns::serve::outcome::ExtendedCode;
use crate::dns::transport::Transport;
use crate::zone::order::Rotation;
use crate::zone::packed::{Body, BodyForm, PackedSet, Pieces, RR_HEAD, Row};
use crate::zone::record::rtype;
use crate::zone::view::View;

/// Bytes of an extended error without text, as an option.
const EXTENDED: usize = 6;

/// As many address records are drawn one by one here: more than a message over UDP holds.
const MAX_DRAWN: usize = 128;

/// Writes one response.
pub(super) struct Writer<'a> {
    /// More than may be filled, so that short pieces can be written with what is behind them.
    out: &'a mut [u8],
    at: usize,
    /// End of the room for the message.
    limit: usize,
    packet: &'a [u8],
    query: &'a Query,
    /// The options of its OPT, but for an extended error.
    options: &'a [u8],
    answers: u16,
    authority: u16,
    additionals: u16,
}

impl<'a> Writer<'a> {
    /// Begins with the question, in the room that the client has; none where there is less.
    #[inline(always)]
    pub(super) fn new(asked: &PendingQuery<'a>, options: &'a [u8], out: &'a mut [u8]) -> Option<Self> {
        let PendingQuery { packet, query, transport, .. } = *asked;
        // By reference, here and below: what is known of options is too long to be copied for one number.
        let limit = match (transport.is_datagram(), &query.edns) {
            (false, _) => MAX_TCP,
            (true, Some(edns)) => usize::from(edns.payload).clamp(MIN_UDP, MAX_UDP),
            (true, None) => MIN_UDP,
        };
        let end = query.question_end();
        if out.len() < limit {
            return None;
        }
        copy(out.get_mut(..end)?, packet.get(..end)?);
        Some(Self { out, at: end, limit, packet, query, options, answers: 0, authority: 0, additionals: 0 })
    }

    /// End of the room for records, with OPT to come.
    #[inline(always)]
    fn end(&self, extended: Option<Ede>) -> usize {
        self.limit
            - match (&self.query.edns, extended) {
                (None, _) => 0,
                (Some(_), None) => OPT + self.options.len(),
                (Some(_), Some(_)) => OPT + self.options.len() + EXTENDED,
            }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.at = put(self.out, self.at, bytes);
    }

    /// All records of a row, from the one that `turn` begins with on, and the addresses behind them, as far as there is
    /// room for these. Nothing is written, and that is said, where there is no room for the records, and where more is
    /// to be known of them than what is packed.
    #[inline(always)]
    pub(super) fn has_put_row(&mut self, row: Row<'_>, turn: Rotation, extended: Option<Ede>) -> bool {
        let end = self.end(extended);
        let (rtype, at) = (self.query.rtype, self.at);
        let head = RecordHead::new(rtype, row.ttl);
        match row.form() {
            BodyForm::V4(addresses) if at + addresses.len() * V4_RECORD <= end => {
                let room = &mut self.out[at..];
                if row.weights.is_none() {
                    records::addresses::<4, V4_RECORD>(room, head, addresses, row.start(turn));
                } else {
                    weighted_addresses::<4, V4_RECORD>(room, head, addresses, (row.start(turn), row.first_group()));
                }
                self.at += addresses.len() * V4_RECORD;
            }
            BodyForm::Hosts => {
                let (additionals, written) = records::hosts(row, turn, self.out, at, end);
                if written == at {
                    return false;
                }
                (self.additionals, self.at) = (additionals, written);
            }
            BodyForm::Names if !matches!(rtype, rtype::MX | rtype::NS) => {
                let (additionals, written) = records::names(row, rtype, turn, self.out, at, end);
                if written == at {
                    return false;
                }
                (self.additionals, self.at) = (additionals, written);
            }
            BodyForm::V6(addresses) if at + addresses.len() * V6_RECORD <= end => {
                let room = &mut self.out[at..];
                if row.weights.is_none() {
                    records::addresses::<16, V6_RECORD>(room, head, addresses, row.start(turn));
                } else {
                    weighted_addresses::<16, V6_RECORD>(room, head, addresses, (row.start(turn), row.first_group()));
                }
                self.at += addresses.len() * V6_RECORD;
            }
            _ => return false,
        }
        self.answers = count_of(row.count);
        true
    }

    /// The response with all records of a set, or as much of it as there is room for: nothing.
    pub(super) fn positive(
        &mut self,
        (row, set): (Row<'_>, &PackedSet<'_>),
        turn: Rotation,
        transport: Transport,
        extended: Option<Ede>,
    ) -> Written {
        // The records that are named by others have more to say than what is packed.
        if matches!(set.rtype, rtype::MX | rtype::NS | rtype::SVCB | rtype::HTTPS) {
            return Written::Slow;
        }
        if self.has_put_row(row, turn, extended) {
            return self.finish(Rcode::NoError, true, false, extended);
        }
        match set.body {
            Body::Plain(_) if self.at + set.wire_size() <= self.end(extended) => {
                set.turned(turn).for_each(|rdata| self.record(set, rdata));
            }
            _ if transport.is_datagram() => return self.cut(set, turn, extended),
            _ => return Written::Slow,
        }
        self.answers = count_of(set.count);
        self.finish(Rcode::NoError, true, false, extended)
    }

    /// So many of the address records, drawn one after the other.
    pub(super) fn some(
        &mut self,
        set: &PackedSet<'_>,
        turn: Rotation,
        most: usize,
        transport: Transport,
        extended: Option<Ede>,
    ) -> Written {
        let end = self.end(extended);
        let size = match set.body {
            Body::V4(_) => V4_RECORD,
            Body::V6(_) => V6_RECORD,
            // Only addresses are limited in number.
            _ => return Written::Slow,
        };
        if self.at + most * size > end {
            return if transport.is_datagram() { self.cut(set, turn, extended) } else { Written::Slow };
        }
        if !self.draw(set, turn, most) {
            return Written::Slow;
        }
        self.finish(Rcode::NoError, true, false, extended)
    }

    /// So many address records that are drawn; none, and that is said, where they are too many to be drawn here.
    fn draw(&mut self, set: &PackedSet<'_>, turn: Rotation, most: usize) -> bool {
        let ([mut places, mut taken], mut random) = ([[0; MAX_DRAWN]; 2], fastrand::Rng::with_seed(turn.random.into()));
        let Some((places, taken)) = places.get_mut(..most).zip(taken.get_mut(..most)) else { return false };
        let turns = || Rotation::new(turn.order, random.u32(..));
        let drawn = set.draw(turns, places, taken);
        for place in places.iter().take(drawn).map(|place| usize::from(*place)) {
            match set.body {
                Body::V4(addresses) => self.record(set, (&addresses[place], &[])),
                Body::V6(addresses) => self.record(set, (&addresses[place], &[])),
                _ => return false,
            }
        }
        self.answers = count_of(drawn);
        true
    }

    /// Writes what there is room for, with TC: something for clients that know no EDNS, of which some never ask again
    /// over TCP (musl's); nothing for others, which do.
    #[cold]
    fn cut(&mut self, set: &PackedSet<'_>, turn: Rotation, extended: Option<Ede>) -> Written {
        if self.query.edns.is_some() {
            return self.finish(Rcode::NoError, true, true, extended);
        }
        let room = self.end(extended) - self.at;
        match set.body {
            Body::V4(_) if self.draw(set, turn, (room / V4_RECORD).min(set.count)) => {}
            Body::V6(_) if self.draw(set, turn, (room / V6_RECORD).min(set.count)) => {}
            _ => {
                let end = self.end(extended);
                for (own, shared) in set.turned(turn) {
                    if self.at + RR_HEAD + own.len() + shared.len() > end {
                        break;
                    }
                    self.record(set, (own, shared));
                    self.answers += 1;
                }
            }
        }
        self.finish(Rcode::NoError, true, true, extended)
    }

    /// One record of the question's name, its data in two pieces.
    fn record(&mut self, set: &PackedSet<'_>, (own, shared): Pieces<'_>) {
        self.put(&RecordHead::new(set.rtype, set.ttl).of_length(own.len() + shared.len()).bytes());
        self.put(own);
        self.put(shared);
    }

    pub(super) fn negative(&mut self, table: &View, rcode: Rcode, extended: Option<Ede>) -> Written {
        let Some(apex) = table.apex() else { return Written::Slow };
        let soa = apex.row(rtype::SOA);
        let Some((row, rdata)) = soa.and_then(|row| Some((row, row.first()?))) else { return Written::Slow };
        if self.at + RR_HEAD + rdata.len() > self.end(extended) {
            return Written::Slow;
        }
        // The apex is a suffix of the question.
        let owner = pointer(HEADER + usize::from(self.query.name_length) - apex.name().len());
        let minimum = rdata.last_chunk::<4>().map_or(row.ttl, |minimum| u32::from_be_bytes(*minimum));
        let head = RecordHead::new(rtype::SOA, row.ttl.min(minimum)).of_length(rdata.len());
        self.put(&owner.map_or(head, |owner| head.of_owner(owner)).bytes());
        self.put(rdata);
        self.authority = 1;
        self.finish(rcode, true, false, extended)
    }

    #[inline(always)]
    pub(super) fn finish(
        &mut self,
        rcode: Rcode,
        authoritative: bool,
        truncated: bool,
        extended: Option<Ede>,
    ) -> Written {
        let mut additionals = self.additionals;
        if let Some(edns) = &self.query.edns {
            self.opt(edns, rcode, extended);
            additionals += 1;
        }
        // RD and CD are the asker's; QR, AA, TC and the code are ours; RA, Z and AD are never set. One question.
        let asked = self.packet.get(2..4).map_or(0, |flags| u64::from(u16::from_be_bytes([flags[0], flags[1]])));
        let flags = asked & 0x0110
            | 0x8000
            | u64::from(authoritative) << 10
            | u64::from(truncated) << 9
            | u64::from(rcode.low_bits());
        let begin = flags << 48 | 1 << 32 | u64::from(self.answers) << 16 | u64::from(self.authority);
        if let Some([_, _, to @ ..]) = self.out.first_chunk_mut::<HEADER>() {
            to[..8].copy_from_slice(&begin.to_be_bytes());
            to[8..].copy_from_slice(&additionals.to_be_bytes());
        }
        #[allow(clippy::cast_possible_truncation)] // no message is longer
        let length = self.at as u16;
        let extended = extended.filter(|_| self.query.edns.is_some()).map(ExtendedCode::of);
        let is_empty = rcode == Rcode::NoError && self.answers == 0 && !truncated;
        Written::Response { length, rcode, truncated, extended, is_empty }
    }

    /// The OPT record.
    #[inline(always)]
    fn opt(&mut self, edns: &Edns, rcode: Rcode, extended: Option<Ede>) {
        let length = self.options.len() + if extended.is_some() { EXTENDED } else { 0 };
        // The root, the type, the size; the rest of the code, the version, DO; the length. In two numbers, of which the
        // second begins with the last byte of the first.
        let dnssec_ok = u8::from(edns.dnssec_ok) << 7;
        let begin = 41 << 40 | (MAX_UDP as u64) << 24 | u64::from(rcode.high_bits()) << 16 | u64::from(dnssec_ok);
        let end = u32::from(dnssec_ok) << 24 | u32::from(u16::try_from(length).unwrap_or_default());
        if let Some(to) = self.out.get_mut(self.at..).and_then(|out| out.first_chunk_mut::<OPT>()) {
            to[..8].copy_from_slice(&begin.to_be_bytes());
            to[7..].copy_from_slice(&end.to_be_bytes());
            self.at += OPT;
        }
        if !self.options.is_empty() {
            self.put(self.options);
        }
        if let Some(extended) = extended {
            self.put(&[0, 15, 0, 2]);
            self.put(&extended.code().to_be_bytes());
        }
    }
}

/// Address records that are not all alike: `round` of them go round, from the one at `start` on, and the others are
/// behind them.
#[cold]
fn weighted_addresses<const N: usize, const RECORD: usize>(
    room: &mut [u8],
    head: RecordHead,
    addresses: &[[u8; N]],
    (start, round): (usize, usize),
) {
    let (first, behind) = addresses.split_at(round.min(addresses.len()));
    records::addresses::<N, RECORD>(room, head, first, start);
    records::addresses::<N, RECORD>(&mut room[first.len() * RECORD..], head, behind, 0);
}
