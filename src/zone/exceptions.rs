//! Numbers of names that change the answers for others.

/// Exceptions that a look-up has to watch for on its way down. Most zones have none of it, and every name is found in
/// one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exceptions {
    /// Owners of NS records below the apex.
    pub delegations: u32,
    /// Owners whose first label is `*`.
    pub wildcards: u32,
    /// Owners of DNAME records.
    pub redirections: u32,
    /// Owners below which names are unknown ([`super::unknown`]).
    pub unknown: u32,
}
