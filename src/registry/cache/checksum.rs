//! CRC-32 as zip and gzip have it (polynomial 0xEDB88320, reflected), eight bytes at a time: a cache file has a hundred
//! megabytes and is read while clients wait.

/// A checksum under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc32(u32);

impl Crc32 {
    pub(super) fn new() -> Self {
        Self(!0)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        let mut crc = self.0;
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let low = crc ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
            let at = |table: usize, byte: u8| TABLES[table][usize::from(byte)];
            let [a, b, c, d] = low.to_le_bytes();
            crc = at(7, a) ^ at(6, b) ^ at(5, c) ^ at(4, d);
            crc ^= at(3, chunk[4]) ^ at(2, chunk[5]) ^ at(1, chunk[6]) ^ at(0, chunk[7]);
        }
        for &byte in chunks.remainder() {
            crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(byte)) & 0xff) as usize];
        }
        self.0 = crc;
    }

    pub(super) fn value(self) -> u32 {
        !self.0
    }
}

static TABLES: [[u32; 256]; 8] = tables();

#[allow(clippy::cast_possible_truncation)] // the index is below 256
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[table - 1][i];
            tables[table][i] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            i += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_comes_out_however_the_bytes_are_cut() {
        let text = b"123456789";
        for cut in 0..=text.len() {
            let mut crc = Crc32::new();
            crc.update(&text[..cut]);
            crc.update(&text[cut..]);
            assert_eq!(crc.value(), 0xcbf4_3926, "cut at {cut}");
        }
    }
}
