//! Exchanges: a query, and what came of it. Each one, of either path and of every transport, ends in
//! [`Exchange::finish`]: whatever is to be known of all responses is found out there.

use std::fmt;
use std::net::IpAddr;

use tracing::trace;

use super::metrics::{Ledger, Subject};
use super::outcome::Outcome;
use crate::dns::fast::Query;
use crate::dns::message::request::Request;
use crate::dns::transport::Transport;
use crate::zone::name::Name;

/// A query, and what came of it.
#[derive(Clone, Copy)]
pub struct Exchange<'q> {
    /// Transport by which the query came and its response leaves.
    pub transport: Transport,
    /// Address of the client: the hot path does not look at it unless it must.
    pub peer: &'q dyn Fn() -> IpAddr,
    /// The query.
    pub query: ReadQuery<'q>,
    /// Place of the zone that it is about in [`crate::zone::Zones::iter`], plus one; 0 for none.
    pub zone: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// A query, as it was read.
#[derive(Debug, Clone, Copy)]
pub enum ReadQuery<'q> {
    /// By the hot path.
    Hot(&'q Query),
    /// By the slow path.
    Slow(&'q Request),
    /// It could not be read.
    Malformed,
}

impl Exchange<'_> {
    /// Ends the exchange: counts it in `ledger`, and logs it where every query is logged.
    #[inline]
    pub fn finish(&self, ledger: &mut impl Ledger) {
        let Self { transport, peer, query, zone, outcome } = self;
        trace!(transport = transport.label(), peer = %peer(), %query, ?outcome, "query");
        ledger.count(Subject { zone: *zone, rtype: query.rtype() }, *outcome);
    }
}

impl ReadQuery<'_> {
    /// Type of the question, by number; 0 where there is none.
    #[inline]
    fn rtype(&self) -> u16 {
        match self {
            Self::Hot(query) => query.rtype(),
            Self::Slow(request) => request.question.as_ref().map_or(0, |question| question.rtype),
            Self::Malformed => 0,
        }
    }
}

impl fmt::Display for ReadQuery<'_> {
    /// The name and the number of the type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rtype) = match self {
            Self::Hot(query) => (Name::from_wire(query.name()).map(|(name, _)| name), query.rtype()),
            Self::Slow(request) => match &request.question {
                Some(question) => (Some(question.name.clone()), question.rtype),
                None => return f.write_str("no question"),
            },
            Self::Malformed => return f.write_str("malformed"),
        };
        write!(f, "{} TYPE{rtype}", name.unwrap_or_else(Name::root))
    }
}
