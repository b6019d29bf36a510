//! A client that looks at znodes every few milliseconds and notes which of them was absent when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zonekeeper::registry::{Error, Path};
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::{Ensemble as _, Read, Reply, Session as _};

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
    /// Begins to look at `paths`; one that ends in a slash is there as long as something is below it.
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
    let parse = |path: &String| (Path::new(path.trim_end_matches('/')).expect("a path"), path.ends_with('/'));
    let paths: Vec<_> = paths.iter().map(parse).collect();
    let (begun, mut seen) = (Instant::now(), Seen { looks: 0, absent: Vec::new() });
    while !stop.load(Ordering::Relaxed) {
        for (path, is_directory) in &paths {
            let read = if *is_directory { Read::Children(path.clone()) } else { Read::Node(path.clone()) };
            match session.read(&[read]).await.expect("an answer").pop() {
                Some(Reply::Node(_)) => {}
                Some(Reply::Children(names)) if !names.is_empty() => {}
                Some(Reply::Children(_) | Reply::Failed(Error::NoNode)) => {
                    seen.absent.push((begun.elapsed(), path.to_string()));
                }
                other => panic!("{path}: {other:?}"),
            }
        }
        seen.looks += 1;
        tokio::time::sleep(PAUSE).await;
    }
    seen
}
