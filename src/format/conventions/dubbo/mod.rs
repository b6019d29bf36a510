//! Apache Dubbo's registrations of interfaces, `<interface>/providers/<percent-encoded URL>`, and SOFARPC's, which are
//! alike: all is in the name.
//!
//! Source: `ZookeeperRegistry.java`, `RegistryDirectory.java` and `AbstractConfigurator.java` of Dubbo 3.3;
//! `ZookeeperRegistry.java` and `ProviderHelper.java` of SOFARPC 5.14, whose data is one byte, 0 for a provider that is
//! offline. A process has a znode for each interface, version, group and protocol: those of one host and port are one
//! instance. Administrators change weights and disable providers in znodes beside them ([`overrides`]).

mod overrides;
mod rules;
mod url;
mod values;
mod yaml;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::url::ProviderUrl;
use super::fields;
use crate::format::convention::{Convention, Row};
use crate::format::error::Error;
use crate::format::placement::{Beside, Decoded, Node, Placement};
use crate::model::{Endpoint, Host, Instance, State};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "dubbo",
    doc: "Apache Dubbo's interfaces: URLs in providers; dots in their names are those of DNS",
    root: "/dubbo",
    build: |_| Arc::new(Dubbo),
};

/// The row of SOFARPC in the table of conventions.
pub(in crate::format) const SOFA: Row = Row {
    name: "sofa",
    doc: "SOFARPC's interfaces: as Dubbo's, but for the root, and 0 in the data of what is offline",
    root: "/sofa-rpc",
    build: |_| Arc::new(Sofa),
};

pub(super) use self::url::is_url;

/// Name of the znode that holds an interface's providers.
const PROVIDERS: &str = "providers";
/// Port of a URL without one, for SOFARPC.
const SOFA_PORT: u16 = 80;

#[derive(Debug)]
struct Dubbo;

impl Convention for Dubbo {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn is_placed(&self) -> bool {
        true
    }

    fn are_dots_borders(&self) -> bool {
        true
    }

    fn placement(&self, below: &str) -> Placement {
        match below.split('/').collect::<Vec<_>>()[..] {
            ["config"] | ["config", "dubbo"] => Placement::Way,
            ["config", "dubbo", name] if name.ends_with(overrides::SUFFIX) => Placement::Beside(None),
            ["config" | "metadata" | "mapping", ..] => Placement::Foreign,
            [_, overrides::DIRECTORY] => Placement::Way,
            [interface, overrides::DIRECTORY, _] => Placement::Beside(Some(interface.to_owned())),
            _ => provider(below),
        }
    }

    fn reserved(&self) -> String {
        "`config`, `mapping` or `metadata`".to_owned()
    }

    fn endpoint(&self, below: &str) -> Result<Endpoint, Error> {
        ProviderUrl::read(below.rsplit('/').next().unwrap_or_default())?.endpoint(None)
    }

    fn check(&self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        decode(node.name).map(|instance| vec![instance])
    }

    fn finish(&self, service: &str, instances: &mut Vec<Decoded<'_>>, beside: &dyn Beside) {
        overrides::apply(service, instances, beside);
        merge(instances);
    }

    only_read!();
}

#[derive(Debug)]
struct Sofa;

impl Convention for Sofa {
    fn name(&self) -> &'static str {
        SOFA.name
    }

    fn is_placed(&self) -> bool {
        true
    }

    fn are_dots_borders(&self) -> bool {
        true
    }

    fn placement(&self, below: &str) -> Placement {
        provider(below)
    }

    fn reserved(&self) -> String {
        "`providers`".to_owned()
    }

    fn endpoint(&self, below: &str) -> Result<Endpoint, Error> {
        ProviderUrl::read(below.rsplit('/').next().unwrap_or_default())?.endpoint(Some(SOFA_PORT))
    }

    fn check(&self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        let url = ProviderUrl::read(node.name)?;
        let mut instance = url.instance(Some(SOFA_PORT), &["uniqueId"])?;
        if matches!(node.data, [0 | b'0']) {
            instance.drain("its data say 0, which is switched off");
        }
        Ok(vec![instance])
    }

    fn finish(&self, _: &str, instances: &mut Vec<Decoded<'_>>, _: &dyn Beside) {
        merge(instances);
    }

    only_read!();
}

/// Part of a znode in both: only what is in an interface's `providers` is read.
fn provider(below: &str) -> Placement {
    match below.split('/').collect::<Vec<_>>()[..] {
        [_] => Placement::Way,
        [interface, PROVIDERS] => Placement::Directory(interface.to_owned()),
        [interface, PROVIDERS, _] => Placement::Instance(interface.to_owned()),
        _ => Placement::Foreign,
    }
}

/// Reads a provider of Dubbo's from the name of its znode.
pub(super) fn decode(name: &str) -> Result<Instance, Error> {
    ProviderUrl::read(name)?.instance(None, &["group", "version"])
}

/// Reads the endpoint of a provider of Dubbo's from the name of its znode.
pub(super) fn endpoint(name: &str) -> Result<Endpoint, Error> {
    ProviderUrl::read(name)?.endpoint(None)
}

/// Makes one instance of those at one endpoint. Where some of them are up, the others have no part in it.
pub(super) fn merge(instances: &mut Vec<Decoded<'_>>) {
    let mut merged: Vec<Decoded<'_>> = Vec::with_capacity(instances.len());
    let mut places: BTreeMap<Endpoint, usize> = BTreeMap::new();
    for one in instances.drain(..) {
        let mut endpoint = one.instance.endpoint.clone();
        if let Host::Name(name) = &mut endpoint.host {
            name.make_ascii_lowercase();
        }
        let place = *places.entry(endpoint).or_insert(merged.len());
        let Some(first) = merged.get_mut(place) else {
            merged.push(one);
            continue;
        };
        match (first.instance.state, one.instance.state) {
            (State::Up, State::Up) => {}
            (State::Up, _) => continue,
            (_, State::Up) => {
                *first = one;
                continue;
            }
            _ => {}
        }
        let (all, more) = (&mut first.instance, one.instance);
        for (name, endpoint) in more.ports {
            if all.ports.iter().all(|(other, _)| *other != name) {
                all.ports.push((name, endpoint));
            }
        }
        for tag in more.tags {
            if !all.tags.contains(&tag) {
                all.tags.push(tag);
            }
        }
        for remark in more.remarks {
            if !all.remarks.contains(&remark) {
                all.remarks.push(remark);
            }
        }
        all.weight = all.weight.max(more.weight);
    }
    for one in &mut merged {
        one.instance.ports.sort();
        let remarks = std::mem::take(&mut one.instance.remarks);
        one.instance.remarks = fields::few(remarks);
    }
    *instances = merged;
}

#[cfg(test)]
mod tests;
