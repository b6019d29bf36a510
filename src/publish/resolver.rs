//! Looks up the hosts that were registered by name, in the background: with the system's resolver, a few at a time. No
//! query ever waits for it.
//!
//! Names in our own zones are never looked up by it ([`super::home`] does that).

use std::net::ToSocketAddrs;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::hosts::LookupOutcome;
use super::publisher::Publisher;
use crate::disk;
use crate::registry::shown::SharedTree;

/// Look-ups at the same time. The system's resolver holds a thread for each.
const AT_ONCE: usize = 8;
/// Time between two looks for something to do.
const POLL: Duration = Duration::from_millis(250);

/// Looks up what `publisher` wants until `stop`, and has it publish what has changed.
pub async fn run(publisher: Publisher, tree: SharedTree, stop: CancellationToken) {
    let mut lookups: JoinSet<(String, LookupOutcome)> = JoinSet::new();
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(done) = lookups.join_next() => if let Ok((host, outcome)) = done {
                let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
                publisher.resolved(&tree, &host, outcome, Instant::now());
            },
            _ = tick.tick() => {
                for host in publisher.due(Instant::now(), AT_ONCE - lookups.len().min(AT_ONCE)) {
                    lookups.spawn(async move {
                        let name = host.clone();
                        match disk::aside(move || look_up(&name)).await {
                            Ok(outcome) => (host, outcome),
                            Err(error) => {
                                debug!(host, %error, "no thread to look a registered host name up");
                                (host, LookupOutcome::Failed)
                            }
                        }
                    });
                }
            }
        }
    }
}

/// The end of what the standard library says for `EAI_NONAME` and `EAI_NODATA`, with glibc and with musl: the name does
/// not exist, or has no address. All else (`EAI_AGAIN`, `EAI_FAIL`, `EAI_SYSTEM`) means that nobody could say. The code
/// itself is not to be had, and the words are never translated, as nobody here sets a locale.
const NOTHING: [&str; 4] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "Name has no usable address",
];

/// Asks the system's resolver for a host.
fn look_up(host: &str) -> LookupOutcome {
    // With its final dot a name is not tried in the search domains of this host.
    let name = if host.contains('.') { format!("{host}.") } else { host.to_owned() };
    match (name.as_str(), 0).to_socket_addrs() {
        Ok(addresses) => LookupOutcome::Found(addresses.map(|address| address.ip()).collect()),
        Err(error) => {
            debug!(host, %error, "a registered host name has no addresses now");
            outcome_of(&error.to_string())
        }
    }
}

fn outcome_of(error: &str) -> LookupOutcome {
    if NOTHING.iter().any(|words| error.ends_with(words)) { LookupOutcome::Nothing } else { LookupOutcome::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_there_is_no_such_name_is_told_from_a_resolver_that_is_away() {
        let of = |words: &str| outcome_of(&format!("failed to lookup address information: {words}"));
        assert_eq!(of("Name or service not known"), LookupOutcome::Nothing);
        assert_eq!(of("Temporary failure in name resolution"), LookupOutcome::Failed);
        assert_eq!(of("Try again"), LookupOutcome::Failed);
    }
}
