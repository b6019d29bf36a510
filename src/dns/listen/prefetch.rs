//! Memory asked for ahead of its use: the misses of a batch happen at once instead of one after the other.

#![allow(unsafe_code)]

use std::ops::Range;

/// Asks the processor to have the cache lines of `memory` ready.
pub(super) fn prefetch<T>(memory: Range<*const T>) {
    let begin = memory.start.cast::<u8>();
    let mut at = begin.wrapping_sub(begin.addr() % 64);
    while at < memory.end.cast() {
        prefetch_line(at);
        at = at.wrapping_add(64);
    }
}

/// The same of the one line that this is in.
#[inline]
pub(super) fn prefetch_line<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
