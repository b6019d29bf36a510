//! Writing records into a message, from packed ones: addresses, names, and the addresses behind names. Each function takes
//! the message and where in it to begin, and gives where it ended, so that all of it stays in registers.

#![allow(clippy::inline_always)] // a call in between would have it in memory

use super::copy::copy;
use crate::zone::packed::{Glues, Names, RR_HEAD, Row, head_of};
use crate::zone::record::rtype;

/// An address record whose owner is a pointer.
pub(super) const V4_RECORD: usize = RR_HEAD + 4;
pub(super) const V6_RECORD: usize = RR_HEAD + 16;
/// Priority, weight and port.
const SRV_HEAD: usize = 6;
/// Labels and what is before them are mostly no longer than this.
const SHORT: usize = 32;
/// A pointer to the question.
pub(super) const QUESTION: [u8; 2] = [0xc0, 0x0c];

/// The address records of the question's name, from the one at `start` on and round. There must be room for them.
#[inline(always)]
pub(super) fn addresses<const N: usize, const RECORD: usize>(
    room: &mut [u8],
    head: Head,
    addresses: &[[u8; N]],
    start: usize,
) {
    let head = head.of_length(N).bytes();
    let mut place = start;
    for record in room.as_chunks_mut::<RECORD>().0.iter_mut().take(addresses.len()) {
        record[..RR_HEAD].copy_from_slice(&head);
        record[RR_HEAD..].copy_from_slice(&addresses[place]);
        place = after(place, addresses.len());
    }
}

/// Those of a row whose data end with names, from the one that `turn` begins with on, and the addresses of the hosts with
/// these names, as far as there is room for them before `end`. Gives how many of the latter there are, and where they end:
/// where it was to begin if there is no room for all the names.
#[inline(never)] // what it keeps in registers would push out what others keep there
pub(super) fn names(row: Row<'_>, rtype: u16, turn: usize, out: &mut [u8], at: usize, end: usize) -> (u16, usize) {
    let Some((records, glue)) = Ending::of(row, rtype, turn) else { return (0, at) };
    let additionals = at + records.names.wire_size(row.count);
    if additionals > end {
        return (0, at);
    }
    let most = ((end - additionals) / V4_RECORD).min(row.count);
    // Behind other names is another set.
    let glue = (rtype == rtype::SRV).then_some(glue);
    match glue
        .and_then(|glue| glue.plain(row.count))
        .and_then(|addresses| records.write_with(addresses, most, out, at, additionals))
    {
        Some(end) => (count_of(most), end),
        None => any_names(row, rtype, turn, out, at, end),
    }
}

/// The same, whatever they are. With what is needed to find them: where they are known already they are in registers, and
/// would be put into memory for every answer to be passed on for a few.
#[inline(never)]
fn any_names(row: Row<'_>, rtype: u16, turn: usize, out: &mut [u8], at: usize, end: usize) -> (u16, usize) {
    let Some((records, glue)) = Ending::of(row, rtype, turn) else { return (0, at) };
    let additionals = records.write(out, at);
    // As above.
    if rtype == rtype::SRV { records.write_glue(glue, out, additionals, at, end) } else { (0, additionals) }
}

/// Records of the question's name whose data end with a name.
#[derive(Clone, Copy)]
struct Ending<'t> {
    head: Head,
    /// Bytes before the name.
    head_size: usize,
    names: Names<'t>,
    /// The first of them to be written; the others follow, and then those before it.
    start: usize,
}

impl<'t> Ending<'t> {
    /// Those of a row, from the one that `turn` begins with on, and what is known of the hosts with their names.
    #[inline(always)]
    fn of(row: Row<'t>, rtype: u16, turn: usize) -> Option<(Self, Glues<'t>)> {
        let (names, glue) = row.names()?;
        let head_size = head_of(rtype).unwrap_or_default();
        Some((Self { head: Head::new(rtype, row.ttl), head_size, names, start: row.start(turn) }, glue))
    }

    /// What they end with, and whatever. Copied only where nothing is behind it: that takes a wait until it is read again.
    #[inline(always)]
    fn shared<const N: usize>(&self) -> Option<[u8; N]> {
        if let Some(shared) = self.names.from_shared.first_chunk() {
            return Some(*shared);
        }
        let mut shared = [0; N];
        shared.get_mut(..self.names.shared.len())?.copy_from_slice(self.names.shared);
        Some(shared)
    }

