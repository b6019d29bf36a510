//! Looks up the hosts that were registered by name, in the background: with the system's resolver, a few at a time. No
//! query ever waits for it.
//!
//! Names in our own zones are never looked up, so no answer of ours is made of an answer of ours.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Publisher;
use crate::keeper::driver::SharedTree;

/// Look-ups at the same time. The system's resolver holds a thread for each.
const AT_ONCE: usize = 8;
/// How often there may be something to do.
const LOOK: Duration = Duration::from_millis(250);

/// Looks up what `publisher` wants until `stop`, and has it publish what has changed.
pub async fn run(publisher: Publisher, tree: SharedTree, stop: CancellationToken) {
    let mut lookups: JoinSet<(String, Option<Vec<IpAddr>>)> = JoinSet::new();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // A panic inside the system's resolver would be told here; the name is tried no more.
            Some(done) = lookups.join_next() => if let Ok((host, addresses)) = done {
                let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
                publisher.resolved(&tree, &host, addresses, Instant::now());
            },
            _ = tick.tick() => {
                for host in publisher.due(Instant::now(), AT_ONCE - lookups.len().min(AT_ONCE)) {
                    lookups.spawn_blocking(move || look_up(host));
                }
            }
        }
    }
}

/// The addresses of a host; none when the system's resolver has no answer.
fn look_up(host: String) -> (String, Option<Vec<IpAddr>>) {
    // With its final dot a name is not tried in the search domains of this host.
    let name = if host.contains('.') { format!("{host}.") } else { host.clone() };
    match (name.as_str(), 0).to_socket_addrs() {
        Ok(addresses) => (host, Some(addresses.map(|address| address.ip()).collect())),
        Err(error) => {
            debug!(host, %error, "a registered host name has no addresses now");
            (host, None)
        }
    }
}
