//! Logs that a zone has outgrown what others carry, once when it begins and once when it is over.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::zone::Zone;
use crate::zone::events::Changes;
use crate::zone::warnings::About;

/// Looks at zones whenever they change, until `stop`.
pub(super) async fn follow(zones: Vec<Arc<Zone>>, stop: CancellationToken) {
    let mut changes = Changes::of(zones.iter().map(|zone| zone.follow()));
    let mut zones: Vec<(Arc<Zone>, bool)> = zones.into_iter().map(|zone| (zone, false)).collect();
    loop {
        for (zone, is_told) in &mut zones {
            let origin = zone.origin();
            match zone.warnings().get(About::Size) {
                Some(large) if !*is_told => warn!(zone = %origin, "the zone is too large for others: {large}"),
                None if *is_told => info!(zone = %origin, "the zone is no longer too large for others"),
                Some(_) | None => continue,
            }
            *is_told = !*is_told;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = changes.changed() => {}
        }
    }
}
