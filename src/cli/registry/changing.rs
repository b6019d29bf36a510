//! Changes of a registry: carried out in large requests, planned anew where the registry changed meanwhile, and never
//! left half done without a word.

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::place::Opened;
use crate::registry::Error;
use crate::zookeeper::acl::{self, AclEntry};
use crate::zookeeper::bulk;
use crate::zookeeper::session::{Write, WriteError};

/// Attempts at one change that the registry's own changes may undo.
const ATTEMPTS: usize = 5;
/// Pause before an attempt after a lost connection.
const PAUSE: Duration = Duration::from_millis(300);

/// Does `first`, and after a failure that another attempt may mend what `again` has left to do by then. What is created
/// has the rights `rights`, or is open to all. Returns the number of writes.
///
/// # Errors
/// The path and the reason, and how much was done.
pub(super) async fn carry_out(
    at: &Opened,
    first: Vec<Write>,
    rights: Option<&[AclEntry]>,
    again: impl AsyncFn() -> anyhow::Result<Vec<Write>>,
) -> anyhow::Result<usize> {
    let session = at.session()?;
    let (mut writes, mut all) = (first, 0);
    for attempt in 1.. {
        let paths: Vec<_> = writes.iter().map(|write| write.path().clone()).collect();
        let mut done = 0;
        let outcome = bulk::apply(session, writes, rights, &mut done).await;
        all += done;
        let Err(WriteError { index, error }) = outcome else { break };
        let is_lost = matches!(error, Error::ConnectionLoss(_));
        let is_mended =
            is_lost || matches!(error, Error::NoNode | Error::NodeExists | Error::NotEmpty | Error::BadVersion);
        let left = paths.len() - done;
        if !is_mended || attempt == ATTEMPTS {
            let reason = acl::refused(&error);
            let so_far = match all {
                0 if is_lost => "it is not known whether anything was changed".to_owned(),
                0 => "nothing was changed".to_owned(),
                all if is_lost => format!("{all} changes were made, up to {left} more may have been"),
                all => format!("{all} changes were made, {left} were not"),
            };
            let place = index.and_then(|index| paths.get(index)).map(|path| format!("{}: ", at.full(path)));
            bail!("{}{reason}; {so_far}: run it again for the rest", place.unwrap_or_default());
        }
        if is_lost {
            sleep(PAUSE).await;
        }
        writes = again().await?;
    }
    Ok(all)
}
