//! Reads services out of the mirrored tree: which znodes make one service, and what they say together.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLockReadGuard};
use std::time::Instant;

use super::drains::Drains;
use super::explain::{Explained, Seen};
use super::meetings::Clash;
use super::problems::Problems;
use super::reading::Reading;
use super::{Publisher, census, explain, guard, unix_now};
use crate::format::{self, NodeKind};
use crate::model::{Endpoint, Malformed, Service, State};
use crate::registry;
use crate::registry::Path;
use crate::registry::shown::{Readable, SharedTree, Shown, ShownTree};
use crate::registry::tree::{Entry, Known};
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

    pub(super) fn service_at<'p>(&self, below: &'p str) -> &'p str {
        match self.format.place(below) {
            NodeKind::Instance { service, .. } | NodeKind::Directory { service } | NodeKind::Inside { service } => {
                service
            }
            NodeKind::Service { path } => path,
        }
    }

    /// Full path of the service at `below`.
    pub fn full(&self, below: &str) -> Path {
        below.split('/').filter(|element| !element.is_empty()).fold(self.root.clone(), |path, name| path.child(name))
    }

    /// Reads the service that is shown at `below`; none when no znode of it is there. Of its drains there are only
    /// those that hold at `now`, in seconds since 1970, and what they cover is drained.
    pub fn read(&self, tree: &ShownTree, below: &str, now: u64) -> Option<Reading> {
        if self.is_system(below) {
            return None;
        }
        let shown = self.full(below);
        let mut reading = Reading::default();
        let mut exists = false;
        if let Some(node) = tree.get(&shown) {
            exists = true;
            self.read_defaults(tree, &node, now, &mut reading);
        }
        for directory in self.directories(&shown) {
            let (children, jumped) = tree.children(&directory);
            for child in children {
                if let Some(NodeKind::Instance { service, name }) =
                    child.path.below(&self.root).map(|at| self.format.place(at))
                    && service == below
                {
                    exists = true;
                    self.read_instance(tree, &child, name, &mut reading);
                    if jumped {
                        report_below(tree, &child.real, &mut reading);
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

    /// Reads what a service's own node says for all its instances.
    fn read_defaults(&self, tree: &ShownTree, node: &Shown<'_>, now: u64, reading: &mut Reading) {
        let path = node.real.as_str();
        match node.entry {
            Entry::Known(known) => {
                let said = tree.readable(node, known);
                let former = self.former(&said, known);
                let mut remarks = said.remarks;
                remarks.extend(former.map(|why| format!("{why}; what it said before holds")));
                let (defaults, more) = self.format.decode_service(&said.data);
                reading.service.defaults = defaults;
                let over = reading.service.defaults.drains.extract_if(.., |drain| !drain.holds(now));
                reading.over.extend(over);
                remarks.extend(more);
                reading.malformed.extend(remarks.into_iter().map(|reason| Malformed::doubtful(path, reason)));
            }
            Entry::Unreadable(error @ registry::Error::TooMuchData { .. }) => {
                let reason = format!("{error}; its instances are served as if it said nothing");
                reading.malformed.push(Malformed::doubtful(path, reason));
            }
            Entry::Unreadable(error) => reading.malformed.push(Malformed::lost(path, error.to_string())),
        }
    }

    /// Where instances of the service shown at `shown` may stand.
    pub(super) fn directories(&self, shown: &Path) -> Vec<Path> {
        std::iter::once(shown.clone()).chain(self.format.directory().map(|name| shown.child(name))).collect()
    }

    /// Reads the instance `name`.
    fn read_instance(&self, tree: &ShownTree, node: &Shown<'_>, name: &str, reading: &mut Reading) {
        let mut precedence = (false, 0);
        let mut remarks = Vec::new();
        let read = match node.entry {
            Entry::Unreadable(error) => self.format.unread_instance(name, &error.to_string()),
            Entry::Known(known) => {
                precedence = (known.ephemeral_owner != 0, known.czxid);
                let said = tree.readable(node, known);
                let read = match self.former(&said, known) {
                    None => self.format.decode_instance(name, &said.data),
                    Some(why) => self.format.decode_former(name, &said.data, &why),
                };
                remarks = said.remarks;
                read
            }
        };
        let path = &node.real;
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

    /// What is wrong with the present data of a znode, where earlier ones are read.
    fn former(&self, said: &Readable<'_>, known: &Known) -> Option<String> {
        if said.is_kept {
            let error = self.format.check(&known.data).err().map(|error| error.to_string());
            return Some(error.unwrap_or_else(|| "its data cannot be read".to_owned()));
        }
        said.refusal.map(ToString::to_string)
    }

    /// The paths (below the root) of all services. A node that only leads to others is none.
    pub fn services(&self, tree: &ShownTree) -> BTreeSet<String> {
        let mut all = self.paths(tree);
        all.retain(|below| self.is_service(tree, below));
        all
    }

    /// The paths (below the root) of the services that these paths belong to.
    pub(super) fn services_of(&self, paths: &BTreeSet<Path>) -> BTreeSet<String> {
        let (mut all, mut last) = (BTreeSet::new(), None);
        // Paths of one service stand together: most are like the one before.
        for service in paths.iter().filter_map(|path| self.service_of(path)) {
            if last.replace(service) != Some(service) {
                all.insert(service.to_owned());
            }
        }
        all
    }

    /// The paths (below the root) of all services and of the nodes that lead to them.
    pub(super) fn paths(&self, tree: &ShownTree) -> BTreeSet<String> {
        let (mut all, mut last) = (BTreeSet::new(), None);
        tree.each_path(|path| {
            if let Some(service) = self.service_of(path)
                && last.as_deref() != Some(service)
            {
                all.insert(service.to_owned());
                last = Some(service.to_owned());
            }
        });
        all
    }

    /// Whether there is a service at `below`: something of its own, or at least a node that does not lead to others.
    pub(super) fn is_service(&self, tree: &ShownTree, below: &str) -> bool {
        if self.is_system(below) {
            return false;
        }
        let mut leads_on = below.is_empty();
        for child in tree.children(&self.full(below)).0 {
            match child.path.below(&self.root).map(|at| self.format.place(at)) {
                Some(NodeKind::Service { .. }) => leads_on = true,
                _ => return true,
            }
        }
        !leads_on
    }
}

/// Somebody may have put a service below an instance; they should find out why it is not served.
fn report_below(tree: &ShownTree, instance: &Path, reading: &mut Reading) {
    for (path, _) in tree.tree().children(instance) {
        let reason = format::Error::BelowInstance.to_string();
        reading.malformed.push(Malformed::lost(path.as_str(), reason));
    }
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
    publisher: Option<Publisher>,
}

impl Reader {
    /// A reader of the registry called `name`.
    pub fn new(name: &str, layout: Layout, tree: SharedTree, problems: Problems) -> Self {
        Self { name: name.to_owned(), layout, tree, problems, publisher: None }
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
        // The publisher first: it is not waited for with the tree locked.
        let view = self.publisher.as_ref()?.views().into_iter().find(|view| view.zone.origin() == origin)?;
        let (held, now) = (self.guard().unwrap_or_default(), unix_now());
        let until = held.until_unix(Instant::now(), now).unwrap_or_default();
        let tree = self.tree();
        let seen = Seen { layout: &self.layout, tree: &tree, now, held: &held.held, until };
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
        let is_there = self.tree().get(&self.layout.full(below)).is_some();
        (self.layout.service_at(below).to_owned(), is_there)
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
        match self.layout.format.place(below) {
            NodeKind::Service { path } if self.layout.is_service(&tree, path) => {
                self.layout.read(&tree, path, unix_now())
            }
            _ => None,
        }
    }

    fn tree(&self) -> RwLockReadGuard<'_, ShownTree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }
}
