//! Ensembles that are older than what was seen of them: restored from a backup, wiped, or another one behind the same
//! names. The last view is kept for a while, as such an ensemble is likely to be mended; then what is there is
//! believed.
//!
//! # How it shows
//! Zxids only grow, and the stat of a znode, or of its parent once it is gone, tells of the last change. So neither a
//! znode's own zxids nor the largest of the root's, those below and those above it ever go back. The largest is
//! compared only where nothing is refused that was read before, as what is refused has no stat.

use std::time::Instant;

use crate::registry::tree::Known;
use crate::zookeeper::session::Reply;

/// Age that the ensemble seems to have in this epoch, and the time since it has been doubted.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// The largest zxid seen in this epoch.
    pub(super) seen: i64,
    /// True if the znodes above the root could be read.
    pub(super) is_whole: bool,
    /// True if a znode's own zxids went back.
    pub(super) went_back: bool,
    /// Since when the ensemble has not been believed.
    pub(super) since: Option<Instant>,
    /// True if the ensemble is older than what was seen of it, and believed all the same.
    pub(super) is_old: bool,
    /// Time of the next look.
    pub(super) look_at: Option<Instant>,
}

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
