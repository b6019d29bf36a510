//! Zones between the configuration and the parts that fill them.

use std::sync::{MutexGuard, PoisonError};

use crate::publish::SharedWriter;
use crate::zone;
use crate::zone::name::Name;
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
