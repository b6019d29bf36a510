//! Counters of the DNS server. Each thread counts for itself, so that counting costs it nothing but memory of its own;
//! the sums are made when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::answer::Rcode;
use super::outcome::Outcome;
use crate::dns::transfer::Kind;
use crate::dns::transport::Transport;

/// The DNS server's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Mutex<Vec<Arc<Counters>>>,
    overloaded: AtomicU64,
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
    responses: [AtomicU64; RCODES.len()],
    truncated: AtomicU64,
    extended: AtomicU64,
    dropped: AtomicU64,
    unsent: AtomicU64,
    troubled: AtomicU64,
    slow: AtomicU64,
    limited: AtomicU64,
    slipped: AtomicU64,
    transfers: [AtomicU64; TRANSFERS.len()],
}

const RCODES: [(Rcode, &str); 10] = [
    (Rcode::NoError, "NOERROR"),
    (Rcode::FormErr, "FORMERR"),
    (Rcode::ServFail, "SERVFAIL"),
    (Rcode::NxDomain, "NXDOMAIN"),
    (Rcode::NotImp, "NOTIMP"),
    (Rcode::Refused, "REFUSED"),
    (Rcode::BadVers, "BADVERS"),
    (Rcode::NotAuth, "NOTAUTH"),
    (Rcode::BadCookie, "BADCOOKIE"),
    (Rcode::YxDomain, "YXDOMAIN"),
];

const TRANSFERS: [Kind; 3] = [Kind::Full, Kind::Incremental, Kind::Soa];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResponse {
    transport: &'static str,
    rcode: &'static str,
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

/// Exchanges counted where nobody else looks, until they are added to [`Counters`]. A number that others may read at
/// any time waits for everything that was written before it.
#[derive(Debug, Default)]
pub struct Tally {
    responses: [u32; RCODES.len()],
    truncated: u32,
    extended: u32,
    dropped: u32,
    limited: u32,
    slipped: u32,
    transfers: [u32; TRANSFERS.len()],
}

impl Tally {
    /// Counts an exchange.
    #[inline]
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Response { rcode, truncated, extended } => {
                self.responses[rcode as usize] += 1;
                self.truncated += u32::from(truncated);
                self.extended += u32::from(extended);
            }
            other => self.count_rare(other),
        }
    }

    #[cold]
    fn count_rare(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Response { .. } => {}
            Outcome::Slip => {
                self.responses[Rcode::NoError as usize] += 1;
                self.truncated += 1;
                self.slipped += 1;
            }
            Outcome::Limited => self.limited += 1,
            Outcome::Dropped => self.dropped += 1,
            Outcome::Transfer(kind) => {
                self.responses[Rcode::NoError as usize] += 1;
                self.transfers[kind as usize] += 1;
            }
        }
    }
}

