//! Reads services out of the mirrored tree: which znodes make one service, and what they say together.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use super::drains::Drains;
use super::explain::{Explained, Seen};
use super::meetings::Clash;
use super::problems::Problems;
use super::reading::Reading;
use super::through::SharedLinks;
use super::{Publisher, census, explain, guard, unix_now};
use crate::format::{self, Place, Taken};
use crate::model::{Endpoint, Malformed, Service, State};
use crate::registry;
use crate::registry::Path;
use crate::registry::grouping::Together;
use crate::registry::links::Links;
use crate::registry::tree::SharedTree;
use crate::registry::tree::{Entry, Known, Tree};
use crate::zone::name::Name;

/// How one registry's services are found in its tree.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The znode below which services stand.
    pub root: Path,
    /// The convention they follow.
    pub format: format::Config,
}

impl Layout {
    /// The path (below the root) of the service that a changed znode belongs to; none for one that stands elsewhere,
    /// and for ZooKeeper's own.
    pub fn service_of<'p>(&self, path: &'p Path) -> Option<&'p str> {
        let below = path.below(&self.root)?;
        (!self.is_system(below)).then(|| self.service_at(below))
    }

    /// Returns whether a path below the root is that of znodes that ZooKeeper keeps for itself: `/zookeeper`.
    pub(super) fn is_system(&self, below: &str) -> bool {
        let rest = below.strip_prefix("zookeeper").filter(|_| self.root.is_root());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn service_at<'p>(&self, below: &'p str) -> &'p str {
        match self.format.place(below) {
            Place::Instance { service, .. } | Place::Directory { service } | Place::Inside { service } => service,
            Place::Service { path } => path,
        }
    }

    /// Full path of the service at `below`.
    pub fn full(&self, below: &str) -> Path {
        below.split('/').filter(|element| !element.is_empty()).fold(self.root.clone(), |path, name| path.child(name))
    }

    /// Reads the service that is shown at `below`; none when no znode of it is there. Of its drains there are only
    /// those that hold at `now`, in seconds since 1970, and what they cover is drained.
    pub fn read(&self, tree: &Tree, links: &Links, below: &str, now: u64) -> Option<Reading> {
        if self.is_system(below) {
            return None;
        }
        let shown = self.full(below);
        let path = links.real(&shown);
        let mut reading = Reading::default();
        let mut exists = false;
        match tree.get(path.as_str()) {
            Some(Entry::Known(known)) => {
                exists = true;
                let (said, former) = said(tree, &path, known);
                let (data, mut remarks) = with_taken(tree, links, &shown, said);
                remarks.extend(former.map(|why| format!("{why}; what it said before holds")));
                let (defaults, more) = self.format.decode_service(&data);
                reading.service.defaults = defaults;
                let over = reading.service.defaults.drains.extract_if(.., |drain| !drain.holds(now));
                reading.over.extend(over);
                remarks.extend(more);
                for reason in remarks {
                    reading.malformed.push(Malformed::doubtful(path.as_str(), reason));
                }
            }
            Some(Entry::Unreadable(error @ registry::Error::TooMuchData { .. })) => {
                exists = true;
                let reason = format!("{error}; its instances are served as if it said nothing");
                reading.malformed.push(Malformed::doubtful(path.as_str(), reason));
            }
            Some(Entry::Unreadable(error)) => {
                exists = true;
                reading.malformed.push(Malformed::lost(path.as_str(), error.to_string()));
            }
            None => {}
        }
        for directory in self.directories(&shown) {
            let (seen, jumped) = children(tree, links, &directory);
            for (shown, child, entry) in seen {
                if let Some(Place::Instance { service, name }) = shown.below(&self.root).map(|at| self.format.place(at))
                    && service == below
                {
                    exists = true;
                    self.read_instance((tree, links), (&shown, &child), name, entry, &mut reading);
                    if jumped {
                        report_below(tree, &child, &mut reading);
                    }
                }
            }
        }
        below.clone_into(&mut reading.service.path);
        let Service { defaults, instances, .. } = &mut reading.service;
        for instance in instances.iter_mut().filter(|instance| instance.state == State::Up) {
            if defaults.drains.iter().any(|drain| drain.covers(instance)) {
                instance.state = State::Drain;
            }
        }
        reading.tell_doubles();
        reading.sort();
        exists.then_some(reading)
    }

    /// Where instances of the service shown at `shown` may stand.
    pub(super) fn directories(&self, shown: &Path) -> Vec<Path> {
        let providers = Some(&self.format.providers).filter(|name| !name.is_empty());
        std::iter::once(shown.clone()).chain(providers.map(|name| shown.child(name))).collect()
    }

    /// Reads the instance `name`, which stands at the second path and is shown at the first.
    fn read_instance(
        &self,
        (tree, links): (&Tree, &Links),
        (shown, path): (&Path, &Path),
        name: &str,
        entry: &Entry,
        reading: &mut Reading,
    ) {
        let mut precedence = (false, 0);
        let mut remarks = Vec::new();
        let read = match entry {
            Entry::Unreadable(error) => self.format.unread_instance(name, &error.to_string()),
            Entry::Known(known) => {
                precedence = (known.ephemeral_owner != 0, known.czxid);
                let (said, former) = said(tree, path, known);
                let data;
                (data, remarks) = with_taken(tree, links, shown, said);
                match former {
                    None => self.format.decode_instance(name, &data),
                    Some(why) => self.format.decode_former(name, &data, &why),
                }
            }
        };
        match read {
            Err(error) => reading.malformed.push(Malformed::lost(path.as_str(), error.to_string())),
            Ok(mut instance) => {
                instance.remarks.extend(remarks);
                let doubts = instance.remarks.iter().map(|reason| Malformed::doubtful(path.as_str(), reason));
                reading.malformed.extend(doubts);
                reading.add(instance, precedence, path);
            }
        }
    }

    /// The paths (below the root) of all services. A node that only leads to others is none.
    pub fn services(&self, tree: &Tree, links: &Links) -> BTreeSet<String> {
        let own: BTreeSet<&str> = tree.subtree(&self.root).filter_map(|(path, _)| self.service_of(path)).collect();
        let mut all: BTreeSet<String> = own.into_iter().map(str::to_owned).collect();
        for (shown, real) in links.mounts() {
            let through = tree.subtree(real).filter_map(|(path, _)| Some(joined(shown, path.below(real)?)));
            all.extend(through.filter_map(|path| self.service_of(&path).map(str::to_owned)));
        }
        all.retain(|below| self.is_service(tree, links, below));
        all
    }

    /// Whether there is a service at `below`: something of its own, or at least a node that does not lead to others.
    pub(super) fn is_service(&self, tree: &Tree, links: &Links, below: &str) -> bool {
        if self.is_system(below) {
            return false;
        }
        let mut leads_on = below.is_empty();
        for (child, ..) in children(tree, links, &self.full(below)).0 {
            match child.below(&self.root).map(|at| self.format.place(at)) {
                Some(Place::Service { .. }) => leads_on = true,
                _ => return true,
            }
        }
        !leads_on
    }
}

