//! The UDP threads: one socket each, batches in, three steps over each batch, batches out. No runtime, no locks.

use std::cell::LazyCell;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
#[cfg(target_os = "linux")]
use tracing::warn;

#[cfg(target_os = "linux")]
use super::batch::Batch;
use super::datagrams::{BATCH, Datagrams, Origin, Trouble};
use super::plain::Plain;
use super::prefetch::{prefetch, prefetch_line};
use super::route::Route;
use super::slow::SlowQuery;
use crate::dns::fast::{self, Parsed, PendingQuery, Query, Written, ZoneNumber, ZoneState, ZoneStates};
use crate::dns::message::options::Tail;
use crate::dns::serve::exchange::{self, Exchange};
use crate::dns::serve::gate::{Gate, Received};
use crate::dns::serve::metrics::{Counters, Metrics, Tally};
use crate::dns::serve::outcome::Outcome;
use crate::dns::serve::since_1970;
use crate::dns::transport::Transport;
use crate::zone::Zones;

/// Time between two looks of a thread without queries whether it is to stop.
pub(super) const POLL: Duration = Duration::from_millis(200);

/// After how many full batches in a row it looks as well.
const LOOK_EVERY: u32 = 64;

/// Of so many batches one is timed.
const TIME_EVERY: u32 = 16;

/// Pause after an error that passes: an error that stays must not become a busy loop.
const RETRY: Duration = Duration::from_millis(5);

/// For how many answers ahead memory is asked for.
const AHEAD: usize = 8;

/// One UDP thread.
pub(super) struct Worker {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) zones: Zones,
    pub(super) front: Arc<Gate>,
    pub(super) slow: mpsc::Sender<SlowQuery>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
}

/// Memory that a thread answers with, made once.
struct Scratch {
    queries: Vec<Query>,
    spare: Vec<ZoneState>,
    tail: Tail,
    /// Random numbers that the first record of each answer is drawn by.
    random: fastrand::Rng,
    tally: Tally,
}

impl Worker {
    /// Answers until told to stop.
    ///
    /// # Errors
    /// When the socket fails for good.
    pub(super) fn run(self) -> std::io::Result<()> {
        let counters = self.metrics.counters(Transport::Udp);
        #[cfg(target_os = "linux")]
        match self.serve::<Batch>(&counters) {
            Err(error) if Trouble::of(&error) == Trouble::Missing => {
                warn!("this system has no recvmmsg: UDP goes one datagram at a time");
            }
            outcome => return outcome,
        }
        self.serve::<Plain>(&counters)
    }

    fn serve<D: Datagrams<Route: Into<Route>>>(&self, counters: &Counters) -> std::io::Result<()> {
        let mut datagrams = D::new();
        let mut scratch = Scratch {
            queries: vec![Query::default(); BATCH],
            spare: Vec::new(),
            tail: Tail::default(),
            random: fastrand::Rng::new(),
            tally: self.metrics.tally(),
        };
        // Full batches since it was last looked whether to stop, which takes a lock.
        let mut full = 0_u32;
        let mut batches = 0_u32;
        while !full.is_multiple_of(LOOK_EVERY) || !self.stop.is_cancelled() {
            let received = match datagrams.receive(&self.socket) {
                Ok(received) => received,
                Err(error) => match Trouble::of(&error) {
                    Trouble::Nothing => {
                        full = 0;
                        continue;
                    }
                    Trouble::Passing => {
                        counters.troubled();
                        rest(RETRY);
                        full = 0;
                        continue;
                    }
                    Trouble::Missing | Trouble::Fatal => return Err(error),
                },
            };
            full = if received == BATCH { full.wrapping_add(1) } else { 0 };
            batches = batches.wrapping_add(1);
            // The clock is not looked at for most: that takes a while, too.
            let started = batches.is_multiple_of(TIME_EVERY).then(Instant::now);
            self.answer(&mut datagrams, received, &mut scratch, counters);
            counters.unsent(datagrams.send(&self.socket));
            if let Some(started) = started {
                counters.took(started.elapsed(), received as u64);
            }
        }
        Ok(())
    }

