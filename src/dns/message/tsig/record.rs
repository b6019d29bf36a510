//! The TSIG record (RFC 8945 §4): read, written, and what is signed beside the message.

use crate::dns::message::key::TsigKey;
use crate::dns::message::parse::RawRecord;
use crate::dns::message::sizes::HEADER;
use crate::dns::message::writer::{WireRecord, append as append_record};
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// The data of a TSIG record.
#[derive(Debug, Clone)]
pub(super) struct Signature<'m> {
    /// Offset of the record: the signed message ends there.
    pub(super) start: usize,
    pub(super) key: Name,
    /// In lower case.
    pub(super) algorithm: Name,
    pub(super) time: u64,
    pub(super) fudge: u16,
    pub(super) mac: &'m [u8],
    pub(super) original_id: u16,
    pub(super) error: u16,
    pub(super) other: &'m [u8],
}

/// Limit of the difference of clocks, in seconds (RFC 8945 §10 recommends 300).
pub(super) const FUDGE: u16 = 300;

pub(super) const CLASS_ANY: u16 = 255;

/// Reads the TSIG record of a message; none for what is malformed.
pub(super) fn read<'m>(record: &RawRecord<'m>) -> Option<Signature<'m>> {
    let (algorithm, length) = Name::from_wire(record.rdata)?;
    let (fixed, rest) = record.rdata[length..].split_first_chunk::<10>()?;
    let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
    let (tail, other) = rest.split_first_chunk::<6>()?;
    let half = |i: usize| u16::from_be_bytes([tail[i], tail[i + 1]]);
    if other.len() != usize::from(half(4)) || record.class != CLASS_ANY || record.ttl != 0 {
        return None;
    }
    Some(Signature {
        start: record.start,
        key: record.owner.folded(),
        algorithm: algorithm.folded(),
        time: fixed[..6].iter().fold(0, |time, byte| time << 8 | u64::from(*byte)),
        fudge: u16::from_be_bytes([fixed[6], fixed[7]]),
        mac,
        original_id: half(0),
        error: half(2),
        other,
    })
}

/// The message as it was before it was signed (RFC 8945 §5.2.2): without the record, under its first ID.
pub(super) fn unsign(message: &[u8], signature: &Signature<'_>) -> Vec<u8> {
    let mut signed = message[..signature.start].to_vec();
    signed[..2].copy_from_slice(&signature.original_id.to_be_bytes());
    let count = u16::from_be_bytes([signed[10], signed[11]]).wrapping_sub(1);
    signed[10..HEADER].copy_from_slice(&count.to_be_bytes());
    signed
}

/// Data that are signed beside the message (RFC 8945 §4.3.3).
pub(super) fn variables(key: &TsigKey, time: u64, fudge: u16, error: u16, other: &[u8]) -> Vec<u8> {
    let length = u16::try_from(other.len()).unwrap_or_default();
    [
        key.name.wire(),
        &CLASS_ANY.to_be_bytes(),
        &[0; 4],
        key.algorithm.wire(),
        &time48(time),
        &fudge.to_be_bytes(),
        &error.to_be_bytes(),
        &length.to_be_bytes(),
        other,
    ]
    .concat()
}

/// Appends a TSIG record (RFC 8945 §4.2) and counts it.
pub(super) fn append(
    message: &mut Vec<u8>,
    name: &[u8],
    algorithm: &[u8],
    (time, fudge): (u64, u16),
    mac: &[u8],
    (id, error): (u16, u16),
    other: &[u8],
) {
    let half = |length: usize| u16::try_from(length).unwrap_or_default().to_be_bytes();
    let mut rdata = algorithm.to_vec();
    rdata.extend_from_slice(&time48(time));
    rdata.extend_from_slice(&fudge.to_be_bytes());
    rdata.extend_from_slice(&half(mac.len()));
    rdata.extend_from_slice(mac);
    rdata.extend_from_slice(&id.to_be_bytes());
    rdata.extend_from_slice(&error.to_be_bytes());
    rdata.extend_from_slice(&half(other.len()));
    rdata.extend_from_slice(other);
    append_record(message, &WireRecord { owner: name, rtype: rtype::TSIG, class: CLASS_ANY, ttl: 0, rdata: &rdata });
}

/// 48 bits of time.
pub(super) fn time48(time: u64) -> [u8; 6] {
    let [_, _, time @ ..] = time.to_be_bytes();
    time
}