/// A service changes in one step, whether its own node or an instance's does. Elsewhere, where links lead, services are
/// told by their shape alone.
impl Together for Layout {
    fn group<'p>(&self, path: &'p Path) -> &'p str {
        self.service_of(path).unwrap_or_else(|| self.service_at(path.as_str().trim_start_matches('/')))
    }

    fn is_understood(&self, path: &Path, data: &[u8]) -> bool {
        let below = path.below(&self.root).unwrap_or_else(|| path.as_str().trim_start_matches('/'));
        match self.format.place(below) {
            Place::Instance { .. } | Place::Service { .. } => format::check(data).is_ok(),
            Place::Directory { .. } | Place::Inside { .. } => true,
        }
    }
}

/// The path `below` that of `path`, which is `path` itself where `below` is empty.
pub(super) fn joined(path: &Path, below: &str) -> Path {
    if below.is_empty() { path.clone() } else { path.child(below) }
}

/// What is seen right below the shown path `directory`: the path as shown, the real one, and the znode. And whether
/// there may be anything deeper.
pub(super) fn children<'t>(tree: &'t Tree, links: &Links, directory: &Path) -> (Vec<(Path, Path, &'t Entry)>, bool) {
    let real = links.real(directory);
    let mut own = tree.children(&real);
    let mut seen: Vec<_> = own
        .by_ref()
        .map(|(child, entry)| {
            let shown = if real == *directory { child.clone() } else { directory.child(child.name()) };
            (shown, child.clone(), entry)
        })
        .collect();
    let linked = links.mounts_in(directory);
    let linked = linked.filter_map(|(shown, real)| Some((shown.clone(), real.clone(), tree.get(real.as_str())?)));
    let before = seen.len();
    seen.extend(linked);
    let jumped = own.jumped() || seen.len() > before;
    (seen, jumped)
}

/// The data of the znode shown at `shown`, with the properties that its links take from other znodes, and what is wrong
/// with those.
fn with_taken<'d>(tree: &Tree, links: &Links, shown: &Path, data: &'d [u8]) -> (Cow<'d, [u8]>, Vec<String>) {
    let (_, mut remarks) = format::property_links(data);
    let sources = links.sources(shown);
    let taken: Vec<Taken<'_>> = sources
        .iter()
        .filter_map(|source| {
            let (path, property) = source.hops.last()?;
            let data = tree.known(path.as_str()).map(|known| &*known.data);
            Some(Taken { name: &source.name, data, property })
        })
        .collect();
    if taken.is_empty() {
        return (Cow::Borrowed(data), remarks);
    }
    let (data, missing) = format::with_properties(data, &taken);
    for name in missing {
        let hop = sources.iter().find(|source| *source.name == *name).and_then(|source| source.hops.last());
        remarks.extend(hop.map(|(path, property)| format!("`{name} =>` leads to {path}, which has no `{property}`")));
    }
    (Cow::Owned(data), remarks)
}

