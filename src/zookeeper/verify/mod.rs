//! Verification: everything mirrored is read again, unhurriedly and on a session of its own, and what differs from the
//! tree is handed to the mirror.
//!
//! Watches tell of all changes but those of ACLs, as long as servers, client library and mirror have no faults. This is
//! the proof that they have none. It holds the tree's lock for a few microseconds at a time and waits for nobody, so no
//! event is late on its account.

mod round;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::session::{Ensemble, Session};
use crate::registry::selection::Selection;
use crate::registry::shown::SharedTree;
use crate::registry::status::MirrorStatus;
use crate::registry::status::Phase;
use crate::registry::{Error, Path};
pub use round::{Round, Step};

/// Shortest and longest pause before a round that could not be made is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Time between two looks whether the mirror is live.
const POLL: Duration = Duration::from_millis(500);

/// A verification of one mirror.
pub struct Verification<E> {
    /// Ensemble of its session.
    pub ensemble: E,
    /// The mirrored tree.
    pub tree: SharedTree,
    /// The mirror's root, and the znodes below it that it wants.
    pub scope: (Path, Arc<dyn Selection>),
    /// The mirror's status.
    pub status: MirrorStatus,
    /// Time from the beginning of one round to that of the next, at least; zero for none at all.
    pub period: watch::Receiver<Duration>,
    /// Takes the paths that differ.
    pub differing: mpsc::Sender<Vec<Path>>,
}

impl<E: Ensemble> Verification<E> {
    /// Verifies until `stop`, round after round.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(mut self) {
        let (mut retry, mut begun) = (RETRY.0, Instant::now());
        loop {
            self.rest(begun).await;
            begun = Instant::now();
            match self.round().await {
                Ok(()) => {
                    retry = RETRY.0;
                    debug!(ensemble = self.ensemble.describe(), took = ?begun.elapsed(), "verified");
                }
                Err(error) => {
                    debug!(ensemble = self.ensemble.describe(), %error, "cannot verify");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Waits until the next round may begin, the one before having begun then.
    async fn rest(&mut self, begun: Instant) {
        loop {
            let period = *self.period.borrow_and_update();
            let over = async {
                if period.is_zero() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep_until((begun + period).into()).await;
            };
            tokio::select! {
                () = over => return,
                changed = self.period.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    async fn round(&self) -> Result<(), Error> {
        let session = self.ensemble.connect().await?;
        let (mut round, mut epoch) = (Round::of(self.scope.clone()), None);
        loop {
            let now_in = self.epoch();
            if now_in != epoch || now_in.is_none() {
                round.interrupted();
                epoch = now_in;
            }
            if epoch.is_none() {
                tokio::time::sleep(POLL).await;
                continue;
            }
            let step = {
                let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
                round.next(tree.tree(), Instant::now())
            };
            match step {
                Step::Over => return Ok(()),
                Step::Rest(until) => tokio::time::sleep_until(until.into()).await,
                Step::Read(batch) => {
                    let replies = session.read(&batch).await?;
                    let differing = {
                        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
                        round.replied(batch, &replies, tree.tree(), Instant::now())
                    };
                    if !differing.is_empty() && self.epoch() == epoch {
                        // Gone with the mirror.
                        let _ = self.differing.send(differing).await;
                    }
                }
            }
        }
    }

    /// The number of the epoch in which the mirror is live; none while it is not.
    fn epoch(&self) -> Option<u64> {
        let report = self.status.report();
        (report.phase == Phase::Live).then_some(report.counters.epochs)
    }
}
