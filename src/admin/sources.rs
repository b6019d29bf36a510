//! What the admin server shows: the readers and statuses of the parts.

use std::sync::Arc;

use super::control;
use crate::announce;
use crate::dns::forward::Forwarder;
use crate::dns::serve::metrics::Metrics;
use crate::inspect::reader::Reader;
use crate::registry::status::MirrorStatus;
use crate::zone::{self, Zone, Zones};

/// All that is shown.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The mirrored registries, in the order of the config.
    pub registries: Vec<RegistrySource>,
    /// All zones.
    pub zones: Zones,
    /// States of the zones' master files, by origin.
    pub files: Vec<(String, zone::file::status::ZoneFileStatus)>,
    /// The DNS server's counters, if there is one.
    pub dns: Option<Arc<Metrics>>,
    /// Forwarder of what is outside the zones; `None` without DNS.
    pub forwarder: Option<Arc<Forwarder>>,
    /// Each registry's announcer: the registry's name, and what the announcer shows.
    pub announcements: Vec<(String, announce::AnnouncerStatus)>,
    /// Taker of orders to the process; `None` where it takes none.
    pub control: Option<control::Control>,
}

/// A mirrored registry.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    /// Its name in the config.
    pub name: String,
    /// The mirror's report.
    pub status: MirrorStatus,
    /// The services.
    pub reader: Reader,
    /// The zones that are filled from it.
    pub zones: Vec<Arc<Zone>>,
}
