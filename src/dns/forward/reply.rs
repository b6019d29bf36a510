//! Answers that were found elsewhere, written for the client that asked: its own ID, question and spelling, its own
//! limits. Pure.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};

use crate::dns::message::request::Request;
use crate::dns::message::sizes::{RA, TC};
use crate::dns::message::writer::{Compress, Section, WireRecord, Writer};

/// Known answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedAnswer {
    /// The response code.
    pub rcode: ResponseCode,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The additional section, without OPT.
    pub additionals: Vec<Record>,
}

/// Room of one answer.
#[derive(Debug, Clone, Copy)]
pub struct SizeLimit {
    /// Bytes that are left when the OPT record has its own.
    pub size: usize,
    /// True if the client can ask again over TCP.
    pub can_retry: bool,
}

/// The answer, but for its OPT record. None when it cannot be written.
pub fn encode(request: &Request, found: &ReceivedAnswer, room: SizeLimit) -> Option<Vec<u8>> {
    let mut writer = writer_of(request, found, room.size);
    let all = |writer: &mut Writer, section, records: &[Record]| {
        records.iter().all(|record| push(writer, request, section, record))
    };
    if all(&mut writer, Section::Answer, &found.answers) && all(&mut writer, Section::Authority, &found.authorities) {
        let begin = writer.mark();
        // Additional records are nobody's answer (RFC 2181 §9).
        if !all(&mut writer, Section::Additional, &found.additionals) {
            writer.rewind(begin);
        }
        return Some(writer.finish());
    }
    room.can_retry.then(|| {
        let mut writer = writer_of(request, found, room.size);
        writer.set(TC);
        writer.finish()
    })
}

/// Header and question.
fn writer_of(request: &Request, found: &ReceivedAnswer, limit: usize) -> Writer {
    let mut head = request.response(found.rcode.low(), false);
    head[3] |= RA;
    Writer::new(head, limit)
}

/// Writes a record; false where there is no room, or it cannot be written.
fn push(writer: &mut Writer, request: &Request, section: Section, record: &Record) -> bool {
    let mut owner = wire(&record.name);
    // Owners are spelled as the question is, whose name they then point to; some clients compare bytes.
    if let Some(question) = request.question.as_ref().filter(|_| section == Section::Answer)
        && question.name.wire().eq_ignore_ascii_case(&owner)
    {
        owner = question.name.wire().to_vec();
    }
    let mut rdata = Vec::new();
    let mut encoder = BinEncoder::new(&mut rdata);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    if !matches!(record.data, RData::Update0(_)) && record.data.emit(&mut encoder).is_err() {
        return false;
    }
    let (rtype, class) = (record.record_type().into(), record.dns_class.into());
    writer.push(section, &WireRecord { owner: &owner, rtype, class, ttl: record.ttl, rdata: &rdata }, Compress::Data)
}

fn wire(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name {
        wire.push(u8::try_from(label.len()).unwrap_or_default());
        wire.extend_from_slice(label);
    }
    wire.push(0);
    wire
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::parse::Message as Read;
    use hickory_proto::op::Message;
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::A;

    const QUERY: &[u8] = b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\0\x03WwW\x07eXample\0\0\x01\0\x01";

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn found(addresses: u8) -> ReceivedAnswer {
        let record = |i| Record::from_rdata(name("www.example."), 60, RData::A(A::new(192, 0, 2, i)));
        let additionals = vec![Record::from_rdata(name("ns.example."), 60, RData::A(A::new(192, 0, 2, 250)))];
        let answers = (0..addresses).map(record).collect();
        ReceivedAnswer { rcode: ResponseCode::NoError, answers, authorities: Vec::new(), additionals }
    }

    #[allow(clippy::needless_pass_by_value)]
    fn encoded(found: ReceivedAnswer, size: usize, can_retry: bool) -> Option<Vec<u8>> {
        encode(&Read::parse(QUERY).unwrap().request, &found, SizeLimit { size, can_retry })
    }

    #[test]
    fn the_question_comes_back_byte_for_byte_and_so_do_the_owners() {
        let response = encoded(found(2), 512, true).unwrap();
        assert_eq!(response[..QUERY.len()], *b"\x12\x34\x81\x90\0\x01\0\x02\0\0\0\x01\x03WwW\x07eXample\0\0\x01\0\x01");
        assert_eq!(response[QUERY.len()..][..2], [0xc0, 0x0c]);
        assert!(Message::from_vec(&response).is_ok());
    }

    #[test]
    fn what_does_not_fit_loses_its_additionals_first_and_is_truncated_then() {
        let whole = encoded(found(2), 512, true).unwrap();
        let less = encoded(found(2), whole.len() - 1, true).unwrap();
        assert_eq!((less[2] & TC, less[7], less[11]), (0, 2, 0));
        let cut = encoded(found(2), less.len() - 1, true).unwrap();
        assert_eq!((cut[2] & TC, cut.len(), &cut[4..12]), (TC, QUERY.len(), &[0, 1, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(encoded(found(2), less.len() - 1, false), None, "over TCP there is nothing to come again with");
    }

    #[test]
    fn other_codes_are_passed_on() {
        let response = encoded(ReceivedAnswer { rcode: ResponseCode::NXDomain, ..found(0) }, 512, true).unwrap();
        assert_eq!((response[3] & 0x0f, response[3] & RA, response[2] & 0x04), (3, RA, 0));
    }
}
