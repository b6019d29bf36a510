//! Drain flags of this host's services, for registrations that hold a state
//! ([`format::Convention::holds_state`]): their readers know nothing of flags, and see a drain only there.
//!
//! Pure: which znodes to look at and when, and what is drained by what was found. Flags that cannot be read drain
//! nothing, as with those who answer DNS; what was known of them holds while ZooKeeper is away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::config::ServiceConfig;
use crate::format;
use crate::model::{Drain, Endpoint};
use crate::registry::selection::{Selected, Selection};
use crate::registry::{Error, Path};
use crate::zookeeper::Znode;

/// Time between two looks at flags that are watched, in case an event was missed.
const VERIFY: Duration = Duration::from_secs(60);
/// The same where a look has failed.
const AGAIN: Duration = Duration::from_secs(2);
/// Longest sleep until the end of a drain: clocks are set.
const CLOCK: Duration = Duration::from_secs(30);

/// Only the znode itself.
#[derive(Debug)]
pub(super) struct Alone;

impl Selection for Alone {
    fn selected(&self, below: &str) -> Option<Selected> {
        below.is_empty().then_some(Selected { data: true, children: false })
    }
}

/// The flags of all services whose registrations show them, by the znodes that hold them.
#[derive(Debug, Default)]
pub(super) struct Flags(BTreeMap<Path, Followed>);

/// Flags of a service.
#[derive(Debug, Default)]
struct Followed {
    /// Those in force; none until they were looked at.
    drains: Option<Vec<Drain>>,
    /// True if a watch is armed on the present connection.
    is_armed: bool,
    /// True if a look is on its way.
    is_looking: bool,
    /// Time of the next look; none without a session.
    due: Option<Instant>,
    /// True if it was told that they cannot be read.
    is_refused: bool,
}

/// A look at a znode with flags that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Its path.
    pub(super) path: Path,
    /// True if to arm a watch first.
    pub(super) arm: bool,
}

impl Flags {
    /// Follows the flags in these znodes from now on, and no others.
    pub(super) fn follow(&mut self, paths: impl Iterator<Item = Path>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        let new = || Followed { due: Some(now), ..Followed::default() };
        self.0 = paths.map(|path| (path.clone(), before.remove(&path).unwrap_or_else(new))).collect();
    }

    /// The znodes.
    pub(super) fn paths(&self) -> Vec<Path> {
        self.0.keys().cloned().collect()
    }

    /// Returns whether flags are in the znode at `path`.
    pub(super) fn are_at(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// Returns whether all were looked at.
    pub(super) fn are_known(&self) -> bool {
        self.0.values().all(|one| one.drains.is_some())
    }

    /// There is a session, or a connection again: all are to be looked at, with new watches.
    pub(super) fn connected(&mut self, now: Instant) {
        for one in self.0.values_mut() {
            (one.is_armed, one.due) = (false, Some(now));
        }
    }

    /// The connection broke.
    pub(super) fn disconnected(&mut self, now: Instant) {
        for one in self.0.values_mut() {
            (one.is_armed, one.due) = (false, Some(now + AGAIN));
        }
    }

    /// The session is over, and every look with it.
    pub(super) fn session_over(&mut self) {
        for one in self.0.values_mut() {
            (one.is_armed, one.is_looking, one.due) = (false, false, None);
        }
    }

    /// Something happened to the znode at `path`.
    pub(super) fn changed(&mut self, path: &Path, now: Instant) {
        if let Some(one) = self.0.get_mut(path) {
            one.due = Some(now);
        }
    }

    /// The looks that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Look> {
        let is_due = |one: &Followed| !one.is_looking && one.due.is_some_and(|due| due <= now);
        let due = self.0.iter_mut().filter(|(_, one)| is_due(one)).map(|(path, one)| {
            (one.is_looking, one.due) = (true, None);
            Look { path: path.clone(), arm: !one.is_armed }
        });
        due.collect()
    }

    /// A look has ended; `is_armed` tells whether a watch armed on the present connection has been there since before.
    /// Returns whether other flags are in force than before, or it is known now that there are none, and an error to
    /// tell.
    pub(super) fn found(
        &mut self,
        path: &Path,
        is_armed: bool,
        found: Result<Znode, Error>,
        at: (Instant, u64),
    ) -> (bool, Option<Error>) {
        let Some(one) = self.0.get_mut(path) else { return (false, None) };
        let (now, clock) = at;
        (one.is_looking, one.is_armed) = (false, is_armed);
        // A change while it was on its way may not be in it.
        one.due = one.due.or(Some(now + if is_armed { VERIFY } else { AGAIN }));
        let (drains, told) = match found {
            Ok(znode) => (format::flags(&znode.data).0, None),
            Err(Error::NoNode) => (Vec::new(), None),
            Err(error) if error.is_answer() => (Vec::new(), Some(error)),
            Err(_) => {
                one.due = Some(now + AGAIN);
                return (false, None);
            }
        };
        let is_refused = told.is_some();
        let told = told.filter(|_| !std::mem::replace(&mut one.is_refused, is_refused));
        one.is_refused = is_refused;
        let in_force: Vec<_> = drains.into_iter().filter(|flag| flag.holds(clock)).collect();
        let is_new = one.drains.as_ref() != Some(&in_force);
        one.drains = Some(in_force);
        (is_new, told)
    }

