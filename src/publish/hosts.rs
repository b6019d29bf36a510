//! What is known of hosts that were registered by name: which services want which, what their addresses are, and when to
//! look again. Pure; [`super::resolver`] does the looking up.
//!
//! The system's resolver tells no times to live, so an answer is taken for true for [`REFRESH`], and looked up again by
//! then. When a look-up fails, or says that a host that had addresses has none, the last answer stays for [`KEEP`]: a name
//! server that is away or has lost its zone is no reason to take a service down.
//!
//! Hosts that are names of this server's own zones are looked up there ([`super::home`]), and nobody else is asked.

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
    changes: u64,
    /// Of whom an earlier process knew addresses, until they are wanted.
    restored: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Wanted {
    services: BTreeSet<String>,
    /// When to look it up; none while that is being done, and at once before it ever was.
    due: Option<Instant>,
    /// When addresses were last found.
    answered: Option<Instant>,
    /// True if it is a name of this server's own.
    is_ours: bool,
}

/// The outcome of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has addresses.
    Found(Vec<IpAddr>),
    /// It has none: no such name, or no data.
    Nothing,
    /// Nobody could say.
    Failed,
}

impl Hosts {
    /// What is known.
    pub(super) fn known(&self) -> &build::Hosts {
        &self.known
    }

