//! The one writer of messages: records behind a header and question, names compressed (RFC 1035 §4.1.4), up to a limit.
//! A record that has no room is not written at all, and the caller decides what that means.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::sizes::HEADER;
use crate::zone::record::rtype;

/// A resource record to be written: names in it uncompressed.
#[derive(Debug, Clone, Copy)]
pub struct WireRecord<'r> {
    /// Its owner, in wire form.
    pub owner: &'r [u8],
    /// Its type, by number.
    pub rtype: u16,
    /// Its class, by number.
    pub class: u16,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Its data, in wire form.
    pub rdata: &'r [u8],
}

/// Sections of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The answer.
    Answer,
    /// Authority.
    Authority,
    /// Additional records, but for OPT and TSIG, which are appended to the written message.
    Additional,
}

/// Names that are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// Owners.
    Owners,
    /// Owners, and names in data of the types of RFC 1035, which every reader must understand (RFC 3597 §4).
    Data,
}

/// Writes one message.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Bytes that header, question and records may take.
    limit: usize,
    /// Records in each section.
    counts: [u16; 3],
    /// Offset at which the suffix of a name with this hash was written.
    suffixes: HashMap<u64, u16, FixedState>,
}

/// A state of a message to which it can be taken back.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    length: usize,
    counts: [u16; 3],
}

/// Pointers reach this far: 14 bits.
const MAX_POINTER: u16 = 0x3fff;

impl Writer {
    /// Begins with a header and, if there is one, a question; all of the message but what is appended to it when it is
    /// finished takes at most `limit` bytes.
    pub fn new(head: Vec<u8>, limit: usize) -> Self {
        let mut writer = Self { bytes: head, limit, counts: [0; 3], suffixes: HashMap::default() };
        if writer.bytes.len() > HEADER {
            writer.note_question();
        }
        writer
    }

    /// Bytes that are written.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Records in a section.
    pub fn count(&self, section: Section) -> usize {
        self.counts[section as usize].into()
    }

    /// Sets bits in the third byte of the header.
    pub fn set(&mut self, flags: u8) {
        self.bytes[2] |= flags;
    }

    /// The state of now.
    pub fn mark(&self) -> Mark {
        Mark { length: self.bytes.len(), counts: self.counts }
    }

