//! Outcomes of queries: what is counted of each.

use std::num::NonZeroU8;

use super::answer::{Ede, Rcode};
use crate::dns::message::sizes::{AA, TC};
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
        /// Code of its extended error.
        extended: Option<ExtendedCode>,
        /// True for NODATA: the name is there, and has no such records.
        is_empty: bool,
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

/// Info code of an extended error (RFC 8914 §4), as it is counted: in one byte, so that an outcome stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedCode(NonZeroU8);

impl ExtendedCode {
    /// Number of codes that are told apart: those that are registered, and one for all others.
    pub const COUNT: usize = Self::LAST as usize + 1;
    const LAST: u8 = 31;

    /// The code of an extended error.
    #[inline]
    pub fn of(extended: Ede) -> Self {
        let place = u8::try_from(extended.code()).unwrap_or(u8::MAX).min(Self::LAST);
        Self(NonZeroU8::MIN.saturating_add(place))
    }

    /// Place in a table of [`Self::COUNT`] rows: the code itself, and the last row for those beyond.
    #[inline]
    pub fn place(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

impl Outcome {
    /// The outcome that is this message, of which no more is known than it says in its header.
    pub(super) fn of(message: &[u8]) -> Self {
        let [_, _, flags, code, ..] = message else { return Self::Dropped };
        let rcode = Rcode::of_low_bits(code & 0x0f).unwrap_or(Rcode::Refused);
        Self::response(message, rcode, flags & TC != 0, None)
    }

    /// The outcome that is this message, with what its header does not say.
    pub(super) fn response(message: &[u8], rcode: Rcode, truncated: bool, extended: Option<Ede>) -> Self {
        // A referral has no answers either, and no authority.
        let has_answers = message.get(6..8).is_some_and(|count| *count != [0, 0]);
        let is_ours = message.get(2).is_some_and(|flags| flags & AA != 0);
        let is_empty = rcode == Rcode::NoError && !truncated && !has_answers && is_ours;
        Self::Response { rcode, truncated, extended: extended.map(ExtendedCode::of), is_empty }
    }
}
