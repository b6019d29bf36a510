//! The guard against a storm of removals: holds back what would empty much of a registry at once, for a while, as that
//! is rarely what happened to the instances themselves. Pure; off unless the configuration turns it on.
//!
//! # What it does
//! It counts the instances that services lose, for as long as a window. When those lost within it, of several services,
//! are more than a share of all that there were, it *trips*: services that lose instances go on being shown as they
//! were. One that has them back is shown as it is, and so are all when the time is over.
//!
//! What somebody did to one service on purpose is never held back, nor is what comes new:
//! - a loss of one service alone, while the guard has not tripped;
//! - the end of a service whose own znode is deleted, in a step in which no other service loses anything: no session
//!   that dies does that. The losses that led to it, as its instances had to be deleted first, do not count either, so
//!   that several services can be deleted one after the other. Once the guard has tripped, what it holds already stays:
//!   the end of its znode may be the end of the same storm (`deleteall` of the whole registry takes the instances
//!   first).
//!
//! It is asked only about what a live mirror says: losing ZooKeeper removes nothing in the first place.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::reading::Reading;
use crate::settings::{Located, Section, fixed};

/// Threshold and times of the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Instances of a hundred that may go within the window.
    pub percent: u16,
    /// Time for which losses are counted together.
    pub window: Duration,
    /// Time for which they are held back.
    pub hold: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { percent: 50, window: Duration::from_secs(10), hold: Duration::from_secs(300) }
    }
}

impl Config {
    /// Reads the table `guard` of a registry's table; none where it is not there.
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let mut section = section.section(fixed("guard"))?;
        let mut config = Self::default();
        if let Some(Located { value, span }) = section.located::<u16>(fixed("percent")) {
            if (1..=99).contains(&value) {
                config.percent = value;
            } else {
                section.problems().add(span, "`percent` must be from 1 to 99");
            }
        }
        config.window = section.or(fixed("window"), config.window);
        config.hold = section.or(fixed("hold"), config.hold);
        section.finish();
        Some(config)
    }
}

/// State of the guard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardReport {
    /// Services shown as they were, in lower case, and how many instances each has lost.
    pub held: BTreeMap<String, u32>,
    /// Instances that are shown although they are gone.
    pub instances: u64,
    /// Time at which all is shown as it is; `None` while nothing is held back.
    pub until: Option<Instant>,
    /// Number of times that it tripped.
    pub trips: u64,
}

impl GuardReport {
    /// Returns when all is shown as it is, in seconds since 1970; `now` and `unix` are one moment.
    pub fn until_unix(&self, now: Instant, unix: u64) -> Option<u64> {
        Some(unix.saturating_add(self.until?.saturating_duration_since(now).as_secs()))
    }
}

/// A service as a batch of changes has left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceCount {
    pub(super) service: String,
    pub(super) instances: u32,
    /// True if its own znode, or anything of it, is still there.
    pub(super) exists: bool,
}

impl ServiceCount {
    /// The count of a service, in lower case, as it was read; none where there is no such service.
    pub(super) fn of(service: &str, reading: Option<&Reading>) -> Self {
        let instances = reading.map_or(0, |reading| narrow(reading.service.instances.len()));
        Self { service: service.to_owned(), instances, exists: reading.is_some() }
    }
}

/// Converts a number of instances.
pub(super) fn narrow(instances: usize) -> u32 {
    u32::try_from(instances).unwrap_or(u32::MAX)
}

/// The guard of one registry. Services are known by their path in lower case.
#[derive(Debug)]
pub(super) struct Guard {
    config: Config,
    /// Instances of each service, as shown.
    shown: HashMap<String, u32>,
    total: u64,
    /// Losses that were shown within the window.
    lost: VecDeque<(Instant, String, u32)>,
    alarm: SharedAlarm,
}

/// Losses that a guard holds back, for those who tell of it: nobody has to wait for a publisher at work.
#[derive(Debug, Clone, Default)]
pub struct SharedAlarm(Arc<Mutex<Alarm>>);

#[derive(Debug, Default)]
struct Alarm {
    /// Number of instances that are gone of each service that is held.
    held: BTreeMap<String, u32>,
    tripped_at: Option<Instant>,
    /// Time for which it holds.
    hold: Duration,
    trips: u64,
}

impl SharedAlarm {
    fn lock(&self) -> MutexGuard<'_, Alarm> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it.
    pub fn report(&self) -> GuardReport {
        let alarm = self.lock();
        GuardReport {
            held: alarm.held.clone(),
            instances: alarm.held.values().map(|loss| u64::from(*loss)).sum(),
            until: alarm.until(),
            trips: alarm.trips,
        }
    }

    /// Returns how many instances a service, by its path in lower case, has lost that is held, and until when.
    pub fn held(&self, service: &str) -> Option<(u32, Instant)> {
        let alarm = self.lock();
        Some((*alarm.held.get(service)?, alarm.until()?))
    }
}

impl Alarm {
    fn until(&self) -> Option<Instant> {
        Some(self.tripped_at? + self.hold)
    }
}

