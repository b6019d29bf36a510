//! Inputs of a mirror, and its actions.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::registry::{Error, Path};
use crate::zookeeper::session::{Event, Read, Reply};

/// Event that a mirror takes in.
#[derive(Debug)]
pub enum Input {
    /// The connect that was asked for succeeded: there is a new session.
    Connected {
        /// True if its reads are answered request by request, each as of one moment.
        at_once: bool,
    },
    /// The connect failed.
    ConnectFailed(Error),
    /// The watch of this epoch is armed, or not.
    Armed(u32, Result<(), Error>),
    /// The server has caught up, or the sync failed. With the last zxid that the znodes above the root, and the root,
    /// tell of; none where one of them cannot be read.
    Synced(u32, Result<Option<i64>, Error>),
    /// A batch was answered, or failed as a whole.
    Replied(u32, Vec<Read>, Result<Vec<Reply>, Error>),
    /// The further watch of this epoch is armed and the server has caught up, or not.
    Joined(u32, Path, Result<(), Error>),
    /// These, and no others, are to be mirrored besides the root.
    Outside(BTreeSet<Path>),
    /// The watch said something.
    Event(Event),
    /// A verification read these paths twice and found them to differ from the tree.
    Differs(Vec<Path>),
    /// Time has passed. At least once a second.
    Tick,
}

/// Action that a mirror asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Give up the session, with everything that is outstanding; then connect anew after a while.
    Connect {
        /// Wait before it.
        after: Duration,
    },
    /// Arm a watch on each of these; once they are armed, drop those before.
    Arm(u32, Vec<Path>),
    /// Arm one watch more, then ask the server to catch up.
    Join(u32, Path),
    /// Drop the watch on this, if there is one.
    Leave(Path),
    /// Ask the server to catch up.
    Sync(u32),
    /// Read these, in one request.
    Read(u32, Vec<Read>),
    /// Show the readers the tree as it is now; these paths changed since the last time.
    Publish(BTreeSet<Path>),
    /// Tell of these, which changed without an event.
    Untold(Vec<(Path, Difference)>),
}

/// Why a znode changed without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// An event was missed.
    Missed,
    /// The session may read what it could not, or the other way round: that raises none.
    Rights,
}
