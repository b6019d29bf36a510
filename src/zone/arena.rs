//! Memory of what the hot path reads: bytes that are made once and shared, for packed entries, and slices, for the
//! tables that lead to them. Each begins a cache line, they are next to each other with nothing else between them, and
//! the system is asked for large pages under them. An answer's time goes into waiting for such memory, and for the
//! tables that say where its pages are.
//!
//! The memory of what has gone is used for what comes; to the system it is not given back.

#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use talc::DefaultBinning;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

/// Bytes that the arena takes from the system at a time, a multiple of [`HUGE_PAGE`]. What is not used yet is an
/// address and no memory.
const CHUNK: usize = if cfg!(miri) { 1 << 16 } else { 8 << 20 };
/// A large page, where they are of the usual size.
const HUGE_PAGE: usize = if cfg!(miri) { 1 << 12 } else { 2 << 20 };
/// More than the arena keeps of a chunk for itself.
const OVERHEAD: usize = 4096;
const CACHE_LINE: usize = 64;

/// More bytes than that are of a name that is browsed rather than asked for: of one that is, addresses and SRV records
/// are told.
const LONG: usize = 512;

/// Region of bytes. What is asked for is apart from what is not: the fewer pages it is in, the more often the processor
/// knows where these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Region {
    /// Names as they are known.
    Names,
    /// Other spellings of the same: a client uses one or the other.
    Aliases,
    /// Long ones.
    Long,
    /// All others, which are soon gone: no look is taken at what other threads do.
    Heap,
}

static ARENAS: [Mutex<Talc<Chunks, DefaultBinning>>; 3] = [const { Mutex::new(Talc::new(Chunks)) }; 3];

impl Region {
    /// Region of so many bytes that would be here.
    fn of_length(self, length: usize) -> Self {
        if self != Self::Heap && length > LONG { Self::Long } else { self }
    }

    fn arena(self) -> Option<Arena> {
        ARENAS.get(self as usize).map(lock)
    }
}

type Arena = MutexGuard<'static, Talc<Chunks, DefaultBinning>>;

