//! New sessions, with what has to be known before anything is registered by them.

use crate::registry::{Error, Path};
use crate::zookeeper::Znode;
use crate::zookeeper::session::{Ensemble, Session};

/// A new session, with what it found in the znodes that have flags.
pub(super) struct Connected<S> {
    pub(super) session: S,
    pub(super) flags: Vec<(Path, Result<Znode, Error>)>,
}

impl<S: Session> Connected<S> {
    /// Opens a session and looks at the flags at `paths` with it: a service that is drained is never registered as one
    /// that is not.
    ///
    /// # Errors
    /// When there is no session, or no answer by it.
    pub(super) async fn open<E: Ensemble<Session = S>>(ensemble: &E, paths: Vec<Path>) -> Result<Self, Error> {
        let session = ensemble.connect().await?;
        let mut flags = Vec::with_capacity(paths.len());
        for path in paths {
            let found = session.get(&path).await;
            if let Err(error) = &found
                && !error.is_answer()
            {
                return Err(error.clone());
            }
            flags.push((path, found));
        }
        Ok(Self { session, flags })
    }
}
