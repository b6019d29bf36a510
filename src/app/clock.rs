//! Warns of serials that are ahead of this host's clock: it was set back, or the zone changes more than once a second.
//! Where serials are not kept, the next start takes them back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::serials;
use crate::publish::unix_now;
use crate::zone::events::Changes;
use crate::zone::name::Name;
use crate::zone::warnings::About;
use crate::zone::{Freshness, Zone, serial};

/// Time between two looks at the clock while a serial is ahead of it. Otherwise nothing is to be seen before a zone
/// changes: time itself brings the clock nearer.
const MINUTE: Duration = Duration::from_secs(60);

/// The distance that is worth a warning where serials are kept. After a crash they go on up to twenty minutes ahead.
const KEPT: Duration = Duration::from_secs(3600);
/// The distance where they are not kept: after a restart secondaries stay behind for as long.
const NOT_KEPT: Duration = Duration::from_secs(60);

/// The time that a serial is ahead of the clock, which is at `unix` seconds since 1970.
fn ahead(serial: u32, unix: u64) -> Duration {
    #[allow(clippy::cast_possible_truncation)] // serials are modulo 2^32
    let clock = unix as u32;
    let seconds = if serial::is_after(serial, clock) { serial.wrapping_sub(clock) } else { 0 };
    Duration::from_secs(seconds.into())
}

/// The warning of a zone, if there is one to give.
fn warning(zone: &Zone, is_kept: bool, unix: u64) -> Option<String> {
    // A zone that is only its file has its file's serial; before its first commit none has any.
    if zone.fixed().is_none() || zone.freshness() == Freshness::Loading {
        return None;
    }
    let ahead = ahead(zone.serial(), unix);
    let (limit, what) = if is_kept {
        (KEPT, "was the clock set back? Serials go on from there")
    } else {
        (NOT_KEPT, "and serials are not kept: a restart takes it back, and secondaries then stay behind")
    };
    (ahead > limit && (is_kept || zone.keeps_journal())).then(|| words(ahead, what))
}

fn words(ahead: Duration, what: &str) -> String {
    let minutes = Duration::from_secs(ahead.as_secs() / 60 * 60);
    format!("its serial is {} ahead of this host's clock: {what}", humantime::format_duration(minutes))
}

/// The zones whose serials in the serial file at `path` are ahead of the clock, each with a sentence.
pub fn serials_ahead(path: &Path) -> Vec<(Name, String)> {
    let unix = unix_now();
    let far = |(origin, serial)| {
        let ahead = ahead(serial, unix);
        (ahead > KEPT).then(|| (origin, words(ahead, "is the clock right? Serials go on from there")))
    };
    serials::kept(path).into_iter().filter_map(far).collect()
}

/// Looks at zones whenever they change, and every minute while there is a warning, until `stop`; logs where one begins
/// and where it ends.
pub(super) async fn follow(zones: Vec<Arc<Zone>>, is_kept: bool, stop: CancellationToken) {
    let mut changes = Changes::of(zones.iter().map(|zone| zone.follow()));
    let mut zones: Vec<(Arc<Zone>, bool)> = zones.into_iter().map(|zone| (zone, false)).collect();
    loop {
        for (zone, is_told) in &mut zones {
            let warning = warning(zone, is_kept, unix_now());
            zone.warnings().set(About::Clock, warning.clone());
            match (warning, zone.origin()) {
                (Some(words), zone) if !*is_told => warn!(%zone, "{words}"),
                (None, zone) if *is_told => info!(%zone, "its serial is no longer ahead of this host's clock"),
                _ => continue,
            }
            *is_told = !*is_told;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = changes.changed() => {}
            () = tokio::time::sleep(MINUTE), if zones.iter().any(|(_, is_told)| *is_told) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ZoneBuilder;
    use crate::zone::journal::Bounds;

    fn zone(serial: u32, bounds: Bounds) -> Arc<Zone> {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).journal(bounds).resume(serial).build();
        writer.commit(0);
        writer.set_freshness(Freshness::Fresh);
        Arc::clone(writer.zone())
    }

    #[test]
    fn a_serial_far_ahead_of_the_clock_is_warned_of_and_sooner_where_it_is_not_kept() {
        let transferred = zone(1_000_000, Bounds::SECONDARIES);
        let of = |is_kept, unix| warning(&transferred, is_kept, unix).unwrap_or_default();
        assert_eq!(of(true, 1_000_001 - 3600), "");
        assert!(of(true, 1_000_001 - 7300).starts_with("its serial is 2h 1m ahead of this host's clock: was"));
        assert!(of(false, 1_000_001 - 61).contains("a restart takes it back"));
        assert_eq!(of(false, 1_000_001 - 60), "");
        assert_eq!(of(true, 2_000_000), "", "behind it is as it should be");
        assert_eq!(warning(&zone(1_000_000, Bounds::NONE), false, 0), None, "nobody transfers it");
        assert!(warning(&zone(1_000_000, Bounds::NONE), true, 0).is_some());
    }
}
