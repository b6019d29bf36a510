//! Keys of `[registry.NAME]` about its znodes.

use std::ops::Deref;
use std::sync::Arc;

use super::convention::{Convention, Row};
use super::conventions::CONVENTIONS;
use super::declared::Description;
use super::error::Error;
use super::formats::{Chosen, Formats};
use super::kind::NodeKind;
use super::placement::{Node, Placement};
use crate::diagnostic::Problems;
use crate::model::Instance;
use crate::settings::{Located, Section, fixed, nearest};

/// Settings of how the znodes of one registry are read and written: its convention.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the element that holds a service's instances; empty when they are directly below it.
    pub providers: String,
    /// The convention.
    pub convention: Arc<dyn Convention>,
    /// Path of the znode below which its writers put services, unless they are told otherwise.
    pub usual_root: String,
    /// The description that the convention is; none where it is code.
    pub description: Option<Arc<Description>>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new(&CONVENTIONS[0], "providers")
    }
}

/// A convention is its name and what it was built with.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let built_with = (&self.providers, &self.description) == (&other.providers, &other.description);
        built_with && self.convention.name() == other.convention.name()
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
        let (providers, convention) = (providers.to_owned(), (row.build)(providers));
        Self { providers, convention, usual_root: row.root.to_owned(), description: None }
    }

    /// The convention that was chosen, with instances in an element called `providers` where it has such.
    pub fn chosen(chosen: Chosen<'_>, providers: &str) -> Self {
        match chosen {
            Chosen::Coded(row) => Self::new(row, providers),
            Chosen::BuiltIn(description) | Chosen::Own(description) => Self {
                providers: providers.to_owned(),
                convention: Arc::<Description>::clone(description),
                usual_root: description.root.to_string(),
                description: Some(Arc::clone(description)),
            },
        }
    }

    /// Pattern of the paths of instances below the root, as a description has it: `{service}/{host}:{port}`; of a
    /// convention that is code, a few words.
    pub fn pattern(&self) -> &str {
        let of_code = || CONVENTIONS.iter().find(|row| row.name == self.name()).map_or("", |row| row.doc);
        self.description.as_ref().map_or_else(of_code, |description| &description.path)
    }

    /// Reason why nothing is shown for the znode at `below`, its path under the root; none for one that is shown, where
    /// it is there.
    pub fn unshown(&self, below: &str) -> Option<String> {
        let (name, pattern) = (self.name(), self.pattern());
        let foreign = || format!("it does not match the format \"{name}\": {pattern}");
        if !self.is_placed() {
            return match self.place(below) {
                NodeKind::Inside { service } => Some(format!("it is below an instance of {service}")),
                NodeKind::Beside { service } => {
                    Some(format!("it is no instance, and says something of those of {service}"))
                }
                _ => None,
            };
        }
        match self.placement(below) {
            Placement::Instance(_) => None,
            Placement::Directory(service) => Some(format!("it is the parent of the instances of {service}")),
            Placement::Beside(Some(service)) => {
                Some(format!("it is no instance, and says something of those of {service}"))
            }
            Placement::Beside(None) => Some("it is no instance, and says something of those beside it".to_owned()),
            Placement::Way => Some(format!("it only leads to what matches the format \"{name}\": {pattern}")),
            Placement::Foreign => Some(foreign()),
        }
    }

    /// Reads the keys `providers` and `format` of a registry's table; the format is one of `formats`.
    pub fn read(section: &mut Section<'_>, formats: &Formats) -> Self {
        let providers = Self::read_providers(section);
        let format = section.located::<String>(fixed("format"));
        let named = format.and_then(|format| Self::named(&format, &providers, formats, section.problems()));
        named.unwrap_or_else(|| Self::new(&CONVENTIONS[0], &providers))
    }

    /// The convention of `formats` that a setting names, with instances in an element called `providers`; none, and a
    /// problem, where there is none of that name that can be used.
    pub fn named(format: &Located<String>, providers: &str, formats: &Formats, problems: &Problems) -> Option<Self> {
        if let Some(known) = formats.find(&format.value) {
            return Some(Self::chosen(known, providers));
        }
        if !formats.is_mistaken(&format.value) {
            let message = format!("there is no znode format \"{}\"", format.value);
            let names: Vec<&str> = formats.all().into_iter().map(|(name, _)| name).collect();
            let near = nearest(&format.value, &names);
            let help = near.map(|near| format!("did you mean \"{near}\"? `zonekeeper formats` lists all"));
            let help = help.unwrap_or_else(|| {
                let coded: Vec<&str> = CONVENTIONS.iter().map(|row| row.name).collect();
                let (coded, others) = (coded.join(", "), names.len() - coded.len());
                format!("known formats: {coded} and {others} more, which `zonekeeper formats` lists")
            });
            problems.add_with_help(format.span, message, help);
        }
        None
    }

    /// Reads the key `providers`.
    pub fn read_providers(section: &mut Section<'_>) -> String {
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
        providers
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
        let endpoint = self.endpoint(if self.is_placed() { node.below } else { node.name });
        let endpoint = endpoint.map_err(|error| match error {
            Error::NoEndpoint(_) => Error::NoEndpoint(why.to_owned()),
            error => error,
        })?;
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

    /// The convention called `name` that registrations can be written in, with instances in an element called
    /// `providers` where it has such; none where there is none.
    pub fn of_writers(name: &str, providers: &str) -> Option<Self> {
        let row = CONVENTIONS.iter().find(|row| row.name == name)?;
        Some(Self::new(row, providers)).filter(|config| config.is_written())
    }

    /// Returns whether a znode at `below`, its path under the root, with these data is read as an instance of
    /// `service`.
    pub fn takes(&self, service: &str, below: &str, data: &[u8]) -> bool {
        let is_of = |parent: &str, name: &str| parent == service && self.is_instance(name, data);
        if self.is_placed() {
            return self.placement(below) == Placement::Instance(service.to_owned());
        }
        match self.place(below) {
            NodeKind::Instance { service: parent, .. } => parent == service,
            NodeKind::Leaf { service: parent, name, .. } => is_of(parent, name),
            NodeKind::Service { path } if self.is_told_by_data_as_well() => {
                path.rsplit_once('/').is_some_and(|(parent, name)| is_of(parent, name))
            }
            _ => false,
        }
    }
}
