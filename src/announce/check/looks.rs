//! Work of checks that waits for a disk: it is done on a thread of its own, and given up in time. A disk that does not
//! answer gives no result, and delays no other check.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::outcome::{Failure, Shortage};
use crate::disk;

/// Looks at one file that may have been given up and not have ended: each has a thread.
const GIVEN_UP: usize = 4;

/// The part of a probe's time limit that a look may take: a probe that ends at its limit is a bad result.
pub(super) const IN_TIME: f32 = 0.9;

/// How many looks at each file were given up and have not ended.
static PENDING: LazyLock<Mutex<HashMap<PathBuf, usize>>> = LazyLock::new(Mutex::default);

fn pending() -> MutexGuard<'static, HashMap<PathBuf, usize>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is waited for.
    Awaited,
    /// Nobody waits for it any more.
    GivenUp,
    Ended,
}

/// A look, for the one that waits for it and for its thread. What is done last at either side takes it out of the
/// count.
#[derive(Clone)]
struct Look {
    path: PathBuf,
    phase: Arc<Mutex<Phase>>,
}

impl Look {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), phase: Arc::new(Mutex::new(Phase::Awaited)) }
    }

    fn becomes(&self, next: Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        match (*phase, next) {
            (Phase::Awaited, Phase::GivenUp) => *pending().entry(self.path.clone()).or_default() += 1,
            (Phase::GivenUp, Phase::Ended) => {
                let mut pending = pending();
                if let Some(count) = pending.get_mut(&self.path) {
                    *count -= 1;
                    if *count == 0 {
                        pending.remove(&self.path);
                    }
                }
            }
            // It has ended before it was given up.
            (Phase::Ended, _) => return,
            _ => {}
        }
        *phase = next;
    }
}

/// The side that waits.
struct Waiting(Look);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.becomes(Phase::GivenUp);
    }
}

/// The side that waits for the disk.
struct Looking(Look);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.becomes(Phase::Ended);
    }
}

/// Does `work`, which waits for the disk of `path`, and gives it up after `within`.
///
/// # Errors
/// No result: the disk does not answer, or no thread can be had.
pub(super) async fn look<T: Send + 'static>(
    path: &Path,
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let silent = || Failure::NoResult(Shortage::Disk, format!("{}: its disk does not answer", path.display()));
    if pending().get(path).is_some_and(|count| *count >= GIVEN_UP) {
        return Err(silent());
    }
    let look = Look::at(path);
    let (waiting, looking) = (Waiting(look.clone()), Looking(look));
    let work = disk::aside(move || {
        let done = work();
        drop(looking);
        done
    });
    let looked = tokio::time::timeout(within, work).await;
    drop(waiting);
    match looked {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let why = format!("{}: not looked at: {error}", path.display());
            Err(match Shortage::of_spawning(&error) {
                Some(shortage) => Failure::NoResult(shortage, why),
                None => Failure::Bad(why),
            })
        }
        Err(_) => Err(silent()),
    }
}

/// As [`look`], for a caller that has no runtime; none where the disk does not answer within `patience`, and at once
/// where it is known not to.
pub(super) fn look_now<T: Send + 'static>(
    path: &Path,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if pending().contains_key(path) {
        return None;
    }
    let look = Look::at(path);
    let (waiting, looking) = (Waiting(look.clone()), Looking(look));
    let looked = disk::within(patience, move || {
        let done = work();
        drop(looking);
        done
    });
    drop(waiting);
    looked.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_does_not_answer_is_asked_a_few_times_and_again_once_it_has() {
        let (path, within) = (Path::new("/looks/silent"), Duration::from_millis(20));
        let mut answers = Vec::new();
        for _ in 0..GIVEN_UP {
            let (answer, silence) = mpsc::channel::<()>();
            answers.push(answer);
            let looked = look(path, within, move || silence.recv().is_ok()).await;
            assert!(matches!(looked, Err(Failure::NoResult(Shortage::Disk, _))), "{looked:?}");
        }
        let refused = look(path, within, || panic!("one thread more")).await;
        assert_eq!(refused, Err(Failure::NoResult(Shortage::Disk, "/looks/silent: its disk does not answer".into())));
        assert_eq!(look(Path::new("/looks/other"), Duration::from_secs(10), || 1).await, Ok(1));
        assert_eq!(look_now(path, Duration::from_secs(10), || 3), None, "it is known to be silent");
        assert_eq!(look_now(Path::new("/looks/other"), Duration::from_secs(10), || 3), Some(3));
        drop(answers);
        while look(path, Duration::from_secs(10), || 2).await != Ok(2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!pending().contains_key(path));
    }
}
