//! The one reader of messages, requests and responses alike: [`Message::parse`] goes over the bytes once, and what it
//! found is handed on. A query that the hot path has read is not read again ([`crate::dns::fast::Query::request`]).

use super::options::Options;
use super::request::{Edns, Question, Request, flags};
use super::sizes::HEADER;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// A message, in its own bytes.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    /// The whole message.
    pub bytes: &'m [u8],
    /// Its header, question and EDNS.
    pub request: Request,
    /// The TSIG record, where there is one at the end (RFC 8945 §5.1); it is not looked into here.
    pub signature: Option<RawRecord<'m>>,
    /// True if nothing follows the last record.
    pub is_whole: bool,
}

/// A resource record within a message.
#[derive(Debug, Clone)]
pub struct RawRecord<'m> {
    /// Offset in the message.
    pub start: usize,
    /// Its owner, uncompressed.
    pub owner: Name,
    /// Its type, by number.
    pub rtype: u16,
    /// Its class, by number.
    pub class: u16,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Its data, as they stand in the message.
    pub rdata: &'m [u8],
    /// Offset of the data in the message.
    rdata_start: usize,
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The header; none of fewer bytes than that.
    header: Option<[u8; HEADER]>,
}

impl Malformed {
    /// The response: FORMERR, with the header alone; none to what is a response, or has no header.
    pub fn response(&self) -> Option<Vec<u8>> {
        let header = self.header.filter(|header| header[2] & super::sizes::QR == 0)?;
        let mut response = header.to_vec();
        response[2..4].copy_from_slice(&flags(&header, 1, false));
        response[4..].fill(0);
        Some(response)
    }
}

/// SIG (RFC 2931), which may be in the additional section alone.
const SIG: u16 = 24;

impl<'m> Message<'m> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it ends before its records do, has a name that is none, an OPT record that is not the only one, or a record
    /// where it must not be.
    pub fn parse(bytes: &'m [u8]) -> Result<Self, Malformed> {
        #[cfg(test)]
        reads::count();
        let header = bytes.first_chunk::<HEADER>().copied();
        header.and_then(|header| Self::read(bytes, header)).ok_or(Malformed { header })
    }

    fn read(bytes: &'m [u8], header: [u8; HEADER]) -> Option<Self> {
        let count = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        let [questions, answers, authorities, additionals] = [4, 6, 8, 10].map(count);
        let (mut at, mut question) = (HEADER, None);
        for _ in 0..questions {
            let (name, end) = read_name(bytes, at)?;
            let &[high, low, class_high, class_low] = bytes.get(end..)?.first_chunk::<4>()?;
            let (rtype, class) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([class_high, class_low]));
            question = Some(Question { name, rtype, class });
            at = end + 4;
        }
        let mut request = Request::new(&bytes[..at], question.filter(|_| questions == 1), None);
        let mut signature = None;
        for i in 0..u32::from(answers) + u32::from(authorities) {
            let (record, end) = read_record(bytes, at)?;
            at = end;
            if is_additional(record.rtype) {
                return None;
            }
            if i >= u32::from(answers) && request.serial.is_none() && record.rtype == rtype::SOA {
                request.serial = soa_serial(bytes, &record);
            }
        }
        for left in (0..additionals).rev() {
            let (record, end) = read_record(bytes, at)?;
            at = end;
            match record.rtype {
                rtype::OPT if request.edns.is_some() || !record.owner.is_root() => return None,
                rtype::OPT => request.edns = Some(edns(&record)),
                rtype::TSIG if left == 0 && end == bytes.len() => signature = Some(record),
                _ => {}
            }
        }
        Some(Self { bytes, request, signature, is_whole: at == bytes.len() })
    }
}

/// Returns whether records of a type belong into the additional section alone (RFC 6891 §6.1.1, RFC 8945 §5.1).
fn is_additional(rtype: u16) -> bool {
    matches!(rtype, rtype::OPT | rtype::TSIG | SIG)
}

fn edns(record: &RawRecord<'_>) -> Edns {
    let [_, version, flags, _] = record.ttl.to_be_bytes();
    Edns { size: record.class, version, dnssec_ok: flags & 0x80 != 0, options: Options::read(record.rdata) }
}

/// The serial in an SOA whose names may be compressed.
fn soa_serial(message: &[u8], record: &RawRecord<'_>) -> Option<u32> {
    let (_, at) = read_name(message, record.rdata_start)?;
    let (_, at) = read_name(message, at)?;
    let end = record.rdata_start + record.rdata.len();
    let serial = message.get(at..end)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*serial))
}

/// The record at `start`, and where it ends.
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

/// The name at `at`, which may be compressed (RFC 1035 §4.1.4), and where it ends. A pointer leads to labels that end
/// before those it was met behind begin, and not into the header, which is another one in the response.
pub(in crate::dns) fn read_name(message: &[u8], at: usize) -> Option<(Name, usize)> {
    let (mut wire, mut at, mut end, mut limit) = (Vec::with_capacity(64), at, None, at);
    let mut message = message;
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
                if !(HEADER..limit).contains(&pointer) {
                    return None;
                }
                message = message.get(..limit)?;
                (at, limit) = (pointer, pointer);
            }
            _ => return None,
        }
    }
}

