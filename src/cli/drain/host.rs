//! The instances of one host: by its addresses and its names.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};

use crate::announce::address::{self, UnfitReason};
use crate::announce::identity;
use crate::format;
use crate::model::{Endpoint, Host};

/// Stands for the host that the command runs on.
pub(super) const THIS: &str = "this host";

/// A host, by all that its instances may be registered under.
#[derive(Debug, Default)]
pub(super) struct HostKeys {
    addresses: BTreeSet<IpAddr>,
    /// In lower case.
    names: BTreeSet<String>,
}

impl HostKeys {
    /// The host called `host`, an address or a name that is looked up as well; [`THIS`] is this one.
    ///
    /// # Errors
    /// When it is neither, or this host's addresses cannot be listed.
    pub(super) fn new(host: &str) -> anyhow::Result<Self> {
        let mut whose = Self::default();
        if host == THIS {
            // Other hosts have loopback addresses and bridges for containers with the same addresses.
            let is_ours_alone = |unfit: Option<UnfitReason>| {
                !matches!(unfit, Some(UnfitReason::Loopback | UnfitReason::LinkLocal | UnfitReason::Bridge))
            };
            let all = address::all()?.into_iter().filter(|own| is_ours_alone(own.unfit));
            whose.addresses.extend(all.map(|own| own.address.to_canonical()));
            whose.names.extend(identity::host_name().map(|name| name.to_ascii_lowercase()));
            return Ok(whose);
        }
        match format::host(host).map_err(|error| anyhow::anyhow!("`{host}`: {error}"))? {
            Host::Name(name) => {
                let found = (&*name, 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
                let found = found.into_iter().map(|address| address.ip().to_canonical());
                whose.addresses.extend(found.filter(|address| !address.is_loopback()));
                whose.names.insert(name.to_ascii_lowercase());
            }
            other => whose.addresses.extend(other.ip()),
        }
        Ok(whose)
    }

    /// Returns whether an endpoint is on it.
    pub(super) fn has(&self, endpoint: &Endpoint) -> bool {
        match &endpoint.host {
            Host::Name(name) => self.names.contains(&name.to_ascii_lowercase()),
            other => other.ip().is_some_and(|address| self.addresses.contains(&address)),
        }
    }

    /// Its addresses and names, for a message.
    pub(super) fn words(&self) -> String {
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.names.iter().cloned().chain(addresses).collect::<Vec<_>>().join(", ")
    }
}

/// The user who runs the command and the host that it runs on: `alice@web7`.
pub(super) fn author() -> String {
    let variables = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let user = variables.map(|user| user.trim().to_owned()).find(|user| !user.is_empty());
    let host = identity::host_name().unwrap_or_else(|| "unknown host".to_owned());
    format!("{}@{host}", user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_its_addresses_and_its_names() {
        let has = |whose: &HostKeys, text: &str| whose.has(&format::endpoint(text).unwrap());
        let one = HostKeys::new("::ffff:10.0.0.1").unwrap();
        assert!(has(&one, "10.0.0.1:80") && has(&one, "[::ffff:10.0.0.1]:80") && !has(&one, "10.0.0.11:80"));
        let named = HostKeys::new("Web7.invalid").unwrap();
        assert!(has(&named, "web7.INVALID:80") && !has(&named, "web7:80"), "{}", named.words());
        let this = HostKeys::new(THIS).unwrap();
        assert!(!has(&this, "127.0.0.1:80"), "every host has that one");
        assert!(HostKeys::new("a b").is_err());
    }
}
