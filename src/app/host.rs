//! Identity of this host.

use std::time::Instant;

use super::files::left;
use crate::announce::identity::HostIdentity;
use crate::config::Config;

/// Identity of the host that registers: what the file says that the configuration names, or the system. Its disk is
/// waited for until `end`. An image before this one has registered as `before`.
pub(super) fn host(config: &Config, before: &str, end: Instant) -> HostIdentity {
    match &config.announce.settings.state {
        Some(path) => HostIdentity::kept_in_or_own(path, HostIdentity::new(before), left(end)),
        None => HostIdentity::of_this_host(),
    }
}
