//! The start of authority of a zone (RFC 1035 §3.3.13).

use super::name::Name;
use super::record::Record;

/// The start of authority, but for its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// Time to live of the record itself, in seconds.
    pub ttl: u32,
    /// The primary name server.
    pub mname: Name,
    /// The mailbox of the one responsible, as a name.
    pub rname: Name,
    /// The last serial, and the least the next one may follow.
    pub serial: u32,
    /// Seconds between a secondary's checks.
    pub refresh: u32,
    /// Seconds until a secondary tries a failed check again.
    pub retry: u32,
    /// Seconds after which a secondary without contact gives the zone up.
    pub expire: u32,
    /// Time to live of negative answers (RFC 2308 §4), in seconds.
    pub minimum: u32,
}

impl Soa {
    /// The data of the record.
    pub fn rdata(&self) -> Vec<u8> {
        let mut rdata = [self.mname.wire(), self.rname.wire()].concat();
        for field in [self.serial, self.refresh, self.retry, self.expire, self.minimum] {
            rdata.extend_from_slice(&field.to_be_bytes());
        }
        rdata
    }

    /// Reads the data of an SOA record.
    pub fn from_record(record: &Record) -> Option<Self> {
        let (mname, length) = Name::from_wire(&record.rdata)?;
        let (rname, more) = Name::from_wire(&record.rdata[length..])?;
        let numbers: [u8; 20] = record.rdata[length + more..].try_into().ok()?;
        let field = |i: usize| u32::from_be_bytes([numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]]);
        let [serial, refresh, retry, expire, minimum] = [0, 4, 8, 12, 16].map(field);
        Some(Self { ttl: record.ttl, mname, rname, serial, refresh, retry, expire, minimum })
    }
}
