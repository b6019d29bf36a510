//! Bugs to plant, so that the simulator can show that it would find them.

/// Bugs that other mirrors of this kind have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zookeeper) enum Mutation {
    /// "No such znode" takes out everything below, too.
    SubtreeRemoval,
    /// A reconnect within the session is taken as if nothing had been missed.
    NoResync,
    /// An event during a read of its path is thought to be covered by that read.
    NoSecondRead,
    /// Leaves what the scan did not meet as it is.
    NoVerify,
    /// Each change is shown as soon as it was read, whatever happens to its neighbours.
    PublishAtOnce,
    /// Shows what was read of a group whether or not it is a state that the group had.
    ShowTorn,
    /// Shows what a link leads to as soon as its watch is armed, read or not.
    JoinUnread,
    /// Takes out what cannot be read any more, as if it were gone.
    ForgetRefused,
    /// Shows what can be read again without what is below it.
    NoRescan,
    /// An ensemble that is older than what was seen of it is believed at once.
    BelieveOld,
    /// Takes what a verification found for missed, whether an event came meanwhile or not.
    ForgetTold,
}
