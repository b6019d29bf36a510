//! Response rate limiting: so many responses a second go to one network, as whoever asks in another's name makes this
//! server shoot at him. Only what comes over UDP and shows no good cookie is counted.
//!
//! Pure: the time is an argument. The table has a fixed size and no locks; all threads share it, as the queries of one
//! network come through all of them.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::dns::serve::access::Networks;
use crate::settings::{Located, Section, live};

/// The table `[dns.rate]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Responses a second for each network; 0 for as many as are asked for.
    pub responses: u32,
    /// Bits of an IPv4 address that make a network.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a network.
    pub ipv6_prefix: u8,
    /// Every so-many-th response too many is sent, cut to its question and with TC; 0 for none.
    pub slip: u32,
    /// Networks that are not limited.
    pub exempt: Networks,
}

impl Default for Config {
    /// Off. A /24 and a /56 are what sites get.
    fn default() -> Self {
        Self { responses: 0, ipv4_prefix: 24, ipv6_prefix: 56, slip: 2, exempt: Networks::nobody() }
    }
}

/// More is no limit.
const MAX_RESPONSES: u32 = 1_000_000;

impl Config {
    /// Reads the `[dns.rate]` table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut config = Self::default();
        let mut number = |key, most: u32| -> Option<u32> {
            let Located { value, span } = section.located::<u32>(key)?;
            if value > most {
                section.problems().add(span, format!("`{key}` must be at most {most}"));
                return None;
            }
            Some(value)
        };
        config.responses = number(live("responses"), MAX_RESPONSES).unwrap_or(config.responses);
        config.slip = number(live("slip"), 100).unwrap_or(config.slip);
        let bits = |bits: u32| u8::try_from(bits).ok();
        config.ipv4_prefix = number(live("ipv4_prefix"), 32).and_then(bits).unwrap_or(config.ipv4_prefix);
        config.ipv6_prefix = number(live("ipv6_prefix"), 128).and_then(bits).unwrap_or(config.ipv6_prefix);
        if let Some(exempt) = crate::dns::lists::read_list(section, live("exempt"), Networks::parse) {
            config.exempt = exempt;
        }
        config
    }
}

/// Outcome of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RrlAction {
    /// It is sent.
    Send,
    /// It is cut: who asked in earnest comes again over TCP, where he shows where he is.
    Slip,
    /// It is not sent.
    Drop,
}

/// Slots that a network may be in: a cache line of them.
const WAYS: usize = 8;
/// Cache lines: half a megabyte.
const SETS: usize = 1 << 13;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// Counts the responses of every network.
///
/// A slot holds when the responses sent so far would be due if they had been sent at the rate (the "theoretical arrival
/// time" of the generic cell rate algorithm, ITU-T I.371), and of which network.
#[derive(Debug)]
pub struct Limiter {
    config: Config,
    /// Time that one response takes, in microseconds.
    interval: u64,
    sets: Vec<Set>,
    /// So that nobody can choose whom to share a slot with.
    key: [u8; 16],
    /// Responses that were too many.
    limited: AtomicU64,
}

/// Limit of how far a network is ahead of its rate, in microseconds: as many responses at once as in a second.
const BURST: u64 = 1_000_000;

/// The lower bits of a slot are a time in microseconds, the upper ones tell networks apart.
const TIME_BITS: u32 = 48;
const TIME: u64 = (1 << TIME_BITS) - 1;

impl Limiter {
    /// A limiter; none where nothing is limited. `key` is secret.
    pub fn new(config: &Config, key: [u8; 16]) -> Option<Self> {
        let interval = BURST.checked_div(u64::from(config.responses))?;
        let sets = (0..SETS).map(|_| Set::default()).collect();
        Some(Self { config: config.clone(), interval, sets, key, limited: AtomicU64::new(0) })
    }

    /// Configuration that it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Decides about a response to `peer` at `now`, which is a time since some beginning.
    pub fn judge(&self, peer: IpAddr, now: Duration) -> RrlAction {
        if self.config.exempt.decide(&peer) || self.has_room(peer, now) {
            return RrlAction::Send;
        }
        let before = self.limited.fetch_add(1, Ordering::Relaxed);
        match u64::from(self.config.slip) {
            0 => RrlAction::Drop,
            slip if before % slip == slip - 1 => RrlAction::Slip,
            _ => RrlAction::Drop,
        }
    }

