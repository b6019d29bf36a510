//! Twitter's `ServerSets`, which Finagle, Aurora, Armeria and `twitter.common.zookeeper` write: `<path>/member_<ten
//! digits>`, of whichever depth, with JSON in which the endpoints are.
//!
//! Source: `JsonCodec.scala` and `Zk2Resolver.scala` of Finagle 24.5; `ServiceInstance` of `twitter.common.zookeeper`
//! 0.3.9, which writes addresses (`inet`, `inet6`) beside the host; `ZooKeeperRegistrationSpec` of Armeria 1.41. Their
//! readers serve members whose status is `ALIVE`, and no others. Old servers wrote binary Thrift.
//!
//! Ours have no sequence of ZooKeeper's: a create of such a name whose reply is lost leaves a member that its writer
//! does not know, and after a restart there are two. Their ten digits are a hash of the instance id, above the numbers
//! that ZooKeeper counts to (2³¹ − 1), so that none is ever another writer's. Readers take no more of a name than that
//! it begins with `member_` (Finagle, Prometheus) and ends with digits (Twitter's libraries for Java and Python). Two
//! members of one service have the same name once in 7.8 thousand million pairs; the second one is then not registered,
//! and status and log say that another session has its place. Our marks are in `metadata`, Armeria's map of texts. A
//! drain is the status `STOPPING`. Weights are not in members but in `vectors` beside them.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{fields, vectors};
use crate::format::convention::{Convention, Registration, Row};
use crate::format::error::Error;
use crate::format::kind::NodeKind;
use crate::format::placement::{Beside, Decoded, Node};
use crate::format::property::{self, Property};
use crate::format::{json, name};
use crate::model::{Endpoint, Instance, State};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "serverset",
    doc: "Twitter's ServerSets (Finagle, Aurora, Armeria): member_0000000000 below a service at any depth",
    root: "/",
    build: |_| Arc::new(ServerSet),
};

/// Beginning of a member's name, in front of ten digits.
const MEMBER: &str = "member_";
/// Least of the numbers in names of ours: ZooKeeper's sequences end before it.
const FIRST_OWN: u64 = 1 << 31;
/// Numbers of ten digits.
const NUMBERS: u64 = 10_000_000_000;
/// Largest shard that Finagle reads.
const SHARDS: i64 = i32::MAX as i64;
/// The beginning of a structure in binary Thrift, of which the first field is a structure.
const THRIFT: [u8; 3] = [12, 0, 1];

#[derive(Debug)]
struct ServerSet;

impl Convention for ServerSet {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        let mut start = 0;
        for element in below.split('/') {
            let end = start + element.len();
            if is_member(element) {
                let service = below[..start].trim_end_matches('/');
                let is_inside = end < below.len();
                return if is_inside {
                    NodeKind::Inside { service }
                } else {
                    NodeKind::Instance { service, name: element }
                };
            }
            if vectors::is_vector(element) {
                return NodeKind::Beside { service: below[..start].trim_end_matches('/') };
            }
            start = end + 1;
        }
        NodeKind::Service { path: below }
    }

    fn reserved(&self) -> String {
        "member_0000000000".to_owned()
    }

    fn endpoint(&self, _: &str) -> Result<Endpoint, Error> {
        Err(Error::NoEndpoint("they cannot be read".to_owned()))
    }

    fn check(&self, data: &[u8]) -> Result<(), Error> {
        // Those of services are anybody's, and are not looked at.
        if data.is_empty() { Ok(()) } else { json::object(data).map(|_| ()) }
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        decode(node.data).map(|instance| vec![instance])
    }

    fn finish(&self, service: &str, instances: &mut Vec<Decoded<'_>>, beside: &dyn Beside) {
        vectors::weigh(service, instances, beside);
    }

    fn node_name(&self, _: &Endpoint, instance_id: &str) -> String {
        let offset = instance_id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{MEMBER}{:010}", FIRST_OWN + offset % (NUMBERS - FIRST_OWN))
    }

    fn holds_state(&self) -> bool {
        true
    }

    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>> {
        Some(encode(registration))
    }

    fn objections(&self, registration: &Registration<'_>) -> Vec<String> {
        match property(registration, "shard") {
            None | Some(Property::Integer(0..=SHARDS)) => Vec::new(),
            Some(other) => vec![format!("`shard` is \"{}\", not a whole number from 0 to {SHARDS}", other.to_text())],
        }
    }

    only_read!(but_written);
}

