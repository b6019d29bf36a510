//! Writing records into a message, from packed ones: addresses, names, and the addresses behind names. Each function
//! takes the message and where in it to begin, and gives where it ended, so that all of it stays in registers.

#![allow(clippy::inline_always)] // a call in between would have it in memory

use std::ops::Range;

use super::copy::copy;
use crate::zone::order::Rotation;
use crate::zone::packed::{Additionals, PackedHosts, RR_HEAD, Row, SHORT, SRV_HEAD, SuffixedNames, head_of};
use crate::zone::record::rtype;

/// An address record whose owner is a pointer.
pub(super) const V4_RECORD: usize = RR_HEAD + 4;
pub(super) const V6_RECORD: usize = RR_HEAD + 16;
/// A record of a host is no longer, nor is what is written behind it and then over.
const HOST_RECORD: usize = RR_HEAD + SRV_HEAD + 1 + 2 * SHORT;
/// Offsets at which records of hosts may begin: in any message over UDP, and in most over TCP.
const PLACES: usize = 2048;
/// So much room for a message makes that none of them needs to be looked for.
pub const ROOM: usize = PLACES + HOST_RECORD;
/// A pointer to the question.
pub(super) const QUESTION: [u8; 2] = [0xc0, 0x0c];

/// The address records of the question's name, from the one at `start` on and round. There must be room for them.
#[inline(always)]
pub(super) fn addresses<const N: usize, const RECORD: usize>(
    room: &mut [u8],
    head: RecordHead,
    addresses: &[[u8; N]],
    start: usize,
) {
    let head = head.of_length(N).bytes();
    let mut place = start;
    for record in room.as_chunks_mut::<RECORD>().0.get_mut(..addresses.len()).unwrap_or_default() {
        record[..RR_HEAD].copy_from_slice(&head);
        record[RR_HEAD..].copy_from_slice(&addresses[place]);
        place = after(place, addresses.len());
    }
}

/// The SRV records of a row, each of which has a host of its own, from the one that `turn` begins with on, and the
/// addresses of as many of the hosts as there is room for before `end`. Gives how many these are, and where they end:
/// where it was to begin if there is no room for all the records.
#[inline(never)] // what it keeps in registers would push out what others keep there
pub(super) fn hosts(row: Row<'_>, turn: Rotation, out: &mut [u8], at: usize, end: usize) -> (u16, usize) {
    let Some(hosts) = row.hosts() else { return (0, at) };
    let additionals = at + hosts.wire_size();
    if additionals > end {
        return (0, at);
    }
    let most = ((end - additionals) / V4_RECORD).min(hosts.count);
    let (head, start, round) = (RecordHead::new(rtype::SRV, row.ttl), row.start(turn), row.first_group());
    let end = additionals + most * V4_RECORD;
    let written = out.first_chunk_mut().filter(|_| end <= PLACES && round == hosts.count).and_then(|out| {
        // Copied in one piece of the smaller size that does.
        match hosts.from_shared.first_chunk() {
            Some(shared) if hosts.shared.len() <= SHORT / 2 => {
                put_hosts::<{ SHORT / 2 }>(hosts, shared, head, start, out, at, additionals..end)
            }
            _ => put_hosts::<SHORT>(hosts, hosts.from_shared.first_chunk()?, head, start, out, at, additionals..end),
        }
    });
    match written {
        Some(()) => (count_of(most), end),
        None => put_many_hosts(hosts, head, (start, round), out, at, additionals..end),
    }
}

