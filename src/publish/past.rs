//! Names that are known although no znode leads to them: those of services that were deleted lately, and those that the
//! configuration expects. They are NODATA, never NXDOMAIN, which resolvers and clients remember and pools are emptied
//! by.
//!
//! Of deleted services there are at most [`MOST`]; the oldest leave first. They are kept in the cache file, so that a
//! restart forgets none. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::target::below;
use super::{Core, Publisher, Target, unix_now};
use crate::model::Protocol;
use crate::registry::shown::ShownTree;
use crate::settings::{Section, live};
use crate::zone::name::Name;
use crate::zone::records::{self, label, srv};

/// How long a deleted service is known, where nobody says otherwise.
pub const LINGER: Duration = Duration::from_secs(3600);

/// Before the time, in seconds since 1970, at the end of a host's line in the cache file.
const AT: &str = "at=";

/// Deleted services that are known at the same time.
const MOST: usize = 10_000;

/// Reads the key `linger` of a registry's table.
pub fn read_linger(section: &mut Section<'_>) -> Duration {
    section.or(live("linger"), LINGER)
}

/// What a reload can change about the names of a registry.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// How long a deleted service is known.
    pub linger: Duration,
    /// Paths of services that this process registers, below the root.
    pub registered: BTreeSet<String>,
    /// What each zone's table says of its names.
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
    /// When, in seconds since 1970.
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
        while self.services.len() > MOST
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

    /// How often it has changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// All names, and when the service that had each was deleted.
    fn names(&self) -> impl Iterator<Item = (&Name, &str, u64)> {
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

impl Publisher {
    /// The DNS names of the service at `path` below the root: those that zones have now, or else those that it would
    /// have.
    pub(super) fn names(&self, path: &str) -> Vec<Name> {
        let folded = path.to_ascii_lowercase();
        let core = self.lock();
        let mut names = Vec::new();
        for target in core.targets.iter().filter(|target| target.reverse_of.is_empty()) {
            let before = names.len();
            names.extend(Core::names_before(target, &folded));
            if names.len() == before
                && let Some(path) = below(&folded, &target.under)
            {
                names.extend(names_of(&target.origin(), path));
            }
        }
        names
    }
}

impl Publisher {
    /// The name of the service itself at `path` below the root, in each zone that shows that part of the registry.
    pub(super) fn owners(&self, path: &str) -> Vec<Name> {
        let folded = path.to_ascii_lowercase();
        let core = self.lock();
        let forward = core.targets.iter().filter(|target| target.reverse_of.is_empty());
        forward.filter_map(|target| label::owner(&target.origin(), below(&folded, &target.under)?).ok()).collect()
    }
}

/// Names that a service at `path` below what a zone shows has, whatever it holds.
fn names_of(origin: &Name, path: &str) -> Vec<Name> {
    let Ok(owner) = label::owner(origin, path) else { return Vec::new() };
    let mut names: Vec<Name> = label::alias(origin, path).into_iter().collect();
    if owner != *origin
        && let Some((domain, first)) = owner.parent().zip(owner.labels().next())
    {
        names.extend(srv::service_name(&domain, first, Protocol::Tcp));
    }
    names.push(owner);
    names
}

impl Core {
    /// The names that `target` had for a service that goes: those of the service alone.
    pub(super) fn names_before(target: &Target, folded: &str) -> Vec<Name> {
        if !target.reverse_of.is_empty() {
            return Vec::new();
        }
        let mut writer = target.lock();
        let origin = writer.zone().origin().clone();
        let addr = origin.child(b"addr").ok();
        let is_shared = |name: &Name| {
            name.labels().any(|label| label == b"_dns-sd")
                || addr.as_ref().is_some_and(|addr| name.is_at_or_below(addr))
        };
        let owners = writer.source(target.source).owners(folded).into_iter();
        owners.filter(|name| *name != origin && !is_shared(name)).collect()
    }

    /// The names that are known of `target`, with the reason for a person.
    pub(super) fn known_names(&self, target: &Target) -> BTreeMap<Name, String> {
        let mut known = BTreeMap::new();
        if !target.reverse_of.is_empty() {
            return known;
        }
        let origin = target.origin();
        for (name, path, at) in self.past.names().filter(|(name, ..)| name.is_at_or_below(&origin)) {
            let until = crate::format::moment(at.saturating_add(self.past.linger.as_secs()));
            let at = crate::format::moment(at);
            let path = self.layout.full(path);
            known.insert(name.clone(), format!("{path} was deleted at {at}; its names are NODATA until {until}"));
        }
        for path in self.unread.empty() {
            for name in below(path, &target.under).map(|path| names_of(&origin, path)).unwrap_or_default() {
                known.insert(name, format!("the root {} is gone, and it had {path}", self.layout.root));
            }
        }
        // A zone of a part of the registry takes the names there from the zone of all of it.
        for expecting in &self.targets {
            for path in &expecting.names.expect {
                let whole = [&*expecting.under, "/", path].concat().to_ascii_lowercase();
                let full = whole.trim_start_matches('/');
                for name in below(full, &target.under).map(|path| names_of(&origin, path)).unwrap_or_default() {
                    known.insert(name, format!("`expect` of a zone has {path}, and no znode is there"));
                }
            }
        }
        for path in &self.registered {
            let folded = path.to_ascii_lowercase();
            for name in below(&folded, &target.under).map(|path| names_of(&origin, path)).unwrap_or_default() {
                known.insert(name, format!("[[service]] {path} of this process is not registered now"));
            }
        }
        known.remove(&origin);
        known
    }

    /// Tells the zones which names are known. They show it with their next commit.
    pub(super) fn follow_past(&mut self) {
        self.past.expire(unix_now());
        let now = (self.past.changes(), self.wished, self.unread.empty_as_of());
        if std::mem::replace(&mut self.known_as_of, now) == now {
            return;
        }
        for target in &self.targets {
            let known = self.known_names(target);
            target.lock().source(target.source).know(known.into_keys());
        }
    }

    /// Takes what a reload has changed. Gives whether all is to be built anew.
    pub(super) fn take_wishes(&mut self, tree: &ShownTree) {
        let Some(Wishes { linger, registered, zones }) = self.wishes.take() else { return };
        self.past.linger = linger;
        self.registered = registered;
        self.wished += 1;
        let mut is_different = false;
        for target in &mut self.targets {
            let origin = target.origin();
            if let Some((_, names)) = zones.iter().find(|(zone, _)| *zone == origin) {
                is_different |= target.names.unknown_host != names.unknown_host;
                target.names.unknown_host = names.unknown_host;
                target.names.expect.clone_from(&names.expect);
            }
        }
        if is_different {
            let services = self.touched(tree, None).into_iter().collect();
            self.rebuild(tree, services);
        }
        self.commit();
    }

    /// What is to be kept in the cache file beside the znodes: a line each.
    pub(super) fn notes(&self) -> Vec<u8> {
        let mut notes = String::new();
        let (now, unix) = (Instant::now(), unix_now());
        for (host, addresses, at) in self.hosts.kept() {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let at = unix.saturating_sub(now.saturating_duration_since(at).as_secs());
            let _ = writeln!(notes, "host\t{host}\t{}\t{AT}{at}", addresses.join("\t"));
        }
        for line in self.past.lines() {
            let _ = writeln!(notes, "gone\t{line}");
        }
        for line in self.unread.lines(now, unix) {
            let _ = writeln!(notes, "went\t{line}");
        }
        notes.into_bytes()
    }

    /// Takes what an earlier process kept. Lines of kinds that are not known are passed over.
    pub(super) fn recall(&mut self, notes: &[u8]) {
        let notes = String::from_utf8_lossy(notes);
        let (now, unix) = (Instant::now(), unix_now());
        let mut hosts = Vec::new();
        for line in notes.lines() {
            match line.split_once('\t') {
                Some(("host", rest)) => {
                    let (host, addresses) = rest.split_once('\t').unwrap_or((rest, ""));
                    let addresses: Vec<_> = addresses.split('\t').filter_map(|address| address.parse().ok()).collect();
                    let at = rest.rsplit('\t').next().and_then(|last| last.strip_prefix(AT)?.parse::<u64>().ok());
                    let age = Duration::from_secs(at.map_or(0, |at| unix.saturating_sub(at)));
                    // Where this host has not run for so long, it is as old as can be.
                    let at = now.checked_sub(age);
                    if let Some(at) = at.filter(|_| !addresses.is_empty()) {
                        hosts.push((host.to_owned(), addresses, at));
                    }
                }
                Some(("gone", rest)) => self.past.read(rest),
                Some(("went", rest)) => self.unread.read(rest, now, unix),
                _ => {}
            }
        }
        self.hosts.restore(hosts, now);
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
        for i in 0..MOST as u64 + 3 {
            past.add(&format!("s{i}"), 1000 + i / 10, names(&format!("s{i}.service")));
        }
        assert_eq!((past.services.len(), past.by_time.len()), (MOST, MOST));
        assert!(!past.services.contains_key("s2") && past.services.contains_key("s3"));
        past.remove("s3");
        past.expire(1000 + 3600);
        assert_eq!(past.services.len(), MOST - 7);
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
