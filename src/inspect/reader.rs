//! Looks services up in a registry as it is now, for people and tools rather than for DNS.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLockReadGuard};
use std::time::Instant;

use super::explain;
use super::explain::outcome::Explained;
use super::explain::seen::RegistryView;
use crate::format::NodeKind;
use crate::model::{Endpoint, Service};
use crate::publish::collisions::Clash;
use crate::publish::drains::Drains;
use crate::publish::layout::Layout;
use crate::publish::problems::Problems;
use crate::publish::reading::Reading;
use crate::publish::{Publisher, census, guard, unix_now};
use crate::registry::shown::{SharedTree, ShownTree};
use crate::registry::{Path, ReaderName};
use crate::zone::name::Name;

/// Looks services up in a registry as it is now, for people and tools rather than for DNS.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Its name.
    pub name: ReaderName,
    layout: Layout,
    tree: SharedTree,
    /// Its malformed nodes.
    pub problems: Problems,
    publisher: Option<Publisher>,
}

impl Reader {
    /// A reader of the registry called `name`.
    pub fn new(name: &ReaderName, layout: Layout, tree: SharedTree, problems: Problems) -> Self {
        Self { name: name.clone(), layout, tree, problems, publisher: None }
    }

    /// Also knows how zones show the registry, for [`Self::explain`].
    pub fn shown_by(self, publisher: Publisher) -> Self {
        Self { publisher: Some(publisher), ..self }
    }

    /// Losses that the guard holds back; `None` without a guard.
    pub fn guard(&self) -> Option<guard::GuardReport> {
        self.publisher.as_ref()?.alarm().map(guard::SharedAlarm::report)
    }

    /// Numbers of services and instances that are shown; `None` where no zone shows the registry.
    pub fn census(&self) -> Option<census::CensusReport> {
        self.publisher.as_ref().map(|publisher| publisher.census().report())
    }

    /// Instances of each service that is shown, served and not, by path; none where there are more services than
    /// `most`, or no zone shows the registry.
    pub fn instances(&self, most: usize) -> Vec<(String, (u32, u32))> {
        let Some(census) = self.publisher.as_ref().map(Publisher::census) else { return Vec::new() };
        if census.report().services > most {
            return Vec::new();
        }
        let counted = |path: String| census.of(&path).map(|instances| (path, instances));
        self.paths().into_iter().filter_map(counted).collect()
    }

    /// Number of names that its services do not have to themselves, and the first of them, at most `limit`.
    pub fn clashes(&self, limit: usize) -> (usize, Vec<Clash>) {
        self.publisher.as_ref().map(|publisher| publisher.clashes().first(limit)).unwrap_or_default()
    }

    /// Clash at a name in a zone; `None` where the name is its services' alone.
    pub fn clash(&self, zone: &Name, name: &Name) -> Option<Clash> {
        self.publisher.as_ref()?.clashes().at(zone, name)
    }

    /// Returns whether the service at `below` is in no zone, as a reader that goes first has one of that name.
    pub fn is_preceded(&self, below: &str) -> bool {
        self.publisher.as_ref().is_some_and(|publisher| publisher.is_preceded(below))
    }

    /// Drains that hold now.
    pub fn drains(&self) -> Drains {
        self.publisher.as_ref().map(Publisher::drains).unwrap_or_default()
    }

    /// Where a name (in lower case) in the zone at `origin` comes from; none where that zone does not show the
    /// registry.
    pub fn explain(&self, origin: &Name, name: &Name) -> Option<Explained> {
        // The publisher first: it is not waited for with the tree locked.
        let state = self.publisher.as_ref()?.state_of(origin)?;
        let (held, now) = (self.guard().unwrap_or_default(), unix_now());
        let until = held.until_unix(Instant::now(), now).unwrap_or_default();
        let tree = self.tree();
        let seen = RegistryView { layout: &self.layout, tree: &tree, now, held: &held.held, until };
        Some(explain::sources(&seen, &state, name))
    }

    /// The DNS names of the service at `below`, as the zones have them now; of one that is not there, those that it
    /// would have.
    pub fn names(&self, below: &str) -> Vec<Name> {
        self.publisher.as_ref().map(|publisher| publisher.names(below)).unwrap_or_default()
    }

    /// The name of the service itself at `below`, in each zone, whether it is there or not.
    pub fn owners(&self, below: &str) -> Vec<Name> {
        self.publisher.as_ref().map(|publisher| publisher.owners(below)).unwrap_or_default()
    }

    /// Number of times that its znodes were changed.
    pub fn revision(&self) -> u64 {
        self.tree().revision()
    }

    /// Whole path of what is at `below`.
    pub fn full(&self, below: &str) -> String {
        self.layout.full(below).to_string()
    }

