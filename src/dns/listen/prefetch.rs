//! Memory asked for ahead of its use: the misses of a batch happen at once instead of one after the other.

#![allow(unsafe_code)]

/// Asks the processor to have the cache lines of `memory` ready.
pub(super) fn prefetch<T>(memory: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let (begin, length) = (memory.as_ptr().cast::<i8>(), size_of_val(memory));
        // SAFETY: a prefetch reads nothing that the program can see, whatever the address; this one is of our own memory.
        let ask = |at: usize| unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(at)) };
        let mut at = 0;
        while at < length {
            ask(at);
            at += 64;
        }
        // What begins within a line ends within one more.
        ask(length.saturating_sub(1));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}
