//! Attempts at something until ZooKeeper answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::registry;
use crate::zookeeper::session::Ensemble;

/// Time for which a registry that does not answer is tried.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Does something through a session of its own, and again through another one while ZooKeeper does not answer.
pub(super) async fn retrying<E: Ensemble, T>(
    ensemble: &E,
    mut attempt: impl AsyncFnMut(&E::Session) -> Result<T, registry::Error>,
) -> Result<T, registry::Error> {
    let give_up = Instant::now() + TIMEOUT;
    let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), Duration::ZERO);
    loop {
        let done = match ensemble.connect().await {
            Ok(session) => attempt(&session).await,
            Err(error) => Err(error),
        };
        let error = match done {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let now = Instant::now();
        let delay = delays.failed(now.into_std(), fastrand::f64());
        let is_final =
            error.is_answer() || matches!(error, registry::Error::AuthFailed | registry::Error::Credentials(_));
        if is_final || now + delay >= give_up {
            return Err(error);
        }
        sleep(delay).await;
    }
}
