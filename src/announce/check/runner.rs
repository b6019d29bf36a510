//! Runs the checks of all services: each when it is due and never twice at once, a bounded number together, each bounded
//! in time. Tells when a service's health changes.
//!
//! A check begins somewhere in the first half second, so that a thousand do not begin together, and then comes every
//! `interval`, give or take a tenth, counted from the beginning of the one before. Until there are results enough to tell
//! well from ill it comes every half second, so that a restart does not cost several intervals.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{sleep_until, timeout};

use super::health::{Health, State};
use super::ttl::Heartbeats;
use super::{Check, Found, Kind};
use crate::announce::config::ServiceConfig;
use crate::announce::status::{CheckStatus, Hold, LastResult};

/// Probes on their way at most, each with a socket.
const MOST_AT_ONCE: usize = 512;
/// Commands among them.
const MOST_COMMANDS: usize = 32;
/// Within which time the first probes begin.
const SPREAD: Duration = Duration::from_millis(500);

/// A service whose health has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::announce) struct Change {
    /// Its key.
    pub(in crate::announce) key: Arc<str>,
}

/// The checks of all services.
pub(in crate::announce) struct Checks {
    services: BTreeMap<Arc<str>, Vec<u64>>,
    entries: BTreeMap<u64, Entry>,
    count: u64,
    /// When each check is due that is neither waiting nor running.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Due, but there are too many already.
    waiting: VecDeque<u64>,
    waiting_commands: VecDeque<u64>,
    running: JoinSet<(u64, Found)>,
    /// The commands among those.
    commands: HashSet<Id>,
    heartbeats: Arc<Heartbeats>,
    chance: fastrand::Rng,
}

struct Entry {
    key: Arc<str>,
    service: Arc<str>,
    check: Arc<Check>,
    health: Health,
    /// When the next probe is due.
    due: Instant,
    /// When the last one began.
    began: Instant,
    probe: Option<AbortHandle>,
    shown: CheckStatus,
}

impl Entry {
    fn is_command(&self) -> bool {
        matches!(self.check.kind, Kind::Exec(_))
    }
}

impl Checks {
    pub(in crate::announce) fn new(heartbeats: Arc<Heartbeats>, chance: fastrand::Rng) -> Self {
        Self {
            services: BTreeMap::new(),
            entries: BTreeMap::new(),
            count: 0,
            due: BinaryHeap::new(),
            waiting: VecDeque::new(),
            waiting_commands: VecDeque::new(),
            running: JoinSet::new(),
            commands: HashSet::new(),
            heartbeats,
            chance,
        }
    }

