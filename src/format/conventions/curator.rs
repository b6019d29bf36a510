//! Apache Curator's x-discovery: `<service>/<id>`, of whichever depth, with JSON in which the endpoint is. Spring Cloud
//! Zookeeper, and Dubbo 3 for whole applications, write it with metadata in the payload.
//!
//! Source: `ServiceInstance.java` and `JsonInstanceSerializer.java` of 5.9.0; `ZookeeperInstance.java` of Spring Cloud
//! Zookeeper 5.0.2 and of Dubbo 3.3. Absent, `null`, empty and negative are the same to their readers.
//!
//! Ours are written as Spring's, with its payload. Its metadata are a map of texts, so that all values are texts, and
//! so are our marks, which cannot be elsewhere: old readers refuse keys that they do not know, and
//! `enabled` with them, which is never written. A drain is Spring's `instance_status`.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::fields::{self, port};
use crate::format::convention::{Convention, Registration, Row};
use crate::format::error::Error;
use crate::format::kind::NodeKind;
use crate::format::placement::Node;
use crate::format::property::{self, Property};
use crate::format::{json, name};
use crate::model::{Endpoint, Instance, State};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "curator",
    doc: "Apache Curator's x-discovery (Spring Cloud, Dubbo 3 applications): by its data, where the endpoint is",
    root: "/services",
    build: |_| Arc::new(Curator),
};

/// Key of the ports of a Dubbo application, in JSON within JSON.
const ENDPOINTS: &str = "dubbo.endpoints";
/// Key of the state of a Spring application.
const STATUS: &str = "instance_status";
/// Key of the port of a Spring application that speaks gRPC.
const GRPC: &str = "gRPC_port";
/// The class of Spring's payload, by which Jackson finds it.
const PAYLOAD: &str = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance";

#[derive(Debug)]
struct Curator;

impl Convention for Curator {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        let (service, name) = below.rsplit_once('/').unwrap_or(("", below));
        if name.is_empty() { NodeKind::Service { path: below } } else { NodeKind::Leaf { service, name, path: below } }
    }

    fn is_instance(&self, _: &str, data: &[u8]) -> bool {
        is_instance(data)
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        decode(node.data).map(|instance| vec![instance])
    }

    fn reserved(&self) -> String {
        "the id of an instance".to_owned()
    }

    fn node_name(&self, _: &Endpoint, instance_id: &str) -> String {
        instance_id.to_owned()
    }

    fn holds_state(&self) -> bool {
        true
    }

    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>> {
        Some(encode(registration))
    }

    only_read!(but_written);
}

