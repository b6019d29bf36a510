//! What is known of hosts that were registered by name: which services want which, what their addresses are, and when
//! to look again. Pure; [`super::resolver`] does the looking up.
//!
//! The system's resolver tells no times to live, so an answer is taken for true for [`REFRESH`], and looked up again by
//! then. A look-up that fails says nothing: the last answer stays until it is older than `max_stale`, as the registry's
//! own data do. That a host that had addresses has none is believed when it was said twice in a row, [`RETRY`] apart.
//!
//! Hosts that are names of this server's own zones are looked up there ([`super::home`]), and nobody else is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{replace, take};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::zone::context;
use crate::zone::context::Resolved;

/// Time between two look-ups of a name, and the longest time to live of what comes of it.
const REFRESH: Duration = Duration::from_secs(30);
/// Time until a failed look-up is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Most names looked up for one registry; what is beyond is shown with SRV records only.
pub(super) const MAX_HOSTS: usize = 10_000;
/// Most addresses taken of one name.
const MAX_ADDRESSES: usize = 32;

/// The hosts of one registry.
#[derive(Debug)]
pub(super) struct Hosts {
    known: context::KnownHosts,
    wanted: BTreeMap<String, WantedHost>,
    by_service: BTreeMap<String, BTreeSet<String>>,
    changes: u64,
    /// Of whom an earlier process knew addresses, and when they were found, until they are wanted.
    restored: BTreeMap<String, Instant>,
    /// Those of `wanted` of which no look-up has ended yet.
    new: BTreeSet<String>,
    /// Time by which an answer outlives failures.
    max_stale: Duration,
}

#[derive(Debug, Default)]
struct WantedHost {
    services: BTreeSet<String>,
    /// Time to look it up; `None` while that is being done, and at once before it ever was.
    due: Option<Instant>,
    /// Time at which somebody last knew an answer.
    answered: Option<Instant>,
    /// True if the last answer was that there are no addresses.
    denied: bool,
    /// True if it is a name of this server's own.
    is_ours: bool,
}

/// The outcome of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LookupOutcome {
    /// It has addresses.
    Found(Vec<IpAddr>),
    /// It has none: no such name, or no data.
    Nothing,
    /// Nobody could say.
    Failed,
}

impl Hosts {
    /// No hosts; answers outlive failures for `max_stale`.
    pub(super) fn new(max_stale: Duration) -> Self {
        Self {
            known: context::KnownHosts::default(),
            wanted: BTreeMap::new(),
            by_service: BTreeMap::new(),
            changes: 0,
            restored: BTreeMap::new(),
            new: BTreeSet::new(),
            max_stale,
        }
    }

    /// Known addresses.
    pub(super) fn known(&self) -> &context::KnownHosts {
        &self.known
    }

    /// From now on `service` wants these hosts and no others. Gives how many cannot be looked up, as there are too
    /// many. Those that `is_ours` are looked up at home.
    pub(super) fn want(
        &mut self,
        service: &str,
        hosts: BTreeSet<String>,
        is_ours: impl Fn(&str) -> bool,
        now: Instant,
    ) -> usize {
        for gone in self.by_service.remove(service).unwrap_or_default().difference(&hosts) {
            if let Some(wanted) = self.wanted.get_mut(gone) {
                wanted.services.remove(service);
                if wanted.services.is_empty() {
                    self.wanted.remove(gone);
                    self.known.remove(gone);
                    self.new.remove(gone);
                }
            }
        }
        let (mut taken, mut beyond) = (BTreeSet::new(), 0);
        for host in hosts {
            if self.wanted.len() >= MAX_HOSTS && !self.wanted.contains_key(&host) {
                beyond += 1;
                continue;
            }
            let is_ours = is_ours(&host);
            let new = || WantedHost { due: (!is_ours).then_some(now), is_ours, ..WantedHost::default() };
            let wanted = self.wanted.entry(host.clone()).or_insert_with(new);
            let is_new = wanted.services.is_empty() && !is_ours;
            wanted.services.insert(service.to_owned());
            if let Some(at) = self.restored.remove(&host) {
                wanted.answered = Some(at);
            } else if is_new {
                self.new.insert(host.clone());
            }
            taken.insert(host);
        }
        if !taken.is_empty() {
            self.by_service.insert(service.to_owned(), taken);
        }
        beyond
    }

