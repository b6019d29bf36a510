//! Whether a registration with our instance id is this host's: hosts that are copies of one image share their
//! machine-id, and so their ids, and must not take each other's registrations.
//!
//! The rule, in [`ThisHost::wrote`], is made to err on one side: a registration of this host that is taken for another
//! one's is only waited for until its session expires; one of another host that is taken for ours is a living service
//! lost.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::address;
pub use crate::format::Origin;

/// Addresses beyond these are not told: they are in every registration.
const MAX_ADDRESSES: usize = 8;
/// Difference between the clocks of this host and of ZooKeeper's that leads to no wrong guess.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// This host as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThisHost {
    /// Its marks, as registrations have them.
    pub origin: Origin,
    /// Time of its boot, by its own clock; none where the kernel does not say.
    pub booted: Option<SystemTime>,
}

impl ThisHost {
    /// This host by its kernel (`/proc/sys/kernel/random/boot_id`, `btime` of `/proc/stat`), and the addresses that a
    /// service without an address of its own may be registered at.
    pub fn of_this_host() -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot_id = boot_id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        // A list that cannot be had is told where the services' addresses are looked for.
        let own = address::all().unwrap_or_default();
        let mut addresses: Vec<_> = own.iter().filter(|own| own.unfit.is_none()).map(|own| own.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_time(&stat));
        Self { origin: Origin { boot_id, addresses }, booted }
    }

    /// Returns whether a registration with our instance id was written by this host: in this boot or an earlier one.
    ///
    /// | boot id | addresses | whose |
    /// | --- | --- | --- |
    /// | neither is told | | ours: it is from before they were |
    /// | the same | one in common, or none told on a side | ours |
    /// | the same | others | another one's: a container beside us |
    /// | another, or told on one side only | the same, all of them | ours before the reboot, if it was written before it |
    /// | another, or told on one side only | others, or none told | another one's |
    ///
    /// `written` is the znode's time of writing, in milliseconds since 1970 by ZooKeeper's clock; 0 where it is not
    /// known.
    pub(super) fn wrote(&self, theirs: &Origin, written: i64) -> bool {
        let ours = &self.origin;
        if *theirs == Origin::default() {
            return true;
        }
        if theirs.boot_id.is_some() && theirs.boot_id == ours.boot_id {
            let is_silent = theirs.addresses.is_empty() || ours.addresses.is_empty();
            return is_silent || theirs.addresses.iter().any(|address| ours.addresses.contains(address));
        }
        !theirs.addresses.is_empty() && theirs.addresses == ours.addresses && !self.is_since_boot(written)
    }

    /// Returns whether something was surely written after this host was booted.
    fn is_since_boot(&self, written: i64) -> bool {
        let written = u64::try_from(written).ok().filter(|written| *written > 0);
        let written = written.and_then(|written| UNIX_EPOCH.checked_add(Duration::from_millis(written)));
        let limit = self.booted.and_then(|booted| booted.checked_add(CLOCKS_APART));
        matches!((written, limit), (Some(written), Some(limit)) if written > limit)
    }
}

/// The line `btime` of `/proc/stat` (proc(5)), in seconds since 1970.
fn boot_time(stat: &str) -> Option<SystemTime> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(boot: &str, addresses: &[&str]) -> Origin {
        let boot_id = Some(boot.to_owned()).filter(|boot| !boot.is_empty());
        Origin { boot_id, addresses: addresses.iter().map(|address| address.parse().unwrap()).collect() }
    }

    #[test]
    fn a_registration_is_ours_by_boot_and_addresses_as_the_table_says() {
        let (one, two, three) = ("10.0.0.1", "10.0.0.2", "10.0.0.3");
        for (ours, theirs, is_ours, why) in [
            (origin("a", &[one]), origin("", &[]), true, "a registration of before the upgrade"),
            (origin("", &[]), origin("", &[]), true, "nothing known on either side"),
            (origin("a", &[one]), origin("a", &[one]), true, "the process was started again"),
            (origin("a", &[one, two]), origin("a", &[one]), true, "the host has got an address"),
            (origin("a", &[two]), origin("a", &[one, two]), true, "the host has lost an address"),
            (origin("a", &[]), origin("a", &[one]), true, "the network is down"),
            (origin("a", &[one]), origin("a", &[]), true, "the network was down"),
            (origin("a", &[one]), origin("a", &[two]), false, "containers of one host"),
            (origin("b", &[one]), origin("a", &[one]), true, "the host was booted, or the address is used again"),
            (origin("b", &[one]), origin("a", &[two]), false, "hosts of one image"),
            (origin("b", &[one, three]), origin("a", &[two, three]), false, "hosts of one image that share an address"),
            (origin("b", &[]), origin("a", &[]), false, "no address is known"),
            (origin("b", &[one]), origin("a", &[]), false, "theirs is not known"),
            (origin("b", &[]), origin("a", &[one]), false, "ours is not known"),
            (origin("", &[one]), origin("", &[one]), true, "no boot id is known, but the address is the same"),
            (origin("", &[one]), origin("", &[two]), false, "no boot id is known, and the address is another"),
            (origin("", &[]), origin("a", &[one]), false, "nothing is known of ours"),
        ] {
            assert_eq!(ThisHost { origin: ours, booted: None }.wrote(&theirs, 0), is_ours, "{why}");
        }
    }

    #[test]
    fn what_was_written_after_our_boot_by_another_boot_is_of_a_host_that_lives_beside_us() {
        let booted = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let here = ThisHost { origin: origin("b", &["10.0.0.1"]), booted: Some(booted) };
        let theirs = origin("a", &["10.0.0.1"]);
        for written in [0, -1, 999_999_000, 1_000_059_000] {
            assert!(here.wrote(&theirs, written), "{written}");
        }
        assert!(!here.wrote(&theirs, 1_000_061_000));
        assert!(!here.wrote(&theirs, i64::MAX));
        assert!(here.wrote(&origin("b", &["10.0.0.1"]), 1_000_061_000), "in this boot all is written after it");
    }

    #[test]
    fn the_kernel_says_when_it_was_booted() {
        let stat = "cpu  1 2\nbtime 1700000000\nprocesses 7\n";
        assert_eq!(boot_time(stat), Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        for bad in ["", "btime", "btime x\n", "btime 18446744073709551615\n"] {
            assert_eq!(boot_time(bad), None, "{bad}");
        }
        assert!(ThisHost::of_this_host().origin.boot_id.is_some());
    }
}