    /// Writes the responses to all the queries of a batch.
    fn answer<D: Datagrams<Route: Into<Route>>>(
        &self,
        datagrams: &mut D,
        received: usize,
        scratch: &mut Scratch,
        counters: &Counters,
    ) {
        let Scratch { queries, spare, tail, random, tally } = scratch;
        // Few answers depend on it, and it takes its time to be told.
        let now = LazyCell::new(since_1970);
        let policy = self.front.policy();
        let loaded = ZoneStates::new(&self.zones, &policy, std::mem::take(spare));
        // Read and hash every name, and ask for where the table has it.
        let (mut parsed, mut numbers) = ([Parsed::Drop; BATCH], [None; BATCH]);
        for i in 0..received {
            parsed[i] = fast::parse(datagrams.query(i), &mut queries[i]);
            if parsed[i] == Parsed::Plain {
                numbers[i] = loaded.zone_of(&queries[i]);
                if let Some(place) = numbers[i].and_then(|number| loaded.near(number, &queries[i])) {
                    prefetch_line(place);
                    // A search that begins at a line's end goes on in the next.
                    prefetch_line(std::ptr::from_ref(place).wrapping_add(1));
                }
            }
        }
        // Look there, and ask for the first line of every entry: each is in a page of its own, which takes the longest
        // to find, and the processor looks for several pages at a time only when nothing comes between.
        let mut candidates = [None; BATCH];
        for i in 0..received {
            candidates[i] = numbers[i].map(|number| loaded.candidate(number, &queries[i]));
            fast::first_line_of(candidates[i]).into_iter().for_each(prefetch_line);
        }
        // The other lines are in the same pages, and come while other answers are written.
        let ask_for_the_rest =
            |i: usize| fast::other_lines_of(candidates[i], &queries[i]).into_iter().for_each(prefetch);
        let order = by_kind(&queries[..received]);
        order[..received.min(AHEAD)].iter().for_each(|i| ask_for_the_rest(usize::from(*i)));
        // Write every answer.
        for (place, i) in order[..received].iter().map(|i| usize::from(*i)).enumerate() {
            if let Some(&ahead) = order[..received].get(place + AHEAD) {
                ask_for_the_rest(ahead.into());
            }
            let (packet, peer, out) = datagrams.exchange(i);
            let (transport, peer_of) = (Transport::Udp, || peer.address());
            let zone = ZoneNumber::counted(numbers[i]);
            let exchange = |query, outcome| Exchange { transport, peer: &peer_of, query, zone, outcome };
            if parsed[i] == Parsed::Drop || !peer.is_answerable() {
                exchange(exchange::ReadQuery::Malformed, Outcome::Dropped).finish(tally);
                continue;
            }
            let query = &queries[i];
            let asked =
                PendingQuery { packet, query, peer: &peer_of, now: &|| *now, transport, random: random.u32(..) };
            let built = match parsed[i] {
                Parsed::Plain => fast::respond(&loaded, &asked, candidates[i], tail, out),
                _ => Written::Slow,
            };
            let (length, outcome) = match built {
                Written::Response { length, rcode, truncated, extended, is_empty } => {
                    (length, Outcome::Response { rcode, truncated, extended, is_empty })
                }
                Written::Slip { length } => (length, Outcome::Slip),
                Written::Limited => (0, Outcome::Limited),
                Written::Slow => {
                    let received = fast::hand_over(parsed[i], packet, query);
                    self.pass_on(received, datagrams.route(i).into());
                    continue;
                }
            };
            exchange(exchange::ReadQuery::Hot(query), outcome).finish(tally);
            if length > 0 {
                datagrams.push(i, length.into());
            }
        }
        counters.add(tally);
        *spare = loaded.into_spare();
    }

    /// Gives a query to the handler, unless it has more than enough of them.
    fn pass_on(&self, received: Received, route: Route) {
        let slow = SlowQuery { received, route, socket: Arc::clone(&self.socket), since: Instant::now() };
        if self.slow.try_send(slow).is_err() {
            self.metrics.overloaded();
        }
    }
}

/// The places of these queries: first those for SRV records, then the others. What is done for either is foreseen by
/// the processor as long as the same comes again.
fn by_kind(queries: &[Query]) -> [u8; BATCH] {
    let mut order = [0; BATCH];
    let (mut first, mut behind) = (0, queries.len());
    // Without a branch, which would be foreseen no better than those it is to spare. The others are the wrong way
    // round.
    for (i, query) in (0..).zip(queries) {
        let is_first = query.wants_services();
        (order[first], order[behind - 1]) = (i, i);
        (first, behind) = (first + usize::from(is_first), behind - usize::from(!is_first));
    }
    order
}

/// Sleeps; this thread is nobody's runtime's.
#[allow(clippy::disallowed_methods)]
fn rest(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::serve::cookie::{Secret, Secrets};
    use crate::dns::serve::policy::Policy;
    use crate::zone::name::Name;
    use crate::zone::{Freshness, ZoneBuilder};

    /// Answers of a worker over `D` to each of `queries`, on a socket of its own.
    fn answers<D: Datagrams<Route: Into<Route>>>(queries: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        writer.set_freshness(Freshness::Fresh);
        writer.commit(100);
        let zones = Zones::new(vec![Arc::clone(writer.zone())]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), CancellationToken::new());
        let (slow, _waiting) = mpsc::channel(1);
        let worker = Worker {
            socket: Arc::new(socket),
            front: Arc::new(Gate::new(zones.clone(), Policy::new(Secrets::new(Secret::new([7; 16]))))),
            zones,
            slow,
            metrics: Arc::default(),
            stop: stop.clone(),
        };
        let counters = worker.metrics.counters(Transport::Udp);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.connect(address).unwrap();
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| worker.serve::<D>(&counters));
            let ask = |query: &&[u8]| {
                client.send(query).unwrap();
                let mut answer = vec![0; 2000];
                let length = client.recv(&mut answer).unwrap();
                answer.truncate(length);
                answer
            };
            let answers = queries.iter().map(ask).collect();
            stop.cancel();
            serving.join().unwrap().unwrap();
            answers
        })
    }

    #[test]
    fn one_by_one_is_answered_as_in_batches() {
        let queries: [&[u8]; 2] = [
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07sErvice\0\0\x06\0\x01",
            b"\x12\x35\x01\0\0\x01\0\0\0\0\0\x01\x01x\x07service\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0",
        ];
        let plain = answers::<Plain>(&queries);
        assert_eq!(plain[0][..4], *b"\x12\x34\x85\0");
        assert_eq!(plain[1][3] & 0x0f, 3, "NXDOMAIN");
        #[cfg(target_os = "linux")]
        assert_eq!(answers::<Batch>(&queries), plain);
    }
}
