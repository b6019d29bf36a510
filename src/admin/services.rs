//! Services of the registries as JSON, one or all.

use axum::body::Body;
use serde::{Serialize, Serializer};

use super::pieces;
use super::shapes::{Drain, MalformedJson, ReaderJson};
use crate::format;
use crate::inspect::reader::Reader;
use crate::model::{self, Harm, Protocol};
use crate::publish::reading::Reading;
use crate::registry::ReaderName;
use crate::zone::name::Name;

/// The services of `readers` whose paths begin with `prefix`, as they are when their turn comes.
pub(super) fn list(readers: Vec<Reader>, prefix: String) -> Body {
    let services = readers.into_iter().flat_map(move |reader| {
        let mut paths = reader.paths();
        paths.retain(|path| path.starts_with(&prefix));
        paths.into_iter().filter_map(move |path| {
            // One that went away meanwhile is left out.
            let reading = reader.read(&path)?;
            Some(serde_json::to_vec(&ServiceJson::new(
                &reader.name,
                &reading,
                reader.held(&path),
                &reader.names(&path),
            )))
        })
    });
    pieces::list("{\"services\":[", services, "]}")
}

/// A service, as `/v1/services` and `/v1/services/{path}` show it. What an instance does not say is `null`.
#[derive(Debug, Serialize)]
pub(super) struct ServiceJson<'a> {
    #[serde(flatten)]
    registry: ReaderJson<'a>,
    path: &'a str,
    /// Its DNS names.
    names: Vec<String>,
    defaults: Defaults<'a>,
    /// Those in force.
    drains: Vec<Drain<'a>>,
    instances: Vec<InstanceJson<'a>>,
    malformed: Vec<MalformedJson<'a>>,
    /// Of those, what is not served.
    lost: Vec<MalformedJson<'a>>,
    /// Of those, what is served with a default or with what it said before.
    doubtful: Vec<MalformedJson<'a>>,
    guard: Option<HeldJson>,
}

/// Losses that the guard holds back of it.
#[derive(Debug, Serialize)]
struct HeldJson {
    /// Instances that are gone and in DNS.
    instances: u32,
    until: String,
}

#[derive(Debug, Serialize)]
struct Defaults<'a> {
    weight: Option<u16>,
    priority: Option<u16>,
    ttl: Option<u32>,
    state: &'static str,
    metadata: Metadata<'a>,
}

#[derive(Debug, Serialize)]
struct InstanceJson<'a> {
    name: &'a str,
    host: String,
    port: u16,
    protocol: &'static str,
    weight: Option<u16>,
    priority: Option<u16>,
    ttl: Option<u32>,
    state: &'static str,
    tags: &'a [Box<str>],
    ports: Vec<Named<'a>>,
    metadata: Metadata<'a>,
    remarks: &'a [String],
}

/// A further endpoint.
#[derive(Debug, Serialize)]
struct Named<'a> {
    name: &'a str,
    host: String,
    port: u16,
}

impl<'a> ServiceJson<'a> {
    /// What was read of a service of `registry` that has these DNS names; `held` is what the guard holds back of it,
    /// and until when.
    pub(super) fn new(
        registry: &'a ReaderName,
        Reading { service, malformed, .. }: &'a Reading,
        held: Option<(u32, u64)>,
        names: &[Name],
    ) -> Self {
        let of = |harm| malformed.iter().filter(move |one| one.harm == harm).map(MalformedJson::new).collect();
        let model::Defaults { ttl, weight, priority, state, drains, metadata } = &service.defaults;
        Self {
            registry: ReaderJson::new(registry),
            path: &service.path,
            names: names.iter().map(ToString::to_string).collect(),
            defaults: Defaults {
                weight: *weight,
                priority: *priority,
                ttl: *ttl,
                state: state.as_str(),
                metadata: Metadata(metadata),
            },
            drains: drains.iter().map(Drain::new).collect(),
            instances: service.instances.iter().map(InstanceJson::new).collect(),
            malformed: malformed.iter().map(MalformedJson::new).collect(),
            lost: of(Harm::Lost),
            doubtful: of(Harm::Doubtful),
            guard: held.map(|(instances, until)| HeldJson { instances, until: format::moment(until) }),
        }
    }
}

impl<'a> InstanceJson<'a> {
    fn new(instance: &'a model::Instance) -> Self {
        let port = |(name, endpoint): &'a (Box<str>, model::Endpoint)| Named {
            name,
            host: endpoint.host.to_string(),
            port: endpoint.port,
        };
        Self {
            name: &instance.name,
            host: instance.endpoint.host.to_string(),
            port: instance.endpoint.port,
            protocol: match instance.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            },
            weight: instance.weight,
            priority: instance.priority,
            ttl: instance.ttl,
            state: instance.state.as_str(),
            tags: &instance.tags,
            ports: instance.ports.iter().map(port).collect(),
            metadata: Metadata(&instance.metadata),
            remarks: &instance.remarks,
        }
    }
}

/// Key and value pairs, as an object.
#[derive(Debug)]
struct Metadata<'a>(&'a [(Box<str>, Box<str>)]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Host, State};

    #[test]
    fn a_service_shows_all_that_its_instances_say() {
        let mut one = model::Instance::new(
            "[2001:db8::1]:80",
            Endpoint { host: Host::V6("2001:db8::1".parse().unwrap()), port: 80 },
        );
        one.protocol = Protocol::Udp;
        (one.weight, one.priority, one.ttl, one.state) = (Some(1), Some(2), Some(3), State::Drain);
        one.tags = vec!["canary".into(), "a \"b\"\n".into()];
        one.ports = vec![("http".into(), Endpoint { host: Host::Name("server1".into()), port: 8080 })];
        one.metadata = vec![("pid".into(), "7".into())];
        one.remarks = vec!["`weight` is no number".into()];
        let bare = model::Instance::new("10.0.0.1:80", Endpoint { host: Host::V4([10, 0, 0, 1].into()), port: 80 });
        let drain = model::Drain {
            instance: Some(bare.endpoint.clone()),
            until: Some(0),
            reason: "disk".into(),
            ..model::Drain::default()
        };
        let defaults = model::Defaults { ttl: Some(9), drains: vec![drain], ..model::Defaults::default() };
        let service = model::Service {
            path: "staging/api_x".into(),
            defaults,
            instances: vec![one, bare],
            ..model::Service::default()
        };
        let malformed = vec![model::Malformed::lost("/services/x", "it is bad")];
        let mut reading = Reading::default();
        (reading.service, reading.malformed) = (service, malformed);
        assert_eq!(
            serde_json::to_string_pretty(&ServiceJson::new(
                &ReaderName::only("main"),
                &reading,
                Some((2, 60)),
                &[Name::parse("api_x.staging.service").unwrap()]
            ))
            .unwrap(),
            include_str!("testdata/service.json").trim_end()
        );
    }
}
