//! Sizes and places within packed records.

/// Bytes of a record in a message before its data: an owner that is a pointer, type, class, TTL, length.
pub const RR_HEAD: usize = 12;

/// Bytes of an SRV record's data before the target: priority, weight, port.
pub const SRV_HEAD: usize = 6;

/// The target of an SRV record's data.
pub fn srv_target(rdata: &[u8]) -> &[u8] {
    rdata.get(SRV_HEAD..).unwrap_or_default()
}

/// The number of four bytes at `at` of a row.
pub(super) fn number(row: &[u8], at: usize) -> usize {
    u32::from_be_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]) as usize
}