fn property<'r>(registration: &Registration<'r>, key: &str) -> Option<&'r Property> {
    registration.properties.iter().find(|(own, _)| own == key).map(|(_, value)| value)
}

/// Writes a member. `shard` is the property of that name, where it is a whole number: readers take no other.
fn encode(registration: &Registration<'_>) -> Vec<u8> {
    let instance = registration.instance();
    let endpoint = |of: &Endpoint| {
        let host = ("host".to_owned(), Property::Text(of.host.to_string()));
        Property::Table(vec![host, ("port".to_owned(), Property::Integer(of.port.into()))])
    };
    let status = match instance.state {
        State::Up if !registration.is_drained => "ALIVE",
        State::Up | State::Drain => "STOPPING",
        State::Down => "STOPPED",
    };
    let more = instance.ports.iter().map(|(name, port)| (name.to_string(), endpoint(port))).collect();
    let mut own = vec![
        ("serviceEndpoint", endpoint(&instance.endpoint)),
        ("additionalEndpoints", Property::Table(more)),
        ("status", Property::Text(status.to_owned())),
    ];
    let mut left_out = vec!["state", "ports"];
    if let Some(Property::Integer(number @ 0..=SHARDS)) = property(registration, "shard") {
        own.push(("shard", Property::Integer(*number)));
        left_out.push("shard");
    }
    own.push(("metadata", registration.metadata(&left_out, &[])));
    property::object(&[], &own)
}

