//! Values in URLs and rules, and what a provider's standing is made of.

use crate::format::name;
use crate::model::{Host, Instance, State};

/// Weight of a provider that says none, for both.
pub(super) const WEIGHT: u16 = 100;

/// Returns whether a text says that something is so, as Java reads it.
pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

/// Reads a weight; beyond what SRV records hold, the most that they do.
pub(super) fn weight(text: &str) -> Option<u16> {
    let weight: u64 = text.trim().parse().ok()?;
    Some(u16::try_from(weight).unwrap_or(u16::MAX))
}

/// Reads a host of a URL or a rule.
pub(super) fn host(text: &str) -> Option<Host> {
    name::any_host(text.trim_start_matches('[').trim_end_matches(']')).ok()
}

/// Standing of a provider: what its URL says, and then what rules make of it.
#[derive(Debug)]
pub(super) struct Standing {
    /// True if it gets no traffic.
    pub(super) is_disabled: bool,
    /// Its weight. One of 0 gets no traffic either, of which an SRV record would give it some.
    pub(super) weight: Option<u16>,
    /// The rule that had the last word on whether it is disabled; none for its own URL.
    pub(super) disabled_by: Option<String>,
    /// The rule that had the last word on its weight; none for its own URL.
    pub(super) weight_by: Option<String>,
}

impl Standing {
    /// Has the instance be so.
    pub(super) fn give(self, instance: &mut Instance) {
        instance.weight = self.weight;
        (instance.state, instance.state_cause) = (State::Up, None);
        let of = |rule: &Option<String>| rule.clone().unwrap_or_else(|| "its URL".to_owned());
        if self.is_disabled {
            instance.drain(format!("{} disables it", of(&self.disabled_by)));
        } else if self.weight == Some(0) {
            instance.drain(format!("{} gives it the weight 0, which is no traffic", of(&self.weight_by)));
        }
        instance.weight_origin = self.weight_by.map(Into::into);
    }
}
