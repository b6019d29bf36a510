//! Requests, read from their bytes as far as access, TSIG and transfers need it. What cannot be read here is no
//! transfer and carries no signature: it is the ordinary path's to refuse.

use std::borrow::Cow;

use crate::dns::fast::MAX_UDP;
use crate::dns::message::options::Options;
use crate::dns::message::tsig::{self, Signature};
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// A request, in its own bytes.
#[derive(Debug, Clone)]
pub struct Request<'m> {
    /// The whole message.
    pub message: &'m [u8],
    /// End of the question section.
    pub question_end: usize,
    /// The question.
    pub question: Question,
    /// The serial of the first SOA in the authority section: what an IXFR starts from (RFC 1995 §3).
    pub serial: Option<u32>,
    /// Its OPT record, if it speaks EDNS.
    pub edns: Option<Edns>,
    /// The signature, where there is one at the end (RFC 8945 §5.1).
    pub signature: Option<Signature<'m>>,
}

/// An OPT record (RFC 6891 §6.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The UDP size the client takes.
    pub size: u16,
    /// The version it speaks.
    pub version: u8,
    /// DO, which comes back as it was (RFC 3225 §3).
    pub dnssec_ok: bool,
    /// Its options; none where they are malformed.
    pub options: Option<Options>,
    /// Offset of the options in the message, and their length in bytes.
    place: (usize, usize),
}

/// OPT record of a response.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opt<'o> {
    /// The upper bits of the response code.
    pub high_bits: u8,
    /// Options, as they go on the wire.
    pub options: &'o [u8],
    /// An extended error (RFC 8914), where there is one to tell.
    pub extended: Option<u16>,
}

/// The one question of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, as it was spelled.
    pub name: Name,
    /// The type, by number.
    pub rtype: u16,
    /// The class, by number.
    pub class: u16,
}

/// A resource record within a message.
#[derive(Debug, Clone)]
pub(in crate::dns) struct RawRecord<'m> {
    /// Offset in the message.
    pub(in crate::dns) start: usize,
    pub(in crate::dns) owner: Name,
    pub(in crate::dns) rtype: u16,
    pub(in crate::dns) class: u16,
    pub(in crate::dns) ttl: u32,
    pub(in crate::dns) rdata: &'m [u8],
    /// Offset of the data in the message.
    rdata_start: usize,
}

/// Length of a message's header.
pub const HEADER: usize = 12;

impl<'m> Request<'m> {
    /// Reads a request; none for a response, for what has not exactly one question, and for what is malformed. A
    /// question that is compressed points into the header, which is another one in the response.
    pub fn parse(message: &'m [u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER>()?;
        if header[2] & 0x80 != 0 {
            return None;
        }
        let count = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        let [questions, answers, authorities, additionals] = [4, 6, 8, 10].map(count);
        if questions != 1 {
            return None;
        }
        let (name, at) = read_name(message, HEADER)?;
        if at - HEADER != name.wire().len() {
            return None;
        }
        let fixed = message.get(at..at + 4)?;
        let question = Question {
            name,
            rtype: u16::from_be_bytes([fixed[0], fixed[1]]),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
        };
        let mut request = Self { message, question_end: at + 4, question, serial: None, edns: None, signature: None };
        let mut at = request.question_end;
        for _ in 0..answers {
            (_, at) = read_record(message, at)?;
        }
        for _ in 0..authorities {
            let (record, end) = read_record(message, at)?;
            if request.serial.is_none() && record.rtype == rtype::SOA {
                request.serial = soa_serial(message, &record);
            }
            at = end;
        }
        for left in (0..additionals).rev() {
            let (record, end) = read_record(message, at)?;
            match record.rtype {
                rtype::OPT => {
                    let [_, version, flags, _] = record.ttl.to_be_bytes();
                    let (dnssec_ok, options) = (flags & 0x80 != 0, Options::read(record.rdata));
                    let place = (record.rdata_start, record.rdata.len());
                    request.edns = Some(Edns { size: record.class, version, dnssec_ok, options, place });
                }
                rtype::TSIG if left == 0 && end == message.len() => request.signature = Some(tsig::read(&record)?),
                _ => {}
            }
            at = end;
        }
        Some(request)
    }

