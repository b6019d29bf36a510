//! An answer as far as two servers can be expected to agree on it: sections without order, names in lower case, no
//! addresses of bytes.

use std::fmt::{self, Write as _};

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};

use super::questions::Asked;

/// What one server said. None where it said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// With the upper bits that OPT has.
    pub(super) rcode: u16,
    /// QR, opcode, AA, TC, RD, RA, Z, AD, CD: the header's flags without the code.
    pub(super) flags: u16,
    /// Whether the question came back byte for byte.
    pub(super) echoes: bool,
    pub(super) answer: Vec<String>,
    pub(super) authority: Vec<String>,
    pub(super) additional: Vec<String>,
    /// Version and DO of the OPT record.
    pub(super) edns: Option<(u8, bool)>,
    /// Whether anything came.
    pub(super) is_there: bool,
}

pub(super) const CD: u16 = 0x0010;
pub(super) const Z: u16 = 0x0040;
pub(super) const TC: u16 = 0x0200;

impl View {
    /// Reads an answer. What is not DNS fails the test.
    pub(super) fn read(asked: &Asked, answer: Option<Vec<u8>>) -> Self {
        let Some(bytes) = answer else {
            return Self {
                rcode: 0,
                flags: 0,
                echoes: true,
                answer: Vec::new(),
                authority: Vec::new(),
                additional: Vec::new(),
                edns: None,
                is_there: false,
            };
        };
        let message = Message::from_vec(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?} to {asked}"));
        Self {
            rcode: message.metadata.response_code.into(),
            flags: u16::from_be_bytes([bytes[2], bytes[3]]) & 0xfff0,
            echoes: bytes.get(12..asked.question_end) == asked.packet.get(12..asked.question_end),
            answer: section(&message.answers),
            authority: section(&message.authorities),
            additional: section(&message.additionals),
            edns: message.edns.as_ref().map(|edns| (edns.version(), edns.flags().dnssec_ok)),
            is_there: true,
        }
    }

    /// What differs, a line each.
    pub(super) fn difference(&self, other: &Self) -> String {
        if self.is_there != other.is_there {
            return format!("  answered: {} | {}\n", self.is_there, other.is_there);
        }
        let mut text = String::new();
        let mut line = |what: &str, ours: &dyn fmt::Debug, theirs: &dyn fmt::Debug| {
            let (ours, theirs) = (format!("{ours:x?}"), format!("{theirs:x?}"));
            if ours != theirs {
                let _ = writeln!(text, "  {what}: {ours} | {theirs}");
            }
        };
        line("code", &self.rcode, &other.rcode);
        line("flags", &self.flags, &other.flags);
        line("question echoed", &self.echoes, &other.echoes);
        line("EDNS", &self.edns, &other.edns);
        line("answer", &self.answer, &other.answer);
        line("authority", &self.authority, &other.authority);
        line("additional", &self.additional, &other.additional);
        text
    }

    /// Whether one of them left something out for want of room.
    pub(super) fn is_cut(ours: &Self, theirs: &Self) -> bool {
        (ours.flags | theirs.flags) & TC != 0 || (ours.additional != theirs.additional && ours.answer == theirs.answer)
    }
}

/// The records of a section, sorted. Their names are in lower case, which is all one (RFC 4343); text is not.
fn section(records: &[Record]) -> Vec<String> {
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

fn line(record: &Record) -> String {
    let owner = record.name.to_ascii().to_lowercase();
    let data = match &record.data {
        // Each of us numbers its own commits.
        RData::SOA(soa) => {
            format!("{} {} # {} {} {} {}", soa.mname, soa.rname, soa.refresh, soa.retry, soa.expire, soa.minimum)
        }
        data => data.to_string(),
    };
    format!("{owner} {} {} {} {data}", record.ttl, record.dns_class, record.record_type()).to_lowercase()
}
