//! What the admin server shows: the readers and statuses of the parts.

use std::sync::Arc;

use super::control;
use crate::announce;
use crate::dns::forward::Forwarder;
use crate::dns::serve::metrics::Metrics;
use crate::inspect::reader::Reader;
use crate::publish::events::Events;
use crate::registry::ReaderName;
use crate::registry::status::MirrorStatus;
use crate::zone::{self, Zone, Zones};

/// All that is shown.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The readers of the registries, in the order of the config.
    pub registries: Vec<RegistrySource>,
    /// All zones.
    pub zones: Zones,
    /// States of the zones' master files, by origin.
    pub files: Vec<(String, zone::file::status::ZoneFileStatus)>,
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
}
