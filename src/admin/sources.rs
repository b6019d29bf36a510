//! What the admin server shows: the readers and statuses of the parts.

use std::net::SocketAddr;
use std::sync::Arc;

use super::control;
use crate::announce;
use crate::dns::forward::Forwarder;
use crate::dns::serve::metrics::Metrics;
use crate::inspect::reader::Reader;
use crate::instance_files::InstanceFiles;
use crate::publish::events::Events;
use crate::registry::ReaderName;
use crate::registry::status::MirrorStatus;
use crate::zone::{self, Freshness, Zone, Zones};

/// All that is shown.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The readers of the registries, in the order of the config.
    pub registries: Vec<RegistrySource>,
    /// All zones.
    pub zones: Zones,
    /// States of the zones' master files, by origin.
    pub files: Vec<(String, zone::file::status::ZoneFileStatus)>,
    /// Addresses that DNS is served on.
    pub listens: Vec<SocketAddr>,
    /// The DNS server's counters, if there is one.
    pub dns: Option<Arc<Metrics>>,
    /// Forwarder of what is outside the zones; `None` without DNS.
    pub forwarder: Option<Arc<Forwarder>>,
    /// Each reader's announcer: the reader's name, and what the announcer shows.
    pub announcements: Vec<(ReaderName, announce::AnnouncerStatus)>,
    /// The events of the process.
    pub events: Events,
    /// Taker of orders to the process; `None` where it takes none.
    pub control: Option<control::Control>,
    /// Files that are kept equal to services' instances.
    pub instance_files: Option<InstanceFiles>,
    /// Most services of a registry for which each has metrics of its own.
    pub metrics_per_service: usize,
}

/// A reader of a registry: its mirror and its services.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    /// Its name.
    pub name: ReaderName,
    /// The mirror's report.
    pub status: MirrorStatus,
    /// The services.
    pub reader: Reader,
    /// The zones that are filled from it.
    pub zones: Vec<Arc<Zone>>,
    /// Report of the mirror of its drain tree; none where it has none.
    pub drains: Option<MirrorStatus>,
}

impl RegistrySource {
    /// Returns whether its data are stale; none where they are not to be used: they are not known yet, or too old.
    pub fn is_stale(&self) -> Option<bool> {
        let name = self.name.to_string();
        let of_zone = |zone: &Arc<Zone>| {
            let own = zone.sources().into_iter().find(|(of, _)| **of == *name);
            own.map_or_else(|| zone.freshness(), |(_, freshness)| freshness)
        };
        let of_zones: Vec<Freshness> = self.zones.iter().map(of_zone).collect();
        if of_zones.iter().any(|one| matches!(one, Freshness::Loading | Freshness::Expired)) {
            return None;
        }
        // One that no zone shows has only its mirror to say so.
        if of_zones.is_empty() && self.status.report().counters.syncs == 0 {
            return None;
        }
        Some(of_zones.contains(&Freshness::Stale))
    }
}
