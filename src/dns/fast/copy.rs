//! Copies and comparisons of few bytes, inline: a call for each costs more than the work. They go by pieces of a size that is
//! known beforehand, the last of which begins within the one before, so that no single byte has to be decided about.

/// Copies `from`, which is as long as `to`.
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    match to.len() {
        8..=16 => ends::<8>(to, from),
        17..=32 => ends::<16>(to, from),
        33..=64 => ends::<32>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// The first and the last `N` bytes, which are all.
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        let (first, last) = (*first, *last);
        to.first_chunk_mut().into_iter().for_each(|to| *to = first);
        to.last_chunk_mut().into_iter().for_each(|to| *to = last);
    }
}

/// Whether both are the same bytes.
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

/// Copies `from` in lower case to `to`, which is as long. Gives the first and the last of it where they are all there is.
#[inline]
pub(super) fn fold(to: &mut [u8], from: &[u8]) -> Option<([u8; 16], [u8; 16])> {
    if !(16..=32).contains(&from.len()) {
        fold_any(to, from);
        return None;
    }
    let (first, last) = (lower(*from.first_chunk()?), lower(*from.last_chunk()?));
    *to.first_chunk_mut()? = first;
    *to.last_chunk_mut()? = last;
    Some((first, last))
}

/// In lower case: a loop over as many as fit a register, which becomes a few instructions.
#[inline]
fn lower<const N: usize>(bytes: [u8; N]) -> [u8; N] {
    bytes.map(|byte| byte | u8::from(byte.is_ascii_uppercase()) << 5)
}

fn fold_any(to: &mut [u8], from: &[u8]) {
    match from.len() {
        16.. => fold_in_blocks::<16>(to, from),
        8.. => fold_in_blocks::<8>(to, from),
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_ascii_lowercase()),
    }
}

/// The same, of `N` bytes at least. The last block begins within the one before.
fn fold_in_blocks<const N: usize>(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.as_chunks_mut::<N>().0.iter_mut().zip(from.as_chunks().0) {
        *to = lower(*from);
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk()) {
        *to = lower(*from);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_bytes_are_copied_whatever_their_number() {
        for length in 0..200 {
            let from: Vec<u8> = (0..length).map(|i| b'A' + i % 60).collect();
            let mut to = vec![0; usize::from(length)];
            super::copy(&mut to, &from);
            assert_eq!(to, from);
            let ends = super::fold(&mut to, &from);
            assert_eq!(to, from.to_ascii_lowercase());
            let all = (16..=32).contains(&length).then(|| (*to.first_chunk().unwrap(), *to.last_chunk().unwrap()));
            assert_eq!(ends, all);
            assert!(super::is_same(&to, &from.to_ascii_lowercase()));
            for i in 0..to.len() {
                let mut other = to.clone();
                other[i] ^= 1;
                assert!(!super::is_same(&to, &other), "{i} of {length}");
            }
        }
    }
}
