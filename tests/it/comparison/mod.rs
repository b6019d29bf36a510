//! The same zone in NSD, Knot and zonekeeper, and ten thousand random questions: our answers are theirs, but for what
//! [`allowed::ALLOWED`] lists with a reason for each.
//!
//! `ZONEKEEPER_COMPARISONS=100000` asks more questions, `ZONEKEEPER_SEED=7` other ones. The table of what differed is
//! printed at the end.

mod allowed;
pub(crate) mod questions;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use crate::harness::app::{Running, scratch};
use crate::harness::asker::{Asker, Over};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::secondary::{Kind, Secondary};
use allowed::ALLOWED;
use questions::{Asked, Questions};
use view::View;

/// The zone that all three serve.
pub(crate) const ZONE: &str = include_str!("zone.txt");

/// The other two. BIND thinks for itself in too many ways to be a reference.
const PEERS: [Kind; 2] = [Kind::Nsd, Kind::Knot];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_questions_are_answered_as_nsd_and_knot_answer_them() {
    let file = scratch("service.zone");
    std::fs::write(&file, ZONE).unwrap();
    let zone = format!("[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n", file.display());
    let server = Running::start(&zone);
    let peers: Vec<Secondary> = PEERS.iter().map(|kind| Secondary::with_file(*kind, Secondary::port(), ZONE)).collect();
    for peer in &peers {
        eventually("an answer of a peer", async || {
            let output = std::process::Command::new("dig")
                .args(["@127.0.0.1", "-p", &peer.address.port().to_string(), "+short", "+tries=1", "+time=1"])
                .args(["SOA", "service."])
                .output()
                .expect("dig");
            String::from_utf8_lossy(&output.stdout).contains("ns1.service.").then_some(())
        })
        .await;
    }
    assert_eq!(dig(server.dns, "SOA service.").status, "NOERROR");
    let addresses = peers.iter().map(|peer| (peer.kind, peer.address)).collect();
    let (ours, seed) = (server.dns, setting("ZONEKEEPER_SEED", 4592));
    let count = usize::try_from(setting("ZONEKEEPER_COMPARISONS", 10_000)).unwrap();
    let differing = spawn_blocking(move || compare(ours, addresses, seed, count)).await.unwrap();
    assert!(
        differing.is_empty(),
        "{} answers differ, first of all:\n{}",
        differing.len(),
        differing[..differing.len().min(8)].join("\n")
    );
    server.stop().await;
}

/// Asks everybody everything; gives what differs without being allowed to.
fn compare(ours: SocketAddr, peers: Vec<(Kind, SocketAddr)>, seed: u64, count: usize) -> Vec<String> {
    let mut us = Asker::new(ours);
    let mut them: Vec<(Kind, Asker)> = peers.into_iter().map(|(kind, address)| (kind, Asker::new(address))).collect();
    let mut questions = Questions::new(ZONE, seed);
    let (mut differing, mut counted) = (Vec::new(), BTreeMap::<(&str, &str), usize>::new());
    let (begun, mut equal) = (Instant::now(), 0);
    for _ in 0..count {
        let asked = questions.next_one();
        for (kind, peer) in &mut them {
            let ask =
                |asker: &mut Asker, over: Over| View::read(&asked, asker.ask(&asked.packet, over, PATIENCE_OF_ONE));
            let (mut our, mut their) = (ask(&mut us, asked.over), ask(peer, asked.over));
            let mut used = level(&asked, *kind, &mut our, &mut their);
            if asked.over == Over::Udp && View::is_cut(&our, &their) {
                // The same data take a few bytes more or less in each encoder: what matters is what TCP says.
                (our, their) = (ask(&mut us, Over::Tcp), ask(peer, Over::Tcp));
                used = level(&asked, *kind, &mut our, &mut their);
                used.push("UDP has no room for all");
            }
            for name in used {
                *counted.entry((name, kind.name())).or_default() += 1;
            }
            if our == their {
                equal += 1;
            } else {
                differing.push(format!("{asked}: us | {}\n{}", kind.name(), our.difference(&their)));
            }
        }
    }
    println!(
        "{count} questions, {} answers compared, {equal} equal or as allowed, {:?}",
        count * them.len(),
        begun.elapsed()
    );
    for ((name, kind), count) in counted {
        println!("{count:6} {kind:5} {name}");
    }
    differing
}

/// Makes the two alike where they may differ; gives the names of what they did differ in.
fn level(asked: &Asked, kind: Kind, ours: &mut View, theirs: &mut View) -> Vec<&'static str> {
    let mut used = Vec::new();
    for allowed in ALLOWED {
        let (were_equal, before) = (ours == theirs, (ours.clone(), theirs.clone()));
        (allowed.level)(asked, kind, ours, theirs);
        if !were_equal && before != (ours.clone(), theirs.clone()) {
            used.push(allowed.name);
        }
    }
    used
}

/// None of the three leaves any of these questions unanswered, however busy the machine is.
const PATIENCE_OF_ONE: Duration = Duration::from_secs(10);
