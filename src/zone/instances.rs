//! The instances of a service for DNS-SD, packed with `_api_x._tcp.service.`: what is needed to make the records of
//! `<host:port>._api_x._tcp.service.` when somebody asks ([`super::synthesized`]). There are as many such names as
//! instances, a million and more, and hardly anybody asks: held as entries they took more memory than all the rest.
//!
//! Offered they are an RRset of the type [`TYPE`], a record an instance:
//! ```text
//! label, behind its length │ time to live: 4 │ SRV data, behind their length: 2 │ TXT data; none says nothing
//! ```
//! Packed they are no RRset that anybody sees, and shorter wherever the PTR and SRV records beside them say the same.

use std::borrow::Cow;

/// Type that instances are offered under: no type that a record can have (RFC 6895 §3.1).
pub const TYPE: u16 = 0;

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance<'i> {
    /// Its label.
    pub label: &'i [u8],
    /// Time to live of its records, in seconds.
    pub ttl: u32,
    /// The data of its SRV record.
    pub srv: Cow<'i, [u8]>,
    /// The data of its TXT record; empty for an instance that says nothing.
    pub txt: &'i [u8],
}

impl<'i> Instance<'i> {
    /// As a record of [`TYPE`].
    pub fn rdata(&self) -> Vec<u8> {
        let mut rdata = Vec::with_capacity(7 + self.label.len() + self.srv.len() + self.txt.len());
        self.write(&mut rdata);
        rdata
    }

    /// Appends it as a record of [`TYPE`].
    pub(super) fn write(&self, rdata: &mut Vec<u8>) {
        rdata.push(u8::try_from(self.label.len()).unwrap_or_default());
        rdata.extend_from_slice(self.label);
        rdata.extend_from_slice(&self.ttl.to_be_bytes());
        rdata.extend_from_slice(&u16::try_from(self.srv.len()).unwrap_or_default().to_be_bytes());
        rdata.extend_from_slice(&self.srv);
        rdata.extend_from_slice(self.txt);
    }

    /// Reads a record of [`TYPE`].
    pub fn read(rdata: &'i [u8]) -> Option<Self> {
        let (&length, rest) = rdata.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        let (ttl, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (srv, txt) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        Some(Self { label, ttl: u32::from_be_bytes(*ttl), srv: srv.into(), txt })
    }
}
