//! A registry of a million providers: how long a cold sync takes, against the bare reading of the same; memory; what
//! one change costs; what a resync, a dying host and a start without ZooKeeper do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use zonekeeper::registry::Path;
use zonekeeper::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use zonekeeper::zookeeper::session::{Access, Ensemble as _, Mode, Read, Reply, Session as _, Write};

use crate::harness::app::scratch;
use crate::harness::proxy::Proxy;
use crate::harness::zk::Server;
use crate::process::{Process, quantile};

/// Requests outstanding, and items in one: what the mirror itself uses.
const IN_FLIGHT: usize = 8;
const BATCH: usize = 500;

pub(crate) async fn run(services: u32, providers: u32) {
    let small = measure_changes(100, 10, None).await;
    let mut server = Server::sized(3000);
    let session = fill(&server, services, providers).await;
    let bare = bare(&session).await;
    drop(session);
    println!("bare reading of the same in batches of {BATCH}, {IN_FLIGHT} at once: {bare:.2?}");

    let proxy = Proxy::start(server.socket());
    let cache = scratch("cache");
    let registry = format!("cache_file = \"{}\"", cache.display());
    let process = Process::start(&proxy.address().to_string(), &registry);
    let last = format!("s{}.service.", services - 1);
    process.says("read completely", 0).await;
    let read = process.begun.elapsed();
    let cold = process.shows(&last, providers as usize).await;
    println!(
        "cold start: read completely after {read:.2?}, {:.2} times the bare reading; in DNS after {cold:.2?}, {:.2} times; \
         processor {:.2?}; memory {} MB at most",
        read.as_secs_f64() / bare.as_secs_f64(),
        cold.as_secs_f64() / bare.as_secs_f64(),
        process.processor(),
        process.memory("VmHWM")
    );
    process.says("cache file saved", 0).await;
    println!("after the cache file: memory {} MB now, {} MB at most", process.memory("VmRSS"), process.memory("VmHWM"));

    let large = changes(&server, &process, services).await;
    println!("one change at {}: {small}\none change at {}: {large}", 100 * 10, services * providers);

    let (serial, most) = (process.serial().await, process.memory("VmHWM"));
    let (lives, published) = (process.said("the mirror is live"), process.said("published"));
    let begun = Instant::now();
    proxy.blip();
    process.says("the mirror is live", lives).await;
    println!(
        "resync of the unchanged tree: {:.2?}; commits: {}; serial moved by {}; memory at most {} MB, before it {most} MB",
        begun.elapsed(),
        process.said("published") - published,
        process.serial().await.wrapping_sub(serial),
        process.memory("VmHWM"),
    );

    burst(&server, &process, services).await;

    process.says("cache file saved", process.said("cache file saved") - 1).await;
    drop(process);
    server.kill();
    let process = Process::start(&proxy.address().to_string(), &registry);
    let cached = process.shows(&last, providers as usize).await;
    println!(
        "start from the cache file ({} MB) without ZooKeeper: {cached:.2?}, processor {:.2?}; memory {} MB at most",
        std::fs::metadata(&cache).expect("the file").len() >> 20,
        process.processor(),
        process.memory("VmHWM")
    );
}

/// Every service has its own providers; each provider has an address that no other has.
fn provider(service: u32, provider: u32) -> String {
    let [_, a, b, c] = (service * 16 + provider % 16).to_be_bytes();
    format!("10.{a}.{b}.{c}:{}", 8000 + provider)
}

async fn fill(server: &Server, services: u32, providers: u32) -> ZooKeeperSession {
    let begun = Instant::now();
    let session = ZooKeeper::new(&server.address(), Duration::from_secs(30)).connect().await.expect("a session");
    let root = Path::root().child("services");
    session.create(&root, b"", Mode::Persistent, &Access::Open).await.expect("the root");
    let mut requests = FuturesUnordered::new();
    for first in (0..services).step_by(20) {
        let mut batch = Vec::new();
        for service in first..(first + 20).min(services) {
            let path = root.child(&format!("s{service}"));
            let directory = path.child("providers");
            let create = |path, data: &str| Write::Create {
                path,
                data: data.into(),
                mode: Mode::Persistent,
                access: Access::Open,
            };
            batch.push(create(path, ""));
            batch.push(create(directory.clone(), ""));
            for one in 0..providers {
                batch.push(create(directory.child(&provider(service, one)), "{\"pid\":12345}"));
            }
        }
        let session = &session;
        requests.push(async move { session.write(&batch).await.expect("the registry is filled") });
        if requests.len() >= IN_FLIGHT {
            requests.next().await;
        }
    }
    while requests.next().await.is_some() {}
    drop(requests);
    println!("filled: {services} services of {providers} providers in {:.1?}", begun.elapsed());
    session
}

