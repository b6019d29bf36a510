//! Events in the log: a line each, and where there are many in a second a summary of the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::event::{EventKind, EventRecord};

/// Lines within a second.
const MAX_LINES: usize = 20;
const SECOND: Duration = Duration::from_secs(1);

/// The lines of the present second.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Time at which it began.
    begun: Option<Instant>,
    written: usize,
    /// Events without a line of their own, by kind.
    more: BTreeMap<EventKind, usize>,
}

/// A line of the log.
#[derive(Debug)]
pub(super) enum EventLine {
    /// One event.
    One(Arc<EventRecord>),
    /// The others of a second.
    More(String),
}

impl Lines {
    /// Takes an event. Returns the lines that are to be written now.
    pub(super) fn add(&mut self, event: &Arc<EventRecord>, now: Instant) -> Vec<EventLine> {
        // Others log these themselves, with more than an event has.
        if is_logged(event) {
            return Vec::new();
        }
        let mut lines: Vec<EventLine> = self.tick(now).into_iter().collect();
        if self.begun.is_none() {
            (self.begun, self.written) = (Some(now), 0);
        }
        if self.written < MAX_LINES {
            self.written += 1;
            lines.push(EventLine::One(Arc::clone(event)));
        } else {
            *self.more.entry(event.kind).or_default() += 1;
        }
        lines
    }

    /// Ends the second, if it is over. Returns its summary.
    pub(super) fn tick(&mut self, now: Instant) -> Option<EventLine> {
        if self.begun.is_some_and(|begun| now.saturating_duration_since(begun) >= SECOND) {
            self.begun = None;
        }
        if self.begun.is_some() || self.more.is_empty() {
            return None;
        }
        let text = std::mem::take(&mut self.more).into_iter().fold(String::new(), |mut text, (kind, count)| {
            let separator = if text.is_empty() { "" } else { ", " };
            // A string can be written to always.
            let _ = write!(text, "{separator}{count} {}", kind.as_str());
            text
        });
        Some(EventLine::More(text))
    }
}

impl EventLine {
    pub(super) fn write(self) {
        match self {
            Self::One(event) => {
                let EventRecord { kind, path, name, session, .. } = &*event;
                let session = (*session != 0).then(|| format!("{session:#x}"));
                info!(event = kind.as_str(), path, name, session, "{}", event.sentence());
            }
            Self::More(events) => info!(events, "more has changed within a second: `zonekeeper events` shows it"),
        }
    }
}

fn is_logged(event: &EventRecord) -> bool {
    match event.kind {
        // But for an instance that says so itself.
        EventKind::Drained | EventKind::Undrained => event.after.is_none(),
        EventKind::Added
        | EventKind::Changed
        | EventKind::Gone
        | EventKind::First
        | EventKind::Last
        | EventKind::Many => false,
        EventKind::Read
        | EventKind::Live
        | EventKind::Lost
        | EventKind::Stale
        | EventKind::Expired
        | EventKind::Taken
        | EventKind::Rejected => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_twenty_events_in_a_second_are_summed_up_once_it_is_over() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let event = |kind| Arc::new(EventRecord::new(kind, 0));
        let mut written = Vec::new();
        for _ in 0..30 {
            written.extend(lines.add(&event(EventKind::Added), now));
        }
        for _ in 0..5 {
            written.extend(lines.add(&event(EventKind::Gone), now + SECOND / 2));
        }
        assert_eq!(written.len(), MAX_LINES);
        assert!(lines.tick(now + SECOND / 2).is_none());
        let Some(EventLine::More(text)) = lines.tick(now + SECOND) else { panic!("no summary") };
        assert_eq!(text, "10 added, 5 gone");
        assert!(lines.tick(now + SECOND * 2).is_none());
        assert!(matches!(&*lines.add(&event(EventKind::Gone), now + SECOND * 2), [EventLine::One(_)]));
        assert!(lines.add(&event(EventKind::Live), now + SECOND * 2).is_empty(), "the mirror has logged it");
    }
}
