//! Copies of few bytes, inline: a call for each costs more than the copy. Where there is room for it, more is copied than
//! was asked for, so that the size is known beforehand and nothing has to be decided.

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

/// Copies `from` in lower case to `to`, which is as long.
pub(super) fn fold(to: &mut [u8], from: &[u8]) {
    /// As many as fit a register.
    const BLOCK: usize = 16;
    let length = from.len();
    if length < BLOCK {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_ascii_lowercase());
        return;
    }
    let mut block = |at: usize| {
        if let (Some(to), Some(from)) = (to[at..].first_chunk_mut::<BLOCK>(), from[at..].first_chunk::<BLOCK>()) {
            *to = from.map(|byte| byte.to_ascii_lowercase());
        }
    };
    let mut at = 0;
    while at + BLOCK < length {
        block(at);
        at += BLOCK;
    }
    block(length - BLOCK);
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
            super::fold(&mut to, &from);
            assert_eq!(to, from.to_ascii_lowercase());
        }
    }
}