impl Counters {
    /// Counts what a tally has, which begins again.
    pub fn add(&self, tally: &mut Tally) {
        let Tally { responses, truncated, extended, dropped, limited, slipped, transfers } = std::mem::take(tally);
        let of_each = self.responses.iter().zip(responses).chain(self.transfers.iter().zip(transfers));
        let of_all = [
            (&self.truncated, truncated),
            (&self.extended, extended),
            (&self.dropped, dropped),
            (&self.limited, limited),
            (&self.slipped, slipped),
        ];
        for (count, more) in of_each.chain(of_all) {
            if more > 0 {
                count.fetch_add(more.into(), Ordering::Relaxed);
            }
        }
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
    /// Counters of one's own.
    pub fn counters(&self, transport: Transport) -> Arc<Counters> {
        let zero = || AtomicU64::new(0);
        let counters = Arc::new(Counters {
            transport,
            responses: std::array::from_fn(|_| zero()),
            truncated: zero(),
            extended: zero(),
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

    /// Counts a query that was dropped because too many were waiting for the slow path.
    pub fn overloaded(&self) {
        self.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a question that was to be forwarded.
    pub fn forwarded(&self, outcome: Forwarded) {
        self.forwarded[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the responses of all transports.
    pub fn answered(&self) -> u64 {
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().flat_map(|counters| &counters.responses).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Shows the sums as of now in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let responses = Family::<OfResponse, Counter>::default();
        let transfers = Family::<OfTransfer, Counter>::default();
        let families: [Family<OfTransport, Counter>; 8] = std::array::from_fn(|_| Family::default());
        for counters in &*self.counters.lock().unwrap_or_else(PoisonError::into_inner) {
            let transport = counters.transport.label();
            for ((_, rcode), count) in RCODES.iter().zip(&counters.responses) {
                responses.get_or_create(&OfResponse { transport, rcode }).inc_by(count.load(Ordering::Relaxed));
            }
            for (kind, count) in TRANSFERS.iter().zip(&counters.transfers) {
                let kind = OfTransfer { kind: kind.as_str() };
                transfers.get_or_create(&kind).inc_by(count.load(Ordering::Relaxed));
            }
            let others = [
                &counters.truncated,
                &counters.extended,
                &counters.dropped,
                &counters.unsent,
                &counters.slow,
                &counters.troubled,
                &counters.limited,
                &counters.slipped,
            ];
            for (family, count) in families.iter().zip(others) {
                family.get_or_create(&OfTransport { transport }).inc_by(count.load(Ordering::Relaxed));
            }
        }
        let [truncated, extended, dropped, unsent, slow, troubled, limited, slipped] = families;
        registry.register("dns_responses", "Responses, by transport and response code", responses);
        registry.register("dns_truncated", "Responses with TC set", truncated);
        registry.register("dns_extended_errors", "Responses with an extended DNS error", extended);
        registry.register("dns_dropped", "Packets that are no queries, or cannot be answered", dropped);
        registry.register("dns_unsent", "Responses that the system did not take", unsent);
        registry.register("dns_unusual", "Queries that were not for the hot path", slow);
        registry.register("dns_troubled", "Errors of the system's in receiving that were waited out", troubled);
        registry.register("dns_rate_limited", "Responses not sent, since their network got too many", limited);
        registry.register("dns_rate_slipped", "Responses cut with TC, since their network got too many", slipped);
        registry.register("dns_transfers", "Zone transfers begun, by what was sent", transfers);
        let forwarded = Family::<OfForwarded, Counter>::default();
        for ((_, outcome), count) in FORWARDED.iter().zip(&self.forwarded) {
            forwarded.get_or_create(&OfForwarded { outcome }).inc_by(count.load(Ordering::Relaxed));
        }
        registry.register("dns_forwarded", "Questions outside the zones that were to be forwarded", forwarded);
        let overloaded = Counter::<u64>::default();
        overloaded.inc_by(self.overloaded.load(Ordering::Relaxed));
        registry.register("dns_overloaded", "Unusual queries dropped because too many were waiting", overloaded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_code_is_its_number() {
        for (i, (rcode, _)) in RCODES.iter().enumerate() {
            assert_eq!(*rcode as usize, i);
        }
        for (i, kind) in TRANSFERS.iter().enumerate() {
            assert_eq!(*kind as usize, i);
        }
        for (i, (outcome, _)) in FORWARDED.iter().enumerate() {
            assert_eq!(*outcome as usize, i);
        }
    }

    #[test]
    fn the_threads_counters_are_summed() {
        let metrics = Metrics::default();
        let (one, two) = (metrics.counters(Transport::Udp), metrics.counters(Transport::Udp));
        let count = |counters: &Counters, truncated, extended| {
            let mut tally = Tally::default();
            tally.count(Outcome::Response { rcode: Rcode::NxDomain, truncated, extended });
            counters.add(&mut tally);
        };
        count(&one, false, true);
        count(&two, true, false);
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        assert!(page.contains("dns_responses_total{transport=\"udp\",rcode=\"NXDOMAIN\"} 2\n"), "{page}");
        assert!(page.contains("dns_truncated_total{transport=\"udp\"} 1\n"), "{page}");
    }
}
