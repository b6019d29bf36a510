//! Counters of the DNS server. Each thread counts for itself, so that counting costs it nothing but memory of its own;
//! the sums are made when somebody looks.
//!
//! - `cells`: responses by zone, type of the question and outcome.
//! - `latency`: how long responses take.

mod cells;
mod latency;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::answer::Rcode;
use super::outcome::{ExtendedCode, Outcome};
use crate::dns::transfer::Kind;
use crate::dns::transport::Transport;
use crate::zone::Zones;
use cells::RCODES;
use latency::{Latency, LatencySum};

/// The DNS server's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Origins of the zones that are counted one by one, in the order of [`Zones::iter`].
    zones: Vec<String>,
    counters: Mutex<Vec<Arc<Counters>>>,
    overloaded: AtomicU64,
    not_logged: AtomicU64,
    forwarded: [AtomicU64; FORWARDED.len()],
}

/// Outcome of a question that was to be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// The answer was known.
    Cached,
    /// Another name server gave it.
    Answered,
    /// None did.
    Failed,
    /// Too many were on their way.
    Refused,
}

const FORWARDED: [(Forwarded, &str); 4] = [
    (Forwarded::Cached, "cached"),
    (Forwarded::Answered, "answered"),
    (Forwarded::Failed, "failed"),
    (Forwarded::Refused, "refused"),
];

/// The counters of one thread, or of one transport's slower part.
#[derive(Debug)]
#[repr(align(128))] // nobody else's cache lines
pub struct Counters {
    transport: Transport,
    /// Responses, see [`cells`].
    responses: Box<[AtomicU64]>,
    truncated: AtomicU64,
    /// Responses with an extended error, by its code.
    extended: [AtomicU64; ExtendedCode::COUNT],
    latency: Latency,
    dropped: AtomicU64,
    unsent: AtomicU64,
    troubled: AtomicU64,
    slow: AtomicU64,
    limited: AtomicU64,
    slipped: AtomicU64,
    transfers: [AtomicU64; TRANSFERS.len()],
}

