//! Settings and findings that the records of a zone's services are made with, beside the services themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use super::name::Name;
use super::records::config::Config;

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
    /// The forms of the zone's names.
    pub names: &'c Config,
    /// Known addresses of hosts.
    pub hosts: &'c KnownHosts,
    /// For a zone of reverse names: the zone whose `addr` names they point to.
    pub reverse_of: Option<&'c Name>,
}

static PLAIN: LazyLock<Config> = LazyLock::new(Config::default);
static NO_HOSTS: KnownHosts = KnownHosts::new();

impl<'c> Context<'c> {
    /// A zone with nothing special.
    pub fn new(origin: &'c Name, ttl: u32) -> Self {
        Self { origin, ttl, names: &PLAIN, hosts: &NO_HOSTS, reverse_of: None }
    }
}
