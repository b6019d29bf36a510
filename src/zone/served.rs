//! A zone as its readers see it, and what its one writer tells them beside the names.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::commit::Commit;
use super::config;
use super::events::{Events, Follower};
use super::freshness::Freshness;
use super::index::Index;
use super::journal::{Bounds, Difference, Journal};
use super::name::Name;
use super::order::Order;
use super::stale::StaleNames;
use super::transferred::Transferred;
use super::view::View;
use super::warnings::Warnings;

/// A zone as its readers see it.
#[derive(Debug)]
pub struct Zone {
    origin: Name,
    index: Arc<Index>,
    freshness: AtomicU8,
    minimal_responses: AtomicBool,
    order: AtomicU8,
    serial: AtomicU32,
    /// Fingerprint of the file that a zone is made of alone; 0 for any other.
    content: AtomicU64,
    journal: Mutex<Journal>,
    fixed: Option<Arc<Self>>,
    stale: StaleNames,
    /// True while transfers wait, as something is being looked up that belongs to them.
    holds_transfers: AtomicBool,
    warnings: Warnings,
    events: Arc<Events>,
    /// Freshness of each source but the zone itself, by its name.
    sources: Mutex<Vec<(Arc<str>, Freshness)>>,
}

impl Zone {
    /// A zone that is empty and of which nothing is known yet. `fixed` is the one that [`Self::fixed`] returns.
    pub(super) fn new(origin: Name, index: Arc<Index>, journal: Bounds, fixed: Option<Arc<Self>>) -> Self {
        let live = config::Live::default();
        Self {
            origin,
            index,
            freshness: AtomicU8::new(Freshness::Loading as u8),
            minimal_responses: AtomicBool::new(live.minimal_responses),
            order: AtomicU8::new(live.order as u8),
            serial: AtomicU32::new(0),
            content: AtomicU64::new(0),
            journal: Mutex::new(Journal::new(journal)),
            fixed,
            stale: StaleNames::default(),
            holds_transfers: AtomicBool::new(false),
            warnings: Warnings::default(),
            events: Arc::default(),
            sources: Mutex::default(),
        }
    }

    /// Freshness of each of its sources that are readers of a registry, by their names.
    pub fn sources(&self) -> Vec<(Arc<str>, Freshness)> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_sources(&self, sources: Vec<(Arc<str>, Freshness)>) {
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// The apex, in lower case.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Returns whether a name, in wire form and lower case, is the apex or below it.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        let origin = self.origin.wire();
        let Some(start) = name.len().checked_sub(origin.len()) else { return false };
        name[start..] == *origin && is_label_start(name, start)
    }

    /// One state of all names. Hold it for one query.
    pub fn load(&self) -> View {
        View::new(self.index.load())
    }

    /// The zone without what a registry puts into it: its file and its own records. None for a zone that is its file
    /// and nothing else. Its serial means nothing.
    pub fn fixed(&self) -> Option<&Arc<Self>> {
        self.fixed.as_ref()
    }

    /// Names of which the last answers go on while the rest of the zone is current.
    pub fn stale(&self) -> &StaleNames {
        &self.stale
    }

    /// Freshness of the data now.
    pub fn freshness(&self) -> Freshness {
        Freshness::ALL[usize::from(self.freshness.load(Ordering::Relaxed)) % 4]
    }

    /// Says how far the data can be trusted from now on.
    pub(super) fn set_freshness(&self, freshness: Freshness) {
        self.freshness.store(freshness as u8, Ordering::Relaxed);
    }

    /// Says whether transfers and NOTIFY wait from now on.
    pub(super) fn hold_transfers(&self, hold: bool) {
        self.holds_transfers.store(hold, Ordering::Release);
    }

    /// Returns whether secondaries may have the zone now: not before all of it is known, nor when it is too old.
    pub fn is_transferable(&self) -> bool {
        !matches!(self.freshness(), Freshness::Loading | Freshness::Expired)
            && !self.holds_transfers.load(Ordering::Acquire)
    }

    /// Returns whether positive answers leave out the zone's NS records.
    pub fn is_minimal(&self) -> bool {
        self.minimal_responses.load(Ordering::Relaxed)
    }

    /// Takes the settings that may change while the zone is served.
    pub(super) fn set_live(&self, live: config::Live) {
        self.minimal_responses.store(live.minimal_responses, Ordering::Relaxed);
        self.order.store(live.order as u8, Ordering::Relaxed);
    }

    /// Returns how the first record of an answer is chosen now.
    pub fn order(&self) -> Order {
        Order::ALL[usize::from(self.order.load(Ordering::Relaxed)) % Order::ALL.len()]
    }

    /// The serial of the last commit.
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// A number for the content that the serial stands for, where the zone is only its master file: whoever keeps it
    /// can tell after a restart whether the same serial is the same zone. 0 for every other zone.
    pub fn content(&self) -> u64 {
        self.content.load(Ordering::Relaxed)
    }

    /// Follows what happens to the zone from now on.
    pub fn follow(&self) -> Follower {
        Events::follow(&self.events)
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Warnings for those who run the zone.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Changes from `serial` to the last commit; none when the journal does not reach back to it.
    pub fn difference(&self, serial: u32) -> Option<Difference> {
        let past = self.journal.lock().unwrap_or_else(PoisonError::into_inner).since(serial)?;
        past.condense(&self.origin)
    }

    /// Part of the zone that secondaries get. To be taken after the table that it is applied to: a state of the zone is
    /// followed by the whole zone wherever this changes.
    pub fn transferred(&self) -> Arc<Transferred> {
        Arc::clone(self.journal.lock().unwrap_or_else(PoisonError::into_inner).transferred())
    }

    /// Returns whether that is something else than before; the journal then begins anew.
    pub(super) fn set_transferred(&self, transferred: &Transferred) -> bool {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).set_transferred(transferred)
    }

    pub(super) fn record(&self, commit: &Commit) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).push(&self.origin, commit);
    }

    /// Sets how much of its past the zone keeps from now on. Not between the halves of a commit.
    pub(super) fn keep_journal(&self, bounds: Bounds) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).set_bounds(bounds);
    }

    /// Returns whether commits are kept for incremental transfers: somebody may transfer the zone.
    pub fn keeps_journal(&self) -> bool {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).is_kept()
    }

    /// Nothing leads from earlier serials to the next.
    pub(super) fn forget_journal(&self) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn set_serial(&self, serial: u32, content: u64) {
        self.content.store(content, Ordering::Relaxed);
        self.serial.store(serial, Ordering::Relaxed);
    }
}

/// Returns whether a label begins at `start` of a name in wire form.
fn is_label_start(name: &[u8], start: usize) -> bool {
    let mut at = 0;
    while at < start {
        match name.get(at) {
            Some(&length) if length > 0 => at += 1 + usize::from(length),
            _ => return false,
        }
    }
    at == start
}
