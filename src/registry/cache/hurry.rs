//! A cache file that is needed at once: the next image of the process begins with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::shared::SharedCache;

/// The time between two looks at a save that is under way.
const POLL: Duration = Duration::from_millis(5);

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
        loop {
            {
                let mut state = shared.lock();
                if !state.dirty && state.amendments.is_none() {
                    return true;
                }
                state.hurry = begun.elapsed() < patience;
                if !state.hurry {
                    return false;
                }
            }
            shared.moved.notify_one();
            std::thread::park_timeout(POLL);
        }
    }
}
