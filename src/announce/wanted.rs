//! Configured services -> the znodes that should be there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::address::LocalAddress;
use super::config::ServiceConfig;
use super::error::Error;
use super::identity::HostIdentity;
use super::origin::ThisHost;
use super::status::Hold;
use crate::format::{self, Registration};
use crate::model::{Endpoint, Host};
use crate::registry::Path;
use crate::zookeeper::session::Access;

/// A znode that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path of the service below the registry's root.
    pub service: String,
    /// Endpoint that it registers.
    pub endpoint: Endpoint,
    /// Path of the znode.
    pub path: Path,
    /// Its data.
    pub data: Arc<[u8]>,
    /// Name of the writer, as the data say it.
    pub instance_id: String,
    /// Key of the service it belongs to.
    pub key: Arc<str>,
    /// Reason for its absence now all the same.
    pub hold: Option<Hold>,
}

/// What the znodes of one registry have in common: their writer, its rights and its host.
#[derive(Debug, Clone)]
pub struct InstanceWriter {
    /// The convention that the registry is read by, in which services are written that name no other.
    pub format: format::Config,
    /// The registry's root.
    pub root: Path,
    /// Identity of this host, which others may have as well.
    pub host: HostIdentity,
    /// Host, told from those.
    pub here: ThisHost,
    /// This process.
    pub pid: u32,
    /// Time at which it began.
    pub created: SystemTime,
    /// Rights to the instances' znodes.
    pub access: Access,
    /// The same of missing znodes above them.
    pub parent_access: Access,
    /// True if nothing is to be written, ever.
    pub readonly: bool,
    /// The registry's drain tree, where it has one.
    pub drains: Option<Path>,
}

impl InstanceWriter {
    /// The znodes of `services` on a host with these addresses, and those of them that several services want; the first
    /// one gets it. `is_drained` tells which endpoints of a service are drained.
    ///
    /// # Errors
    /// When a service's name makes no path; the configuration's check has seen to that.
    pub fn wanted(
        &self,
        services: &[ServiceConfig],
        own: &[LocalAddress],
        is_drained: &dyn Fn(&ServiceConfig, &Endpoint) -> bool,
    ) -> Result<(Vec<Wanted>, Vec<Path>), Error> {
        let (mut wanted, mut doubles, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for service in services {
            let hosts = match &service.address {
                Some(host) => vec![host.clone()],
                None => service.selection.select(own).into_iter().map(host).collect(),
            };
            for host in hosts {
                let endpoint = Endpoint { host, port: service.port };
                let is_drained = is_drained(service, &endpoint);
                let one = self.one(service, endpoint, is_drained)?;
                if seen.insert(one.path.clone()) {
                    wanted.push(one);
                } else {
                    doubles.push(one.path);
                }
            }
        }
        Ok((wanted, doubles))
    }

    fn one(&self, service: &ServiceConfig, endpoint: Endpoint, is_drained: bool) -> Result<Wanted, Error> {
        let format = service.format_in(&self.format);
        let path_of = |name: &str| format.instance_path(self.root.as_str(), &service.name.value, name);
        // Of the endpoint, whatever the znode is called: its name may be made of the id.
        let instance_id = self.host.instance_id(&path_of(&endpoint.to_string()));
        let path = Path::new(&path_of(&format.node_name(&endpoint, &instance_id)))
            .map_err(|error| Error::MakePath { service: service.name.value.clone(), error })?;
        let registration = Registration {
            service: &service.name.value,
            endpoint: &endpoint,
            is_drained,
            properties: &service.properties,
            instance_id: &instance_id,
            origin: &self.here.origin,
            pid: self.pid,
            created: self.created,
        };
        let data = format
            .encode(&registration)
            .ok_or_else(|| Error::Format { service: service.name.value.clone(), format: format.name().to_owned() })?;
        let (service, key) = (service.name.value.clone(), service.key());
        Ok(Wanted { service, endpoint, path, data: data.into(), instance_id, key, hold: None })
    }
}

fn host(address: IpAddr) -> Host {
    match address {
        IpAddr::V4(address) => Host::V4(address),
        IpAddr::V6(address) => Host::V6(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Property;

    fn own(address: &str) -> LocalAddress {
        LocalAddress { interface: "eth0".into(), address: address.parse().unwrap(), unfit: None }
    }

    fn writer() -> InstanceWriter {
        InstanceWriter {
            format: format::Config::default(),
            root: Path::new("/services").unwrap(),
            host: HostIdentity::new("host").unwrap(),
            here: ThisHost::default(),
            pid: 42,
            created: SystemTime::UNIX_EPOCH,
            access: Access::Read,
            parent_access: Access::Open,
            readonly: false,
            drains: None,
        }
    }

    #[test]
    fn a_blank_address_is_every_address_and_a_given_one_is_one() {
        let own = [own("10.0.0.1"), own("10.0.0.2")];
        let mut blank = ServiceConfig::new("staging/api_x", 80);
        blank.properties.push(("weight".into(), Property::Integer(5)));
        let mut given = ServiceConfig::new("db", 5432);
        given.address = Some(format::host("2001:db8::1").unwrap());
        let (wanted, doubles) = writer().wanted(&[blank, given], &own, &|_, _| false).unwrap();
        let paths: Vec<_> = wanted.iter().map(|one| one.path.as_str()).collect();
        let expected = [
            "/services/staging/api_x/providers/10.0.0.1:80",
            "/services/staging/api_x/providers/10.0.0.2:80",
            "/services/db/providers/[2001:db8::1]:5432",
        ];
        assert_eq!(paths, expected);
        assert_eq!(doubles, []);
        assert_eq!(format::author(&wanted[0].data).unwrap().0, wanted[0].instance_id);
        assert_ne!(wanted[0].instance_id, wanted[1].instance_id);
        let data = format!(r#"{{"weight":5,"instance_id":"{}","pid":42}}"#, wanted[0].instance_id);
        assert_eq!(*wanted[0].data, *data.as_bytes());
    }

    #[test]
    fn two_services_that_want_the_same_znode_are_told() {
        let blank = ServiceConfig::new("a", 80);
        let mut given = ServiceConfig::new("a", 80);
        given.address = Some(format::host("10.0.0.1").unwrap());
        let (wanted, doubles) = writer().wanted(&[given, blank], &[own("10.0.0.1")], &|_, _| false).unwrap();
        assert_eq!(wanted.len(), 1);
        assert_eq!(doubles, [wanted[0].path.clone()]);
    }
}
