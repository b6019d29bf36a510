//! Origin of a registration: its host, and the boot of that: told beside the instance id, which hosts may share.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::keys::{BOOT_ID, HOST_ADDRESSES, INSTANCE_ID};
use super::property::Property;

/// Marks of the host that writes a registration; empty in what others and earlier versions have written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Id of the kernel's present boot (random(4)): containers of one host share it.
    pub boot_id: Option<String>,
    /// Addresses at which others reach the host, in order.
    pub addresses: Vec<IpAddr>,
}

impl Origin {
    /// The keys of the data that say it.
    pub(super) fn entries(&self) -> Vec<(&'static str, Property)> {
        let boot = self.boot_id.iter().map(|id| (BOOT_ID, Property::Text(id.clone())));
        let texts: Vec<_> = self.addresses.iter().map(|address| Property::Text(address.to_string())).collect();
        let addresses = (!texts.is_empty()).then_some((HOST_ADDRESSES, Property::List(texts)));
        boot.chain(addresses).collect()
    }

    /// The same as texts, for metadata that hold nothing else: addresses are separated by commas.
    pub(super) fn texts(&self) -> Vec<(&'static str, String)> {
        self.entries().into_iter().map(|(key, value)| (key, value.to_text())).collect()
    }

    /// Reads it out of a znode's properties; what is no id and no address counts as not said.
    fn read(properties: &Map<String, Value>) -> Self {
        let boot_id = properties.get(BOOT_ID).and_then(Value::as_str).map(str::to_owned);
        let texts: Vec<&str> = match properties.get(HOST_ADDRESSES) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => text.split(',').collect(),
            _ => Vec::new(),
        };
        let mut addresses: Vec<_> = texts.into_iter().filter_map(|text| text.trim().parse().ok()).collect();
        addresses.sort_unstable();
        Self { boot_id, addresses }
    }
}

/// The instance id and the host in a registration's data; none where it has no instance id. They are at its top or,
/// where the readers of a convention would refuse them there, in its metadata.
pub fn author(data: &[u8]) -> Option<(String, Origin)> {
    let properties = super::json::object(data).ok()?;
    let table = |of: &Map<String, Value>, key: &str| of.get(key).and_then(Value::as_object).cloned();
    let in_payload = || table(&table(&properties, "payload")?, "metadata");
    let has_id = |marks: &Map<String, Value>| marks.contains_key(INSTANCE_ID);
    let inner = || in_payload().filter(has_id).or_else(|| table(&properties, "metadata"));
    let marks = if has_id(&properties) { properties } else { inner()? };
    let id = marks.get(INSTANCE_ID)?.as_str()?.to_owned();
    Some((id, Origin::read(&marks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_an_id_nor_an_address_counts_as_not_said() {
        for data in [
            r#"{"instance_id":"a"}"#,
            r#"{"instance_id":"a","boot_id":7,"host_addresses":"somewhere"}"#,
            r#"{"instance_id":"a","boot_id":null,"host_addresses":[1,"x",null]}"#,
        ] {
            assert_eq!(author(data.as_bytes()), Some(("a".into(), Origin::default())), "{data}");
        }
        for data in [
            "",
            "a",
            "{",
            r#"{"instance_id":1,"boot_id":"b"}"#,
            r#"{"metadata":{"instance_id":1}}"#,
            r#"{"metadata":"instance_id","payload":[]}"#,
        ] {
            assert_eq!(author(data.as_bytes()), None, "{data}");
        }
    }

    #[test]
    fn marks_are_found_in_metadata_as_well() {
        let marks = r#"{"instance_id":"a","boot_id":"b","host_addresses":"10.0.0.2, 10.0.0.1,x"}"#;
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap()).to_vec();
        let expected = ("a".to_owned(), Origin { boot_id: Some("b".into()), addresses });
        for data in [
            format!(r#"{{"metadata":{marks}}}"#),
            format!(r#"{{"payload":{{"metadata":{marks}}}}}"#),
            format!(r#"{{"payload":{{"metadata":{marks}}},"metadata":{{"instance_id":"c"}}}}"#),
            format!(r#"{{"payload":{{"metadata":{{}}}},"metadata":{marks}}}"#),
        ] {
            assert_eq!(author(data.as_bytes()), Some(expected.clone()), "{data}");
        }
        assert_eq!(expected.1.texts(), [("boot_id", "b".into()), ("host_addresses", "10.0.0.1,10.0.0.2".into())]);
    }
}
