//! A zone that a registry fills, and the part of the registry that it shows.

use std::borrow::Cow;
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
    /// The path that the registry's services are put under, as if it were that of a service; empty for none.
    pub place: String,
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
        let below = writer.lock().unwrap_or_else(PoisonError::into_inner).zone().origin().clone();
        Self::of_role(Role { name: name.into(), precedence: 0, below }, ttl, writer)
    }

    /// The same of a registry, or a reader of one, that has this role in the zone.
    pub fn of_role(role: Role, ttl: u32, writer: SharedWriter) -> Self {
        let source = writer.lock().unwrap_or_else(PoisonError::into_inner).add_source(role);
        let names = zone::records::config::Config::default();
        let (under, place) = (String::new(), String::new());
        Self { under, place, ttl, names, reverse_of: Vec::new(), writer, source }
    }

    /// The path that the service at `folded` has among all that zones show, which the zone has its offers under.
    pub(crate) fn placed<'f>(&self, folded: &'f str) -> Cow<'f, str> {
        match (&*self.place, folded) {
            ("", _) => folded.into(),
            (place, "") => place.to_owned().into(),
            (place, _) => format!("{place}/{folded}").into(),
        }
    }

    /// The path in the registry of what has this path among all that zones show.
    pub(super) fn unplaced<'p>(&self, placed: &'p str) -> &'p str {
        below(placed, &self.place).unwrap_or(placed)
    }

    /// The path that the service at `folded` has in the zone; none where the zone does not show it.
    pub(crate) fn shown<'f>(&self, folded: &'f str) -> Option<Cow<'f, str>> {
        match self.placed(folded) {
            Cow::Borrowed(placed) => below(placed, &self.under).map(Cow::Borrowed),
            Cow::Owned(placed) => below(&placed, &self.under).map(|path| path.to_owned().into()),
        }
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
        let placed = self.placed(folded);
        let mut forward = self.reverse_of.iter().filter(|(under, _)| below(&placed, under).is_some());
        let reverse_of = forward.next().map(|(_, origin)| origin);
        let is_shown = below(&placed, &self.under).is_some() && (reverse_of.is_some() || self.reverse_of.is_empty());
        is_shown.then(|| Context { names: &self.names, hosts, reverse_of, ..Context::new(origin, self.ttl) })
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

/// The path in the registry that the labels of a name in a zone lead on from, and which of them do: those at the end
/// may be of the path that services are put under. `None` where they are not. `is` says whether a label is that of an
/// element.
pub(crate) fn start<'t, 'l, L: AsRef<[u8]>>(
    (under, place): (&'t str, &str),
    mut labels: &'l [L],
    is: impl Fn(&str, &[u8]) -> bool,
) -> Option<(&'t str, &'l [L])> {
    if let Some(under) = below(under, place) {
        return Some((under, labels));
    }
    for element in below(place, under)?.split('/') {
        let (label, rest) = labels.split_last()?;
        labels = rest;
        is(element, label.as_ref()).then_some(())?;
    }
    Some(("", labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_into_the_registry_behind_the_place_of_the_services() {
        let is = |element: &str, label: &[u8]| element.as_bytes() == label;
        for (under, place, labels, expected) in [
            ("", "", &["db"][..], Some(("", &["db"][..]))),
            ("x", "", &["db"], Some(("x", &["db"]))),
            ("", "pg", &["db", "pg"], Some(("", &["db"]))),
            ("", "pg/eu", &["db", "eu", "pg"], Some(("", &["db"]))),
            ("pg", "pg/eu", &["db", "eu"], Some(("", &["db"]))),
            ("pg/x", "pg", &["db"], Some(("x", &["db"]))),
            ("", "pg", &["pg"], Some(("", &[]))),
            ("", "pg", &["db"], None),
            ("", "pg", &[], None),
            ("x", "pg", &["db"], None),
        ] {
            assert_eq!(start((under, place), labels, is), expected, "{under} {place} {labels:?}");
        }
    }

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
