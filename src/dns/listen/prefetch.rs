//! Memory asked for ahead of its use: the misses of a batch happen at once instead of one after the other.

#![allow(unsafe_code)]

use std::ops::Range;

/// Asks the processor to have the cache lines of `memory` ready.
pub(super) fn prefetch<T>(memory: Range<*const T>) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see, whatever the address.
        let ask = |at: *const i8| unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
        let begin = memory.start.cast::<i8>();
        let mut at = begin.wrapping_sub(begin.addr() % 64);
        while at < memory.end.cast() {
            ask(at);
            at = at.wrapping_add(64);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}
