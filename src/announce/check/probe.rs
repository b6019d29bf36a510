//! What probes of several kinds have in common: where they go, how far they are, and what is kept of what is said.

use std::sync::{Mutex, PoisonError};

use super::target::CheckTarget;
use crate::settings::{Section, live};

/// Characters of a result's sentence that are kept.
pub const KEPT: usize = 1000;

/// Stage that a probe is in, in words for a time-out there: `no connection`.
#[derive(Debug, Default)]
pub(super) struct Stage(Mutex<&'static str>);

impl Stage {
    pub(super) fn enter(&self, missing: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    pub(super) fn now(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `HOST:PORT`, where the host may be a name or an address, an IPv6 one in brackets; or `unix:/path`.
pub(super) fn check_target(section: &mut Section<'_>, default: &str) -> Option<String> {
    let Some(target) = section.located::<String>(live("address")) else { return Some(default.to_owned()) };
    let is_good = CheckTarget::parse(&target.value).is_some();
    if !is_good {
        let help = "host:port, such as \"127.0.0.1:8080\" or \"[::1]:8080\", or a Unix socket, \"unix:/run/app.sock\"";
        section.problems().add_with_help(target.span, "`address` must be a host and a port", help);
    }
    is_good.then_some(target.value)
}

/// At most [`KEPT`] characters of `text`, on one line.
pub(super) fn kept(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(KEPT).collect();
    line.trim_end().to_owned()
}
