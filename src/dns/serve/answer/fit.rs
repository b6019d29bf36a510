//! Fits answers into their room: additionals go first, answers only with TC, or, over TCP, as a subset.

use std::collections::HashSet;

use super::{Answer, Owner, Rr};
use crate::zone::name;
use crate::zone::record::rtype;

/// Room of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Bytes of the whole message.
    pub size: usize,
    /// Bytes of it that header, question and OPT take.
    pub taken: usize,
    /// True if the client can ask again over TCP: then answers that do not fit are told by TC, else cut to a subset.
    pub can_retry: bool,
    /// True if answers that do not fit are left out where it is told by TC: all of them, as a client that knows EDNS
    /// asks again. Of others some never do (musl's), and get what fits.
    pub cuts: bool,
}

impl Answer<'_> {
    /// Makes the answer fit.
    pub fn fit(&mut self, question: &[u8], room: Room) {
        let mut sizes = Sizes { taken: room.taken, question, seen: HashSet::new(), names: 0 };
        let fitting = |sizes: &mut Sizes<'_>, section: &[Rr<'_>], servers: bool| {
            section.iter().take_while(|rr| sizes.add(rr, servers) <= room.size).count()
        };
        let answers = fitting(&mut sizes, &self.answers, false);
        if answers < self.answers.len() {
            self.additionals.clear();
            self.authority.clear();
            self.truncated = room.can_retry;
            self.answers.truncate(if room.can_retry && room.cuts { 0 } else { answers });
            return;
        }
        let authority = fitting(&mut sizes, &self.authority, true);
        if authority < self.authority.len() {
            self.additionals.clear();
            // A negative answer is not one without its SOA, nor a referral without its name servers.
            self.truncated = room.can_retry;
            self.authority.truncate(authority);
            return;
        }
        // Whole RRsets: a client must not take a part for the whole (RFC 2181 §9).
        let additionals = fitting(&mut sizes, &self.additionals, false);
        if let Some(first_out) = self.additionals.get(additionals) {
            let (owner, rtype) = (first_out.owner.clone(), first_out.rtype);
            self.additionals.truncate(additionals);
            while self.additionals.last().is_some_and(|rr| rr.owner == owner && rr.rtype == rtype) {
                self.additionals.pop();
            }
            self.truncated = room.can_retry && self.additionals.len() < self.glue;
        }
    }
}

/// Counts the bytes of records as the encoder writes them: an owner's longest suffix that was written before as an
/// owner is a pointer of two bytes (RFC 1035 §4.1.4). So are the name servers in the authority section; other names in
/// data are written in full.
struct Sizes<'a> {
    taken: usize,
    question: &'a [u8],
    seen: HashSet<Vec<u8>>,
    names: usize,
}

impl Sizes<'_> {
    /// Adds a record; with `servers` the name in an NS record is compressed. Returns how many bytes there are.
    fn add(&mut self, rr: &Rr<'_>, servers: bool) -> usize {
        let owner = match &rr.owner {
            Owner::Question => self.question.to_vec(),
            Owner::Name(name) => name.wire().to_vec(),
        };
        self.add_name(&owner);
        self.taken += 10;
        if servers && rr.rtype == rtype::NS {
            self.add_name(&rr.rdata);
        } else {
            self.taken += rr.rdata.len();
        }
        self.taken
    }

    fn add_name(&mut self, name: &[u8]) {
        self.names += 1;
        if self.names > MAX_COMPRESSED {
            self.taken += name.len();
            return;
        }
        let mut at = 0;
        for label in name::labels(name) {
            let suffix = &name[at..];
            if self.seen.contains(suffix) {
                // The pointer, in place of all that is left.
                self.taken += 2;
                return;
            }
            // Pointers reach 14 bits; the encoder keeps a bounded number of candidates.
            if self.taken < 0x4000 && self.seen.len() < MAX_CANDIDATES {
                self.seen.insert(suffix.to_vec());
            }
            self.taken += 1 + label.len();
            at += 1 + label.len();
        }
        self.taken += 1;
    }
}

/// As many names as hickory-proto's encoder compresses in a message; those after them are written in full.
const MAX_COMPRESSED: usize = 120;
/// As many suffixes as hickory-proto's encoder remembers.
const MAX_CANDIDATES: usize = 64;