/// Counts the messages that this thread has read, for the tests that none is read twice.
#[cfg(test)]
pub(in crate::dns) mod reads {
    use std::cell::Cell;

    thread_local! {
        static READS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts one.
    pub(in crate::dns) fn count() {
        READS.set(READS.get() + 1);
    }

    /// Returns how many there were since the last look.
    pub(in crate::dns) fn take() -> usize {
        READS.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::request::Opt;
    use crate::dns::message::sizes::OPT;

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
        let Message { request, .. } = Message::parse(&message).unwrap();
        assert_eq!(request.serial, Some(7));
        assert!(request.is_transfer());
        assert_eq!(request.question.as_ref().unwrap().name.to_string(), "Service.");
        assert_eq!(request.response(5, false), [b"\x12\x34\x81\x05\0\x01\0\0\0\0\0\0", QUESTION].concat());
    }

    #[test]
    fn an_opt_comes_back_where_one_was() {
        let opt = b"\0\0\x29\x10\0\0\0\x80\0\0\0";
        let message = message([1, 0, 0, 1], &[QUESTION, opt].concat());
        let Message { request, .. } = Message::parse(&message).unwrap();
        let options = Some(Options::default());
        assert_eq!(request.edns, Some(Edns { size: 4096, version: 0, dnssec_ok: true, options }));
        let mut response = request.response(0, true);
        let plain = response.len();
        request.push_opt(&mut response, Opt::default());
        assert_eq!(response[plain..], *b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
        assert_eq!((response.len() - plain, response[11]), (OPT, 1));
        response.truncate(plain);
        request.push_opt(&mut response, Opt { high_bits: 1, options: b"\0\x03\0\x01a", extended: Some((18, "")) });
        assert_eq!(response[plain + 5..], *b"\x01\0\x80\0\0\x0b\0\x03\0\x01a\0\x0f\0\x02\0\x12");
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        let good = message([1, 0, 0, 0], QUESTION);
        assert!(Message::parse(&good).is_ok());
        for end in 0..good.len() {
            let malformed = Message::parse(&good[..end]).unwrap_err();
            let form_error = (end >= HEADER).then(|| b"\x12\x34\x81\x01\0\0\0\0\0\0\0\0".to_vec());
            assert_eq!(malformed.response(), form_error, "{end}");
        }
        // A name that goes on in the header would be another one in the response.
        let into_header = message([1, 0, 0, 0], b"\x01a\xc0\x04\0\xfc\0\x01");
        assert!(read_name(&into_header, HEADER).is_none() && Message::parse(&into_header).is_err());
        // Nor may a pointer lead to labels that run into those it was met behind: not everybody reads such a name.
        let overlapping = message([2, 0, 0, 0], b"\x03abc\0\x07\0\0\x01\x01x\xc0\x11\0\x01\0\x01");
        assert!(Message::parse(&overlapping).is_err());
        let compressed = message([2, 0, 0, 0], b"\x03abc\0\0\x01\0\x01\x01x\xc0\x0c\0\x01\0\x01");
        assert!(Message::parse(&compressed).is_ok());
        // No answer begets answers.
        let mut response = good[..good.len() - 1].to_vec();
        response[2] |= 0x80;
        assert_eq!(Message::parse(&response).unwrap_err().response(), None);
        let question = |message: &[u8]| Message::parse(message).unwrap().request.question;
        assert!(question(&good).is_some());
        assert_eq!(question(&message([0, 0, 0, 0], b"")), None);
        assert_eq!(question(&message([2, 0, 0, 0], &QUESTION.repeat(2))), None);
    }

    /// RFC 6891 §6.1.1: one OPT record, owned by the root, in the additional section.
    #[test]
    fn an_opt_record_out_of_place_is_malformed() {
        let opt = &b"\0\0\x29\x10\0\0\0\0\0\0\0"[..];
        let is_read =
            |counts, body: &[&[u8]]| Message::parse(&message(counts, &[QUESTION, &body.concat()].concat())).is_ok();
        assert!(is_read([1, 0, 0, 1], &[opt]));
        assert!(!is_read([1, 0, 0, 2], &[opt, opt]));
        assert!(!is_read([1, 1, 0, 0], &[opt]) && !is_read([1, 0, 1, 0], &[opt]));
        assert!(!is_read([1, 0, 0, 1], &[b"\x01a", opt]));
    }

    #[test]
    fn pointers_that_lead_round_or_forward_are_not_followed() {
        let read = |names: &[u8], start: usize| read_name(&[&[0; HEADER], names].concat(), HEADER + start);
        assert!(read(b"\xc0\x0c", 0).is_none());
        assert!(read(b"\xc0\x0e\0\0", 0).is_none());
        assert!(read(b"\x01a\xc0\x0c", 0).is_none());
        assert!(read(b"\x01a\xc0\x0e", 0).is_none());
        assert!(read(b"\x01a\xc0\0", 0).is_none(), "into the header");
        let (name, end) = read(b"\x01a\0\x01b\xc0\x0c", 3).unwrap();
        assert_eq!((name.to_string(), end), ("b.a.".into(), HEADER + 7));
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
            read += usize::from(Message::parse(&bytes).is_ok());
        }
        assert!(read > 100, "{read}");
    }
}
