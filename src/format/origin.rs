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

    /// Reads it out of a znode's properties; what is no id and no address counts as not said.
    fn read(properties: &Map<String, Value>) -> Self {
        let boot_id = properties.get(BOOT_ID).and_then(Value::as_str).map(str::to_owned);
        let texts = properties.get(HOST_ADDRESSES).and_then(Value::as_array).into_iter().flatten();
        let mut addresses: Vec<_> = texts.filter_map(|text| text.as_str()?.parse().ok()).collect();
        addresses.sort_unstable();
        Self { boot_id, addresses }
    }
}

/// The instance id and the host in a registration's data; none where it has no instance id.
pub fn author(data: &[u8]) -> Option<(String, Origin)> {
    let properties = super::json::object(data).ok()?;
    let id = properties.get(INSTANCE_ID)?.as_str()?.to_owned();
    Some((id, Origin::read(&properties)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_an_id_nor_an_address_counts_as_not_said() {
        for data in [
            r#"{"instance_id":"a"}"#,
            r#"{"instance_id":"a","boot_id":7,"host_addresses":"10.0.0.1"}"#,
            r#"{"instance_id":"a","boot_id":null,"host_addresses":[1,"x",null]}"#,
        ] {
            assert_eq!(author(data.as_bytes()), Some(("a".into(), Origin::default())), "{data}");
        }
        for data in ["", "a", "{", r#"{"instance_id":1,"boot_id":"b"}"#] {
            assert_eq!(author(data.as_bytes()), None, "{data}");
        }
    }
}
