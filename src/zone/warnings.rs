//! What the people who run a zone are to know of it although it is served: shown in status, page and metrics.

use std::sync::{Mutex, PoisonError};

/// What a warning is about. There is one of each at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Whether its serials survive a restart.
    Serials,
    /// Whether secondaries can carry it.
    Size,
    /// Whether its serial is ahead of the clock.
    Clock,
}

/// How many RRsets of a zone are larger than others carry.
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

    /// How many RRsets are large.
    pub fn large(&self) -> Large {
        *self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
