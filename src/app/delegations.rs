//! Zones of this server below others of it: the upper one delegates to the lower one (RFC 1034 §4.2.1) where its
//! secondaries may transfer that, too. Elsewhere it goes on having its own names there, as they would have none
//! otherwise.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::zone_of::{ZoneOf, lock};
use crate::dns::transfer::secondaries::Allowed;
use crate::publish::{target, unix_now};
use crate::zone::delegation::Child;
use crate::zone::events::Changes;
use crate::zone::name::Name;
use crate::zone::records::label;

/// Returns whether the zone at `upper` delegates to the one at `lower`, which is below it: nobody who has the one would
/// miss what is in the other. That is so, too, where nobody may transfer the upper one.
fn delegates(allowed: &Allowed, upper: &Name, lower: &Name) -> bool {
    allowed.covers(lower, upper)
}

/// Has every zone delegate to those below it, as they are now.
pub(super) fn refresh(zones: &[ZoneOf], allowed: &Allowed) {
    for upper in zones {
        let mut below: Vec<&ZoneOf> = zones.iter().filter(|lower| is_below(lower, upper)).collect();
        // The highest first: what is below one that is delegated is that one's.
        below.sort_by_key(|lower| lower.origin.wire().len());
        let mut children: Vec<Child> = Vec::new();
        for lower in below {
            let is_theirs = children.iter().any(|child| lower.origin.is_at_or_below(&child.origin));
            if !is_theirs && delegates(allowed, &upper.origin, &lower.origin) {
                let zone = Arc::clone(lock(&lower.writer).zone());
                children.push(Child::of(&zone, shows_alike(upper, lower)));
            }
        }
        let mut writer = lock(&upper.writer);
        if writer.delegate(children) {
            writer.commit(unix_now());
        }
    }
}

/// The same whenever the name servers of a zone, or who may transfer, change, until `stop`.
pub(super) async fn follow(zones: Vec<ZoneOf>, mut allowed: watch::Receiver<Allowed>, stop: CancellationToken) {
    if !zones.iter().any(|lower| zones.iter().any(|upper| is_below(lower, upper))) {
        return stop.cancelled().await;
    }
    let mut changes = Changes::of(zones.iter().map(|zone| lock(&zone.writer).zone().follow()));
    loop {
        let now = allowed.borrow_and_update().clone();
        refresh(&zones, &now);
        tokio::select! {
            () = stop.cancelled() => return,
            // A commit of our own is a change, too: the look after it changes nothing.
            () = changes.changed() => {}
            Ok(()) = allowed.changed() => {}
        }
    }
}

fn is_below(lower: &ZoneOf, upper: &ZoneOf) -> bool {
    lower.origin != upper.origin && lower.origin.is_at_or_below(&upper.origin)
}

/// Returns whether a service has the same name in both: nothing is lost where the upper zone does not show it.
fn shows_alike(upper: &ZoneOf, lower: &ZoneOf) -> bool {
    let part = target::below(&lower.under, &upper.under);
    let name = part.and_then(|path| label::owner(&upper.origin, path).ok());
    upper.registry.is_some() && upper.registry == lower.registry && name.as_ref() == Some(&lower.origin)
}
