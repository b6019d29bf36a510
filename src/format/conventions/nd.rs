//! `nd_service_registry` 1.x: `<service>/<host:port>` without a providers directory, at any depth; zc.zk's JSON with
//! `created` beside `pid`.
//!
//! Source: `nd_service_registry/funcs.py` (`encode`, `default_data`). That library writes `created` in the local time
//! of the host, without saying which; ours is UTC.

use std::sync::Arc;
use std::time::SystemTime;

use crate::format::convention::{Convention, Registration, Row};
use crate::format::keys::INSTANCE_ID;
use crate::format::kind::NodeKind;
use crate::format::property::{self, Property};
use crate::format::shape::InstanceShape;

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "nd",
    doc: "nd_service_registry: only directly below a service",
    root: "/services",
    build: |_| Arc::new(Nd { shape: InstanceShape::in_directory("") }),
};

#[derive(Debug)]
struct Nd {
    shape: InstanceShape,
}

impl Convention for Nd {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        self.shape.place(below)
    }

    /// The properties, then `instance_id` and the host, `pid` and `created`.
    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>> {
        let Registration { properties, instance_id, origin, pid, created, .. } = *registration;
        let mut own = vec![(INSTANCE_ID, Property::Text(instance_id.to_owned()))];
        own.extend(origin.entries());
        own.extend([("pid", Property::Integer(pid.into())), ("created", Property::Text(stamp(created)))]);
        Some(property::object(properties, &own))
    }
}

/// `2012-12-14 21:17:50`.
fn stamp(time: SystemTime) -> String {
    // A clock before 1970 is a broken clock; its stamp tells so, and does not stop a registration.
    let time = time.max(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_stamp_has_the_form_of_the_library() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_355_519_870_700);
        assert_eq!(stamp(time), "2012-12-14 21:17:50");
        assert_eq!(stamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01 00:00:00");
    }
}
