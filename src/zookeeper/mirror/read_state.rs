//! Reads that are under way.

/// State of a path with a read queued or outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadState {
    Queued,
    Reading,
    /// Marked again while it was being read: the reply may be older than the event.
    ReadingMarked,
}