    /// Time to live of answers of the service at `below` where neither it nor an instance says one, in seconds; `None`
    /// where no zone shows it.
    pub fn ttl(&self, below: &str) -> Option<u32> {
        self.publisher.as_ref()?.ttl(below)
    }

    /// Where in the registry a path is: below the root, whether it is given with the root or without; none for one
    /// outside.
    pub fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let root = self.layout.root.as_str().trim_end_matches('/');
        match path.strip_prefix(root) {
            Some(rest) if path.starts_with('/') => rest.strip_prefix('/').or(rest.is_empty().then_some("")),
            _ if path.starts_with('/') => None,
            _ => Some(path),
        }
    }

    /// The service that a path below the root is of, and whether any znode is at that path.
    pub fn service_at(&self, below: &str) -> (String, bool) {
        let tree = self.tree();
        let mut path = self.layout.full(below);
        let mut is_there = tree.get(&path).is_some();
        if tree.is_placed() && !is_there {
            // One may be meant by the path that it has.
            is_there = tree.tree().get(path.as_str()).is_some();
            path = tree.shown(&path).unwrap_or(path);
        }
        let shown = path.below(&self.layout.root).unwrap_or(below);
        (self.layout.kind_at(&tree, shown).service().to_owned(), is_there)
    }

    /// Name of the reader's format, and the pattern of the paths of its instances, or a few words about them.
    pub fn convention(&self) -> (&str, &str) {
        (self.layout.format.name(), self.layout.format.pattern())
    }

    /// Reason why the convention shows nothing for a znode at `below`; none where it shows one.
    pub fn unshown(&self, below: &str) -> Option<String> {
        self.layout.format.unshown(below)
    }

    /// The whole paths of the services that have an instance or a named port at `endpoint`, with those below the root.
    pub fn at_endpoint(&self, endpoint: &Endpoint) -> Vec<(Path, String)> {
        let has = |service: &Service| {
            service.instances.iter().any(|instance| {
                let ports = instance.ports.iter().map(|(_, endpoint)| endpoint);
                std::iter::once(&instance.endpoint).chain(ports).any(|one| one.is_same(endpoint))
            })
        };
        let services = self.services().into_iter().filter(has);
        services.map(|service| (self.layout.full(&service.path), service.path)).collect()
    }

    /// All services, in the order of their paths.
    pub fn services(&self) -> Vec<Service> {
        // The lock is taken for one service at a time: the mirror must not wait for a slow reader.
        self.paths().iter().filter_map(|path| self.read(path)).map(|reading| reading.service).collect()
    }

    /// The paths (below the root) of all services, in order.
    pub fn paths(&self) -> BTreeSet<String> {
        // The publisher first, as above.
        let held = self.guard().unwrap_or_default().held;
        let mut paths = self.layout.services(&self.tree());
        let gone: Vec<String> = held.into_keys().filter(|path| self.read_now(path).is_none()).collect();
        paths.extend(gone);
        paths
    }

    /// The paths (below the root) at which services may be, in order: those of [`Self::paths`], and of nodes that only
    /// lead to others.
    pub fn candidates(&self) -> BTreeSet<String> {
        // The publisher first, as above.
        let held = self.guard().unwrap_or_default().held;
        let mut paths = self.layout.paths(&self.tree());
        paths.extend(held.into_keys());
        paths
    }

    /// Returns whether a service is at `below`, or the guard holds one that was.
    pub fn is_service(&self, below: &str) -> bool {
        let is_there = self.layout.is_service(&self.tree(), below);
        is_there || self.held(below).is_some()
    }

    /// The service at `below`, as it is now; none when no service is there. One that the guard holds is there, if
    /// without instances.
    pub fn read(&self, below: &str) -> Option<Reading> {
        self.read_now(below).or_else(|| {
            self.held(below)?;
            Some(Reading::empty(below))
        })
    }

    /// How many instances more DNS shows of the service at `below`, as the guard holds back its loss of them, and until
    /// when, in seconds since 1970.
    pub fn held(&self, below: &str) -> Option<(u32, u64)> {
        let (instances, until) = self.publisher.as_ref()?.alarm()?.held(&below.to_ascii_lowercase())?;
        let left = until.saturating_duration_since(Instant::now());
        Some((instances, unix_now().saturating_add(left.as_secs())))
    }

    fn read_now(&self, below: &str) -> Option<Reading> {
        let tree = self.tree();
        match self.layout.kind_at(&tree, below) {
            NodeKind::Service { path } if self.layout.is_service(&tree, path) => {
                self.layout.read(&tree, path, unix_now())
            }
            _ => None,
        }
    }

    pub(super) fn tree(&self) -> RwLockReadGuard<'_, ShownTree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }
}
