//! Freshness of a zone's data.

/// Freshness of a zone's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// There is none yet: SERVFAIL.
    Loading,
    /// It is current.
    Fresh,
    /// It was current once and the source cannot be reached: served, and said so (RFC 8914, Stale Answer).
    Stale,
    /// It is too old to be served: SERVFAIL.
    Expired,
}

impl Freshness {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Loading, Self::Fresh, Self::Stale, Self::Expired];

    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}