    /// The message's ID.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.message[0], self.message[1]])
    }

    /// The operation, by number.
    pub fn opcode(&self) -> u8 {
        self.message[2] >> 3 & 0x0f
    }

    /// Returns whether this asks for a zone transfer.
    pub fn is_transfer(&self) -> bool {
        self.opcode() == 0 && matches!(self.question.rtype, rtype::AXFR | rtype::IXFR)
    }

    /// The beginning of a response to it: header and question, all counts but the question's 0. `rcode` is below 16.
    pub fn response(&self, rcode: u8, authoritative: bool) -> Vec<u8> {
        let mut response = self.message[..self.question_end].to_vec();
        // QR, and opcode and RD as they were (RFC 1035 §4.1.1); CD likewise (RFC 4035 §3.2.2).
        response[2] = 0x80 | (self.message[2] & 0x79) | if authoritative { 0x04 } else { 0 };
        response[3] = (self.message[3] & 0x10) | rcode;
        response[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        response
    }

    /// The message for the ordinary path: without its signature, and without its options. They were read here; a reader
    /// that knows other ones might find fault with what is none of this server's business.
    pub fn bare(&self) -> Cow<'m, [u8]> {
        let mut message = match &self.signature {
            Some(_) => Cow::Owned(tsig::strip(self)),
            None => Cow::Borrowed(self.message),
        };
        if let Some(Edns { place: (start, length @ 1..), version: 0, .. }) = self.edns {
            let bytes = message.to_mut();
            // A signature stands behind it, and its going moved nothing.
            bytes.drain(start..start + length);
            bytes[start - 2..start].fill(0);
        }
        message
    }

    /// Appends the OPT record that a response needs when the request had one (RFC 6891 §6.1.1).
    pub fn push_opt(&self, response: &mut Vec<u8>, opt: Opt<'_>) {
        if let Some(edns) = self.edns {
            opt.push(response, edns.dnssec_ok);
        }
    }
}

impl Opt<'_> {
    /// Appends the record to a response, and counts it.
    pub fn push(&self, response: &mut Vec<u8>, dnssec_ok: bool) {
        response.push(0);
        response.extend_from_slice(&rtype::OPT.to_be_bytes());
        response.extend_from_slice(&u16::try_from(MAX_UDP).unwrap_or(u16::MAX).to_be_bytes());
        response.extend_from_slice(&[self.high_bits, 0, u8::from(dnssec_ok) << 7, 0]);
        let length = self.options.len() + if self.extended.is_some() { 6 } else { 0 };
        response.extend_from_slice(&u16::try_from(length).unwrap_or_default().to_be_bytes());
        response.extend_from_slice(self.options);
        if let Some(code) = self.extended {
            response.extend_from_slice(&[0, 15, 0, 2]);
            response.extend_from_slice(&code.to_be_bytes());
        }
        response[11] += 1;
    }
}

/// Bytes of an OPT record without options.
pub const OPT: usize = 11;

/// Returns whether the name of the first question, if there is one, stands there without pointers, so that it can be
/// sent back.
pub(in crate::dns) fn has_plain_question(message: &[u8]) -> bool {
    let is_there = message.get(4..6).is_some_and(|count| count != [0, 0]);
    let mut at = HEADER;
    while let Some(&length) = message.get(at).filter(|_| is_there) {
        match length {
            0 => return true,
            1..=63 => at += 1 + usize::from(length),
            _ => return false,
        }
    }
    !is_there
}

/// The serial in an SOA whose names may be compressed.
fn soa_serial(message: &[u8], record: &RawRecord<'_>) -> Option<u32> {
    let (_, at) = read_name(message, record.rdata_start)?;
    let (_, at) = read_name(message, at)?;
    let end = record.rdata_start + record.rdata.len();
    let serial = message.get(at..end)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*serial))
}

/// The record at `at`, and where it ends.
pub(in crate::dns) fn read_record(message: &[u8], start: usize) -> Option<(RawRecord<'_>, usize)> {
    let (owner, at) = read_name(message, start)?;
    let fixed = message.get(at..)?.first_chunk::<10>()?;
    let half = |i: usize| u16::from_be_bytes([fixed[i], fixed[i + 1]]);
    let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let (rdata_start, length) = (at + 10, usize::from(half(8)));
    let rdata = message.get(rdata_start..rdata_start + length)?;
    let record = RawRecord { start, owner, rtype: half(0), class: half(2), ttl, rdata, rdata_start };
    Some((record, rdata_start + length))
}

