//! Files on disks that may be slow, stalled, full or read-only, and paths where something else stands than a file.
//!
//! Opening a FIFO waits for its other end, and a stalled disk (a network file system whose server is away) answers
//! nothing at all, not even a look at the path. So FIFOs are never opened, and whoever must go on waits for a bounded
//! time, while a thread of its own waits for the disk.

pub mod looks;
pub mod stall;
pub mod stamp;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Time between two attempts to read from a disk that is away.
const RETRY: Duration = Duration::from_millis(250);

/// Reads a regular file. Blocks as long as the disk does.
///
/// # Errors
/// Those of the system, and one for whatever is not a regular file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = stall::asking(|| open(path))?;
    let mut bytes = Vec::new();
    // In pieces: a large file takes long, and the disk is well as long as it comes.
    while stall::asking(|| (&mut file).take(CHUNK as u64).read_to_end(&mut bytes))? > 0 {}
    Ok(bytes)
}

/// As [`read`], of text.
///
/// # Errors
/// As [`read`], and one for what is no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Returns whether an error says that the disk is away, and nothing about the file.
pub fn is_away(error: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionAborted, HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected, StaleNetworkFileHandle,
        TimedOut,
    };
    let away = [
        ConnectionAborted,
        HostUnreachable,
        NetworkDown,
        NetworkUnreachable,
        NotConnected,
        StaleNetworkFileHandle,
        TimedOut,
    ];
    away.contains(&error.kind())
}

/// As [`read`]; as long as the disk is away, it tries again. To be used on a thread that nobody waits for.
///
/// # Errors
/// As [`read`], of the file.
pub fn read_when_there(path: &Path) -> io::Result<Vec<u8>> {
    loop {
        match read(path) {
            Err(error) if is_away(&error) => std::thread::park_timeout(RETRY),
            read => return read,
        }
    }
}

/// As [`read`], on a thread of its own: fails with [`ErrorKind::TimedOut`] once the disk has given nothing for
/// `patience`. However long the file is, it is read to its end as long as it comes.
///
/// # Errors
/// As [`read`].
pub fn read_steadily(path: &Path, patience: Duration) -> io::Result<Vec<u8>> {
    let (pieces, coming) = mpsc::sync_channel(4);
    let path = path.to_owned();
    std::thread::Builder::new().name("file".into()).spawn(move || {
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(error) => return drop(pieces.send(Err(error))),
        };
        loop {
            let mut piece = Vec::new();
            let read = (&mut file).take(CHUNK as u64).read_to_end(&mut piece);
            // Nobody waits for it any more, or it was the last one.
            let is_last = !matches!(read, Ok(1..));
            if pieces.send(read.map(|_| piece)).is_err() || is_last {
                return;
            }
        }
    })?;
    let mut bytes = Vec::new();
    loop {
        match coming.recv_timeout(patience) {
            Ok(Ok(piece)) if piece.is_empty() => return Ok(bytes),
            Ok(piece) => bytes.extend_from_slice(&piece?),
            Err(RecvTimeoutError::Timeout) => {
                return Err(io::Error::new(ErrorKind::TimedOut, format!("the disk gives nothing for {patience:?}")));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its reader has ended")),
        }
    }
}

