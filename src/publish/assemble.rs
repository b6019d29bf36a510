//! Services into the zones: each is read whole from the tree and built anew for every zone that shows it, on threads
//! where there are many.

use std::collections::BTreeSet;
use std::time::Instant;

use super::clock::unix_now;
use super::core::Core;
use super::guard::{Guard, narrow};
use super::hosts;
use super::reading::Reading;
use super::target::Target;
use super::touched::{ReadOf, Touched};
use crate::model::{Drain, Harm, Host, Malformed, Service};
use crate::registry::shown::ShownTree;
use crate::zone;
use crate::zone::build;
use crate::zone::name::Name;
use crate::zone::offer::Offers;

/// Offers of one service, and what else follows from its reading.
pub(super) struct BuiltService {
    /// Its path in lower case.
    pub(super) folded: String,
    pub(super) exists: bool,
    /// For each target: the offers, none where the zone does not show that part of the registry.
    pub(super) offered: Vec<Option<Offers>>,
    pub(super) malformed: Vec<Malformed>,
    /// The host names to look up for it.
    pub(super) wanted: BTreeSet<String>,
    /// Its drains that hold.
    pub(super) drains: Vec<Drain>,
    /// Its drains that have ended.
    pub(super) over: Vec<Drain>,
    /// Its own drains that hold, for the same endpoints of other readers.
    pub(super) shared: Vec<Drain>,
    /// Number of instances that are registered.
    pub(super) instances: usize,
    /// Numbers of instances that are served and that are not; `None` where it is no service.
    pub(super) census: Option<(u32, u32)>,
    /// The names that it had, where it is gone.
    pub(super) names: Vec<Name>,
}

/// Services that a thread takes at a time.
pub(super) const CHUNK: usize = 256;

/// Number of services from which on it is worth while to start threads.
pub(super) const FEW: usize = CHUNK * 2;

/// The source under which the hosts of a service are reported, in front of its path.
const HOSTS: &str = "/hosts/";

impl Core {
    /// Reads these services and brings them into every zone that shows them.
    pub(super) fn rebuild(&mut self, tree: &ShownTree, touched: Vec<String>) {
        self.assemble(tree, touched.into_iter().map(Touched::later).collect());
    }

    /// Brings these services into every zone that shows them, but for those that the guard holds.
    pub(super) fn assemble(&mut self, tree: &ShownTree, mut touched: Vec<Touched>) {
        if let Some(guard) = &self.guard {
            touched.retain(|one| !guard.holds(&one.folded));
        }
        if touched.len() >= FEW {
            let assembled = self.assemble_on_threads(tree, touched, None);
            return self.keep(assembled.built.into_iter());
        }
        let origins: Vec<Name> = self.targets.iter().map(Target::origin).collect();
        let now = unix_now();
        for one in touched {
            let built = self.build(tree, &origins, one, now);
            self.put(built);
        }
    }

    /// Builds what one service offers in each zone, of what was read of it, or is now.
    pub(super) fn build(
        &self,
        tree: &ShownTree,
        origins: &[Name],
        Touched { folded, read }: Touched,
        now: u64,
    ) -> BuiltService {
        let reading = match read {
            ReadOf::Done(reading) => reading.map(|reading| *reading),
            ReadOf::Later => self.read(tree, &folded, now),
        };
        let exists = match &reading {
            Some(_) => !self.unread.hides(&folded),
            None => self.unread.is_empty(&folded),
        };
        let Reading { service, mut malformed, over, shared, .. } = reading.unwrap_or_default();
        let mut offered = Vec::with_capacity(self.targets.len());
        for (target, origin) in self.targets.iter().zip(origins) {
            let context = target.context(origin, self.hosts.known(), &folded).zip(target.shown(&folded));
            offered.push(context.map(|(context, path)| {
                if !exists {
                    return Offers::default();
                }
                let full = self.layout.full(&folded);
                match build::build(&context, &path, &service) {
                    Ok(built) => {
                        let remark = |reason: String| Malformed::doubtful(full.as_str(), reason);
                        malformed.extend(built.remarks.into_iter().map(remark));
                        built.offers
                    }
                    // One that only leads to others has no name to lose: they are told, and not each znode above them.
                    Err(_) if !self.layout.is_service(tree, &service.path) => Offers::default(),
                    Err(error) => {
                        let reason = format!("it cannot be a name in zone {origin}: {error}");
                        malformed.push(Malformed::lost(full.as_str(), reason));
                        Offers::default()
                    }
                }
            }));
        }
        let wanted = self.wanted(&folded, &service);
        let instances = service.instances.len();
        let is_service = exists && (instances > 0 || self.layout.is_service(tree, &folded));
        let census = is_service.then(|| {
            let served = service.up().count();
            let lost = malformed.iter().filter(|one| one.harm == Harm::Lost).count();
            (narrow(served), narrow(instances - served + lost))
        });
        BuiltService {
            folded,
            exists,
            offered,
            malformed,
            wanted,
            drains: service.defaults.drains,
            over,
            shared,
            instances,
            census,
            names: Vec::new(),
        }
    }

