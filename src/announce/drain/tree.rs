//! Drain trees: znodes of ours for the flags of services whose own znodes have none. Each is made for the first flag of
//! its service and goes with the last one, so that the tree has no more than what is drained, and what has ended by
//! itself since.

use super::retry::retrying;
use crate::announce::Error;
use crate::announce::operations::make_parents;
use crate::format;
use crate::model::Drain;
use crate::registry;
use crate::registry::Path;
use crate::zookeeper::session::{Access, Ensemble, Mode, Session};
use crate::zookeeper::{Stat, bulk};

/// A drain tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainTree {
    /// Its root, which the first drain creates.
    pub root: Path,
    /// Rights to what is created.
    pub access: Access,
}

/// A znode that holds the flags of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagNode {
    /// Its path.
    pub path: Path,
    /// The drain tree that it is of, in which it is made for the first flag and deleted with the last; none for a
    /// service's own znode.
    pub tree: Option<DrainTree>,
}

impl FlagNode {
    /// A service's own znode.
    pub fn own(path: Path) -> Self {
        Self { path, tree: None }
    }
}

impl DrainTree {
    /// The znode with the flags of the service at `path`, its full path.
    pub fn node(&self, path: &Path) -> FlagNode {
        FlagNode { path: self.root.with(path), tree: Some(self.clone()) }
    }

    /// Creates a znode, and what is missing above it; never a chroot.
    ///
    /// # Errors
    /// [`registry::Error::NodeExists`] where somebody else did; as [`Session::create`].
    pub(super) async fn create<S: Session>(
        &self,
        session: &S,
        path: &Path,
        data: &[u8],
    ) -> Result<Stat, registry::Error> {
        match session.create(path, data, Mode::Persistent, &self.access).await {
            Err(registry::Error::NoNode) => {}
            done => return done,
        }
        make_parents(session, path, self.access).await?;
        session.create(path, data, Mode::Persistent, &self.access).await
    }

    /// Deletes a znode of this version without flags, and those above it that have nothing, but for the root; empties
    /// one with others below it. Returns its stat where it is still there.
    ///
    /// # Errors
    /// As [`Session::delete`] and [`Session::set`].
    pub(super) async fn clear<S: Session>(
        &self,
        session: &S,
        path: &Path,
        version: i32,
    ) -> Result<Option<Stat>, registry::Error> {
        match session.delete(path, Some(version)).await {
            Ok(()) => {}
            Err(registry::Error::NotEmpty) => return session.set(path, b"", Some(version)).await.map(Some),
            Err(error) => return Err(error),
        }
        let mut below = path.clone();
        while let Some(parent) = below.parent().map(Path::trusted).filter(|it| *it != self.root) {
            let Ok(znode) = session.get(&parent).await else { break };
            // One that stays does no harm: it is told to nobody.
            if !znode.data.is_empty() || session.delete(&parent, Some(znode.stat.version)).await.is_err() {
                break;
            }
            below = parent;
        }
        Ok(None)
    }
}

/// All flags in the drain tree at `root`, those that have ended included, with the full paths of their services.
///
/// # Errors
/// When it cannot be read.
pub async fn list_tree<E: Ensemble>(ensemble: &E, root: &Path) -> Result<Vec<(Path, Vec<Drain>)>, Error> {
    let read = retrying(ensemble, async |session: &E::Session| {
        let scan = match bulk::scan(session, root, None).await {
            Err(registry::Error::NoNode) => return Ok(Vec::new()),
            scan => scan?,
        };
        if let Some((_, error)) = scan.refused.into_iter().next() {
            return Err(error);
        }
        let flags = scan.znodes.iter().filter_map(|(path, znode)| {
            let service = path.below(root).filter(|below| !below.is_empty())?;
            let flags = format::flags(&znode.data).0;
            (!flags.is_empty()).then(|| (Path::trusted(&format!("/{service}")), flags))
        });
        let mut found: Vec<_> = flags.collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    });
    read.await.map_err(|error| Error::ListServices { root: ensemble.full_path(root), error })
}
