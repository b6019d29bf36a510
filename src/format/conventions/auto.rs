//! zc.zk's and `nd_service_registry`'s znodes beside each other: an instance is told by its path, and ours are written
//! as zc.zk's.

use std::sync::Arc;

use super::zc::Zc;
use crate::format::convention::Row;
use crate::format::shape::InstanceShape;

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "auto",
    doc: "in a providers directory, or directly below a service under a name like host:port",
    root: "/services",
    build: |providers| Arc::new(Zc { name: ROW.name, shape: InstanceShape::in_directory(providers).or_direct() }),
};
