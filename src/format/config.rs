//! Keys of `[registry.NAME]` about its znodes.

use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use super::convention::{Convention, Registration, Row};
use super::conventions::CONVENTIONS;
use super::error::Error;
use super::origin::Origin;
use super::placement::Node;
use super::property::Property;
use crate::model::Instance;
use crate::settings::{Section, fixed};

/// Settings of how the znodes of one registry are read and written: its convention.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the element that holds a service's instances; empty when they are directly below it.
    pub providers: String,
    /// The convention.
    pub convention: Arc<dyn Convention>,
    /// Path of the znode below which its writers put services, unless they are told otherwise.
    pub usual_root: String,
}

impl Default for Config {
    fn default() -> Self {
        Self::new(&CONVENTIONS[0], "providers")
    }
}

/// A convention is its name and what it was built with.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        (&self.providers, self.convention.name()) == (&other.providers, other.convention.name())
    }
}

impl Eq for Config {}

impl Deref for Config {
    type Target = dyn Convention;

    fn deref(&self) -> &Self::Target {
        &*self.convention
    }
}

impl Config {
    /// The convention of `row`, with instances in an element called `providers`.
    pub fn new(row: &Row, providers: &str) -> Self {
        Self { providers: providers.to_owned(), convention: (row.build)(providers), usual_root: row.root.to_owned() }
    }

    /// Reads the keys `providers` and `format` of a registry's table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut providers = "providers".to_owned();
        if let Some(given) = section.located::<String>(fixed("providers")) {
            if matches!(&*given.value, "." | "..") || given.value.contains(|c: char| c == '/' || c.is_control()) {
                section.problems().add_with_help(
                    given.span,
                    "`providers` must be the name of one znode",
                    "it is the element between a service and its instances; leave it \"\" when there is none",
                );
            } else {
                providers = given.value;
            }
        }
        let mut row = &CONVENTIONS[0];
        if let Some(format) = section.located::<String>(fixed("format")) {
            if let Some(known) = CONVENTIONS.iter().find(|row| row.name == format.value) {
                row = known;
            } else {
                let message = format!("there is no znode format \"{}\"", format.value);
                let known: Vec<_> = CONVENTIONS.iter().map(|row| format!("\"{}\" ({})", row.name, row.doc)).collect();
                section.problems().add_with_help(format.span, message, format!("known formats: {}", known.join(", ")));
            }
        }
        Self::new(row, &providers)
    }

    /// Reads the instance of a znode called `name` that has nothing beside it. What it says and cannot be used is in
    /// its `remarks`: where that is all of its data, the instance has nothing but its name.
    ///
    /// # Errors
    /// Why the node is malformed.
    pub fn decode_instance(&self, name: &str, data: &[u8]) -> Result<Instance, Error> {
        let instances = self.decode(&Node::alone(name, data))?;
        instances.into_iter().next().ok_or_else(|| Error::NoEndpoint("there is none in them".to_owned()))
    }

    /// Reads an instance's znode from what it said before; `why` says what is wrong with its present data.
    ///
    /// # Errors
    /// Why the node is malformed.
    pub fn decode_former(&self, node: &Node<'_>, why: &str) -> Result<Vec<Instance>, Error> {
        let mut instances = self.decode(node)?;
        for instance in &mut instances {
            instance.remarks.insert(0, format!("{why}; it is served with what it said before"));
        }
        Ok(instances)
    }

    /// Reads an instance's znode whose data cannot be had at all, and why not.
    ///
    /// # Errors
    /// Why the node is malformed.
    pub fn unread_instance(&self, node: &Node<'_>, why: &str) -> Result<Instance, Error> {
        let endpoint = self.endpoint(if self.is_placed() { node.below } else { node.name })?;
        let mut instance = Instance::new(&endpoint.to_string(), endpoint);
        if !self.is_placed() {
            instance.name = node.name.into();
        }
        instance.remarks.push(format!("{why}; it is served with defaults"));
        Ok(instance)
    }

    /// Full path of the node `name` of the service at path `service` below `root`.
    pub fn instance_path(&self, root: &str, service: &str, name: &str) -> String {
        let mut path = root.trim_end_matches('/').to_owned();
        for element in [service, self.directory().unwrap_or_default(), name] {
            if !element.is_empty() {
                path.push('/');
                path.push_str(element);
            }
        }
        path
    }

    /// Writes the data of an instance node: the properties in their order, who wrote it on which host and, where the
    /// convention has it, when. None where the convention is only read.
    pub fn encode_instance(
        &self,
        properties: &[(String, Property)],
        instance_id: &str,
        origin: &Origin,
        pid: u32,
        created: SystemTime,
    ) -> Option<Vec<u8>> {
        self.encode(&Registration { properties, instance_id, origin, pid, created })
    }
}