/// Somebody may have put a service below an instance; they should find out why it is not served.
fn report_below(tree: &Tree, instance: &Path, reading: &mut Reading) {
    for (path, _) in tree.children(instance) {
        let reason = format::Error::BelowInstance.to_string();
        reading.malformed.push(Malformed::lost(path.as_str(), reason));
    }
}

/// What a znode says that can be understood, and what is wrong with what it says now, where that is something else.
fn said<'t>(tree: &'t Tree, path: &Path, known: &'t Known) -> (&'t [u8], Option<String>) {
    if let Some(kept) = tree.kept(path.as_str()) {
        let error = format::check(&known.data).err().map(|error| error.to_string());
        return (kept, Some(error.unwrap_or_else(|| "its data cannot be read".to_owned())));
    }
    (&known.data, tree.refusal(path.as_str()).map(|refusal| refusal.error.to_string()))
}

/// Looks services up in a registry as it is now, for people and tools rather than for DNS.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Name of the registry in the config.
    pub name: String,
    layout: Layout,
    tree: SharedTree,
    /// Its malformed nodes.
    pub problems: Problems,
    links: SharedLinks,
    publisher: Option<Publisher>,
}

impl Reader {
    /// A reader of the registry called `name`.
    pub fn new(name: &str, layout: Layout, tree: SharedTree, problems: Problems) -> Self {
        let links = Arc::new(RwLock::new(Links::new(layout.root.clone())));
        Self { name: name.to_owned(), layout, tree, problems, links, publisher: None }
    }

    /// Sees the registry through these links.
    pub fn with_links(mut self, links: SharedLinks) -> Self {
        self.links = links;
        self
    }

    /// Also knows how zones show the registry, for [`Self::explain`].
    pub fn shown_by(self, publisher: Publisher) -> Self {
        Self { publisher: Some(publisher), ..self }
    }

    /// What the guard holds back; none without a guard.
    pub fn guard(&self) -> Option<guard::Report> {
        self.publisher.as_ref()?.alarm().map(guard::SharedAlarm::report)
    }

    /// How many services and instances are shown; none where no zone shows the registry.
    pub fn census(&self) -> Option<census::Report> {
        self.publisher.as_ref().map(|publisher| publisher.census().report())
    }

    /// How many names its services do not have to themselves, and the first of them, at most `limit`.
    pub fn clashes(&self, limit: usize) -> (usize, Vec<Clash>) {
        self.publisher.as_ref().map(|publisher| publisher.clashes().first(limit)).unwrap_or_default()
    }

    /// How a name in a zone is not its services' alone; none where it is.
    pub fn clash(&self, zone: &Name, name: &Name) -> Option<Clash> {
        self.publisher.as_ref()?.clashes().at(zone, name)
    }

    /// What is drained now.
    pub fn drains(&self) -> Drains {
        self.publisher.as_ref().map(Publisher::drains).unwrap_or_default()
    }

    /// Where a name (in lower case) in the zone at `origin` comes from; none where that zone does not show the
    /// registry.
    pub fn explain(&self, origin: &Name, name: &Name) -> Option<Explained> {
        // The publisher first: it must not be waited for with the links locked.
        let view = self.publisher.as_ref()?.views().into_iter().find(|view| view.zone.origin() == origin)?;
        let (held, now) = (self.guard().unwrap_or_default(), unix_now());
        let until = held.until_unix(Instant::now(), now).unwrap_or_default();
        let (tree, links) = (self.tree(), self.links());
        let seen = Seen { layout: &self.layout, tree: &tree, links: &links, now, held: &held.held, until };
        Some(explain::sources(&seen, &view, name))
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
        let (tree, links) = (self.tree(), self.links());
        let service = self.layout.service_at(below);
        let is_there = tree.get(links.real(&self.layout.full(below)).as_str()).is_some();
        (service.to_owned(), is_there)
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
        let mut paths = self.layout.services(&self.tree(), &self.links());
        let gone: Vec<String> = held.into_keys().filter(|path| self.read_now(path).is_none()).collect();
        paths.extend(gone);
        paths
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
        let (tree, links) = (self.tree(), self.links());
        match self.layout.format.place(below) {
            Place::Service { path } if self.layout.is_service(&tree, &links, path) => {
                self.layout.read(&tree, &links, path, unix_now())
            }
            _ => None,
        }
    }

    fn links(&self) -> RwLockReadGuard<'_, Links> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }
}
