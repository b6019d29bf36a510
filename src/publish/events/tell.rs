//! Events made of what a publisher has committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Instant;

use super::changes::{self, Side};
use super::event::{Cause, ChangeCounts, EventKind, EventRecord, Values};
use super::feed::{Feed, SESSION_END};
use super::ring::KEPT;
use crate::format::NodeKind;
use crate::model::{Drain, State};
use crate::publish::core::Core;
use crate::registry::Path;
use crate::registry::shown::{ShownNode, ShownTree};
use crate::registry::tree::Entry;
use crate::registry::view::{Contact, Freshness};
use crate::zone::records::label;

/// Changed znodes of one reading again from which on there is one event a service.
const MANY: usize = 1_000;
/// Drains of one change that are told.
const MAX_DRAINS: usize = 100;

impl Core {
    /// Events of services wait, or no longer.
    pub(in crate::publish) fn hold_events(&mut self, holds: bool) {
        if let Some(feed) = &mut self.feed {
            feed.holds = holds;
        }
    }

    /// Notes how many instances of a service were in DNS, and are now.
    pub(in crate::publish) fn note_served(&self, folded: &str, before: u32, now: u32) {
        let Some(feed) = self.feed.as_ref().filter(|_| self.complete && (before == 0) != (now == 0)) else { return };
        let kind = if before == 0 { EventKind::First } else { EventKind::Last };
        feed.note([EventRecord { is_resync: self.is_resync(), ..self.service_event(feed, kind, folded) }]);
    }

    /// Notes the drains of a service that have begun and ended.
    pub(in crate::publish) fn note_drains(&self, folded: &str, path: &Path, begun: &[Drain], ended: &[Drain]) {
        let Some(feed) = self.feed.as_ref().filter(|_| self.complete) else { return };
        let event = |kind, drain: &Drain| {
            let instance = drain.instance.as_ref().map(|endpoint| endpoint.to_string().into());
            let by = (!drain.by.is_empty()).then(|| format!("by {}", drain.by));
            let reason = (!drain.reason.is_empty()).then(|| drain.reason.to_string());
            let detail: Vec<String> = by.into_iter().chain(reason).collect();
            let base = self.service_event(feed, kind, folded);
            let (path, is_resync) = (path.to_string(), self.is_resync());
            EventRecord { instance, path, detail: detail.join(": "), is_resync, ..base }
        };
        let begun = begun.iter().map(|drain| event(EventKind::Drained, drain));
        let ended = ended.iter().map(|drain| event(EventKind::Undrained, drain));
        feed.note(begun.take(MAX_DRAINS).chain(ended.take(MAX_DRAINS)));
    }

    /// Tells what was noted of services.
    pub(in crate::publish) fn tell_noted(&self) {
        if let Some(feed) = self.feed.as_ref().filter(|feed| !feed.holds) {
            let noted = std::mem::take(&mut *feed.noted.lock().unwrap_or_else(PoisonError::into_inner));
            feed.events.push(noted);
        }
    }

    /// Tells what has become of the changed znodes, which the zones show now.
    pub(in crate::publish) fn tell_changes(&mut self, tree: &ShownTree, changed: Option<&BTreeSet<Path>>) {
        let Some(mut feed) = self.feed.take() else { return };
        if let Some(changed) = changed.filter(|_| self.complete) {
            let now = Instant::now();
            let mut events = feed.settle(tree, now);
            let is_resync = self.is_resync();
            let found = if changed.len() > KEPT || is_resync && changed.len() > MANY {
                self.services_events(&feed, tree, changed)
            } else {
                self.instances_events(&mut feed, tree, changed, now)
            };
            if is_resync {
                feed.found += changed.len();
            }
            events.extend(found.into_iter().map(|event| EventRecord { is_resync, ..event }));
            feed.events.push(events);
        }
        self.feed = Some(feed);
        self.tell_noted();
        self.tell_due();
    }

    fn instances_events(
        &self,
        feed: &mut Feed,
        tree: &ShownTree,
        changed: &BTreeSet<Path>,
        now: Instant,
    ) -> Vec<EventRecord> {
        let mut all = Vec::new();
        let mut of_service: Vec<EventRecord> = Vec::new();
        let mut base: Option<EventRecord> = None;
        for path in changed {
            let Some(kind) = self.kind_of_changed(path) else { continue };
            let real = tree.real(path);
            let Some(former) = tree.tree().former(real.as_str()) else { continue };
            let (former, present) = (former.as_ref(), tree.tree().get(real.as_str()));
            let kind = self.kind_with_data(kind, [former, present]);
            let service = kind.service();
            if base.as_ref().is_none_or(|base| base.service.as_deref() != Some(service)) {
                self.finish(feed, tree, &mut of_service, &mut all, now);
                base = Some(self.service_event(feed, EventKind::Changed, service));
            }
            let Some(base) = &base else { continue };
            let side = |entry: Option<&Entry>| entry.map(|entry| self.side(tree, path, &real, entry, kind));
            match (side(former), side(present)) {
                // The service's own znode, by its path or by what it holds.
                (Some(None) | None, Some(None)) | (Some(None), None) => {
                    of_service.extend(self.defaults_changed(base, former, present));
                }
                (before, now) => {
                    let is_there = present.is_some();
                    let (before, now) = (before.flatten().unwrap_or_default(), now.flatten().unwrap_or_default());
                    let base = EventRecord { path: real.to_string(), ..base.clone() };
                    changes::compare(&base, before, &Side { is_there, ..now }, &mut of_service);
                }
            }
        }
        self.finish(feed, tree, &mut of_service, &mut all, now);
        all
    }

