//! Phases of a mirror.

/// Phase of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No session.
    Offline,
    /// A session without a connection.
    Suspended,
    /// The watch is being armed.
    Arming,
    /// The server is catching up.
    Syncing,
    /// The tree is being read.
    Scanning,
    /// It was read, and is older than what was seen before: the last view is kept for a while.
    Holding,
    /// The mirror follows every change.
    Live,
}

impl Phase {
    /// All of them, in the order they are gone through.
    pub const ALL: [Self; 7] =
        [Self::Offline, Self::Suspended, Self::Arming, Self::Syncing, Self::Scanning, Self::Holding, Self::Live];

    /// The phase's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Suspended => "suspended",
            Self::Arming => "arming",
            Self::Syncing => "syncing",
            Self::Scanning => "scanning",
            Self::Holding => "holding",
            Self::Live => "live",
        }
    }
}
