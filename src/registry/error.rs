//! Errors of operations on an ensemble or on one znode.

use super::cause::Cause;

/// Longest data of a znode that are kept, in bytes.
pub const DATA_LIMIT: usize = 64 << 10;

/// Why an operation on an ensemble, or on one znode, did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such znode.
    #[error("no such znode")]
    NoNode,
    /// There is nothing to create a znode in: the chroot of the connect string, whose path is given, does not exist.
    #[error("{0} does not exist: create it, or correct `zookeeper`")]
    NoRoot(String),
    /// The znode is there already.
    #[error("the znode exists already")]
    NodeExists,
    /// The ACL does not allow it.
    #[error("the znode's ACL does not allow it")]
    NoAuth,
    /// The znode was changed meanwhile.
    #[error("the znode has another version")]
    BadVersion,
    /// The znode has children.
    #[error("the znode has children")]
    NotEmpty,
    /// The parent is ephemeral.
    #[error("an ephemeral znode cannot have children")]
    NoChildrenForEphemerals,
    /// The ACL that was asked for makes no sense to the server.
    #[error("the server does not accept the ACL")]
    InvalidAcl,
    /// The server is too old for the operation (addWatch and multiRead need ZooKeeper 3.6).
    #[error("the server does not know the operation: it is older than ZooKeeper 3.6")]
    Unimplemented,
    /// The path is no path.
    #[error("`{path}` is not a znode path: {reason}")]
    BadPath {
        /// The path as given.
        path: String,
        /// The reason.
        reason: &'static str,
    },
    /// The request is larger than servers take.
    #[error("the request is too large for ZooKeeper (its limit is 1 MiB)")]
    TooLarge,
    /// The znode has more data than anybody reads.
    #[error("its data has {bytes} bytes; more than {DATA_LIMIT} are not read")]
    TooMuchData {
        /// Their number.
        bytes: usize,
        /// Transaction that created the znode.
        czxid: i64,
    },
    /// A reader has met more znodes than it may mirror.
    #[error("over {0} znodes are to be mirrored below it, which is `znodes_max`: none of its changes is followed")]
    TooManyZnodes(usize),
    /// The server refused for a reason that has no name here.
    #[error("ZooKeeper refused: {0}")]
    Refused(String),
    /// No answer in the time given.
    #[error("no server of the ensemble answered in time")]
    Timeout,
    /// There is no session with any of the servers.
    #[error("no session with any server: {detail}")]
    NoServer {
        /// The cause; of several the one that most servers have.
        cause: Cause,
        /// The trouble of each server.
        detail: Box<str>,
    },
    /// The connection broke; whether the operation happened is not known.
    #[error("the connection to ZooKeeper was lost: {0}")]
    ConnectionLoss(String),
    /// The session is over.
    #[error("the session expired")]
    SessionExpired,
    /// The session's credentials or certificates cannot be used.
    #[error("cannot use the credentials or certificates: {0}")]
    Credentials(String),
    /// The ensemble refused our credentials; the session is over.
    #[error("ZooKeeper refused the credentials")]
    AuthFailed,
}

impl Error {
    /// Returns whether this is an answer about a znode, as against trouble with the connection or the session.
    pub fn is_answer(&self) -> bool {
        !matches!(
            self,
            Self::Timeout
                | Self::NoServer { .. }
                | Self::ConnectionLoss(_)
                | Self::SessionExpired
                | Self::Credentials(_)
                | Self::AuthFailed
                | Self::TooManyZnodes(_)
        )
    }

    /// The cause, as one of a failed connect.
    pub fn cause(&self) -> Cause {
        match self {
            Self::NoServer { cause, .. } => *cause,
            Self::Timeout => Cause::Silent,
            Self::ConnectionLoss(_) => Cause::Closed,
            Self::AuthFailed | Self::Credentials(_) => Cause::Auth,
            _ => Cause::Other,
        }
    }

    /// Returns whether the session is over, so that only a new connect can help.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::SessionExpired | Self::AuthFailed)
    }
}
