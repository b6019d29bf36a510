//! Events of a zone: each commit, and each change of how far its data can be trusted, told to all that follow the zone.
//!
//! One writer tells, many follow ([`Follower`]). Telling never waits: the last [`KEPT`] events are kept, and a follower
//! that is further behind is told how many it has missed ([`Lagged`]). Nothing is kept of a zone that nobody follows.
//! It has no clock and no runtime: a follower is a future of std.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::freshness::Freshness;
use super::name::Name;

/// Events that are kept for followers that are behind.
pub const KEPT: usize = 256;

/// Names and services that one event lists at most.
pub const MAX_LISTED: usize = 256;

/// One event of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place among the zone's events, from 0.
    pub number: u64,
    /// The zone's origin.
    pub zone: Name,
    /// Seconds since 1970.
    pub unix: u64,
    /// The zone's serial from then on.
    pub serial: u32,
    /// The freshness of its data from then on.
    pub freshness: Freshness,
    /// Names whose records are different, but the apex, which is in every commit; empty for an event that is no commit.
    /// Those that are made on demand are among them only where a journal is kept.
    pub names: Vec<Name>,
    /// Services that offer something else than before.
    pub services: Vec<ChangedService>,
    /// True if more names or services changed than are listed.
    pub is_partial: bool,
}

/// A service in an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedService {
    /// The name of its source; empty for the zone's own.
    pub source: Arc<str>,
    /// Its path.
    pub path: Arc<str>,
}

/// A follower was so far behind that it has missed events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missed} events were missed")]
pub struct Lagged {
    /// Number of events missed.
    pub missed: u64,
}

/// The events of one zone.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<EventsState>);

#[derive(Debug, Default)]
struct EventsState {
    /// Number of the next event.
    next: u64,
    /// The last events, the newest last.
    kept: VecDeque<Arc<Event>>,
    followers: usize,
    /// Ids of followers, and those that wait.
    last_id: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, EventsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether anybody follows.
    pub(super) fn are_followed(&self) -> bool {
        self.lock().followers > 0
    }

    /// Tells an event, whose number is given to it here.
    pub(super) fn tell(&self, event: Event) {
        let woken = {
            let mut state = self.lock();
            if state.followers == 0 {
                return;
            }
            if state.kept.len() == KEPT {
                state.kept.pop_front();
            }
            let number = state.next;
            state.kept.push_back(Arc::new(Event { number, ..event }));
            state.next += 1;
            std::mem::take(&mut state.waiting)
        };
        // Not with the lock held: whoever is woken may be at once at the next event.
        for (_, waker) in woken {
            waker.wake();
        }
    }

    pub(super) fn follow(events: &Arc<Self>) -> Follower {
        let mut state = events.lock();
        state.followers += 1;
        state.last_id += 1;
        Follower { events: Arc::clone(events), next: state.next, id: state.last_id }
    }
}

/// Follows the events of one zone, from its making on.
#[derive(Debug)]
pub struct Follower {
    events: Arc<Events>,
    /// Number of the event that comes next.
    next: u64,
    id: u64,
}

