//! Runs the checks of all services: each when it is due and never twice at once, a bounded number of each kind
//! together, each bounded in time. Reports when a service's health changes.
//!
//! A check begins somewhere in the first half second, so that a thousand do not begin together, and then comes every
//! `interval`, or up to a tenth of it sooner, counted from the beginning of the one before. Until there are results
//! enough to tell healthy from unhealthy it comes every half second, so that a restart does not cost several intervals.
//!
//! A probe without a result changes no state. Shortages and late checks are logged when they begin, every ten minutes
//! while they last, and at their end: a line each, however many checks they concern.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::episode::Episode;
use super::health::{CheckState, Health};
use super::outcome::{ProbeFailure, Probed, Shortage};
use super::slots::Queues;
use super::ttl::{self, Heartbeats};
use super::{Check, CheckKind, Resources, Tools};
use crate::announce::config::ServiceConfig;
use crate::announce::status::{AnnouncerStatus, CheckStatus, Hold, LastResult, NoResult};

/// The time in which the first probes begin.
const SPREAD: Duration = Duration::from_millis(500);
/// Time between two looks at checks that wait.
const POLL: Duration = Duration::from_millis(500);
/// A service whose health has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::announce) struct Change {
    /// Its key.
    pub(in crate::announce) key: Arc<str>,
}

/// The checks of all services.
pub(in crate::announce) struct Checks {
    services: BTreeMap<Arc<str>, Vec<u64>>,
    entries: BTreeMap<u64, RunnerEntry>,
    count: u64,
    /// Due times of the checks that are neither waiting nor running.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Those that wait for a place, and the places.
    queues: Queues,
    running: JoinSet<(u64, Probed)>,
    /// The check of each running probe.
    probes: HashMap<Id, Arc<Check>>,
    /// Resources that are lacking now.
    shortages: BTreeMap<Shortage, Option<Episode>>,
    /// Time of the next look at waiting checks.
    look: Option<Instant>,
    tools: Tools,
    status: AnnouncerStatus,
    chance: fastrand::Rng,
}

struct RunnerEntry {
    key: Arc<str>,
    service: Arc<str>,
    check: Arc<Check>,
    health: Health,
    /// Time of the next probe.
    due: Instant,
    /// Begin of the last probe.
    began: Instant,
    /// Whole intervals for which it has waited for a place, as far as they are counted.
    waited: u32,
    /// Time at which this check was taken in.
    listening_since: Instant,
    probe: Option<AbortHandle>,
    shown: CheckStatus,
}

impl RunnerEntry {
    /// Returns true while there is nothing to find out: a service has its whole `ttl`, from when we listen, for its
    /// first heartbeat.
    fn awaits_first_heartbeat(&self, heartbeats: &Heartbeats, now: Instant) -> bool {
        match &self.check.kind {
            CheckKind::Ttl(ttl::Config { file: None, ttl }) => {
                now < self.listening_since + *ttl && !heartbeats.has_heard(&self.service)
            }
            _ => false,
        }
    }
}

impl Checks {
    /// No checks yet. Their start is shown in `status`, which also hears heartbeats.
    pub(in crate::announce) fn new(status: AnnouncerStatus, means: Resources, chance: fastrand::Rng) -> Self {
        let Resources { slots, lookups } = means;
        Self {
            services: BTreeMap::new(),
            entries: BTreeMap::new(),
            count: 0,
            due: BinaryHeap::new(),
            queues: Queues::new(slots),
            running: JoinSet::new(),
            probes: HashMap::new(),
            shortages: BTreeMap::new(),
            look: None,
            tools: Tools { heartbeats: status.heartbeats(), lookups },
            status,
            chance,
        }
    }

