//! A cache file that is needed at once: the next image of the process begins with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::shared::SharedCache;

/// Has what no cache file holds yet saved without the rest that saves take; nothing where none is kept.
#[derive(Debug, Clone, Default)]
pub struct Hurry(Arc<Mutex<Option<Arc<SharedCache>>>>);

impl Hurry {
    pub(super) fn of(&self, shared: &Arc<SharedCache>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(shared));
    }

    /// Waits until everything that was published is saved, for at most `patience`; returns whether it is. Blocks.
    pub fn save(&self, patience: Duration) -> bool {
        let Some(shared) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return true };
        let begun = Instant::now();
        let mut state = shared.lock();
        while state.dirty || state.amendments.is_some() {
            let left = patience.saturating_sub(begun.elapsed());
            state.hurry = !left.is_zero();
            if left.is_zero() {
                return false;
            }
            shared.moved.notify_one();
            state = shared.wait_for_end(state, left);
        }
        true
    }
}
