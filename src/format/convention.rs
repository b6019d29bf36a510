//! A convention of znodes, as a value: where instances are, what their data say, how ours are written.
//!
//! What a convention does not say itself is as zc.zk has it: an instance's name is `host:port`, and its data a JSON
//! object of properties.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use super::error::Error;
use super::keys::INSTANCE_ID;
use super::kind::NodeKind;
use super::link::{self, Link, PropertyLink};
use super::origin::Origin;
use super::placement::{Beside, Decoded, Node, Placement};
use super::property::{self, Property};
use super::{json, name};
use crate::model::{Defaults, Endpoint, Instance};

/// A convention that can be chosen in the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The word for it.
    pub name: &'static str,
    /// Its writers, and where instances are, in a few words; the template has the same.
    pub doc: &'static str,
    /// Path of the znode below which its writers put services, unless they are told otherwise.
    pub root: &'static str,
    /// Makes the value, with the name of the znode that holds a service's instances; empty where there is none.
    pub build: fn(providers: &str) -> Arc<dyn Convention>,
}

/// A convention of znodes.
pub trait Convention: Debug + Send + Sync {
    /// The word for it in the configuration.
    fn name(&self) -> &str;

    /// Kind of the znode at `below`, its path under the registry's root, without slashes at the ends and empty for the
    /// root. A convention that [is placed](Self::is_placed) is asked for [`Self::placement`] instead.
    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        NodeKind::Service { path: below }
    }

    /// Returns whether znodes are told by [`Self::placement`], and not by [`Self::place`], which then sees paths of
    /// services alone.
    fn is_placed(&self) -> bool {
        false
    }

    /// Returns whether dots in paths of services are borders as those of domain names are, as in names of Java's
    /// interfaces.
    fn are_dots_borders(&self) -> bool {
        false
    }

    /// Tags of roles that pass from one instance of a service to another, such as `leader`: names that exist while
    /// nobody has them, too.
    fn roles(&self) -> &[Box<str>] {
        &[]
    }

    /// Part of the znode at `below`, its path under the registry's root, in a convention that [is
    /// placed](Self::is_placed).
    fn placement(&self, _below: &str) -> Placement {
        Placement::Foreign
    }

    /// Returns whether the data of instances are read at all.
    fn reads_data(&self) -> bool {
        true
    }

    /// Returns whether much else, and busy, may be among its znodes.
    fn is_sparse(&self) -> bool {
        false
    }

    /// Returns whether a [`NodeKind::Leaf`] of this name with these data is an instance.
    fn is_instance(&self, _name: &str, _data: &[u8]) -> bool {
        false
    }

    /// Returns whether a [`NodeKind::Leaf`] with these data is a service of one instance, which the same znode is.
    fn is_own_instance(&self, _data: &[u8]) -> bool {
        false
    }

    /// Returns whether some instances are told by their paths, and others by their data: a [`NodeKind::Service`] below
    /// another may be an instance of that, see [`Self::is_instance`].
    fn is_told_by_data_as_well(&self) -> bool {
        false
    }

    /// Name of the znode between a service and its instances; none where they are directly below it.
    fn directory(&self) -> Option<&str> {
        None
    }

    /// Names that are those of instances or lead to some, in words: no service may be called so.
    fn reserved(&self) -> String {
        "host:port".to_owned()
    }

    /// Reads the endpoint that the name of an instance gives or, in a convention that is placed, its path below the
    /// root.
    ///
    /// # Errors
    /// When it gives none.
    fn endpoint(&self, name: &str) -> Result<Endpoint, Error> {
        name::endpoint(name)
    }

    /// Reads an instance's znode; most hold one instance. What the data say and cannot be used is in the instance's
    /// `remarks`.
    ///
    /// # Errors
    /// Why the node is malformed.
    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        json::decode(node.name, node.data).map(|instance| vec![instance])
    }

    /// Says of all instances of the service at `service` what no single znode tells: who leads, which are one.
    fn finish(&self, _service: &str, _instances: &mut Vec<Decoded<'_>>, _beside: &dyn Beside) {}

    /// Reads a service's own node: what it says for all its instances, and a sentence for each thing that could not be
    /// used. A node that cannot be read at all is one such thing: the instances are served as if it were empty.
    fn decode_service(&self, data: &[u8]) -> (Defaults, Vec<String>) {
        json::decode_service(data)
    }

    /// Returns whether data of an instance or a service can be read, whatever they say.
    ///
    /// # Errors
    /// Why they cannot.
    fn check(&self, data: &[u8]) -> Result<(), Error> {
        json::properties(data).map(|_| ())
    }

    /// Name of the node that registers `endpoint` by the writer whose id for it is `instance_id`: the same name
    /// whenever that is, so that a process finds the node of the one before it.
    fn node_name(&self, endpoint: &Endpoint, _instance_id: &str) -> String {
        endpoint.to_string()
    }

    /// Returns whether registrations can be written.
    fn is_written(&self) -> bool {
        true
    }

    /// Writes the data of a registration; none where the convention is only read.
    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>>;

    /// Says what cannot be written of a registration, in a sentence each, beyond what its properties alone tell.
    fn objections(&self, _registration: &Registration<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Returns whether registrations hold a state which readers of other makers look at, so that a drain is to be
    /// written there.
    fn holds_state(&self) -> bool {
        false
    }

    /// Returns whether the data of services are read for drain flags, so that some may be written there.
    fn takes_drains(&self) -> bool {
        true
    }

    /// Reads the links to other znodes that data hold.
    fn links(&self, data: &[u8]) -> Vec<Link> {
        link::links(data).0
    }

    /// Reads the links to properties of other znodes that data hold, and a sentence for each that cannot be used.
    fn property_links(&self, data: &[u8]) -> (Vec<PropertyLink>, Vec<String>) {
        link::property_links(data)
    }
}

/// An instance of ours, to be written.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'r> {
    /// Path of its service below the root.
    pub service: &'r str,
    /// Its endpoint.
    pub endpoint: &'r Endpoint,
    /// True if it is drained.
    pub is_drained: bool,
    /// Its properties, in their order.
    pub properties: &'r [(String, Property)],
    /// The id by which its writer knows it again.
    pub instance_id: &'r str,
    /// Its host.
    pub origin: &'r Origin,
    /// Id of the process that writes it.
    pub pid: u32,
    /// Time at which that began.
    pub created: SystemTime,
}

