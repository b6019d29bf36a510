//! Words for what is wrong with a registry, for status, page, metrics and log alike, and when the log has them again.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::mirror::Difference;
use super::session::Ensemble;
use crate::registry::Path;
use crate::registry::root::Root;
use crate::registry::tree::Tree;

/// Time until trouble that lasts is logged again.
const REPEAT: Duration = Duration::from_secs(600);
/// Paths that are named; the others are counted.
const MAX_NAMED: usize = 3;

/// The trouble with the root, if there is any.
pub(super) fn of_root(ensemble: &impl Ensemble, tree: &Tree, root: &Path) -> Option<String> {
    match tree.root(root) {
        Root::Present => None,
        Root::Missing => Some(format!("the root {} does not exist", ensemble.full_path(root))),
        Root::Gone => Some(format!("the root {} is gone", ensemble.full_path(root))),
        Root::Refused(_) => Some(not_allowed(ensemble, root)),
    }
}

/// The trouble with a znode that cannot be read.
pub fn not_allowed(ensemble: &impl Ensemble, path: &Path) -> String {
    let identity = ensemble.identity().unwrap_or_else(|| "without credentials".to_owned());
    format!("not allowed to read {} ({identity})", ensemble.full_path(path))
}

/// The trouble with parts below the root that cannot be read.
pub(super) fn of_parts(ensemble: &impl Ensemble, parts: &[Path]) -> Option<String> {
    let named: Vec<String> = parts.iter().take(MAX_NAMED).map(|path| not_allowed(ensemble, path)).collect();
    match parts.len().saturating_sub(MAX_NAMED) {
        _ if parts.is_empty() => None,
        0 => Some(named.join("; ")),
        more => Some(format!("{}; and {more} paths more", named.join("; "))),
    }
}

/// The trouble with an ensemble whose zxid went back.
pub(super) fn went_back(ensemble: &impl Ensemble) -> String {
    format!("{} is not the ensemble it was (zxid went back)", ensemble.describe())
}

/// Logs znodes that had changed without an event.
pub(super) fn log_untold(ensemble: &impl Ensemble, paths: &[(Path, Difference)]) {
    for kind in [Difference::Missed, Difference::Rights] {
        let of_kind = || paths.iter().filter(|(_, difference)| *difference == kind);
        let named: Vec<String> = of_kind().take(MAX_NAMED).map(|(path, _)| ensemble.full_path(path)).collect();
        let (znodes, paths) = (of_kind().count(), named.join(" "));
        match kind {
            _ if znodes == 0 => {}
            Difference::Missed => {
                warn!(
                    znodes,
                    paths, "missed events: znodes had changed without one, and were read again; please report this"
                );
            }
            Difference::Rights => info!(znodes, paths, "the rights to read znodes have changed"),
        }
    }
}

/// The trouble that was logged last.
#[derive(Debug, Default)]
pub(super) struct Log(Option<(String, Instant)>);

/// Reason to log something now.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// The trouble has begun, is another one, or has lasted long since it was logged last.
    Trouble,
    /// It is over.
    Over,
}

impl Log {
    /// Logs trouble when it begins, while it lasts, and when it is over.
    pub(super) fn follow(&mut self, now: Instant, root: &str, trouble: Option<&str>) {
        match self.due(now, trouble) {
            None => {}
            Some(Due::Over) => info!(root, "the trouble with the registry is over"),
            Some(Due::Trouble) => warn!(root, "{}", trouble.unwrap_or_default()),
        }
    }

    /// Returns what to log at `now`, if anything, and takes it for logged.
    fn due(&mut self, now: Instant, trouble: Option<&str>) -> Option<Due> {
        match (trouble, &mut self.0) {
            (None, None) => None,
            (None, before) => {
                *before = None;
                Some(Due::Over)
            }
            (Some(trouble), Some((before, at))) if before == trouble && now.saturating_duration_since(*at) < REPEAT => {
                None
            }
            (Some(trouble), before) => {
                *before = Some((trouble.to_owned(), now));
                Some(Due::Trouble)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_logged_once_and_again_every_ten_minutes_while_it_lasts() {
        let (mut log, begin) = (Log::default(), Instant::now());
        let mut at = |seconds, trouble| log.due(begin + Duration::from_secs(seconds), trouble);
        let (gone, refused) = (Some("the root /services is gone"), Some("not allowed to read /services"));
        assert_eq!(at(0, None), None);
        assert_eq!(at(1, gone), Some(Due::Trouble));
        let lines = (2..1_802).filter(|second| at(*second, gone) == Some(Due::Trouble));
        assert_eq!(lines.collect::<Vec<_>>(), [601, 1_201, 1_801]);
        assert_eq!(at(1_803, refused), Some(Due::Trouble), "another trouble is news");
        assert_eq!(at(1_804, None), Some(Due::Over));
        assert_eq!(at(1_805, None), None);
        assert_eq!(at(1_806, refused), Some(Due::Trouble), "it is back");
    }
}
