//! zc.zk 2.x: `<service>/providers/<host:port>`, compact JSON with the registering process's `pid`.
//!
//! Source: `zc/zk/__init__.py` of the 2.1.0 release (`register`, `encode`, `decode`).

use std::sync::Arc;

use crate::format::convention::{Convention, Registration, Row};
use crate::format::keys::INSTANCE_ID;
use crate::format::kind::NodeKind;
use crate::format::property::{self, Property};
use crate::format::shape::InstanceShape;

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "zc",
    doc: "zc.zk: only in a providers directory",
    root: "/services",
    build: |providers| Arc::new(Zc { name: ROW.name, shape: InstanceShape::in_directory(providers) }),
};

/// Znodes whose shape says which are instances, written as zc.zk writes them.
#[derive(Debug)]
pub(super) struct Zc {
    pub(super) name: &'static str,
    pub(super) shape: InstanceShape,
}

impl Convention for Zc {
    fn name(&self) -> &'static str {
        self.name
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

    /// The properties, then `instance_id` and the host, then `pid`, which zc.zk too sets last.
    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>> {
        let mut own = vec![(INSTANCE_ID, Property::Text(registration.instance_id.to_owned()))];
        own.extend(registration.origin.entries());
        own.push(("pid", Property::Integer(registration.pid.into())));
        Some(property::object(registration.properties, &own))
    }
}