/// The name at `at`, which may be compressed (RFC 1035 §4.1.4), and where it ends.
pub(in crate::dns) fn read_name(message: &[u8], at: usize) -> Option<(Name, usize)> {
    let (mut wire, mut at, mut end, mut limit) = (Vec::with_capacity(64), at, None, at);
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => {
                wire.push(0);
                let (name, _) = Name::from_wire(&wire)?;
                return Some((name, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                wire.extend_from_slice(message.get(at..=at + length)?);
                if wire.len() > 254 {
                    return None;
                }
                at += 1 + length;
            }
            0xc0.. => {
                let pointer = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end.get_or_insert(at + 2);
                // Only ever backwards: no pointer leads round.
                if pointer >= limit {
                    return None;
                }
                (at, limit) = (pointer, pointer);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(counts: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 0x01, 0x00];
        message.extend(counts.iter().flat_map(|count| [0, *count]));
        message.extend_from_slice(body);
        message
    }

    const QUESTION: &[u8] = b"\x07Service\0\0\xfb\0\x01";

    #[test]
    fn an_ixfr_says_the_serial_it_has_even_compressed() {
        let soa = [b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x18\xc0\x0c\xc0\x0c".as_slice(), &7u32.to_be_bytes(), &[0; 16]];
        let message = message([1, 0, 1, 0], &[QUESTION, &soa.concat()].concat());
        let request = Request::parse(&message).unwrap();
        assert_eq!(request.serial, Some(7));
        assert!(request.is_transfer());
        assert_eq!(request.question.name.to_string(), "Service.");
        assert_eq!(request.response(5, false), [b"\x12\x34\x81\x05\0\x01\0\0\0\0\0\0", QUESTION].concat());
    }

    #[test]
    fn an_opt_comes_back_where_one_was() {
        let opt = b"\0\0\x29\x10\0\0\0\x80\0\0\0";
        let message = message([1, 0, 0, 1], &[QUESTION, opt].concat());
        let request = Request::parse(&message).unwrap();
        let options = Some(Options::default());
        assert_eq!(request.edns, Some(Edns { size: 4096, version: 0, dnssec_ok: true, options, place: (36, 0) }));
        let mut response = request.response(0, true);
        let plain = response.len();
        request.push_opt(&mut response, Opt::default());
        assert_eq!(response[plain..], *b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
        assert_eq!((response.len() - plain, response[11]), (OPT, 1));
        response.truncate(plain);
        request.push_opt(&mut response, Opt { high_bits: 1, options: b"\0\x03\0\x01a", extended: Some(18) });
        assert_eq!(response[plain + 5..], *b"\x01\0\x80\0\0\x0b\0\x03\0\x01a\0\x0f\0\x02\0\x12");
    }

    #[test]
    fn the_ordinary_path_gets_no_options() {
        let opt = b"\0\0\x29\x10\0\0\0\x80\0\0\x07\0\x08\0\x03\x01\x02\x03";
        let with = message([1, 0, 0, 1], &[QUESTION, opt].concat());
        let without = message([1, 0, 0, 1], &[QUESTION, b"\0\0\x29\x10\0\0\0\x80\0\0\0"].concat());
        assert_eq!(*Request::parse(&with).unwrap().bare(), *without);
        assert_eq!(*Request::parse(&without).unwrap().bare(), *without);
    }

    #[test]
    fn what_is_no_request_is_not_read() {
        let good = message([1, 0, 0, 0], QUESTION);
        assert!(Request::parse(&good).is_some());
        for end in 0..good.len() {
            assert!(Request::parse(&good[..end]).is_none(), "{end}");
        }
        let mut response = good.clone();
        response[2] |= 0x80;
        assert!(Request::parse(&response).is_none());
        // A name that goes on in the header would be another one in the response.
        let into_header = message([1, 0, 0, 0], b"\x01a\xc0\x04\0\xfc\0\x01");
        assert!(read_name(&into_header, HEADER).is_some() && Request::parse(&into_header).is_none());
        assert!(!has_plain_question(&into_header) && has_plain_question(&good) && !has_plain_question(&good[..HEADER]));
        assert!(Request::parse(&message([0, 0, 0, 0], QUESTION)).is_none());
        assert!(Request::parse(&message([2, 0, 0, 0], &QUESTION.repeat(2))).is_none());
    }

    #[test]
    fn pointers_that_lead_round_or_forward_are_not_followed() {
        assert!(read_name(b"\xc0\0", 0).is_none());
        assert!(read_name(b"\xc0\x02\0\0", 0).is_none());
        assert!(read_name(b"\x01a\xc0\0", 0).is_none());
        assert!(read_name(b"\x01a\xc0\x02", 0).is_none());
        let (name, end) = read_name(b"\x01a\0\x01b\xc0\0", 3).unwrap();
        assert_eq!((name.to_string(), end), ("b.a.".into(), 7));
        assert!(read_name(&[&[63; 64][..]; 4].concat(), 0).is_none(), "beyond 255 bytes");
    }

    /// No bytes make it panic or run on.
    #[test]
    fn random_and_mutated_requests_are_survived() {
        let mut random = fastrand::Rng::with_seed(1035);
        let soa = [b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x18\xc0\x0c\xc0\x0c".as_slice(), &[7; 20]].concat();
        let good = message([1, 0, 1, 0], &[QUESTION, &soa].concat());
        let mut read = 0;
        for _ in 0..50_000 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(bytes.len() / 2..=bytes.len()));
            read += usize::from(Request::parse(&bytes).is_some());
        }
        assert!(read > 100, "{read}");
    }
}
