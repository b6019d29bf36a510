//! Sizes of messages and their parts, in bytes, and the bits of a header.

/// A header (RFC 1035 §4.1.1).
pub const HEADER: usize = 12;
/// An OPT record without options (RFC 6891 §6.1.2).
pub const OPT: usize = 11;
/// The largest UDP message without EDNS (RFC 1035 §4.2.1).
pub const MIN_UDP: usize = 512;
/// The largest UDP message, announced and kept to (DNS flag day 2020: it never fragments).
pub const MAX_UDP: usize = 1232;
/// The largest TCP message (RFC 1035 §4.2.2).
pub const MAX_TCP: usize = 65_535;

/// QR, in the third byte of a message: it is a response.
pub const QR: u8 = 0x80;
/// AA, in the third byte: the answer comes from a zone of this server.
pub const AA: u8 = 0x04;
/// TC, in the third byte: the answer is cut.
pub const TC: u8 = 0x02;
/// RD, in the third byte: recursion is desired.
pub const RD: u8 = 0x01;
/// RA, in the fourth byte: recursion is available.
pub const RA: u8 = 0x80;
/// CD, in the fourth byte: checking is disabled (RFC 4035 §3.2.2).
pub const CD: u8 = 0x10;
