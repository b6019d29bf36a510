//! Services of a description's example, read as those of a registry.

use std::collections::BTreeMap;

use super::description::{Description, Example};
use crate::format::placement::{Beside, Decoded, Placement};
use crate::model::Service;

/// The znodes of an example; their parents are not there.
#[derive(Debug)]
struct Znodes<'e>(&'e [Example]);

impl Beside for Znodes<'_> {
    fn data(&self, below: &str) -> Option<&[u8]> {
        self.0.iter().find(|one| one.path == below).map(|one| &*one.data)
    }

    fn children(&self, _: &str) -> Vec<&str> {
        Vec::new()
    }
}

impl Description {
    /// The services of its example, and for each znode that cannot be read its path and why.
    pub fn example_services(&self) -> (Vec<Service>, Vec<(String, String)>) {
        let mut services: BTreeMap<String, Vec<Decoded<'_>>> = BTreeMap::new();
        let mut lost = Vec::new();
        for (node, Example { path, data }) in self.examples.iter().enumerate() {
            let Placement::Instance(service) = self.placement(path) else { continue };
            match self.decode(path, data, &Znodes(&self.examples)) {
                Ok(instance) => services.entry(service).or_default().push(Decoded { below: path, node, instance }),
                Err(error) => lost.push((path.clone(), error.to_string())),
            }
        }
        let services = services.into_iter().map(|(path, mut decoded)| {
            self.elect(&mut decoded);
            let instances = decoded.into_iter().map(|one| one.instance).collect();
            Service { path, instances, ..Service::default() }
        });
        (services.collect(), lost)
    }
}
