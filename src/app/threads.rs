//! Threads of parts that have one of their own.
//!
//! tokio's threads for blocking work are not used: whoever asks for one panics while the system has none to give.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Time that dropping waits for threads that were told to end.
const ENDING: Duration = Duration::from_millis(200);
/// Time between two looks at them.
const POLL: Duration = Duration::from_millis(1);

/// The threads. Dropping them waits a moment, so that the runtime does not end before what uses it.
#[derive(Debug, Default)]
pub(super) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Does `work` on a thread of its own. What is returned comes when it ends; an error, when it panics.
    ///
    /// # Errors
    /// Those of the system, where it has no thread to give.
    pub(super) fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<oneshot::Receiver<()>> {
        let (done, ended) = oneshot::channel();
        let run = move || {
            work();
            // Whoever waited may have gone.
            let _ = done.send(());
        };
        self.0.push(Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(ended)
    }
}

impl Drop for Threads {
    #[expect(clippy::disallowed_methods, reason = "nothing else runs at the end, and it is short")]
    fn drop(&mut self) {
        let begun = Instant::now();
        while self.0.iter().any(|thread| !thread.is_finished()) && begun.elapsed() < ENDING {
            std::thread::sleep(POLL);
        }
    }
}
