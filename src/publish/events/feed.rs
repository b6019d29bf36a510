//! The state of one publisher's events.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Cause, EventKind, EventRecord};
use super::ring::{Events, unix_ms};
use crate::registry::ReaderName;
use crate::registry::shown::ShownTree;
use crate::registry::withdrawn::Withdrawn;

/// Time within which all znodes of a session that is over are seen to go.
pub(super) const SESSION_END: Duration = Duration::from_millis(300);

/// Events of one publisher.
#[derive(Debug)]
pub(in crate::publish) struct Feed {
    pub(super) events: Events,
    pub(super) registry: ReaderName,
    pub(super) withdrawn: Withdrawn,
    /// Events of services that the commit brings about.
    pub(super) noted: Mutex<Vec<EventRecord>>,
    /// True while those wait for the events of instances.
    pub(super) holds: bool,
    /// Instances that are gone while their session has others: they wait for those.
    pub(super) waiting: Vec<(Instant, EventRecord)>,
    pub(super) is_expired: bool,
    /// Changes found on reading again since the registry was lost.
    pub(super) found: usize,
}

impl Feed {
    /// Tells `events` of what changes in the registry called `registry`.
    pub(in crate::publish) fn new(events: Events, registry: ReaderName, withdrawn: Withdrawn) -> Self {
        let (noted, waiting) = (Mutex::default(), Vec::new());
        Self { events, registry, withdrawn, noted, holds: false, waiting, is_expired: false, found: 0 }
    }

    pub(super) fn event(&self, kind: EventKind) -> EventRecord {
        EventRecord { registry: Some(self.registry.clone()), ..EventRecord::new(kind, unix_ms()) }
    }

    pub(super) fn note(&self, events: impl IntoIterator<Item = EventRecord>) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
    }

    /// Makes up the mind about why instances are gone: `None` while that is not known.
    pub(super) fn settle(&mut self, tree: &ShownTree, now: Instant) -> Vec<EventRecord> {
        let mut settled = Vec::new();
        self.waiting.retain_mut(|(since, event)| {
            let is_over = tree.tree().owned_by(event.session) == 0;
            let is_left = !is_over && now.saturating_duration_since(*since) < SESSION_END;
            if !is_left {
                event.cause = Some(if is_over { Cause::Session } else { Cause::Deleted });
                settled.push(std::mem::replace(event, EventRecord::new(EventKind::Gone, 0)));
            }
            is_left
        });
        settled
    }
}
