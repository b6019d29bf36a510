//! A query on its way to its response, and what becomes of it.

use std::net::IpAddr;
use std::time::Duration;

use super::query::Query;
use crate::dns::serve::answer::Rcode;
use crate::dns::serve::outcome::{ExtendedCode, Outcome};
use crate::dns::transport::Transport;

/// A query on its way to its response.
#[derive(Clone, Copy)]
pub struct PendingQuery<'a> {
    /// The message.
    pub packet: &'a [u8],
    /// Query that was read from it.
    pub query: &'a Query,
    /// Address of its sender: most answers do not depend on it.
    pub peer: &'a dyn Fn() -> IpAddr,
    /// The time since 1970, likewise.
    pub now: &'a dyn Fn() -> Duration,
    /// Transport by which it came.
    pub transport: Transport,
    /// Random number that the first record is drawn by: evenly distributed, another for each answer.
    pub random: u32,
}

/// Outcome of a query. Small enough for a register: through memory, it would be written in parts and read as a whole,
/// for which a processor has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A response of this length, for the record.
    Response {
        /// Bytes written.
        length: u16,
        /// Its code.
        rcode: Rcode,
        /// True if TC is set.
        truncated: bool,
        /// Code of its extended error.
        extended: Option<ExtendedCode>,
        /// True for NODATA: the name is there, and has no such records.
        is_empty: bool,
    },
    /// A response of this length that is cut, since its network got too many.
    Slip {
        /// Bytes written.
        length: u16,
    },
    /// It is not answered, since its network got too many.
    Limited,
    /// It is not for the hot path after all.
    Slow,
}

impl Written {
    /// The outcome of a query that was answered so. One that was not answered yet counts as dropped.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Response { rcode, truncated, extended, is_empty, .. } => {
                Outcome::Response { rcode, truncated, extended, is_empty }
            }
            Self::Slip { .. } => Outcome::Slip,
            Self::Limited => Outcome::Limited,
            Self::Slow => Outcome::Dropped,
        }
    }
}

/// Two registers' worth would go through memory.
const _: () = assert!(size_of::<Written>() <= 8);
