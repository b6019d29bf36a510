//! The hot path allocates nothing once it is warm: counted, for every kind of question and of EDNS that is answered
//! there.

#![allow(unsafe_code)] // an allocator that counts

#[path = "bench/workload.rs"]
mod workload;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;
use std::time::Duration;

use workload::{Workload, query};
use zonekeeper::dns::fast::{self, MAX_TCP, Parsed, PendingQuery, Query, Written, ZoneState, ZoneStates};
use zonekeeper::dns::message::options::Tail;
use zonekeeper::dns::serve::cookie::{Secret, Secrets};
use zonekeeper::dns::serve::policy::Policy;
use zonekeeper::dns::transport::Transport;
use zonekeeper::zone::Freshness;
use zonekeeper::zone::record::rtype;

/// The system's allocator, which counts for each thread how often it was asked.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's doing. The counter is a plain number that needs neither an allocation
// nor a destructor, so that counting cannot come back here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A client's cookie as dig sends it, and a request for the server's name.
const COOKIE: &[u8] = &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
const NSID: &[u8] = &[0, 3, 0, 0];

/// Forms of each question: without EDNS, and with options of five kinds with and without DO.
const FORMS: usize = 11;

fn questions() -> Vec<Vec<u8>> {
    let mut questions = Vec::new();
    for (owner, rtype) in [
        ("api_1.service", rtype::SRV),
        ("aPi_1.Service", rtype::A),
        ("api_1.service", rtype::AAAA),
        ("nope.service", rtype::A),
        ("addr.service", rtype::A),
        ("service", rtype::SOA),
        ("elsewhere.example", rtype::A),
    ] {
        questions.push(query(owner, rtype, None));
        for options in [b"".as_slice(), COOKIE, NSID, &[0, 12, 0, 2, 0, 0], &[COOKIE, NSID].concat()] {
            questions.push(query(owner, rtype, Some((0, options))));
            questions.push(query(owner, rtype, Some((0x80, options))));
        }
    }
    questions
}

/// Answers all of them as a UDP thread does; gives how many got an answer here.
fn answer(
    workload: &Workload,
    policy: &Policy,
    questions: &[Vec<u8>],
    transport: Transport,
    scratch: &mut Scratch,
) -> usize {
    let mut answered = 0;
    for packet in questions {
        assert_eq!(fast::parse(packet, &mut scratch.query), Parsed::Plain);
        let loaded = ZoneStates::new(&workload.zones, policy, std::mem::take(&mut scratch.spare));
        let (subject, random) = (loaded.find(&scratch.query), scratch.random.u32(..));
        let asked = PendingQuery { packet, query: &scratch.query, peer: &|| PEER, now: &|| NOW, transport, random };
        let built = fast::respond(&loaded, &asked, subject, &mut scratch.tail, &mut scratch.response);
        answered += usize::from(built != Written::Slow);
        scratch.spare = loaded.into_spare();
    }
    answered
}

struct Scratch {
    query: Query,
    tail: Tail,
    response: Vec<u8>,
    spare: Vec<ZoneState>,
    random: fastrand::Rng,
}

#[test]
fn the_hot_path_allocates_nothing() {
    let mut workload = Workload::new(100);
    let policy = Policy { nsid: (*b"ns1").into(), ..Policy::new(Secrets::new(Secret::new([7; 16]))) };
    let questions = questions();
    let mut scratch = Scratch {
        query: Query::default(),
        tail: Tail::default(),
        response: vec![0; MAX_TCP],
        spare: Vec::new(),
        random: fastrand::Rng::with_seed(1),
    };
    for freshness in Freshness::ALL {
        workload.writer.set_freshness(freshness);
        for transport in [Transport::Udp, Transport::Tcp] {
            answer(&workload, &policy, &questions, transport, &mut scratch);
            let before = ALLOCATIONS.get();
            let answered = answer(&workload, &policy, &questions, transport, &mut scratch);
            let allocations = ALLOCATIONS.get() - before;
            // The apex's SOA is known whatever is not known of the registry: the slow path tells those apart.
            let is_unknown = matches!(freshness, Freshness::Loading | Freshness::Expired);
            let slow = if is_unknown { FORMS } else { 0 };
            assert_eq!(answered, questions.len() - slow, "all the others are for the hot path");
            assert_eq!(allocations, 0, "{freshness:?}, {transport:?}");
        }
    }
}

#[test]
fn what_is_allocated_is_counted() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
