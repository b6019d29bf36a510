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
    build: |providers| Arc::new(Zc { shape: InstanceShape::in_directory(providers) }),
};

#[derive(Debug)]
struct Zc {
    shape: InstanceShape,
}

impl Convention for Zc {
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
        Some(encode(registration))
    }
}

/// The properties, then `instance_id` and the host, then `pid`, which zc.zk too sets last.
pub(super) fn encode(registration: &Registration<'_>) -> Vec<u8> {
    let mut own = vec![(INSTANCE_ID, Property::Text(registration.instance_id.to_owned()))];
    own.extend(registration.origin.entries());
    own.push(("pid", Property::Integer(registration.pid.into())));
    property::object(registration.properties, &own)
}