    /// At most `limit` names that are to be looked up now; they are taken for being looked up.
    pub(super) fn take_due(&mut self, now: Instant, limit: usize) -> Vec<String> {
        let is_due = |wanted: &WantedHost| wanted.due.is_some_and(|due| due <= now);
        let due = self.wanted.iter_mut().filter(|(_, wanted)| is_due(wanted)).take(limit);
        due.map(|(host, wanted)| {
            wanted.due = None;
            host.clone()
        })
        .collect()
    }

    /// Takes the outcome of a look-up. Gives the services that are different now.
    pub(super) fn answered(&mut self, host: &str, outcome: LookupOutcome, now: Instant) -> Vec<String> {
        let Some(wanted) = self.wanted.get_mut(host) else { return Vec::new() };
        self.new.remove(host);
        let is_kept = wanted.answered.is_some_and(|at| now.saturating_duration_since(at) <= self.max_stale);
        let known = self.known.get(host);
        let has_addresses = known.is_some_and(|known| !known.addresses.is_empty());
        wanted.due = Some(now + RETRY);
        let new = match outcome {
            LookupOutcome::Found(mut addresses) => {
                // Name servers turn their answers round: order is no difference.
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(MAX_ADDRESSES);
                *wanted = WantedHost { due: Some(now + REFRESH), answered: Some(now), denied: false, ..take(wanted) };
                Some(addresses)
            }
            // It may be a slip of a resolver that has just begun.
            LookupOutcome::Nothing if has_addresses && is_kept && !replace(&mut wanted.denied, true) => {
                return Vec::new();
            }
            LookupOutcome::Nothing => {
                (wanted.answered, wanted.denied) = (Some(now), true);
                Some(Vec::new())
            }
            LookupOutcome::Failed if known.is_some() && is_kept => return Vec::new(),
            LookupOutcome::Failed => None,
        };
        let ttl = u32::try_from(REFRESH.as_secs()).unwrap_or(u32::MAX);
        self.learn(host, new.map(|addresses| Resolved { addresses, ttl }))
    }

    /// Returns whether a service that `is_meant` has a host of which no look-up has ended yet.
    pub(super) fn awaits(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut services = self.new.iter().filter_map(|host| self.wanted.get(host)).flat_map(|wanted| &wanted.services);
        services.any(|service| is_meant(service))
    }

    /// The hosts that are looked up at home.
    pub(super) fn ours(&self) -> Vec<String> {
        let ours = self.wanted.iter().filter(|(_, wanted)| wanted.is_ours);
        ours.map(|(host, _)| host.clone()).collect()
    }

    /// The services that want hosts that are looked up at home.
    pub(super) fn of_ours(&self) -> BTreeSet<String> {
        let ours = self.wanted.values().filter(|wanted| wanted.is_ours);
        ours.flat_map(|wanted| wanted.services.iter().cloned()).collect()
    }

    /// From now on this is known of a host, or nothing is. Gives the services that are different now.
    #[allow(clippy::needless_pass_by_value)] // it is kept
    pub(super) fn learn(&mut self, host: &str, new: Option<Resolved>) -> Vec<String> {
        let Some(wanted) = self.wanted.get(host) else { return Vec::new() };
        let before = match new.clone() {
            Some(new) => self.known.insert(host.to_owned(), new),
            None => self.known.remove(host),
        };
        if before == new {
            return Vec::new();
        }
        self.changes += 1;
        wanted.services.iter().cloned().collect()
    }

