//! Errors of announcing.

/// Errors that keep announcing from going on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's network interfaces.
    #[error("cannot list the addresses of this host: {0}")]
    ListAddresses(#[source] std::io::Error),
    /// The file that keeps the host's identity.
    #[error("cannot keep this host's identity in {}", path.display())]
    KeepIdentity {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// A service's own node, to be drained or not any more.
    #[error("cannot read or change {path}: {error}")]
    ChangeNode {
        /// The service's node, with the chroot.
        path: String,
        /// The cause.
        error: crate::registry::Error,
    },
    /// Its present content.
    #[error("{path} is left as it is: {error}")]
    KeepNode {
        /// The service's node, with the chroot.
        path: String,
        /// The cause.
        error: crate::format::Error,
    },
    /// The registry, for its drains.
    #[error("cannot read the services below {root}: {error}")]
    ListServices {
        /// The registry's root, with the chroot.
        root: String,
        /// The cause.
        error: crate::registry::Error,
    },
    /// A registration, in a format that is only read.
    #[error("the service `{service}` cannot be registered into a registry of the format \"{format}\"")]
    Format {
        /// Name of the service.
        service: String,
        /// The format.
        format: String,
    },
    /// A service's path in the registry.
    #[error("the service `{service}` cannot have a znode: {error}")]
    MakePath {
        /// Name of the service.
        service: String,
        /// The cause.
        error: crate::registry::Error,
    },
}