/// Returns whether an element is called as members are.
pub(super) fn is_member(element: &str) -> bool {
    let digits = element.strip_prefix(MEMBER);
    digits.is_some_and(|digits| digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads a member's data.
pub(super) fn decode(data: &[u8]) -> Result<Instance, Error> {
    if data.starts_with(&THRIFT) {
        return Err(Error::NoEndpoint("they are binary Thrift, as old servers wrote; only JSON is read".to_owned()));
    }
    let mut said = json::object(data)?;
    let Some(Value::Object(main)) = said.remove("serviceEndpoint") else {
        return Err(Error::NoEndpoint("it has no `serviceEndpoint`".to_owned()));
    };
    let mut remarks = Vec::new();
    let (endpoint, addresses) = endpoint(main, &mut remarks)?;
    let mut instance = Instance::new(&endpoint.to_string(), endpoint);
    instance.addresses = addresses;
    match said.remove("additionalEndpoints") {
        Some(Value::Object(more)) => {
            for (name, one) in more {
                let read = match one {
                    Value::Object(one) => self::endpoint(one, &mut remarks).map_err(|error| error.to_string()),
                    other => Err(format!("it is {}", json::quote(&other))),
                };
                match read {
                    Ok((endpoint, _)) if !name.is_empty() => instance.ports.push((name.into(), endpoint)),
                    Ok(_) => remarks.push("`additionalEndpoints` holds one without a name; it is left out".to_owned()),
                    Err(why) => {
                        let name = json::quote(&name.into());
                        remarks.push(format!("`additionalEndpoints` holds no endpoint under {name}: {why}"));
                    }
                }
            }
        }
        other if fields::is_absent(other.as_ref()) => {}
        Some(other) => {
            remarks.push(format!("`additionalEndpoints` is {}, not a table; it is left out", json::quote(&other)));
        }
        None => {}
    }
    match said.remove("status") {
        status if fields::is_absent(status.as_ref()) => {
            remarks.push("it has no `status`; it is served as if that were ALIVE".to_owned());
        }
        Some(Value::String(word)) if word.trim() == "ALIVE" => {}
        other => instance.drain(format!("its status is {}, not ALIVE", json::quote(&other.unwrap_or_default()))),
    }
    let shard = said.get("shard").filter(|shard| !fields::is_absent(Some(shard)));
    if let Some(shard) = shard.and_then(fields::scalar) {
        instance.tags.extend(fields::tag(&format!("shard-{shard}")));
    }
    if let Some(Value::Object(metadata)) = said.remove("metadata") {
        said.extend(metadata);
    }
    let shown = said.into_iter().filter(|(_, value)| !value.is_null());
    instance.metadata = shown.map(|(key, value)| (key.into(), json::text(value))).collect();
    instance.remarks = fields::few(remarks);
    Ok(instance)
}

/// Reads an endpoint, and the addresses that are beside its host. One whose host cannot be used is at its address.
fn endpoint(mut said: Map<String, Value>, remarks: &mut Vec<String>) -> Result<(Endpoint, Vec<IpAddr>), Error> {
    let mut addresses = Vec::new();
    for key in ["inet", "inet6"] {
        let Some(value) = said.remove(key).filter(|value| !fields::is_absent(Some(value))) else { continue };
        match value.as_str().and_then(|text| name::any_host(text).ok()?.ip()) {
            Some(address) => addresses.push(address),
            None => remarks.push(format!("`{key}` is {}, no address; it is left out", json::quote(&value))),
        }
    }
    let is_named = fields::host("host", said.get("host")).is_ok();
    if let Some(address) = addresses.first().filter(|_| !is_named) {
        said.insert("host".to_owned(), address.to_string().into());
    }
    let endpoint = fields::endpoint(&said)?;
    if endpoint.host.ip().is_some() {
        addresses.clear();
    }
    Ok((endpoint, addresses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::conventions::samples;
    use crate::format::origin::Origin;
    use serde_json::json;

    fn read(said: &Value) -> Instance {
        decode(said.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_twitter_common_writes_is_read() {
        samples::check(&ServerSet, "/", include_str!("../../../tests/fixtures/conventions/serverset.json"));
    }

    #[test]
    fn ours_have_what_every_reader_of_members_needs() {
        let endpoint = name::endpoint("web7.example.com:8080").unwrap();
        let text = |text: &str| Property::Text(text.into());
        let more = [("admin", Property::Integer(8081)), ("db", text("10.0.0.2:5432"))];
        let more = more.map(|(name, port)| (name.to_owned(), port)).to_vec();
        let properties = [
            ("shard", Property::Integer(3)),
            ("ports", Property::Table(more)),
            ("owner", text("shop")),
            ("load", Property::Fraction(0.5)),
        ];
        let mut properties = properties.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let written = |is_drained, properties: &[(String, Property)]| {
            let data = ServerSet.encode(&Registration {
                service: "shop/web",
                endpoint: &endpoint,
                is_drained,
                properties,
                instance_id: "00c0ffee00c0ffee",
                origin: &Origin { boot_id: Some("b".into()), addresses: Vec::new() },
                pid: 7,
                created: std::time::SystemTime::UNIX_EPOCH,
            });
            String::from_utf8(data.unwrap()).unwrap()
        };
        let ours = written(false, &properties);
        let expected = r#"{"serviceEndpoint":{"host":"web7.example.com","port":8080},"additionalEndpoints":{"#
            .to_owned()
            + r#""admin":{"host":"web7.example.com","port":8081},"db":{"host":"10.0.0.2","port":5432}},"status":"ALIVE","#
            + r#""shard":3,"metadata":{"owner":"shop","load":"0.5","instance_id":"00c0ffee00c0ffee","boot_id":"b"}}"#;
        assert_eq!(ours, expected);
        let one = decode(ours.as_bytes()).unwrap();
        assert_eq!((one.state, one.ports.len(), &*one.tags), (State::Up, 2, ["shard-3".into()].as_slice()));
        assert_eq!(one.remarks, Vec::<String>::new());
        let drained = written(true, &properties);
        assert!(drained.contains(r#""status":"STOPPING""#), "{drained}");
        properties.push(("state".to_owned(), text("down")));
        assert!(written(true, &properties).contains(r#""status":"STOPPED""#));
        assert_eq!(decode(drained.as_bytes()).unwrap().state, State::Drain);
    }

    #[test]
    fn names_of_ours_are_members_that_zookeeper_never_counts_to() {
        let endpoint = name::endpoint("10.0.0.1:80").unwrap();
        let mut names = std::collections::BTreeSet::new();
        for id in 0..10_000_u64 {
            let id = format!("{:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let name = ServerSet.node_name(&endpoint, &id);
            assert!(is_member(&name), "{name}");
            assert!(name["member_".len()..].parse::<u64>().unwrap() > u64::from(i32::MAX.unsigned_abs()), "{name}");
            assert_eq!(ServerSet.node_name(&endpoint, &id), name, "it is the same after a restart");
            names.insert(name);
        }
        assert!(names.len() >= 9_999, "ten thousand of them collide about once in 160 services: {}", names.len());
    }

    #[test]
    fn members_are_told_by_their_names_at_any_depth_and_other_children_are_none() {
        let instance = |service, name| NodeKind::Instance { service, name };
        assert_eq!(ServerSet.place("aurora/www/prod/api/member_0000000012"), {
            instance("aurora/www/prod/api", "member_0000000012")
        });
        assert_eq!(ServerSet.place("member_0000000012"), instance("", "member_0000000012"));
        assert_eq!(ServerSet.place("a/member_0000000012/x"), NodeKind::Inside { service: "a" });
        for path in ["", "a", "a/vector_1", "a/member_1", "a/member_00000000123", "a/member_000000000x"] {
            assert_eq!(ServerSet.place(path), NodeKind::Service { path });
        }
    }

    #[test]
    fn only_alive_is_up_and_no_status_at_all_is_told() {
        let endpoint = json!({"host": "10.0.0.1", "port": 80});
        for word in ["DEAD", "STARTING", "STOPPING", "STOPPED", "WARNING", "alive"] {
            assert_eq!(read(&json!({"serviceEndpoint": endpoint, "status": word})).state, State::Drain, "{word}");
        }
        for status in [json!(null), json!("")] {
            let one = read(&json!({"serviceEndpoint": endpoint, "status": status, "shard": null}));
            assert_eq!((one.state, &*one.tags), (State::Up, [].as_slice()));
            assert_eq!(one.remarks, ["it has no `status`; it is served as if that were ALIVE"]);
        }
    }

    #[test]
    fn addresses_beside_a_host_are_taken_for_it_and_stand_in_for_one_that_cannot_be_used() {
        let of = |endpoint: Value| read(&json!({"serviceEndpoint": endpoint, "status": "ALIVE"}));
        let one = of(json!({"host": "localhost", "port": 80, "inet": "10.0.0.9"}));
        assert_eq!((&*one.name, one.addresses.len()), ("10.0.0.9:80", 0));
        let one = of(json!({"host": "a.example", "port": "80", "inet": "10.0.0.300", "inet6": "::ffff:10.0.0.2"}));
        assert_eq!(one.addresses, [IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(one.remarks, ["`inet` is \"10.0.0.300\", no address; it is left out"]);
    }

    #[test]
    fn what_gives_no_endpoint_says_why_and_a_bad_port_costs_itself_alone() {
        let why = |data: &[u8]| decode(data).unwrap_err().to_string();
        assert!(why(b"\x0c\0\x01\x0b\0\x01\0\0\0\x01a").contains("binary Thrift"));
        assert_eq!(why(b"{}"), "its data give no endpoint: it has no `serviceEndpoint`");
        assert_eq!(why(br#"{"serviceEndpoint":{"port":1}}"#), "its data give no endpoint: it has no `host`");
        let bad = br#"{"serviceEndpoint":{"host":"a","port":0}}"#;
        assert_eq!(why(bad), "its data give no endpoint: `port` is 0, no port");
        let one = read(&json!({"serviceEndpoint": {"host": "a", "port": 1}, "status": "ALIVE", "shard": 7,
                               "additionalEndpoints": {"x": {"host": "a"}, "y": 5, "http": {"host": "a", "port": 2}},
                               "metadata": {"k": "v"}}));
        assert_eq!((one.ports.len(), one.remarks.len(), &*one.tags), (1, 2, ["shard-7".into()].as_slice()));
        assert_eq!(one.metadata, [("k".into(), "v".into()), ("shard".into(), "7".into())]);
    }

    #[test]
    fn seeded_garbage_never_panics() {
        samples::throw_garbage(
            &ServerSet,
            &["a/member_0000000001"],
            &[
                "{\"serviceEndpoint\":{\"host\":\"a\",\"port\":1,\"inet\":\"10.0.0.1\"},\"status\":\"ALIVE\",\"shard\":1}",
            ],
        );
    }
}
