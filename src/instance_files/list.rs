//! The instances of a service that DNS gives, as plain data.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

/// Reads what DNS gives of a service; none while that is not known, or the service is not.
pub type ReadList = Arc<dyn Fn(&str) -> Result<InstanceList, Unknown> + Send + Sync>;

/// Reasons for which there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The registry is not read yet, or was read too long ago.
    #[error("the registry `{0}` is not known now")]
    Registry(String),
    /// Losses are held back.
    #[error("the guard of the registry `{0}` holds losses of the service back")]
    Guarded(String),
    /// It never was there.
    #[error("there is no service `{0}`")]
    Service(String),
}

/// A service with its instances, in an order that does not depend on when they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceList {
    /// Name of its registry, with the reader where there are several.
    pub registry: String,
    /// Its path below the registry's root.
    pub service: String,
    /// Its DNS name, without the final dot; its path where it is in no zone.
    pub name: String,
    /// The addresses that its name has, sorted.
    pub addresses: Vec<IpAddr>,
    /// Those that are given, by priority, host and port.
    pub instances: Vec<ListedInstance>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedInstance {
    /// Name of its znode.
    pub name: String,
    /// Address or host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Host and port in one, with brackets around an IPv6 address.
    pub endpoint: String,
    /// Weight that it is answered with.
    pub weight: u16,
    /// Priority that it is answered with: those of the lowest are taken first.
    pub priority: u16,
    /// True where others have a lower priority.
    pub is_backup: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// Further endpoints by the name of their port.
    pub ports: Vec<ListedPort>,
    /// Its properties, by key.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// A further endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedPort {
    /// Name of the port.
    pub name: String,
    /// Address or host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Host and port in one.
    pub endpoint: String,
}

impl InstanceList {
    /// Puts the instances in order, and says which are backups.
    pub fn sort(&mut self) {
        self.instances.sort_by(|one, other| {
            let key = |it: &ListedInstance| (it.priority, it.host.clone(), it.port, it.name.clone());
            key(one).cmp(&key(other))
        });
        let lowest = self.instances.first().map_or(0, |first| first.priority);
        for instance in &mut self.instances {
            instance.is_backup = instance.priority > lowest;
        }
        self.addresses.sort_unstable();
        self.addresses.dedup();
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// An instance at `endpoint` with this weight and priority.
    pub(crate) fn instance(host: &str, port: u16, weight: u16, priority: u16) -> ListedInstance {
        let endpoint = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let admin =
            ListedPort { name: "admin".into(), host: host.into(), port: 9000, endpoint: format!("{host}:9000") };
        let metadata = serde_json::json!({ "team": "web \"x\"", "cores": 4 });
        ListedInstance {
            name: endpoint.clone(),
            host: host.into(),
            port,
            endpoint,
            weight,
            priority,
            is_backup: false,
            tags: vec!["blue".into(), "v1".into()],
            ports: vec![admin],
            metadata: metadata.as_object().unwrap().clone(),
        }
    }

    /// A list of a service with these instances.
    pub(crate) fn list(instances: Vec<ListedInstance>) -> InstanceList {
        let addresses = instances.iter().filter_map(|one| one.host.parse().ok()).collect();
        let mut list = InstanceList {
            registry: "main".into(),
            service: "staging/api_x".into(),
            name: "api_x.staging.service".into(),
            addresses,
            instances,
        };
        list.sort();
        list
    }
}
