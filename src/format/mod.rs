//! Znode names and bytes <-> the model: what a registry's znodes mean, and how ours are written.
//!
//! A registry follows one of several conventions; each has a file (`zc`, `nd`) that says where instances stand and what
//! is written beside their properties. What they share stands apart: `name` reads `host:port`, `json` reads the data,
//! [`Property`] is what can be written. Everything here is pure and reads one znode at a time, so a bad one cannot
//! reach its neighbours. It knows nothing of sessions, watches or DNS.
//!
//! An instance is its name: one that gives an endpoint is served, whatever its data. Data that is valid for zc.zk,
//! which is any text, is a `string_value`; of a JSON object that cannot be read, of data that is no UTF-8 and of data
//! over [`DATA_LIMIT`] nothing is taken, which is told: the instance is doubtful. One whose name gives no endpoint is
//! lost.

mod drain;
mod json;
mod link;
mod name;
mod nd;
mod origin;
mod property;
mod python;
mod zc;

pub use drain::{drain, moment, undrain};
pub use link::{Link, PropertyLink, Taken, links, property_links, with_properties};
pub use origin::{Origin, author};
pub use property::Property;

use std::time::SystemTime;

use crate::model::{Defaults, Endpoint, Host, Instance};
use crate::settings::{Section, fixed};

/// Key of the data under which a registration carries the identity of who wrote it, so that its writer knows it again
/// after a restart.
pub const INSTANCE_ID: &str = "instance_id";

/// Keys that are written beside the properties of an instance and cannot be among them.
pub const RESERVED: [&str; 5] = ["pid", "created", INSTANCE_ID, BOOT_ID, HOST_ADDRESSES];

/// Key of the id of the boot in which a registration was written.
const BOOT_ID: &str = "boot_id";
/// Key of the list of addresses of the host that wrote a registration.
const HOST_ADDRESSES: &str = "host_addresses";

/// Data of a znode beyond this many bytes is not read. Real registrations take some hundred bytes.
pub const DATA_LIMIT: usize = 64 * 1024;

/// Why a znode is no instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No `:port` at the end of the name.
    #[error("its name is not of the form host:port")]
    NoPort,
    /// The port is no number, 0 or too large.
    #[error("the port in its name is not a number from 1 to 65535")]
    BadPort,
    /// Nothing in front of the port.
    #[error("its name has no host in front of the port")]
    NoHost,
    /// `2001:db8::1:80` could be two things.
    #[error("an IPv6 address in a name must stand in brackets: [2001:db8::1]:80")]
    BareV6,
    /// The brackets hold something else.
    #[error("what stands in brackets in its name is not an IPv6 address")]
    BadV6,
    /// A name of digits and dots that is no IPv4 address, such as `10.0.0.300`.
    #[error("the host in its name ends in a number and is not an IPv4 address")]
    BadV4,
    /// A host name that cannot be one.
    #[error(
        "the host in its name is longer than 253 bytes, or has an empty label, a space, a slash or a control character"
    )]
    BadHost,
    /// An address that no client can reach anybody at.
    #[error("the host in its name is {0}")]
    Unusable(&'static str),
    /// `*`, which would be a wildcard in DNS.
    #[error("the host in its name has a label `*`, which would be a wildcard")]
    Wildcard,
    /// A name in another script that makes no A-labels (RFC 5891).
    #[error("the host in its name is in another script and makes no domain name")]
    BadIdn,
    /// More than [`DATA_LIMIT`].
    #[error("its data has {0} bytes; more than {DATA_LIMIT} are not read")]
    TooLarge(usize),
    /// Bytes that are no text.
    #[error("its data is not UTF-8 text")]
    NotText,
    /// It begins like a JSON object.
    #[error("its data begins like a JSON object and is none: {0}")]
    BadJson(String),
    /// The flags in a service's own node are not as this program writes them, and would be lost.
    #[error("its `drain` is not as this program writes it: {0}")]
    BadDrain(String),
    /// See [`NodeKind::Inside`].
    #[error("it lies below an instance, where nothing is looked for")]
    BelowInstance,
}

/// Convention of where the instances of a service are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Convention {
    /// By the path's shape: in a providers directory, or directly below the service under a name of the form
    /// `host:port`.
    #[default]
    Auto,
    /// zc.zk: only in a providers directory.
    Zc,
    /// `nd_service_registry`: only directly below the service.
    Nd,
}

/// Settings of how the znodes of one registry are read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the element that holds a service's instances; empty when they stand directly below it.
    pub providers: String,
    /// The convention.
    pub convention: Convention,
}

impl Default for Config {
    fn default() -> Self {
        Self { providers: "providers".to_owned(), convention: Convention::default() }
    }
}

/// Role of a znode, by its path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind<'p> {
    /// An instance called `name` of the service at path `service`, whether or not the name is good.
    Instance {
        /// Path of the service below the root; empty for the root itself.
        service: &'p str,
        /// Name of the node.
        name: &'p str,
    },
    /// The providers directory of the service at path `service`.
    Directory {
        /// Path of the service below the root; empty for the root itself.
        service: &'p str,
    },
    /// A service, or a node on the way to one.
    Service {
        /// Its path below the root; empty for the root itself.
        path: &'p str,
    },
    /// Something below an instance. It says nothing, and is shown as malformed with [`Error::BelowInstance`], so that
    /// somebody who put a service there finds out.
    Inside {
        /// Path of the service that the instance belongs to.
        service: &'p str,
    },
}

