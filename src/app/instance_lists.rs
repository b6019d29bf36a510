//! The lists that `[[file]]` writes: the instances of a service that DNS gives.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{RegistrySource, Sources, named};
use crate::instance_files::InstanceFiles;
use crate::instance_files::list::{InstanceList, ListedInstance, ListedPort, Unknown};
use crate::model::{Defaults, Endpoint, Instance};
use crate::zone::events::Changes;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::name::Name;
use crate::zone::order::DEFAULT_WEIGHT;
use crate::zone::record::rtype;
use crate::zone::{Zone, Zones};

/// Files of what these give, and a future that tells them of changes, until `stop`.
pub(super) fn files(sources: Sources, stop: CancellationToken) -> (InstanceFiles, impl Future<Output = ()>) {
    let (number, receiver) = watch::channel(0);
    let zones: Vec<Arc<Zone>> = sources.zones.iter().cloned().collect();
    let files = InstanceFiles::new(Arc::new(move |service: &str| list(&sources, service)), receiver);
    let kept = files.clone();
    let telling = async move {
        let mut changes = Changes::of(zones.iter().map(|zone| zone.follow()));
        while stop.run_until_cancelled(changes.changed()).await.is_some() {
            number.send_modify(|number| *number += 1);
        }
        kept.stop();
    };
    (files, telling)
}

/// The instances of the service that a name means.
fn list(sources: &Sources, asked: &str) -> Result<InstanceList, Unknown> {
    let meant = named::services(sources, asked);
    // One that is there before those that may be.
    let mut first = None;
    for named::NamedService { source, below } in meant {
        let listed = of_source(&sources.zones, source, &below);
        if listed.is_ok() {
            return listed;
        }
        first.get_or_insert(listed);
    }
    first.unwrap_or_else(|| Err(Unknown::Service(asked.to_owned())))
}

fn of_source(zones: &Zones, source: &RegistrySource, below: &str) -> Result<InstanceList, Unknown> {
    let reader = &source.reader;
    if source.is_stale().is_none() {
        return Err(Unknown::Registry(source.name.to_string()));
    }
    if reader.held(below).is_some() {
        return Err(Unknown::Guarded(source.name.to_string()));
    }
    let owners = reader.owners(below);
    // A service that was there and is not any more is empty; one that never was is a mistake in the configuration.
    let reading = reader.read(below);
    let found = |owner: &Name| {
        let owner = owner.folded();
        let zone = zones.find(owner.wire())?;
        Some(match lookup::find(zone, &zone.load(), owner.wire(), rtype::A) {
            LookupResult::Unknown(_) => Err(Unknown::Registry(source.name.to_string())),
            LookupResult::NxDomain => Ok(false),
            _ => Ok(true),
        })
    };
    let is_known = owners.iter().filter_map(found).try_fold(false, |known, one| Ok(known | one?))?;
    if reading.is_none() && !is_known {
        return Err(Unknown::Service(below.to_owned()));
    }
    let mut list = InstanceList {
        registry: source.name.to_string(),
        service: below.to_owned(),
        name: owners
            .first()
            .map_or_else(|| below.to_owned(), |owner| owner.to_string().trim_end_matches('.').to_owned()),
        addresses: owners.first().map(|owner| addresses(zones, owner)).unwrap_or_default(),
        instances: Vec::new(),
    };
    if let Some(reading) = reading.filter(|_| !reader.is_preceded(below)) {
        let defaults = &reading.service.defaults;
        list.instances = reading.service.up().map(|instance| listed(instance, defaults)).collect();
    }
    list.sort();
    Ok(list)
}

fn addresses(zones: &Zones, owner: &Name) -> Vec<IpAddr> {
    let owner = owner.folded();
    let Some(zone) = zones.find(owner.wire()) else { return Vec::new() };
    let table = zone.load();
    let mut found = Vec::new();
    for kind in [rtype::A, rtype::AAAA] {
        if let LookupResult::Answer(set) = lookup::find(zone, &table, owner.wire(), kind) {
            found.extend(set.iter().filter_map(|rdata| match kind {
                rtype::A => <[u8; 4]>::try_from(&*rdata).ok().map(IpAddr::from),
                _ => <[u8; 16]>::try_from(&*rdata).ok().map(IpAddr::from),
            }));
        }
    }
    found
}

fn listed(instance: &Instance, defaults: &Defaults) -> ListedInstance {
    let host = |endpoint: &Endpoint| endpoint.host.to_string();
    let ports = instance.ports.iter().map(|(name, endpoint)| ListedPort {
        name: name.to_string(),
        host: host(endpoint),
        port: endpoint.port,
        endpoint: endpoint.to_string(),
    });
    ListedInstance {
        name: instance.name.to_string(),
        host: host(&instance.endpoint),
        port: instance.endpoint.port,
        endpoint: instance.endpoint.to_string(),
        weight: instance.weight.or(defaults.weight).unwrap_or(DEFAULT_WEIGHT),
        priority: instance.priority.or(defaults.priority).unwrap_or_default(),
        is_backup: false,
        tags: instance.tags.iter().map(ToString::to_string).collect(),
        ports: ports.collect(),
        metadata: instance.metadata.iter().map(|(key, value)| (key.to_string(), value.to_string().into())).collect(),
    }
}