    /// Takes out all that was written since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.length);
        self.suffixes.retain(|_, at| usize::from(*at) < mark.length);
        self.counts = mark.counts;
    }

    /// Appends a record; false, and nothing is changed, when there is no room. Sections come in their order.
    pub fn push(&mut self, section: Section, record: &WireRecord<'_>, compress: Compress) -> bool {
        let mark = self.mark();
        let is_written = self.write(record, compress).is_some() && self.bytes.len() <= self.limit;
        match self.counts[section as usize].checked_add(1) {
            Some(count) if is_written => self.counts[section as usize] = count,
            _ => {
                self.rewind(mark);
                return false;
            }
        }
        true
    }

    /// The message, to which OPT and TSIG may be appended.
    pub fn finish(mut self) -> Vec<u8> {
        for (at, count) in (6..HEADER).step_by(2).zip(self.counts) {
            self.bytes[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        self.bytes
    }

    fn write(&mut self, record: &WireRecord<'_>, compress: Compress) -> Option<()> {
        self.name(record.owner)?;
        head(&mut self.bytes, record);
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        if compress == Compress::Data {
            self.data(record)?;
        } else {
            self.bytes.extend_from_slice(record.rdata);
        }
        let length = u16::try_from(self.bytes.len() - begin - 2).ok()?;
        self.bytes[begin..begin + 2].copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    /// Writes data whose names may be compressed.
    fn data(&mut self, record: &WireRecord<'_>) -> Option<()> {
        let (front, names) = match record.rtype {
            rtype::NS | rtype::CNAME | rtype::PTR => (0, 1),
            rtype::MX => (2, 1),
            rtype::SOA => (0, 2),
            _ => (record.rdata.len(), 0),
        };
        let (front, mut rest) = record.rdata.split_at_checked(front)?;
        self.bytes.extend_from_slice(front);
        for _ in 0..names {
            let written = self.name(rest)?;
            rest = &rest[written..];
        }
        self.bytes.extend_from_slice(rest);
        Some(())
    }

    /// Writes the name that `wire` begins with, its longest known suffix as a pointer; returns its uncompressed length.
    fn name(&mut self, wire: &[u8]) -> Option<usize> {
        let end = end_of(wire)?;
        let mut at = 0;
        while at + 1 < end {
            let suffix = &wire[at..end];
            let hash = self.suffixes.hasher().hash_one(suffix);
            match self.suffixes.get(&hash) {
                Some(&known) if self.is_at(usize::from(known), suffix) => {
                    self.bytes.extend_from_slice(&(0xc000 | known).to_be_bytes());
                    return Some(end);
                }
                Some(_) => {}
                None => self.note(hash, self.bytes.len()),
            }
            let next = at + 1 + usize::from(wire[at]);
            self.bytes.extend_from_slice(&wire[at..next]);
            at = next;
        }
        self.bytes.push(0);
        Some(end)
    }

    fn note(&mut self, hash: u64, at: usize) {
        if let Ok(at @ ..=MAX_POINTER) = u16::try_from(at) {
            self.suffixes.insert(hash, at);
        }
    }

    /// Notes the suffixes of the question's name.
    fn note_question(&mut self) {
        let Some(end) = end_of(&self.bytes[HEADER..]).map(|end| HEADER + end) else { return };
        let mut at = HEADER;
        while at + 1 < end {
            let hash = self.suffixes.hasher().hash_one(&self.bytes[at..end]);
            self.note(hash, at);
            at += 1 + usize::from(self.bytes[at]);
        }
    }

    /// Returns whether this name, in wire form, was written at `at`, byte for byte: hashes may be equal.
    fn is_at(&self, mut at: usize, mut name: &[u8]) -> bool {
        loop {
            let Some(&length) = self.bytes.get(at) else { return false };
            if length >= 0xc0 {
                let low = self.bytes.get(at + 1).copied().unwrap_or_default();
                at = usize::from(length & 0x3f) << 8 | usize::from(low);
                continue;
            }
            let label = 1 + usize::from(length);
            if self.bytes.get(at..at + label) != name.get(..label) {
                return false;
            }
            if length == 0 {
                return true;
            }
            (at, name) = (at + label, &name[label..]);
        }
    }
}

/// Type, class and time to live of a record.
fn head(message: &mut Vec<u8>, record: &WireRecord<'_>) {
    message.extend_from_slice(&record.rtype.to_be_bytes());
    message.extend_from_slice(&record.class.to_be_bytes());
    message.extend_from_slice(&record.ttl.to_be_bytes());
}

/// Appends an additional record to a finished message, and counts it.
pub(super) fn append(message: &mut Vec<u8>, record: &WireRecord<'_>) {
    message.extend_from_slice(record.owner);
    head(message, record);
    message.extend_from_slice(&u16::try_from(record.rdata.len()).unwrap_or_default().to_be_bytes());
    message.extend_from_slice(record.rdata);
    let count = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
    message[10..HEADER].copy_from_slice(&count.to_be_bytes());
}

/// The end of the uncompressed name that `wire` begins with.
fn end_of(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *wire.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\x12\x34\x81\0\0\x01\0\0\0\0\0\0\x03WwW\x07service\0\0\x01\0\x01";

    fn record<'r>(owner: &'r [u8], rtype: u16, rdata: &'r [u8]) -> WireRecord<'r> {
        WireRecord { owner, rtype, class: 1, ttl: 5, rdata }
    }

    fn writer(limit: usize) -> Writer {
        Writer::new(HEAD.to_vec(), limit)
    }

    #[test]
    fn an_owner_is_a_pointer_to_where_it_was_written_as_it_is_spelled() {
        let mut writer = writer(512);
        let push = |writer: &mut Writer, owner: &[u8]| {
            let before = writer.size();
            assert!(writer.push(Section::Answer, &record(owner, 1, &[9; 4]), Compress::Owners));
            writer.bytes[before..writer.size() - 14].to_vec()
        };
        assert_eq!(push(&mut writer, b"\x03WwW\x07service\0"), b"\xc0\x0c");
        assert_eq!(push(&mut writer, b"\x03www\x07service\0"), b"\x03www\xc0\x10");
        assert_eq!(push(&mut writer, b"\x01a\x03www\x07service\0"), b"\x01a\xc0\x2d");
        assert_eq!(push(&mut writer, b"\x07service\0"), b"\xc0\x10");
        assert_eq!(push(&mut writer, b"\0"), b"\0");
        let message = writer.finish();
        assert_eq!(message[6..12], [0, 5, 0, 0, 0, 0]);
    }

    #[test]
    fn names_in_data_are_compressed_where_that_is_wanted_and_may_be() {
        for (rtype, rdata, short) in [
            (rtype::NS, &b"\x02ns\x07service\0"[..], &b"\x02ns\xc0\x10"[..]),
            (rtype::MX, b"\0\x05\x07service\0", b"\0\x05\xc0\x10"),
            (rtype::SOA, b"\x07service\0\0\x01\x02\x03", b"\xc0\x10\0\x01\x02\x03"),
            (rtype::SRV, b"\0\0\0\0\0\x01\x07service\0", b"\0\0\0\0\0\x01\x07service\0"),
            (rtype::NS, b"", b""),
        ] {
            let mut writer = writer(512);
            let is_name = !rdata.is_empty();
            assert_eq!(writer.push(Section::Authority, &record(b"\0", rtype, rdata), Compress::Data), is_name);
            assert!(writer.bytes.ends_with(short), "{rtype}");
            let mut whole = Writer::new(HEAD.to_vec(), 512);
            assert!(whole.push(Section::Authority, &record(b"\0", rtype, rdata), Compress::Owners));
            assert!(whole.bytes.ends_with(rdata), "{rtype}");
        }
    }

    #[test]
    fn what_has_no_room_leaves_nothing_behind() {
        let one = record(b"\x01a\x07service\0", 1, &[9; 4]);
        let size = HEAD.len() + 4 + 14;
        let mut exact = writer(size);
        assert!(exact.push(Section::Answer, &one, Compress::Owners));
        assert!(!exact.push(Section::Answer, &record(b"\x01b\x07service\0", 1, &[9; 4]), Compress::Owners));
        assert_eq!((exact.size(), exact.count(Section::Answer)), (size, 1));
        let mut less = writer(size - 1);
        assert!(!less.push(Section::Answer, &one, Compress::Owners));
        // A name that was taken out is not pointed to.
        less.limit = 512;
        assert!(less.push(Section::Answer, &record(b"\x01b\x01a\x07service\0", 1, &[9; 4]), Compress::Owners));
        assert_eq!(less.bytes[HEAD.len()..][..6], *b"\x01b\x01a\xc0\x10");
    }

    #[test]
    fn names_beyond_what_a_pointer_reaches_are_written_in_full() {
        let mut writer = writer(65_535);
        let far = vec![7; 0x4000];
        assert!(writer.push(Section::Answer, &record(b"\0", rtype::TXT, &far), Compress::Owners));
        let one = record(b"\x01z\x07service\0", 1, &[9; 4]);
        let [first, second] = [(); 2].map(|()| {
            let before = writer.size();
            assert!(writer.push(Section::Answer, &one, Compress::Owners));
            writer.bytes[before..writer.size() - 14].to_vec()
        });
        assert_eq!((&first[..], &second[..]), (&b"\x01z\xc0\x10"[..], &b"\x01z\xc0\x10"[..]));
    }
}
