//! zc.zk's and `nd_service_registry`'s znodes beside each other: an instance is told by its path, and ours are written
//! as zc.zk's.

use std::sync::Arc;

use super::zc;
use crate::format::convention::{Convention, Registration, Row};
use crate::format::kind::NodeKind;
use crate::format::shape::InstanceShape;

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "auto",
    doc: "in a providers directory, or directly below a service under a name like host:port",
    root: "/services",
    build: |providers| Arc::new(Auto { shape: InstanceShape::in_directory(providers).or_direct() }),
};

#[derive(Debug)]
struct Auto {
    shape: InstanceShape,
}

impl Convention for Auto {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        self.shape.place(below)
    }

    fn directory(&self) -> Option<&str> {
        self.shape.directory()
    }

    fn reserved(&self) -> String {
        self.shape.reserved()
    }

    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>> {
        Some(zc::encode(registration))
    }
}