    /// Number of changes of what is known.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns what is worth to be kept for another start: the addresses that others have told, and when they last did.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&str, &[IpAddr], Instant)> {
        self.known.iter().filter(|(_, known)| !known.addresses.is_empty()).filter_map(|(host, known)| {
            let wanted = self.wanted.get(host).filter(|wanted| !wanted.is_ours)?;
            Some((host.as_str(), known.addresses.as_slice(), wanted.answered?))
        })
    }

    /// Takes for true what an earlier process knew, with when it was told so, but looks it up again at once. To be
    /// called before anybody wants any.
    pub(super) fn restore(&mut self, kept: impl IntoIterator<Item = (String, Vec<IpAddr>, Instant)>, now: Instant) {
        let ttl = u32::try_from(REFRESH.as_secs()).unwrap_or(u32::MAX);
        for (host, addresses, at) in kept.into_iter().take(MAX_HOSTS) {
            if now.saturating_duration_since(at) <= self.max_stale {
                self.restored.insert(host.clone(), at);
                self.known.insert(host, Resolved { addresses, ttl });
            }
        }
    }

    /// Forgets what an earlier process knew and nobody wants.
    pub(super) fn forget_restored(&mut self) {
        for host in take(&mut self.restored).into_keys() {
            self.known.remove(&host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_STALE: Duration = Duration::from_secs(86_400);

    fn set(hosts: &[&str]) -> BTreeSet<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    fn address(last: u8) -> Vec<IpAddr> {
        vec![[10, 0, 0, last].into()]
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_want_it_and_again_in_time() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        hosts.want("a", set(&["x", "y"]), |_| false, now);
        hosts.want("b", set(&["x"]), |_| false, now);
        assert_eq!(hosts.take_due(now, 8), ["x", "y"]);
        assert_eq!(hosts.take_due(now, 8), [""; 0], "it is being looked up");
        assert_eq!(hosts.answered("x", LookupOutcome::Found(address(1)), now), ["a", "b"]);
        assert_eq!(hosts.take_due(now + REFRESH / 2, 8), [""; 0]);
        assert_eq!(hosts.take_due(now + REFRESH, 8), ["x"]);
        assert_eq!(hosts.answered("x", LookupOutcome::Found(address(1)), now + REFRESH), [""; 0], "nothing new");
        assert_eq!(hosts.answered("x", LookupOutcome::Found(address(2)), now + REFRESH), ["a", "b"]);
    }

    #[test]
    fn a_resolver_that_is_away_costs_no_host_its_addresses_until_max_stale() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        hosts.want("a", set(&["x", "y"]), |_| false, now);
        hosts.answered("x", LookupOutcome::Found(address(1)), now);
        hosts.answered("y", LookupOutcome::Nothing, now);
        let mut at = now;
        while at + RETRY <= now + MAX_STALE {
            at += RETRY;
            assert_eq!(hosts.take_due(at, 8).last().map(String::as_str), Some("y"), "it is asked again and again");
            assert_eq!(hosts.answered("x", LookupOutcome::Failed, at), [""; 0]);
            assert_eq!(hosts.answered("y", LookupOutcome::Failed, at), [""; 0]);
        }
        assert_eq!(hosts.known()["x"].addresses, address(1));
        assert!(hosts.known()["y"].addresses.is_empty(), "it is known that it has none");
        assert_eq!(hosts.answered("x", LookupOutcome::Failed, at + RETRY), ["a"]);
        assert_eq!(hosts.answered("y", LookupOutcome::Failed, at + RETRY), ["a"]);
        assert!(hosts.known().is_empty(), "neither is known any more");
    }

    #[test]
    fn a_host_that_is_said_twice_to_have_no_address_has_none() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        hosts.want("a", set(&["x"]), |_| false, now);
        let found = LookupOutcome::Found(address(1));
        hosts.answered("x", found.clone(), now);
        assert_eq!(hosts.answered("x", LookupOutcome::Nothing, now + REFRESH), [""; 0], "it may be a slip");
        assert_eq!(hosts.answered("x", found.clone(), now + REFRESH + RETRY), [""; 0]);
        assert_eq!(hosts.answered("x", LookupOutcome::Nothing, now + REFRESH * 3), [""; 0], "that was one more slip");
        assert_eq!(hosts.take_due(now + REFRESH * 3 + RETRY, 8), ["x"]);
        assert_eq!(hosts.answered("x", LookupOutcome::Failed, now + REFRESH * 3 + RETRY), [""; 0], "that says nothing");
        assert_eq!(hosts.answered("x", LookupOutcome::Nothing, now + REFRESH * 4), ["a"]);
        assert!(hosts.known()["x"].addresses.is_empty());
        assert_eq!(hosts.answered("x", found, now + REFRESH * 4 + RETRY), ["a"]);
    }

    #[test]
    fn a_host_that_has_no_address_is_told_from_one_that_nobody_could_look_up() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        hosts.want("a", set(&["x"]), |_| false, now);
        assert_eq!(hosts.answered("x", LookupOutcome::Failed, now), [""; 0]);
        assert!(hosts.known().is_empty());
        assert_eq!(hosts.answered("x", LookupOutcome::Nothing, now), ["a"], "nothing else was ever known");
        assert_eq!(hosts.answered("x", LookupOutcome::Failed, now), [""; 0]);
        assert!(hosts.known()["x"].addresses.is_empty());
        assert_eq!(hosts.answered("x", LookupOutcome::Found(address(1)), now), ["a"]);
    }

    #[test]
    fn a_host_is_awaited_until_its_first_look_up_has_ended_whatever_it_said() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        hosts.restore([("old".to_owned(), address(1), now)], now);
        hosts.want("a", set(&["old", "ours"]), |host| host == "ours", now);
        assert!(!hosts.awaits(|_| true), "these need no look-up");
        hosts.want("b", set(&["x"]), |_| false, now);
        hosts.want("c", set(&["x", "y"]), |_| false, now);
        assert!(hosts.awaits(|service| service == "b") && !hosts.awaits(|service| service == "a"));
        hosts.take_due(now, 8);
        hosts.answered("x", LookupOutcome::Failed, now);
        assert!(!hosts.awaits(|service| service == "b") && hosts.awaits(|service| service == "c"));
        hosts.want("d", set(&["x"]), |_| false, now);
        assert!(!hosts.awaits(|service| service == "d"), "it was looked up for another");
        hosts.want("c", set(&["x"]), |_| false, now);
        assert!(!hosts.awaits(|_| true), "nobody wants the other any more");
    }

    #[test]
    fn what_an_earlier_process_knew_is_there_at_once_and_looked_up_again() {
        let (mut hosts, begun) = (Hosts::new(MAX_STALE), Instant::now());
        let now = begun + MAX_STALE * 2;
        let told = begun + MAX_STALE * 3 / 2;
        let of = |host: &str, last, at| (host.to_owned(), address(last), at);
        hosts.restore([of("x", 1, told), of("y", 2, told), of("z", 3, begun)], now);
        hosts.want("a", set(&["x", "z"]), |_| false, now);
        hosts.forget_restored();
        assert_eq!((hosts.known().len(), &hosts.known()["x"].addresses), (1, &address(1)), "one was too old");
        assert_eq!(hosts.kept().collect::<Vec<_>>(), [("x", &address(1)[..], told)]);
        assert_eq!(hosts.take_due(now, 8), ["x", "z"]);
        assert_eq!(hosts.answered("x", LookupOutcome::Failed, now), [""; 0]);
        assert_eq!(hosts.known()["x"].addresses, address(1));
        assert_eq!(hosts.answered("x", LookupOutcome::Failed, now + MAX_STALE), ["a"], "no start makes it younger");
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        hosts.want("a", set(&["x"]), |_| false, now);
        hosts.answered("x", LookupOutcome::Found(address(1)), now);
        hosts.want("a", set(&[]), |_| false, now);
        assert!(hosts.known.is_empty() && hosts.wanted.is_empty() && hosts.by_service.is_empty());
        assert_eq!(hosts.answered("x", LookupOutcome::Found(address(1)), now), [""; 0], "an answer that comes late");
        assert!(hosts.known().is_empty());
    }

    #[test]
    fn there_is_a_bound_on_names_and_on_addresses() {
        let (mut hosts, now) = (Hosts::new(MAX_STALE), Instant::now());
        let many: BTreeSet<String> = (0..MAX_HOSTS + 3).map(|i| format!("h{i:05}")).collect();
        assert_eq!(hosts.want("a", many, |_| false, now), 3);
        assert_eq!(hosts.take_due(now, usize::MAX).len(), MAX_HOSTS);
        hosts.answered("h00000", LookupOutcome::Found((0..100).map(|i| [10, 0, 0, i].into()).collect()), now);
        assert_eq!(hosts.known()["h00000"].addresses.len(), MAX_ADDRESSES);
    }
}
