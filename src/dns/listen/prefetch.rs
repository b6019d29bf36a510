//! Memory asked for ahead of its use: the misses of a batch happen at once instead of one after the other.

#![allow(unsafe_code)]

/// Asks the processor to have the cache lines of `bytes` ready.
pub(super) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        // SAFETY: a prefetch reads nothing that the program can see, whatever the address; this one is of our own memory.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
