//! Outcomes of queries: what is counted of each.

use super::answer::Rcode;
use crate::dns::message::sizes::TC;
use crate::dns::transfer::Kind;

/// Outcome of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response.
    Response {
        /// Its code.
        rcode: Rcode,
        /// True if TC is set.
        truncated: bool,
        /// True if it has an extended error.
        extended: bool,
    },
    /// A response that is cut, since its network got too many.
    Slip,
    /// None, since its network got too many.
    Limited,
    /// None: it is no query, or nobody can be answered.
    Dropped,
    /// The messages of a transfer.
    Transfer(Kind),
}

impl Outcome {
    /// The outcome that is this message, of which nothing else is known.
    pub(super) fn of(message: &[u8]) -> Self {
        let [_, _, flags, code, ..] = message else { return Self::Dropped };
        let rcode = Rcode::of_low_bits(code & 0x0f).unwrap_or(Rcode::Refused);
        Self::Response { rcode, truncated: flags & TC != 0, extended: false }
    }
}
