//! Answers that were found elsewhere, made over for the client that asked: its own ID, question and spelling, its own
//! limits. Pure.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};

use crate::dns::fast::RA;
use crate::dns::message::request::{HEADER, Request};

/// Known answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
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
pub struct Room {
    /// Bytes that are left when the OPT record has its own.
    pub size: usize,
    /// True if the client can ask again over TCP.
    pub can_retry: bool,
}

const TC: u8 = 0x02;

/// The question's name as it was spelled; none for one that cannot be a name elsewhere.
pub fn asked_name(request: &Request<'_>) -> Option<Name> {
    let mut name = Name::from_labels(request.question.name.labels()).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// The answer, but for its OPT record. None when it cannot be written.
pub fn encode(request: &Request<'_>, mut found: Found, room: Room) -> Option<Vec<u8>> {
    let asked = asked_name(request)?;
    for record in &mut found.answers {
        // Owners are spelled as the question is (RFC 1035 §4.1.4 makes them pointers to it); some clients compare
        // bytes.
        if record.name == asked {
            record.name = asked.clone();
        }
    }
    let truncated = |found: &Found| {
        let mut response = head(request, found.rcode);
        response[2] |= TC;
        response
    };
    let mut response = write(request, &asked, &found)?;
    // Additional records are nobody's answer (RFC 2181 §9).
    if response.len() > room.size && !found.additionals.is_empty() {
        found.additionals.clear();
        response = write(request, &asked, &found)?;
    }
    match response.len() > room.size {
        false => Some(response),
        true if room.can_retry => Some(truncated(&found)),
        true => None,
    }
}

/// Header and question.
fn head(request: &Request<'_>, rcode: ResponseCode) -> Vec<u8> {
    let mut response = request.response(rcode.low(), false);
    response[3] |= RA;
    response
}

fn write(request: &Request<'_>, asked: &Name, found: &Found) -> Option<Vec<u8>> {
    let mut message = Message::response(0, OpCode::Query);
    let mut query = Query::query(asked.clone(), RecordType::from(request.question.rtype));
    query.set_query_class(request.question.class.into());
    message.add_query(query);
    message.add_answers(found.answers.iter().cloned());
    message.add_authorities(found.authorities.iter().cloned());
    message.add_additionals(found.additionals.iter().cloned());
    let mut response = message.to_vec().ok()?;
    let head = head(request, found.rcode);
    // Pointers count from the beginning: it stays where it is.
    if response.get(HEADER..head.len())? != &head[HEADER..] {
        return None;
    }
    response[..4].copy_from_slice(&head[..4]);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::A;

    const QUERY: &[u8] = b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\0\x03WwW\x07eXample\0\0\x01\0\x01";

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn found(addresses: u8) -> Found {
        let record = |i| Record::from_rdata(name("www.example."), 60, RData::A(A::new(192, 0, 2, i)));
        let additionals = vec![Record::from_rdata(name("ns.example."), 60, RData::A(A::new(192, 0, 2, 250)))];
        let answers = (0..addresses).map(record).collect();
        Found { rcode: ResponseCode::NoError, answers, authorities: Vec::new(), additionals }
    }

    fn encoded(found: Found, size: usize, can_retry: bool) -> Option<Vec<u8>> {
        encode(&Request::parse(QUERY).unwrap(), found, Room { size, can_retry })
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
        let response = encoded(Found { rcode: ResponseCode::NXDomain, ..found(0) }, 512, true).unwrap();
        assert_eq!((response[3] & 0x0f, response[3] & RA, response[2] & 0x04), (3, RA, 0));
    }
}
