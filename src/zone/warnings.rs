//! Warnings about a zone that is served all the same: shown in status, page and metrics.

use std::sync::{Mutex, PoisonError};

/// Subject of a warning. There is one of each at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Serials that do not survive a restart.
    Serials,
    /// A size that secondaries cannot carry.
    Size,
    /// A serial ahead of the clock.
    Clock,
}

/// Number of RRsets of a zone that are larger than others carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Large {
    /// With more than 100 records, where the zone is transferred.
    pub many: usize,
    /// With more than a message has room for (64 KiB).
    pub long: usize,
}

/// The warnings of one zone.
#[derive(Debug, Default)]
pub struct Warnings {
    sentences: Mutex<[Option<String>; 3]>,
    large: Mutex<Large>,
}

impl Warnings {
    /// Replaces the warning about something; `None` takes it back. Returns whether it is another one now.
    pub fn set(&self, about: About, warning: Option<String>) -> bool {
        let place = &mut self.sentences.lock().unwrap_or_else(PoisonError::into_inner)[about as usize];
        let is_new = *place != warning;
        *place = warning;
        is_new
    }

    /// All of them, a sentence each.
    pub fn all(&self) -> Vec<String> {
        self.sentences.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect()
    }

    /// The one about something.
    pub fn get(&self, about: About) -> Option<String> {
        self.sentences.lock().unwrap_or_else(PoisonError::into_inner)[about as usize].clone()
    }

    /// Says how many RRsets are large now.
    pub(super) fn set_large(&self, large: Large) {
        *self.large.lock().unwrap_or_else(PoisonError::into_inner) = large;
    }

    /// Number of large RRsets.
    pub fn large(&self) -> Large {
        *self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
