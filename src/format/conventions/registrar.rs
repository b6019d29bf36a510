//! Triton's registrar, whose records binder serves: a domain name reversed is the path, and the record's `type` is the
//! key of what it says. The service's own record (`"type": "service"`) has the name, the protocol and the port that SRV
//! questions are asked with.
//!
//! Source: `lib/server.js` of TritonDataCenter/binder. Of the types, it takes those in [`MEMBERS`] for members of a
//! service, and answers for each by its own name, too: the znode's name is a tag. Those in [`HOSTS`] have their own
//! name alone: such a znode is a service and its one instance, which has an address and no port (SRV: NODATA).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields;
use crate::format::convention::{Convention, Row};
use crate::format::error::Error;
use crate::format::json;
use crate::format::kind::NodeKind;
use crate::format::placement::Node;
use crate::model::{Defaults, Endpoint, Instance, Protocol};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "registrar",
    doc: "Triton's registrar and binder: domain names reversed, by the data's `type`",
    root: "/",
    build: |_| Arc::new(Registrar),
};

/// Types of the records of a service's members.
const MEMBERS: [&str; 5] = ["load_balancer", "moray_host", "ops_host", "redis_host", "rr_host"];
/// Type of the records of services.
const SERVICE: &str = "service";
/// Types of records that are a host's alone.
const HOSTS: [&str; 3] = ["host", "db_host", DATABASE];
/// The one among them that has a URL in place of an address.
const DATABASE: &str = "database";

#[derive(Debug)]
struct Registrar;

impl Convention for Registrar {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        let (service, name) = below.rsplit_once('/').unwrap_or(("", below));
        if name.is_empty() { NodeKind::Service { path: below } } else { NodeKind::Leaf { service, name, path: below } }
    }

    fn is_instance(&self, _: &str, data: &[u8]) -> bool {
        is_member(data)
    }

    fn is_own_instance(&self, data: &[u8]) -> bool {
        is_of(&HOSTS, data)
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        decode(node).map(|instance| vec![instance])
    }

    fn decode_service(&self, data: &[u8]) -> (Defaults, Vec<String>) {
        let defaults = Defaults::default();
        let said = match json::object(data) {
            Ok(said) => said,
            Err(error) => return (defaults, vec![error.to_string()]),
        };
        match said.get("type").and_then(Value::as_str) {
            Some(SERVICE) => (Defaults { ttl: ServiceRecord::of(&said).ttl, ..defaults }, Vec::new()),
            _ => (defaults, Vec::new()),
        }
    }

    only_read!(but_services);
}

/// Settings that a service's own record has for its members.
#[derive(Debug, Default)]
struct ServiceRecord {
    /// Name for SRV questions, without the underscore.
    name: Option<Box<str>>,
    is_udp: bool,
    port: Option<u16>,
    ttl: Option<u32>,
}

impl ServiceRecord {
    /// Reads a record; the older form lacks one level.
    fn of(said: &Map<String, Value>) -> Self {
        let empty = Map::new();
        let outer = said.get(SERVICE).and_then(Value::as_object).unwrap_or(&empty);
        let inner = outer.get(SERVICE).and_then(Value::as_object).unwrap_or(outer);
        let text = |key: &str| inner.get(key).and_then(Value::as_str).map(|text| text.trim_start_matches('_'));
        // Of several, the one that is deepest.
        let ttl = [inner, outer, said].iter().find_map(|said| json::ttl(said.get("ttl")?));
        Self {
            name: text("srvce").filter(|name| !name.is_empty()).map(Into::into),
            is_udp: text("proto") == Some("udp"),
            port: fields::port(inner.get("port")),
            ttl,
        }
    }

    /// The record of the service that a member at `below` is of.
    fn beside(node: &Node<'_>) -> Self {
        let service = node.below.rsplit_once('/').map_or("", |(service, _)| service);
        let said = node.beside.data(service).and_then(|data| json::object(data).ok());
        let is_service = |said: &Map<String, Value>| said.get("type").and_then(Value::as_str) == Some(SERVICE);
        said.filter(is_service).map(|said| Self::of(&said)).unwrap_or_default()
    }
}

/// Returns whether data are those of a member of a service.
pub(super) fn is_member(data: &[u8]) -> bool {
    is_of(&MEMBERS, data)
}

