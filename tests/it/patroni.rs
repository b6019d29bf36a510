//! Patroni and PostgreSQL, the real ones: while its members change their parts, DNS leads to the one that leads, and
//! never to two.
//!
//! `ZONEKEEPER_SWITCHOVERS=20` has them change that often, as .ci/run does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use serde_json::json;

use crate::harness::app::Running;
use crate::harness::asker::{Asker, Over};
use crate::harness::foreign::Foreign;
use crate::harness::patroni::{Cluster, SCOPE};
use crate::harness::zk;

/// How long DNS may be behind a znode on a machine that tests much else; what it was is printed.
const LIMIT: Duration = Duration::from_secs(2);

/// An answer for the leader: when it was asked for and when it came, its code, and the ports of its records.
struct Answer {
    asked: f64,
    came: f64,
    code: ResponseCode,
    ports: Vec<u16>,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64()
}

/// Asks for the leader every two milliseconds until `over` says so.
#[allow(clippy::disallowed_methods)] // on a thread of its own
fn ask(dns: SocketAddr, over: &AtomicBool) -> Vec<Answer> {
    let name = Name::from_ascii(format!("leader.{SCOPE}.service.")).expect("a name");
    let (mut client, mut answers) = (Asker::new(dns), Vec::new());
    for id in 0u16.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let mut query = Message::query();
        query.metadata.id = id;
        query.add_query(Query::query(name.clone(), RecordType::SRV));
        let asked = now();
        let answer = client.ask(&query.to_vec().expect("a message"), Over::Udp, Duration::from_secs(1));
        if let Some(answer) = answer {
            let message = Message::from_vec(&answer).expect("a DNS message");
            let port = |data: &RData| if let RData::SRV(srv) = data { Some(srv.port) } else { None };
            let ports = message.answers.iter().filter_map(|record| port(&record.data)).collect();
            answers.push(Answer { asked, came: now(), code: message.metadata.response_code, ports });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_of_patroni_in_dns_follows_each_switchover_and_there_are_never_two() {
    let servers = zk::shared().namespace().await;
    let rounds = std::env::var("ZONEKEEPER_SWITCHOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let started = servers.clone();
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&started)).await.expect("no panic");
    let ports: BTreeMap<String, u16> =
        cluster.ports().into_iter().map(|(name, port)| (name.to_owned(), port)).collect();
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"patroni\"\n\
         [[zone]]\norigin = \"service.\"\n"
    ));
    let mut watcher = Foreign::watch(&servers);
    watcher.tell("watch", json!({"path": format!("/service/{SCOPE}/leader")}));
    crate::harness::eventually("a leader", async || {
        let leader = crate::harness::dig::dig(server.dns, &format!("SRV leader.{SCOPE}.service"));
        (leader.data().len() == 1).then_some(())
    })
    .await;

    let over = Arc::new(AtomicBool::new(false));
    let (dns, stop, begun) = (server.dns, Arc::clone(&over), now());
    let questions = std::thread::spawn(move || ask(dns, &stop));
    let cluster = tokio::task::spawn_blocking(move || {
        (0..rounds).for_each(|_| cluster.switch_over());
        cluster
    });
    let cluster = cluster.await.expect("no panic");
    tokio::time::sleep(LIMIT).await;
    over.store(true, Ordering::SeqCst);
    let answers = questions.join().expect("no panic");
    let ended = now();
    tokio::task::spawn_blocking(move || drop(cluster)).await.expect("no panic");
    server.stop().await;

    // The leaders that the znode named from the first question on, and when the watcher saw each.
    let mut leaders: Vec<(f64, Vec<u16>)> = Vec::new();
    for event in watcher.tell("seen", json!({})).as_array().expect("a list") {
        let (at, leader) = (event[0].as_f64().expect("a time"), event[1].as_str());
        let wanted: Vec<u16> = leader.map(|leader| ports[leader]).into_iter().collect();
        if at < ended && leaders.last().is_none_or(|(_, last)| *last != wanted) {
            leaders.push((at, wanted));
        }
    }
    let changes = leaders.iter().filter(|(at, wanted)| *at > begun && !wanted.is_empty()).count();
    assert!(changes >= rounds, "{rounds} switchovers and {changes} leaders");

    let rate = f64::from(u32::try_from(answers.len()).expect("a number")) / (ended - begun);
    let two: Vec<&Answer> = answers.iter().filter(|answer| answer.ports.len() > 1).collect();
    assert!(two.is_empty(), "{} answers had two leaders, the first {:?}", two.len(), two[0].ports);
    let denied = answers.iter().filter(|answer| answer.code != ResponseCode::NoError).count();
    let late = lateness(&leaders, &answers, begun);
    let millis = |late: f64| late * 1000.0;
    println!(
        "patroni: {rounds} switchovers, {} answers ({rate:.0}/s); after the znode, median {:.1} ms, worst {:.1} ms of {} \
         changes; {denied} NXDOMAIN",
        answers.len(),
        millis(late[late.len() / 2]),
        millis(late[late.len() - 1]),
        late.len(),
    );
    assert!(rate >= 100.0, "{rate} answers a second");
    assert_eq!(denied, 0, "between two leaders the name is there and has no records");
    assert!(late[late.len() - 1] < LIMIT.as_secs_f64(), "{late:?}");
}

/// Times in seconds, sorted, after the watcher saw each change: until the first answer that shows the new leader came,
/// or the last one that shows another. A member that stops leaves before the znode says so: an answer without a leader
/// is never wrong.
fn lateness(leaders: &[(f64, Vec<u16>)], answers: &[Answer], begun: f64) -> Vec<f64> {
    let mut late = Vec::new();
    for (number, (at, wanted)) in leaders.iter().enumerate().filter(|(_, (at, _))| *at > begun) {
        let next = leaders.get(number + 1).map_or(f64::INFINITY, |(next, _)| *next);
        let during = || answers.iter().filter(|answer| answer.came > *at && answer.asked < next);
        let mut others = during().filter(|answer| !answer.ports.is_empty() && answer.ports != *wanted);
        let mut worst = others.next_back().map_or(0.0, |answer| answer.came - at);
        if !wanted.is_empty() {
            let shown = during().find(|answer| answer.ports == *wanted).map_or(f64::INFINITY, |answer| answer.came);
            worst = worst.max(shown - at);
        }
        late.push(worst);
    }
    late.sort_by(f64::total_cmp);
    late
}
