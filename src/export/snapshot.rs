//! One state of a zone, as it is exported.

use crate::zone::Zone;
use crate::zone::packed::Packed;

/// One state of a zone, its names in canonical order (RFC 4034 §6.1). Taking it copies a pointer a name; whoever reads
/// it afterwards holds nothing up.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) origin: String,
    pub(super) freshness: &'static str,
    pub(super) entries: Vec<Packed>,
    pub(super) beside: Beside,
}

/// Remarks of a registry about a zone besides its records. Paths and reasons are any text.
#[derive(Debug, Default)]
pub struct Beside {
    /// Paths of services below the root, and the names in the zone of each.
    pub paths: Vec<(String, Vec<String>)>,
    /// Paths of znodes that are not served, and why.
    pub lost: Vec<(String, String)>,
    /// Paths of znodes that are served with a default or with what they said before, and why.
    pub doubtful: Vec<(String, String)>,
}

impl Beside {
    /// As comments, each a line that begins with `mark`.
    pub(super) fn comments(&self, mark: &str) -> String {
        let one = |what: &str, path: &str, words: &str| {
            // No character ends the comment.
            let plain =
                |text: &str| text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), "?");
            format!("{mark} {what} {}: {}\n", plain(path), plain(words))
        };
        let paths = self.paths.iter().map(|(path, names)| one("service", path, &names.join(" ")));
        let lost = self.lost.iter().map(|(path, reason)| one("lost", path, reason));
        let doubtful = self.doubtful.iter().map(|(path, reason)| one("doubtful", path, reason));
        paths.chain(lost).chain(doubtful).collect()
    }
}

impl Snapshot {
    /// The zone as it is now.
    pub fn take(zone: &Zone) -> Self {
        let mut entries: Vec<Packed> = zone.load().entries().into_iter().collect();
        entries.sort_by_cached_key(|entry| {
            let mut labels: Vec<Vec<u8>> = crate::zone::name::labels(entry.name()).map(<[u8]>::to_vec).collect();
            labels.reverse();
            labels
        });
        Self {
            origin: zone.origin().to_string(),
            freshness: zone.freshness().as_str(),
            entries,
            beside: Beside::default(),
        }
    }

    /// The same with what a registry says besides.
    pub fn with(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }
}