/// Writes the records from `at` and, where they end, as many addresses as there is room for in `glue`.
#[inline(always)]
fn put_hosts<const SHARED: usize>(
    hosts: PackedHosts<'_>,
    shared: &[u8; SHARED],
    head: RecordHead,
    start: usize,
    out: &mut [u8; ROOM],
    at: usize,
    glue: Range<usize>,
) -> Option<()> {
    let stride = u32::try_from(hosts.stride).ok()?;
    let [first, behind] = [start, hosts.count].map(|place| u32::try_from(place * hosts.stride));
    let (first, behind) = (first.ok()?, behind.ok()?);
    // As in `after`.
    let after = |from: u32| std::hint::select_unpredictable(from + stride == behind, 0, from + stride);
    let of_address = AddressHead::new(head);
    let (mut from, mut to, mut additional) = (first, at, glue.start);
    for _ in 0..hosts.count {
        let row = hosts.row(from)?;
        let size = row.size();
        // With what is behind the data and behind what is shared, which is written over.
        let room: &mut [u8; HOST_RECORD] = room(out, to);
        room[..RR_HEAD].copy_from_slice(&head.of_length(size + hosts.shared.len()).bytes());
        room[RR_HEAD..RR_HEAD + SHORT].copy_from_slice(row.data());
        room[RR_HEAD + size..RR_HEAD + size + SHARED].copy_from_slice(shared);
        if additional < glue.end {
            of_address.put(self::room(out, additional), to + RR_HEAD + SRV_HEAD, *row.address());
        }
        to += RR_HEAD + size + hosts.shared.len();
        (from, additional) = (after(from), additional + V4_RECORD);
    }
    // What was behind the last record is where the first addresses were.
    let (mut from, mut to) = (first, at);
    for additional in glue.step_by(V4_RECORD).take(2) {
        let row = hosts.row(from)?;
        of_address.put(room(out, additional), to + RR_HEAD + SRV_HEAD, *row.address());
        to += RR_HEAD + row.size() + hosts.shared.len();
        from = after(from);
    }
    Some(())
}

/// Room at `at`, which is below [`PLACES`]: what is divided for nothing tells it to the compiler, which then has
/// nothing to check, here or where the room is found.
#[inline(always)]
fn room<const N: usize>(out: &mut [u8; ROOM], at: usize) -> &mut [u8; N] {
    const { assert!(N <= HOST_RECORD) }
    let Some(room) = out[at % PLACES..].first_chunk_mut() else { unreachable!() };
    room
}

/// The same where they are many, the room is less, or not all have the lowest priority, and `round` of them are the
/// ones that go round. Gives how many addresses there are, and where they end.
#[cold]
fn put_many_hosts(
    hosts: PackedHosts<'_>,
    head: RecordHead,
    (start, round): (usize, usize),
    out: &mut [u8],
    mut at: usize,
    glue: Range<usize>,
) -> (u16, usize) {
    let of_address = AddressHead::new(head);
    let mut additional = glue.start;
    let first = hosts.iter().skip(start).take(round.saturating_sub(start));
    for row in first.chain(hosts.iter().take(start)).chain(hosts.iter().skip(round)) {
        let owner = at + RR_HEAD + SRV_HEAD;
        if let Some(room) = out.get_mut(additional..glue.end).and_then(|room| room.first_chunk_mut())
            && pointer(owner).is_some()
        {
            of_address.put(room, owner, *row.address());
            additional += V4_RECORD;
        }
        at = put(out, at, &head.of_length(row.own().len() + hosts.shared.len()).bytes());
        at = put(out, at, row.own());
        at = put(out, at, hosts.shared);
    }
    (count_of((additional - glue.start) / V4_RECORD), additional)
}

/// Those of a row whose data end with names, from the one that `turn` begins with on, and the addresses of the hosts
/// with these names, as far as there is room for them before `end`. Gives how many of the latter there are, and where
/// they end: where it was to begin if there is no room for all the names.
#[inline(never)] // as above
pub(super) fn names(row: Row<'_>, rtype: u16, turn: Rotation, out: &mut [u8], at: usize, end: usize) -> (u16, usize) {
    let Some((records, glue)) = Ending::of(row, rtype, turn) else { return (0, at) };
    if at + records.names.wire_size(row.count) > end {
        return (0, at);
    }
    let additionals = records.write(out, at);
    // Behind other names is another set.
    if rtype == rtype::SRV { records.write_glue(glue, out, additionals, at, end) } else { (0, additionals) }
}

/// Records of the question's name whose data end with a name.
#[derive(Clone, Copy)]
struct Ending<'t> {
    head: RecordHead,
    /// Bytes before the name.
    head_size: usize,
    names: SuffixedNames<'t>,
    /// The first of them to be written; the others of its priority follow, those before it, and then those behind
    /// `round`.
    start: usize,
    round: usize,
}

impl<'t> Ending<'t> {
    /// Those of a row, from the one that `turn` begins with on, and what is known of the hosts with their names.
    #[inline(always)]
    fn of(row: Row<'t>, rtype: u16, turn: Rotation) -> Option<(Self, Additionals<'t>)> {
        let (names, glue) = row.names()?;
        let head_size = head_of(rtype).unwrap_or_default();
        let (head, start, round) = (RecordHead::new(rtype, row.ttl), row.start(turn), row.first_group());
        Some((Self { head, head_size, names, start, round }, glue))
    }

