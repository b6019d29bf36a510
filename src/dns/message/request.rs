//! Requests: header, question and EDNS, which is all that a response goes by. Owned, as it outlives the packet it was
//! read from; both the hot path and [`super::parse`] make one.

use super::options::Options;
use super::sizes::{AA, CD, HEADER, MAX_TCP, MAX_UDP, MIN_UDP, OPT, QR, RD};
use super::writer::{WireRecord, append};
use crate::dns::transport::Transport;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// A request, or of a response what it repeats of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Header and question section, as they came.
    head: Box<[u8]>,
    /// The question; none where there is not exactly one (RFC 9619).
    pub question: Option<Question>,
    /// Its OPT record, if it speaks EDNS.
    pub edns: Option<Edns>,
    /// The serial of the first SOA in the authority section: what an IXFR starts from (RFC 1995 §3).
    pub serial: Option<u32>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, as it was spelled.
    pub name: Name,
    /// The type, by number.
    pub rtype: u16,
    /// The class, by number.
    pub class: u16,
}

/// An OPT record of a request (RFC 6891 §6.1.3).
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
}

/// The OPT record of a response.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opt<'o> {
    /// The upper bits of the response code.
    pub high_bits: u8,
    /// Options, as they go on the wire.
    pub options: &'o [u8],
    /// An extended error (RFC 8914): its code, and a text for people, which may be empty.
    pub extended: Option<(u16, &'o str)>,
}

impl Request {
    /// A request with this header and question section.
    pub fn new(head: &[u8], question: Option<Question>, edns: Option<Edns>) -> Self {
        debug_assert!(head.len() >= HEADER);
        Self { head: head.into(), question, edns, serial: None }
    }

    /// The message's ID.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.head[0], self.head[1]])
    }

    /// Returns whether this is a response: QR is set.
    pub fn is_response(&self) -> bool {
        self.head[2] & QR != 0
    }

    /// The operation, by number.
    pub fn opcode(&self) -> u8 {
        self.head[2] >> 3 & 0x0f
    }

    /// The four bits of the response code that are in the header.
    pub fn rcode(&self) -> u8 {
        self.head[3] & 0x0f
    }

    /// RD.
    pub fn is_recursion_desired(&self) -> bool {
        self.head[2] & RD != 0
    }

    /// CD.
    pub fn is_checking_disabled(&self) -> bool {
        self.head[3] & CD != 0
    }

    /// Numbers of questions, answers, authority and additional records.
    pub fn counts(&self) -> [u16; 4] {
        [4, 6, 8, 10].map(|i| u16::from_be_bytes([self.head[i], self.head[i + 1]]))
    }

    /// Bytes of header and question section.
    pub fn head_size(&self) -> usize {
        self.head.len()
    }

    /// Returns whether this asks for a zone transfer.
    pub fn is_transfer(&self) -> bool {
        let asks = |question: &Question| matches!(question.rtype, rtype::AXFR | rtype::IXFR);
        self.opcode() == 0 && self.question.as_ref().is_some_and(asks)
    }

    /// Limit of the whole response, in bytes.
    pub fn limit(&self, transport: Transport) -> usize {
        match (transport.is_datagram(), self.edns) {
            (false, _) => MAX_TCP,
            (true, Some(edns)) => usize::from(edns.size).clamp(MIN_UDP, MAX_UDP),
            (true, None) => MIN_UDP,
        }
    }

    /// The beginning of a response: header and question section, all counts but the questions' 0. `rcode` is below 16.
    pub fn response(&self, rcode: u8, authoritative: bool) -> Vec<u8> {
        let mut response = self.head.to_vec();
        response[2..4].copy_from_slice(&flags(&self.head, rcode, authoritative));
        response[6..HEADER].fill(0);
        response
    }

    /// Appends the OPT record that a response needs when the request had one (RFC 6891 §6.1.1).
    pub fn push_opt(&self, response: &mut Vec<u8>, opt: Opt<'_>) {
        if let Some(edns) = self.edns {
            opt.push(response, edns.dnssec_ok);
        }
    }

    /// Bytes that [`Self::push_opt`] appends.
    pub fn opt_size(&self, opt: Opt<'_>) -> usize {
        self.edns.map_or(0, |_| OPT + opt.data_size())
    }
}

/// The third and fourth byte of a response to a message with this header: opcode and RD come back as they were (RFC
/// 1035 §4.1.1), and so does CD (RFC 4035 §3.2.2).
pub(super) fn flags(header: &[u8], rcode: u8, authoritative: bool) -> [u8; 2] {
    [QR | header[2] & 0x79 | if authoritative { AA } else { 0 }, header[3] & CD | rcode]
}

impl Opt<'_> {
    /// Appends the record to a response, and counts it.
    pub fn push(&self, response: &mut Vec<u8>, dnssec_ok: bool) {
        let mut rdata = Vec::with_capacity(self.data_size());
        rdata.extend_from_slice(self.options);
        if let Some((code, text)) = self.extended {
            rdata.extend_from_slice(&[0, 15]);
            rdata.extend_from_slice(&u16::try_from(2 + text.len()).unwrap_or_default().to_be_bytes());
            rdata.extend_from_slice(&code.to_be_bytes());
            rdata.extend_from_slice(text.as_bytes());
        }
        #[allow(clippy::cast_possible_truncation)] // a constant
        let class = MAX_UDP as u16;
        let ttl = u32::from_be_bytes([self.high_bits, 0, u8::from(dnssec_ok) << 7, 0]);
        append(response, &WireRecord { owner: &[0], rtype: rtype::OPT, class, ttl, rdata: &rdata });
    }

    fn data_size(&self) -> usize {
        self.options.len() + self.extended.map_or(0, |(_, text)| 6 + text.len())
    }
}
