//! zc.zk 2.x: `<service>/providers/<host:port>`, compact JSON with the registering process's `pid`.
//!
//! Source: `zc/zk/__init__.py` of the 2.1.0 release (`register`, `encode`, `decode`).

use super::{INSTANCE_ID, NodeKind, Origin, Property, property};

/// Role of the znode at `rest` below the providers directory of `service`.
pub(super) fn place<'p>(service: &'p str, rest: Option<&'p str>) -> NodeKind<'p> {
    match rest {
        None => NodeKind::Directory { service },
        Some(name) if !name.contains('/') => NodeKind::Instance { service, name },
        Some(_) => NodeKind::Inside { service },
    }
}

/// The properties, then `instance_id` and the host, then `pid`, which zc.zk too sets last.
pub(super) fn encode(properties: &[(String, Property)], instance_id: &str, origin: &Origin, pid: u32) -> Vec<u8> {
    let mut own = vec![(INSTANCE_ID, Property::Text(instance_id.to_owned()))];
    own.extend(origin.entries());
    own.push(("pid", Property::Integer(pid.into())));
    property::object(properties, &own)
}
