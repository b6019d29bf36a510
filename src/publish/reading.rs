//! What is read of one service: its instances, one for each endpoint, and what is wrong with its znodes.

use std::collections::HashMap;
use std::mem::take;

use crate::model::{Drain, Endpoint, Instance, Malformed, Protocol, Service, State};
use crate::registry::Path;

/// A service as read, with what in it could not be.
#[derive(Debug, Default)]
pub struct Reading {
    /// The service.
    pub service: Service,
    /// Nodes of it that were skipped, and properties that were not used, each with its path.
    pub malformed: Vec<Malformed>,
    /// Drains that are written there and have ended.
    pub over: Vec<Drain>,
    /// Its own drains that hold, for the same endpoints of other readers: of one instance each.
    pub(super) shared: Vec<Drain>,
    /// Which of two nodes of one endpoint goes before, for each instance: the ephemeral one, then the younger; and its
    /// path.
    precedence: Vec<((bool, i64), Path)>,
    /// Where among the instances each endpoint is, while they are read.
    places: HashMap<(Endpoint, Protocol), usize>,
    /// Nodes of which the endpoint is another node's, and where among the instances that is.
    doubles: Vec<(Path, usize)>,
}

/// The beginning of what is told of a node whose endpoint is another's.
const DOUBLE: &str = "it is the same endpoint as";

impl Reading {
    /// A service at `path` that has nothing.
    pub(crate) fn empty(path: &str) -> Self {
        Self { service: Service { path: path.to_owned(), ..Service::default() }, ..Self::default() }
    }

    /// Takes an instance in; of two at one endpoint, and of one protocol, one.
    pub(super) fn add(&mut self, instance: Instance, precedence: (bool, i64), path: &Path) {
        let endpoint = instance.endpoint.folded();
        let next = self.service.instances.len();
        let place = *self.places.entry((endpoint, instance.protocol)).or_insert(next);
        let mut other = path.clone();
        if place == next {
            self.service.instances.push(instance);
            self.precedence.push((precedence, other));
            return;
        }
        let (best, shown) = &mut self.precedence[place];
        if precedence > *best {
            *best = precedence;
            std::mem::swap(shown, &mut other);
            self.service.instances[place] = instance;
        }
        self.doubles.push((other, place));
    }

    /// The instances, each with the path of its node.
    pub(crate) fn instances(&self) -> impl Iterator<Item = (&Instance, &Path)> {
        self.service.instances.iter().zip(self.precedence.iter().map(|(_, path)| path))
    }

    /// The reason for which the node at `path` is not served although it is an instance: another has its endpoint.
    pub(crate) fn double(&self, path: &Path) -> Option<&str> {
        let is_served = self.precedence.iter().any(|(_, served)| served == path);
        let told = || self.malformed.iter().find(|one| one.path == path.as_str() && one.reason.starts_with(DOUBLE));
        if is_served { None } else { told().map(|one| one.reason.as_str()) }
    }

    /// Brings the instances into the order of their names.
    pub(super) fn sort(&mut self) {
        let mut all: Vec<_> = take(&mut self.service.instances).into_iter().zip(take(&mut self.precedence)).collect();
        all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        (self.service.instances, self.precedence) = all.into_iter().unzip();
        self.places.clear();
    }

    /// Takes in what another spelling of the service's path has: one endpoint there and here is one instance.
    pub(crate) fn unite(&mut self, other: Self) {
        let here = take(&mut self.service.instances).into_iter().zip(take(&mut self.precedence));
        for (instance, (precedence, path)) in here.chain(other.service.instances.into_iter().zip(other.precedence)) {
            self.add(instance, precedence, &path);
        }
        self.malformed.extend(other.malformed);
        self.service.defaults.drains.extend(other.service.defaults.drains);
        self.over.extend(other.over);
        self.shared.extend(other.shared);
        self.tell_doubles();
        self.sort();
    }

    /// Tells of the nodes whose endpoints are those of others, once it is known which are shown and in what state.
    pub(super) fn tell_doubles(&mut self) {
        let of_service = self.service.defaults.state;
        for (path, place) in take(&mut self.doubles) {
            let (shown, state) = (&self.precedence[place].1, self.service.instances[place].state);
            let shown = if shown.parent() == path.parent() { shown.name() } else { shown.as_str() };
            let fate = match if of_service == State::Up { state } else { of_service } {
                State::Up => "which is served in its place".to_owned(),
                state => format!("which goes before it and has the state \"{}\"", state.as_str()),
            };
            self.malformed.push(Malformed::doubtful(path.as_str(), format!("{DOUBLE} {shown}, {fate}")));
        }
    }
}