    /// Writes them from `at` and, from `additionals` on where they end, the addresses of `most` of the hosts, each of which has
    /// one. Gives where these end; none where names are long or far, and then something may be written.
    #[inline(always)]
    fn write_with(
        self,
        addresses: &[[u8; 4]],
        most: usize,
        out: &mut [u8],
        at: usize,
        additionals: usize,
    ) -> Option<usize> {
        // All hosts' names are before the addresses.
        pointer(additionals)?;
        match self.names.shared.len() {
            0..=16 => self.write_rows(&self.shared::<16>()?, addresses, most, out, at, additionals)?,
            17..=SHORT => self.write_rows(&self.shared::<SHORT>()?, addresses, most, out, at, additionals)?,
            _ => return None,
        }
        Some(additionals + most * V4_RECORD)
    }

    #[inline(always)]
    fn write_rows<const SHARED: usize>(
        self,
        shared: &[u8; SHARED],
        addresses: &[[u8; 4]],
        most: usize,
        out: &mut [u8],
        at: usize,
        additionals: usize,
    ) -> Option<()> {
        let Self { head, head_size, names, start } = self;
        let Names { lengths, rows, .. } = names;
        let of_host = head.of_type(rtype::A).of_length(4);
        let put_address = |out: &mut [u8], i: usize, record: usize, place: usize| {
            let owner = pointer(record + RR_HEAD + head_size)?;
            let room = out.get_mut(additionals + i * V4_RECORD..)?.first_chunk_mut::<V4_RECORD>()?;
            room[..RR_HEAD].copy_from_slice(&of_host.of_owner(owner).bytes());
            room[RR_HEAD..].copy_from_slice(addresses.get(place)?);
            Some(())
        };
        let (mut place, mut from, mut to) = (start, start * head_size + names.own(start), at);
        for i in 0..lengths.len() {
            let size = head_size + usize::from(*lengths.get(place)?);
            if size > SHORT {
                return None;
            }
            // With what is behind either, which is written over.
            let room = out.get_mut(to..)?.first_chunk_mut::<{ RR_HEAD + 2 * SHORT }>()?;
            room[..RR_HEAD].copy_from_slice(&head.of_length(size + names.shared.len()).bytes());
            room[RR_HEAD..RR_HEAD + SHORT].copy_from_slice(rows.get(from..)?.first_chunk::<SHORT>()?);
            room[RR_HEAD + size..RR_HEAD + size + SHARED].copy_from_slice(shared);
            if i < most {
                put_address(out, i, to, place)?;
            }
            to += RR_HEAD + size + names.shared.len();
            // As in `after`.
            let is_last = place + 1 == lengths.len();
            place = std::hint::select_unpredictable(is_last, 0, place + 1);
            from = std::hint::select_unpredictable(is_last, 0, from + size);
        }
        // What was behind the last name is where the first addresses were.
        let mut to = at;
        for (i, own) in lengths.iter().cycle().skip(start).take(most.min(2)).enumerate() {
            put_address(out, i, to, after_by(start, i, lengths.len()))?;
            to += RR_HEAD + head_size + usize::from(*own) + names.shared.len();
        }
        Some(())
    }

    /// Writes them, whatever they are. Gives where they end.
    fn write(self, out: &mut [u8], mut at: usize) -> usize {
        let shared_short = self.shared::<SHORT>().unwrap_or([0; SHORT]);
        let Self { head, head_size, names: Names { shared, lengths, rows, .. }, start } = self;
        let (before, from) = lengths.split_at(start);
        let split = before.iter().map(|own| usize::from(*own)).sum::<usize>() + before.len() * head_size;
        for (lengths, mut rows) in [(from, rows.get(split..).unwrap_or_default()), (before, rows)] {
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

    /// The addresses behind SRV records that were written at `answers`: all A, then all AAAA, each owner a pointer to the
    /// target it belongs to. What does not fit before `end` is left out by RRsets. Gives how many were written and where
    /// they ended.
    fn write_glue(self, glues: Glues<'_>, out: &mut [u8], mut at: usize, answers: usize, end: usize) -> (u16, usize) {
        let Self { head, names, start, .. } = self;
        let mut written = 0;
        for is_v6 in [false, true] {
            if is_v6 && !glues.has_v6() {
                break;
            }
            let mut seen = Seen::new(glues.has_shared_targets());
            let mut target = answers;
            let all = names.lengths.iter().zip(glues.iter());
            for (own, glue) in all.clone().skip(start).chain(all.take(start)) {
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

/// The place `more` places after `place`, less than twice around.
#[inline]
fn after_by(place: usize, more: usize, count: usize) -> usize {
    if place + more < count { place + more } else { place + more - count }
}

/// What is before the data of a record: owner, type, class IN, TTL, length. In two numbers, so that what differs from
/// record to record is put in where it is computed, and not in memory that is read again at once.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// All but the last four bytes.
    begin: u64,
    /// The lower half of the TTL, and the length.
    end: u32,
}

impl Head {
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

/// A pointer to what is at `at` in the message (RFC 1035 §4.1.4); none where its 14 bits do not reach.
#[inline]
pub(super) fn pointer(at: usize) -> Option<[u8; 2]> {
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