    /// Drops flags that have ended at `clock`, in seconds since 1970. Returns whether there were any.
    pub(super) fn end(&mut self, clock: u64) -> bool {
        let mut ended = false;
        for drains in self.0.values_mut().filter_map(|one| one.drains.as_mut()) {
            let before = drains.len();
            drains.retain(|flag| flag.holds(clock));
            ended |= drains.len() < before;
        }
        ended
    }

    /// Time of the next look, or of the end of a drain.
    pub(super) fn deadline(&self, at: (Instant, u64)) -> Option<Instant> {
        let (now, clock) = at;
        let looks = self.0.values().filter(|one| !one.is_looking).filter_map(|one| one.due);
        let drains = self.0.values().filter_map(|one| one.drains.as_ref()).flatten();
        let ends = drains
            .filter_map(|flag| flag.until)
            .map(|until| now + Duration::from_secs(until.saturating_sub(clock)).min(CLOCK));
        looks.chain(ends).min()
    }

    /// Returns whether the instance at `endpoint` of the service with flags at `path` is drained.
    pub(super) fn cover(&self, path: &Path, endpoint: &Endpoint) -> bool {
        let drains = self.0.get(path).and_then(|one| one.drains.as_ref());
        let covers = |flag: &Drain| flag.instance.as_ref().is_none_or(|one| one.is_same(endpoint));
        drains.is_some_and(|drains| drains.iter().any(covers))
    }
}

impl super::wanted::InstanceWriter {
    /// The znodes that have the flags which registrations of a service show: its own, where flags are read there, and
    /// that of the drain tree. None where registrations show none.
    pub(super) fn flags_at(&self, service: &ServiceConfig) -> Vec<Path> {
        if !service.format_in(&self.format).holds_state() {
            return Vec::new();
        }
        let own = format!("{}/{}", self.root.as_str().trim_end_matches('/'), service.name.value);
        let Ok(own) = Path::new(&own) else { return Vec::new() };
        let in_tree = self.drains.as_ref().map(|drains| drains.with(&own));
        in_tree.into_iter().chain(self.format.takes_drains().then_some(own)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::Stat;

    const CLOCK_NOW: u64 = 1_700_000_000;

    fn path() -> Path {
        Path::new("/s/a").unwrap()
    }

    fn followed(now: Instant) -> Flags {
        let mut flags = Flags::default();
        flags.follow([path()].into_iter(), now);
        flags
    }

    fn find(flags: &mut Flags, data: &str, at: (Instant, u64)) -> bool {
        let znode = Znode { data: data.into(), stat: Stat::default() };
        flags.found(&path(), true, Ok(znode), at).0
    }

    #[test]
    fn flags_cover_what_they_name_until_they_end() {
        let now = Instant::now();
        let mut flags = followed(now);
        let (one, other) = (format::endpoint("10.0.0.1:80").unwrap(), format::endpoint("10.0.0.2:80").unwrap());
        assert!(!flags.are_known() && !flags.cover(&path(), &one));
        flags.due(now);
        let data =
            r#"{"drain":[{"instance":"10.0.0.1:80","until":"2023-11-14T22:13:40Z"},{"until":"2020-01-01T00:00:00Z"}]}"#;
        assert!(find(&mut flags, data, (now, CLOCK_NOW)));
        assert!(flags.are_known() && flags.cover(&path(), &one) && !flags.cover(&path(), &other));
        assert!(!find(&mut flags, data, (now, CLOCK_NOW)), "nothing new");
        assert_eq!(flags.deadline((now, CLOCK_NOW)), Some(now + Duration::from_secs(20)));
        assert!(!flags.end(CLOCK_NOW + 19) && flags.end(CLOCK_NOW + 20) && !flags.cover(&path(), &one));
        let later = now + VERIFY;
        flags.due(later);
        assert!(find(&mut flags, r#"{"drain":[{}]}"#, (later, CLOCK_NOW)) && flags.cover(&path(), &other));
        assert_eq!(flags.deadline((later, CLOCK_NOW)), Some(later + VERIFY));
    }

    #[test]
    fn what_is_known_holds_while_zookeeper_is_away_and_is_looked_at_again_after_it() {
        let now = Instant::now();
        let mut flags = followed(now);
        assert_eq!(flags.due(now), [Look { path: path(), arm: true }]);
        assert_eq!(flags.due(now), []);
        find(&mut flags, r#"{"drain":[{}]}"#, (now, CLOCK_NOW));
        flags.disconnected(now);
        let lost = flags.found(&path(), false, Err(Error::ConnectionLoss(String::new())), (now, CLOCK_NOW));
        assert_eq!(lost, (false, None));
        flags.session_over();
        assert!(flags.deadline((now, CLOCK_NOW)).is_none());
        assert!(flags.cover(&path(), &format::endpoint("10.0.0.1:80").unwrap()));
        flags.connected(now);
        assert_eq!(flags.due(now), [Look { path: path(), arm: true }]);
        flags.changed(&path(), now);
        assert!(find(&mut flags, "", (now, CLOCK_NOW)), "the drain is over");
        assert_eq!(flags.due(now), [Look { path: path(), arm: false }], "it has changed meanwhile");
    }

    #[test]
    fn flags_that_may_not_be_read_drain_nothing_and_are_told_once() {
        let now = Instant::now();
        let mut flags = followed(now);
        let mut refuse = || flags.found(&path(), true, Err(Error::NoAuth), (now, CLOCK_NOW));
        assert_eq!(refuse(), (true, Some(Error::NoAuth)));
        assert_eq!(refuse(), (false, None));
        assert!(flags.are_known());
    }
}
