//! Content of a service registry, in plain data: services, their instances, where each can be reached.
//!
//! This is the language between the three halves of the program. `format/` translates znodes into it and back, `zone/`
//! turns it into DNS records, `announce/` starts from it. It knows nothing of ZooKeeper, DNS or JSON, and imports
//! nothing of ours.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A service as the registry shows it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Path below the registry's root, elements joined by `/` and as spelled there: `api_x`,
    /// `staging/uswest2/memcache`. Empty for a service that sits at the root itself.
    pub path: String,
    /// Defaults of the service's own node for all its instances.
    pub defaults: Defaults,
    /// The instances, in the order of their node names. Empty for a service without any, and for an inner node.
    pub instances: Vec<Instance>,
    /// True if dots in its path are borders as those of domain names are, as in `com.acme.FooService`.
    pub is_dotted: bool,
    /// Tags of roles that pass from one instance to another, such as `leader`: their names exist also while no instance
    /// has them.
    pub roles: Vec<Box<str>>,
}

impl Service {
    /// Instances that want traffic: those whose state, and whose service's state, is up.
    pub fn up(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|one| self.defaults.state == State::Up && one.state == State::Up)
    }
}

/// Service-wide values, used where an instance does not say its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    /// Time to live of the answers, in seconds.
    pub ttl: Option<u32>,
    /// SRV weight.
    pub weight: Option<u16>,
    /// SRV priority.
    pub priority: Option<u16>,
    /// State of the service as a whole; anything but [`State::Up`] takes all instances out of the answers.
    pub state: State,
    /// Flags that take all of it, or instances of it, out of the answers for a while.
    pub drains: Vec<Drain>,
    /// Everything else the node says, as `(key, value as text)`, in the order of the keys.
    pub metadata: Vec<(Box<str>, Box<str>)>,
}

/// A flag of an operator's that takes a service, or one instance of it, out of the answers for a while. What is
/// registered stays registered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drain {
    /// The instance; none for the service as a whole.
    pub instance: Option<Endpoint>,
    /// Time at which it ends by itself, in seconds since 1970; none for never.
    pub until: Option<u64>,
    /// Why, for people; may be empty.
    pub reason: Box<str>,
    /// The user and host that set it, for people: `alice@web7`; may be empty.
    pub by: Box<str>,
    /// Time at which it was set by that host's clock, in seconds since 1970.
    pub at: Option<u64>,
}

impl Drain {
    /// Returns whether it has not ended at `now`, in seconds since 1970.
    pub fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Returns whether it is about `instance`, among others or alone.
    pub fn covers(&self, instance: &Instance) -> bool {
        self.instance.as_ref().is_none_or(|endpoint| endpoint.is_same(&instance.endpoint))
    }
}

/// One registered instance of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Name of its node below the service, as spelled there: `192.168.0.42:8080`.
    pub name: Box<str>,
    /// Endpoint at which it can be reached.
    pub endpoint: Endpoint,
    /// Transport protocol of that endpoint.
    pub protocol: Protocol,
    /// SRV weight, if the instance says one.
    pub weight: Option<u16>,
    /// SRV priority, if the instance says one.
    pub priority: Option<u16>,
    /// Time to live in seconds, if the instance says one.
    pub ttl: Option<u32>,
    /// State: does it want traffic?
    pub state: State,
    /// Cause of a state that is not up, as the end of a sentence; none where the instance itself says the state.
    pub state_cause: Option<Box<str>>,
    /// Origin of the weight where the instance does not say it itself: `an override in …`.
    pub weight_origin: Option<Box<str>>,
    /// Tags for subsets of the service.
    pub tags: Vec<Box<str>>,
    /// Further named endpoints: `("http", …)`.
    pub ports: Vec<(Box<str>, Endpoint)>,
    /// Addresses of its host, where that is a name and they are registered beside it: then it is not looked up.
    pub addresses: Vec<IpAddr>,
    /// Everything else the node says, as `(key, value as text)`, in the order of the keys.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// Remarks about what could not be used of the node, one sentence each; the defaults were used in their place.
    pub remarks: Vec<String>,
}

impl Instance {
    /// An instance that says nothing but where it is.
    pub fn new(name: &str, endpoint: Endpoint) -> Self {
        Self {
            name: name.into(),
            endpoint,
            protocol: Protocol::Tcp,
            weight: None,
            priority: None,
            ttl: None,
            state: State::Up,
            state_cause: None,
            weight_origin: None,
            tags: Vec::new(),
            ports: Vec::new(),
            addresses: Vec::new(),
            metadata: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Takes it out of the answers for this cause, the end of a sentence such as `its status is "DEAD"`.
    pub fn drain(&mut self, cause: impl Into<Box<str>>) {
        self.state = State::Drain;
        self.state_cause.get_or_insert_with(|| cause.into());
    }

    /// Addresses that are registered for the host of `endpoint`, one of its own; empty where that is to be looked up.
    pub fn known_addresses(&self, endpoint: &Endpoint) -> &[IpAddr] {
        if endpoint.host == self.endpoint.host { &self.addresses } else { &[] }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port; 0 where it has none: it has addresses, and no SRV record.
    pub port: u16,
}

impl Endpoint {
    /// Returns whether it is the same place: host names are the same in any case.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_host = match (&self.host, &other.host) {
            (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        is_same_host && self.port == other.port
    }

    /// The same place with the host's name in lower case, to look it up by.
    pub fn folded(&self) -> Self {
        let mut folded = self.clone();
        if let Host::Name(name) = &mut folded.host {
            name.make_ascii_lowercase();
        }
        folded
    }
}

/// A host as it was registered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A host name, in the case it was registered in and without a final dot.
    Name(Box<str>),
}

impl Host {
    /// The address, unless the host was registered by name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
            Self::Name(_) => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

/// `192.168.0.42:8080`, `[2001:db8::1]:8080`, `server1:22`: the usual node name.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            host if self.port == 0 => write!(f, "{host}"),
            Host::V6(address) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// Transport protocol of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Protocol {
    /// TCP, unless the instance says otherwise.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// State of an instance, or of a whole service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum State {
    /// Takes traffic.
    #[default]
    Up,
    /// Finishes what it has and wants no new traffic.
    Drain,
    /// Out of service.
    Down,
}

impl State {
    /// The word the registry uses for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }
}

impl State {
    /// The word for what has happened to an instance of this state: `drained`.
    pub fn as_past(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Drain => "drained",
            Self::Down => "down",
        }
    }
}

/// A node of the registry with something wrong. It is counted and shown; its neighbours are served.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Malformed {
    /// Its effect.
    pub harm: Harm,
    /// Full path of the node.
    pub path: String,
    /// Reason, for a person.
    pub reason: String,
}

impl Malformed {
    /// A node that is not served, and why.
    pub fn lost(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { harm: Harm::Lost, path: path.into(), reason: reason.into() }
    }

    /// A node that is served with a default, or with what it said before, and why.
    pub fn doubtful(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { harm: Harm::Doubtful, path: path.into(), reason: reason.into() }
    }
}

/// The effect of what is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Harm {
    /// It is not served.
    Lost,
    /// It is served with a default, or with what it said before.
    Doubtful,
}

impl Harm {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubtful => "doubtful",
        }
    }
}
