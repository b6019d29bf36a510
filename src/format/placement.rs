//! Znodes of conventions whose paths do not lead from a service to its instances, and what is beside them.

use crate::model::Instance;

/// Part that a znode has in a convention, as far as its path tells. Paths of services are below what is shown, elements
/// joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// An instance of this service.
    Instance(String),
    /// The parent of this service's instances: while it is there, so is the service.
    Directory(String),
    /// No instance, but what it holds decides about those of this service; of any, where there is none.
    Beside(Option<String>),
    /// It leads to something that is read.
    Way,
    /// Neither it nor anything below it is read.
    Foreign,
}

/// An instance's znode, to be decoded.
#[derive(Debug, Clone, Copy)]
pub struct Node<'n> {
    /// Its path below the root.
    pub below: &'n str,
    /// Its name.
    pub name: &'n str,
    /// Its data.
    pub data: &'n [u8],
    /// The other znodes of the registry.
    pub beside: &'n dyn Beside,
}

impl<'n> Node<'n> {
    /// A znode with nothing beside it, called `name`.
    pub fn alone(name: &'n str, data: &'n [u8]) -> Self {
        Self { below: name, name, data, beside: &Nothing }
    }
}

/// Znodes of the registry, by their paths below the root.
pub trait Beside: std::fmt::Debug {
    /// Data of the znode at `below`; none where it is not there, empty where it cannot be read.
    fn data(&self, below: &str) -> Option<&[u8]>;

    /// Names of the children of the znode at `below`, in their order.
    fn children(&self, below: &str) -> Vec<&str>;
}

/// No znodes.
#[derive(Debug)]
pub struct Nothing;

impl Beside for Nothing {
    fn data(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn children(&self, _: &str) -> Vec<&str> {
        Vec::new()
    }
}

/// An instance that was decoded.
#[derive(Debug)]
pub struct Decoded<'n> {
    /// Path below the root of its znode.
    pub below: &'n str,
    /// Number of its znode among those of the service, for whoever had it decoded.
    pub node: usize,
    /// The instance.
    pub instance: Instance,
}
