//! What the people who run a zone are to know of it although it is served: shown in status, page and metrics.

use std::sync::{Mutex, PoisonError};

/// What a warning is about. There is one of each at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Whether its serials survive a restart.
    Serials,
    /// Whether secondaries can carry it.
    Size,
}

/// The warnings of one zone.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<[Option<String>; 2]>);

impl Warnings {
    /// Replaces the warning about something; `None` takes it back. Returns whether it is another one now.
    pub fn set(&self, about: About, warning: Option<String>) -> bool {
        let place = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[about as usize];
        let is_new = *place != warning;
        *place = warning;
        is_new
    }

    /// All of them, a sentence each.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect()
    }
}
