//! Troubles that last: told when they begin, again now and then, and when they are over, however often they come
//! meanwhile. Pure.

use std::time::{Duration, Instant};

/// A trouble that did not come for so long is over.
pub(super) const QUIET: Duration = Duration::from_secs(15);
/// One that lasts is told again after this time.
const REPEAT: Duration = Duration::from_secs(600);

/// A trouble, from its first occurrence to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Episode {
    /// The first occurrence.
    pub(super) since: Instant,
    /// Number of times it has occurred.
    pub(super) count: u64,
    last: Instant,
    told: Instant,
}

impl Episode {
    /// Records an occurrence. Returns true if it is to be told: it is the first, or the last telling was long ago.
    pub(super) fn record(episode: &mut Option<Self>, now: Instant) -> bool {
        let Some(episode) = episode else {
            *episode = Some(Self { since: now, count: 1, last: now, told: now });
            return true;
        };
        episode.count += 1;
        episode.last = now;
        let is_due = now.saturating_duration_since(episode.told) >= REPEAT;
        if is_due {
            episode.told = now;
        }
        is_due
    }

    /// Ends an episode that has been quiet for long enough, and returns it.
    pub(super) fn end(episode: &mut Option<Self>, now: Instant) -> Option<Self> {
        episode.take_if(|episode| now.saturating_duration_since(episode.last) >= QUIET)
    }

    /// Time from the first to the last occurrence.
    pub(super) fn length(&self) -> Duration {
        self.last.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_again_after_a_while_and_when_it_is_over() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut episode = None;
        let told: Vec<_> = (0..1300).filter(|&second| Episode::record(&mut episode, at(second))).collect();
        assert_eq!(told, [0, 600, 1200]);
        assert!(Episode::end(&mut episode, at(1300)).is_none());
        let over = Episode::end(&mut episode, at(1299 + QUIET.as_secs())).unwrap();
        assert_eq!((over.count, over.length()), (1300, Duration::from_secs(1299)));
        assert!(Episode::end(&mut episode, at(9999)).is_none());
        assert!(Episode::record(&mut episode, at(9999)), "the next one is another");
    }
}
