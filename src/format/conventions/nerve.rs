//! Nerve, of Airbnb's `SmartStack`: `<path>/<id>_<ten digits>` with JSON in which host and port are. The service is
//! what the path says beside the plurals that lead to it: `search` of `/nerve/services/search/services`.
//!
//! Source: `lib/nerve/reporter/zookeeper.rb` of Nerve 0.9.6; `null` for weight and labels as reddit's baseplate.py has
//! it. With `use_path_encoding` the JSON is in the name: `base64_<length>_<URL-safe Base64>_<ten digits>`.

use std::borrow::Cow;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::fields;
use crate::format::convention::{Convention, Row};
use crate::format::error::Error;
use crate::format::json;
use crate::format::placement::{Node, Placement};
use crate::model::{Endpoint, Instance};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "nerve",
    doc: "Nerve (SmartStack): <id>_0000000000 below a service, whose path is told without `services`",
    root: "/nerve/services",
    build: |_| Arc::new(Nerve),
};

/// Elements of paths that lead to services, or from one to its instances, and are no part of its name.
const PLURALS: [&str; 6] = ["services", "instances", "servers", "nodes", "members", "backends"];
/// Beginning of a name that holds the data.
const ENCODED: &str = "base64_";

#[derive(Debug)]
struct Nerve;

impl Convention for Nerve {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn is_placed(&self) -> bool {
        true
    }

    fn placement(&self, below: &str) -> Placement {
        let (path, name) = below.rsplit_once('/').unwrap_or(("", below));
        if path.split('/').any(is_instance_name) {
            return Placement::Foreign;
        }
        if is_instance_name(name) {
            return Placement::Instance(service_of(path));
        }
        // Of others it is not known that they hold instances before there are some.
        let service = service_of(below);
        let is_directory = path.is_empty() || PLURALS.contains(&name);
        if is_directory && !service.is_empty() { Placement::Directory(service) } else { Placement::Way }
    }

    fn reserved(&self) -> String {
        "<id>_0000000000".to_owned()
    }

    fn endpoint(&self, below: &str) -> Result<Endpoint, Error> {
        let name = below.rsplit('/').next().unwrap_or_default();
        let data = encoded(name).ok_or_else(|| Error::NoEndpoint("they cannot be read".to_owned()))?;
        fields::endpoint(&json::object(&data)?)
    }

    fn check(&self, data: &[u8]) -> Result<(), Error> {
        if data.is_empty() { Ok(()) } else { json::object(data).map(|_| ()) }
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        decode(node.name, node.data).map(|instance| vec![instance])
    }

    only_read!();
}

/// Returns whether an element is called as instances are.
pub(super) fn is_instance_name(element: &str) -> bool {
    let is_sequence = |digits: &str| digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let parts = element.rsplit_once('_');
    element.starts_with(ENCODED) || parts.is_some_and(|(id, digits)| !id.is_empty() && is_sequence(digits))
}

/// Returns whether what a name holds, or else the data, are those of an instance.
pub(super) fn is_instance(name: &str, data: &[u8]) -> bool {
    let data = encoded(name).map_or(Cow::Borrowed(data), Cow::Owned);
    let said = if data.first() == Some(&b'{') { json::object(&data).ok() } else { None };
    said.is_some_and(|said| ["host", "port", "name"].iter().all(|key| said.contains_key(*key)))
}

/// Path of the service whose instances are at `path`: its elements but the plurals. Of nothing but plurals, the first,
/// where another is behind it.
fn service_of(path: &str) -> String {
    let elements: Vec<&str> = path.split('/').filter(|element| !element.is_empty()).collect();
    let named: Vec<&str> = elements.iter().copied().filter(|element| !PLURALS.contains(element)).collect();
    if named.is_empty() && elements.len() > 1 {
        return elements[0].to_owned();
    }
    named.join("/")
}

