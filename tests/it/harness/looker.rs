//! A client that looks at znodes every few milliseconds and notes which of them was absent when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zonekeeper::keeper::session::{Ensemble as _, Session as _};
use zonekeeper::keeper::{Error, Path, zookeeper::ZooKeeper};

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// The client, on a thread of its own.
pub(crate) struct Looker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What it has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) looks: usize,
    /// When and which, for every look at a znode that was not there.
    pub(crate) absent: Vec<(Duration, String)>,
}

impl Looker {
    /// Begins to look at `paths`.
    pub(crate) fn start(servers: &str, paths: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (servers, stopped) = (servers.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(look(&servers, &paths, &stopped))
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

async fn look(servers: &str, paths: &[String], stop: &AtomicBool) -> Seen {
    let session = ZooKeeper::new(servers, Duration::from_secs(30)).connect().await.expect("a session");
    let paths: Vec<_> = paths.iter().map(|path| Path::new(path).expect("a path")).collect();
    let (begun, mut seen) = (Instant::now(), Seen { looks: 0, absent: Vec::new() });
    while !stop.load(Ordering::Relaxed) {
        for path in &paths {
            match session.get(path).await {
                Ok(_) => {}
                Err(Error::NoNode) => seen.absent.push((begun.elapsed(), path.to_string())),
                Err(error) => panic!("{path}: {error}"),
            }
        }
        seen.looks += 1;
        tokio::time::sleep(PAUSE).await;
    }
    seen
}
