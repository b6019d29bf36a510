//! The ZooKeeper half: znodes in, znodes out, sessions, watches, and a mirror of a subtree that is exact after every
//! fault. It knows nothing of services, formats or DNS.
//!
//! - [`session`]: what the program needs of an ensemble, as traits; [`zookeeper`] and [`memory`] implement them.
//! - [`mirror`]: the decisions of mirroring, pure; [`driver`] does its I/O; [`tree`] is what it keeps.
//! - [`verify`]: proof that the mirror has missed nothing, on a session of its own.
//! - [`security`]: credentials and certificates; [`outage`]: the lines of an outage in the log.
//! - [`trouble`]: words for what is wrong with a registry.
//! - [`cache`]: the last known tree in a file, for a start while the ensemble is away.
//! - [`links`]: zc.zk's symbolic links.
//! - [`text`]: zc.zk's tree text, the seed format of the in-memory registry.

pub mod cache;
mod cause;
pub mod config;
pub mod driver;
mod kept;
pub mod links;
pub mod memory;
pub mod mirror;
pub mod outage;
pub mod security;
pub mod session;
#[cfg(test)]
mod simulation;
mod size;
pub mod text;
pub mod tree;
pub mod trouble;
pub mod verify;
pub mod zookeeper;

use std::fmt;
use std::sync::Arc;

pub use cause::Cause;

/// Longest data of a znode that are kept, in bytes.
pub const DATA_LIMIT: usize = 64 << 10;

/// Full path of a znode: absolute, no empty elements, no final slash (but for the root itself). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// Checks and takes a path as ZooKeeper defines one.
    ///
    /// # Errors
    /// When it is not absolute, ends in a slash, has an empty element, `.` or `..`, or a character that servers
    /// refuse.
    pub fn new(path: &str) -> Result<Self, Error> {
        let elements = match path.strip_prefix('/') {
            Some("") => return Ok(Self::root()),
            Some(elements) => elements,
            None => return Err(Error::BadPath { path: path.into(), reason: "it must begin with a slash" }),
        };
        for element in elements.split('/') {
            let reason = match element {
                "" => "it has an empty element or a final slash",
                "." | ".." => "it has a relative element",
                _ if element.contains(refused) => "it has a character that ZooKeeper does not take",
                _ => continue,
            };
            return Err(Error::BadPath { path: path.into(), reason });
        }
        Ok(Self(path.into()))
    }

    /// A path that a server told of, as it stands.
    fn told(path: &str) -> Self {
        Self(path.into())
    }

    /// `/`.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The child called `name`; `name` is one element, as ZooKeeper lists it.
    pub fn child(&self, name: &str) -> Self {
        // By hand: a scan makes the path of every znode so.
        let mut path = String::with_capacity(self.0.len() + 1 + name.len());
        path.push_str(if self.is_root() { "" } else { &self.0 });
        path.push('/');
        path.push_str(name);
        Self(path.into())
    }

    /// The parent's path; none for the root.
    pub fn parent(&self) -> Option<&str> {
        match self.0.rfind('/') {
            Some(0) if self.0.len() > 1 => Some("/"),
            Some(0) | None => None,
            Some(slash) => Some(&self.0[..slash]),
        }
    }

    /// The last element; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path of `self` below `ancestor`, without a leading slash: empty for `ancestor` itself, none elsewhere.
    pub fn below(&self, ancestor: &Self) -> Option<&str> {
        if ancestor.is_root() {
            return Some(&self.0[1..]);
        }
        match self.0.strip_prefix(&*ancestor.0)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// Returns whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, private use, specials, and all beyond U+FFFF (surrogates, to a server), as servers check paths.
fn refused(character: char) -> bool {
    matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

impl std::borrow::Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Stat of a znode, as far as it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Transaction that created it.
    pub czxid: i64,
    /// Transaction that last changed its data.
    pub mzxid: i64,
    /// Transaction that last created or deleted a child; 0 where that is not known.
    pub pzxid: i64,
    /// Time at which its data was last changed, by the ensemble's clock, in milliseconds since 1970; 0 where that is
    /// not known.
    pub mtime: i64,
    /// Number of changes of its data since.
    pub version: i32,
    /// The session that owns it; 0 for a persistent znode.
    pub ephemeral_owner: i64,
    /// Number of its children.
    pub num_children: i32,
}

impl Stat {
    /// The last transaction that left a trace in it.
    pub fn last_zxid(&self) -> i64 {
        self.czxid.max(self.mzxid).max(self.pzxid)
    }
}

/// A znode's data and stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Znode {
    /// Its data; empty where ZooKeeper says null.
    pub data: Vec<u8>,
    /// Its stat.
    pub stat: Stat,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    #[test]
    fn paths_know_their_parents_and_names() {
        let deep = path("/services/api_x/providers");
        assert_eq!(deep.parent(), Some("/services/api_x"));
        assert_eq!(deep.name(), "providers");
        assert_eq!(path("/services").parent(), Some("/"));
        assert_eq!(Path::root().parent(), None);
        assert_eq!(Path::root().child("a"), path("/a"));
        assert_eq!(path("/a").child("b"), path("/a/b"));
    }

    #[test]
    fn below_is_about_elements_not_about_prefixes() {
        let services = path("/services");
        assert_eq!(path("/services/a/b").below(&services), Some("a/b"));
        assert_eq!(services.below(&services), Some(""));
        assert_eq!(path("/services2/a").below(&services), None);
        assert_eq!(path("/a").below(&Path::root()), Some("a"));
    }

    #[test]
    fn what_zookeeper_refuses_is_refused_with_a_reason() {
        for bad in ["", "a", "/a/", "/a//b", "/a/../b", "/a/./b", "/a\u{0}b", "/a\u{85}", "/a\u{e000}", "/\u{1f600}"] {
            assert!(Path::new(bad).is_err(), "{bad:?}");
        }
        for good in ["/", "/a", "/a b/ü", "/192.168.0.42:8080", "/..a"] {
            assert!(Path::new(good).is_ok(), "{good:?}");
        }
    }
}
