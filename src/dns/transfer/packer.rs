//! Messages of a transfer as they are filled: as many records as have room, names written once.

use std::collections::HashMap;

use crate::zone::record::Record;

/// Puts records into the answer section of a message, owners compressed.
pub(super) struct Packer {
    /// The message so far.
    pub(super) bytes: Vec<u8>,
    count: u16,
    /// Offset of each suffix of a name.
    suffixes: HashMap<Vec<u8>, u16>,
}

impl Packer {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, count: 0, suffixes: HashMap::new() }
    }

    /// Appends a record; false, and nothing is changed, when there is no room.
    pub(super) fn push(&mut self, record: &Record, room: usize) -> bool {
        let (begin, Ok(length)) = (self.bytes.len(), u16::try_from(record.rdata.len())) else { return false };
        let Some(count) = self.count.checked_add(1) else { return false };
        self.push_name(record.owner.wire());
        self.bytes.extend_from_slice(&record.rtype.to_be_bytes());
        self.bytes.extend_from_slice(&1u16.to_be_bytes());
        self.bytes.extend_from_slice(&record.ttl.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&record.rdata);
        if self.bytes.len() > room {
            self.bytes.truncate(begin);
            self.suffixes.retain(|_, at| usize::from(*at) < begin);
            return false;
        }
        self.count = count;
        true
    }

    fn push_name(&mut self, mut name: &[u8]) {
        while let Some(&length) = name.first().filter(|length| **length > 0) {
            if let Some(at) = self.suffixes.get(name) {
                self.bytes.extend_from_slice(&(0xc000 | at).to_be_bytes());
                return;
            }
            if let Ok(at @ ..=0x3fff) = u16::try_from(self.bytes.len()) {
                self.suffixes.insert(name.to_vec(), at);
            }
            let (label, rest) = name.split_at(1 + usize::from(length));
            self.bytes.extend_from_slice(label);
            name = rest;
        }
        self.bytes.push(0);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes[6..8].copy_from_slice(&self.count.to_be_bytes());
        self.bytes
    }
}
