//! Walks over the records of a finished response, for what is told beside it: names are skipped, nothing is copied.

use super::sizes::HEADER;
use crate::zone::record::rtype;

/// A record's place in a message.
struct RecordPlace {
    start: usize,
    rtype: u16,
    ttl: u32,
    /// Number of the record among all.
    index: usize,
    end: usize,
}

fn half(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// The end of the name at `at`.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return Some(at + 2),
        }
    }
}

/// The records, to the end of the message.
fn records(message: &[u8]) -> impl Iterator<Item = RecordPlace> {
    let questions = half(message, 4).unwrap_or_default();
    let begin = (0..questions).try_fold(HEADER, |at, _| Some(skip_name(message, at)? + 4));
    let mut at = begin.unwrap_or(usize::MAX);
    (0..).map_while(move |index| {
        let start = at;
        let fixed = skip_name(message, start)?;
        let ttl = u32::from(half(message, fixed + 4)?) << 16 | u32::from(half(message, fixed + 6)?);
        at = fixed + 10 + usize::from(half(message, fixed + 8)?);
        (at <= message.len()).then_some(RecordPlace { start, rtype: half(message, fixed)?, ttl, index, end: at })
    })
}

/// The time for which a response may be kept, in seconds: the least time to live of its answer section, where there is
/// none, of its authority section (RFC 8484 §5.1, RFC 2308 §5). `None` for a response without records.
pub fn least_ttl(message: &[u8]) -> Option<u32> {
    let [answers, authorities] = [6, 8].map(|at| usize::from(half(message, at).unwrap_or_default()));
    let count = if answers > 0 { answers } else { authorities };
    records(message).take_while(|record| record.index < count).map(|record| record.ttl).min()
}

/// Offset of the OPT record that ends a message; `None` where something else does.
pub fn last_opt(message: &[u8]) -> Option<usize> {
    let last = records(message).last()?;
    (last.rtype == rtype::OPT && last.end == message.len()).then_some(last.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::request::Opt;
    use crate::dns::message::writer::{Compress, Section, WireRecord, Writer};

    fn message(sections: &[(Section, u32)]) -> Vec<u8> {
        let head = b"\x12\x34\x81\0\0\x01\0\0\0\0\0\0\x07service\0\0\x01\0\x01".to_vec();
        let mut writer = Writer::new(head, 512);
        for (section, ttl) in sections {
            let record = WireRecord { owner: b"\x01a\x07service\0", rtype: 1, class: 1, ttl: *ttl, rdata: &[1; 4] };
            assert!(writer.push(*section, &record, Compress::Owners));
        }
        writer.finish()
    }

    #[test]
    fn a_response_is_kept_as_long_as_the_shortest_of_its_answers() {
        use Section::{Additional, Answer, Authority};
        for (sections, expected) in [
            (&[(Answer, 70_000), (Answer, 65_600), (Authority, 5), (Additional, 3)][..], Some(65_600)),
            (&[(Authority, 9), (Authority, 7), (Additional, 3)], Some(7)),
            (&[(Additional, 3)], None),
            (&[], None),
        ] {
            let mut message = message(sections);
            assert_eq!(least_ttl(&message), expected, "{sections:?}");
            assert_eq!(last_opt(&message), None);
            let end = message.len();
            Opt { options: b"\0\x03\0\x01a", ..Opt::default() }.push(&mut message, false);
            assert_eq!((last_opt(&message), least_ttl(&message)), (Some(end), expected));
            for cut in 0..message.len() {
                let _ = (least_ttl(&message[..cut]), last_opt(&message[..cut]));
            }
        }
    }
}
