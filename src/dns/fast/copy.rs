//! Copies and comparisons of few bytes, inline: a call for each costs more than the work. They go by pieces of a size
//! that is known beforehand, the last of which begins within the one before, so that no single byte has to be decided
//! about.

use crate::zone::index::ends_of;

/// Copies `from`, which is as long as `to`.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    match to.len() {
        8..=16 => ends::<8>(to, from),
        17..=32 => ends::<16>(to, from),
        33..=64 => ends::<32>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// The first and the last `N` bytes, which are all.
#[inline]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        let (first, last) = (*first, *last);
        to.first_chunk_mut().into_iter().for_each(|to| *to = first);
        to.last_chunk_mut().into_iter().for_each(|to| *to = last);
    }
}

/// Returns whether both are the same bytes.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && match one.len() {
            8..=16 => has_same_ends::<8>(one, other),
            17..=32 => has_same_ends::<16>(one, other),
            _ => one == other,
        }
}

fn has_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk::<N>() && one.last_chunk::<N>() == other.last_chunk::<N>()
}

/// Copies `from` in lower case to `to`, which is as long. Gives the first and the last 16 bytes of it where they are
/// all there is, in words: bytes would be put together one by one.
#[inline]
pub(super) fn fold(to: &mut [u8], from: &[u8]) -> Option<[u64; 4]> {
    if !(16..=32).contains(&from.len()) {
        fold_any(to, from);
        return None;
    }
    let words = ends_of(from)?.map(lower);
    let [a, b, c, d] = words.map(u64::to_ne_bytes);
    *to.first_chunk_mut()? = a;
    *to[8..].first_chunk_mut()? = b;
    *to[from.len() - 16..].first_chunk_mut()? = c;
    *to.last_chunk_mut()? = d;
    Some(words)
}

/// The same, of any number.
fn fold_any(to: &mut [u8], from: &[u8]) {
    match (from.last_chunk(), to.len().checked_sub(8)) {
        (Some(last), Some(rest)) => {
            for (to, from) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0) {
                *to = lower(u64::from_ne_bytes(*from)).to_ne_bytes();
            }
            // It begins within the one before.
            to[rest..].copy_from_slice(&lower(u64::from_ne_bytes(*last)).to_ne_bytes());
        }
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_ascii_lowercase()),
    }
}

/// Eight bytes in lower case, all at once: the highest bit of each tells whether it is a capital, in ASCII.
#[inline]
fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = bytes & (0x7f * EACH);
    let from_a = low + (0x80 - u64::from(b'A')) * EACH;
    let past_z = low + (0x7f - u64::from(b'Z')) * EACH;
    let capitals = (from_a ^ past_z) & !bytes & (0x80 * EACH);
    bytes | capitals >> 2
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_bytes_are_copied_whatever_their_number() {
        for length in 0..=255 {
            // Bytes of all values, whichever is first.
            let from: Vec<u8> = (0..length).map(|i: u8| i.wrapping_add(length).wrapping_mul(167)).collect();
            let mut to = vec![0; usize::from(length)];
            super::copy(&mut to, &from);
            assert_eq!(to, from);
            let ends = super::fold(&mut to, &from);
            assert_eq!(to, from.to_ascii_lowercase());
            assert_eq!(ends, super::ends_of(&to).filter(|_| length <= 32));
            assert!(super::is_same(&to, &from.to_ascii_lowercase()));
            for i in 0..to.len() {
                let mut other = to.clone();
                other[i] ^= 1;
                assert!(!super::is_same(&to, &other), "{i} of {length}");
            }
        }
    }
}
