//! When a change that was read is shown to the readers.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

#[cfg(test)]
use super::Sabotage;
use super::{Action, Mirror};
use crate::keeper::Path;

impl Mirror {
    /// Publishes what has settled: everything when no read is outstanding, and after a while all but what has
    /// neighbours still being read; in the end everything, as a storm must not keep good news back.
    pub(super) fn publish(&mut self, now: Instant) {
        let Some(since) = self.changed_since else { return };
        let held = now.saturating_duration_since(since);
        // What is read for the first time shows in whole, and holds nobody up.
        let joining = if self.joining.is_empty() { BTreeSet::new() } else { self.take_joining() };
        self.publish_settled(held);
        if !joining.is_empty() {
            self.changed.extend(joining);
            self.changed_since = Some(since);
        }
    }

    fn publish_settled(&mut self, held: Duration) {
        #[cfg(test)]
        let held = if self.sabotage == Some(Sabotage::PublishAtOnce) { self.limits.hold * 10 } else { held };
        if self.changed.is_empty() {
            self.changed_since = None;
        } else if self.busy.is_empty() || held >= self.limits.hold * 10 {
            self.actions.push(Action::Publish(std::mem::take(&mut self.changed)));
            self.changed_since = None;
        } else if held >= self.limits.hold {
            let unsettled: HashSet<&str> = self.busy.keys().filter_map(Path::parent).collect();
            let (held_back, settled) = std::mem::take(&mut self.changed)
                .into_iter()
                .partition(|path| path.parent().is_some_and(|parent| unsettled.contains(parent)));
            self.changed = held_back;
            if self.changed.is_empty() {
                self.changed_since = None;
            }
            let settled: BTreeSet<Path> = settled;
            if !settled.is_empty() {
                self.actions.push(Action::Publish(settled));
            }
        }
    }
}
