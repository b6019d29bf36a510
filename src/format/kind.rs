//! Kinds of znodes.

/// Kind of a znode, by its path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind<'p> {
    /// An instance called `name` of the service at path `service`, whether or not the name is good.
    Instance {
        /// Path of the service below the root; empty for the root itself.
        service: &'p str,
        /// Name of the node.
        name: &'p str,
    },
    /// The providers directory of the service at path `service`.
    Directory {
        /// Path of the service below the root; empty for the root itself.
        service: &'p str,
    },
    /// A service, or a node on the way to one.
    Service {
        /// Its path below the root; empty for the root itself.
        path: &'p str,
    },
    /// Something below an instance. It says nothing, and is shown as malformed with
    /// [`Error::BelowInstance`](super::Error::BelowInstance), so that somebody who put a service there finds out.
    Inside {
        /// Path of the service that the instance belongs to.
        service: &'p str,
    },
}
