//! What the announcer asks of ZooKeeper: to look at a znode, and to make the znodes above it.
//!
//! Unless the configuration says otherwise, parents are created open to everybody, as kazoo and zc.zk create paths,
//! since a registry is shared; the instances themselves can be read by everybody and written by nobody, as zc.zk's. Who
//! may write to their parent may therefore delete them, we included, and nobody can change their data.

use std::sync::Arc;

use super::flags::Alone;
use crate::registry;
use crate::registry::Path;
use crate::zookeeper::Znode;
use crate::zookeeper::session::{Access, Ensemble, Mode, Session};

/// Outcome of an operation on a znode.
pub(super) enum OperationOutcome<E: Ensemble> {
    /// A look at a znode with drain flags.
    Flags {
        path: Path,
        arming: Arming<<E::Session as Session>::Watch>,
        found: Result<Znode, registry::Error>,
    },
    Inspected {
        path: Path,
        arming: Arming<<E::Session as Session>::Watch>,
        found: Result<Znode, registry::Error>,
    },
    Done {
        path: Path,
        result: Result<(), registry::Error>,
    },
}

pub(super) enum Arming<W> {
    None,
    Unwatchable,
    Armed { watch: W, connection: u64 },
}

/// Reads a znode, from a server that has caught up: what is found may be the reason for deleting it.
pub(super) async fn inspect<E: Ensemble>(
    session: &E::Session,
    path: Path,
    arm: bool,
    connection: u64,
) -> OperationOutcome<E> {
    let mut arming = Arming::None;
    if arm {
        arming = match session.watch(&path).await {
            Ok(watch) => Arming::Armed { watch, connection },
            Err(registry::Error::Unimplemented) => Arming::Unwatchable,
            Err(error) => return OperationOutcome::Inspected { path, arming, found: Err(error) },
        };
    }
    let found = match session.sync(&path).await {
        Ok(()) => session.get(&path).await,
        Err(error) => Err(error),
    };
    OperationOutcome::Inspected { path, arming, found }
}

/// Reads a znode with drain flags, after arming a watch on it alone if asked to: what is below a service may be much.
pub(super) async fn look_at_flags<S: Session>(
    session: &S,
    path: &Path,
    arm: bool,
    connection: u64,
) -> (Arming<S::Watch>, Result<Znode, registry::Error>) {
    let mut arming = Arming::None;
    if arm {
        arming = match session.watch_selected(path, Arc::new(Alone)).await {
            Ok(watch) => Arming::Armed { watch, connection },
            // It is looked at again all the same.
            Err(error) if error.is_answer() => Arming::None,
            Err(error) => return (arming, Err(error)),
        };
    }
    (arming, session.get(path).await)
}

/// Creates the persistent znodes above `path` that are missing: upwards to the first that is there, then down again. So
/// nothing is asked of those above it, whose ACLs may allow us nothing.
pub(super) async fn make_parents<S: Session>(session: &S, path: &Path, access: Access) -> Result<(), registry::Error> {
    let mut missing = Vec::new();
    let mut below = path.clone();
    while let Some(parent) = below.parent() {
        let parent = Path::new(parent)?;
        if parent.is_root() {
            // The root is always there, unless the connect string names a chroot that is not.
            return Err(registry::Error::NoRoot(parent.to_string()));
        }
        match make(session, &parent, access).await {
            Ok(()) => break,
            Err(registry::Error::NoNode) => missing.push(parent.clone()),
            Err(error) => return Err(error),
        }
        below = parent;
    }
    for path in missing.iter().rev() {
        make(session, path, access).await?;
    }
    Ok(())
}

/// Creates the registry's root if it is missing. Returns whether it was.
pub(super) async fn make_root<S: Session>(session: &S, root: &Path, access: Access) -> Result<bool, registry::Error> {
    match session.create(root, b"", Mode::Persistent, &access).await {
        Ok(_) => Ok(true),
        // There already, or `/`, which cannot be created.
        Err(registry::Error::NodeExists) => Ok(false),
        Err(_) if root.is_root() => session.get(root).await.map(|_| false),
        Err(registry::Error::NoNode) => {
            make_parents(session, root, access).await?;
            make(session, root, access).await.map(|()| true)
        }
        // Whoever may not create it may still find it there.
        Err(error) => session.get(root).await.map(|_| false).map_err(|_| error),
    }
}

async fn make<S: Session>(session: &S, path: &Path, access: Access) -> Result<(), registry::Error> {
    match session.create(path, b"", Mode::Persistent, &access).await {
        Ok(_) | Err(registry::Error::NodeExists) => Ok(()),
        Err(error) => Err(error),
    }
}