/// Writes an instance, its keys in the order of Curator's.
fn encode(registration: &Registration<'_>) -> Vec<u8> {
    let instance = registration.instance();
    let text = |text: &str| Property::Text(text.to_owned());
    let table = |entries: Vec<(&str, Property)>| {
        Property::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let is_up = instance.state == State::Up && !registration.is_drained;
    // One of the user's own words is kept.
    let word = registration.properties.iter().find(|(key, _)| key == STATUS).map(|(_, word)| word.to_text());
    let status = if is_up { word.unwrap_or_else(|| "UP".to_owned()) } else { "OUT_OF_SERVICE".to_owned() };
    let (mut own, mut tls) = (vec![(STATUS.to_owned(), status)], Property::Null);
    for (name, endpoint) in instance.ports.iter().filter(|(_, port)| port.host == instance.endpoint.host) {
        match &**name {
            "https" => tls = Property::Integer(endpoint.port.into()),
            "grpc" => own.push((GRPC.to_owned(), endpoint.port.to_string())),
            // As `management.port`, which Spring writes itself.
            name => own.push((format!("{name}.port"), endpoint.port.to_string())),
        }
    }
    let own: Vec<_> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let payload = table(vec![
        ("@class", text(PAYLOAD)),
        ("id", text(registration.instance_id)),
        ("name", text(registration.service)),
        ("metadata", registration.metadata(&["state", "ports"], &own)),
    ]);
    let parts = [("scheme", true), ("://", false), ("address", true), (":", false), ("port", true)];
    let parts =
        parts.map(|(part, is_variable)| table(vec![("value", text(part)), ("variable", Property::Flag(is_variable))]));
    let created = registration.created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    property::object(
        &[],
        &[
            ("name", text(registration.service)),
            ("id", text(registration.instance_id)),
            ("address", text(&instance.endpoint.host.to_string())),
            ("port", Property::Integer(instance.endpoint.port.into())),
            ("sslPort", tls),
            ("payload", payload),
            ("registrationTimeUTC", Property::Integer(i64::try_from(created.as_millis()).unwrap_or(i64::MAX))),
            ("serviceType", text("DYNAMIC")),
            ("uriSpec", table(vec![("parts", Property::List(parts.to_vec()))])),
        ],
    )
}

/// Returns whether data are those of an instance.
pub(super) fn is_instance(data: &[u8]) -> bool {
    // Most znodes that are none have no data.
    let begins = data.first() == Some(&b'{');
    let Some(said) = begins.then(|| json::object(data).ok()).flatten() else { return false };
    let is_text = |key: &str| said.get(key).is_some_and(Value::is_string);
    let has = |key: &&str| said.contains_key(*key);
    is_text("name") && is_text("id") && ["address", "port", "sslPort", "uriSpec", "payload"].iter().any(has)
}

/// Reads an instance.
pub(super) fn decode(data: &[u8]) -> Result<Instance, Error> {
    let mut said = json::object(data)?;
    let host = fields::host("address", said.get("address"))?;
    let payload = said.remove("payload").unwrap_or_default();
    let (plain, tls) = (port(said.get("port")), port(said.get("sslPort")));
    let port = plain.or(tls).or_else(|| url_port(&payload));
    let port = port.ok_or_else(|| Error::NoEndpoint("neither `port` nor `sslPort` is a port".to_owned()))?;
    let endpoint = |port| Endpoint { host: host.clone(), port };
    // The id is no name for people.
    let mut instance = Instance::new(&endpoint(port).to_string(), endpoint(port));
    instance.ports.extend(tls.map(|port| ("https".into(), endpoint(port))));
    if said.get("enabled") == Some(&Value::Bool(false)) {
        instance.drain("`enabled` is false");
    }
    let mut metadata = metadata(payload);
    metadata.insert("id".to_owned(), said.remove("id").unwrap_or_default());
    read_metadata(&mut metadata, &mut instance);
    instance.metadata = metadata.into_iter().map(|(key, value)| (key.into(), json::text(value))).collect();
    Ok(instance)
}

/// The port of the first URL among a payload's values: Oozie has no other.
fn url_port(payload: &Value) -> Option<u16> {
    payload.as_object()?.values().find_map(|value| {
        let (_, rest) = value.as_str()?.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        name::port(authority.rsplit_once(':')?.1).ok()
    })
}

/// Returns what a payload says: its `metadata` where it has some, else all of it. `@class` is Java's, `dubbo.` Dubbo's.
fn metadata(payload: Value) -> Map<String, Value> {
    let mut said = match payload {
        Value::Object(mut payload) => match payload.remove("metadata") {
            Some(Value::Object(mut metadata)) => {
                metadata.retain(|key, _| !key.starts_with("dubbo.") || key == ENDPOINTS);
                metadata
            }
            Some(other) => {
                payload.insert("metadata".to_owned(), other);
                payload
            }
            None => payload,
        },
        Value::Null => Map::new(),
        other => Map::from_iter([("payload".to_owned(), other)]),
    };
    said.remove("@class");
    said
}

/// Takes what has a meaning out of the metadata.
fn read_metadata(metadata: &mut Map<String, Value>, instance: &mut Instance) {
    let host = instance.endpoint.host.clone();
    let named = |name: &str, port| (Box::from(name), Endpoint { host: host.clone(), port });
    if let Some(status) = metadata.remove(STATUS) {
        let word = status.as_str().unwrap_or_default().trim();
        if !word.is_empty() && !word.eq_ignore_ascii_case("up") {
            instance.drain(format!("its {STATUS} is {}", json::quote(&status)));
        }
    }
    if let Some(weight) = metadata.remove("weight").filter(|weight| !weight.is_null()) {
        instance.weight = json::short(&weight);
        if instance.weight.is_none() {
            let value = json::quote(&weight);
            let expected = "not a whole number from 0 to 65535; the default is used";
            instance.remarks.push(format!("`weight` is {value}, {expected}"));
        }
    }
    for key in [GRPC, "gRPC.port"] {
        if let Some(port) = port(metadata.get(key)) {
            instance.ports.push(named("grpc", port));
            metadata.remove(key);
        }
    }
    if let Some(endpoints) = metadata.remove(ENDPOINTS) {
        let endpoints = endpoints.as_str().and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
        let read = |one: &Value| Some(named(one.get("protocol")?.as_str()?, port(one.get("port"))?));
        instance.ports.extend(endpoints.iter().flatten().filter_map(read));
    }
    instance.ports.sort();
    instance.ports.dedup_by(|one, other| one.0 == other.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::origin::Origin;
    use serde_json::json;
    use std::time::Duration;

    /// The instances among the znodes of a sample: service, host, port, named ports and state.
    fn read(sample: &Value) -> Vec<Value> {
        let mut read = Vec::new();
        for node in sample["nodes"].as_array().unwrap() {
            let (path, data) = (node["path"].as_str().unwrap(), node["data"].as_str().unwrap().as_bytes());
            if !is_instance(data) {
                continue;
            }
            let NodeKind::Leaf { service, .. } = Curator.place(&path[1..]) else { panic!("{path}") };
            let one = decode(data).unwrap();
            assert_eq!((&*one.name, &*one.remarks), (&*one.endpoint.to_string(), [].as_slice()));
            let ports: Map<_, _> =
                one.ports.iter().map(|(name, port)| (name.to_string(), port.to_string().into())).collect();
            read.push(json!({"service": service, "host": one.endpoint.host.to_string(), "port": one.endpoint.port,
                             "ports": ports, "state": one.state.as_str()}));
        }
        read
    }

    #[test]
    fn what_curator_spring_and_dubbo_write_is_read() {
        for sample in [
            include_str!("../../../tests/fixtures/curator/plain.json"),
            include_str!("../../../tests/fixtures/curator/spring.json"),
            include_str!("../../../tests/fixtures/curator/dubbo.json"),
            include_str!("../../../tests/fixtures/curator/dubbo-go.json"),
            include_str!("../../../tests/fixtures/curator/others.json"),
        ] {
            let sample: Value = serde_json::from_str(sample).unwrap();
            let key = |one: &Value| (one["service"].to_string(), one["host"].to_string(), one["port"].to_string());
            let mut found = read(&sample);
            let mut expected: Vec<Value> = sample["expect"].as_array().unwrap().clone();
            found.sort_by_key(key);
            expected.sort_by_key(key);
            assert_eq!(found.len(), expected.len(), "{found:#?}");
            for (found, expected) in found.iter().zip(&expected) {
                let service = expected["service"].as_str().unwrap();
                assert!(found["service"].as_str().unwrap().ends_with(service), "{found} is not of {service}");
                assert_eq!((&found["host"], &found["port"]), (&expected["host"], &expected["port"]));
                assert_eq!(found["ports"], expected.get("ports").cloned().unwrap_or_else(|| json!({})), "{found}");
                assert_eq!(found["state"], expected.get("state").cloned().unwrap_or_else(|| json!("up")), "{found}");
            }
        }
    }

    /// An instance of ours with these properties, at 10.0.0.1:8080.
    fn written(is_drained: bool, properties: &[(&str, Property)]) -> Value {
        let endpoint = name::endpoint("10.0.0.1:8080").unwrap();
        let properties: Vec<_> = properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap()).to_vec();
        let data = Curator.encode(&Registration {
            service: "shop/web",
            endpoint: &endpoint,
            is_drained,
            properties: &properties,
            instance_id: "00c0ffee00c0ffee",
            origin: &Origin { boot_id: Some("b".into()), addresses },
            pid: 7,
            created: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        });
        serde_json::from_slice(&data.unwrap()).unwrap()
    }

    #[test]
    fn ours_are_as_spring_writes_them() {
        let text = |text: &str| Property::Text(text.into());
        let tags = Property::List(vec![text("a"), text("b")]);
        let ports = ["https", "grpc", "management"].into_iter().zip([8443, 9090, 8081]);
        let ports = ports.map(|(name, port)| (name.to_owned(), Property::Integer(port))).collect();
        let properties = [("weight", Property::Integer(5)), ("tags", tags), ("ports", Property::Table(ports))];
        let ours = written(false, &[&properties[..], &[("zone", text("z1"))]].concat());
        let metadata = json!({
            "weight": "5", "tags": "a,b", "zone": "z1", "instance_id": "00c0ffee00c0ffee", "boot_id": "b",
            "host_addresses": "10.0.0.1,10.0.0.2", "instance_status": "UP", "gRPC_port": "9090", "management.port": "8081",
        });
        let spring: Value = serde_json::from_str(include_str!("../../../tests/fixtures/curator/spring.json")).unwrap();
        let mut expected: Value = serde_json::from_str(spring["nodes"][1]["data"].as_str().unwrap()).unwrap();
        for (key, value) in [
            ("name", json!("shop/web")),
            ("id", json!("00c0ffee00c0ffee")),
            ("address", json!("10.0.0.1")),
            ("sslPort", json!(8443)),
        ] {
            expected[key] = value;
        }
        expected["payload"]["id"] = json!("00c0ffee00c0ffee");
        expected["payload"]["name"] = json!("shop/web");
        expected["payload"]["metadata"] = metadata;
        assert_eq!(ours, expected, "Spring's own with other values, and no key more");
        let one = decode(ours.to_string().as_bytes()).unwrap();
        assert_eq!((one.weight, one.state, &*one.name), (Some(5), State::Up, "10.0.0.1:8080"));
        let ports: Vec<_> = one.ports.iter().map(|(name, port)| (&**name, port.port)).collect();
        assert_eq!(ports, [("grpc", 9090), ("https", 8443)]);
    }

    #[test]
    fn ours_are_out_of_service_while_they_are_drained_and_keep_a_word_of_the_users() {
        let status = |is_drained, properties: &[(&str, Property)]| {
            let ours = written(is_drained, properties);
            (ours["payload"]["metadata"]["instance_status"].clone(), decode(ours.to_string().as_bytes()).unwrap().state)
        };
        let text = |text: &str| Property::Text(text.into());
        assert_eq!(status(true, &[]), (json!("OUT_OF_SERVICE"), State::Drain));
        assert_eq!(status(false, &[("state", text("drain"))]), (json!("OUT_OF_SERVICE"), State::Drain));
        assert_eq!(status(false, &[("instance_status", text("STARTING"))]), (json!("STARTING"), State::Drain));
        assert_eq!(status(true, &[("instance_status", text("UP"))]), (json!("OUT_OF_SERVICE"), State::Drain));
    }

    #[test]
    fn metadata_have_their_meaning_and_a_value_that_cannot_be_used_costs_its_default() {
        let decoded = |payload: Value| {
            let data = json!({"name": "a", "id": "7", "address": "10.0.0.1", "port": 80, "payload": payload});
            decode(data.to_string().as_bytes()).unwrap()
        };
        let one = decoded(json!({"metadata": {"weight": "5", "gRPC_port": "9090", "zone": "z1"}}));
        assert_eq!((one.weight, one.ports[0].1.port, &*one.ports[0].0), (Some(5), 9090, "grpc"));
        assert_eq!(one.metadata, [("id".into(), "7".into()), ("zone".into(), "z1".into())]);
        let one = decoded(json!({"weight": "heavy", "instance_status": ""}));
        assert_eq!((one.weight, one.state), (None, State::Up));
        assert_eq!(one.remarks, ["`weight` is \"heavy\", not a whole number from 0 to 65535; the default is used"]);
        assert_eq!(decoded(json!("text")).metadata[1], ("payload".into(), "text".into()));
    }

    #[test]
    fn an_instance_without_an_endpoint_is_malformed_and_says_why() {
        let reason = |said: Value| decode(said.to_string().as_bytes()).unwrap_err().to_string();
        assert_eq!(reason(json!({"port": 80})), "its data give no endpoint: it has no `address`");
        assert_eq!(
            reason(json!({"address": "10.0.0.300", "port": 80})),
            "its data give no endpoint: `address` is \"10.0.0.300\", neither an address nor a host name"
        );
        for port in [json!(null), json!(0), json!(-1), json!(65_536), json!("")] {
            let reason = reason(json!({"address": "10.0.0.1", "port": port}));
            assert_eq!(reason, "its data give no endpoint: neither `port` nor `sslPort` is a port");
        }
    }

    #[test]
    fn only_data_of_the_form_make_an_instance() {
        for data in
            ["", "{", "x", "{}", r#"{"name":"a"}"#, r#"{"name":"a","id":"b"}"#, r#"{"id":1,"name":"a","port":1}"#]
        {
            assert!(!is_instance(data.as_bytes()), "{data}");
        }
        assert!(is_instance(br#"{"name":"a","id":"b","port":null}"#));
    }
}
