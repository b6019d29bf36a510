//! One resource record as a zone holds it: wire form, class IN, nothing compressed.

use super::name::Name;

/// A resource record of class IN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Its owner, in lower case.
    pub owner: Name,
    /// Its type, by number.
    pub rtype: u16,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Its data in wire form, names uncompressed.
    pub rdata: Box<[u8]>,
}

impl Record {
    /// The serial in the data of an SOA record; none for other types.
    pub fn soa_serial(&self) -> Option<u32> {
        // Behind the two names: serial, refresh, retry, expire, minimum.
        let (numbers, is_soa) = (self.rdata.last_chunk::<20>()?, self.rtype == rtype::SOA);
        is_soa.then(|| u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]]))
    }
}

/// The longest data of a record, in bytes: a message has room for it beside its owner, a question, OPT and a signature,
/// in answers and in transfers.
pub const MAX_DATA: usize = 64_000;

/// Record types by number (IANA DNS parameters), those this crate treats by name.
pub mod rtype {
    #![allow(missing_docs)] // the names are the mnemonics
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const HINFO: u16 = 13;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}
