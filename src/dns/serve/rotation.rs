//! The secret of DNS cookies where no file has one: random, and changed every day.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::dns::Error;
use crate::dns::serve::cookie::{Secret, Secrets};
use crate::dns::serve::gate::Gate;
use crate::dns::serve::policy::Policy;

/// RFC 7873 §7.1 allows 36 days; a day costs nothing, as cookies of the secret before are accepted on.
const CHANGE: Duration = Duration::from_secs(86_400);

/// A fresh secret.
pub(in crate::dns) fn random() -> Result<Secrets, Error> {
    Ok(Secrets::new(fresh()?))
}

fn fresh() -> Result<Secret, Error> {
    Ok(Secret::new(bytes()?))
}

/// Bytes that nobody can guess.
pub(in crate::dns) fn bytes() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}

/// Changes the random secret of `gate` until `stop`; one from a file stays.
pub(in crate::dns) async fn run(gate: &Gate, stop: CancellationToken) {
    let mut time = tokio::time::interval_at(tokio::time::Instant::now() + CHANGE, CHANGE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = time.tick() => {}
        }
        match fresh() {
            Ok(secret) => {
                gate.change_policy(|policy| rotated(policy, secret));
                info!("the secret of DNS cookies was changed");
            }
            Err(error) => warn!(%error, "the secret of DNS cookies stays"),
        }
    }
}

fn rotated(policy: &Policy, secret: Secret) -> Policy {
    let mut policy = policy.clone();
    if policy.is_random {
        policy.secrets = Arc::new(policy.secrets.rotated(secret));
    }
    policy
}
