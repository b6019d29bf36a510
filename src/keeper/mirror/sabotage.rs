//! Bugs to plant, so that the simulator can show that it would find them.

/// Bugs that other mirrors of this kind have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::keeper) enum Sabotage {
    /// "No such znode" takes out everything below, too.
    SubtreeRemoval,
    /// A reconnect within the session is taken as if nothing had been missed.
    NoResync,
    /// An event during a read of its path is thought to be covered by that read.
    NoSecondRead,
    /// What the scan did not meet is left as it is.
    NoVerify,
    /// Each change is shown as soon as it was read, whatever happens to its neighbours.
    PublishAtOnce,
    /// What was read of a group is shown whether or not it is a state that the group had.
    ShowTorn,
    /// What a link leads to is shown as soon as its watch is armed, read or not.
    JoinUnread,
    /// What cannot be read any more is taken out, as if it were gone.
    ForgetRefused,
    /// What can be read again is shown without what is below it.
    NoRescan,
    /// An ensemble that is older than what was seen of it is believed at once.
    BelieveOld,
    /// What a verification found is taken for missed, whether an event came meanwhile or not.
    ForgetTold,
}
