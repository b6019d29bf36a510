//! Conventions that are descriptions: a value each, of which nothing is code.

use crate::format::convention::{Convention, Registration};
use crate::format::declared::Description;
use crate::format::error::Error;
use crate::format::kind::NodeKind;
use crate::format::link::{Link, PropertyLink};
use crate::format::placement::{Beside, Decoded, Node, Placement};
use crate::model::{Defaults, Endpoint, Instance};

impl Convention for Description {
    fn name(&self) -> &str {
        &self.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        NodeKind::Service { path: below }
    }

    fn is_placed(&self) -> bool {
        true
    }

    fn placement(&self, below: &str) -> Placement {
        Self::placement(self, below)
    }

    fn reads_data(&self) -> bool {
        Self::reads_data(self)
    }

    fn is_sparse(&self) -> bool {
        Self::is_sparse(self)
    }

    fn endpoint(&self, below: &str) -> Result<Endpoint, Error> {
        Self::endpoint(self, below)
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        Self::decode(self, node.below, node.data, node.beside).map(|instance| vec![instance])
    }

    fn finish(&self, _: &str, instances: &mut Vec<Decoded<'_>>, _: &dyn Beside) {
        self.elect(instances);
    }

    fn decode_service(&self, _: &[u8]) -> (Defaults, Vec<String>) {
        (Defaults::default(), Vec::new())
    }

    fn check(&self, data: &[u8]) -> Result<(), Error> {
        Self::check(self, data)
    }

    fn is_written(&self) -> bool {
        false
    }

    fn encode(&self, _: &Registration<'_>) -> Option<Vec<u8>> {
        None
    }

    fn takes_drains(&self) -> bool {
        false
    }

    fn links(&self, _: &[u8]) -> Vec<Link> {
        Vec::new()
    }

    fn property_links(&self, _: &[u8]) -> (Vec<PropertyLink>, Vec<String>) {
        (Vec::new(), Vec::new())
    }
}
