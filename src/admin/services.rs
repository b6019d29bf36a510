//! Services of the registries as JSON, one or all.

use std::collections::BTreeSet;

use axum::body::Body;
use serde::{Serialize, Serializer};

use super::events::LongPoll;
use super::pieces;
use super::query::parameters;
use super::reply::Refusal;
use super::shapes::{Drain, MalformedJson, ReaderJson, session, time_of};
use crate::format;
use crate::inspect::reader::Reader;
use crate::inspect::standing::{self, InstanceStanding};
use crate::model::{self, Harm, Protocol, State};
use crate::publish::events::event::EventRecord;
use crate::publish::reading::Reading;
use crate::registry::ReaderName;
use crate::zone::name::Name;

/// Fields of a service that can be chosen.
const FIELDS: [&str; 13] = [
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
];

/// The services that are asked for, and the fields of them. Nothing asked for is no limit.
#[derive(Debug, Default)]
pub(super) struct ServicesQuestion {
    /// Name of the registry.
    pub(super) registry: Option<String>,
    prefix: Option<String>,
    state: Option<Condition>,
    after: Option<String>,
    limit: Option<usize>,
    fields: Fields,
    pub(super) poll: Option<LongPoll>,
}

/// Condition of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Empty,
    Drained,
    Lost,
    Doubtful,
}

impl Condition {
    const ALL: [(&'static str, Self); 4] =
        [("empty", Self::Empty), ("drained", Self::Drained), ("lost", Self::Lost), ("doubtful", Self::Doubtful)];

    fn is_of(self, reading: &Reading, standing: &[InstanceStanding]) -> bool {
        let has = |harm| reading.malformed.iter().any(|one| one.harm == harm);
        let Reading { service, .. } = reading;
        match self {
            Self::Empty => standing.iter().all(|one| one.out.is_some()),
            Self::Drained => {
                let states = service.instances.iter().map(|one| one.state).chain([service.defaults.state]);
                !service.defaults.drains.is_empty() || states.into_iter().any(|state| state == State::Drain)
            }
            Self::Lost => has(Harm::Lost),
            Self::Doubtful => has(Harm::Doubtful),
        }
    }
}

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

impl ServicesQuestion {
    /// Reads what a list of services is asked with.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let known = "`registry`, `prefix`, `state`, `fields`, `limit`, `after`, `index` and `wait`";
        let names = ["registry", "prefix", "state", "fields", "limit", "after", "index", "wait"];
        let [registry, prefix, state, fields, limit, after, index, wait] = parameters(query, names, known)?;
        let state = state.map(|word| {
            let found = Condition::ALL.iter().find(|(name, _)| *name == word).map(|(_, state)| *state);
            let unknown = || Refusal::bad(format!("`state` is empty, drained, lost or doubtful, not `{word}`"));
            found.ok_or_else(unknown)
        });
        let limit =
            limit.map(|text| text.parse().map_err(|_| Refusal::bad(format!("`limit` is not a number: `{text}`"))));
        Ok(Self {
            registry,
            prefix,
            state: state.transpose()?,
            after,
            limit: limit.transpose()?,
            fields: Fields::read(fields)?,
            poll: LongPoll::read(index, wait)?,
        })
    }

    /// Returns whether the list may be another one after an event.
    pub(super) fn is_changed_by(&self, event: &EventRecord) -> bool {
        let is_of = |registry: &String| event.registry.as_ref().is_none_or(|name| name.is_of(registry));
        let is_below = |prefix: &String| event.service.is_none() || event.is_about(prefix);
        self.registry.as_ref().is_none_or(is_of) && self.prefix.as_ref().is_none_or(is_below)
    }

    /// The services of `readers`, as they are when their turn comes, of the event `index` or later.
    pub(super) fn list(self, readers: Vec<Reader>, index: u64) -> Body {
        let Self { prefix, state, after, limit, fields, .. } = self;
        let services = readers.into_iter().flat_map(move |reader| {
            let mut paths = reader.paths();
            if let Some(prefix) = &prefix {
                match reader.below(prefix.trim_end_matches('/')) {
                    Some(prefix) => paths.retain(|path| is_at_or_below(path, prefix)),
                    None => paths.clear(),
                }
            }
            if let Some(after) = &after {
                paths = paths.split_off(after);
                paths.remove(after);
            }
            let fields = fields.clone();
            paths.into_iter().filter_map(move |path| {
                // One that went away meanwhile is left out.
                let reading = reader.read(&path)?;
                let standing = reader.standing(&reading);
                if state.is_some_and(|state| !state.is_of(&reading, &standing)) {
                    return None;
                }
                Some(ServiceJson::render(&reader, &reading, &standing, &fields))
            })
        });
        pieces::list(format!("{{\"index\":{index},\"services\":["), services.take(limit.unwrap_or(usize::MAX)), "]}")
    }
}

/// Returns whether `path` is `prefix` or lies below it.
pub(super) fn is_at_or_below(path: &str, prefix: &str) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
    pub(super) standing: &'a [InstanceStanding],
    /// Instances that the guard holds back, and until when.
    pub(super) held: Option<(u32, u64)>,
    pub(super) names: Vec<Name>,
    pub(super) ttl: Option<u32>,
}

impl<'a> ServiceJson<'a> {
    /// The wanted fields of a service of `reader`, as JSON.
    fn render(
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
fn names(reader: &Reader, path: &str) -> Vec<Name> {
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

    #[test]
    fn a_prefix_ends_where_an_element_does() {
        for (path, prefix, is_in) in [
            ("team1", "team1", true),
            ("team1/a", "team1", true),
            ("team10", "team1", false),
            ("team10/a", "team1", false),
            ("a", "", true),
        ] {
            assert_eq!(is_at_or_below(path, prefix), is_in, "{path} {prefix}");
        }
    }
}
