//! Writes answers into their room: additionals go first, answers only with TC, or, over TCP, as a subset.

use super::parts::{Answer, Owner, Rr};
use crate::dns::message::writer::{Compress, Section, WireRecord, Writer};
use crate::zone::record::rtype;

/// What becomes of an answer that does not fit.
#[derive(Debug, Clone, Copy)]
pub struct Overflow {
    /// True if the client can ask again over TCP: then answers that do not fit are told by TC, else cut to a subset.
    pub can_retry: bool,
    /// True if answers that do not fit are left out where it is told by TC: all of them, as a client that knows EDNS
    /// asks again. Of others some never do (musl's), and get what fits.
    pub cuts: bool,
}

impl Answer<'_> {
    /// Writes the records behind the question about `asked`, a name in wire form, as far as there is room. Returns
    /// whether the answer is cut, for which TC stands.
    pub fn write(&self, asked: &[u8], writer: &mut Writer, overflow: Overflow) -> bool {
        let Overflow { can_retry, cuts } = overflow;
        let begin = writer.mark();
        let push = |writer: &mut Writer, section, rr: &Rr<'_>| {
            let owner = match &rr.owner {
                Owner::Question => asked,
                Owner::Name(name) => name.wire(),
            };
            let record = WireRecord { owner, rtype: rr.rtype, class: 1, ttl: rr.ttl, rdata: &rr.rdata };
            let is_server = section == Section::Authority && rr.rtype == rtype::NS;
            writer.push(section, &record, if is_server { Compress::Data } else { Compress::Owners })
        };
        if !self.answers.iter().all(|rr| push(writer, Section::Answer, rr)) {
            if can_retry && cuts {
                writer.rewind(begin);
            }
            return can_retry;
        }
        // A negative answer is not one without its SOA, nor a referral without its name servers.
        if !self.authority.iter().all(|rr| push(writer, Section::Authority, rr)) {
            return can_retry;
        }
        // Whole RRsets: a client must not take a part for the whole (RFC 2181 §9).
        for set in self.additionals.chunk_by(|a, b| (&a.owner, a.rtype) == (&b.owner, b.rtype)) {
            let begin = writer.mark();
            if !set.iter().all(|rr| push(writer, Section::Additional, rr)) {
                writer.rewind(begin);
                return can_retry && writer.count(Section::Additional) < self.glue;
            }
        }
        false
    }
}