/// Data that a name holds.
fn encoded(name: &str) -> Option<Vec<u8>> {
    let (length, rest) = name.strip_prefix(ENCODED)?.split_once('_')?;
    let text = rest.get(..length.parse().ok()?)?.trim_end_matches('=');
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// Reads an instance: what its name holds, or else its data.
pub(super) fn decode(name: &str, data: &[u8]) -> Result<Instance, Error> {
    let in_name = encoded(name).filter(|data| json::object(data).is_ok_and(|said| !said.is_empty()));
    let data = in_name.map_or(Cow::Borrowed(data), Cow::Owned);
    let mut said = json::object(&data)?;
    let endpoint = fields::endpoint(&said)?;
    let mut instance = Instance::new(&endpoint.to_string(), endpoint);
    let mut remarks = Vec::new();
    if let Some(weight) = said.remove("weight").filter(|weight| !fields::is_absent(Some(weight))) {
        instance.weight = json::short(&weight);
        if instance.weight.is_none() {
            let expected = "not a whole number from 0 to 65535; the default is used";
            remarks.push(format!("`weight` is {}, {expected}", json::quote(&weight)));
        }
    }
    let options = said.get("haproxy_server_options").and_then(Value::as_str).unwrap_or_default();
    if options.split_whitespace().any(|option| option == "backup") {
        instance.priority = Some(1);
    }
    match said.remove("labels") {
        Some(Value::Object(labels)) => {
            for (key, value) in labels {
                let value = fields::scalar(&value).unwrap_or_default();
                match fields::tag(&format!("{key}-{value}")) {
                    Some(tag) => instance.tags.push(tag),
                    None => remarks.push(format!("`labels` holds {}, which makes no tag", json::quote(&key.into()))),
                }
            }
        }
        labels if fields::is_absent(labels.as_ref()) => {}
        Some(other) => remarks.push(format!("`labels` is {}, not a table; it is left out", json::quote(&other))),
        None => {}
    }
    for key in ["host", "port"] {
        said.remove(key);
    }
    let shown = said.into_iter().filter(|(_, value)| !value.is_null());
    instance.metadata = shown.map(|(key, value)| (key.into(), json::text(value))).collect();
    instance.remarks = fields::few(remarks);
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::conventions::samples;

    /// A name that holds `data`.
    fn path_encoded(data: &str, sequence: &str) -> String {
        let text = data_encoding::BASE64URL.encode(data.as_bytes());
        format!("base64_{}_{text}{sequence}", text.len())
    }

    #[test]
    fn what_nerve_writes_is_read() {
        samples::check(&Nerve, "/nerve/services", include_str!("../../../tests/fixtures/conventions/nerve.json"));
    }

    #[test]
    fn a_service_is_its_path_without_the_plurals() {
        let of = |service: &str| Placement::Instance(service.to_owned());
        for (below, service) in [
            ("search/services/i-0_0000000042", "search"),
            ("search/i-0_0000000042", "search"),
            ("smartstack/global/search/i_0000000042", "smartstack/global/search"),
            ("nodes/services/i_0000000042", "nodes"),
            ("services/i_0000000042", ""),
            ("i_0000000042", ""),
        ] {
            assert_eq!(Nerve.placement(below), of(service), "{below}");
        }
        assert_eq!(Nerve.placement("search"), Placement::Directory("search".to_owned()));
        assert_eq!(Nerve.placement("search/services"), Placement::Directory("search".to_owned()));
        for below in ["", "services", "smartstack/global", "search/services/i-0_42"] {
            assert_eq!(Nerve.placement(below), Placement::Way, "{below}");
        }
        assert_eq!(Nerve.placement("search/i_0000000042/x"), Placement::Foreign);
    }

    #[test]
    fn labels_options_and_weight_have_their_meaning() {
        let one = decode(
            "i_0000000001",
            br#"{"host":"a","port":"80","name":"i","weight":"7","labels":
            {"az":"us.east-1a","canary":true,"*":null},"haproxy_server_options":"check backup"}"#,
        );
        let one = one.unwrap();
        let tags: Vec<&str> = one.tags.iter().map(|tag| &**tag).collect();
        assert_eq!(tags, ["az-us-east-1a", "canary-true"]);
        assert_eq!((one.weight, one.priority, one.remarks.len()), (Some(7), Some(1), 1));
        let one = decode("i_0000000001", br#"{"host":"a","port":80,"weight":-3,"labels":[]}"#).unwrap();
        assert_eq!((one.weight, one.priority, one.remarks.len()), (None, None, 2), "{:?}", one.remarks);
    }

    #[test]
    fn a_name_may_hold_the_data_and_goes_before_them() {
        let name = path_encoded(r#"{"host":"10.0.0.1","port":80,"name":"i?~"}"#, "_0000000001");
        assert!(is_instance_name(&name) && is_instance_name(name.trim_end_matches("_0000000001")));
        assert_eq!(&*decode(&name, b"").unwrap().name, "10.0.0.1:80");
        assert_eq!(&*decode(&name, br#"{"host":"b","port":1}"#).unwrap().name, "10.0.0.1:80");
        assert_eq!(&*decode("base64_9_x_0000000001", br#"{"host":"b","port":1}"#).unwrap().name, "b:1");
        assert_eq!(Nerve.endpoint(&format!("search/{name}")).unwrap().to_string(), "10.0.0.1:80");
        let why = decode("i_0000000001", br#"{"port":1}"#).unwrap_err().to_string();
        assert_eq!(why, "its data give no endpoint: it has no `host`");
    }

    #[test]
    fn seeded_garbage_never_panics() {
        let name = format!("a/services/{}", path_encoded(r#"{"host":"a","port":1}"#, "_0000000001"));
        samples::throw_garbage(
            &Nerve,
            &["a/i_0000000001", &name],
            &["{\"host\":\"a\",\"port\":1,\"name\":\"i\",\"weight\":5,\"labels\":{\"a\":\"b\"}}", ""],
        );
    }
}
