//! The last events, by index. A reader takes what comes after the index that it has: nothing is kept for it, and one
//! that is too slow, or comes from another process, is told to begin anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::event::{EventKind, EventRecord};
use super::lines::Lines;

/// Events that are kept.
pub const KEPT: usize = 10_000;

/// Bits of an index that count the events of one process; the others are the second at which it began. So an index
/// grows over restarts, and stays exact where numbers are doubles.
const COUNT_BITS: u32 = 20;

/// The events. Clones share them.
#[derive(Debug, Clone)]
pub struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The process, as ids begin.
    process: String,
    state: Mutex<RingState>,
    last: watch::Sender<u64>,
}

#[derive(Debug)]
struct RingState {
    kept: VecDeque<Arc<EventRecord>>,
    /// Index of the last event; before any, what the first comes after.
    last: u64,
    lines: Lines,
}

/// Events after an index.
#[derive(Debug, Default)]
pub struct Page {
    /// They, in order.
    pub events: Vec<Arc<EventRecord>>,
    /// True if others have come since that index which are not kept any longer, or it is none of this process.
    pub is_reset: bool,
    /// Index of the last event that there is.
    pub last: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self::of_process(SystemTime::now(), std::process::id())
    }
}

impl Events {
    /// The events of the process `pid`, which began at `begun`.
    pub fn of_process(begun: SystemTime, pid: u32) -> Self {
        let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default();
        let last = begun.as_secs() << COUNT_BITS;
        let state = RingState { kept: VecDeque::new(), last, lines: Lines::default() };
        let process = format!("{:x}{pid:x}", begun.as_millis());
        Self(Arc::new(Shared { process, state: Mutex::new(state), last: watch::Sender::new(last) }))
    }

    /// Adds these events, which get their indices here, and writes their lines into the log.
    pub fn push(&self, events: Vec<EventRecord>) {
        if events.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut lines = Vec::new();
        let last = {
            let mut state = self.lock();
            for mut event in events {
                state.last += 1;
                event.index = state.last;
                let event = Arc::new(event);
                lines.extend(state.lines.add(&event, now));
                if state.kept.len() == KEPT {
                    state.kept.pop_front();
                }
                state.kept.push_back(event);
            }
            state.last
        };
        // Not with the lock held: whoever is woken takes it at once.
        self.0.last.send_replace(last);
        lines.into_iter().for_each(super::lines::EventLine::write);
    }

    /// Adds what became of a configuration that was read again.
    pub fn configuration(&self, kind: EventKind, detail: &str) {
        self.push(vec![EventRecord { detail: detail.trim().to_owned(), ..EventRecord::new(kind, unix_ms()) }]);
    }

    /// Writes the lines that time alone brings about.
    pub fn tick(&self, now: Instant) {
        let line = self.lock().lines.tick(now);
        line.into_iter().for_each(super::lines::EventLine::write);
    }

    /// Index of the last event.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// Events after the index `after`, at most `limit`.
    pub fn after(&self, after: u64, limit: usize) -> Page {
        let state = self.lock();
        let oldest = state.last - state.kept.len() as u64;
        let is_reset = after < oldest || after > state.last;
        let from = if is_reset { oldest } else { after };
        let skipped = usize::try_from(from - oldest).unwrap_or(usize::MAX);
        let events = state.kept.iter().skip(skipped).take(limit).cloned().collect();
        Page { events, is_reset, last: state.last }
    }

    /// Events since a time, in milliseconds since 1970, that `is_wanted` takes: the last ones, at most `limit`.
    pub fn since(&self, unix_ms: u64, limit: usize, is_wanted: impl Fn(&EventRecord) -> bool) -> Page {
        // They are looked at without the lock.
        let Page { events, last, .. } = self.after(0, KEPT);
        let mut events: Vec<_> =
            events.into_iter().filter(|event| event.unix_ms >= unix_ms && is_wanted(event)).collect();
        events.drain(..events.len().saturating_sub(limit));
        Page { events, is_reset: false, last }
    }

    /// Index of the last event after `after` that `is_wanted` takes; `None` where there is none, and of events that are
    /// not kept any longer nobody knows.
    pub fn last_of(&self, after: u64, is_wanted: impl Fn(&EventRecord) -> bool) -> Option<u64> {
        let Page { events, is_reset, last } = self.after(after, KEPT);
        if is_reset {
            return Some(last);
        }
        events.iter().rev().find(|event| is_wanted(event)).map(|event| event.index)
    }

    /// Index of the last event, now and from now on.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    /// Id of the event with this index.
    pub fn id(&self, index: u64) -> String {
        format!("{}-{index}", self.0.process)
    }

    /// Index in an id; `None` for one of another process.
    pub fn index_of(&self, id: &str) -> Option<u64> {
        let (process, index) = id.split_once('-')?;
        index.parse().ok().filter(|_| process == self.0.process)
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn events(count: usize) -> Vec<EventRecord> {
        (0..count as u64).map(|number| EventRecord::new(EventKind::Added, number)).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_is_told_where_it_cannot() {
        let begun = UNIX_EPOCH + Duration::from_secs(1_796_073_000);
        let ring = Events::of_process(begun, 7);
        let first = ring.last();
        ring.push(events(3));
        let page = ring.after(first, 2);
        assert_eq!(page.events.iter().map(|event| event.index - first).collect::<Vec<_>>(), [1, 2]);
        assert!(!page.is_reset);
        let page = ring.after(page.events[1].index, 9);
        assert_eq!((page.events.len(), page.last, page.is_reset), (1, first + 3, false));
        assert!(ring.after(page.last, 9).events.is_empty());
        ring.push(events(KEPT));
        let slow = ring.after(first + 1, 1);
        assert!(slow.is_reset && slow.events[0].index == first + 4, "those that are kept");
        assert!(ring.after(ring.last() + 1, 9).is_reset);
        let later = Events::of_process(begun + Duration::from_secs(1), 7);
        assert!(later.after(ring.last(), 9).is_reset && later.last() > ring.last());
        assert_eq!(ring.index_of(&ring.id(12)), Some(12));
        assert_eq!((later.index_of(&ring.id(12)), ring.index_of("x"), ring.index_of("-")), (None, None, None));
        assert!(ring.last() < 1 << 53, "an index is exact as a double");
    }

    #[test]
    fn events_are_found_by_time_and_those_of_one_service_by_index() {
        let ring = Events::default();
        ring.push(events(10));
        let page = ring.since(4, 3, |event| event.unix_ms % 2 == 0);
        assert_eq!(page.events.iter().map(|event| event.unix_ms).collect::<Vec<_>>(), [4, 6, 8]);
        let first = ring.last() - 10;
        assert_eq!(ring.last_of(first, |event| event.unix_ms < 4), Some(first + 4));
        assert_eq!(ring.last_of(first + 4, |event| event.unix_ms < 4), None);
    }
}
