//! A service of a registry as JSON.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use super::reply::Refusal;
use super::shapes::{Drain, MalformedJson, ReaderJson, session, time_of};
use crate::format;
use crate::inspect::reader::Reader;
use crate::inspect::standing::{self, InstanceStanding};
use crate::model::{self, Harm, Protocol};
use crate::publish::reading::Reading;
use crate::registry::ReaderName;
use crate::zone::name::Name;

/// Fields of a service that can be chosen.
pub(super) const FIELDS: [&str; 15] = [
    "path",
    "names",
    "in",
    "out",
    "ttl",
    "defaults",
    "drains",
    "instances",
    "malformed",
    "lost",
    "doubtful",
    "guard",
    "full_path",
    "format",
    "pattern",
];

/// The fields that are wanted; all where nothing says which.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Option<BTreeSet<String>>);

impl Fields {
    /// Reads `fields=path,names`.
    pub(super) fn read(text: Option<String>) -> Result<Self, Refusal> {
        let Some(text) = text else { return Ok(Self(None)) };
        let fields: BTreeSet<String> = text.split(',').map(|field| field.trim().to_owned()).collect();
        match fields.iter().find(|field| !FIELDS.contains(&field.as_str())) {
            None => Ok(Self(Some(fields))),
            Some(unknown) => {
                Err(Refusal::bad(format!("a service has no field `{unknown}`, only {}", FIELDS.join(", "))))
            }
        }
    }

    fn want(&self, field: &str) -> bool {
        self.0.as_ref().is_none_or(|fields| fields.contains(field))
    }
}

/// A service, as `/v1/services` and `/v1/services/{path}` show it. What an instance does not say is `null`; what it is
/// answered with is beside that.
#[derive(Debug, Serialize)]
pub(super) struct ServiceJson<'a> {
    /// Index of the last event, where it is asked for alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(flatten)]
    registry: ReaderJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    /// Path with the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    full_path: Option<String>,
    /// Name of the format that it is read in.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
    /// Pattern of the paths of instances, or a few words about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    /// Its DNS names.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<String>>,
    /// Number of instances in the answers.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    serving: Option<usize>,
    /// Number of those that are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<usize>,
    /// Time to live that its instances have where they say none, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Nullable<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    defaults: Option<Defaults<'a>>,
    /// Those in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    drains: Option<Vec<Drain<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<Vec<InstanceJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    malformed: Option<Vec<MalformedJson<'a>>>,
    /// Of those, what is not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Vec<MalformedJson<'a>>>,
    /// Of those, what is served with a default or with what it said before.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubtful: Option<Vec<MalformedJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<Nullable<HeldJson>>,
}

/// A field that may be `null`, apart from one that is not wanted.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Nullable<T>(Option<T>);

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
    /// State in the answers, with the reason where it is not in them.
    r#in: bool,
    reason: Option<&'a str>,
    /// The values that it is answered with.
    effective: Effective,
    /// Path of its znode, and the session that owns it.
    znode: &'a str,
    owner: Option<String>,
    /// Time at which it was registered.
    ctime: Option<String>,
    czxid: String,
    mzxid: String,
}

/// Values that an instance is answered with.
#[derive(Debug, Serialize)]
struct Effective {
    weight: u16,
    priority: u16,
    ttl: Option<u32>,
}

/// A further endpoint.
#[derive(Debug, Serialize)]
struct Named<'a> {
    name: &'a str,
    host: String,
    port: u16,
}

/// Facts beside a service's reading.
#[derive(Debug)]
pub(super) struct ServiceFacts<'a> {
    pub(super) registry: &'a ReaderName,
    pub(super) full_path: String,
    /// Name of the format, and pattern of the paths of instances.
    pub(super) convention: (&'a str, &'a str),
    pub(super) standing: &'a [InstanceStanding],
    /// Instances that the guard holds back, and until when.
    pub(super) held: Option<(u32, u64)>,
    pub(super) names: Vec<Name>,
    pub(super) ttl: Option<u32>,
}

impl<'a> ServiceJson<'a> {
    /// The wanted fields of a service of `reader`, as JSON.
    pub(super) fn render(
        reader: &Reader,
        reading: &Reading,
        standing: &[InstanceStanding],
        fields: &Fields,
    ) -> serde_json::Result<Vec<u8>> {
        let facts = ServiceFacts::new(reader, reading, standing, fields);
        serde_json::to_vec(&ServiceJson::new(reading, &facts, fields))
    }

