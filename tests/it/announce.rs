//! Registration by the real binary into a real ZooKeeper, looked at with kazoo.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::app::{Binary, free_port};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::{PATIENCE, zk};

fn config(servers: &str, dns: u16) -> String {
    format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n\
         [[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n\
         [[service]]\nname = \"api_x\"\nport = 8080\naddress = \"192.0.2.10\"\nproperties = {{ weight = 7 }}\n\
         [[service]]\nname = \"staging/db\"\nport = 5432\naddress = \"192.0.2.10\"\n"
    )
}

const NODES: [&str; 2] =
    ["/services/api_x/providers/192.0.2.10:8080", "/services/staging/db/providers/192.0.2.10:5432"];

fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_registered_taken_over_after_a_crash_and_withdrawn_at_the_end() {
    let servers = zk::shared().namespace().await;
    let dns = free_port();
    let config = config(&servers, dns);
    tokio::task::spawn_blocking(move || {
        let mut kazoo = Kazoo::connect(&servers);
        let mut first = Binary::serve(&config);
        let owners: Vec<i64> = NODES
            .iter()
            .map(|node| {
                let (data, owner) = until("a registration", || kazoo.get(node));
                let data: serde_json::Value = serde_json::from_slice(&data).expect("JSON");
                assert!(data["pid"].is_u64(), "{data}");
                assert_ne!(owner, 0, "it is ephemeral");
                owner
            })
            .collect();
        assert_eq!(owners[0], owners[1], "one session for both");
        let (data, _) = kazoo.get(NODES[0]).expect("the node");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&data).expect("JSON")["weight"], 7);
        assert_eq!(kazoo.get("/services/api_x/providers").expect("a parent").1, 0, "parents are persistent");
        let at = ([127, 0, 0, 1], dns).into();
        until("our own service in our own DNS", || (dig(at, "A api_x.service").data() == ["192.0.2.10"]).then_some(()));

        // A crash, and a restart well within the session time-out: the old session's node is taken over, and outlives
        // it.
        first.signal("KILL");
        first.wait();
        let mut second = Binary::serve(&config);
        for (node, old) in NODES.iter().zip(owners) {
            until("the new session's node", || kazoo.get(node).filter(|(_, owner)| *owner != old));
        }
        sleep(Duration::from_secs(6));
        for node in NODES {
            assert!(kazoo.get(node).is_some(), "{node} outlives the old session");
        }

        let begun = Instant::now();
        second.signal("TERM");
        until("no registration", || NODES.iter().all(|node| kazoo.get(node).is_none()).then_some(()));
        println!("withdrawn {:?} after SIGTERM", begun.elapsed());
        assert!(second.wait().success(), "{}", second.log());
        assert!(kazoo.get("/services/api_x/providers").is_some(), "parents stay");
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_node_is_never_deleted() {
    let servers = zk::shared().namespace().await;
    let dns = free_port();
    let config = config(&servers, dns);
    tokio::task::spawn_blocking(move || {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create(NODES[0], br#"{"pid":1,"whose":"a stranger's"}"#, true);
        let (before, owner) = kazoo.get(NODES[0]).expect("the stranger's node");
        let mut ours = Binary::serve(&config);
        until("our other registration", || kazoo.get(NODES[1]));
        sleep(Duration::from_millis(500));
        assert_eq!(kazoo.get(NODES[0]), Some((before, owner)));
        ours.signal("TERM");
        assert!(ours.wait().success(), "{}", ours.log());
        assert_eq!(kazoo.get(NODES[0]).map(|(_, owner)| owner), Some(owner), "nor at the end");
    })
    .await
    .expect("no panic");
}