/// Opens a regular file to be read.
fn open(path: &Path) -> io::Result<File> {
    // Looked at first, as opening alone may do something to a device or to the writer of a FIFO. Opened so that what
    // took the file's place meanwhile is not waited for.
    regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The number of `/dev/null`, which stands for an empty file (null(4)).
const NULL: u64 = 0x103;

fn regular(metadata: &fs::Metadata) -> io::Result<()> {
    let is_null = metadata.file_type().is_char_device() && metadata.rdev() == NULL;
    match (metadata.is_file() || is_null, metadata.is_dir()) {
        (true, _) => Ok(()),
        (_, true) => Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory, not a file")),
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

/// Does `work` on a thread of its own, and waits for it without holding up a runtime's threads. (A runtime's own
/// threads for such work panic whoever asks for one while the system has none to give.)
///
/// # Errors
/// [`ErrorKind::WouldBlock`] and its like where no thread can be had; [`ErrorKind::Other`] where the work panicked.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name("file".into()).spawn(move || done.send(work()))?;
    result.await.map_err(|_| io::Error::other("it panicked"))
}

/// Does `work` on a thread of its own. Gives what it returns within `patience`, else the place where that will come.
///
/// # Errors
/// The work is not done yet. Where no thread can be had, it never is.
pub fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Receiver<T>> {
    let (done, coming) = mpsc::channel();
    // Without a thread the other end is gone: to whoever waits that is work that never ends.
    let _ = std::thread::Builder::new().name("file".into()).spawn(move || done.send(work()));
    coming.recv_timeout(patience).map_err(|_| coming)
}

/// Does `work` on a thread of its own, and waits for it however long it takes, but for a disk that gives no answer for
/// `patience`.
///
/// # Errors
/// [`ErrorKind::TimedOut`] then; those of the system where no thread can be had.
pub fn unless_stalled<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (stall, (done, coming)) = (stall::Stall::default(), mpsc::channel());
    let watched = stall.clone();
    std::thread::Builder::new().name("file".into()).spawn(move || done.send(watched.watch(work)))?;
    loop {
        match coming.recv_timeout(patience.min(RETRY)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("it panicked")),
            Err(RecvTimeoutError::Timeout) if stall.duration().is_some_and(|stall| stall >= patience) => {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("its disk does not answer within {patience:?}"),
                ));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Writes a file, with its directory, so that it is there wholly or not at all, whenever the power goes. What fails
/// leaves nothing behind: on a full disk the beginning of a file would take the last room.
///
/// # Errors
/// Those of the system.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, bytes, None)
}

/// As [`replace`]; the file has these permissions from the start, or as the system gives them.
///
/// # Errors
/// As [`replace`].
pub fn replace_with(path: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory)?;
    }
    let new = beside(path, ".new");
    // A FIFO of this name would be waited for.
    if fs::symlink_metadata(&new).is_ok_and(|file| !file.is_file()) {
        fs::remove_file(&new)?;
    }
    let write = || {
        let mut file = File::create(&new)?;
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))?;
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// The path of the file whose name has `suffix` behind the one of `path`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Advice where a file cannot be written, for who is on call.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk",
        ErrorKind::ReadOnlyFilesystem => "mount its disk so that it can be written, or name another path",
        ErrorKind::PermissionDenied => "let this user write in its directory, or name another path",
        ErrorKind::NotFound => "create its directory, or name another path",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => "name another path, or remove what is there",
        ErrorKind::InvalidData => "remove it, or name another path",
        _ => "look at its disk, or name another path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("zonekeeper-disk-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn fifo(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn a_fifo_a_device_and_a_directory_are_not_waited_for() {
        let directory = directory("odd");
        let odd = directory.join("fifo");
        fifo(&odd);
        for path in [&*odd, &*directory, Path::new("/dev/zero")] {
            assert!(read(path).is_err() && read_text(path).is_err(), "{}", path.display());
            let error = read_steadily(path, Duration::from_secs(10)).unwrap_err();
            assert_ne!(error.kind(), ErrorKind::TimedOut, "{}: {error}", path.display());
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn dev_null_is_an_empty_file() {
        assert_eq!(read_text(Path::new("/dev/null")).unwrap(), "");
    }

    #[test]
    fn a_file_of_several_pieces_is_read_to_its_end() {
        let directory = directory("pieces");
        for length in [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 17] {
            let bytes: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let path = directory.join("file");
            replace(&path, &bytes).unwrap();
            assert!(read_steadily(&path, Duration::from_secs(10)).unwrap() == bytes, "{length}");
            assert!(read(&path).unwrap() == bytes, "{length}");
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left behind");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_fifo_in_the_place_of_the_new_file_is_not_waited_for() {
        let directory = directory("new");
        let path = directory.join("deep").join("file");
        replace(&path, b"one").unwrap();
        fifo(&beside(&path, ".new"));
        replace(&path, b"two").unwrap();
        assert_eq!(read_text(&path).unwrap(), "two");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn work_that_takes_too_long_is_given_later() {
        let (go, wait) = mpsc::channel::<()>();
        let late = within(Duration::from_millis(20), move || wait.recv().is_ok()).unwrap_err();
        go.send(()).unwrap();
        assert_eq!(late.recv(), Ok(true));
        assert_eq!(within(Duration::from_secs(30), || 7).ok(), Some(7));
    }
}