    /// Takes the events of one service, with the reasons for which instances are gone.
    fn finish(
        &self,
        feed: &mut Feed,
        tree: &ShownTree,
        of_service: &mut Vec<EventRecord>,
        all: &mut Vec<EventRecord>,
        now: Instant,
    ) {
        changes::unite(of_service);
        for mut event in of_service.drain(..) {
            if event.kind == EventKind::Gone && event.cause.is_none() {
                let folded = event.service.as_deref().map(str::to_ascii_lowercase);
                if self.guard.as_ref().zip(folded).is_some_and(|(guard, folded)| guard.holds(&folded)) {
                    "the guard keeps it in DNS".clone_into(&mut event.detail);
                }
                let was_ours = Path::new(&event.path).is_ok_and(|path| feed.withdrawn.take(&path, now));
                event.cause = match event.session {
                    _ if was_ours => Some(Cause::Withdrawn),
                    0 => Some(Cause::Deleted),
                    session if tree.tree().owned_by(session) == 0 => Some(Cause::Session),
                    _ => {
                        feed.waiting.push((now, event));
                        continue;
                    }
                };
            }
            all.push(event);
        }
    }

    /// One event for each service, with numbers.
    fn services_events(&self, feed: &Feed, tree: &ShownTree, changed: &BTreeSet<Path>) -> Vec<EventRecord> {
        let mut counts: BTreeMap<&str, ChangeCounts> = BTreeMap::new();
        for path in changed {
            let Some(kind) = self.kind_of_changed(path) else { continue };
            if matches!(kind, NodeKind::Service { .. } | NodeKind::Directory { .. } | NodeKind::Inside { .. }) {
                continue;
            }
            let real = tree.real(path);
            let Some(former) = tree.tree().former(real.as_str()) else { continue };
            let counts = counts.entry(kind.service()).or_default();
            match (former, tree.tree().get(real.as_str())) {
                (None, Some(_)) => counts.added += 1,
                (Some(_), None) => counts.gone += 1,
                (Some(before), Some(now)) if before != now => counts.changed += 1,
                _ => {}
            }
        }
        let counts = counts.into_iter().filter(|(_, counts)| *counts != ChangeCounts::default());
        let event = |(service, counts)| EventRecord {
            counts: Some(counts),
            ..self.service_event(feed, EventKind::Many, service)
        };
        counts.map(event).collect()
    }

