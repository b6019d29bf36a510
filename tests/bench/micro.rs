//! The steps of an answer and of a change, each by itself, in memory: `cargo bench --bench micro`.
//!
//! Times are of a warm cache, and what the network costs is not in them (`tests/bench/run` has that): they are for
//! comparing two versions of a step, and for seeing that a change costs the same in a small zone and in a large one.

mod workload;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use divan::{Bencher, black_box};
use workload::{Workload, name, offers, query};
use zonekeeper::dns::fast::{self, PendingQuery, Query, ROOM, ZoneStates};
use zonekeeper::dns::message::options::Tail;
use zonekeeper::dns::serve::cookie::{Secret, Secrets};
use zonekeeper::dns::serve::policy::Policy;
use zonekeeper::dns::transport::Transport;
use zonekeeper::zone::entry::Entry;
use zonekeeper::zone::index::{Edit, Edits, IndexWriter};
use zonekeeper::zone::packed::Packed;
use zonekeeper::zone::record::rtype;

/// When it is asked, since 1970.
const NOW: Duration = Duration::from_secs(1_700_000_000);

fn main() {
    divan::main();
}

/// What is asked: the name for the table, the owner, the type, and the options of EDNS.
const KINDS: [(&str, &str, u16, &[u8]); 5] = [
    ("SRV", "api_7.service", rtype::SRV, b""),
    ("A", "api_7.service", rtype::A, b""),
    ("NXDOMAIN", "nope.service", rtype::A, b""),
    ("NODATA", "api_7.service", rtype::AAAA, b""),
    ("A with a cookie", "api_7.service", rtype::A, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
];

const NAMES: [&str; 5] = [KINDS[0].0, KINDS[1].0, KINDS[2].0, KINDS[3].0, KINDS[4].0];

fn localhost() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn packet(kind: &str) -> Vec<u8> {
    let (_, owner, rtype, options) = KINDS.into_iter().find(|(name, ..)| *name == kind).expect("a kind");
    query(owner, rtype, Some((0, options)))
}

#[divan::bench(args = NAMES)]
fn parse(bencher: Bencher<'_, '_>, kind: &str) {
    let (packet, mut query) = (packet(kind), Query::default());
    bencher.bench_local(|| fast::parse(black_box(&packet), &mut query));
}

#[divan::bench(args = [1_000, 100_000])]
fn look_up(bencher: Bencher<'_, '_>, services: u32) {
    let (workload, packet, mut query) = (Workload::new(services), packet("A"), Query::default());
    fast::parse(&packet, &mut query);
    let policy = Policy::new(Secrets::new(Secret::new([7; 16])));
    let loaded = ZoneStates::new(&workload.zones, &policy, Vec::new());
    bencher.bench_local(|| black_box(loaded.find(black_box(&query))).is_some());
}

#[divan::bench(args = NAMES)]
fn build(bencher: Bencher<'_, '_>, kind: &str) {
    let (workload, packet, mut query) = (Workload::new(100), packet(kind), Query::default());
    fast::parse(&packet, &mut query);
    let policy = Policy::new(Secrets::new(Secret::new([7; 16])));
    let loaded = ZoneStates::new(&workload.zones, &policy, Vec::new());
    let candidate = loaded.find(&query);
    let (mut tail, mut out, mut random) = (Tail::default(), [0; ROOM], fastrand::Rng::with_seed(1));
    bencher.bench_local(|| {
        let random = random.u32(..);
        let asked = PendingQuery {
            packet: black_box(&packet),
            query: &query,
            peer: &localhost,
            now: &|| NOW,
            transport: Transport::Udp,
            random,
        };
        fast::respond(&loaded, &asked, candidate, &mut tail, &mut out)
    });
}

/// An entry of a service, as it is before it is packed.
fn entry(service: u32) -> Entry {
    let offer = offers(service, 0).swap_remove(0);
    Entry { owner: offer.owner, sets: offer.sets }
}

fn packed(service: u32) -> Packed {
    Packed::new(&entry(service), &mut |_, found| found.push(Ipv4Addr::LOCALHOST.into()))
}

/// What a service's records become when they change.
#[divan::bench]
fn compile(bencher: Bencher<'_, '_>) {
    let entry = entry(7);
    bencher.bench_local(|| Packed::new(black_box(&entry), &mut |_, found| found.push(Ipv4Addr::LOCALHOST.into())));
}

/// What makes a compiled change visible, in a zone of so many names.
#[divan::bench(args = [1_000, 100_000, 1_000_000])]
fn swap(bencher: Bencher<'_, '_>, names: u32) {
    let (mut writer, _index) = IndexWriter::new();
    let one = packed(7);
    let edit = |i: u32| -> Edit { (name(&format!("api_{i}.service")), Some(one.clone())) };
    let edits = |names| Edits { names, ..Edits::default() };
    // Every name has the one entry's memory: only the tables are of interest. Twice, for both of them.
    writer.commit(edits((0..names).map(edit).collect()));
    writer.commit(edits(vec![edit(0)]));
    bencher.with_inputs(|| edits(vec![edit(7)])).bench_local_values(|edits| writer.commit(edits));
}

/// All of a change from a service's records on: slots, difference, compilation, serial, swap.
#[divan::bench(args = [1_000, 100_000])]
fn publish(bencher: Bencher<'_, '_>, services: u32) {
    let mut workload = Workload::new(services);
    let mut generation = 0;
    let input = || {
        generation += 1;
        offers(7, generation)
    };
    bencher.with_inputs(input).bench_local_values(|offers| {
        workload.writer.put("api_7", offers);
        workload.writer.commit(1)
    });
}

/// A batch of 32 answers, while a writer changes so many services a second: what churn costs those who read.
#[divan::bench(args = [0, 1_000])]
fn churn(bencher: Bencher<'_, '_>, changes: u32) {
    let Workload { mut writer, zones } = Workload::new(10_000);
    let packets: Vec<Vec<u8>> =
        (0..32).map(|i| query(&format!("api_{}.service", i * 311), rtype::SRV, Some((0, b"")))).collect();
    let policy = Policy::new(Secrets::new(Secret::new([7; 16])));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            #[allow(clippy::disallowed_methods)] // no runtime's thread
            for generation in 1.. {
                if is_over.load(Ordering::Relaxed) || changes == 0 {
                    break;
                }
                let service = generation % 10_000;
                writer.put(&format!("api_{service}"), offers(service, generation));
                writer.commit(1);
                std::thread::sleep(Duration::from_secs(1) / changes);
            }
        });
        let (mut spare, mut query, mut tail, mut out) = (Vec::new(), Query::default(), Tail::default(), [0; ROOM]);
        bencher.bench_local(|| {
            let loaded = ZoneStates::new(&zones, &policy, std::mem::take(&mut spare));
            for packet in &packets {
                fast::parse(black_box(packet), &mut query);
                let asked = PendingQuery {
                    packet,
                    query: &query,
                    peer: &localhost,
                    now: &|| NOW,
                    transport: Transport::Udp,
                    random: fastrand::u32(..),
                };
                let candidate = loaded.find(&query);
                black_box(fast::respond(&loaded, &asked, candidate, &mut tail, &mut out));
            }
            spare = loaded.into_spare();
        });
        is_over.store(true, Ordering::Relaxed);
    });
}