fn lock(arena: &'static Mutex<Talc<Chunks, DefaultBinning>>) -> Arena {
    arena.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one for tables, which are long.
fn tables() -> Arena {
    lock(&ARENAS[Region::Long as usize])
}

/// Bytes that nobody changes. Cheap to clone; a pointer wide.
pub(super) struct Bytes(NonNull<Head>);

/// Header before the bytes. Few, as with fewer more entries are in as many cache lines.
struct Head {
    /// Number of [`Bytes`] that share it.
    owners: AtomicU32,
    /// Four times the length, and the place.
    extent: u32,
}

impl Head {
    /// None for more bytes than it can tell.
    fn new(length: usize, place: Region) -> Option<Self> {
        let extent = u32::try_from(length.checked_mul(4)?).ok()? | place as u32;
        Some(Self { owners: AtomicU32::new(1), extent })
    }

    fn length(&self) -> usize {
        self.extent as usize / 4
    }

    fn place(&self) -> Region {
        match self.extent % 4 {
            0 => Region::Names,
            1 => Region::Aliases,
            2 => Region::Long,
            _ => Region::Heap,
        }
    }
}

impl Bytes {
    /// A copy of `bytes`, there or with what is long.
    pub(super) fn new(bytes: &[u8], place: Region) -> Self {
        let place = place.of_length(bytes.len());
        let layout = layout(bytes.len(), place);
        let Some(new) = Head::new(bytes.len(), place) else { alloc::handle_alloc_error(layout) };
        // SAFETY: the layout has a size: that of the head at least.
        let memory = unsafe {
            match place.arena() {
                Some(mut arena) => arena.allocate(layout),
                None => NonNull::new(alloc::alloc(layout)),
            }
        };
        let Some(memory) = memory else { alloc::handle_alloc_error(layout) };
        let head = memory.cast::<Head>();
        // SAFETY: the memory is new, aligned for a head, and as large as a head with these bytes behind it.
        unsafe {
            head.write(new);
            head.add(1).cast::<u8>().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        Self(head)
    }

    /// Region of the bytes.
    pub(super) fn place(&self) -> Region {
        self.head().place()
    }

    fn head(&self) -> &Head {
        // SAFETY: it was written when the memory was new and lives as long as its owners, of which this is one.
        unsafe { self.0.as_ref() }
    }

    /// The memory of the first `length` bytes and of what is before them, for whoever warms the cache with it. Nothing
    /// is read for this: there may be less.
    pub(super) fn memory(&self, length: usize) -> Range<*const u8> {
        let begin = self.0.as_ptr().cast_const().cast::<u8>();
        begin..begin.wrapping_add(size_of::<Head>() + length)
    }
}

fn layout(length: usize, place: Region) -> Layout {
    let align = if place == Region::Heap { align_of::<Head>() } else { CACHE_LINE };
    Layout::from_size_align(size_of::<Head>() + length, align)
        // More than there are addresses. Less must never be taken for it.
        .unwrap_or_else(|_| alloc::handle_alloc_error(Layout::new::<Head>()))
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let length = self.head().length();
        // SAFETY: so many bytes were written behind the head, nobody writes there again, and they live as long as
        // `self`.
        unsafe { slice::from_raw_parts(self.0.add(1).cast().as_ptr(), length) }
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Self {
        // As `Arc` does it: who clones has one already, and the new one is given on by what orders.
        let before = self.head().owners.fetch_add(1, Ordering::Relaxed);
        if before > u32::MAX / 2 {
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        let head = self.head();
        let (owners, length, place) = (&head.owners, head.length(), head.place());
        if owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // All that the other owners read was read before what follows. A load and not a fence, which ThreadSanitizer
        // does not see.
        owners.load(Ordering::Acquire);
        let (memory, layout) = (self.0.as_ptr().cast(), layout(length, place));
        // SAFETY: it was the last owner, and the memory came from there with this layout.
        unsafe {
            match place.arena() {
                Some(mut arena) => arena.deallocate(memory, layout),
                None => alloc::dealloc(memory, layout),
            }
        }
    }
}

// SAFETY: the bytes never change, and the count of their owners is atomic.
unsafe impl Send for Bytes {}
// SAFETY: likewise.
unsafe impl Sync for Bytes {}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A slice of its owner's.
pub(super) struct Array<T> {
    /// Of as many as [`Self::length`] says; of none it is no memory's.
    first: NonNull<T>,
    length: usize,
}

impl<T: Default> Array<T> {
    /// So many that are nothing yet.
    pub(super) fn new(length: usize) -> Self {
        if length == 0 || size_of::<T>() == 0 {
            return Self { first: NonNull::dangling(), length };
        }
        let layout = Self::layout(length);
        // SAFETY: the layout has a size.
        let memory = unsafe { tables().allocate(layout) };
        let Some(first) = memory.map(NonNull::cast::<T>) else { alloc::handle_alloc_error(layout) };
        // A panic on the way leaves memory behind that nobody uses, and no more.
        for i in 0..length {
            // SAFETY: the memory is new, aligned, and as large as so many.
            unsafe { first.add(i).write(T::default()) };
        }
        Self { first, length }
    }
}

impl<T> Array<T> {
    fn layout(length: usize) -> Layout {
        Layout::array::<T>(length)
            .and_then(|layout| layout.align_to(CACHE_LINE))
            // More than there are addresses. Less must never be taken for it.
            .unwrap_or_else(|_| alloc::handle_alloc_error(Layout::new::<T>()))
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: all of them are there, and nobody comes after this.
        unsafe { ptr::drop_in_place(&raw mut **self) };
        let layout = Self::layout(self.length);
        if layout.size() > 0 {
            // SAFETY: the memory came from there with this layout.
            unsafe { tables().deallocate(self.first.as_ptr().cast(), layout) };
        }
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many were written there, and live as long as `self`.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: likewise, and who has `self` to change has them.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.length) }
    }
}

impl<T: Default> Default for Array<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T: Clone + Default> Clone for Array<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.length);
        copy.clone_from_slice(self);
        copy
    }
}

impl<T: fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: it owns what is in it, as a box does.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: likewise.
unsafe impl<T: Sync> Sync for Array<T> {}

/// Source of the arena's memory.
#[derive(Debug)]
struct Chunks;