    /// Writes them. Gives where they end.
    fn write(self, out: &mut [u8], mut at: usize) -> usize {
        let Self { head, head_size, names: SuffixedNames { shared, lengths, rows, .. }, start, round } = self;
        let mut shared_short = [0; SHORT];
        if let Some(room) = shared_short.get_mut(..shared.len()) {
            room.copy_from_slice(shared);
        }
        let (first, behind) = lengths.split_at(round);
        let (before, from) = first.split_at(start.min(round));
        let size_of = |part: &[u8]| part.iter().map(|own| usize::from(*own)).sum::<usize>() + part.len() * head_size;
        let split = size_of(before);
        let last = if behind.is_empty() { rows.len() } else { size_of(first) };
        let parts = [(from, split), (before, 0), (behind, last)];
        for (lengths, mut rows) in parts.map(|(lengths, at)| (lengths, rows.get(at..).unwrap_or_default())) {
            for own in lengths {
                let size = head_size + usize::from(*own);
                let head = head.of_length(size + shared.len()).bytes();
                let room = out.get_mut(at..).unwrap_or_default();
                if let (Some(from), Some(room)) =
                    (rows.first_chunk::<SHORT>(), room.first_chunk_mut::<{ RR_HEAD + 2 * SHORT }>())
                    && size <= SHORT
                    && shared.len() <= SHORT
                {
                    // With what is behind either, which is written over.
                    room[..RR_HEAD].copy_from_slice(&head);
                    room[RR_HEAD..RR_HEAD + SHORT].copy_from_slice(from);
                    room[RR_HEAD + size..RR_HEAD + size + SHORT].copy_from_slice(&shared_short);
                    at += RR_HEAD + size + shared.len();
                } else {
                    at = put(out, at, &head);
                    at = put(out, at, rows.get(..size).unwrap_or_default());
                    at = put(out, at, shared);
                }
                rows = rows.get(size..).unwrap_or_default();
            }
        }
        at
    }

    /// The addresses behind SRV records that were written at `answers`: all A, then all AAAA, each owner a pointer to
    /// the target it belongs to. What does not fit before `end` is left out by RRsets. Gives how many were written and
    /// where they ended.
    fn write_glue(
        self,
        glues: Additionals<'_>,
        out: &mut [u8],
        mut at: usize,
        answers: usize,
        end: usize,
    ) -> (u16, usize) {
        let Self { head, names, start, round, .. } = self;
        let mut written = 0;
        for is_v6 in [false, true] {
            if is_v6 && !glues.has_v6() {
                break;
            }
            let mut seen = WrittenTargets::new(glues.has_shared_targets());
            let mut target = answers;
            let all = names.lengths.iter().zip(glues.iter());
            let first = all.clone().skip(start).take(round.saturating_sub(start));
            for (own, glue) in first.chain(all.clone().take(start)).chain(all.skip(round)) {
                let owner = target + RR_HEAD + SRV_HEAD;
                target = owner + usize::from(*own) + names.shared.len();
                let size = if is_v6 { glue.v6.len() * V6_RECORD } else { glue.v4.len() * V4_RECORD };
                if size == 0 || !seen.insert(glue.group) {
                    continue;
                }
                // A pointer has 14 bits; beyond them, as beyond the limit, no more is said.
                let Some(owner) = pointer(owner).filter(|_| at + size <= end) else { return (written, at) };
                let head = head.of_owner(owner);
                if is_v6 {
                    let room = &mut out[at..at + size];
                    addresses::<16, V6_RECORD>(room, head.of_type(rtype::AAAA), glue.v6, 0);
                } else {
                    addresses::<4, V4_RECORD>(&mut out[at..at + size], head.of_type(rtype::A), glue.v4, 0);
                }
                at += size;
                written += count_of(if is_v6 { glue.v6.len() } else { glue.v4.len() });
            }
        }
        (written, at)
    }
}

/// Copies `bytes` to `at`. Gives where they end.
pub(super) fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at + bytes.len();
    copy(&mut out[at..end], bytes);
    end
}

