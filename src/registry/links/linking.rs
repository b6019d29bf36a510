//! Links as the data of znodes hold them.

use std::fmt::Debug;

/// Reader of the links that the data of znodes hold.
pub trait Linking: Debug + Send + Sync {
    /// Returns the links that `data` hold.
    fn links(&self, data: &[u8]) -> NodeLinks;

    /// Returns a sentence for each property link in `data` that cannot be used.
    fn remarks(&self, data: &[u8]) -> Vec<String>;

    /// Returns `data` with these properties in the place of the links to them, and the names of those that the other
    /// znode does not have.
    fn resolve(&self, data: &[u8], taken: &[LinkedProperty<'_>]) -> (Vec<u8>, Vec<String>);
}

/// Data hold no links.
#[derive(Debug)]
pub struct NoLinks;

impl Linking for NoLinks {
    fn links(&self, _: &[u8]) -> NodeLinks {
        NodeLinks::default()
    }

    fn remarks(&self, _: &[u8]) -> Vec<String> {
        Vec::new()
    }

    fn resolve(&self, data: &[u8], _: &[LinkedProperty<'_>]) -> (Vec<u8>, Vec<String>) {
        (data.to_vec(), Vec::new())
    }
}

/// A property to be taken from another znode.
#[derive(Debug, Clone, Copy)]
pub struct LinkedProperty<'d> {
    /// Its name.
    pub name: &'d str,
    /// The other znode's data, where that is known.
    pub data: Option<&'d [u8]>,
    /// Name of the property there.
    pub property: &'d str,
}

/// The links that a znode's data holds, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeLinks {
    /// Name and target of each symbolic link.
    pub links: Vec<(Box<str>, Box<str>)>,
    /// The property links.
    pub properties: Vec<PropertyLink>,
}

/// A property that is another znode's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyLink {
    /// Its name.
    pub name: Box<str>,
    /// Path of the other znode.
    pub path: Box<str>,
    /// Name of the property there.
    pub property: Box<str>,
}
