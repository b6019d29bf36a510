//! Conventions that are descriptions: a value each, of which nothing is code.

use crate::format::convention::Convention;
use crate::format::declared::Description;
use crate::format::error::Error;
use crate::format::placement::{Beside, Decoded, Node, Placement};
use crate::model::{Endpoint, Instance};

impl Convention for Description {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_placed(&self) -> bool {
        true
    }

    fn placement(&self, below: &str) -> Placement {
        Self::placement(self, below)
    }

    fn roles(&self) -> &[Box<str>] {
        Self::roles(self)
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

    fn check(&self, data: &[u8]) -> Result<(), Error> {
        Self::check(self, data)
    }

    only_read!();
}
