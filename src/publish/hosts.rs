//! What is known of hosts that were registered by name: which services want which, what their addresses are, and when to
//! look again. Pure; [`super::resolver`] does the looking up.
//!
//! The system's resolver tells no times to live, so an answer is taken for true for [`REFRESH`], and looked up again by
//! then. When a look-up fails, the last answer stays for [`KEEP`]: a name server that is away is no reason to take a
//! service down.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::zone::build::{self, Resolved};

/// Time between two look-ups of a name, and the longest time to live of what comes of it.
const REFRESH: Duration = Duration::from_secs(30);
/// Time until a failed look-up is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long an answer outlives failures.
const KEEP: Duration = Duration::from_secs(600);
/// Most names looked up for one registry; what is beyond is shown with SRV records only.
pub(super) const MOST_HOSTS: usize = 10_000;
/// Most addresses taken of one name.
const MOST_ADDRESSES: usize = 32;

/// The hosts of one registry.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    known: build::Hosts,
    wanted: BTreeMap<String, Wanted>,
    by_service: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Wanted {
    services: BTreeSet<String>,
    /// When to look it up; none while that is being done, and at once before it ever was.
    due: Option<Instant>,
    /// When it was last answered.
    answered: Option<Instant>,
}

impl Hosts {
    /// What is known.
    pub(super) fn known(&self) -> &build::Hosts {
        &self.known
    }

    /// From now on `service` wants these hosts and no others. Gives how many cannot be looked up, as there are too many.
    pub(super) fn want(&mut self, service: &str, hosts: BTreeSet<String>, now: Instant) -> usize {
        for gone in self.by_service.remove(service).unwrap_or_default().difference(&hosts) {
            if let Some(wanted) = self.wanted.get_mut(gone) {
                wanted.services.remove(service);
                if wanted.services.is_empty() {
                    self.wanted.remove(gone);
                    self.known.remove(gone);
                }
            }
        }
        let (mut taken, mut beyond) = (BTreeSet::new(), 0);
        for host in hosts {
            if self.wanted.len() >= MOST_HOSTS && !self.wanted.contains_key(&host) {
                beyond += 1;
                continue;
            }
            let new = || Wanted { due: Some(now), ..Wanted::default() };
            self.wanted.entry(host.clone()).or_insert_with(new).services.insert(service.to_owned());
            taken.insert(host);
        }
        if !taken.is_empty() {
            self.by_service.insert(service.to_owned(), taken);
        }
        beyond
    }

    /// At most `limit` names that are to be looked up now; they are taken for being looked up.
    pub(super) fn take_due(&mut self, now: Instant, limit: usize) -> Vec<String> {
        let is_due = |wanted: &Wanted| wanted.due.is_some_and(|due| due <= now);
        let due = self.wanted.iter_mut().filter(|(_, wanted)| is_due(wanted)).take(limit);
        due.map(|(host, wanted)| {
            wanted.due = None;
            host.clone()
        })
        .collect()
    }

    /// Takes the outcome of a look-up: addresses, or none when it failed. Gives the services that are different now.
    pub(super) fn answered(&mut self, host: &str, addresses: Option<Vec<IpAddr>>, now: Instant) -> Vec<String> {
        let Some(wanted) = self.wanted.get_mut(host) else { return Vec::new() };
        let changed = if let Some(mut addresses) = addresses {
            // Name servers turn their answers round: order is no difference.
            addresses.sort_unstable();
            addresses.dedup();
            addresses.truncate(MOST_ADDRESSES);
            (wanted.due, wanted.answered) = (Some(now + REFRESH), Some(now));
            let ttl = u32::try_from(REFRESH.as_secs()).unwrap_or(u32::MAX);
            let new = Resolved { addresses, ttl };
            self.known.insert(host.to_owned(), new.clone()) != Some(new)
        } else {
            wanted.due = Some(now + RETRY);
            let is_over = wanted.answered.is_some_and(|at| now.saturating_duration_since(at) > KEEP);
            is_over && self.known.remove(host).is_some()
        };
        if changed { wanted.services.iter().cloned().collect() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(hosts: &[&str]) -> BTreeSet<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    fn address(last: u8) -> Vec<IpAddr> {
        vec![[10, 0, 0, last].into()]
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_want_it_and_again_in_time() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.want("a", set(&["x", "y"]), now);
        hosts.want("b", set(&["x"]), now);
        assert_eq!(hosts.take_due(now, 8), ["x", "y"]);
        assert_eq!(hosts.take_due(now, 8), [""; 0], "it is being looked up");
        assert_eq!(hosts.answered("x", Some(address(1)), now), ["a", "b"]);
        assert_eq!(hosts.take_due(now + REFRESH / 2, 8), [""; 0]);
        assert_eq!(hosts.take_due(now + REFRESH, 8), ["x"]);
        assert_eq!(hosts.answered("x", Some(address(1)), now + REFRESH), [""; 0], "nothing new");
        assert_eq!(hosts.answered("x", Some(address(2)), now + REFRESH), ["a", "b"]);
    }

    #[test]
    fn the_last_answer_outlives_failures_for_a_while() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.want("a", set(&["x"]), now);
        hosts.answered("x", Some(address(1)), now);
        assert_eq!(hosts.answered("x", None, now + KEEP), [""; 0]);
        assert!(hosts.known().contains_key("x"));
        assert_eq!(hosts.take_due(now + KEEP + RETRY, 8), ["x"]);
        assert_eq!(hosts.answered("x", None, now + KEEP + RETRY), ["a"]);
        assert!(hosts.known().is_empty());
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.want("a", set(&["x"]), now);
        hosts.answered("x", Some(address(1)), now);
        hosts.want("a", set(&[]), now);
        assert!(hosts.known.is_empty() && hosts.wanted.is_empty() && hosts.by_service.is_empty());
        assert_eq!(hosts.answered("x", Some(address(1)), now), [""; 0], "an answer that comes late");
        assert!(hosts.known().is_empty());
    }

    #[test]
    fn there_is_a_bound_on_names_and_on_addresses() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        let many: BTreeSet<String> = (0..MOST_HOSTS + 3).map(|i| format!("h{i:05}")).collect();
        assert_eq!(hosts.want("a", many, now), 3);
        assert_eq!(hosts.take_due(now, usize::MAX).len(), MOST_HOSTS);
        hosts.answered("h00000", Some((0..100).map(|i| [10, 0, 0, i].into()).collect()), now);
        assert_eq!(hosts.known()["h00000"].addresses.len(), MOST_ADDRESSES);
    }
}