    fn put(&mut self, built: BuiltService) {
        if !built.exists {
            self.forget(&built.folded);
        }
        self.want(&built.folded, built.wanted.clone());
        self.drained(&built.folded, built.drains.clone(), built.over.clone());
        self.share(&built.folded, built.shared.clone());
        count(&mut self.guard, &built.folded, built.instances);
        self.count(&built);
        self.offer(built);
    }

    /// Counts the instances of a service.
    pub(super) fn count(&self, built: &BuiltService) {
        let (before, now) = self.census.count(&built.folded, built.census);
        self.note_served(&built.folded, before, now);
    }

    /// Hands what was built to the zones, and tells what is wrong.
    fn offer(&mut self, BuiltService { folded, offered, malformed, exists, .. }: BuiltService) {
        if exists {
            self.past.remove(&folded);
        } else {
            let names: Vec<Name> = self.targets.iter().flat_map(|target| Self::names_before(target, &folded)).collect();
            self.past.add(&folded, unix_now(), names);
        }
        for (target, offered) in self.targets.iter().zip(offered) {
            if let Some(offers) = offered {
                target.lock().source(target.source).put(&target.placed(&folded), offers);
            }
        }
        self.report(&folded, malformed);
    }

    /// There is no service of that name any more, in any spelling.
    pub(super) fn forget(&mut self, folded: &str) {
        if !self.unread.hides(folded)
            && self.targets.iter().any(|target| target.lock().source(target.source).has(&target.placed(folded)))
        {
            self.unread.went(folded, Instant::now());
        }
        self.spellings.remove(folded);
    }

    /// The host names to look up for a service.
    fn wanted(&self, folded: &str, service: &Service) -> BTreeSet<String> {
        let hosts = service.instances.iter().flat_map(|instance| {
            let ports = instance.ports.iter().map(|(_, endpoint)| endpoint);
            std::iter::once(&instance.endpoint).chain(ports).filter_map(|endpoint| match &endpoint.host {
                Host::Name(name) if instance.known_addresses(endpoint).is_empty() => Some(name),
                _ => None,
            })
        });
        let showing = |target: &&Target| target.shown(folded).is_some() && target.reverse_of.is_empty();
        let domains: BTreeSet<_> =
            self.targets.iter().filter(showing).map(|target| target.names.host_domain.as_deref()).collect();
        let names = hosts.flat_map(|name| domains.iter().map(|domain| zone::records::srv::wanted(*domain, name)));
        names.filter(|name| Name::parse(name).is_ok()).collect()
    }

    /// Has these host names, and no others, looked up for a service.
    pub(super) fn want(&mut self, folded: &str, wanted: BTreeSet<String>) {
        let own = &self.own;
        let is_ours = |host: &str| {
            Name::parse(host).is_ok_and(|name| own.iter().any(|origin| name.folded().is_at_or_below(origin)))
        };
        let beyond = self.hosts.want(folded, wanted, is_ours, Instant::now());
        let reason = || format!("{beyond} of its hosts are not looked up: there are over {}", hosts::MAX_HOSTS);
        let malformed = || Malformed::lost(self.layout.full(folded).as_str(), reason());
        self.report(&format!("{HOSTS}{folded}"), (beyond > 0).then(malformed).into_iter().collect());
    }
}

/// Tells the guard how many instances a service is shown with.
pub(super) fn count(guard: &mut Option<Guard>, folded: &str, instances: usize) {
    if let Some(guard) = guard {
        guard.shows(folded, narrow(instances));
    }
}
