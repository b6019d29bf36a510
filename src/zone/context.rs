//! Settings and findings that the records of a zone's services are made with, beside the services themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::name::Name;
use super::records::config::UnknownHost;

/// The addresses of a host that was registered by name; none where the resolver says that it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Time for which they hold, in seconds.
    pub ttl: u32,
}

/// Known addresses of hosts that were registered by name, by that name as [`super::records::srv::wanted`] makes it.
pub type KnownHosts = BTreeMap<String, Resolved>;

/// Settings that a zone adds to every service in it.
#[derive(Debug, Clone)]
pub struct Context<'c> {
    /// The zone's apex, in lower case.
    pub origin: &'c Name,
    /// Time to live where neither instance nor service says one, in seconds.
    pub ttl: u32,
    /// Properties that are shown in TXT records, in their order there.
    pub txt: &'c [String],
    /// The domain of hosts registered by a single label, in lower case and without a final dot.
    pub host_domain: Option<&'c str>,
    /// Known addresses of hosts.
    pub hosts: &'c KnownHosts,
    /// Answer for those of which no address is known.
    pub unknown_host: UnknownHost,
    /// For a zone of reverse names: the zone whose `addr` names they point to.
    pub reverse_of: Option<&'c Name>,
}

static NO_HOSTS: KnownHosts = KnownHosts::new();

impl<'c> Context<'c> {
    /// A zone with nothing special.
    pub fn new(origin: &'c Name, ttl: u32) -> Self {
        Self {
            origin,
            ttl,
            txt: &[],
            host_domain: None,
            hosts: &NO_HOSTS,
            unknown_host: UnknownHost::default(),
            reverse_of: None,
        }
    }
}
