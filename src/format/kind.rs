//! Kinds of znodes.

/// Kind of a znode, as far as its path tells.
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
    /// No instance, but what it says is about those of the service at path `service`.
    Beside {
        /// Path of the service below the root; empty for the root itself.
        service: &'p str,
    },
    /// A service, or a node on the way to one.
    Service {
        /// Its path below the root; empty for the root itself.
        path: &'p str,
    },
    /// An instance called `name` of the service at path `service` if its data are those of one, see
    /// [`Convention::is_instance`](super::Convention::is_instance); else a service, or a node on the way to one. Such a
    /// service may be its own one instance, see [`Convention::is_own_instance`](super::Convention::is_own_instance).
    Leaf {
        /// Path of the service that it would be an instance of.
        service: &'p str,
        /// Name of the node.
        name: &'p str,
        /// Its own path below the root.
        path: &'p str,
    },
    /// Something below an instance. It says nothing, and is shown as malformed with
    /// [`Error::BelowInstance`](super::Error::BelowInstance), so that somebody who put a service there finds out.
    Inside {
        /// Path of the service that the instance belongs to.
        service: &'p str,
    },
}

impl<'p> NodeKind<'p> {
    /// Path of the service that the node belongs to, or may belong to, or is.
    pub fn service(self) -> &'p str {
        match self {
            Self::Instance { service, .. }
            | Self::Directory { service }
            | Self::Beside { service }
            | Self::Inside { service }
            | Self::Leaf { service, .. } => service,
            Self::Service { path } => path,
        }
    }
}