impl Registration<'_> {
    /// The instance by its properties alone, as zc.zk's readers have it: what other conventions write comes of it.
    pub fn instance(&self) -> Instance {
        let mut instance = Instance::new(&self.endpoint.to_string(), self.endpoint.clone());
        // Too much of them is told when the data are read.
        let properties = json::object(&property::object(self.properties, &[])).unwrap_or_default();
        json::instance(properties, &mut instance);
        instance
    }

    /// Metadata in which all values are text, as those of conventions whose readers take nothing else: the properties
    /// but for those called as in `left_out`, then the marks of the writer, then `own`. A list is its items, separated
    /// by commas.
    pub(super) fn metadata(&self, left_out: &[&str], own: &[(&str, &str)]) -> Property {
        let is_own = |key: &str| left_out.contains(&key) || own.iter().any(|(own, _)| *own == key);
        let properties = self.properties.iter().filter(|(key, _)| !is_own(key));
        let mut entries: Vec<_> = properties.map(|(key, value)| (key.clone(), value.to_text())).collect();
        entries.push((INSTANCE_ID.to_owned(), self.instance_id.to_owned()));
        entries.extend(self.origin.texts().into_iter().map(|(key, text)| (key.to_owned(), text)));
        entries.extend(own.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        Property::Table(entries.into_iter().map(|(key, text)| (key, Property::Text(text))).collect())
    }
}
