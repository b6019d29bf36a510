//! The last view, kept for a while in place of an ensemble that is older than what was seen of it.

use std::time::{Duration, Instant};

use super::Mirror;
#[cfg(test)]
use super::Mutation;
use crate::registry::root::RootRefusal;
use crate::registry::status::Phase;
use crate::registry::tree::Tree;
use crate::registry::{Error, Path};

/// Number of looks at an ensemble in the time that it is not believed.
const LOOKS: u32 = 10;
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl Mirror {
    /// Judges what a scan has read. Where the ensemble is older than it was, nothing of it is shown yet.
    pub(super) fn is_doubtful(&mut self, now: Instant, tree: &Tree) -> bool {
        // What was read once, and is refused now as it was before, may be what the largest zxid was seen in. (Of data
        // that are too large the stat is known, and what is not refused any more hides nothing.)
        let hides = |(path, refusal): (&Path, &RootRefusal)| {
            refusal.read_at.is_some()
                && !matches!(refusal.error, Error::TooMuchData { .. })
                && !self.staged.contains_key(path.as_str())
        };
        let is_comparable = self.doubt.is_whole && !tree.refused().any(hides) && !self.stages_refusals();
        let is_old = self.doubt.went_back || (is_comparable && self.doubt.seen < tree.zxid());
        #[cfg(test)]
        let is_old = is_old && self.mutation != Some(Mutation::BelieveOld);
        // Before anything was shown there is nothing to keep.
        if !is_old || self.fresh_at.is_none() {
            self.doubt.since = None;
            self.doubt.is_old = is_old;
            return false;
        }
        if self.doubt.since.is_none() {
            self.counters.went_back += 1;
        }
        let since = *self.doubt.since.get_or_insert(now);
        let hold = self.limits.hold_old;
        if now.saturating_duration_since(since) >= hold {
            self.doubt.since = None;
            self.doubt.is_old = true;
            return false;
        }
        self.end_epoch();
        let pause = (hold / LOOKS).clamp(MIN_PAUSE, MAX_PAUSE);
        self.doubt.look_at = Some((now + pause).min(since + hold));
        self.enter(now, Phase::Holding);
        true
    }
}