/// Returns whether data are a record of one of these types.
fn is_of(types: &[&str], data: &[u8]) -> bool {
    // Most znodes that are none have no data.
    let begins = data.first() == Some(&b'{');
    let Some(said) = begins.then(|| json::object(data).ok()).flatten() else { return false };
    let kind = said.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| types.contains(&kind) && said.get(kind).is_some_and(Value::is_object))
}

/// Reads a member, or a record of a host alone.
pub(super) fn decode(node: &Node<'_>) -> Result<Instance, Error> {
    let mut said = json::object(node.data)?;
    let kind = said.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(Value::Object(own)) = said.remove(&kind) else {
        return Err(Error::NoEndpoint(format!("there is no {kind:?}, which is its `type`")));
    };
    let host = if kind == DATABASE {
        fields::host("primary", own.get("primary").map(host_of_url).as_ref())?
    } else {
        let address = own.get("address").filter(|address| !address.is_null()).or_else(|| said.get("address"));
        fields::host("address", address)?
    };
    let ttl = [&own, &said].iter().find_map(|said| json::ttl(said.get("ttl")?));
    if HOSTS.contains(&&*kind) {
        let main = Endpoint { host, port: 0 };
        let mut instance = Instance::new(&main.to_string(), main);
        instance.ttl = ttl;
        instance.metadata.push(("type".into(), kind.into()));
        return Ok(instance);
    }
    let service = ServiceRecord::beside(node);
    let mut remarks = Vec::new();
    let mut ports = Vec::new();
    match own.get("ports") {
        None | Some(Value::Null) => {}
        Some(Value::Array(given)) => {
            for port in given {
                match fields::port(Some(port)) {
                    Some(port) if ports.contains(&port) => {}
                    Some(port) => ports.push(port),
                    None => remarks.push(format!("`ports` holds {}, no port; it is left out", json::quote(port))),
                }
            }
        }
        Some(other) => remarks.push(format!("`ports` is {}, not a list; it is left out", json::quote(other))),
    }
    if ports.is_empty() {
        ports.extend(service.port);
    }
    let endpoint = |port| Endpoint { host: host.clone(), port };
    // Without any port it has addresses alone.
    let main = endpoint(ports.first().copied().unwrap_or(0));
    let mut instance = Instance::new(&main.to_string(), main);
    if service.is_udp {
        instance.protocol = Protocol::Udp;
    }
    for (i, port) in ports.into_iter().enumerate() {
        match &service.name {
            Some(name) => instance.ports.push((name.clone(), endpoint(port))),
            None if i > 0 => instance.ports.push((port.to_string().into(), endpoint(port))),
            None => {}
        }
    }
    instance.ttl = match (ttl, service.ttl) {
        (Some(own), Some(service)) => Some(own.min(service)),
        (own, _) => own,
    };
    instance.tags.extend(fields::tag(node.name));
    instance.metadata.push(("type".into(), kind.into()));
    instance.remarks = fields::few(remarks);
    Ok(instance)
}

