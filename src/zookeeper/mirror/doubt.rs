//! Ensembles that are older than what was seen of them: restored from a backup, wiped, or another one behind the same
//! names. The last view is kept for a while, as such an ensemble is likely to be mended; then what is there is
//! believed.
//!
//! # How it shows
//! Zxids only grow, and the stat of a znode, or of its parent once it is gone, tells of the last change. So neither a
//! znode's own zxids nor the largest of the root's, those below and those above it ever go back. The largest is
//! compared only where nothing is refused that was read before, as what is refused has no stat.

use std::time::{Duration, Instant};

use super::Mirror;
#[cfg(test)]
use super::Sabotage;
use crate::registry::root::Refusal;
use crate::registry::status::Phase;
use crate::registry::tree::{Known, Tree};
use crate::registry::{Error, Path};
use crate::zookeeper::session::Reply;

/// Age that the ensemble seems to have in this epoch, and the time since it has been doubted.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// The largest zxid seen in this epoch.
    pub(super) seen: i64,
    /// True if the znodes above the root could be read.
    is_whole: bool,
    /// True if a znode's own zxids went back.
    went_back: bool,
    /// Since when the ensemble has not been believed.
    pub(super) since: Option<Instant>,
    /// True if the ensemble is older than what was seen of it, and believed all the same.
    is_old: bool,
    /// Time of the next look.
    look_at: Option<Instant>,
}

/// Number of looks at an ensemble in the time that it is not believed.
const LOOKS: u32 = 10;
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

impl Doubt {
    /// An epoch ended or begins.
    pub(super) fn begin(&mut self) {
        let since = self.since;
        *self = Self { since, ..Self::default() };
    }

    /// Takes in the largest zxid that the znodes above the root tell of, if all could be read.
    pub(super) fn above(&mut self, zxid: Option<i64>) {
        self.is_whole = zxid.is_some();
        self.seen = self.seen.max(zxid.unwrap_or(0));
    }

    /// Takes in a reply.
    pub(super) fn saw(&mut self, reply: &Reply) {
        if let Reply::Node(znode) = reply {
            self.seen = self.seen.max(znode.stat.last_zxid());
        }
    }

    /// Compares a znode with what it was.
    pub(super) fn compare(&mut self, before: &Known, now: &Known) {
        self.went_back |= now.czxid < before.czxid || now.mzxid < before.mzxid;
    }

    /// The zxid below which an ensemble is older than this one, `before` being the one so far.
    pub(super) fn believed(&self, before: i64) -> i64 {
        if self.is_old { self.seen } else { self.seen.max(before) }
    }

    /// Returns whether it is time to look again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.look_at.is_none_or(|at| at <= now)
    }
}

impl Mirror {
    /// Judges what a scan has read. Where the ensemble is older than it was, nothing of it is shown yet.
    pub(super) fn is_doubtful(&mut self, now: Instant, tree: &Tree) -> bool {
        // What was read once, and is refused now as it was before, may be what the largest zxid was seen in. (Of data
        // that are too large the stat is known, and what is not refused any more hides nothing.)
        let hides = |(path, refusal): (&Path, &Refusal)| {
            refusal.read_at.is_some()
                && !matches!(refusal.error, Error::TooMuchData { .. })
                && !self.staged.contains_key(path.as_str())
        };
        let is_comparable = self.doubt.is_whole && !tree.refused().any(hides) && !self.stages_refusals();
        let is_old = self.doubt.went_back || (is_comparable && self.doubt.seen < tree.zxid());
        #[cfg(test)]
        let is_old = is_old && self.sabotage != Some(Sabotage::BelieveOld);
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
        let pause = (hold / LOOKS).clamp(SHORTEST, LONGEST);
        self.doubt.look_at = Some((now + pause).min(since + hold));
        self.enter(now, Phase::Holding);
        true
    }
}
