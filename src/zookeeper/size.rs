//! Sizes of requests on the wire, so that one that servers refuse is never sent.
//!
//! ZooKeeper answers a request above its limit by closing the connection. That looks like any other lost connection, so
//! whoever tries again does so for ever, and each attempt costs the session a reconnect. Both implementations of the
//! session ask here first and answer [`Error::TooLarge`].

use super::session::{Read, Write};
use crate::registry::{Error, Path};

/// Largest request that servers take, in bytes: `jute.maxbuffer`, unless somebody changed it.
const REQUEST_LIMIT: usize = 0xf_ffff;

/// Bytes of a request besides its operations: its header, the end mark of a multi request.
const REQUEST: usize = 32;

/// Bytes of an operation besides path and data, at most: headers, lengths, version, flags, one ACL entry.
const OPERATION: usize = 64;

/// Refuses writes that do not fit in one request; `chroot` bytes are added to each path.
///
/// # Errors
/// [`Error::TooLarge`].
pub(super) fn check_writes(chroot: usize, batch: &[Write]) -> Result<(), Error> {
    check(batch.iter().map(|write| match write {
        Write::Create { path, data, .. } | Write::Set { path, data, .. } => operation(chroot, path, data.len()),
        Write::Delete { path, .. } => operation(chroot, path, 0),
    }))
}

/// Refuses a write of `data` that does not fit in a request; `chroot` bytes are added to its path.
///
/// # Errors
/// [`Error::TooLarge`].
pub(super) fn check_write(chroot: usize, path: &Path, data: &[u8]) -> Result<(), Error> {
    check(std::iter::once(operation(chroot, path, data.len())))
}

/// Refuses reads that do not fit in one request; `chroot` bytes are added to each path.
///
/// # Errors
/// [`Error::TooLarge`].
pub(super) fn check_reads(chroot: usize, batch: &[Read]) -> Result<(), Error> {
    check(batch.iter().map(|read| operation(chroot, read.path(), 0)))
}

fn operation(chroot: usize, path: &Path, data: usize) -> usize {
    OPERATION + chroot + path.as_str().len() + data
}

fn check(operations: impl Iterator<Item = usize>) -> Result<(), Error> {
    let bytes = operations.fold(REQUEST, usize::saturating_add);
    if bytes > REQUEST_LIMIT { Err(Error::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_the_limit_passes_and_one_byte_more_does_not() {
        let set = |bytes| [Write::Set { path: Path::root().child("a"), data: vec![0; bytes], version: None }];
        let room = REQUEST_LIMIT - REQUEST - OPERATION - 2;
        assert_eq!(check_writes(0, &set(room)), Ok(()));
        assert_eq!(check_writes(0, &set(room + 1)), Err(Error::TooLarge));
        assert_eq!(check_writes(1, &set(room)), Err(Error::TooLarge));
    }

    #[test]
    fn many_small_operations_add_up() {
        let read = Read::Node(Path::root().child(&"x".repeat(63)));
        let fitting = (REQUEST_LIMIT - REQUEST) / (OPERATION + 64);
        assert_eq!(check_reads(0, &vec![read.clone(); fitting]), Ok(()));
        assert_eq!(check_reads(0, &vec![read; fitting + 1]), Err(Error::TooLarge));
    }
}