    /// Checks these services from now on. A check that was there before goes on as it stands.
    pub(in crate::announce) fn set(&mut self, services: &[ServiceConfig], now: Instant) {
        let mut before = std::mem::take(&mut self.services);
        for service in services.iter().filter(|service| !service.checks.is_empty()) {
            let key = service.key();
            let mut known = before.remove(&key).unwrap_or_default();
            let mut ids = Vec::with_capacity(service.checks.len());
            for check in &service.checks {
                let same = known.iter().position(|id| self.entries.get(id).is_some_and(|entry| *entry.check == *check));
                ids.push(match same {
                    Some(index) => known.swap_remove(index),
                    None => self.add(&key, service, check, now),
                });
            }
            for id in known {
                self.remove(id);
            }
            self.services.insert(key, ids);
        }
        for id in before.into_values().flatten() {
            self.remove(id);
        }
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
        };
        let (key, service) = (Arc::clone(key), service.name.value.as_str().into());
        let entry = Entry { key, service, check: Arc::new(check.clone()), health, due, began: now, probe: None, shown };
        self.entries.insert(self.count, entry);
        self.due.push(Reverse((due, self.count)));
        self.count
    }

    fn remove(&mut self, id: u64) {
        // Its places in the queues are passed over when their turn comes.
        if let Some(Entry { probe: Some(probe), .. }) = self.entries.remove(&id) {
            probe.abort();
        }
    }

    /// Why a service must not be registered: one of its checks says it is ill, or has not said that it is well.
    pub(in crate::announce) fn hold(&self, key: &str) -> Option<Hold> {
        let entries = || self.services.get(key).into_iter().flatten().filter_map(|id| self.entries.get(id));
        if let Some(ill) = entries().find(|entry| entry.health.state() == State::Ill) {
            let said = ill.shown.last.as_ref().and_then(|last| last.found.as_ref().err());
            let said = said.map_or("it failed", String::as_str);
            return Some(Hold::Unhealthy(format!("{}: {said}", ill.check)));
        }
        entries().any(|entry| entry.health.state() == State::Unknown).then_some(Hold::Unchecked)
    }

    /// How every check stands.
    pub(in crate::announce) fn shown(&self) -> impl Iterator<Item = (u64, &CheckStatus)> {
        self.entries.iter().map(|(id, entry)| (*id, &entry.shown))
    }

    /// The next result: how the check stands, and the service's health if that is another one now. Cancel-safe.
    pub(in crate::announce) async fn next(&mut self) -> Told {
        loop {
            self.start_due(now());
            let due = self.due.peek().map(|Reverse((due, _))| *due);
            let time = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(joined) = self.running.join_next_with_id() => match joined {
                    Ok((task, (id, found))) => {
                        self.commands.remove(&task);
                        if let Some(told) = self.ended(id, found, now()) {
                            return told;
                        }
                    }
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => {
                        self.commands.remove(&error.id());
                    }
                },
                () = time => {}
            }
        }
    }

    fn start_due(&mut self, now: Instant) {
        while let Some(&Reverse((due, id))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            match self.entries.get(&id) {
                Some(entry) if entry.is_command() => self.waiting_commands.push_back(id),
                Some(_) => self.waiting.push_back(id),
                None => {}
            }
        }
        while self.running.len() < MOST_AT_ONCE {
            let id = match self.waiting.pop_front() {
                Some(id) => id,
                None if self.commands.len() < MOST_COMMANDS => match self.waiting_commands.pop_front() {
                    Some(id) => id,
                    None => return,
                },
                None => return,
            };
            self.start(id, now);
        }
    }

    fn start(&mut self, id: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let late = now.saturating_duration_since(entry.due);
        entry.shown.latest = entry.shown.latest.max(late);
        entry.began = now;
        let (check, service) = (Arc::clone(&entry.check), Arc::clone(&entry.service));
        let heartbeats = Arc::clone(&self.heartbeats);
        let is_command = entry.is_command();
        let probe = self.running.spawn(async move {
            let found = timeout(check.timeout, check.probe(&service, &heartbeats)).await;
            (id, found.unwrap_or_else(|_| Err(format!("no result within {:?}", check.timeout))))
        });
        if is_command {
            self.commands.insert(probe.id());
        }
        entry.probe = Some(probe);
    }

    fn ended(&mut self, id: u64, found: Found, now: Instant) -> Option<Told> {
        let entry = self.entries.get_mut(&id)?;
        entry.probe = None;
        let is_good = found.is_ok();
        let has_changed = entry.health.observe(is_good);
        let interval = match entry.health.state() {
            State::Unknown => entry.check.interval.min(SPREAD),
            State::Well | State::Ill => entry.check.interval,
        };
        entry.due = now.max(entry.began + interval.mul_f64(0.9 + self.chance.f64() / 5.0));
        self.due.push(Reverse((entry.due, id)));
        let shown = &mut entry.shown;
        *(if is_good { &mut shown.passed } else { &mut shown.failed }) += 1;
        shown.last = Some(LastResult { at: SystemTime::now(), found });
        if has_changed {
            shown.since = now;
        }
        shown.state = entry.health.state();
        shown.transitions = entry.health.transitions();
        shown.is_flapping = entry.health.is_flapping();
        let (shown, key) = (shown.clone(), Arc::clone(&entry.key));
        let change = has_changed.then_some(Change { key });
        Some(Told { id, shown, change })
    }
}

/// A check that stands otherwise than before its last result, if only by that.
#[derive(Debug)]
pub(in crate::announce) struct Told {
    /// Which it is.
    pub(in crate::announce) id: u64,
    /// How it stands.
    pub(in crate::announce) shown: CheckStatus,
    /// What that does to its service.
    pub(in crate::announce) change: Option<Change>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
