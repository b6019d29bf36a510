//! The serials of a zone that is its master file and nothing else.

use super::record::{Record, rtype};
use super::serial;

/// Serial that a master file gives its zone.
#[derive(Debug, Default)]
pub(in crate::zone) struct FileSerial {
    /// The last serial that was given out under the file, by this process or one before; 0 for none.
    previous: u32,
    /// The serial in the file's SOA; `None` before it was read, and where it has none.
    in_file: Option<u32>,
    /// True if this process has committed what the file says.
    is_committed: bool,
    /// The program.
    build: u64,
    /// Fingerprint of the content of `previous`; 0 where that is not known.
    content_before: u64,
    /// Fingerprint of the file's content.
    content: u64,
}

impl FileSerial {
    /// Numbers that follow `previous`, which a process before gave out for `content`; 0 for none, and for not known.
    /// `build` stands for this program: another one may make other records of the same file.
    pub(in crate::zone) fn after(previous: u32, content: u64, build: u64) -> Self {
        Self { previous, content_before: content, build, ..Self::default() }
    }

    /// Takes what the file says: the serial of its SOA, and its records.
    pub(super) fn read(&mut self, serial: Option<u32>, records: &[Record]) {
        self.in_file = serial;
        self.content = if serial.is_some() { (content(records) ^ self.build).max(1) } else { 0 };
    }

    /// The serial of the next commit; `None` where the file says none.
    pub(super) fn next(&mut self) -> Option<u32> {
        let in_file = self.in_file?;
        let is_known = !self.is_committed && self.content_before != 0;
        // A file that was edited while nobody ran, or is read by another program, is another zone.
        let is_same = is_known && self.content_before == self.content;
        let serial = if is_same && self.previous != 0 && !serial::is_after(in_file, self.previous) {
            self.previous
        } else {
            serial::of_file(in_file, self.previous, !self.is_committed && (is_same || !is_known))
        };
        (self.previous, self.is_committed) = (serial, true);
        Some(serial)
    }

    /// A number for what the file says; never 0 after it was read.
    pub(super) fn content(&self) -> u64 {
        self.content
    }
}

/// A number for records in any order, but for the serial of the SOA. It is kept in a file.
fn content(records: &[Record]) -> u64 {
    let all = records.iter().map(|record| {
        let is_soa = record.rtype == rtype::SOA;
        // The serial is the first of five numbers of four bytes.
        let end = record.rdata.len().saturating_sub(if is_soa { 20 } else { 0 });
        let rest = if is_soa { record.rdata.last_chunk::<16>().map_or(&[][..], |rest| rest) } else { &[] };
        let (owner, rtype, ttl) = (record.owner.wire(), record.rtype.to_be_bytes(), record.ttl.to_be_bytes());
        let length = record.rdata.len().to_be_bytes();
        let parts = [owner, &rtype, &ttl, &length, &record.rdata[..end], rest];
        fnv(parts.into_iter().flatten().copied())
    });
    all.fold(0, u64::wrapping_add).max(1)
}

/// FNV-1a.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::name::Name;

    fn record(rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: Name::parse("service").unwrap(), rtype, ttl: 5, rdata: rdata.into() }
    }

    /// A file with the SOA serial `serial` and a record that says `host`.
    fn file(serial: u32, host: u8) -> Vec<Record> {
        let soa = [b"\0\0", &serial.to_be_bytes()[..], &[7; 16]].concat();
        vec![record(rtype::SOA, &soa), record(rtype::A, &[10, 0, 0, host])]
    }

    fn next(after: (u32, u64), serial: u32, host: u8) -> (u32, u64) {
        next_by(after, serial, host, 0)
    }

    fn next_by(after: (u32, u64), serial: u32, host: u8, build: u64) -> (u32, u64) {
        let mut file_serial = FileSerial::after(after.0, after.1, build);
        file_serial.read(Some(serial), &file(serial, host));
        (file_serial.next().unwrap(), file_serial.content())
    }

    #[test]
    fn a_file_that_was_edited_while_nobody_ran_has_another_serial() {
        let first = next((0, 0), 5, 1);
        assert_eq!(first.0, 5);
        assert_eq!(next(first, 5, 1), first, "a restart changes nothing");
        let second = next(first, 5, 2);
        assert_eq!(second.0, 6, "its editor forgot the serial");
        assert_eq!(next(second, 5, 2), second, "a restart changes nothing");
        assert_eq!(next(second, 8, 2).0, 8);
        assert_eq!(next(first, 9, 2).0, 9);
        assert_eq!(next((5, 0), 5, 2).0, 5, "nobody knows what 5 stood for");
    }

    #[test]
    fn another_program_has_another_serial_for_the_same_file() {
        let first = next_by((0, 0), 5, 1, 7);
        assert_eq!(next_by(first, 5, 1, 7), first);
        let second = next_by(first, 5, 1, 8);
        assert_eq!(second.0, 6);
        assert_eq!(next_by(second, 5, 1, 8), second);
        assert_eq!(next_by(second, 9, 1, 7).0, 9, "the file has a newer one");
    }

    #[test]
    fn neither_order_nor_serial_is_content() {
        let mut turned = file(9, 1);
        turned.reverse();
        assert_eq!(content(&turned), content(&file(5, 1)));
        assert_ne!(content(&file(5, 2)), content(&file(5, 1)));
        assert_ne!(content(&[]), 0);
    }
}
