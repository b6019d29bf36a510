//! The proof that the mirror misses nothing: what no event told of is found, repaired and counted.

use std::time::Duration;

use crate::harness::admin::page;
use crate::harness::app::{Binary, Running};
use crate::harness::dig::dig;
use crate::harness::face::{Face, Front};
use crate::harness::kazoo::Kazoo;
use crate::harness::{eventually, zk};

/// Where a front stands before a server, and a name space of it: the connect strings with and without the front, and
/// the path of the name space.
async fn fronted() -> (Front, String, String, String) {
    let server = zk::shared();
    let direct = server.namespace().await;
    let front = Front::before(server.socket(), Face::PLAIN);
    let fronted = direct.replace(&server.address(), &front.address().to_string());
    let path = format!("/{}", direct.split_once('/').expect("a chroot").1);
    (front, fronted, direct, path)
}

/// A server that verifies so often.
fn start(servers: &str, verify: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nlinger = \"0s\"\nverify = \"{verify}\"\n[[zone]]\norigin = \"service.\"\n"
    ))
}

/// Znodes that changed without an event: missed ones, and those of which the rights were changed.
fn differences(server: &Running) -> (u64, u64) {
    let page = page(server.admin, "/metrics");
    let value = |kind: &str| {
        let start = format!("zonekeeper_mirror_differences_total{{registry=\"main\",kind=\"{kind}\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&start)).expect("the metric");
        value.trim().parse::<f64>().expect("a number")
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
    (value("missed") as u64, value("rights") as u64)
}

fn serial(server: &Running) -> String {
    dig(server.dns, "SOA service.").answer[0].clone()
}

async fn shows(server: &Running, query: &str, expected: &[&str]) {
    eventually(&format!("{query} as {expected:?}"), async || {
        let response = dig(server.dns, query);
        let mut shown = response.data();
        shown.sort();
        (shown == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_missed_events_are_found_and_repaired_as_there_were() {
    let (front, servers, direct, chroot) = fronted().await;
    let mut kazoo = Kazoo::connect(&direct);
    for instance in 1..5 {
        kazoo.create(&format!("/services/api/providers/10.0.0.{instance}:80"), b"{}", false);
    }
    kazoo.create("/services/old/providers/10.1.0.1:80", b"{}", false);
    let server = start(&servers, "2s");
    shows(&server, "A api.service", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]).await;
    // Without a verification, nothing of this would ever be seen: see the control below.
    let planted = [
        "/services/api/providers/10.0.0.1:80",
        "/services/api/providers/10.0.0.2:80",
        "/services/api/providers/10.0.0.3:80",
        "/services/api/providers/10.0.0.9:80",
        "/services/new",
        "/services/new/providers",
        "/services/new/providers/10.2.0.1:80",
        "/services/old/providers/10.1.0.1:80",
        "/services/old/providers",
        "/services/old",
    ];
    let full: Vec<String> = planted.iter().map(|path| format!("{chroot}{path}")).collect();
    front.lose(&full.iter().map(String::as_str).collect::<Vec<_>>());
    kazoo.set("/services/api/providers/10.0.0.1:80", br#"{"state":"down"}"#);
    kazoo.delete("/services/api/providers/10.0.0.2:80");
    // Gone and back with other data: two events, one difference.
    kazoo.delete("/services/api/providers/10.0.0.3:80");
    kazoo.create("/services/api/providers/10.0.0.3:80", br#"{"state":"down"}"#, false);
    kazoo.create("/services/api/providers/10.0.0.9:80", b"{}", false);
    kazoo.create("/services/new/providers/10.2.0.1:80", b"{}", false);
    for path in ["/services/old/providers/10.1.0.1:80", "/services/old/providers", "/services/old"] {
        kazoo.delete(path);
    }
    // A neighbour that is told of goes on as ever.
    kazoo.create("/services/api/providers/10.0.0.8:80", b"{}", false);
    shows(&server, "A api.service", &["10.0.0.4", "10.0.0.8", "10.0.0.9"]).await;
    shows(&server, "A new.service", &["10.2.0.1"]).await;
    eventually("old.service is gone", async || (dig(server.dns, "A old.service").status == "NXDOMAIN").then_some(()))
        .await;
    eventually("all are counted", async || (differences(&server).0 >= 10).then_some(())).await;
    assert!(front.lost().len() >= planted.len(), "{:?}", front.lost());
    // Nothing is found twice.
    let before = serial(&server);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((differences(&server), serial(&server)), ((10, 0), before));
    drop(kazoo);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_verification_a_missed_event_stays_missed() {
    let (front, servers, direct, chroot) = fronted().await;
    let mut kazoo = Kazoo::connect(&direct);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    let server = start(&servers, "0s");
    shows(&server, "A api.service", &["10.0.0.1"]).await;
    front.lose(&[&format!("{chroot}/services/api/providers/10.0.0.2:80")]);
    kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", false);
    kazoo.create("/services/api/providers/10.0.0.3:80", b"{}", false);
    shows(&server, "A api.service", &["10.0.0.1", "10.0.0.3"]).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    shows(&server, "A api.service", &["10.0.0.1", "10.0.0.3"]).await;
    assert_eq!(differences(&server), (0, 0));
    drop(kazoo);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rights_are_found_and_counted_apart() {
    let (_front, servers, direct, _) = fronted().await;
    let mut kazoo = Kazoo::connect(&direct);
    for service in ["api", "db", "web"] {
        kazoo.create(&format!("/services/{service}/providers/10.0.0.1:80"), b"{}", false);
    }
    let server = start(&servers, "2s");
    shows(&server, "A web.service", &["10.0.0.1"]).await;
    kazoo.lock("/services/api", "owner:secret");
    kazoo.lock("/services/db/providers/10.0.0.1:80", "owner:secret");
    eventually("both are found", async || (differences(&server).1 >= 2).then_some(())).await;
    // What was readable goes on.
    shows(&server, "A api.service", &["10.0.0.1"]).await;
    shows(&server, "A db.service", &["10.0.0.1"]).await;
    kazoo.unlock("/services/api");
    kazoo.unlock("/services/db/providers/10.0.0.1:80");
    eventually("both can be read again", async || (differences(&server).1 >= 4).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(differences(&server), (0, 4));
    drop(kazoo);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_registry_has_no_missed_events_and_a_quiet_one_no_commits() {
    let (_front, servers, direct, _) = fronted().await;
    let mut kazoo = Kazoo::connect(&direct);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    let server = start(&servers, "2s");
    shows(&server, "A api.service", &["10.0.0.1"]).await;
    let begun = std::time::Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(6) {
        let path = format!("/services/s{}/providers/10.0.0.2:80", count % 7);
        if count / 7 % 2 == 0 {
            kazoo.create(&path, b"{}", true);
        } else {
            kazoo.delete(&path);
        }
        kazoo.set("/services/api/providers/10.0.0.1:80", format!("{{\"n\":{count}}}").as_bytes());
        count += 1;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = serial(&server);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((differences(&server), serial(&server)), ((0, 0), before));
    drop(kazoo);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_events_are_in_the_log_with_their_paths() {
    let (front, servers, direct, chroot) = fronted().await;
    let mut kazoo = Kazoo::connect(&direct);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    let port = crate::harness::app::free_port();
    let binary = Binary::serve(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nverify = \"1s\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{port}\"]\n"
    ));
    eventually("the mirror", async || binary.log().contains("the mirror is live").then_some(())).await;
    let path = format!("{chroot}/services/api/providers/10.0.0.1:80");
    front.lose(&[&path]);
    kazoo.delete("/services/api/providers/10.0.0.1:80");
    eventually("the line in the log", async || {
        let log = binary.log();
        let line = log.lines().find(|line| line.contains("missed events"))?;
        assert!(line.contains("WARN") && line.contains(&path), "{line}");
        Some(())
    })
    .await;
}

/// A format beside which much else may be is watched level by level, with a watch on each list and one on each znode.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_znode_is_gone_leaves_though_nothing_is_heard_of_its_parents_list() {
    let (front, servers, direct, chroot) = fronted().await;
    let mut kazoo = Kazoo::connect(&direct);
    for instance in 1..3 {
        kazoo.create(&format!("/mine/org/api/10.0.0.{instance}:80"), br#"{"healthcheckStatus":"healthy"}"#, true);
    }
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nformat = \"ranger\"\nroot = \"/mine\"\nlinger = \"0s\"\n\
         verify = \"0s\"\n[[zone]]\norigin = \"service.\"\n"
    ));
    shows(&server, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    front.lose(&[&format!("{chroot}/mine/org/api")]);
    kazoo.delete("/mine/org/api/10.0.0.2:80");
    shows(&server, "A api.service", &["10.0.0.1"]).await;
    eventually("the list's event is lost", async || (!front.lost().is_empty()).then_some(())).await;
    drop(kazoo);
    server.stop().await;
}
