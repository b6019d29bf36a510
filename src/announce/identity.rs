//! Who registers: an instance id that is the same for the same znode from the same host after every restart, so that a
//! process finds the znode that its killed predecessor left.
//!
//! It is a hash of the host's identity and the znode's path. Two hosts never share it, and neither do two services of
//! one host. It is an address label, no secret: whoever can write to the registry can forge it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::error::Error;
use crate::disk;

/// The name of this host, as the kernel has it.
pub fn host_name() -> Option<String> {
    let sources = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let said = sources.iter().filter_map(|file| fs::read_to_string(file).ok());
    said.map(|name| name.trim().to_owned()).find(|name| !name.is_empty())
}

/// Identity of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity(String);

impl HostIdentity {
    /// Identity by the system: `/etc/machine-id` (machine-id(5)), else the host name. A host without either gets a new
    /// identity in each process; a restart then waits for the session of the process before it to expire.
    pub fn of_this_host() -> Self {
        let sources = ["/etc/machine-id", "/proc/sys/kernel/hostname", "/etc/hostname"];
        let said = sources.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| Self::new(&text));
        said.unwrap_or_else(|| Self(format!("{:032x}", fastrand::u128(..))))
    }

    /// The identity that the file at `path` keeps, or, where that cannot be had, the one that the image of the process
    /// before this one had, or that of [`Self::of_this_host`], which is logged: a file that only tells hosts apart must
    /// not keep DNS down. The disk is waited for at most `patience`.
    pub fn kept_in_or_own(path: &Path, before: Option<Self>, patience: Duration) -> Self {
        let (owned, drawn) = (path.to_owned(), before.clone());
        let kept = disk::within(patience, move || Self::kept_in(&owned, drawn)).unwrap_or_else(|_late| {
            let error = std::io::Error::new(ErrorKind::TimedOut, "its disk does not answer");
            Err(Error::KeepIdentity { path: path.to_owned(), error })
        });
        kept.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let Error::KeepIdentity { error: io, .. } = &error else { return Self::of_this_host() };
            let (help, taken) = (disk::advice(io), if before.is_some() { "the one before" } else { "the machine-id" });
            tracing::warn!(%error, cause, help, "the identity file is left out, and {taken} taken, until the next start");
            before.unwrap_or_else(Self::of_this_host)
        })
    }

    /// The identity that the file at `path` keeps; where there is none yet, `before` or a new one is put there. For
    /// hosts that share their machine-id, as copies of one image do.
    ///
    /// # Errors
    /// [`Error::KeepIdentity`].
    pub fn kept_in(path: &Path, before: Option<Self>) -> Result<Self, Error> {
        let failed = |error| Error::KeepIdentity { path: path.to_owned(), error };
        match disk::read_text(path) {
            Ok(text) => Self::new(&text)
                .ok_or_else(|| failed(std::io::Error::new(ErrorKind::InvalidData, "the file is empty; delete it"))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let put = before.unwrap_or_else(|| Self(format!("{:032x}", fastrand::u128(..))));
                disk::replace(path, format!("{}\n", put.0).as_bytes()).map_err(failed)?;
                Ok(put)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reason why the file at `path` keeps no identity, in a sentence with its path. One that is not there yet can be
    /// written.
    pub fn unusable(path: &Path) -> Option<String> {
        let why = match disk::read_text(path) {
            Ok(text) if Self::new(&text).is_some() => return None,
            Ok(text) if text.trim().is_empty() => "is empty: delete it".to_owned(),
            Ok(text) => format!("says `{}`, which is no identity: delete it", text.trim()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
            Err(error) => format!("cannot be read: {error}"),
        };
        Some(format!("{} {why}", path.display()))
    }

    /// An identity made of `text`, if it says anything. systemd writes `uninitialized` into the machine-id of images.
    pub fn new(text: &str) -> Option<Self> {
        match text.trim() {
            "" | "uninitialized" | "localhost" | "(none)" => None,
            text => Some(Self(text.to_owned())),
        }
    }

    /// The instance id for the znode at `path`: 16 hexadecimal digits.
    pub fn instance_id(&self, path: &str) -> String {
        // The separator can be in neither, so that no two pairs run into one.
        let bytes = self.0.bytes().chain([0]).chain(path.bytes());
        format!("{:016x}", fnv1a(bytes))
    }
}

/// FNV-1a with 64 bits: written out, because ids must be the same in every version of this program.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b"".iter().copied()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn ids_differ_by_host_and_by_path_and_by_nothing_else() {
        let host = HostIdentity::new("4c1f\n").unwrap();
        let id = host.instance_id("/services/a/providers/10.0.0.1:80");
        assert_eq!(id.len(), 16);
        assert_eq!(id, HostIdentity::new("4c1f").unwrap().instance_id("/services/a/providers/10.0.0.1:80"));
        assert_ne!(id, host.instance_id("/services/a/providers/10.0.0.1:81"));
        assert_ne!(id, HostIdentity::new("4c1e").unwrap().instance_id("/services/a/providers/10.0.0.1:80"));
    }

    #[test]
    fn a_file_keeps_what_was_drawn() {
        let path = std::env::temp_dir().join(format!("zonekeeper-identity-{}/state/id", std::process::id()));
        let drawn = HostIdentity::kept_in(&path, None).unwrap();
        assert_eq!(HostIdentity::kept_in(&path, None).unwrap(), drawn);
        fs::write(&path, "\n").unwrap();
        assert!(HostIdentity::kept_in(&path, None).is_err());
        assert_eq!(HostIdentity::kept_in_or_own(&path, None, Duration::from_secs(10)), HostIdentity::of_this_host());
        // After a restart in place the one before goes on, and is put back where the file is gone.
        let before = Some(drawn.clone());
        assert_eq!(HostIdentity::kept_in_or_own(&path, before.clone(), Duration::from_secs(10)), drawn);
        fs::remove_file(&path).unwrap();
        assert_eq!(HostIdentity::kept_in_or_own(&path, before, Duration::from_secs(10)), drawn);
        assert_eq!(HostIdentity::kept_in(&path, None).unwrap(), drawn);
        fs::remove_dir_all(path.parent().and_then(Path::parent).unwrap()).unwrap();
        assert_ne!(HostIdentity::kept_in(&path, None).unwrap(), drawn);
        fs::remove_dir_all(path.parent().and_then(Path::parent).unwrap()).unwrap();
    }

    #[test]
    fn what_says_nothing_is_no_identity() {
        for text in ["", " \n", "uninitialized\n", "localhost\n", "(none)"] {
            assert_eq!(HostIdentity::new(text), None, "{text:?}");
        }
        assert_eq!(HostIdentity::of_this_host().instance_id("/a").len(), 16);
    }
}
