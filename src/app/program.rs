//! A number for this program, by which a later one can tell that it is another.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

/// Bytes of notes that are looked through.
const MOST: u64 = 1 << 16;

/// The number: of the build id that the linker has written (elf(5), `NT_GNU_BUILD_ID`), or else of the version and the
/// length of the program's file.
pub(super) fn build() -> u64 {
    static BUILD: OnceLock<u64> = OnceLock::new();
    *BUILD.get_or_init(|| {
        let file = File::open("/proc/self/exe").ok();
        let mut hasher = DefaultHasher::new();
        hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
        match file.as_ref().and_then(build_id) {
            Some(id) => hasher.write(&id),
            None => hasher.write_u64(file.and_then(|file| file.metadata().ok()).map_or(0, |file| file.len())),
        }
        hasher.finish()
    })
}

/// The build id of a 64-bit ELF file of this machine's byte order.
fn build_id(file: &File) -> Option<Vec<u8>> {
    const SEGMENT_OF_NOTES: u32 = 4;
    let head: [u8; 64] = read(file, 0)?;
    if !head.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let table = u64::from_ne_bytes(*head[32..].first_chunk()?);
    let size = u64::from(u16::from_ne_bytes(*head[54..].first_chunk()?));
    let number = u64::from(u16::from_ne_bytes(*head[56..].first_chunk()?));
    (0..number).find_map(|index| {
        let segment: [u8; 56] = read(file, table.checked_add(index * size)?)?;
        let kind = u32::from_ne_bytes(*segment.first_chunk()?);
        let offset = u64::from_ne_bytes(*segment[8..].first_chunk()?);
        let length = u64::from_ne_bytes(*segment[32..].first_chunk()?);
        if kind != SEGMENT_OF_NOTES || length > MOST {
            return None;
        }
        let mut notes = vec![0; usize::try_from(length).ok()?];
        file.read_exact_at(&mut notes, offset).ok()?;
        find(&notes)
    })
}

fn read<const N: usize>(file: &File, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

/// The build id among notes: each a length of its name, one of its value, a type, and both, filled up to four bytes.
fn find(mut notes: &[u8]) -> Option<Vec<u8>> {
    const BUILD_ID: u32 = 3;
    loop {
        let (name, rest) = notes.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let [name, value] = [name, value].map(|length| usize::try_from(u32::from_ne_bytes(*length)).ok());
        let (name, value) = (name?, value?);
        let filled = name.checked_next_multiple_of(4)?;
        if rest.get(..name)? == b"GNU\0" && u32::from_ne_bytes(*kind) == BUILD_ID {
            return Some(rest.get(filled..filled.checked_add(value)?)?.to_vec());
        }
        notes = rest.get(filled.checked_add(value.checked_next_multiple_of(4)?)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_id_is_found_among_notes_and_nothing_is_found_in_garbage() {
        let note = |name: &[u8], kind: u32, value: &[u8]| {
            let filled = |bytes: &[u8]| [bytes, &vec![0; bytes.len().next_multiple_of(4) - bytes.len()]].concat();
            let lengths = [name.len(), value.len()].map(|length| u32::try_from(length).unwrap().to_ne_bytes());
            [&lengths.concat()[..], &kind.to_ne_bytes(), &filled(name), &filled(value)].concat()
        };
        let notes = [note(b"GNU\0", 1, b"abi"), note(b"Go\0", 3, b"other"), note(b"GNU\0", 3, b"12345")].concat();
        assert_eq!(find(&notes), Some(b"12345".to_vec()));
        for cut in 0..notes.len() - 3 {
            assert_eq!(find(&notes[..cut]), None, "{cut}");
        }
        assert_eq!(find(&[0xff; 64]), None);
        assert_eq!(build(), build());
    }
}
