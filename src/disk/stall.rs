//! Tells work that merely takes long from work that waits for a disk.
//!
//! A thread that reads files may be watched: whenever it asks the disk for something, it notes since when. Nothing is
//! asked of the disk to find out.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// For how long a watched thread has been waiting for a disk. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stall {
    /// Milliseconds from [`BASE`] to the beginning of the call that is on its way, and one; 0 for none.
    since: Arc<AtomicU64>,
}

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    static WATCHED: RefCell<Option<Stall>> = const { RefCell::new(None) };
}

impl Stall {
    /// Time that the call on its way now has taken; none where no call is.
    pub fn duration(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(BASE.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    /// Does `work`, which waits for the disk on this thread, under watch.
    pub fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = WATCHED.with(|watched| watched.replace(Some(self.clone())));
        let done = work();
        WATCHED.with(|watched| watched.replace(before));
        done
    }
}

/// Asks the disk for something. Whoever watches this thread sees for how long.
pub fn asking<T>(ask: impl FnOnce() -> T) -> T {
    let Some(stall) = WATCHED.with(|watched| watched.borrow().clone()) else { return ask() };
    let now = || u64::try_from(BASE.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
    let outer = stall.since.swap(now(), Ordering::Relaxed);
    let answer = ask();
    // What this was part of goes on, and has had an answer.
    stall.since.store(if outer == 0 { 0 } else { now() }, Ordering::Relaxed);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "there is no runtime")]
    fn only_what_is_asked_of_a_disk_is_a_stall() {
        let stall = Stall::default();
        let long = Duration::from_millis(30);
        stall.watch(|| {
            std::thread::sleep(long);
            assert_eq!(stall.duration(), None, "it works");
            asking(|| {
                std::thread::sleep(long);
                assert!(stall.duration() >= Some(long) && stall.duration() < Some(2 * long + long));
            });
            assert_eq!(stall.duration(), None, "the disk has answered");
            asking(|| {
                asking(|| {});
                assert!(stall.duration().is_some(), "the outer one goes on");
            });
        });
        asking(|| assert_eq!(stall.duration(), None, "nobody watches"));
    }
}