/// Reads everything as the mirror does, and keeps nothing.
async fn bare(session: &ZooKeeperSession) -> Duration {
    let begun = Instant::now();
    let root = Path::root().child("services");
    session.sync(&root).await.expect("a sync");
    let mut queue = VecDeque::from([Read::Node(root)]);
    let mut requests = FuturesUnordered::new();
    loop {
        while requests.len() < IN_FLIGHT && !queue.is_empty() {
            // The latest first, so that it goes down before it goes on.
            let batch: Vec<Read> = (0..BATCH).map_while(|_| queue.pop_back()).collect();
            requests.push(async move {
                let replies = session.read(&batch).await.expect("a reading");
                (batch, replies)
            });
        }
        let Some((batch, replies)) = requests.next().await else { break };
        for (read, reply) in batch.into_iter().zip(replies) {
            match (read, reply) {
                (Read::Node(path), Reply::Node(znode)) if znode.stat.num_children > 0 => {
                    queue.push_back(Read::Children(path));
                }
                (Read::Children(path), Reply::Children(names)) => {
                    queue.extend(names.iter().map(|name| Read::Node(path.child(name))));
                }
                _ => {}
            }
        }
    }
    begun.elapsed()
}

/// What a change costs in a registry of its own.
async fn measure_changes(services: u32, providers: u32, registry: Option<&str>) -> String {
    let server = Server::start();
    drop(fill(&server, services, providers).await);
    let process = Process::start(&server.address(), registry.unwrap_or_default());
    process.shows(&format!("s{}.service.", services - 1), providers as usize).await;
    changes(&server, &process, services).await
}

/// Makes changes one by one: from the reply to the writer to the answer, and processor time each.
async fn changes(server: &Server, process: &Process, services: u32) -> String {
    let session = ZooKeeper::new(&server.address(), Duration::from_secs(30)).connect().await.expect("a session");
    let mut client = crate::harness::client::Client::new(process.dns).await;
    let mut delays = Vec::new();
    // What is still going on from before is not to be counted.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, begun) = (process.processor(), Instant::now());
    for round in 0..300 {
        let service = round * 7919 % services;
        let path = Path::new(&format!("/services/s{service}/providers/172.16.0.1:{}", 1000 + round)).expect("a path");
        session.create(&path, b"{}", Mode::Persistent, &Access::Open).await.expect("a provider");
        let written = Instant::now();
        let name = format!("s{service}.service.");
        loop {
            let answer = client.addresses(&name).await.expect("an answer");
            if answer.1.iter().any(|address| address == "172.16.0.1") {
                break;
            }
        }
        delays.push(written.elapsed());
        session.delete(&path, None).await.expect("the end of a provider");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let processor = process.processor().saturating_sub(before);
    delays.sort();
    format!(
        "p50 {:.2?}, p99 {:.2?} from create's return to the answer; processor {:.0?} a change with its questions ({:.1?})",
        quantile(&delays, 0.5),
        quantile(&delays, 0.99),
        processor / 600,
        begun.elapsed()
    )
}

/// A host with 5,000 ephemerals dies.
async fn burst(server: &Server, process: &Process, services: u32) {
    const EPHEMERALS: u32 = 5_000;
    let session = ZooKeeper::new(&server.address(), Duration::from_secs(30)).connect().await.expect("a session");
    let session = Arc::new(session);
    for first in (0..EPHEMERALS).step_by(200) {
        let create = |one: u32| Write::Create {
            path: Path::new(&format!("/services/s{}/providers/172.16.9.9:{}", one % services, 20_000 + one))
                .expect("a path"),
            data: b"{}".to_vec(),
            mode: Mode::Ephemeral,
            access: Access::Open,
        };
        session.write(&(first..first + 200).map(create).collect::<Vec<_>>()).await.expect("ephemerals");
    }
    let name = format!("s{}.service.", (EPHEMERALS - 1) % services);
    let mut client = crate::harness::client::Client::new(process.dns).await;
    let has = |answer: &Vec<String>| answer.iter().any(|address| address == "172.16.9.9");
    while !client.addresses(&name).await.is_some_and(|(_, addresses)| has(&addresses)) {}
    tokio::time::sleep(Duration::from_secs(1)).await;
    let published = process.said("published");
    let begun = Instant::now();
    drop(session);
    while client.addresses(&name).await.is_none_or(|(_, addresses)| has(&addresses)) {}
    let gone = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let commits = process.said("published") - published;
    println!("{EPHEMERALS} ephemerals of one host die: the last is out of DNS after {gone:.2?}, in {commits} commits");
}