impl Guard {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            shown: HashMap::new(),
            total: 0,
            lost: VecDeque::new(),
            alarm: SharedAlarm(Arc::new(Mutex::new(Alarm { hold: config.hold, ..Alarm::default() }))),
        }
    }

    /// Losses that it holds back, kept current.
    pub(super) fn alarm(&self) -> SharedAlarm {
        self.alarm.clone()
    }

    /// A service is shown with so many instances.
    pub(super) fn shows(&mut self, service: &str, instances: u32) {
        let before = match instances {
            0 => self.shown.remove(service),
            _ => self.shown.insert(service.to_owned(), instances),
        };
        self.total = self.total + u64::from(instances) - u64::from(before.unwrap_or(0));
    }

    /// Returns whether a service has lost something, so that [`Self::judge`] may hold it back.
    pub(super) fn may_hold(&self, left: &ServiceCount) -> bool {
        !left.exists || self.shown.get(&left.service).is_some_and(|shown| *shown > left.instances)
    }

    /// Decides on services as one batch of changes has left them. Gives those that are to be shown as they are; the
    /// others are to stay as they were. Whether it tripped just now is in [`Self::report`].
    pub(super) fn judge(&mut self, now: Instant, services: Vec<ServiceCount>) -> Vec<String> {
        while self.lost.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) > self.config.window) {
            self.lost.pop_front();
        }
        let loss = |left: &ServiceCount| self.shown.get(&left.service).unwrap_or(&0).saturating_sub(left.instances);
        let shared = self.alarm();
        let mut alarm = shared.lock();
        let wish = deleted_alone(&services, loss).filter(|service| !alarm.held.contains_key(*service));
        let wish = wish.map(str::to_owned);
        let losses = services.into_iter().map(|left| {
            // What is deleted on purpose is no loss.
            let loss = if wish.as_ref() == Some(&left.service) { 0 } else { loss(&left) };
            (left.service, loss)
        });
        let losses: Vec<(String, u32)> = losses.collect();
        if let Some(wish) = &wish {
            self.lost.retain(|(_, service, _)| service != wish);
        }
        if alarm.tripped_at.is_none() && self.is_storm(&losses) {
            alarm.tripped_at = Some(now);
            alarm.trips += 1;
        }
        let mut pass = Vec::with_capacity(losses.len());
        for (service, loss) in losses {
            // A service that is held and gone has as many shown as before: it is held by its loss.
            if loss > 0 && alarm.tripped_at.is_some() {
                alarm.held.insert(service, loss);
                continue;
            }
            if loss > 0 {
                self.lost.push_back((now, service.clone(), loss));
            }
            alarm.held.remove(&service);
            pass.push(service);
        }
        if alarm.held.is_empty() {
            alarm.tripped_at = None;
        }
        pass
    }

    /// Returns whether these losses, with those of late, are of several services and too many.
    fn is_storm(&self, losses: &[(String, u32)]) -> bool {
        let lately = self.lost.iter().map(|(_, service, loss)| (service, *loss));
        let all =
            || lately.clone().chain(losses.iter().map(|(service, loss)| (service, *loss))).filter(|(_, n)| *n > 0);
        let (services, lost): (BTreeSet<&String>, u64) =
            all().fold((BTreeSet::new(), 0), |(mut services, lost), (service, loss)| {
                services.insert(service);
                (services, lost + u64::from(loss))
            });
        let before = self.total + self.lost.iter().map(|(.., loss)| u64::from(*loss)).sum::<u64>();
        services.len() > 1 && lost * 100 > before * u64::from(self.config.percent)
    }

    /// Returns whether a service stays as it was.
    pub(super) fn holds(&self, service: &str) -> bool {
        self.alarm.lock().held.contains_key(service)
    }

    /// Takes what was held back for long enough by now, and is to be shown as it is.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let mut alarm = self.alarm.lock();
        match alarm.until() {
            Some(until) if now >= until => {
                alarm.tripped_at = None;
                self.lost.clear();
                std::mem::take(&mut alarm.held).into_keys().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns when that will be.
    pub(super) fn until(&self) -> Option<Instant> {
        self.alarm.lock().until()
    }

    pub(super) fn report(&self) -> GuardReport {
        self.alarm.report()
    }
}

/// The service that does not exist any more, where nothing else lost anything.
fn deleted_alone(services: &[ServiceCount], loss: impl Fn(&ServiceCount) -> u32) -> Option<&str> {
    let mut losing = services.iter().filter(|left| !left.exists || loss(left) > 0);
    let first = losing.next().filter(|left| !left.exists)?;
    losing.next().is_none().then_some(&*first.service)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A guard over ten services of ten instances.
    fn guard() -> (Guard, Instant) {
        let mut guard = Guard::new(Config::default());
        for service in 0..10 {
            guard.shows(&format!("s{service}"), 10);
        }
        (guard, Instant::now())
    }

    fn left(service: &str, instances: u32) -> ServiceCount {
        ServiceCount { service: service.to_owned(), instances, exists: true }
    }

    fn gone(service: &str) -> ServiceCount {
        ServiceCount { exists: false, ..left(service, 0) }
    }

    /// Judges, and shows what passes.
    fn judge_all(guard: &mut Guard, now: Instant, all: &[ServiceCount]) -> Vec<String> {
        let passed = guard.judge(now, all.to_vec());
        for ServiceCount { service, instances, .. } in all.iter().filter(|left| passed.contains(&left.service)) {
            guard.shows(service, *instances);
        }
        passed
    }

    fn judge(guard: &mut Guard, now: Instant, services: &[(&str, u32)]) -> Vec<String> {
        let all: Vec<ServiceCount> = services.iter().map(|(name, n)| left(name, *n)).collect();
        judge_all(guard, now, &all)
    }

    #[test]
    fn a_storm_is_held_back_and_let_through_after_a_time() {
        let (mut guard, now) = guard();
        let storm: Vec<ServiceCount> = (0..6).map(|i| left(&format!("s{i}"), 0)).chain([left("new", 3)]).collect();
        assert_eq!(guard.judge(now, storm), ["new"]);
        let report = guard.report();
        assert_eq!((report.held.len(), report.instances, report.trips), (6, 60, 1));
        assert_eq!(report.until, Some(now + SECOND * 300));
        assert!(guard.holds("s0") && !guard.holds("s9"));
        assert_eq!(guard.due(now + SECOND * 299), [""; 0]);
        assert_eq!(guard.due(now + SECOND * 300).len(), 6);
        assert_eq!(guard.report(), GuardReport { trips: 1, ..GuardReport::default() });
    }

    #[test]
    fn losses_add_up_within_the_window_and_not_beyond_it() {
        let (mut guard, now) = guard();
        for i in 0..5 {
            assert_eq!(judge(&mut guard, now + SECOND * i, &[(&format!("s{i}"), 0)]).len(), 1, "{i}");
        }
        assert_eq!(judge(&mut guard, now + SECOND * 5, &[("s5", 0)]), [""; 0], "60 of 100 within five seconds");
        let (mut guard, now) = self::guard();
        for i in 0..10 {
            assert_eq!(judge(&mut guard, now + SECOND * 11 * i, &[(&format!("s{i}"), 0)]).len(), 1, "{i}");
        }
    }

    #[test]
    fn one_service_alone_is_never_held_back() {
        let mut guard = Guard::new(Config::default());
        guard.shows("large", 90);
        guard.shows("small", 10);
        let now = Instant::now();
        assert_eq!(judge(&mut guard, now, &[("large", 40)]), ["large"]);
        assert_eq!(judge(&mut guard, now, &[("large", 0), ("small", 11)]).len(), 2);
    }

    #[test]
    fn services_deleted_one_after_the_other_are_never_held_back() {
        let (mut guard, now) = guard();
        for i in 0..10 {
            let service = format!("s{i}");
            // As it goes: the instances first, some at once; then the service's own znode.
            for instances in [7, 0] {
                assert_eq!(judge(&mut guard, now, &[(&service, instances)]).len(), 1, "{i}");
            }
            assert_eq!(judge_all(&mut guard, now, &[gone(&service)]).len(), 1, "{i}");
        }
        assert_eq!(guard.report(), GuardReport::default());
        let (mut guard, now) = self::guard();
        for i in 0..10 {
            assert_eq!(judge_all(&mut guard, now, &[gone(&format!("s{i}"))]).len(), 1, "all of it in one transaction");
        }
    }

    #[test]
    fn many_services_deleted_at_once_are_a_storm_and_stay_held_when_their_znodes_go_one_by_one() {
        let (mut guard, now) = guard();
        let all: Vec<ServiceCount> = (0..10).map(|i| gone(&format!("s{i}"))).collect();
        assert_eq!(guard.judge(now, all), [""; 0]);
        let (mut guard, now) = self::guard();
        let storm: Vec<ServiceCount> = (0..8).map(|i| left(&format!("s{i}"), 0)).collect();
        assert_eq!(guard.judge(now, storm), [""; 0]);
        for i in 0..8 {
            assert_eq!(judge_all(&mut guard, now, &[gone(&format!("s{i}"))]), [""; 0], "{i}");
        }
        assert_eq!(judge_all(&mut guard, now, &[gone("s8")]), ["s8"], "which nothing had happened to");
        assert_eq!(guard.report().instances, 80);
    }

    #[test]
    fn what_comes_back_is_shown_as_it_is_and_ends_the_alarm() {
        let (mut guard, now) = guard();
        let storm: Vec<ServiceCount> = (0..10).map(|i| left(&format!("s{i}"), 0)).collect();
        assert_eq!(guard.judge(now, storm).len(), 0);
        assert_eq!(judge(&mut guard, now + SECOND, &[("s0", 10), ("s1", 5)]), ["s0"]);
        assert!(guard.holds("s1"));
        for i in 1..10 {
            assert_eq!(judge(&mut guard, now + SECOND * 2, &[(&format!("s{i}"), 10)]).len(), 1);
        }
        assert_eq!(guard.report(), GuardReport { trips: 1, ..GuardReport::default() });
    }
}