    /// From now on `service` wants these hosts and no others. Gives how many cannot be looked up, as there are too many.
    /// Those that `is_ours` are looked up at home.
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
                }
            }
        }
        let (mut taken, mut beyond) = (BTreeSet::new(), 0);
        for host in hosts {
            if self.wanted.len() >= MOST_HOSTS && !self.wanted.contains_key(&host) {
                beyond += 1;
                continue;
            }
            let is_ours = is_ours(&host);
            let new = || Wanted { due: (!is_ours).then_some(now), is_ours, ..Wanted::default() };
            let wanted = self.wanted.entry(host.clone()).or_insert_with(new);
            wanted.services.insert(service.to_owned());
            if self.restored.remove(&host) {
                wanted.answered = Some(now);
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
        let is_due = |wanted: &Wanted| wanted.due.is_some_and(|due| due <= now);
        let due = self.wanted.iter_mut().filter(|(_, wanted)| is_due(wanted)).take(limit);
        due.map(|(host, wanted)| {
            wanted.due = None;
            host.clone()
        })
        .collect()
    }

    /// Takes the outcome of a look-up. Gives the services that are different now.
    pub(super) fn answered(&mut self, host: &str, outcome: Outcome, now: Instant) -> Vec<String> {
        let Some(wanted) = self.wanted.get_mut(host) else { return Vec::new() };
        let kept = wanted.answered.is_some_and(|at| now.saturating_duration_since(at) <= KEEP);
        let has_addresses = self.known.get(host).is_some_and(|known| !known.addresses.is_empty());
        let new = match outcome {
            Outcome::Found(mut addresses) => {
                // Name servers turn their answers round: order is no difference.
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(MOST_ADDRESSES);
                (wanted.due, wanted.answered) = (Some(now + REFRESH), Some(now));
                Some(addresses)
            }
            Outcome::Nothing | Outcome::Failed if kept && has_addresses => {
                wanted.due = Some(now + RETRY);
                return Vec::new();
            }
            Outcome::Nothing => {
                wanted.due = Some(now + RETRY);
                Some(Vec::new())
            }
            Outcome::Failed => {
                wanted.due = Some(now + RETRY);
                // That there are none stays true as long as nobody says otherwise.
                if self.known.contains_key(host) && !has_addresses {
                    return Vec::new();
                }
                None
            }
        };
        let ttl = u32::try_from(REFRESH.as_secs()).unwrap_or(u32::MAX);
        self.learn(host, new.map(|addresses| Resolved { addresses, ttl }))
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

    /// How often what is known has changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is worth to be kept for another start: the addresses that others have told.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        let told = self.known.iter().filter(|(host, known)| {
            !known.addresses.is_empty() && self.wanted.get(*host).is_some_and(|wanted| !wanted.is_ours)
        });
        told.map(|(host, known)| (host.as_str(), known.addresses.as_slice()))
    }

    /// Takes for true what an earlier process knew, as if it had just been answered, but looks it up again at once. To be
    /// called before anybody wants any.
    pub(super) fn restore(&mut self, kept: impl IntoIterator<Item = (String, Vec<IpAddr>)>) {
        let ttl = u32::try_from(REFRESH.as_secs()).unwrap_or(u32::MAX);
        for (host, addresses) in kept.into_iter().take(MOST_HOSTS) {
            self.restored.insert(host.clone());
            self.known.insert(host, Resolved { addresses, ttl });
        }
    }

    /// Forgets what an earlier process knew and nobody wants.
    pub(super) fn forget_restored(&mut self) {
        for host in std::mem::take(&mut self.restored) {
            self.known.remove(&host);
        }
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
        hosts.want("a", set(&["x", "y"]), |_| false, now);
        hosts.want("b", set(&["x"]), |_| false, now);
        assert_eq!(hosts.take_due(now, 8), ["x", "y"]);
        assert_eq!(hosts.take_due(now, 8), [""; 0], "it is being looked up");
        assert_eq!(hosts.answered("x", Outcome::Found(address(1)), now), ["a", "b"]);
        assert_eq!(hosts.take_due(now + REFRESH / 2, 8), [""; 0]);
        assert_eq!(hosts.take_due(now + REFRESH, 8), ["x"]);
        assert_eq!(hosts.answered("x", Outcome::Found(address(1)), now + REFRESH), [""; 0], "nothing new");
        assert_eq!(hosts.answered("x", Outcome::Found(address(2)), now + REFRESH), ["a", "b"]);
    }

    #[test]
    fn the_last_answer_outlives_failures_for_a_while() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.want("a", set(&["x"]), |_| false, now);
        hosts.answered("x", Outcome::Found(address(1)), now);
        assert_eq!(hosts.answered("x", Outcome::Failed, now + KEEP), [""; 0]);
        assert!(hosts.known().contains_key("x"));
        assert_eq!(hosts.take_due(now + KEEP + RETRY, 8), ["x"]);
        assert_eq!(hosts.answered("x", Outcome::Failed, now + KEEP + RETRY), ["a"]);
        assert!(hosts.known().is_empty());
    }

    #[test]
    fn a_host_that_has_no_address_is_told_from_one_that_nobody_could_look_up() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.want("a", set(&["x"]), |_| false, now);
        assert_eq!(hosts.answered("x", Outcome::Failed, now), [""; 0]);
        assert!(hosts.known().is_empty());
        assert_eq!(hosts.answered("x", Outcome::Nothing, now), ["a"]);
        assert_eq!(hosts.answered("x", Outcome::Failed, now), [""; 0]);
        assert!(hosts.known()["x"].addresses.is_empty());
        assert_eq!(hosts.answered("x", Outcome::Found(address(1)), now), ["a"]);
        assert_eq!(hosts.answered("x", Outcome::Nothing, now + KEEP), [""; 0], "once known, it is kept");
        assert_eq!(hosts.answered("x", Outcome::Nothing, now + KEEP + RETRY), ["a"]);
    }

    #[test]
    fn what_an_earlier_process_knew_is_there_at_once_and_looked_up_again() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.restore([("x".to_owned(), address(1)), ("y".to_owned(), address(2))]);
        hosts.want("a", set(&["x"]), |_| false, now);
        hosts.forget_restored();
        assert_eq!((hosts.known().len(), &hosts.known()["x"].addresses), (1, &address(1)));
        assert_eq!(hosts.kept().collect::<Vec<_>>(), [("x", &address(1)[..])]);
        assert_eq!(hosts.take_due(now, 8), ["x"]);
        assert_eq!(hosts.answered("x", Outcome::Failed, now), [""; 0]);
        assert_eq!(hosts.known()["x"].addresses, address(1));
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        hosts.want("a", set(&["x"]), |_| false, now);
        hosts.answered("x", Outcome::Found(address(1)), now);
        hosts.want("a", set(&[]), |_| false, now);
        assert!(hosts.known.is_empty() && hosts.wanted.is_empty() && hosts.by_service.is_empty());
        assert_eq!(hosts.answered("x", Outcome::Found(address(1)), now), [""; 0], "an answer that comes late");
        assert!(hosts.known().is_empty());
    }

    #[test]
    fn there_is_a_bound_on_names_and_on_addresses() {
        let (mut hosts, now) = (Hosts::default(), Instant::now());
        let many: BTreeSet<String> = (0..MOST_HOSTS + 3).map(|i| format!("h{i:05}")).collect();
        assert_eq!(hosts.want("a", many, |_| false, now), 3);
        assert_eq!(hosts.take_due(now, usize::MAX).len(), MOST_HOSTS);
        hosts.answered("h00000", Outcome::Found((0..100).map(|i| [10, 0, 0, i].into()).collect()), now);
        assert_eq!(hosts.known()["h00000"].addresses.len(), MOST_ADDRESSES);
    }
}
