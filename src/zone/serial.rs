//! SOA serials: they move when the zone's data does, never back, and survive a restart without a file.

/// The serial after `previous`, at `unix` seconds: the time, unless that would not move forward (RFC 1982 §3.2). A zone
/// that changes more than once a second runs ahead of the clock, and a restart takes the time up again: as long as the
/// long-run rate is below one change a second, secondaries never see it go back.
///
/// 0 is no serial but the absence of one: the first is the time, whatever the time is, and 0 is skipped when they go
/// round.
///
/// Replicas do not share serials: a secondary must pull from one of them.
pub fn next(previous: u32, unix: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation)] // serials are modulo 2^32
    let clock = unix as u32;
    if previous == 0 || is_after(clock, previous) { clock.max(1) } else { previous.wrapping_add(1).max(1) }
}

/// The serial of a zone that is its master file and nothing else: the file's, if it is after `previous` (the last one
/// given out, 0 for none) or, in the `first` commit of a process, equal to it; otherwise the one after `previous`, as a
/// change without a new serial must show at secondaries too.
pub fn of_file(file: u32, previous: u32, first: bool) -> u32 {
    match previous {
        _ if file == 0 => previous.wrapping_add(1).max(1),
        0 => file,
        _ if is_after(file, previous) || (first && file == previous) => file,
        _ => previous.wrapping_add(1).max(1),
    }
}

/// Returns whether serial `a` is after `b` (RFC 1982 §3.2).
pub fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_leads_and_never_holds_back() {
        assert_eq!(next(0, 1_800_000_000), 1_800_000_000);
        assert_eq!(next(1_800_000_000, 1_800_000_000), 1_800_000_001);
        assert_eq!(next(1_800_000_050, 1_800_000_001), 1_800_000_051);
    }

    #[test]
    fn the_first_serial_is_the_time_even_after_2038() {
        assert_eq!(next(0, 2_500_000_000), 2_500_000_000);
        assert_eq!(next(0, 3), 3);
    }

    #[test]
    fn a_file_keeps_its_serial_as_long_as_it_is_newer() {
        assert_eq!(of_file(3, 0, true), 3);
        assert_eq!(of_file(3, 3, true), 3, "a restart changes nothing");
        assert_eq!(of_file(3, 3, false), 4, "changed without a new serial");
        assert_eq!(of_file(3, 4, true), 5);
        assert_eq!(of_file(9, 4, false), 9);
        assert_eq!(of_file(0, u32::MAX, false), 1);
        assert_eq!(of_file(1, u32::MAX, false), 1, "serials go round");
    }

    #[test]
    fn serials_go_round() {
        assert_eq!(next(u32::MAX, u64::from(u32::MAX)), 1);
        assert_eq!(next(u32::MAX - 1, 1 << 32), 1, "0 is skipped");
        assert!(is_after(3, u32::MAX));
        assert!(!is_after(u32::MAX, 3));
        assert!(!is_after(7, 7));
    }
}
