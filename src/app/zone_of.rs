//! Zones between the configuration and the parts that fill them.

use std::sync::{MutexGuard, PoisonError};

use tracing::warn;

use crate::config::Config;
use crate::dns::transfer::secondaries::Allowed;
use crate::publish::{SharedWriter, unix_now};
use crate::zone;
use crate::zone::journal::Bounds;
use crate::zone::name::Name;
use crate::zone::warnings::About;
use crate::zone::writer::ZoneWriter;

/// A zone under construction, and where its data come from.
#[derive(Clone)]
pub(super) struct ZoneOf {
    pub(super) origin: Name,
    pub(super) registry: Option<String>,
    pub(super) under: String,
    pub(super) ttl: u32,
    pub(super) names: zone::records::config::Config,
    pub(super) writer: SharedWriter,
}

/// Locks the writer of a zone.
pub(super) fn lock(writer: &SharedWriter) -> MutexGuard<'_, ZoneWriter> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bounds of the past that the zone at `origin` keeps: differences are for those who transfer.
fn bounds(allowed: &Allowed, origin: &Name) -> Bounds {
    if allowed.is_nobody(origin) { Bounds::NONE } else { Bounds::SECONDARIES }
}

/// The same by `config`, with which nobody transfers where there is no DNS.
pub(super) fn journal(config: &Config, origin: &Name) -> Bounds {
    config.dns_settings().map_or(Bounds::NONE, |settings| bounds(&settings.allowed(), origin))
}

/// Takes the zones' part of a configuration that was read again. `is_kept` is true where serials are kept, which only a
/// start can change.
pub(super) fn take(zones: &[ZoneOf], config: &Config, is_kept: bool) {
    for zone in zones {
        let mut writer = lock(&zone.writer);
        writer.keep_journal(journal(config, &zone.origin));
        if let Some(config) = config.zones.iter().find(|config| config.origin == zone.origin) {
            writer.set_live(config.live);
            writer.commit(unix_now());
        }
    }
    for zone in warn_of_serials(zones, config, is_kept) {
        warn!(%zone, "the zone may be transferred and its serials are not kept: set `serial_file` or `cache_file`");
    }
}

/// Warns of zones that may be transferred and whose serials a restart may take back, in status, page and metrics.
/// Returns those of which that is news.
pub(super) fn warn_of_serials(zones: &[ZoneOf], config: &Config, is_kept: bool) -> Vec<Name> {
    if is_kept {
        return Vec::new();
    }
    let unkept = config.unkept_serials();
    let news = zones.iter().filter(|zone| {
        let is_unkept = unkept.contains(&&zone.origin);
        let warning = is_unkept.then(|| {
            "serials are not kept, so that a restart may take them back and secondaries then stay behind: set \
             `serial_file` or `cache_file`"
                .to_owned()
        });
        lock(&zone.writer).zone().warnings().set(About::Serials, warning) && is_unkept
    });
    news.map(|zone| zone.origin.clone()).collect()
}