/// So many, as they are counted in a message. None has room for more.
pub(super) fn count_of(records: usize) -> u16 {
    u16::try_from(records).unwrap_or(u16::MAX)
}

/// The place after `place` of `count`, going round. Without a branch: where a turn begins is not to be foreseen.
#[inline]
fn after(place: usize, count: usize) -> usize {
    std::hint::select_unpredictable(place + 1 < count, place + 1, 0)
}

/// Head before the data of a record: owner, type, class IN, TTL, length. In two numbers, so that what differs from
/// record to record is put in where it is computed, and not in memory that is read again at once.
#[derive(Clone, Copy)]
pub(super) struct RecordHead {
    /// All but the last four bytes.
    begin: u64,
    /// The lower half of the TTL, and the length.
    end: u32,
}

impl RecordHead {
    /// Of a record of the question's name.
    #[inline]
    pub(super) fn new(rtype: u16, ttl: u32) -> Self {
        let begin = u64::from(u16::from_be_bytes(QUESTION)) << 48 | u64::from(rtype) << 32 | 1 << 16;
        Self { begin: begin | u64::from(ttl >> 16), end: ttl << 16 }
    }

    #[inline]
    pub(super) fn of_owner(self, owner: [u8; 2]) -> Self {
        Self { begin: u64::from(u16::from_be_bytes(owner)) << 48 | self.begin & 0xffff_ffff_ffff, ..self }
    }

    #[inline]
    fn of_type(self, rtype: u16) -> Self {
        Self { begin: self.begin & !(0xffff << 32) | u64::from(rtype) << 32, ..self }
    }

    #[inline]
    pub(super) fn of_length(self, length: usize) -> Self {
        Self { end: self.end & 0xffff_0000 | u32::from(u16::try_from(length).unwrap_or_default()), ..self }
    }

    #[inline]
    pub(super) fn bytes(self) -> [u8; RR_HEAD] {
        let mut bytes = [0; RR_HEAD];
        bytes[..8].copy_from_slice(&self.begin.to_be_bytes());
        bytes[8..].copy_from_slice(&self.end.to_be_bytes());
        bytes
    }
}

/// Head before the address in an A record whose owner is a pointer, in two numbers as they are in memory, so that what
/// differs is put in where they are.
#[derive(Clone, Copy)]
struct AddressHead {
    /// With a pointer to nothing yet.
    begin: u64,
    /// With no address yet.
    end: u64,
}

impl AddressHead {
    /// With the time to live of `head`.
    fn new(head: RecordHead) -> Self {
        let RecordHead { begin, end } = head.of_type(rtype::A).of_owner([0xc0, 0]).of_length(4);
        let [a, b, c, d] = end.to_be_bytes();
        Self { begin: u64::from_ne_bytes(begin.to_be_bytes()), end: u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]) }
    }

    /// Writes the record, whose owner is at `owner` in the message: where 14 bits reach (RFC 1035 §4.1.4).
    #[inline(always)]
    fn put(self, room: &mut [u8; V4_RECORD], owner: usize, address: [u8; 4]) {
        #[allow(clippy::cast_possible_truncation)] // it is less
        let [high, low] = (owner as u16).to_be_bytes();
        let [a, b, c, d] = address;
        room[..8].copy_from_slice(&(self.begin | u64::from_ne_bytes([high, low, 0, 0, 0, 0, 0, 0])).to_ne_bytes());
        room[8..].copy_from_slice(&(self.end | u64::from_ne_bytes([0, 0, 0, 0, a, b, c, d])).to_ne_bytes());
    }
}

/// A pointer to what is at `at` in the message (RFC 1035 §4.1.4); none where its 14 bits do not reach.
#[inline]
pub(super) fn pointer(at: usize) -> Option<[u8; 2]> {
    let at = u16::try_from(at).ok().filter(|at| *at < 0x4000)?;
    Some((0xc000 | at).to_be_bytes())
}

/// Targets that had their addresses written. Only kept where records share targets, and then for the first thousands
/// of them; beyond, an address may be there twice, which harms nobody.
struct WrittenTargets {
    groups: Option<[u64; 64]>,
}

impl WrittenTargets {
    fn new(is_kept: bool) -> Self {
        Self { groups: is_kept.then_some([0; 64]) }
    }

    /// Returns whether it is new.
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
