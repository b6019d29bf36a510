//! Work that waits for the disk of one file: it is done on a thread of its own, and given up in time. How many threads
//! wait for a file that was given up is bounded, however often it is asked for.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{aside, read_text, within};

/// Limit of looks at one file that were given up and have not ended: each has a thread.
const GIVEN_UP: usize = 4;

/// Patience with a file while another one is known to be on a silent disk, probably the same.
const BRIEF: Duration = Duration::from_millis(100);

/// Number of looks at each file that were given up and have not ended.
static PENDING: LazyLock<Mutex<HashMap<PathBuf, usize>>> = LazyLock::new(Mutex::default);

fn pending() -> MutexGuard<'static, HashMap<PathBuf, usize>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// State of a look.
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
struct LookRequest {
    path: PathBuf,
    phase: Arc<Mutex<Phase>>,
}

impl LookRequest {
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
struct WaiterSide(LookRequest);

impl Drop for WaiterSide {
    fn drop(&mut self) {
        self.0.becomes(Phase::GivenUp);
    }
}

/// The side that waits for the disk.
struct WorkerSide(LookRequest);

impl Drop for WorkerSide {
    fn drop(&mut self) {
        self.0.becomes(Phase::Ended);
    }
}

fn silent() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "its disk does not answer")
}

/// Does `work`, which waits for the disk of `path`, and gives it up after `patience`.
///
/// # Errors
/// [`ErrorKind::TimedOut`] where the disk does not answer; those of [`aside`].
pub async fn look<T: Send + 'static>(
    path: &Path,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    if pending().get(path).is_some_and(|count| *count >= GIVEN_UP) {
        return Err(silent());
    }
    let look = LookRequest::at(path);
    let (waiting, looking) = (WaiterSide(look.clone()), WorkerSide(look));
    let work = aside(move || {
        let done = work();
        drop(looking);
        done
    });
    let looked = tokio::time::timeout(patience, work).await;
    drop(waiting);
    looked.unwrap_or_else(|_| Err(silent()))
}

/// As [`look`], for a caller that has no runtime. It waits more briefly while another file is given up, and not at all
/// for one that is.
///
/// # Errors
/// [`ErrorKind::TimedOut`] where the disk does not answer.
pub fn look_now<T: Send + 'static>(
    path: &Path,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (is_given_up, is_any) = {
        let pending = pending();
        (pending.contains_key(path), !pending.is_empty())
    };
    if is_given_up {
        return Err(silent());
    }
    let look = LookRequest::at(path);
    let (waiting, looking) = (WaiterSide(look.clone()), WorkerSide(look));
    let looked = within(if is_any { BRIEF.min(patience) } else { patience }, move || {
        let done = work();
        drop(looking);
        done
    });
    drop(waiting);
    looked.map_err(|_| silent())
}

/// Reads text while a configuration is being read, which waits two seconds at most.
///
/// # Errors
/// Those of [`read_text`], and [`ErrorKind::TimedOut`] where the disk does not answer.
pub fn read_text_now(path: &Path) -> io::Result<String> {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let owned = path.to_owned();
    look_now(path, TIMEOUT, move || read_text(&owned))?
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
            assert_eq!(looked.unwrap_err().kind(), ErrorKind::TimedOut);
        }
        let refused = look(path, within, || panic!("one thread more")).await;
        assert_eq!(refused.unwrap_err().to_string(), "its disk does not answer");
        assert_eq!(look(Path::new("/looks/other"), Duration::from_secs(10), || 1).await.unwrap(), 1);
        assert!(look_now(path, Duration::from_secs(10), || 3).is_err(), "it is known to be silent");
        assert_eq!(look_now(Path::new("/looks/other"), Duration::from_secs(10), || 3).unwrap(), 3);
        drop(answers);
        while look(path, Duration::from_secs(10), || 2).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The other threads end as they come to it.
        while pending().contains_key(path) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
