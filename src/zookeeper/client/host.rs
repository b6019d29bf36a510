//! The thread on which an ensemble's sessions are kept: the client library, the relay and the connects, with a runtime
//! of their own. Whatever they do there, checks, DNS, reload and stop go on; and a thread that does not answer any more
//! is replaced by another.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Time that sessions may take to be closed, once nobody uses them.
const CLOSING: Duration = Duration::from_secs(3);

/// A thread that is started when it is needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Host(Arc<Mutex<Option<HostThread>>>);

/// A thread that runs. It ends with the last clone, after its tasks.
#[derive(Debug, Clone)]
pub(super) struct HostThread {
    handle: Handle,
    tracker: TaskTracker,
    _alive: watch::Receiver<()>,
}

impl HostThread {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.handle);
    }

    pub(super) fn tasks(&self) -> Tasks {
        Tasks { handle: self.handle.clone(), tracker: self.tracker.clone() }
    }
}

/// A way to spawn further tasks that does not keep the thread.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.handle);
    }
}

impl Host {
    /// The thread, started if there is none.
    ///
    /// # Errors
    /// When the system has no thread or no file descriptors for it.
    pub(super) fn running(&self) -> io::Result<HostThread> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let started = start()?;
        *running = Some(started.clone());
        Ok(started)
    }

    /// Leaves the thread to itself: the next one to ask gets another.
    pub(super) fn replace(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn start() -> io::Result<HostThread> {
    let (alive, kept) = watch::channel(());
    let (started, is_started) = mpsc::channel();
    let tracker = TaskTracker::new();
    let tasks = tracker.clone();
    std::thread::Builder::new().name("zookeeper".into()).spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        let _ = started.send(Ok(runtime.handle().clone()));
        runtime.block_on(async {
            alive.closed().await;
            tasks.close();
            let _ = tokio::time::timeout(CLOSING, tasks.wait()).await;
        });
        runtime.shutdown_background();
    })?;
    let handle = is_started.recv().map_err(io::Error::other)??;
    Ok(HostThread { handle, tracker, _alive: kept })
}
