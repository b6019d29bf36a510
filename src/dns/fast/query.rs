//! Reading a query: its name folded and hashed, its type, what its OPT record says; or why it is not for the hot path.

use super::copy;
use crate::dns::message::options::Options;
#[cfg(test)]
use crate::dns::message::parse::reads;
use crate::dns::message::request::{self, Question, Request};
use crate::dns::message::sizes::{HEADER, OPT};
use crate::zone::index;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// Question of a packet. Fields that are always read come first: names are short, and most of their room is never
/// touched.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Query {
    pub(super) hash: u64,
    /// A bit for each byte of the name at which a label begins.
    pub(super) labels: [u64; 4],
    pub(super) edns: Option<Edns>,
    pub(super) rtype: u16,
    /// True if an option wants something back.
    pub(super) asks: bool,
    pub(super) name_length: u8,
    /// The name in wire form and lower case, and what was there before.
    name: [u8; 255],
}

/// OPT record of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edns {
    pub(super) payload: u16,
    pub(super) dnssec_ok: bool,
    pub(super) options: Options,
}

impl Edns {
    #[inline]
    fn new(opt: &[u8; OPT], options: Options) -> Self {
        Self { payload: u16::from_be_bytes([opt[3], opt[4]]), dnssec_ok: opt[7] & 0x80 != 0, options }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self { name: [0; 255], name_length: 1, labels: [1, 0, 0, 0], hash: 0, rtype: 0, asks: false, edns: None }
    }
}

/// Kind of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// It is in the [`Query`].
    Plain,
    /// It is not for the hot path.
    Slow,
    /// No query at all: too short, or a response. Nobody is answered.
    Drop,
}

impl Query {
    /// The name in wire form and lower case.
    pub fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.name_length)]
    }

    /// The type, by number.
    pub fn rtype(&self) -> u16 {
        self.rtype
    }

    /// Returns whether it is padded (RFC 7830), and its response may be.
    pub fn is_padded(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.options.padding)
    }

    /// Returns whether it is for SRV records.
    pub fn wants_services(&self) -> bool {
        self.rtype == rtype::SRV
    }

    pub(super) fn question_end(&self) -> usize {
        HEADER + usize::from(self.name_length) + 4
    }

    /// The same for the slow path, which does not read `packet` again: there is nothing else in it. `None` for a packet
    /// that this was not read from.
    pub fn request(&self, packet: &[u8]) -> Option<Request> {
        let head = packet.get(..self.question_end())?;
        let (name, _) = Name::from_wire(&head[HEADER..])?;
        let edns = self.edns.map(|Edns { payload, dnssec_ok, options }| request::Edns {
            size: payload,
            version: 0,
            dnssec_ok,
            options: Some(options),
        });
        Some(Request::new(head, Some(Question { name, rtype: self.rtype, class: 1 }), edns))
    }
}

/// Reads a packet into `query`.
#[inline]
pub fn parse(packet: &[u8], query: &mut Query) -> Parsed {
    let parsed = read(packet, query);
    // What it gives up is read by others.
    #[cfg(test)]
    if parsed == Parsed::Plain {
        reads::count();
    }
    parsed
}

#[inline(always)]
#[allow(clippy::inline_always)] // there is nothing else in the one above
fn read(packet: &[u8], query: &mut Query) -> Parsed {
    let Some((header, rest)) = packet.split_first_chunk::<HEADER>() else { return Parsed::Drop };
    let [_, _, begin @ .., more, additionals] = header;
    let Some(begin) = begin.first_chunk().copied().map(u64::from_be_bytes) else { return Parsed::Drop };
    // A query (opcode 0) that is not truncated, with one question, no answer, no authority, and at most an OPT.
    if begin & 0xfa00_ffff_ffff_ffff != 1 << 32 || *more != 0 || *additionals > 1 {
        return if begin >> 63 == 1 { Parsed::Drop } else { Parsed::Slow };
    }
    let Some(length) = fold(rest, query) else { return Parsed::Slow };
    let Some(&[high, low, class_high, class_low]) = rest[length..].first_chunk::<4>() else { return Parsed::Slow };
    query.rtype = u16::from_be_bytes([high, low]);
    // Class IN; no meta types (RFC 6895 §3.1), which are OPT and 128 to 255.
    if [class_high, class_low] != [0, 1] || query.rtype == rtype::OPT || (128..256).contains(&query.rtype) {
        return Parsed::Slow;
    }
    let rest = &rest[length + 4..];
    (query.edns, query.asks) = (None, false);
    if *additionals == 0 {
        return if rest.is_empty() { Parsed::Plain } else { Parsed::Slow };
    }
    let Some((opt, options)) = split_opt(rest) else { return Parsed::Slow };
    // Most have none.
    if options.is_empty() {
        query.edns = Some(Edns::new(opt, Options::default()));
        return Parsed::Plain;
    }
    let Some(options) = Options::read(options) else { return Parsed::Slow };
    query.asks = options.asks();
    query.edns = Some(Edns::new(opt, options));
    Parsed::Plain
}

/// Copies the name at the start of `bytes` in lower case, and notes where its labels begin. Gives its length; none when
/// it is malformed or compressed.
#[inline]
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
    query.hash = match copy::fold(name, &bytes[..end]) {
        Some(ends) => index::hash_of_ends(ends),
        None => index::hash(name),
    };
    query.name_length = u8::try_from(end).ok()?;
    Some(end)
}

/// The head of an OPT record of version 0 that ends the message, and its options, which are not read yet.
#[inline]
fn split_opt(bytes: &[u8]) -> Option<(&[u8; OPT], &[u8])> {
    let (head, options) = bytes.split_first_chunk::<OPT>()?;
    let (begin, length) = (u64::from_be_bytes(*head.first_chunk()?), u16::from_be_bytes(*head.last_chunk()?));
    // The root, the type, whatever size, no more of a code, version 0.
    let is_opt = begin & 0xffff_ff00_00ff_ff00 == 41 << 40;
    (is_opt && options.len() == usize::from(length)).then_some((head, options))
}