    /// A service as it was read, and facts beside it.
    pub(super) fn new(
        Reading { service, malformed, .. }: &'a Reading,
        facts: &ServiceFacts<'a>,
        fields: &Fields,
    ) -> Self {
        let of = |harm| malformed.iter().filter(move |one| one.harm == harm).map(MalformedJson::new).collect();
        let model::Defaults { ttl, weight, priority, state, drains, metadata } = &service.defaults;
        let lost = malformed.iter().filter(|one| one.harm == Harm::Lost).count();
        let (serving, out) = standing::numbers(lost, facts.standing);
        let held = facts.held.map(|(instances, until)| HeldJson { instances, until: format::moment(until) });
        let instances = || {
            let both = service.instances.iter().zip(facts.standing);
            both.map(|(instance, standing)| InstanceJson::new(instance, standing)).collect()
        };
        Self {
            index: None,
            registry: ReaderJson::new(facts.registry),
            path: fields.want("path").then_some(&service.path),
            full_path: fields.want("full_path").then(|| facts.full_path.clone()),
            format: fields.want("format").then_some(facts.convention.0),
            pattern: fields.want("pattern").then_some(facts.convention.1),
            names: fields.want("names").then(|| facts.names.iter().map(ToString::to_string).collect()),
            serving: fields.want("in").then_some(serving),
            out: fields.want("out").then_some(out),
            ttl: fields.want("ttl").then_some(Nullable(ttl.or(facts.ttl))),
            defaults: fields.want("defaults").then(|| Defaults {
                weight: *weight,
                priority: *priority,
                ttl: *ttl,
                state: state.as_str(),
                metadata: Metadata(metadata),
            }),
            drains: fields.want("drains").then(|| drains.iter().map(Drain::new).collect()),
            instances: fields.want("instances").then(instances),
            malformed: fields.want("malformed").then(|| malformed.iter().map(MalformedJson::new).collect()),
            lost: fields.want("lost").then(|| of(Harm::Lost)),
            doubtful: fields.want("doubtful").then(|| of(Harm::Doubtful)),
            guard: fields.want("guard").then_some(Nullable(held)),
        }
    }
}

impl ServiceJson<'_> {
    /// The same with the index of the last event.
    pub(super) fn indexed(self, index: u64) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl<'a> ServiceFacts<'a> {
    /// Facts about a service of `reader` that these fields need.
    pub(super) fn new(
        reader: &'a Reader,
        reading: &Reading,
        standing: &'a [InstanceStanding],
        fields: &Fields,
    ) -> Self {
        let path = &reading.service.path;
        Self {
            registry: &reader.name,
            full_path: reader.full(path),
            convention: reader.convention(),
            standing,
            held: reader.held(path),
            names: if fields.want("names") { names(reader, path) } else { Vec::new() },
            ttl: reader.ttl(path),
        }
    }
}

impl<'a> InstanceJson<'a> {
    fn new(instance: &'a model::Instance, standing: &'a InstanceStanding) -> Self {
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
            r#in: standing.out.is_none(),
            reason: standing.out.as_deref(),
            effective: Effective { weight: standing.weight, priority: standing.priority, ttl: standing.ttl },
            znode: standing.path.as_str(),
            owner: session(standing.owner),
            ctime: time_of(standing.ctime),
            czxid: format!("{:#x}", standing.czxid),
            mzxid: format!("{:#x}", standing.mzxid),
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

/// The DNS names of a service, its own before its further ones.
pub(super) fn names(reader: &Reader, path: &str) -> Vec<Name> {
    let (mut names, own) = (reader.names(path), reader.owners(path));
    names.sort_by_key(|name| !own.contains(name));
    names
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
        let standing = |out: Option<&str>| InstanceStanding {
            out: out.map(str::to_owned),
            weight: 10,
            priority: 0,
            ttl: Some(9),
            path: crate::registry::Path::new("/services/staging/api_x/x").unwrap(),
            owner: 7,
            ctime: 1_796_073_000_123,
            czxid: 16,
            mzxid: 17,
        };
        let standing = [standing(Some("drained: its state is \"drain\"")), standing(None)];
        let facts = ServiceFacts {
            registry: &ReaderName::only("main"),
            full_path: "/services/staging/api_x".into(),
            convention: ("kafka", "brokers/ids/{id}"),
            standing: &standing,
            held: Some((2, 60)),
            names: vec![Name::parse("api_x.staging.service").unwrap()],
            ttl: Some(5),
        };
        let shown = ServiceJson::new(&reading, &facts, &Fields::default());
        assert_eq!(serde_json::to_string_pretty(&shown).unwrap(), include_str!("testdata/service.json").trim_end());
        let few = Fields::read(Some("path,in,out".to_owned())).ok().unwrap();
        let few = serde_json::to_string(&ServiceJson::new(&reading, &facts, &few)).unwrap();
        assert_eq!(few, r#"{"registry":"main","path":"staging/api_x","in":1,"out":2}"#);
        assert!(Fields::read(Some("path,nonsense".to_owned())).is_err());
    }
}