/// The host of a URL, `tcp://user@192.0.2.1:5432/db`; what is no text stays as it is.
fn host_of_url(url: &Value) -> Value {
    let Some(text) = url.as_str() else { return url.clone() };
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default();
    let host = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => place.split(':').next().unwrap_or_default(),
    };
    host.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::conventions::samples;
    use serde_json::json;

    /// The member `m` of the service `s`, whose own record is `service`.
    fn member(service: &Value, member: &Value) -> Instance {
        let nodes = json!({"nodes": [{"path": "/s", "data": service.to_string()},
                                     {"path": "/s/m", "data": member.to_string()}]});
        samples::read(&Registrar, "/", &nodes).remove("s").unwrap().remove(0)
    }

    #[test]
    fn what_registrar_writes_is_read() {
        samples::check(&Registrar, "/", include_str!("../../../tests/fixtures/conventions/triton-registrar.json"));
    }

    #[test]
    fn a_service_says_what_its_members_do_not() {
        let host = |more: Value| -> Value {
            let mut own = json!({"address": "10.0.0.1"});
            own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"type": "moray_host", "moray_host": own, "ttl": 40})
        };
        let service =
            json!({"type": "service", "service": {"srvce": "_moray", "proto": "_udp", "port": 2020, "ttl": 30}});
        let one = member(&service, &host(json!({})));
        assert_eq!((&*one.name, one.protocol, one.ttl), ("10.0.0.1:2020", Protocol::Udp, Some(30)));
        assert_eq!(one.ports, [("moray".into(), one.endpoint.clone())]);
        assert_eq!((&*one.tags, &*one.remarks), (["m".into()].as_slice(), [].as_slice()));
        let one = member(&service, &host(json!({"ports": [1, "2", 0, 1], "ttl": 7})));
        let ports: Vec<u16> = one.ports.iter().map(|(_, endpoint)| endpoint.port).collect();
        assert_eq!((ports, one.ttl, one.remarks.len()), (vec![1, 2], Some(7), 1));
        let one = member(&json!({}), &host(json!({"ports": [80, 443]})));
        let ports: Vec<&str> = one.ports.iter().map(|(name, _)| &**name).collect();
        assert_eq!((one.endpoint.port, ports, one.ttl), (80, vec!["443"], Some(40)));
        assert_eq!(member(&json!({}), &host(json!({}))).endpoint.port, 0, "addresses alone");
    }

    #[test]
    fn a_record_of_a_host_alone_is_its_own_instance_with_an_address_and_no_port() {
        for (record, host, ttl) in [
            (json!({"type": "host", "host": {"address": "10.0.0.1", "ttl": 9}}), "10.0.0.1", Some(9)),
            (
                json!({"type": "db_host", "ttl": 8, "db_host": {"address": "10.0.0.2", "ports": [80]}}),
                "10.0.0.2",
                Some(8),
            ),
            (json!({"type": "database", "database": {"primary": "tcp://a@10.0.0.3:5432/db"}}), "10.0.0.3", None),
            (json!({"type": "database", "database": {"primary": "pg://[2001:db8::1]:1/x"}}), "2001:db8::1", None),
            (json!({"type": "database", "database": {"primary": "db.example.com"}}), "db.example.com", None),
        ] {
            let data = record.to_string();
            assert!(Registrar.is_own_instance(data.as_bytes()) && !is_member(data.as_bytes()), "{data}");
            let one = decode(&Node::alone("m", data.as_bytes())).unwrap();
            assert_eq!((&*one.endpoint.host.to_string(), one.endpoint.port, one.ttl), (host, 0, ttl), "{data}");
            assert!(one.tags.is_empty() && one.ports.is_empty(), "{one:?}");
        }
        for data in [r#"{"type":"database","database":{}}"#, r#"{"type":"host","host":{"address":7}}"#] {
            assert!(decode(&Node::alone("m", data.as_bytes())).is_err(), "{data}");
        }
        let member = br#"{"type":"rr_host","rr_host":{"address":"10.0.0.1"}}"#;
        assert!(!Registrar.is_own_instance(member));
    }

    #[test]
    fn only_members_are_instances() {
        for data in [
            "",
            "{",
            r#"{"type":"service","service":{}}"#,
            r#"{"type":"host","host":{"address":"10.0.0.1"}}"#,
            r#"{"type":"rr_host"}"#,
            r#"{"type":"rr_host","rr_host":1}"#,
        ] {
            assert!(!is_member(data.as_bytes()), "{data}");
        }
        assert!(is_member(br#"{"type":"rr_host","rr_host":{}}"#));
        let (defaults, remarks) = Registrar.decode_service(br#"{"type":"service","service":{"ttl":9,"service":{}}}"#);
        assert_eq!((defaults.ttl, remarks.len()), (Some(9), 0));
        let why = decode(&Node::alone("m", br#"{"type":"rr_host","rr_host":{"address":null}}"#)).unwrap_err();
        assert_eq!(why.to_string(), "its data give no endpoint: it has no `address`");
    }

    #[test]
    fn seeded_garbage_never_panics() {
        samples::throw_garbage(
            &Registrar,
            &["com/example/web", "com/example/web/m"],
            &[
                r#"{"type":"service","service":{"type":"service","service":{"srvce":"_http","proto":"_tcp","port":80,"ttl":60}}}"#,
                r#"{"type":"rr_host","address":"10.0.0.1","rr_host":{"address":"10.0.0.1","ports":[80],"ttl":5}}"#,
            ],
        );
    }
}
