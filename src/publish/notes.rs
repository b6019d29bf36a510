//! What a publisher keeps in the cache file beside the znodes: addresses of hosts, and services that went.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::clock::unix_now;
use super::core::Core;

/// Before the time, in seconds since 1970, at the end of a host's line in the cache file.
const AT: &str = "at=";

impl Core {
    /// Returns what is to be kept in the cache file beside the znodes: a line each.
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
