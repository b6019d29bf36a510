//! The secret of DNS cookies, where no file says it: random, and changed every day.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::dns::serve::cookie::{Secret, Secrets};
use crate::dns::serve::gate::Gate;
use crate::dns::serve::policy::Policy;

/// RFC 7873 §7.1 allows 36 days; a day costs nothing, as cookies of the secret before are accepted on.
const CHANGE: Duration = Duration::from_secs(86_400);

/// A fresh secret.
pub(super) fn random() -> anyhow::Result<Secrets> {
    Ok(Secrets::new(fresh()?))
}

fn fresh() -> anyhow::Result<Secret> {
    Ok(Secret::new(bytes()?))
}

/// Bytes that nobody can guess.
pub(super) fn bytes() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no random bytes for a secret")?;
    Ok(bytes)
}

/// Changes the random secret of `front` until `stop`; one from a file stays.
pub(super) async fn rotate(front: &Gate, stop: CancellationToken) {
    let mut time = tokio::time::interval_at(tokio::time::Instant::now() + CHANGE, CHANGE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = time.tick() => {}
        }
        match fresh() {
            Ok(secret) => {
                front.change_policy(|policy| rotated(policy, secret));
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
