//! SRV records of which each names a host of its own, by one label before what all share, that has one IPv4 address and
//! nothing else: as for services whose instances are registered by address, which are nearly all. What is written for
//! one of them is side by side, and each as far from the next, so that it takes one loop and no decision.
//!
//! ```text
//! stride: 1 │ shared length: 1 │ bytes of all but what is shared: 4 │ rows │ shared │ zeros
//! a row: address: 4 │ priority, weight, port: 6 │ label, behind its length │ zeros, up to the stride
//! ```
//! The zeros at the end are there so that every row can be read in one piece of [`ROW`] bytes, and what is shared in
//! one of [`SHORT`] or half as many.

use super::layout::{RR_HEAD, SRV_HEAD};

/// The longest data that are kept so, without what is shared; and the longest that is shared.
pub const SHORT: usize = 32;
/// Bytes of an address.
const ADDRESS: usize = 4;
/// From the beginning of a row, as many bytes as can be read, and are enough for all that it says.
const ROW: usize = ADDRESS + SHORT;
/// Offset of the label in a row, behind its length.
const LABEL: usize = ADDRESS + SRV_HEAD;

/// Such records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedHosts<'t> {
    /// Number of records.
    pub count: usize,
    /// From one row to the next.
    pub stride: usize,
    /// The rows, and what is behind them.
    rows: &'t [u8],
    /// The labels that all names end with, the root's among them.
    pub shared: &'t [u8],
    /// The shared part and all behind it.
    pub from_shared: &'t [u8],
    /// Bytes of all data without what is shared.
    size: usize,
}

/// A row, and what is behind it.
#[derive(Debug, Clone, Copy)]
pub struct HostRow<'t>(&'t [u8; ROW]);

/// Appends records that end with `shared`, and the address of each; none, and nothing appended, where they are not
/// such.
pub(super) fn pack(bytes: &mut Vec<u8>, rdatas: &[&[u8]], shared: &[u8], addresses: &[[u8; ADDRESS]]) -> Option<()> {
    let own = |rdata: &[u8]| rdata.len().saturating_sub(shared.len());
    let is_such = |rdata: &[u8]| {
        let label = rdata.get(SRV_HEAD).map(|length| SRV_HEAD + 1 + usize::from(*length));
        label == Some(own(rdata)) && own(rdata) <= SHORT
    };
    if addresses.len() != rdatas.len() || shared.len() > SHORT || !rdatas.iter().all(|rdata| is_such(rdata)) {
        return None;
    }
    let stride = ADDRESS + rdatas.iter().map(|rdata| own(rdata)).max()?;
    bytes.extend([stride, shared.len()].map(|length| u8::try_from(length).unwrap_or(u8::MAX)));
    let size: usize = rdatas.iter().map(|rdata| own(rdata)).sum();
    bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    for (rdata, address) in rdatas.iter().zip(addresses) {
        let end = bytes.len() + stride;
        bytes.extend_from_slice(address);
        bytes.extend_from_slice(&rdata[..own(rdata)]);
        bytes.resize(end, 0);
    }
    let last = bytes.len() - stride;
    let piece = bytes.len() + if shared.len() <= SHORT / 2 { SHORT / 2 } else { SHORT };
    bytes.extend_from_slice(shared);
    bytes.resize(bytes.len().max(piece).max(last + ROW), 0);
    Some(())
}

/// So many, packed here.
#[inline(always)]
pub(super) fn unpack(bytes: &[u8], count: usize) -> Option<PackedHosts<'_>> {
    let (&[stride, shared, a, b, c, d], rows) = bytes.split_first_chunk::<6>()?;
    let (stride, size) = (usize::from(stride), u32::from_be_bytes([a, b, c, d]) as usize);
    let from_shared = rows.get(count * stride..)?;
    Some(PackedHosts { count, stride, rows, shared: from_shared.get(..usize::from(shared))?, from_shared, size })
}

impl<'t> PackedHosts<'t> {
    /// Bytes of all of them in a message, with an owner of two bytes each: a pointer.
    #[inline(always)]
    pub fn wire_size(&self) -> usize {
        self.size + self.count * (self.shared.len() + RR_HEAD)
    }

    /// The row that begins at `from` of them.
    #[inline(always)]
    pub fn row(&self, from: u32) -> Option<HostRow<'t>> {
        // What it is widened from, so that the sum is known to be none that is too large.
        let from = from as usize;
        self.rows.get(from..from + ROW)?.first_chunk().map(HostRow)
    }

    /// All rows.
    pub fn iter(mut self) -> impl Iterator<Item = HostRow<'t>> {
        std::iter::from_fn(move || self.take())
    }

    /// The first of them, which it is no more.
    pub(super) fn take(&mut self) -> Option<HostRow<'t>> {
        self.count = self.count.checked_sub(1)?;
        let row = self.row(0)?;
        self.rows = self.rows.get(self.stride..)?;
        Some(row)
    }
}

impl<'t> HostRow<'t> {
    /// The host's address.
    #[inline(always)]
    pub fn address(self) -> &'t [u8; ADDRESS] {
        self.0.first_chunk().unwrap_or(&[0; ADDRESS])
    }

    /// The data but for what is shared, and what is behind them.
    #[inline(always)]
    pub fn data(self) -> &'t [u8; SHORT] {
        self.0.last_chunk().unwrap_or(&[0; SHORT])
    }

    /// Bytes of the data but for what is shared. No label kept here has as many as [`SHORT`]: what is divided for
    /// nothing tells it to the compiler.
    #[inline(always)]
    pub fn size(self) -> usize {
        SRV_HEAD + 1 + usize::from(self.0[LABEL]) % SHORT
    }

    /// The data but for what is shared.
    pub fn own(self) -> &'t [u8] {
        self.data().get(..self.size()).unwrap_or_default()
    }
}