const TRANSFERS: [Kind; 3] = [Kind::Full, Kind::Incremental, Kind::Soa];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResponse {
    transport: &'static str,
    rcode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQuery {
    zone: String,
    transport: &'static str,
    r#type: &'static str,
    rcode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfExtended {
    transport: &'static str,
    code: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTransport {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTransfer {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfForwarded {
    outcome: &'static str,
}

/// Name of a response's outcome: its code, or NODATA.
pub(super) fn outcome_name(rcode: Rcode, is_empty: bool) -> &'static str {
    cells::outcome(if is_empty { cells::NODATA } else { rcode as usize })
}

/// Subject of an exchange, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Place of the zone in [`Zones::iter`], plus one; 0 for a name in none.
    pub zone: usize,
    /// Type of the question, by number; 0 where it is not known.
    pub rtype: u16,
}

/// A place to count exchanges in.
pub trait Ledger {
    /// Counts an exchange.
    fn count(&mut self, subject: Subject, outcome: Outcome);
}

/// Exchanges counted where nobody else looks, until they are added to [`Counters`]. A number that others may read at
/// any time waits for everything that was written before it.
#[derive(Debug, Default)]
pub struct Tally {
    responses: Vec<u32>,
    /// Cells of `responses` that are not 0.
    touched: Vec<usize>,
    rare: Rare,
}

/// Counts of what is so of few exchanges.
#[derive(Debug, Default)]
struct Rare {
    /// True if there is anything.
    is_any: bool,
    truncated: u32,
    extended: [u32; ExtendedCode::COUNT],
    dropped: u32,
    limited: u32,
    slipped: u32,
    transfers: [u32; TRANSFERS.len()],
}

impl Tally {
    /// A tally for so many zones. One for fewer counts the others' responses as those of none.
    pub fn new(zones: usize) -> Self {
        Self { responses: vec![0; cells::count(zones)], ..Self::default() }
    }

    /// Makes room for all zones that `counters` has.
    pub fn fit(&mut self, counters: &Counters) {
        if self.responses.len() < counters.responses.len() {
            self.responses.resize(counters.responses.len(), 0);
        }
    }

    #[inline]
    fn respond(&mut self, subject: Subject, rcode: Rcode, is_empty: bool) {
        let mut cell = cells::cell(subject.zone, subject.rtype, rcode, is_empty);
        if cell >= self.responses.len() {
            cell = self.make_room(cell);
        }
        if let Some(count) = self.responses.get_mut(cell) {
            if *count == 0 {
                self.touched.push(cell);
            }
            *count += 1;
        }
    }

    #[cold]
    fn make_room(&mut self, cell: usize) -> usize {
        if self.responses.is_empty() {
            self.responses = vec![0; cells::count(0)];
        }
        cells::outside(cell)
    }

    #[cold]
    fn count_rare(&mut self, subject: Subject, outcome: Outcome) {
        self.rare.is_any = true;
        match outcome {
            Outcome::Response { truncated, extended, .. } => {
                self.rare.truncated += u32::from(truncated);
                if let Some(extended) = extended {
                    self.rare.extended[extended.place()] += 1;
                }
            }
            Outcome::Slip => {
                self.respond(subject, Rcode::NoError, false);
                self.rare.truncated += 1;
                self.rare.slipped += 1;
            }
            Outcome::Limited => self.rare.limited += 1,
            Outcome::Dropped => self.rare.dropped += 1,
            Outcome::Transfer(kind) => {
                self.respond(subject, Rcode::NoError, false);
                self.rare.transfers[kind as usize] += 1;
            }
        }
    }
}

impl Ledger for Tally {
    #[inline]
    fn count(&mut self, subject: Subject, outcome: Outcome) {
        if let Outcome::Response { rcode, is_empty, .. } = outcome {
            self.respond(subject, rcode, is_empty);
        }
        if !matches!(outcome, Outcome::Response { truncated: false, extended: None, .. }) {
            self.count_rare(subject, outcome);
        }
    }
}

/// Counts one exchange at once, for the slow path.
impl Ledger for &Counters {
    fn count(&mut self, subject: Subject, outcome: Outcome) {
        let mut tally = Tally::default();
        // It has cells for no zone: what it counts as no zone's goes where it belongs.
        tally.count(Subject { zone: 0, ..subject }, outcome);
        self.add_from(&mut tally, subject.zone);
    }
}

impl Counters {
    /// Counts what a tally has, which begins again.
    pub fn add(&self, tally: &mut Tally) {
        self.add_from(tally, 0);
    }

    /// Counts what a tally has; its responses are those of so many zones further.
    fn add_from(&self, tally: &mut Tally, zone: usize) {
        let Tally { responses, touched, rare } = tally;
        for from in touched.drain(..) {
            let cell = from + cells::start(zone);
            let cell = if cell < self.responses.len() { cell } else { cells::outside(cell) };
            if let Some((count, more)) = self.responses.get(cell).zip(responses.get_mut(from)) {
                count.fetch_add(std::mem::take(more).into(), Ordering::Relaxed);
            }
        }
        if rare.is_any {
            self.add_rare(&std::mem::take(rare));
        }
    }

    #[cold]
    fn add_rare(&self, rare: &Rare) {
        let Rare { is_any: _, truncated, extended, dropped, limited, slipped, transfers } = rare;
        let of_each = self.extended.iter().zip(extended).chain(self.transfers.iter().zip(transfers));
        let of_all = [
            (&self.truncated, truncated),
            (&self.dropped, dropped),
            (&self.limited, limited),
            (&self.slipped, slipped),
        ];
        for (count, more) in of_each.chain(of_all) {
            if *more > 0 {
                count.fetch_add((*more).into(), Ordering::Relaxed);
            }
        }
    }

    /// Counts that so many queries were answered in `time`.
    pub fn took(&self, time: Duration, queries: u64) {
        self.latency.observe(time, queries);
    }

    /// Counts responses that the system did not take.
    pub fn unsent(&self, count: usize) {
        if count > 0 {
            self.unsent.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Counts an error of the system's that was waited out.
    pub fn troubled(&self) {
        self.troubled.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a query that was not for the hot path.
    pub fn slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counters by these zones.
    pub fn new(zones: &Zones) -> Self {
        Self { zones: zones.iter().map(|zone| zone.origin().to_string()).collect(), ..Self::default() }
    }

    /// A tally for counters of these.
    pub fn tally(&self) -> Tally {
        Tally::new(self.zones.len())
    }

    /// Counters of one's own.
    pub fn counters(&self, transport: Transport) -> Arc<Counters> {
        let zero = || AtomicU64::new(0);
        let counters = Arc::new(Counters {
            transport,
            responses: (0..cells::count(self.zones.len())).map(|_| zero()).collect(),
            truncated: zero(),
            extended: std::array::from_fn(|_| zero()),
            latency: Latency::default(),
            dropped: zero(),
            unsent: zero(),
            troubled: zero(),
            slow: zero(),
            limited: zero(),
            slipped: zero(),
            transfers: std::array::from_fn(|_| zero()),
        });
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }

    /// Counts one of everything, so that no family is empty.
    #[cfg(test)]
    pub(crate) fn count_one_of_each(&self) {
        let counters = self.counters(Transport::Udp);
        let extended = Some(ExtendedCode::of(super::answer::Ede::NotReady));
        let outcome = Outcome::Response { rcode: Rcode::NoError, truncated: true, extended, is_empty: false };
        for outcome in [outcome, Outcome::Slip, Outcome::Limited, Outcome::Dropped, Outcome::Transfer(Kind::Full)] {
            (&*counters).count(Subject { zone: 0, rtype: 1 }, outcome);
        }
        counters.took(Duration::from_micros(1), 1);
        for (outcome, _) in FORWARDED {
            self.forwarded(outcome);
        }
    }

    /// Counts a query that was dropped because too many were waiting for the slow path.
    pub fn overloaded(&self) {
        self.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a query that was to be logged while the log was full.
    pub(super) fn not_logged(&self) {
        self.not_logged.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of queries that were to be logged and are not.
    pub(super) fn queries_not_logged(&self) -> u64 {
        self.not_logged.load(Ordering::Relaxed)
    }

    /// Counts a question that was to be forwarded.
    pub fn forwarded(&self, outcome: Forwarded) {
        self.forwarded[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the responses of all transports.
    pub fn answered(&self) -> u64 {
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().flat_map(|counters| &*counters.responses).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Counts the responses of all transports by outcome: the response code, or NODATA.
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        let mut outcomes = BTreeMap::new();
        for counters in &*self.counters.lock().unwrap_or_else(PoisonError::into_inner) {
            for (cell, count) in counters.responses.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    *outcomes.entry(cells::outcome(cells::labels(cell).2)).or_default() += count;
                }
            }
        }
        outcomes
    }

    /// Shows the sums as of now in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let responses = Family::<OfResponse, Counter>::default();
        let queries = Family::<OfQuery, Counter>::default();
        let extended = Family::<OfExtended, Counter>::default();
        let transfers = Family::<OfTransfer, Counter>::default();
        let families: [Family<OfTransport, Counter>; 8] = std::array::from_fn(|_| Family::default());
        let mut times = BTreeMap::<_, LatencySum>::new();
        for counters in &*self.counters.lock().unwrap_or_else(PoisonError::into_inner) {
            let transport = counters.transport.label();
            for (_, rcode) in RCODES {
                drop(responses.get_or_create(&OfResponse { transport, rcode }));
            }
            for (cell, count) in counters.responses.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count == 0 {
                    continue;
                }
                let (zone, r#type, column) = cells::labels(cell);
                responses.get_or_create(&OfResponse { transport, rcode: cells::rcode(column) }).inc_by(count);
                let zone = zone.checked_sub(1).and_then(|zone| self.zones.get(zone)).cloned().unwrap_or_default();
                let query = OfQuery { zone, transport, r#type, rcode: cells::outcome(column) };
                queries.get_or_create(&query).inc_by(count);
            }
            for (kind, count) in TRANSFERS.iter().zip(&counters.transfers) {
                let kind = OfTransfer { kind: kind.as_str() };
                transfers.get_or_create(&kind).inc_by(count.load(Ordering::Relaxed));
            }
            let of_code = counters.extended.iter().map(|count| count.load(Ordering::Relaxed));
            for (code, count) in (0..).zip(of_code.clone()).filter(|(_, count)| *count > 0) {
                extended.get_or_create(&OfExtended { transport, code }).inc_by(count);
            }
            let others = [
                &counters.truncated,
                &counters.dropped,
                &counters.unsent,
                &counters.slow,
                &counters.troubled,
                &counters.limited,
                &counters.slipped,
            ];
            let others = others.map(|count| count.load(Ordering::Relaxed));
            for (family, count) in families.iter().zip([of_code.sum()].into_iter().chain(others)) {
                family.get_or_create(&OfTransport { transport }).inc_by(count);
            }
            times.entry(transport).or_default().add(&counters.latency);
        }
        let [errors, truncated, dropped, unsent, slow, troubled, limited, slipped] = families;
        registry.register("dns_responses", "Responses, by transport and response code", responses);
        let help = "Queries answered, by zone (empty: none of ours), transport, type and response code; NODATA is a NOERROR without records";
        registry.register("dns_queries", help, queries);
        registry.register("dns_truncated", "Responses with TC set", truncated);
        registry.register("dns_extended_errors", "Responses with an extended DNS error", errors);
        let help = "Responses with an extended DNS error, by its code (RFC 8914); 31 for any code from there on";
        registry.register("dns_extended_error_codes", help, extended);
        registry.register("dns_dropped", "Packets that are not queries, or cannot be answered", dropped);
        registry.register("dns_unsent", "Responses that the system refused to send", unsent);
        registry.register("dns_unusual", "Queries answered by the slow path", slow);
        registry.register("dns_troubled", "Errors of the system while receiving, after which it went on", troubled);
        registry.register("dns_rate_limited", "Responses not sent because of the rate limit", limited);
        registry.register("dns_rate_slipped", "Responses cut to TC because of the rate limit", slipped);
        registry.register("dns_transfers", "Zone transfers begun, by what was sent", transfers);
        let forwarded = Family::<OfForwarded, Counter>::default();
        for ((_, outcome), count) in FORWARDED.iter().zip(&self.forwarded) {
            forwarded.get_or_create(&OfForwarded { outcome }).inc_by(count.load(Ordering::Relaxed));
        }
        registry.register("dns_forwarded", "Queries for names outside the zones, by what became of them", forwarded);
        let overloaded = Counter::<u64>::default();
        overloaded.inc_by(self.overloaded.load(Ordering::Relaxed));
        registry.register("dns_overloaded", "Queries dropped because the slow path's queue was full", overloaded);
        let not_logged = Counter::<u64>::default();
        not_logged.inc_by(self.queries_not_logged());
        let help = "Queries that [dns.query_log] chooses and that are not logged, as the log was full";
        registry.register("dns_query_log_dropped", help, not_logged);
        registry.register_collector(Box::new(Times(times)));
    }
}

/// Times that responses took, by transport.
#[derive(Debug)]
struct Times(BTreeMap<&'static str, LatencySum>);

impl Collector for Times {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Time from reading a query to handing its response to the system: of every slow one, and of one batch in 16 of the others.";
        let mut family =
            encoder.encode_descriptor("dns_response_time", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (transport, sum) in self.0.iter().filter(|(_, sum)| sum.count() > 0).map(|(of, sum)| (*of, sum)) {
            let (seconds, count, buckets) = (sum.seconds(), sum.count(), sum.buckets());
            let labels = OfTransport { transport };
            family.encode_family(&labels)?.encode_histogram::<OfTransport>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Ede;
    use super::*;
    use crate::zone::ZoneBuilder;
    use crate::zone::name::Name;
    use crate::zone::record::rtype;

    #[test]
    fn the_row_of_a_kind_is_its_number() {
        for (i, kind) in TRANSFERS.iter().enumerate() {
            assert_eq!(*kind as usize, i);
        }
        for (i, (outcome, _)) in FORWARDED.iter().enumerate() {
            assert_eq!(*outcome as usize, i);
        }
    }

    fn page(metrics: &Metrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        page
    }

    #[test]
    fn the_threads_counters_are_summed() {
        let metrics = Metrics::default();
        let (one, two) = (metrics.counters(Transport::Udp), metrics.counters(Transport::Udp));
        let count = |counters: &Counters, truncated, extended| {
            let mut tally = metrics.tally();
            let outcome = Outcome::Response { rcode: Rcode::NxDomain, truncated, extended, is_empty: false };
            tally.count(Subject { zone: 0, rtype: rtype::A }, outcome);
            counters.add(&mut tally);
            counters.add(&mut tally);
        };
        count(&one, false, Some(ExtendedCode::of(Ede::StaleNxDomain)));
        count(&two, true, Some(ExtendedCode::of(Ede::Of(0))));
        let page = page(&metrics);
        for line in [
            "dns_responses_total{transport=\"udp\",rcode=\"NXDOMAIN\"} 2",
            "dns_queries_total{zone=\"\",transport=\"udp\",type=\"A\",rcode=\"NXDOMAIN\"} 2",
            "dns_truncated_total{transport=\"udp\"} 1",
            "dns_extended_errors_total{transport=\"udp\"} 2",
            "dns_extended_error_codes_total{transport=\"udp\",code=\"0\"} 1",
            "dns_extended_error_codes_total{transport=\"udp\",code=\"19\"} 1",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line}\n{page}");
        }
    }

    #[test]
    fn responses_are_counted_by_zone_type_and_outcome() {
        let zone = |origin| Arc::clone(ZoneBuilder::new(Name::parse(origin).unwrap(), 5, 5).build().zone());
        let metrics = Metrics::new(&Zones::new(vec![zone("a"), zone("sub.a")]));
        let counters = metrics.counters(Transport::Tcp);
        let mut tally = metrics.tally();
        let response =
            |is_empty| Outcome::Response { rcode: Rcode::NoError, truncated: false, extended: None, is_empty };
        for _ in 0..3 {
            tally.count(Subject { zone: 1, rtype: rtype::SRV }, response(false));
        }
        tally.count(Subject { zone: 2, rtype: rtype::AAAA }, response(true));
        tally.count(Subject { zone: 3, rtype: rtype::A }, response(false));
        counters.add(&mut tally);
        (&*counters).count(Subject { zone: 2, rtype: rtype::ANY }, response(false));
        (&*counters).count(Subject { zone: 9, rtype: rtype::ANY }, Outcome::Transfer(Kind::Full));
        counters.took(Duration::from_micros(30), 4);
        let page = page(&metrics);
        for line in [
            "dns_queries_total{zone=\"sub.a.\",transport=\"tcp\",type=\"SRV\",rcode=\"NOERROR\"} 3",
            "dns_queries_total{zone=\"a.\",transport=\"tcp\",type=\"AAAA\",rcode=\"NODATA\"} 1",
            "dns_queries_total{zone=\"a.\",transport=\"tcp\",type=\"ANY\",rcode=\"NOERROR\"} 1",
            "dns_queries_total{zone=\"\",transport=\"tcp\",type=\"A\",rcode=\"NOERROR\"} 1",
            "dns_queries_total{zone=\"\",transport=\"tcp\",type=\"ANY\",rcode=\"NOERROR\"} 1",
            "dns_responses_total{transport=\"tcp\",rcode=\"NOERROR\"} 7",
            "dns_response_time_seconds_bucket{le=\"0.000025\",transport=\"tcp\"} 0",
            "dns_response_time_seconds_bucket{le=\"0.00005\",transport=\"tcp\"} 4",
            "dns_response_time_seconds_bucket{le=\"+Inf\",transport=\"tcp\"} 4",
            "dns_response_time_seconds_count{transport=\"tcp\"} 4",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line}\n{page}");
        }
        assert_eq!(metrics.answered(), 7);
    }
}