impl Follower {
    /// Returns the next event, if it is there.
    ///
    /// # Errors
    /// [`Lagged`] where events were missed; the next is then the oldest that is kept.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event>>, Lagged> {
        let events = Arc::clone(&self.events);
        self.take(&events.lock())
    }

    /// Waits for the next event, as [`Self::try_next`] returns it.
    pub fn event(&mut self) -> Next<'_> {
        Next(self)
    }

    fn take(&mut self, state: &EventsState) -> Result<Option<Arc<Event>>, Lagged> {
        let oldest = state.next - state.kept.len() as u64;
        if self.next < oldest {
            let missed = oldest - self.next;
            self.next = oldest;
            return Err(Lagged { missed });
        }
        let place = usize::try_from(self.next - oldest).unwrap_or(usize::MAX);
        let event = state.kept.get(place).cloned();
        self.next += u64::from(event.is_some());
        Ok(event)
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<Arc<Event>, Lagged>> {
        let events = Arc::clone(&self.events);
        let mut state = events.lock();
        match self.take(&state) {
            Ok(Some(event)) => Poll::Ready(Ok(event)),
            Err(lagged) => Poll::Ready(Err(lagged)),
            Ok(None) => {
                state.waiting.retain(|(id, _)| *id != self.id);
                state.waiting.push((self.id, context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.events.lock();
        state.waiting.retain(|(id, _)| *id != self.id);
        state.followers -= 1;
        if state.followers == 0 {
            state.kept = VecDeque::new();
        }
    }
}

/// The wait for one event.
#[derive(Debug)]
pub struct Next<'f>(&'f mut Follower);

impl Future for Next<'_> {
    type Output = Result<Arc<Event>, Lagged>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

/// Follows several zones, for those who look at the zones themselves once something has changed.
#[derive(Debug, Default)]
pub struct Changes(Vec<Follower>);

impl Changes {
    /// Changes of these zones from now on.
    pub fn of(followers: impl IntoIterator<Item = Follower>) -> Self {
        Self(followers.into_iter().collect())
    }

    /// Waits until something has changed since the last wait.
    pub fn changed(&mut self) -> Changed<'_> {
        Changed(self)
    }
}

/// The wait for a change.
#[derive(Debug)]
pub struct Changed<'c>(&'c mut Changes);

impl Future for Changed<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut is_changed = false;
        for follower in &mut self.0.0 {
            // All that is there at once, what was missed included, is one change.
            while follower.poll(context).is_ready() {
                is_changed = true;
            }
        }
        if is_changed { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn event(serial: u32) -> Event {
        let (zone, freshness) = (Name::root(), Freshness::Fresh);
        Event {
            number: 0,
            zone,
            unix: 0,
            serial,
            freshness,
            names: Vec::new(),
            services: Vec::new(),
            is_partial: false,
        }
    }

    fn serials(follower: &mut Follower) -> Vec<u32> {
        std::iter::from_fn(|| follower.try_next().unwrap()).map(|event| event.serial).collect()
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_follower_gets_each_event_since_it_began_once_and_in_order() {
        let events = Arc::new(Events::default());
        events.tell(event(1));
        let mut first = Events::follow(&events);
        events.tell(event(2));
        let mut second = Events::follow(&events);
        events.tell(event(3));
        assert_eq!((serials(&mut first), serials(&mut second)), (vec![2, 3], vec![3]));
        assert!(serials(&mut first).is_empty());
    }

    #[test]
    fn a_slow_follower_holds_nobody_up_and_learns_how_many_it_has_missed() {
        let events = Arc::new(Events::default());
        let (mut slow, mut fast) = (Events::follow(&events), Events::follow(&events));
        for serial in 0..u32::try_from(KEPT).unwrap() + 3 {
            events.tell(event(serial));
            assert_eq!(serials(&mut fast), [serial]);
        }
        assert_eq!(slow.try_next(), Err(Lagged { missed: 3 }));
        assert_eq!(slow.try_next().unwrap().unwrap().serial, 3);
        assert_eq!(events.lock().kept.len(), KEPT, "and no more is kept for it");
        drop((slow, fast));
        assert!(events.lock().kept.is_empty() && !events.are_followed());
    }

    #[test]
    fn who_waits_is_woken_by_the_next_event_and_by_no_other_after_it() {
        let events = Arc::new(Events::default());
        let (count, mut follower) = (Arc::new(Count::default()), Events::follow(&events));
        let waker = Waker::from(Arc::clone(&count));
        let poll = |follower: &mut Follower| Pin::new(&mut follower.event()).poll(&mut Context::from_waker(&waker));
        assert!(poll(&mut follower).is_pending() && poll(&mut follower).is_pending());
        events.tell(event(1));
        events.tell(event(2));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(matches!(poll(&mut follower), Poll::Ready(Ok(event)) if event.serial == 1));
        let mut changes = Changes::of([follower, Events::follow(&events)]);
        let mut poll = || Pin::new(&mut changes.changed()).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_ready(), "the second event");
        assert!(poll().is_pending());
        events.tell(event(3));
        events.tell(event(4));
        assert_eq!(count.0.load(Ordering::Relaxed), 3, "both followers were woken once");
        assert!(poll().is_ready() && poll().is_pending(), "two events are one change");
    }
}