    /// Counts a response to `peer`, if there is one to be had.
    fn has_room(&self, peer: IpAddr, now: Duration) -> bool {
        let hash = self.hash(peer);
        let now = u64::try_from(now.as_micros()).unwrap_or_default() & TIME;
        let tag = hash & !TIME;
        let Some(set) = usize::try_from(hash % SETS as u64).ok().and_then(|index| self.sets.get(index)) else {
            return true;
        };
        // Another thread may come between; after some of them it does not matter.
        for _ in 0..4 {
            let (slot, held) = set.choose(tag, now);
            let debt = if held & !TIME == tag { debt(held, now) } else { 0 };
            if debt + self.interval > BURST {
                return false;
            }
            let next = tag | (now + debt + self.interval) & TIME;
            if slot.compare_exchange_weak(held, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
        true
    }

    fn hash(&self, peer: IpAddr) -> u64 {
        let (bits, prefix) = match peer.to_canonical() {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, self.config.ipv4_prefix),
            IpAddr::V6(address) => (u128::from(address), self.config.ipv6_prefix),
        };
        let network = bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u128(network);
        hasher.write_u8(u8::from(peer.to_canonical().is_ipv4()));
        hasher.finish()
    }
}

impl Set {
    /// The slot of a network, or the one that it is least pity for, and what is in it.
    fn choose(&self, tag: u64, now: u64) -> (&AtomicU64, u64) {
        let mut best = (&self.0[0], self.0[0].load(Ordering::Relaxed));
        for slot in &self.0 {
            let held = slot.load(Ordering::Relaxed);
            if held & !TIME == tag {
                return (slot, held);
            }
            if debt(held, now) < debt(best.1, now) {
                best = (slot, held);
            }
        }
        best
    }
}

/// Microseconds that the network of a slot is ahead of its rate. Times go round, and clocks are set back: what is
/// further ahead than anybody can be is nothing.
fn debt(held: u64, now: u64) -> u64 {
    let ahead = (held & TIME).wrapping_sub(now) & TIME;
    if ahead > BURST { 0 } else { ahead }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(config: &Config) -> Limiter {
        Limiter::new(config, [9; 16]).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(milliseconds: u64) -> Duration {
        Duration::from_secs(1_700_000_000) + Duration::from_millis(milliseconds)
    }

    /// Number of so many responses at one time that are sent as they are.
    fn sent(limiter: &Limiter, peer: &str, count: u32, now: Duration) -> u32 {
        (0..count).map(|_| u32::from(limiter.judge(ip(peer), now) == RrlAction::Send)).sum()
    }

    #[test]
    fn a_network_gets_its_rate_and_no_more() {
        let limiter = limiter(&Config { responses: 10, ..Config::default() });
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(0)), 10, "a second's worth at once");
        assert_eq!(sent(&limiter, "192.0.2.200", 50, at(0)), 0, "the same network");
        assert_eq!(sent(&limiter, "192.0.3.1", 50, at(0)), 10, "another");
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(300)), 3);
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(60_000)), 10, "nothing is saved up");
        let total: u32 = (0..1000).map(|i| sent(&limiter, "2001:db8::1", 3, at(10 * i))).sum();
        assert!((100..=110).contains(&total), "{total} in ten seconds");
        assert_eq!(sent(&limiter, "2001:db8:0:ff::1", 5, at(9_990)), 0, "within the /56");
        assert_eq!(sent(&limiter, "2001:db8:0:100::1", 5, at(9_990)), 5, "beyond it");
    }

    #[test]
    fn every_second_response_too_many_slips_or_as_it_is_set() {
        for (slip, slips) in [(0, 0), (1, 100), (2, 50), (5, 20)] {
            let limiter = limiter(&Config { responses: 1, slip, ..Config::default() });
            assert_eq!(limiter.judge(ip("192.0.2.1"), at(0)), RrlAction::Send);
            let verdicts: Vec<_> = (0..100).map(|_| limiter.judge(ip("192.0.2.1"), at(0))).collect();
            assert_eq!(verdicts.iter().filter(|verdict| **verdict == RrlAction::Slip).count(), slips, "{slip}");
            assert!(!verdicts.contains(&RrlAction::Send));
        }
    }

    #[test]
    fn exempt_networks_are_not_limited_and_nothing_is_when_it_is_off() {
        let exempt = Networks::parse(&["10.0.0.0/8".into()]).unwrap();
        let limiter = limiter(&Config { responses: 1, exempt, ..Config::default() });
        assert_eq!(sent(&limiter, "10.1.2.3", 1000, at(0)), 1000);
        assert_eq!(sent(&limiter, "11.1.2.3", 1000, at(0)), 1);
        assert!(Limiter::new(&Config::default(), [0; 16]).is_none());
    }

    /// A flood from everywhere makes no room for one network, nor does it keep others out.
    #[test]
    fn networks_that_share_a_cache_line_are_told_apart() {
        let limiter = limiter(&Config { responses: 5, ..Config::default() });
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(0)), 5);
        let mut rng = fastrand::Rng::with_seed(1);
        let answered = (0..100_000).filter(|_| {
            let network = std::net::Ipv4Addr::from(rng.u32(..));
            limiter.judge(network.into(), at(1)) == RrlAction::Send
        });
        assert!(answered.count() > 99_000);
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(1)), 0, "still at its limit");
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = limiter(&Config { responses: 10, ..Config::default() });
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(3_600_000)), 10);
        assert_eq!(sent(&limiter, "192.0.2.1", 50, at(0)), 10);
    }

    #[test]
    fn threads_share_the_limit() {
        let limiter = limiter(&Config { responses: 1000, ..Config::default() });
        let total: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| sent(&limiter, "192.0.2.1", 2000, at(0)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // Where two met too often, one was let pass.
        assert!((1000..1100).contains(&total), "{total}");
    }
}
