//! A zone that a registry fills, and the part of the registry that it shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::zone;
use crate::zone::Zone;
use crate::zone::context;
use crate::zone::context::Context;
use crate::zone::name::Name;
use crate::zone::source::{Role, SourceId};
use crate::zone::writer::ZoneWriter;

/// A zone's writer, shared by the publisher and by whoever re-reads the zone's file.
pub type SharedWriter = Arc<Mutex<ZoneWriter>>;

/// A zone that is filled from a registry.
#[derive(Debug, Clone)]
pub struct Target {
    /// The part of the registry it shows: a path below the root, empty for all of it.
    pub under: String,
    /// Time to live where nobody says another, in seconds.
    pub ttl: u32,
    /// The forms of its names.
    pub names: zone::records::config::Config,
    /// For a zone of reverse names: the zones that they may point to, with the part of the registry that each shows.
    pub reverse_of: Vec<(String, Name)>,
    /// Its writer.
    pub writer: SharedWriter,
    /// The registry among the zone's sources.
    pub source: SourceId,
}

impl Target {
    /// A zone of all of a registry, with nothing special, as one more source of the zone.
    pub fn new(ttl: u32, writer: SharedWriter) -> Self {
        Self::named("", ttl, writer)
    }

    /// The same of the registry `name`.
    pub fn named(name: &str, ttl: u32, writer: SharedWriter) -> Self {
        let source = {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let below = writer.zone().origin().clone();
            writer.add_source(Role { name: name.into(), precedence: 0, below })
        };
        let names = zone::records::config::Config::default();
        Self { under: String::new(), ttl, names, reverse_of: Vec::new(), writer, source }
    }

    pub(super) fn origin(&self) -> Name {
        self.lock().zone().origin().clone()
    }

    /// Returns what a service at `folded` is built with; `None` where the zone does not show that part of the registry.
    pub(crate) fn context<'c>(
        &'c self,
        origin: &'c Name,
        hosts: &'c context::KnownHosts,
        folded: &str,
    ) -> Option<Context<'c>> {
        let mut forward = self.reverse_of.iter().filter(|(under, _)| below(folded, under).is_some());
        let reverse_of = forward.next().map(|(_, origin)| origin);
        let is_shown = below(folded, &self.under).is_some() && (reverse_of.is_some() || self.reverse_of.is_empty());
        is_shown.then(|| Context {
            txt: &self.names.txt,
            host_domain: self.names.host_domain.as_deref(),
            hosts,
            unknown_host: self.names.unknown_host,
            reverse_of,
            ..Context::new(origin, self.ttl)
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ZoneWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A zone as it shows a registry now.
#[derive(Debug, Clone)]
pub struct TargetState {
    /// The zone and the part of the registry that it shows.
    pub target: Target,
    /// The zone.
    pub zone: Arc<Zone>,
    /// Known addresses of hosts.
    pub hosts: Arc<context::KnownHosts>,
    /// Names that are known without a znode, and why.
    pub known: BTreeMap<Name, String>,
}

impl TargetState {
    /// The state of a target with these hosts and known names.
    pub fn new(target: &Target, hosts: Arc<context::KnownHosts>, known: BTreeMap<Name, String>) -> Self {
        let zone = Arc::clone(target.lock().zone());
        Self { target: target.clone(), zone, hosts, known }
    }
}

/// The path of a service below the part of the registry that a zone shows; none outside of it.
pub(crate) fn below<'s>(folded: &'s str, under: &str) -> Option<&'s str> {
    if under.is_empty() {
        return Some(folded);
    }
    let head = folded.get(..under.len()).filter(|head| head.eq_ignore_ascii_case(under))?;
    match &folded[head.len()..] {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_shows_what_is_under_its_part() {
        assert_eq!(below("staging/api", ""), Some("staging/api"));
        assert_eq!(below("staging/api", "Staging"), Some("api"));
        assert_eq!(below("staging", "staging"), Some(""));
        assert_eq!(below("staging2/api", "staging"), None);
        assert_eq!(below("api", "staging"), None);
        assert_eq!(below("äß", "a"), None);
    }
}
