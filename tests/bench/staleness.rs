//! Staleness: from kazoo's `create` returning to the DNS answer that shows it, under a steady rate of changes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::harness::client::Client;
use crate::harness::kazoo::Kazoo;
use crate::harness::zk::Server;
use crate::process::{Process, quantile};

/// Services that the changes go round.
const SERVICES: u32 = 200;
/// kazoo clients: one alone waits for each reply, and cannot keep a high rate.
const WRITERS: u32 = 4;

pub(crate) async fn run(rate: u32, seconds: u32) {
    assert!(rate * seconds <= 25 * SERVICES, "more instances a service than an answer of 512 bytes holds");
    let server = Server::start();
    let mut kazoo = Kazoo::connect(&server.address());
    for service in 0..SERVICES {
        kazoo.create(&format!("/services/s{service}/providers/10.0.0.1:80"), b"{\"pid\":1}", false);
    }
    let process = Process::start(&server.address(), "");
    process.shows(&format!("s{}.service.", SERVICES - 1), 1).await;

    let (written, mut changes) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (address, written) = (server.address(), written.clone());
            std::thread::spawn(move || write(&address, writer, rate, seconds, &written))
        })
        .collect();
    drop(written);
    let mut watchers = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    while let Some(change) = changes.recv().await {
        let watcher = watchers.entry(change.service).or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tasks.spawn(watch(process.dns, receiver));
            sender
        });
        watcher.send(change).expect("a watcher");
    }
    let took = begun.elapsed();
    drop(watchers);
    let mut delays: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    delays.sort();
    for writer in writers {
        writer.join().expect("a writer");
    }
    println!(
        "{} changes in {took:.1?} over {SERVICES} services ({:.0} a second; {rate} were asked for): p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
        delays.len(),
        f64::from(u32::try_from(delays.len()).expect("thousands")) / took.as_secs_f64(),
        quantile(&delays, 0.5),
        quantile(&delays, 0.99),
        quantile(&delays, 1.0),
    );
}

/// A change that was written, and when the writer knew.
struct Change {
    service: u32,
    address: String,
    written: Instant,
}

/// Creates one instance after the other, each in the next service, at this writer's share of the rate.
#[allow(clippy::disallowed_methods)] // on a thread of its own
fn write(servers: &str, writer: u32, rate: u32, seconds: u32, written: &mpsc::UnboundedSender<Change>) {
    let mut kazoo = Kazoo::connect(servers);
    let (begun, step) = (Instant::now(), Duration::from_secs(1) * WRITERS / rate);
    for round in 0..rate * seconds / WRITERS {
        let due = begun + step * round;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let number = round * WRITERS + writer;
        let service = number % SERVICES;
        let [_, a, b, c] = number.to_be_bytes();
        let address = format!("11.{a}.{b}.{c}");
        kazoo.create(&format!("/services/s{service}/providers/{address}:80"), b"{\"pid\":2}", true);
        let _ = written.send(Change { service, address, written: Instant::now() });
    }
}

/// Asks for one service's changes in turn until each shows.
async fn watch(dns: std::net::SocketAddr, mut changes: mpsc::UnboundedReceiver<Change>) -> Vec<Duration> {
    let mut client = Client::new(dns).await;
    let mut delays = Vec::new();
    while let Some(Change { service, address, written }) = changes.recv().await {
        let name = format!("s{service}.service.");
        while !client.addresses(&name).await.is_some_and(|(_, shown)| shown.contains(&address)) {
            assert!(written.elapsed() < Duration::from_secs(30), "{address} never shows at {name}");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        delays.push(written.elapsed());
    }
    delays
}