// SAFETY: it takes memory from the system, and does nothing else with the arena.
unsafe impl Source for Chunks {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let size = (layout.size() + layout.align() + OVERHEAD).next_multiple_of(CHUNK);
        let memory = pages(size).ok_or(())?;
        // SAFETY: the memory is new, as large as said, never freed, and nobody else's.
        unsafe { talc.claim(memory.as_ptr(), size).map(drop).ok_or(()) }
    }
}

/// Memory that is aligned as large pages are and was nobody's before: what the allocator has may lie in small ones
/// already, and stay there. Large pages are asked for; where the system has none, or none to spare, it has others.
#[cfg(all(target_os = "linux", not(miri)))]
fn pages(size: usize) -> Option<NonNull<u8>> {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // What is before the first large page, or behind the last, is an address and no memory.
    // SAFETY: it maps new memory where the system likes.
    let begin = unsafe { libc::mmap(ptr::null_mut(), size.checked_add(HUGE_PAGE)?, access, kind, -1, 0) };
    let begin = NonNull::new(begin.cast::<u8>()).filter(|_| begin != libc::MAP_FAILED)?;
    // SAFETY: less than a large page further on it is within.
    let begin = unsafe { begin.add(begin.align_offset(HUGE_PAGE)) };
    // SAFETY: this is memory of ours in which nothing is.
    unsafe { libc::madvise(begin.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
    Some(begin)
}

/// Memory that is aligned as large pages are.
#[cfg(not(all(target_os = "linux", not(miri))))]
fn pages(size: usize) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(size, HUGE_PAGE).ok()?;
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { alloc::alloc(layout) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_what_they_are_whatever_comes_and_goes() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut kept: Vec<(Bytes, Vec<u8>)> = Vec::new();
        let rounds = if cfg!(miri) { 200 } else { 20_000 };
        for round in 0..rounds {
            let length = if round % 500 == 499 { CHUNK + round } else { random.usize(..1000) };
            let expected: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            let place = [Region::Names, Region::Aliases, Region::Long, Region::Heap][random.usize(..4)];
            let bytes = Bytes::new(&expected, place);
            assert!(place == Region::Heap || bytes.0.as_ptr().addr().is_multiple_of(CACHE_LINE), "each begins a line");
            let copy = bytes.clone();
            drop(bytes);
            kept.push((copy, expected));
            while kept.len() > random.usize(..100) {
                let (bytes, expected) = kept.swap_remove(random.usize(..kept.len()));
                assert_eq!(*bytes, *expected);
            }
        }
        assert!(kept.iter().all(|(bytes, expected)| **bytes == **expected));
    }

    #[test]
    fn the_last_owner_frees_on_whichever_thread() {
        let bytes = Bytes::new(b"one", Region::Names);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn({
                    let bytes = bytes.clone();
                    move || assert_eq!(*bytes.clone(), *b"one")
                })
            })
            .collect();
        drop(bytes);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn arrays_own_what_is_in_them() {
        let mut array: Array<Option<Bytes>> = Array::new(1000);
        assert!(array.iter().all(Option::is_none) && array.as_ptr().addr().is_multiple_of(CACHE_LINE));
        let bytes = Bytes::new(b"one", Region::Names);
        array.iter_mut().step_by(3).for_each(|place| *place = Some(bytes.clone()));
        assert_eq!(bytes.head().owners.load(Ordering::Relaxed), 1 + 334);
        array[3] = None;
        let copy = array.clone();
        drop(array);
        assert_eq!((copy.len(), copy.iter().flatten().count()), (1000, 333));
        drop(copy);
        assert_eq!(bytes.head().owners.load(Ordering::Relaxed), 1);
        assert!(Array::<Option<Bytes>>::default().is_empty());
        assert_eq!(Array::<()>::new(7).len(), 7);
    }

    #[test]
    fn a_handle_is_a_pointer_and_little_is_before_the_bytes() {
        assert_eq!((size_of::<Option<Bytes>>(), size_of::<Head>()), (size_of::<usize>(), 8));
        for place in [Region::Names, Region::Aliases, Region::Long, Region::Heap] {
            let head = Head::new(12_345, place).unwrap();
            assert_eq!((head.length(), head.place()), (12_345, place));
            assert!(Head::new(1 << 30, place).is_none());
        }
    }
}