    /// Checks these services from now on. A check of what was checked before goes on with its state, whatever else
    /// about it or its service has changed.
    pub(in crate::announce) fn set(&mut self, services: &[ServiceConfig], now: Instant) {
        let before = std::mem::take(&mut self.services);
        let checked: Vec<_> = services.iter().filter(|service| !service.checks.is_empty()).collect();
        let mut ids: Vec<Vec<Option<u64>>> = checked.iter().map(|one| vec![None; one.checks.len()]).collect();
        // First what is the same in all, then the same target of the same service.
        let mut known = before;
        for is_close in [|one: &Check, other: &Check| one == other, Check::is_of_the_same] {
            for (service, ids) in checked.iter().zip(&mut ids) {
                let Some(known) = known.get_mut(&service.key()) else { continue };
                self.match_up(known, service, ids, is_close);
            }
        }
        // What is left may be a service under another name or with another choice of addresses.
        let mut left: Vec<u64> = known.into_values().flatten().collect();
        for (service, ids) in checked.iter().zip(&mut ids) {
            self.match_up(&mut left, service, ids, Check::is_of_the_same);
        }
        for id in left {
            self.remove(id);
        }
        for (service, ids) in checked.into_iter().zip(ids) {
            let key = service.key();
            let kept = service.checks.iter().zip(ids).map(|(check, id)| match id {
                Some(id) => self.keep(id, &key, service, check, now),
                None => self.add(&key, service, check, now),
            });
            let kept = kept.collect();
            self.services.insert(key, kept);
        }
    }

    /// Moves the ids of checks that go on as checks of `service` from `known` to `ids`.
    fn match_up(
        &self,
        known: &mut Vec<u64>,
        service: &ServiceConfig,
        ids: &mut [Option<u64>],
        is_close: impl Fn(&Check, &Check) -> bool,
    ) {
        for (check, id) in service.checks.iter().zip(ids).filter(|(_, id)| id.is_none()) {
            let goes_on = |id: &u64| {
                self.entries.get(id).is_some_and(|entry| {
                    // Heartbeats come by the service's name.
                    let is_named = matches!(check.kind, CheckKind::Ttl(ttl::Config { file: None, .. }));
                    is_close(&entry.check, check) && (!is_named || *entry.service == *service.name.value)
                })
            };
            *id = known.iter().position(goes_on).map(|index| known.swap_remove(index));
        }
    }

    /// Lets a check go on with other settings, or as another service's.
    fn keep(&mut self, id: u64, key: &Arc<str>, service: &ServiceConfig, check: &Check, now: Instant) -> u64 {
        let Some(entry) = self.entries.get_mut(&id) else { return self.add(key, service, check, now) };
        entry.key = Arc::clone(key);
        entry.service = service.name.value.as_str().into();
        entry.shown.service.clone_from(&service.name.value);
        if *entry.check != *check {
            entry.health.set_rules(check.rules);
            entry.check = Arc::new(check.clone());
            entry.shown.check = check.to_string();
            entry.shown.state = entry.health.state();
            // A shorter interval counts at once. The place in the queue that this one had is passed over.
            let sooner = entry.began + check.interval;
            if entry.probe.is_none() && sooner < entry.due && entry.due > now {
                entry.due = sooner.max(now);
                entry.shown.due = Some(entry.due);
                self.due.push(Reverse((entry.due, id)));
            }
        }
        id
    }

    fn add(&mut self, key: &Arc<str>, service: &ServiceConfig, check: &Check, now: Instant) -> u64 {
        self.count += 1;
        let due = now + SPREAD.min(check.interval).mul_f64(self.chance.f64());
        let health = Health::new(check.rules);
        let shown = CheckStatus {
            service: service.name.value.clone(),
            check: check.to_string(),
            state: health.state(),
            is_flapping: false,
            since: now,
            last: None,
            passed: 0,
            failed: 0,
            transitions: 0,
            latest: Duration::ZERO,
            due: Some(due),
            progress: None,
            missed: None,
            no_results: BTreeMap::new(),
        };
        let (key, service) = (Arc::clone(key), service.name.value.as_str().into());
        let check = Arc::new(check.clone());
        let entry = RunnerEntry {
            key,
            service,
            check,
            health,
            due,
            began: now,
            listening_since: now,
            waited: 0,
            probe: None,
            shown,
        };
        self.entries.insert(self.count, entry);
        self.due.push(Reverse((due, self.count)));
        self.count
    }

    fn remove(&mut self, id: u64) {
        // Its places in the queues are passed over when their turn comes.
        if let Some(RunnerEntry { probe: Some(probe), .. }) = self.entries.remove(&id) {
            probe.abort();
        }
    }

