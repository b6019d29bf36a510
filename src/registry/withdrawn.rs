//! Nodes that this process takes out itself, so that whoever sees one go can say so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Path;

/// Time within which a node that is being taken out is seen to go. One that goes later went for another reason.
const LONGEST: Duration = Duration::from_secs(60);

/// The nodes that are being taken out. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Withdrawn(Arc<Mutex<HashMap<Path, Instant>>>);

impl Withdrawn {
    /// Notes that the node at `path` is being taken out.
    pub fn note(&self, path: &Path, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, at| now.saturating_duration_since(*at) < LONGEST);
        all.insert(path.clone(), now);
    }

    /// Returns whether the node at `path`, which has gone, was taken out, and forgets it.
    pub fn take(&self, path: &Path, now: Instant) -> bool {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        at.is_some_and(|at| now.saturating_duration_since(at) < LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_goes_was_withdrawn_once_and_only_for_a_while() {
        let (withdrawn, now) = (Withdrawn::default(), Instant::now());
        let path = |path: &str| Path::new(path).unwrap();
        withdrawn.note(&path("/a"), now);
        withdrawn.note(&path("/b"), now);
        assert!(withdrawn.take(&path("/a"), now) && !withdrawn.take(&path("/a"), now));
        assert!(!withdrawn.take(&path("/b"), now + LONGEST) && !withdrawn.take(&path("/c"), now));
    }
}
