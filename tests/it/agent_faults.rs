//! What a registration lives through: a restart of its process, and the death of each server of the ensemble in turn.
//! The real binary over real servers, looked at all the while.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use zonekeeper::registry::{Error, Path};
use zonekeeper::zookeeper::Stat;
use zonekeeper::zookeeper::client::ZooKeeper;
use zonekeeper::zookeeper::session::{Ensemble as _, Session as _};

use crate::agent::{SESSION, node, registry, serve, service};
use crate::harness::ensemble::Ensemble;
use crate::harness::{eventually, zk};

/// What was seen of a znode, look by look.
#[derive(Debug, Default)]
struct Seen {
    /// When it changed: the stat, or none while it was absent.
    changes: Vec<(Instant, Option<Stat>)>,
    looks: u64,
    longest_pause: Duration,
}

impl Seen {
    /// The longest time for which it was absent, after it was there for the first time.
    fn longest_absence(&self) -> Duration {
        let there = self.changes.iter().skip_while(|(_, stat)| stat.is_none());
        let changes: Vec<_> = there.collect();
        let gaps = changes.windows(2).filter(|pair| pair[0].1.is_none());
        gaps.map(|pair| pair[1].0 - pair[0].0).max().unwrap_or_default()
    }
}

/// Looks at a znode as fast as it can, until told to stop.
fn watch(servers: String, path: Path) -> (Arc<AtomicBool>, JoinHandle<Seen>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(async move {
        let looker = ZooKeeper::new(&servers, Duration::from_secs(30)).connect().await.expect("a session");
        let (mut seen, mut last) = (Seen::default(), Instant::now());
        while !stopped.load(Ordering::Relaxed) {
            let stat = match looker.get(&path).await {
                Ok(znode) => Some(znode.stat),
                Err(Error::NoNode) => None,
                Err(error) => panic!("cannot look: {error}"),
            };
            seen.looks += 1;
            seen.longest_pause = seen.longest_pause.max(last.elapsed());
            last = Instant::now();
            let is_new = seen
                .changes
                .last()
                .is_none_or(|(_, before)| before.map(|stat| stat.czxid) != stat.map(|stat| stat.czxid));
            if is_new {
                seen.changes.push((last, stat));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        seen
    });
    (stop, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_within_the_session_timeout_takes_the_node_over_at_once_and_it_outlives_the_old_session() {
    let servers = zk::shared().namespace().await;
    let config = registry(&servers) + &service("a", 80, "");
    let path = Path::new(&node("a", 80)).expect("a path");
    let looker = ZooKeeper::new(&servers, Duration::from_secs(30)).connect().await.expect("a session");
    let (mut first, _) = serve(&config);
    let old = eventually("the first registration", async || looker.get(&path).await.ok()).await.stat;
    let (stop, watching) = watch(servers.clone(), path.clone());
    // What is registered by a process that lives on goes on being looked at before it dies.
    tokio::time::sleep(Duration::from_millis(200)).await;

    let killed = Instant::now();
    first.signal("KILL");
    first.wait();
    let (mut second, _) = serve(&config);
    let owner = eventually("the new owner", async || {
        let stat = looker.get(&path).await.ok()?.stat;
        (stat.ephemeral_owner != old.ephemeral_owner).then_some(stat.ephemeral_owner)
    })
    .await;
    let took = killed.elapsed();
    // ZooKeeper expires sessions in steps of its tick, half a second here.
    tokio::time::sleep((2 * SESSION).saturating_sub(took)).await;
    let now = looker.get(&path).await.expect("it outlives the old session").stat;
    assert_eq!(now.ephemeral_owner, owner);
    stop.store(true, Ordering::Relaxed);
    let seen = watching.await.expect("no panic");
    let absent = seen.longest_absence();
    println!(
        "restart: owned {took:?} after SIGKILL ({:.2} of the session time-out), absent for {absent:?} at most \
         ({} looks, {:?} between two of them at most)",
        took.as_secs_f64() / SESSION.as_secs_f64(),
        seen.looks,
        seen.longest_pause,
    );
    assert!(took < SESSION.mul_f64(0.7), "{took:?}");
    assert!(absent < Duration::from_millis(300), "{absent:?}: {seen:?}");
    assert_eq!(seen.changes.len(), 2, "one znode, and then the other: {seen:?}");
    second.signal("TERM");
    assert!(second.wait().success(), "{}", second.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_servers_may_die_and_it_is_the_same_znode_throughout() {
    let mut ensemble = tokio::task::spawn_blocking(Ensemble::start).await.expect("no panic");
    let config = registry(&ensemble.direct()) + &service("a", 80, "");
    let path = Path::new(&node("a", 80)).expect("a path");
    let (ours, _) = serve(&config);
    let looker = ZooKeeper::new(&ensemble.direct(), Duration::from_secs(60)).connect().await.expect("a session");
    let look = async || looker.get(&path).await.ok().map(|znode| znode.stat);
    let before = eventually("the registration", look).await;
    for index in 0..3 {
        let led = ensemble.leader() == Some(index);
        let mut member = ensemble.members.remove(index);
        let member = {
            member.kill();
            let killed = Instant::now();
            // Longer than the session could live without a connection.
            while killed.elapsed() < 2 * SESSION {
                if let Some(stat) = look().await {
                    assert_eq!(
                        (stat.czxid, stat.ephemeral_owner),
                        (before.czxid, before.ephemeral_owner),
                        "{}",
                        ours.log()
                    );
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let stat = eventually("an answer of the other two", look).await;
            assert_eq!(stat.czxid, before.czxid, "{}", ours.log());
            tokio::task::spawn_blocking(move || {
                member.start_again();
                member
            })
            .await
            .expect("no panic")
        };
        println!("server {index} was killed and came back{}", if led { "; it led" } else { "" });
        ensemble.members.insert(index, member);
    }
    let after = eventually("the registration", look).await;
    assert_eq!((after.czxid, after.ephemeral_owner), (before.czxid, before.ephemeral_owner));
    assert!(!ours.log().contains("the session is over"), "{}", ours.log());
}
