//! Names that are known although no znode leads to them: those of services that were deleted lately, and those that the
//! configuration expects. They are NODATA, never NXDOMAIN, which resolvers and clients remember and pools are emptied
//! by.
//!
//! Of deleted services there are at most [`MAX_NAMES`]; the oldest leave first. They are kept in the cache file, so
//! that a restart forgets none. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::settings::{Section, live};
use crate::zone::name::Name;
use crate::zone::records;

/// Time for which a deleted service is known, where nobody says otherwise.
pub const LINGER: Duration = Duration::from_secs(3600);

/// Deleted services that are known at the same time.
const MAX_NAMES: usize = 10_000;

/// Reads the key `linger` of a registry's table.
pub fn read_linger(section: &mut Section<'_>) -> Duration {
    section.or(live("linger"), LINGER)
}

/// Settings of a registry's names that a reload can change.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Time for which a deleted service is known.
    pub linger: Duration,
    /// Paths of services that this process registers, below the root.
    pub registered: BTreeSet<String>,
    /// Settings of names in each zone's table.
    pub zones: Vec<(Name, records::config::Config)>,
}

/// The services of one registry that were deleted lately, by their paths in lower case.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) linger: Duration,
    services: BTreeMap<String, Gone>,
    by_time: BTreeSet<(u64, String)>,
    changes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Gone {
    /// Seconds since 1970.
    at: u64,
    /// The names that it had.
    names: Vec<Name>,
}

impl Default for Past {
    fn default() -> Self {
        Self { linger: LINGER, services: BTreeMap::new(), by_time: BTreeSet::new(), changes: 0 }
    }
}

impl Past {
    /// A service was deleted that had these names.
    pub(super) fn add(&mut self, service: &str, at: u64, names: Vec<Name>) {
        if self.linger.is_zero() || names.is_empty() {
            return;
        }
        self.remove(service);
        self.changes += 1;
        self.by_time.insert((at, service.to_owned()));
        self.services.insert(service.to_owned(), Gone { at, names });
        while self.services.len() > MAX_NAMES
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.services.remove(&oldest);
        }
    }

    /// A service is there again.
    pub(super) fn remove(&mut self, service: &str) {
        if let Some(gone) = self.services.remove(service) {
            self.changes += 1;
            self.by_time.remove(&(gone.at, service.to_owned()));
        }
    }

    /// Forgets those whose time has come by `now`. A clock that was set back makes nobody stay for longer than from
    /// now.
    pub(super) fn expire(&mut self, now: u64) {
        let is_over = |at: u64| at.saturating_add(self.linger.as_secs()) <= now || at > now.saturating_add(60);
        let over: Vec<String> = match (self.by_time.first(), self.by_time.last()) {
            (Some((first, _)), Some((last, _))) if is_over(*first) || is_over(*last) => {
                self.by_time.iter().filter(|(at, _)| is_over(*at)).map(|(_, service)| service.clone()).collect()
            }
            _ => return,
        };
        for service in over {
            self.remove(&service);
        }
    }

    /// Number of changes.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// All names, and when the service that had each was deleted.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Name, &str, u64)> {
        self.services.iter().flat_map(|(path, gone)| gone.names.iter().map(move |name| (name, path.as_str(), gone.at)))
    }

    /// As lines of the cache file: when, the path, the names. Neither has a tabulator or the end of a line in it.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let is_plain = |path: &&String| !path.contains(['\t', '\n']);
        self.services.iter().filter(move |(path, _)| is_plain(path)).map(|(path, gone)| {
            let names: Vec<String> = gone.names.iter().map(ToString::to_string).collect();
            format!("{}\t{path}\t{}", gone.at, names.join("\t"))
        })
    }

    /// Reads one of these lines.
    pub(super) fn read(&mut self, line: &str) {
        let mut fields = line.split('\t');
        let (at, path) = (fields.next().and_then(|at| at.parse().ok()), fields.next());
        if let Some((at, path)) = at.zip(path) {
            let names = fields.filter_map(|name| Name::parse(name).ok()).map(|name| name.folded()).collect();
            self.add(path, at, names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<Name> {
        vec![Name::parse(text).unwrap()]
    }

    #[test]
    fn a_deleted_service_is_known_for_a_while_and_the_oldest_leave_first() {
        let mut past = Past::default();
        for i in 0..MAX_NAMES as u64 + 3 {
            past.add(&format!("s{i}"), 1000 + i / 10, names(&format!("s{i}.service")));
        }
        assert_eq!((past.services.len(), past.by_time.len()), (MAX_NAMES, MAX_NAMES));
        assert!(!past.services.contains_key("s2") && past.services.contains_key("s3"));
        past.remove("s3");
        past.expire(1000 + 3600);
        assert_eq!(past.services.len(), MAX_NAMES - 7);
        past.linger = Duration::ZERO;
        past.expire(3000);
        assert!(past.services.is_empty() && past.by_time.is_empty());
        past.add("x", 3000, names("x.service"));
        assert!(past.services.is_empty(), "0s keeps none");
    }

    #[test]
    fn what_is_kept_in_the_cache_file_comes_back() {
        let mut past = Past::default();
        past.add("a b/c", 7, [names("c.a\\032b.service"), names("_c._tcp.a\\032b.service")].concat());
        past.add("x", 9, names("x.service"));
        let mut other = Past::default();
        past.lines().for_each(|line| other.read(&line));
        assert_eq!(other.services, past.services);
        for bad in ["", "x", "7", "\t\t", "7\tx", "7\tx\t..", "-1\tx\tx.service"] {
            Past::default().read(bad);
        }
    }
}