    /// Reason for not registering a service: one of its checks says it is ill, or has not said that it is well.
    pub(in crate::announce) fn hold(&self, key: &str) -> Option<Hold> {
        let entries = || self.services.get(key).into_iter().flatten().filter_map(|id| self.entries.get(id));
        if let Some(ill) = entries().find(|entry| entry.health.state() == CheckState::Ill) {
            let said = ill.shown.last.as_ref().and_then(|last| last.found.as_ref().err());
            let said = said.map_or("it failed", String::as_str);
            return Some(Hold::Unhealthy(format!("{}: {said}", ill.check)));
        }
        entries().any(|entry| entry.health.state() == CheckState::Unknown).then_some(Hold::Unchecked)
    }

    /// State of every check.
    pub(in crate::announce) fn shown(&self) -> impl Iterator<Item = (u64, &CheckStatus)> {
        self.entries.iter().map(|(id, entry)| (*id, &entry.shown))
    }

    /// Waits for the next result: the check's status, and its service's health if that is another one now. Cancel-safe.
    pub(in crate::announce) async fn next(&mut self) -> RunnerReport {
        loop {
            self.start_due(now());
            let due = self.due.peek().map(|Reverse((due, _))| *due);
            let wake = [due, self.look].into_iter().flatten().min();
            let time = async {
                match wake {
                    Some(time) => sleep_until(time.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(joined) = self.running.join_next_with_id() => match joined {
                    Ok((task, (id, probed))) => {
                        self.left(task);
                        if let Some(told) = self.ended(id, probed, now()) {
                            return told;
                        }
                    }
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => self.left(error.id()),
                },
                () = time => {}
            }
        }
    }

    /// A probe has ended, or was aborted.
    fn left(&mut self, task: Id) {
        if let Some(check) = self.probes.remove(&task) {
            self.queues.of(check.kind.slot()).leave();
        }
    }

    /// Starts what is due, as far as there are places.
    fn start_due(&mut self, now: Instant) {
        while let Some(&Reverse((due, id))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            // A later place of a check that was moved forward is passed over.
            if let Some(entry) = self.entries.get(&id)
                && entry.due == due
                && entry.probe.is_none()
            {
                self.queues.of(entry.check.kind.slot()).push(due, id);
            }
        }
        for index in 0..self.queues.all().len() {
            while let Some(id) = self.queues.all()[index].pop() {
                self.start(id, now);
            }
        }
        if self.look.is_none_or(|look| look <= now) {
            self.look = (self.queues.has_waiting() || self.is_troubled()).then(|| now + POLL);
            self.count_waiting(now);
            self.end_troubles(now);
        }
    }

    fn start(&mut self, id: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.awaits_first_heartbeat(&self.status.heartbeats(), now) {
            entry.due = now + entry.check.interval.min(SPREAD);
            entry.shown.due = Some(entry.due);
            self.due.push(Reverse((entry.due, id)));
            return;
        }
        let late = now.saturating_duration_since(entry.due);
        entry.shown.latest = entry.shown.latest.max(late);
        (entry.began, entry.waited, entry.shown.due) = (now, 0, None);
        let (check, service) = (Arc::clone(&entry.check), Arc::clone(&entry.service));
        let tools = self.tools.clone();
        let probe = self.running.spawn(async move { (id, check.probe(&service, &tools).await) });
        let is_late = late > entry.check.interval;
        let queue = self.queues.of(entry.check.kind.slot());
        queue.enter();
        self.probes.insert(probe.id(), Arc::clone(&entry.check));
        entry.probe = Some(probe);
        self.status.started(id, entry.shown.latest);
        if is_late {
            self.late(id, now);
        }
    }

    /// Records that a check begins, or is to begin, later than an interval after it was due.
    fn late(&mut self, id: u64, now: Instant) {
        let Some(entry) = self.entries.get(&id) else { return };
        let (check, late) = (&entry.check, now.saturating_duration_since(entry.due));
        let queue = self.queues.of(check.kind.slot());
        self.look.get_or_insert(now + POLL);
        if !Episode::record(&mut queue.late, now) {
            return;
        }
        let (kind, service, waiting, places) = (queue.kind, &*entry.service, queue.len(), queue.places);
        if queue.is_full() {
            warn!(
                kind,
                waiting,
                places,
                ?late,
                service,
                check = entry.shown.check,
                "checks are late by more than their interval: all places for this kind are taken; \
                 lengthen `interval` or shorten `timeout`"
            );
        } else {
            warn!(
                kind,
                ?late,
                service,
                check = entry.shown.check,
                "checks are late by more than their interval: no CPU time"
            );
        }
    }

    /// Counts the intervals that checks have waited for a place.
    fn count_waiting(&mut self, now: Instant) {
        let waiting: Vec<u64> = self.queues.all().iter().flat_map(super::slots::Queue::waiting).collect();
        for id in waiting {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let late = now.saturating_duration_since(entry.due);
            let whole = late.as_nanos() / entry.check.interval.as_nanos().max(1);
            let whole = u32::try_from(whole).unwrap_or(u32::MAX);
            let more = whole.saturating_sub(entry.waited);
            if more == 0 {
                continue;
            }
            entry.waited = whole;
            *entry.shown.no_results.entry(Shortage::Slots).or_default() += u64::from(more);
            let reason = format!("waits for a place for {}s", late.as_secs());
            entry.shown.missed = Some(NoResult { at: SystemTime::now(), shortage: Shortage::Slots, reason });
            self.status.set_check(id, entry.shown.clone());
            self.late(id, now);
        }
    }

    fn ended(&mut self, id: u64, probed: Probed, now: Instant) -> Option<RunnerReport> {
        let entry = self.entries.get_mut(&id)?;
        entry.probe = None;
        let found = match probed {
            Ok(good) => Some(Ok(good)),
            Err(ProbeFailure::Bad(reason)) => Some(Err(reason)),
            Err(ProbeFailure::NoResult(shortage, reason)) => {
                *entry.shown.no_results.entry(shortage).or_default() += 1;
                if Episode::record(self.shortages.entry(shortage).or_default(), now) {
                    warn!(
                        service = &*entry.service,
                        check = entry.shown.check,
                        reason = shortage.as_str(),
                        "checks have no result: {shortage}; their services stay as they are ({reason})"
                    );
                }
                self.look.get_or_insert(now + POLL);
                entry.shown.missed = Some(NoResult { at: SystemTime::now(), shortage, reason });
                None
            }
        };
        let has_changed = found.as_ref().is_some_and(|found| entry.health.observe(found.is_ok()));
        let interval = match entry.health.state() {
            CheckState::Unknown => entry.check.interval.min(SPREAD),
            CheckState::Well | CheckState::Ill => entry.check.interval,
        };
        entry.due = now.max(entry.began + interval.mul_f64(0.9 + self.chance.f64() / 10.0));
        self.due.push(Reverse((entry.due, id)));
        let shown = &mut entry.shown;
        shown.due = Some(entry.due);
        if let Some(found) = found {
            *(if found.is_ok() { &mut shown.passed } else { &mut shown.failed }) += 1;
            shown.last = Some(LastResult { at: SystemTime::now(), found });
            shown.missed = None;
        }
        if has_changed {
            shown.since = now;
        }
        shown.state = entry.health.state();
        shown.progress = entry.health.progress();
        shown.transitions = entry.health.transitions();
        shown.is_flapping = entry.health.is_flapping();
        let (shown, key) = (shown.clone(), Arc::clone(&entry.key));
        let change = has_changed.then_some(Change { key });
        Some(RunnerReport { id, shown, change })
    }

    fn is_troubled(&mut self) -> bool {
        self.shortages.values().any(Option::is_some) || self.queues.all().iter().any(|queue| queue.late.is_some())
    }

    /// Logs the end of troubles that have not come again for a while.
    fn end_troubles(&mut self, now: Instant) {
        let missed: BTreeSet<_> = self
            .entries
            .values()
            .filter_map(|entry| entry.shown.missed.as_ref())
            .map(|missed| missed.shortage)
            .collect();
        for (shortage, episode) in self.shortages.iter_mut().filter(|(shortage, _)| !missed.contains(shortage)) {
            if let Some(over) = Episode::end(episode, now) {
                let (reason, lasted, missed) = (shortage.as_str(), over.length(), over.count);
                info!(reason, missed, ?lasted, "checks have results again");
            }
        }
        for queue in self.queues.all() {
            if let Some(over) = Episode::end(&mut queue.late, now) {
                info!(kind = queue.kind, lasted = ?over.length(), "checks are on time again");
            }
        }
    }
}

/// A check that stands otherwise than before its last result, if only by that.
#[derive(Debug)]
pub(in crate::announce) struct RunnerReport {
    /// Number of the check.
    pub(in crate::announce) id: u64,
    /// State of the check.
    pub(in crate::announce) shown: CheckStatus,
    /// Effect on its service.
    pub(in crate::announce) change: Option<Change>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