impl Config {
    /// Reads the keys `providers` and `format` of a registry's table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(providers) = section.located::<String>(fixed("providers")) {
            if matches!(&*providers.value, "." | "..") || providers.value.contains(|c: char| c == '/' || c.is_control())
            {
                section.problems().add_with_help(
                    providers.span,
                    "`providers` must be the name of one znode",
                    "it is the element between a service and its instances; leave it \"\" when there is none",
                );
            } else {
                config.providers = providers.value;
            }
        }
        if let Some(format) = section.located::<String>(fixed("format")) {
            match &*format.value {
                "auto" => config.convention = Convention::Auto,
                "zc" => config.convention = Convention::Zc,
                "nd" => config.convention = Convention::Nd,
                other => section.problems().add_with_help(
                    format.span,
                    format!("there is no znode format \"{other}\""),
                    "known formats: \"auto\", \"zc\" (zc.zk) and \"nd\" (nd_service_registry)",
                ),
            }
        }
        config
    }

    /// Role of the znode at `below`; `below` is its path under the registry's root, without slashes at the ends, and
    /// empty for the root. The first element, from the left, that is a providers directory or an instance decides.
    pub fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        if below.is_empty() {
            return NodeKind::Service { path: below };
        }
        let mut start = 0;
        for element in below.split('/') {
            let end = start + element.len();
            let service = below[..start].trim_end_matches('/');
            let rest = below[end..].strip_prefix('/');
            if self.has_directories() && element == self.providers {
                return zc::place(service, rest);
            }
            if self.has_direct_instances() && name::has_shape(element) {
                return nd::place(service, element, rest);
            }
            start = end + 1;
        }
        NodeKind::Service { path: below }
    }

    /// Reads the instance node called `name`. What it says and cannot be used is in its `remarks`: where that is all of
    /// its data, the instance has nothing but its name.
    ///
    /// # Errors
    /// Why the node is malformed.
    pub fn decode_instance(&self, name: &str, data: &[u8]) -> Result<Instance, Error> {
        let mut instance = Instance::new(name, name::endpoint(name)?);
        match json::properties(data) {
            Ok((properties, remark)) => {
                json::instance(properties, &mut instance);
                instance.remarks.splice(0..0, remark);
            }
            Err(error) => instance.remarks.push(format!("{error}; it is served with defaults")),
        }
        Ok(instance)
    }

    /// The instance node called `name`, read from what it said before; `why` says what is wrong with its present data.
    ///
    /// # Errors
    /// Why the node is malformed.
    pub fn decode_former(&self, name: &str, data: &[u8], why: &str) -> Result<Instance, Error> {
        let mut instance = self.decode_instance(name, data)?;
        instance.remarks.insert(0, format!("{why}; it is served with what it said before"));
        Ok(instance)
    }

    /// The instance node called `name` whose data cannot be had at all, and why not.
    ///
    /// # Errors
    /// Why the node is malformed.
    pub fn unread_instance(&self, name: &str, why: &str) -> Result<Instance, Error> {
        let mut instance = Instance::new(name, name::endpoint(name)?);
        instance.remarks.push(format!("{why}; it is served with defaults"));
        Ok(instance)
    }

    /// Reads a service's own node: what it says for all its instances, and a sentence for each thing that could not be
    /// used. A node that cannot be read at all is one such thing: the instances are served as if it were empty.
    pub fn decode_service(&self, data: &[u8]) -> (Defaults, Vec<String>) {
        match json::properties(data) {
            Ok((properties, remark)) => {
                let (defaults, mut remarks) = json::defaults(properties);
                remarks.splice(0..0, remark);
                (defaults, remarks)
            }
            Err(error) => (Defaults::default(), vec![error.to_string()]),
        }
    }

    /// Name of the node that registers `endpoint`.
    pub fn node_name(&self, endpoint: &Endpoint) -> String {
        endpoint.to_string()
    }

    /// Full path of the node `name` of the service at path `service` below `root`.
    pub fn instance_path(&self, root: &str, service: &str, name: &str) -> String {
        let providers = if self.has_directories() { &*self.providers } else { "" };
        let mut path = root.trim_end_matches('/').to_owned();
        for element in [service, providers, name] {
            if !element.is_empty() {
                path.push('/');
                path.push_str(element);
            }
        }
        path
    }

    /// Data of an instance node: the properties in their order, who wrote it on which host and, where the convention
    /// has it, when.
    pub fn encode_instance(
        &self,
        properties: &[(String, Property)],
        instance_id: &str,
        origin: &Origin,
        pid: u32,
        created: SystemTime,
    ) -> Vec<u8> {
        match self.convention {
            Convention::Auto | Convention::Zc => zc::encode(properties, instance_id, origin, pid),
            Convention::Nd => nd::encode(properties, instance_id, origin, pid, created),
        }
    }

    fn has_directories(&self) -> bool {
        !self.providers.is_empty() && self.convention != Convention::Nd
    }

    fn has_direct_instances(&self) -> bool {
        self.providers.is_empty() || self.convention != Convention::Zc
    }
}

/// Returns whether data can be read, whatever they say.
///
/// # Errors
/// Why they cannot.
pub fn check(data: &[u8]) -> Result<(), Error> {
    json::properties(data).map(|_| ())
}

/// Reads `host:port`, as instances are called; an IPv6 address stands in brackets.
///
/// # Errors
/// When it is no such thing.
pub fn endpoint(text: &str) -> Result<Endpoint, Error> {
    name::endpoint(text)
}

/// Reads a host: an IPv4 address, an IPv6 address with or without brackets, or a host name.
///
/// # Errors
/// When it is none of them.
pub fn host(text: &str) -> Result<Host, Error> {
    name::any_host(text)
}

#[cfg(test)]
mod tests;