    /// Kind of a changed path below the root.
    fn kind_of_changed<'p>(&self, path: &'p Path) -> Option<NodeKind<'p>> {
        let below = path.below(&self.layout.root).filter(|below| !self.layout.is_system(below))?;
        let kind = self.layout.kind_by_path(below);
        let is_other = matches!(kind, NodeKind::Directory { .. } | NodeKind::Beside { .. } | NodeKind::Inside { .. });
        (!is_other).then_some(kind)
    }

    /// Kind of a znode that has these data now or had them before: of a service that is its own one instance, that.
    fn kind_with_data<'p>(&self, kind: NodeKind<'p>, sides: [Option<&Entry>; 2]) -> NodeKind<'p> {
        let is_own = |entry: &Entry| match entry {
            Entry::Known(known) => self.layout.format.is_own_instance(&known.data),
            Entry::Unreadable(_) => false,
        };
        match kind {
            NodeKind::Leaf { path, name, .. } if sides.into_iter().flatten().any(is_own) => {
                NodeKind::Instance { service: path, name }
            }
            kind => kind,
        }
    }

    /// What a znode is, or was, as one of instances; `None` where it is a service's own.
    fn side(&self, tree: &ShownTree, path: &Path, real: &Path, entry: &Entry, kind: NodeKind<'_>) -> Option<Side> {
        let known = match entry {
            Entry::Known(known) => Some(known),
            Entry::Unreadable(_) => None,
        };
        let is_instance = match kind {
            NodeKind::Instance { .. } => true,
            NodeKind::Leaf { name, .. } => known.is_some_and(|known| self.layout.format.is_instance(name, &known.data)),
            _ => false,
        };
        if !is_instance {
            return None;
        }
        let node = ShownNode { path: path.clone(), real: real.clone(), entry };
        let (decoded, remarks) = self.layout.decode_instances(tree, &node);
        let (mut instances, error) = match decoded {
            Ok(instances) => (instances, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        for instance in &mut instances {
            instance.remarks.extend(remarks.iter().cloned());
        }
        let session = known.map_or(0, |known| known.ephemeral_owner);
        Some(Side { instances, session, is_there: true, error })
    }

    /// What has become of the values that a service says for all its instances; its drains are told elsewhere.
    fn defaults_changed(&self, base: &EventRecord, before: Option<&Entry>, now: Option<&Entry>) -> Option<EventRecord> {
        let values = |entry: Option<&Entry>| {
            let data = match entry {
                Some(Entry::Known(known)) => &*known.data,
                _ => &[],
            };
            let (defaults, _) = self.layout.format.decode_service(data);
            let (state, weight, priority, ttl) = (defaults.state, defaults.weight, defaults.priority, defaults.ttl);
            Values { endpoint: String::new(), state, weight, priority, ttl, tags: Vec::new(), session: 0 }
        };
        let (before, after) = (values(before), values(now));
        if before == after {
            return None;
        }
        let kind = match (before.state, after.state) {
            (State::Drain, State::Drain) => EventKind::Changed,
            (_, State::Drain) => EventKind::Drained,
            (State::Drain, State::Up) => EventKind::Undrained,
            _ => EventKind::Changed,
        };
        Some(EventRecord { kind, before: Some(before), after: Some(after), ..base.clone() })
    }

    fn service_event(&self, feed: &Feed, kind: EventKind, service: &str) -> EventRecord {
        let folded = service.to_ascii_lowercase();
        let mut forward = self.targets.iter().filter(|target| target.reverse_of.is_empty());
        let name = forward.find_map(|target| label::owner(&target.origin(), &target.shown(&folded)?).ok());
        EventRecord {
            path: self.layout.full(service).to_string(),
            service: Some(service.to_owned()),
            name: name.map(|name| name.to_string()),
            ..feed.event(kind)
        }
    }

    /// What is published now was found by reading again.
    fn is_resync(&self) -> bool {
        self.freshness != Freshness::Fresh
    }

    /// Time at which an instance that is gone has waited for others for long enough.
    pub(in crate::publish) fn events_due(&self) -> Option<Instant> {
        let feed = self.feed.as_ref()?;
        feed.waiting.iter().map(|(since, _)| *since + SESSION_END).min()
    }

    /// Tells of instances that have waited for long enough.
    pub(in crate::publish) fn settle_events(&mut self, tree: &ShownTree, now: Instant) {
        if let Some(feed) = &mut self.feed {
            let settled = feed.settle(tree, now);
            feed.events.push(settled);
        }
    }

    /// Time has passed.
    pub(in crate::publish) fn tick_events(&mut self, tree: &ShownTree, now: Instant) {
        self.settle_events(tree, now);
        if let Some(feed) = &self.feed {
            feed.events.tick(now);
        }
    }

    /// Tells that all of the registry is in DNS, from the cache file or as it is.
    pub(in crate::publish) fn tell_read(&self, is_restored: bool) {
        let Some(feed) = &self.feed else { return };
        let census = self.census.report();
        let numbers = format!("{} services, {} instances in and {} out", census.services, census.serving, census.out);
        let (kind, detail) = if is_restored {
            (EventKind::Stale, format!("{numbers}, from the cache file"))
        } else {
            (EventKind::Read, numbers)
        };
        feed.events.push(vec![EventRecord { detail, ..feed.event(kind) }]);
    }

    /// Tells that the registry is followed, or no longer.
    pub(in crate::publish) fn contact(&mut self, contact: Contact<'_>) {
        let Some(feed) = &mut self.feed else { return };
        let (kind, detail) = match contact {
            Contact::Live { after: None } => (EventKind::Live, String::new()),
            Contact::Live { after: Some(after) } => {
                let (found, seconds) = (std::mem::take(&mut feed.found), after.as_secs());
                (EventKind::Live, format!("after {seconds} s, {found} znodes have changed"))
            }
            Contact::Lost { reason } => {
                feed.found = 0;
                (EventKind::Lost, reason.to_owned())
            }
        };
        feed.events.push(vec![EventRecord { detail, ..feed.event(kind) }]);
    }

    /// Tells that the registry was not followed for `max_stale`, once.
    pub(in crate::publish) fn tell_expired(&mut self, is_expired: bool) {
        let Some(feed) = &mut self.feed else { return };
        if !std::mem::replace(&mut feed.is_expired, is_expired) && is_expired {
            let detail = "nothing was heard of it for max_stale: its names are SERVFAIL".to_owned();
            feed.events.push(vec![EventRecord { detail, ..feed.event(EventKind::Expired) }]);
        }
    }
}
